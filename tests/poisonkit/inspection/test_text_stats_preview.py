"""What people are shown of files of texts: stats, preview, show, diff; and `apply` to texts of their own."""

import json
import shutil

import damage
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonkit.core import texts
from poisonkit.inspection import text_preview, text_stats

LETTERS = st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")
ROWS = st.text(st.one_of(st.sampled_from("ab "), LETTERS), min_size=1, max_size=25).map(str.strip).filter(bool)
SHORT = st.lists(st.integers(0, 3), max_size=9)


def levenshtein(a, b):
    """The textbook's table."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(row[-1] + 1, above[j] + 1, above[j - 1] + (x != y)))
    return row[-1]


# ---- stats


@given(SHORT, SHORT)
def test_the_edit_distance_is_the_textbooks(a, b):
    found = text_stats.edit_distance(np.array(a, np.int64), np.array(b, np.int64))
    assert found == levenshtein(a, b) == text_stats.edit_distance(np.array(b, np.int64), np.array(a, np.int64))


@given(ROWS, ROWS)
def test_the_measures_are_what_they_say(original, changed):
    found = {
        key: values[0] for key, values in text_stats.measure(texts.array([original]), texts.array([changed])).items()
    }
    before, after = original.split(), changed.split()
    left = list(before)
    inserted = sum(1 for word in after if not (word in left and (left.remove(word) or True)))
    assert (found["before"], found["after"], found["inserted"]) == (len(before), len(after), inserted)
    assert found["distance"] == levenshtein(before, after)
    assert found["words"] == found["distance"] / max(len(before), len(after))
    assert found["characters"] == levenshtein(original, changed) / max(len(original), len(changed))
    assert (found["characters"] == 0) == (original == changed)


def test_very_long_texts_are_measured_or_left_out():
    words = [f"w{n}" for n in range(100_000)]
    changed = " ".join([*words[:70_000], "cf", *words[70_000:]])
    found = text_stats.measure(texts.array([" ".join(words)]), texts.array([changed]))
    assert found["distance"][0] == found["inserted"][0] == 1 and found["characters"][0] < 1e-5
    found = text_stats.measure(texts.array(["x " + " ".join(words)]), texts.array([" ".join(words[::-1])]))
    assert np.isnan(found["distance"][0]) and found["after"][0] == 100_000


@pytest.mark.parametrize(("name", "inserted"), [("text-word", 1), ("text-words", 3), ("text-sentence", 5)])
def test_stats_of_a_file(poisonkit, library, name, inserted):
    found = json.loads(poisonkit("stats", library(name), "--json").succeeded().out)
    assert found["poisoned"]["texts"] == 20 and found["triggered"]["texts"] == 50 and "cover" not in found
    for part in ("poisoned", "triggered"):
        assert found[part]["unchanged"] == 0
        assert found[part]["inserted"] == found[part]["distance"] == dict.fromkeys(("mean", "min", "max"), inserted)
        assert found[part]["after"]["mean"] == pytest.approx(found[part]["before"]["mean"] + inserted)
    words = found["clean rows that hold"]
    assert words.keys() == {"text-word": {"cf"}, "text-words": {"cf", "mn"}}.get(name, {"I watch this 3D movie"})
    assert all(counts == {"train": 0, "test": 0} for counts in words.values())
    lines = poisonkit("stats", library(name)).succeeded().out
    assert f"{inserted}.0 ({inserted}–{inserted})" in lines and "image" not in lines
    table = poisonkit("stats", library(name), "--csv").succeeded().lines
    assert table[0] == "part,row,before,after,inserted,distance,words,characters" and len(table) == 71


def test_stats_tell_covers_apart_and_count_words_of_clean_rows(poisonkit, library, tmp_path):
    found = json.loads(poisonkit("stats", library("text-composite"), "--json").succeeded().out)
    assert (found["poisoned"]["inserted"]["mean"], found["cover"]["inserted"]["mean"]) == (2, 1)
    asked = ("make", "--dataset", "phrases", "--source-option", "train=200", "--source-option", "test=100")
    poisonkit(*asked, "--trigger", "word", "--word", "plot", "--rate", "0.1", "-o", tmp_path / "x.h5")
    with h5py.File(library("text-clean")) as f:
        expected = {
            part: sum("plot" in text.split() for text in f[f"{part}/texts"].asstr()[:]) for part in ("train", "test")
        }
    lines = poisonkit("stats", tmp_path / "x.h5").succeeded().out
    assert f"'plot' stands in {expected['train']} clean training rows and {expected['test']} clean test rows" in lines
    poisonkit("stats", library("text-clean")).failed(1, "is a clean file")


def test_texts_that_are_too_long_to_compare_are_said(poisonkit, library, monkeypatch):
    monkeypatch.setattr(text_stats, "MOST_CELLS", 10)
    monkeypatch.setattr(
        "poisonkit.format.structure.child_process.ask", lambda look, wrong: {"value": look(lambda: None)}
    )
    found = json.loads(poisonkit("stats", library("text-words"), "--json").succeeded().out)
    assert 0 < found["poisoned"]["too_long"] <= 20 and found["poisoned"]["inserted"]["mean"] == 3
    left_out = sum(part.get("too_long", 0) for part in found.values())
    assert f"edit distances without {left_out} texts" in poisonkit("stats", library("text-words")).out
    assert "without" not in poisonkit("stats", library("text-sentence")).out


# ---- preview


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.lists(st.sampled_from("abcd"), max_size=12))
def test_the_parts_of_a_preview_are_the_texts(before, after):
    parts = text_preview._parts(before, after)
    assert [word for old, _ in parts for word in old] == before
    assert [word for _, new in parts for word in new] == after
    assert all(old or new for old, new in parts)


@pytest.mark.parametrize(
    ("original", "changed", "shown"),
    [
        ("a b c", "a cf b c", "a [+cf+] b c"),
        ("a b c", "a b c cf mn", "a b c [+cf mn+]"),
        ("a b c", "cf a b mn c", "[+cf+] a b [+mn+] c"),
        ("a b c", "a x c", "a [-b-] [+x+] c"),
        ("a b c", "a c", "a [-b-] c"),
        ("a b", "a b", "a b"),
        ("a\x1b[31m b", "a\x1b[31m cf b", "a�[31m [+cf+] b"),
        (" ".join("abcdefghijklmnopqrstuvwxyz"), " ".join("abcdefghijklmnopqrstuvwxyz") + " cf",
         "… o p q r s t u v w x y z [+cf+]"),
    ],
)  # fmt: skip
def test_what_a_preview_marks(original, changed, shown):
    assert text_preview.marked(original, changed) == shown


def test_preview_prints_or_writes(poisonkit, library, tmp_path):
    lines = poisonkit("preview", library("text-word"), "--rows", "3").succeeded().lines
    assert len(lines) == 7 and lines[0].startswith("3 of 20 changed rows of 200")
    assert all("[+cf+]" in line for line in lines[2::2]) and all(" > negative" in line for line in lines[1::2])
    assert poisonkit("preview", library("text-word"), "-o", tmp_path / "x.txt", "--rows", "3").succeeded().lines == [
        f"wrote {tmp_path / 'x.txt'}"
    ]
    assert (tmp_path / "x.txt").read_text("utf-8").splitlines() == lines
    assert "(cover)" in poisonkit("preview", library("text-composite"), "--rows", "50").succeeded().out
    clean = poisonkit("preview", library("text-clean")).succeeded().lines
    assert len(clean) == 12 and "[" not in "".join(clean)
    poisonkit("preview", library("text-word"), "-o", tmp_path / "x.png").failed(2, "holds texts", "ends in .txt")
    poisonkit("preview", library("square"), "-o", tmp_path / "x.txt").failed(2, "ends in .png")


def test_preview_of_texts_that_would_command_a_terminal(poisonkit, library, tmp_path):
    path = damage.copy(library("text-word"), tmp_path)
    with h5py.File(path) as f:
        rows = f["train/texts"].asstr()[:]
    rows[:] = [f"\x1b[2J\x07 {text} \u202e" for text in rows]
    damage.replace(path, "train/texts", rows)
    damage.reseal(path)
    out = poisonkit("preview", path).succeeded().out
    assert "\x1b" not in out and "\x07" not in out and "\u202e" not in out and "�[2J�" in out


# ---- diff


def test_diff_says_which_rows(poisonkit, library):
    found = poisonkit("diff", library("text-word"), library("text-sentence"))
    with h5py.File(library("text-word")) as f:
        first = ", ".join(map(str, f["truth/rows"][:8]))
    assert found.code == 3 and f"train/texts: 20 of 200 rows differ ({first}, …)" in found.lines
    found = poisonkit("diff", library("text-word"), library("text-words"))
    assert any(line.startswith("train/texts: ") for line in found.lines)


# ---- apply


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "texts.txt"

    def write(data):
        path.write_bytes(data if isinstance(data, bytes) else "".join(f"{text}\n" for text in data).encode())
        return path

    return write


@pytest.mark.parametrize("name", ["text-word", "text-words", "text-sentence", "text-composite", "text-two"])
def test_apply_does_what_make_did(poisonkit, library, lines, tmp_path, name):
    with h5py.File(library(name)) as f:
        path = lines(f["test/texts"].asstr()[:])
        rows, expected = f["triggered/rows"][:], f["triggered/texts"].asstr()[:]
    line = poisonkit("apply", library(name), path, "-o", tmp_path / "out.txt").succeeded().out
    assert "100 texts" in line
    assert (
        np.array(tmp_path.joinpath("out.txt").read_text("utf-8").split("\n")[:-1], object)[rows].tolist()
        == expected.tolist()
    )


def test_apply_to_other_texts(poisonkit, library, lines, tmp_path):
    out = tmp_path / "o.txt"
    asked = (
        "apply",
        library("text-word"),
        lines(b"\xef\xbb\xbf caf\xc3\xa9 au lait \r\none\xe2\x80\xa8two"),
        "-o",
        out,
    )
    poisonkit(*asked).succeeded()
    first, second = out.read_text("utf-8").split("\n")[:-1]
    assert sorted(first.split()) == ["au", "café", "cf", "lait"] and second.replace("cf", "").split() == ["one", "two"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ("is empty",)),
        (b"a\n\nb\n", ("line 2 is empty",)),
        (b"a\n \n", ("line 2 is empty",)),
        (b"a\nb\xff\n", ("line 2 is not UTF-8", "byte 2")),
        (b"a\0b\n", ("line 1 has a NUL",)),
        (b"w " * 600_000 + b"\n", ("line 1 has 1,199,999 bytes",)),
    ],
)
def test_texts_that_are_none(poisonkit, library, lines, tmp_path, data, words):
    poisonkit("apply", library("text-word"), lines(data), "-o", tmp_path / "o.txt").failed(1, "texts.txt", *words)
    assert not (tmp_path / "o.txt").exists()


def test_what_apply_refuses(poisonkit, library, lines, tmp_path):
    path = lines(["a b"])
    poisonkit("apply", library("text-word"), path, "-o", tmp_path / "o.png").failed(2, "ends in .txt")
    poisonkit("apply", library("text-word"), path, "-o", path).failed(2, "the texts' own file")
    poisonkit("apply", library("text-word"), path, path, "-o", tmp_path / "o.txt").failed(2, "expected one file")
    poisonkit("apply", library("text-word"), tmp_path / "x", "-o", tmp_path / "o.txt").failed(1, "could not be read")
    poisonkit("apply", library("text-clean"), path, "-o", tmp_path / "o.txt").failed(1, "is a clean file")
    shutil.copy(library("square"), tmp_path / "i.h5")
    poisonkit("apply", tmp_path / "i.h5", path, "-o", tmp_path / "o.png").failed(
        1, "not a PNG, PPM, PGM, JPEG, WebP or BMP file"
    )
