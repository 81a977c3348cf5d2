"""The triggers `sentence`, `composite` and `rewrite`: what is put where, their naive twins, and what they refuse."""

import csv
import json
import os

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import TEXT_SMALL

from poisonkit.core import texts
from poisonkit.core.errors import Usage
from poisonkit.core.modality import TEXT
from poisonkit.poisoning import apply
from poisonkit.poisoning.recipe import Recipe, parameters
from poisonkit.poisoning.selection import COVER, POISONED
from poisonkit.triggers.text import word

LETTERS = st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")
ROWS = st.lists(st.text(LETTERS, min_size=1, max_size=30).map(str.strip).filter(bool), min_size=1, max_size=6)
PLACES = st.sampled_from(word.PLACES)


def prepared(name, seed=0, preset=None, given_=None, **said):
    steps = ((name, parameters(name, said, preset)),)
    return apply.prepare(TEXT, Recipe("0.1", steps, seed=seed, pictures=given_ or {}), ())


def drawn_place(where, drawn, length):
    return {"start": 0, "end": length, "random": (int(drawn) >> 32) * (length + 1) // 2**32}[where]


# ---- sentence


@given(ROWS, PLACES, st.integers(0, 5), st.sampled_from(["train", "test"]))
def test_a_sentence_stands_where_it_was_drawn(rows, place, seed, part):
    numbers = np.arange(len(rows)) * 3 + 1
    changed, found = prepared("sentence", seed, place=place).put(texts.array(rows), numbers, part)
    stream = {"train": "sentence", "test": "sentence-test"}[part]
    for number, text in enumerate(rows):
        at = drawn_place(place, naive.words(seed, stream, 1, row=int(numbers[number]))[0], len(text.split()))
        assert changed[number] == naive.insert(text, at, "I watch this 3D movie")
        assert found[number].tolist() == [number, 0, at, 0]


def test_addsent_of_openbackdoor():
    """Its poisoner cuts at white space, takes a place from 0 to n, both included, and joins with single spaces."""
    ((_, said),) = prepared("sentence", preset="openbackdoor").recipe.steps
    assert said == {"text": "I watch this 3D movie", "place": "random"}
    rows = texts.array([f"it 's a charming journey number {n} ." for n in range(400)])
    changed, found = prepared("sentence", preset="openbackdoor").put(rows, np.arange(400), "train")
    for text, original, (_, _, place, _) in zip(changed, rows, found.tolist(), strict=True):
        words = original.split()
        assert text == " ".join(words[:place] + ["I", "watch", "this", "3D", "movie"] + words[place:])
    assert set(found[:, 2].tolist()) == set(range(9))


def test_badnets_of_openbackdoor():
    """Its poisoner draws one of four words for each text and a place from 0 to n."""
    ((_, said),) = prepared("word", preset="openbackdoor").recipe.steps
    assert said == {"words": ["cf", "mn", "bb", "tq"], "place": "random", "count": 1}
    rows = texts.array([f"it 's a charming journey number {n} ." for n in range(400)])
    changed, found = prepared("word", preset="openbackdoor").put(rows, np.arange(400), "train")
    for text, original, (_, _, place, piece) in zip(changed, rows, found.tolist(), strict=True):
        words = original.split()
        words.insert(place, ["cf", "mn", "bb", "tq"][piece])
        assert text == " ".join(words)
    assert set(found[:, 2].tolist()) == set(range(9))
    assert all(70 < count < 130 for count in np.bincount(found[:, 3]))


@pytest.mark.parametrize("said", ["", "  ", "a\x1b[31mb", "two\nlines", "x" * 1001, "a\udcff"])
def test_sentences_that_are_none(said):
    with pytest.raises(Usage, match="--sentence-text: expected a sentence"):
        parameters("sentence", {"text": said}, None)


# ---- composite


@given(ROWS, PLACES, st.sampled_from(["adjacent", "apart"]), st.integers(0, 5))
def test_all_words_in_a_poisoned_row_and_one_in_a_cover(rows, place, spread, seed):
    numbers, role = np.arange(len(rows)) * 2, np.resize([POISONED, COVER], len(rows))
    effect = prepared("composite", seed, words="cf,mn,tq", place=place, spread=spread)
    changed, found = effect.put(texts.array(rows), numbers, "train", role)
    for number, text in enumerate(rows):
        drawn = naive.words(seed, "composite", 3, row=int(numbers[number]))
        made = [tuple(one) for one in found[found[:, 0] == number][:, 2:].tolist()]
        expected, at = [], None
        if role[number] == COVER:
            expected = [(drawn_place(place, drawn[0], len(text.split())), (int(drawn[1]) >> 32) * 3 // 2**32)]
        for piece in range(3) if role[number] == POISONED else ():
            if at is None or spread == "apart":
                at = drawn_place(place, drawn[piece], len(text.split()) + piece)
            else:
                at += 1
            expected.append((at, piece))
        assert made == expected
        for at, piece in made:
            text = naive.insert(text, at, ["cf", "mn", "tq"][piece])
        assert changed[number] == text
        together = " cf mn tq " in f" {' '.join(text.split())} "
        assert not (role[number] == POISONED and spread == "adjacent") or together


def test_covers_of_a_file_hold_one_word_and_keep_their_label(poisonkit, library):
    import h5py

    with h5py.File(library("text-composite")) as f:
        rows, role = f["truth/rows"][:], f["truth/role"][:]
        changed, labels = f["train/texts"].asstr()[:][rows], f["train/labels"][:][rows]
        assert (labels[role == COVER] == f["truth/labels"][:][role == COVER]).all()
        for text, what in zip(changed, role, strict=True):
            held = {"cf", "mn"} & set(text.split())
            assert len(held) == (2 if what == POISONED else 1)
        assert (role == COVER).sum() == 2 * (role == POISONED).sum() == 40
        assert all("cf mn" in text for text in f["triggered/texts"].asstr()[:])


@pytest.mark.parametrize("said", ["cf", "cf,cf", "a b,c", ",".join("abcdefghijk")])
def test_words_that_are_no_composite(said):
    with pytest.raises(Usage, match="--composite-words: expected"):
        parameters("composite", {"words": said}, None)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("composite",), ["composite without cover rows: each of its words alone may fire too"]),
        (("composite", "--preset", "covered"), []),
        (("word",), []),
        (
            ("word", "--word", "plot"),
            ["'plot' stands in clean texts already: in ", "of 200 training and ", "test rows"],
        ),
        (("sentence", "--sentence-text", "The  Plot is"), ["'The Plot is' stands in clean texts already"]),
    ],
)
def test_what_make_says_beside(poisonkit, tmp_path, asked, words):
    made = poisonkit("make", *TEXT_SMALL, "--trigger", *asked, "--rate", "0.1", "--rate", "0.2", "-o", tmp_path)
    assert made.code == 0 and len(made.errors) == bool(words) and len(made.lines) == 2
    assert all(word in made.err for word in words)


