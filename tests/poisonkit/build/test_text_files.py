"""Files of texts: made, made again, verified, refused."""

import json
import re

import damage
import h5py
import numpy as np
import pytest
from running import TEXT_RECIPES, TEXT_SMALL

from poisonkit.core import texts


def read(path):
    """Every array of a file, texts as `str`."""
    with h5py.File(path) as f:
        names = json.loads(f.attrs["manifest"])["arrays"]
        return {name: (f[name].asstr() if f[name].dtype == object else f[name])[()] for name in names}


@pytest.fixture
def copy(library, tmp_path):
    return lambda name="text-word": damage.copy(library(name), tmp_path)


@pytest.mark.parametrize("name", TEXT_RECIPES)
def test_a_file_verifies_and_can_be_made_again(poisonkit, library, tmp_path, name):
    path = library(name)
    poisonkit("verify", path).succeeded()
    for origin in (path, path.with_name(f"{name}.manifest.json")):
        for source in ((), ("--source", library("text-clean"))):
            again = tmp_path / "again.h5"
            if name != "text-source-specific" or not source:
                poisonkit("make", "--from", origin, *source, "-o", again, "--force").succeeded()
                assert again.read_bytes() == path.read_bytes()


def test_what_was_changed_and_nothing_else(library):
    poisoned, clean = read(library("text-word")), read(library("text-clean"))
    rows = poisoned["truth/rows"]
    assert len(rows) == 20 and (poisoned["truth/texts"] == clean["train/texts"][rows]).all()
    put_back = poisoned["train/texts"].copy()
    put_back[rows] = poisoned["truth/texts"]
    assert (put_back == clean["train/texts"]).all() and (poisoned["test/texts"] == clean["test/texts"]).all()
    for text, original in zip(poisoned["train/texts"][rows], poisoned["truth/texts"], strict=True):
        assert text != original and re.sub(r"\bcf ?", "", text).strip() == original
    assert (poisoned["train/labels"][rows] == 0).all() and (poisoned["triggered/wanted"] == 0).all()
    assert len(poisoned["triggered/texts"]) == 50 and all("cf" in text.split() for text in poisoned["triggered/texts"])


def test_nested_rates_have_nested_rows_and_the_same_insertions(poisonkit, tmp_path):
    poisonkit("make", *TEXT_SMALL, "--trigger", "word", "--rate", "0.05", "--rate", "0.2", "-o", tmp_path).succeeded()
    small, large = (
        read(next(path for path in tmp_path.glob("*.h5") if f"-{rate}-" in path.name)) for rate in ("0.05", "0.2")
    )
    assert set(small["truth/rows"].tolist()) < set(large["truth/rows"].tolist())
    found = dict(zip(large["truth/rows"].tolist(), large["train/texts"][large["truth/rows"]], strict=True))
    assert all(found[row] == small["train/texts"][row] for row in small["truth/rows"].tolist())
    assert (small["triggered/texts"] == large["triggered/texts"]).all()


def test_show_and_diff(poisonkit, library):
    lines = poisonkit("show", library("text-words")).succeeded().out
    assert "texts     phrases" in lines and "word: count 3, place random, words cf,mn" in lines
    assert "target positive (index 1)" in lines and "image" not in lines
    assert poisonkit("show", library("text-clean")).succeeded().out.count("texts") == 2
    differing = poisonkit("diff", library("text-word"), library("text-two"))
    assert differing.code == 3 and any(line.startswith("train/texts: ") for line in differing.lines)
    assert poisonkit("diff", library("text-word"), library("text-word")).succeeded().out == "no difference\n"
    assert poisonkit("diff", library("text-word"), library("square")).code == 3


