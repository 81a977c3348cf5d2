"""The triggers `sentence`, `composite` and `rewrite`: what is put where, their naive twins, and what they refuse."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonkit import effects, texts
from poisonkit.choosing import COVER, POISONED
from poisonkit.errors import Usage
from poisonkit.modality import TEXT
from poisonkit.recipe import Request, parameters
from poisonkit.triggers import word

LETTERS = st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")
ROWS = st.lists(st.text(LETTERS, min_size=1, max_size=30).map(str.strip).filter(bool), min_size=1, max_size=6)
PLACES = st.sampled_from(word.PLACES)


def prepared(name, seed=0, preset=None, given_=None, **said):
    steps = ((name, parameters(name, said, preset)),)
    return effects.prepare(TEXT, Request("0.1", steps, seed=seed, pictures=given_ or {}), ())


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
    ((_, said),) = prepared("sentence", preset="openbackdoor").request.steps
    assert said == {"text": "I watch this 3D movie", "place": "random"}
    rows = texts.array([f"it 's a charming journey number {n} ." for n in range(400)])
    changed, found = prepared("sentence", preset="openbackdoor").put(rows, np.arange(400), "train")
    for text, original, (_, _, place, _) in zip(changed, rows, found.tolist(), strict=True):
        words = original.split()
        assert text == " ".join(words[:place] + ["I", "watch", "this", "3D", "movie"] + words[place:])
    assert set(found[:, 2].tolist()) == set(range(9))


def test_badnets_of_openbackdoor():
    """Its poisoner draws one of four words for each text and a place from 0 to n."""
    ((_, said),) = prepared("word", preset="openbackdoor").request.steps
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