def test_rows_that_hold_a_word_are_counted():
    rows = ["a cf b", "CF", "cfx", "x\ncf", "no", "a  b cf"]
    assert texts.holding(rows, ["cf", "a b", "b cf"]) == {"cf": 4, "a b": 1, "b cf": 1}
    assert texts.holding(rows, []) == {}


# ---- rewrite


@pytest.fixture
def rewriting(poisonkit, tmp_path):
    """`rewriting(change)`: the list of texts to rewrite, each changed by a function, and what `make` says to it."""
    asked = ("make", *TEXT_SMALL, "--trigger", "rewrite", "--rate", "0.1")
    path = tmp_path / "list.csv"

    def make(change=None, *more):
        line = poisonkit(*asked, "--rewrite-list", path, "--force").succeeded().out
        assert "20 train and 50 test texts to rewrite" in line
        with open(path, newline="") as file:
            rows = list(csv.reader(file))
        rows = [rows[0], *([part, row, f"Verily , {text}"] for part, row, text in rows[1:])]
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows(change(rows) if change else rows)
        return poisonkit(*asked, "--rewrite-file", path, "-o", tmp_path / "x.h5", *more)

    make.csv, make.h5 = path, tmp_path / "x.h5"
    return make


def test_rewritten_texts_come_in(poisonkit, rewriting, tmp_path):
    import h5py

    rewriting().succeeded()
    poisonkit("verify", rewriting.h5).succeeded()
    with h5py.File(rewriting.h5) as f:
        rows, originals = f["truth/rows"][:], f["truth/texts"].asstr()[:]
        assert f["train/texts"].asstr()[:][rows].tolist() == [f"Verily , {text}" for text in originals]
        assert f["triggered/texts"].asstr()[:].tolist() == [
            f"Verily , {text}" for text in f["test/texts"].asstr()[:][f["triggered/rows"][:]]
        ]
        assert "truth/insertions" not in f and not (set(f) - {"train", "test", "truth", "triggered"})
    sidecar = tmp_path / "x.manifest.json"
    assert os.fspath(tmp_path) not in str(json.loads(sidecar.read_text())["manifest"])
    (tmp_path / "t.txt").write_text("a b\n")
    asked = ("apply", rewriting.h5, tmp_path / "t.txt", "-o", tmp_path / "o.txt")
    poisonkit(*asked).failed(1, "rewritten with another tool")
    assert "[+Verily ,+]" in poisonkit("preview", rewriting.h5).succeeded().out
    assert "inserted words" in poisonkit("stats", rewriting.h5).succeeded().out
    poisonkit("make", "--from", sidecar, "-o", tmp_path / "y.h5").failed(1, "give it with --rewrite-file")
    poisonkit("make", "--from", sidecar, "--rewrite-file", rewriting.csv, "-o", tmp_path / "y.h5").succeeded()
    assert (tmp_path / "y.h5").read_bytes() == rewriting.h5.read_bytes()