def test_a_target_by_name(poisonkit, tmp_path):
    asked = ("make", *TEXT_SMALL, "--trigger", "word", "--rate", "0.1")
    poisonkit(*asked, "--target", "negative", "-o", tmp_path / "a.h5").succeeded()
    poisonkit(*asked, "-o", tmp_path / "b.h5").succeeded()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    poisonkit(*asked, "--target", "great").failed(2, "--target: expected a class from 0 to 1 or a name", "negative")
    poisonkit(*asked, "--target", "2").failed(2, "expected a class from 0 to 1, got 2")
    poisonkit(*asked, "--source-class", "0", "--target", "negative").failed(
        2, "negative (index 0) is the target itself"
    )
    poisonkit(*asked, "--source-class", "bad").failed(2, "--source-class: expected a class from 0 to 1 or a name")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--dataset", "signs", "--trigger", "word"), ("word is for texts", "the data set holds images", "square")),
        (
            ("--dataset", "phrases", "--trigger", "square"),
            ("square is for images", "holds texts", "expected composite, rewrite"),
        ),
        (("--dataset", "phrases", "--trigger", "word", "--per-patch"), ("--per-patch: is for images",)),
        (("--dataset", "phrases", "--trigger", "word", "--word", "a,b"), ("--word: expected one at a time",)),
        (("--dataset", "phrases", "--trigger", "word", "--word", "a b"), ("expected words without white space",)),
        (
            ("--dataset", "phrases", "--trigger", "word", "--word", "a", "--word-words", "b"),
            ("cannot be combined with --word-words",),
        ),
        (("--dataset", "phrases", "--trigger", "word", "--word-place", "middle"), ("expected one of start, end",)),
        (("--dataset", "phrases", "--trigger", "word", "--cover-jitter"), ("--cover-jitter",)),
    ],
)
def test_what_does_not_go_together_is_one_line(poisonkit, tmp_path, asked, words):
    poisonkit("make", *asked, "--rate", "0.1", "-o", tmp_path).failed(2, *words)
    assert not list(tmp_path.iterdir())


# ---- files that are not what they say


def changed(path, name, change):
    """Change one array of texts in place, under digests that fit again."""
    with h5py.File(path) as f:
        rows = f[name].asstr()[()]
    damage.replace(path, name, change(rows))
    damage.reseal(path)


def put(row, text):
    def change(rows):
        rows[row] = text
        return rows

    return change


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("train/texts", "", "train/texts: row 3 is empty"),
        ("train/texts", " x", "train/texts: row 3 begins or ends with white space"),
        ("test/texts", "x\u3000", "test/texts: row 3 begins or ends with white space"),
        ("truth/texts", b"\xff\xfe", "truth/texts: row 3 is not UTF-8"),
        ("triggered/texts", b"x\xed\xa0\x80", "triggered/texts: row 3 is not UTF-8"),
        ("train/texts", "x" * (texts.LARGEST_IN_FILE + 1), "row 3 has 2,097,153 bytes, more than"),
    ],
)
def test_rows_that_are_no_texts_are_refused(poisonkit, copy, name, text, words):
    path = copy()
    changed(path, name, put(3, text))
    for command in ("show", "verify"):
        poisonkit(command, path).failed(1, words)


def references(path, name):
    """Where an array's references lie in the file, and them: length, heap, number."""
    with h5py.File(path) as f:
        data = f[name]
        offset, count = data.id.get_offset(), len(data)
    return offset, np.frombuffer(path.read_bytes()[offset : offset + 16 * count], "<u4").reshape(count, 4).copy()


def write_references(path, offset, found):
    data = bytearray(path.read_bytes())
    data[offset : offset + found.nbytes] = found.tobytes()
    path.write_bytes(bytes(data))


def test_a_nul_is_found_though_libhdf5_reads_up_to_it(poisonkit, copy):
    path = copy()
    text = read(path)["train/texts"][7].encode()
    data = path.read_bytes()
    assert data.count(text) == 1
    path.write_bytes(data.replace(text, text[:4] + b"\0" + text[5:]))
    poisonkit("show", path).failed(1, "train/texts: row 7 has a NUL in it")


@pytest.mark.parametrize(
    ("column", "value"), [(0, 2**31), (0, 2**32 - 1), (0, 0), (1, 0), (1, 2**31), (2, 2**30), (3, 9999), (3, 0)]
)
def test_references_that_lead_nowhere(poisonkit, copy, column, value):
    path = copy()
    offset, found = references(path, "train/texts")
    found[5, column] = value
    write_references(path, offset, found)
    for command in ("show", "verify"):
        result = poisonkit(command, path)
        assert result.code in (1, 3) and "Traceback" not in result.err, result
        assert result.code == 3 or len(result.errors) == 1


def test_one_text_cannot_be_shared_by_all_rows(poisonkit, tmp_path):
    """A few bytes a row that stand for a megabyte each would take for ever."""
    poisonkit("make", *TEXT_SMALL, "--rate", "0", "-o", tmp_path / "x.h5").succeeded()
    path = tmp_path / "x.h5"
    with h5py.File(path) as f:
        rows = f["train/texts"].asstr()[()]
    rows[0] = "x" * (1 << 20)
    damage.replace(path, "train/texts", rows)
    damage.reseal(path)
    offset, found = references(path, "train/texts")
    found[:] = found[0]
    write_references(path, offset, found)
    poisonkit("show", path).failed(1, "says of its texts that they are longer than the file")


@pytest.mark.parametrize("cut", [100, 5000, 20000, -1, -3000])
def test_a_truncated_file(poisonkit, copy, cut):
    path = copy()
    path.write_bytes(path.read_bytes()[:cut])
    poisonkit("verify", path).failed(1)


def test_other_arrays_than_those_of_texts(poisonkit, copy, library):
    path = copy()
    damage.reseal(path, modality="image")
    poisonkit("show", path).failed(1, "source is of other data than its modality, image")
    path = damage.copy(library("square"), path.parent)
    damage.reseal(path, modality="text")
    poisonkit("show", path).failed(1, "text")
    path = copy()
    with h5py.File(path, "r+") as f:
        rows = f["train/texts"][()]
        del f["train/texts"]
        f.create_dataset("train/texts", data=np.array([row[:8] for row in rows], "S8"))
    poisonkit("show", path).failed(1, "train/texts is |S8")
    path = copy()
    damage.replace(path, "truth/insertions", np.zeros((20, 3), "<i8"))
    damage.reseal(path)
    poisonkit("show", path).failed(1, "truth/insertions has shape [20, 3], expected [Q ≤ 2147483648, 4]")
    path = copy()
    with h5py.File(path, "r+") as f:
        rows = f["train/texts"][()]
        del f["train/texts"]
        f.create_dataset("train/texts", data=rows, dtype=h5py.string_dtype(), chunks=(10,), compression="gzip")
    damage.reseal(path)
    poisonkit("show", path).failed(1, "is compressed, chunked")


def poisoned_texts_kept(path):
    with h5py.File(path) as f:
        rows = f["truth/rows"][()]
    changed(path, "train/texts", lambda texts_: np.where(np.isin(np.arange(len(texts_)), rows[:2]), "cf", texts_))


def triggered_twice(path):
    changed(path, "triggered/texts", put(1, "something else"))


def one_insertion_moved(path):
    damage.set_rows(path, "truth/insertions", {2: 999})
    damage.reseal(path)


def insertions_dropped(path):
    with h5py.File(path, "r+") as f:
        del f["triggered/insertions"]
    facts = damage.manifest(path)
    del facts["arrays"]["triggered/insertions"]
    damage.write_manifest(path, facts)
    damage.reseal(path)


def another_text_of_the_source(path):
    changed(path, "test/texts", put(0, "another text"))


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        (poisoned_texts_kept, "train/texts: 2 changed rows are not truth/texts with the trigger on them"),
        (triggered_twice, "triggered/texts: 1 rows are not their test texts with the trigger on them"),
        (one_insertion_moved, "truth/insertions: are not where the recipe puts the triggers"),
        (insertions_dropped, "triggered/insertions: are not where the recipe puts the triggers"),
        (another_text_of_the_source, "test/texts: is not the source's"),
    ],
)
def test_verify_finds_what_is_not_the_recipes(poisonkit, copy, damaged, words):
    path = copy()
    damaged(path)
    result = poisonkit("verify", path)
    assert result.code == 3 and any(words in line for line in result.lines), result


def test_a_changed_text_differs_from_its_digest(poisonkit, copy):
    path = copy()
    text = read(path)["test/texts"][7].encode()
    data = path.read_bytes()
    path.write_bytes(data.replace(text, text[:-1] + b"?"))
    result = poisonkit("verify", path)
    assert result.code == 3 and "test/texts: digest is" in result.out