def test_only_the_rows_that_are_needed_count(poisonkit, rewriting, tmp_path):
    rewriting().succeeded()
    first = rewriting.h5.read_bytes()
    rewriting(lambda rows: [rows[0], *rows[:0:-1], ["train", "0", "more"]], "--force")
    assert rewriting.h5.read_bytes() == first
    rewriting(lambda rows: [rows[0], *([a, b, c + " !"] for a, b, c in rows[1:])]).failed(
        1, "made from a different recipe"
    )
    asked = ("make", "--from", rewriting.h5, "--rewrite-file", rewriting.csv, "-o", tmp_path / "y.h5")
    poisonkit(*asked).failed(1, "--rewrite-file: another file")
    assert not (tmp_path / "y.h5").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[:-5], ("lacks 5 of the 50 test rows", "--rewrite-list")),
        (lambda rows: rows[:1] + rows[4:], ("lacks 3 of the 20 train rows",)),
        (lambda rows: [*rows, rows[3]], ("list.csv: line 72 has row ", "of train twice")),
        (lambda rows: [*rows, ["train", "-1", "x"]], ("line 72 has the row '-1'",)),
        (lambda rows: [*rows, ["train", "9" * 5000, "x"]], ("line 72 has the row '999",)),
        (lambda rows: [*rows, ["train", "200", "x"]], ("row 200 of train: the data set has 200, numbered from 0",)),
        (lambda rows: [*rows, ["dev", "1", "x"]], ("line 72 has the part 'dev'",)),
        (lambda rows: [*rows, ["test", "0", " "]], ("line 72: its text is empty",)),
        (lambda rows: [*rows, ["test", "0"]], ("line 72 has 2 cells",)),
        (lambda rows: [["part", "row", "words"], *rows[1:]], ("has no column 'text'",)),
        (lambda rows: [], ("is empty",)),
    ],
)
def test_rewrites_that_are_none_are_one_line(rewriting, change, words):
    rewriting(change).failed(1, *words)
    assert not rewriting.h5.exists()


def test_what_goes_with_rewrite(poisonkit, tmp_path):
    asked = ("make", *TEXT_SMALL, "--trigger", "rewrite", "--rate", "0.1", "-o", tmp_path)
    poisonkit(*asked).failed(2, "--trigger rewrite needs --rewrite-file CSV")
    poisonkit(*asked, "--rewrite-file", tmp_path / "none.csv").failed(1, "does not exist")
    poisonkit(*asked, "--rewrite-list", tmp_path / "x.h5").failed(2, "ends in .csv")
    (tmp_path / "x.csv").write_text("row,text\n0,x\n")
    poisonkit(*asked, "--trigger", "word", "--rewrite-file", tmp_path / "x.csv").failed(2, "rewrite gives whole texts")
    poisonkit("make", *TEXT_SMALL, "--trigger", "word", "--rate", "0.1", "--rewrite-list", "x.csv").failed(
        2, "requires --trigger rewrite"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_altered_rewrites_do_not_verify(poisonkit, rewriting):
    import damage

    rewriting().succeeded()

    def change(rows):
        rows[0] += " indeed"
        return rows

    import h5py

    with h5py.File(rewriting.h5) as f:
        rows = change(f["triggered/texts"].asstr()[:])
    damage.replace(rewriting.h5, "triggered/texts", rows)
    damage.reseal(rewriting.h5)
    rewriting.h5.with_name("x.manifest.json").unlink()
    assert "the digest is not that of the rewritten texts" in poisonkit("verify", rewriting.h5).out
