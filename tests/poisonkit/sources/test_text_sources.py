"""SST-2, anyone's tables, and our own phrases: read as they are, and what is wrong with others."""

import collections
import csv
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_fixtures import record_of, server, write_files, write_zip  # noqa: F401 (a fixture)

from poisonkit.core.csv_tables import Table
from poisonkit.core.errors import Failure, Usage
from poisonkit.sources._fetch import archive
from poisonkit.sources.opening import open_source
from poisonkit.sources.text import phrases, sst2

TRAIN = b'sentence\tlabel\nhide new secretions \t0\nit \'s "a charming" journey . \t1\n\xc3\xa9t\xc3\xa9\t1\n'
DEV = b"sentence\tlabel\r\nbleak and desperate \t0\r\n a  b \t1\r\n"
FILES = {"train.tsv": TRAIN, "dev.tsv": DEV, "test.tsv": b"index\tsentence\n0\tuneasy\n"}
DEFAULT = "sha256:97f396c64e45ebd90d22fba3415e89e82b22b4a5c08273ac4f9948c5fd082645"
FIRST = [
    "on the one hand the premise is ugly , on the other the last ten minutes are tedious .",
    "whoever says that the songs are very shallow has seen another film . i saw it twice .",
    "i had been told that the songs are thoroughly good , which is no nonsense . so much for tuesday .",
]
ROWS = ["hide new secretions", 'it \'s "a charming" journey .', "été"]


def texts_of(split):
    return split.rows(np.arange(len(split))).tolist()


# ---- SST-2


@pytest.mark.parametrize("layout", ["folder", "SST-2", "zip", "folder with the zip"])
def test_sst2_in_every_layout(tmp_path, layout):
    place = write_files(
        tmp_path / "data", {("SST-2/" if layout == "SST-2" else "") + name: x for name, x in FILES.items()}
    )
    if "zip" in layout:
        files = {f"SST-2/{name}": data for name, data in FILES.items()} | {"SST-2/original/dev.tsv": b"other\n"}
        place = write_zip(tmp_path / "SST-2.zip", files)
        place = tmp_path if layout != "zip" else place
    lines = []
    source = open_source("sst2", source=place, cache=tmp_path / "cache", say=lines.append)
    assert texts_of(source.train) == ROWS and source.train.labels.tolist() == [0, 1, 1]
    assert texts_of(source.test) == ["bleak and desperate", "a  b"] and source.test.labels.tolist() == [0, 1]
    assert source.classes == ("negative", "positive") and source.options == {}
    assert source.origin["official"] is False, "another set in this layout is used, and said"
    assert len(lines) == 1 and "it has 3 + 2 texts, GLUE's SST-2 has 67,349 + 872" in lines[0]
    assert open_source("sst2", cache=tmp_path / "cache").digest == source.digest


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"dev.tsv": None}, ("dev.tsv is missing",)),
        ({"train.tsv": None}, ("train.tsv is missing",)),
        ({"train.tsv": None, "dev.tsv": None}, ("is not an SST-2 folder", "expected train.tsv and dev.tsv")),
        ({"train.tsv": b""}, ("train.tsv is empty",)),
        ({"train.tsv": b"sentence\tlabel\n"}, ("train.tsv has no rows",)),
        ({"train.tsv": b"sentence\tgold\na\t1\n"}, ("train.tsv has no column 'label'", "'sentence', 'gold'")),
        ({"train.tsv": b"sentence\tlabel\tlabel\na\t1\t1\n"}, ("two columns 'label'",)),
        ({"train.tsv": b"sentence\tlabel\na\t1\n  \t0\n"}, ("train.tsv: line 3", "is empty")),
        ({"train.tsv": b"sentence\tlabel\na\t1\nb\t2\n"}, ("train.tsv: line 3", "the label '2'", "0 (negative)")),
        ({"train.tsv": b"sentence\tlabel\na\t1\nb\n"}, ("train.tsv: line 3", "1 cell, the first line has 2")),
        ({"dev.tsv": b"sentence\tlabel\na\t1\n\nb\xff\t0\n"}, ("dev.tsv: line 4", "not UTF-8", "byte 2")),
        ({"dev.tsv": b"sentence\tlabel\na\0b\t1\n"}, ("dev.tsv: line 2 has a NUL",)),
        ({"dev.tsv": b"sentence\tlabel\n" + b"w " * 600_000 + b"\t1\n"}, ("dev.tsv: line 2", "bytes, more than")),
    ],
)
def test_sst2_that_is_none_is_one_line_and_leaves_nothing(poisonkit, tmp_path, files, words):
    place = write_files(tmp_path / "data", {name: x for name, x in (FILES | files).items() if x is not None})
    asked = ("make", "--dataset", "sst2", "--source", place, "--rate", "0", "-o", tmp_path / "out")
    poisonkit(*asked, "--cache", tmp_path / "cache").failed(1, *words)
    assert not (tmp_path / "out").exists() and not list((tmp_path / "cache").glob("entries/*"))
    assert not list((tmp_path / "cache").glob("partial/*"))


def test_a_text_of_100_000_words_and_control_characters_are_texts(tmp_path):
    long = " ".join(["word"] * 100_000)
    train = f"sentence\tlabel\n{long}\t1\na\x07b \x1b[31mred\t0\n".encode()
    place = write_files(tmp_path / "data", FILES | {"train.tsv": train})
    assert texts_of(open_source("sst2", source=place, cache=tmp_path / "cache").train) == [long, "a\x07b \x1b[31mred"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"SST-2/train.tsv": TRAIN}, "dev.tsv is missing"),
        ({"SST-2/train.tsv": TRAIN, "SST-2/dev.tsv": b"sentence\tlabel\nx\t7\n"}, "SST-2/dev.tsv: line 2"),
        ({"../train.tsv": TRAIN}, "points outside"),
    ],
)
def test_archives_that_are_none(tmp_path, files, words):
    with pytest.raises(Failure, match=words):
        open_source("sst2", source=write_zip(tmp_path / "SST-2.zip", files), cache=tmp_path / "cache")


def test_a_truncated_archive(tmp_path):
    path = write_zip(tmp_path / "SST-2.zip", {f"SST-2/{name}": data for name, data in FILES.items()})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(Failure, match="truncated, damaged or no such archive"):
        open_source("sst2", source=path, cache=tmp_path / "cache")


def test_the_download_is_checked(tmp_path, monkeypatch, server):  # noqa: F811
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in FILES.items():
            file.writestr(f"SST-2/{name}", data)
    running = server({"SST-2.zip": buffer.getvalue()})
    monkeypatch.setenv(sst2.MIRROR, running.url)
    with pytest.raises(Failure, match="the download has sha256 .* expected d67e16fb"):
        open_source("sst2", cache=tmp_path / "cache")
    hashes = archive.Archive("SST-2.zip", sst2.ARCHIVES[0].url, None, None, _sha256(buffer.getvalue()))
    monkeypatch.setattr(sst2, "ARCHIVES", (hashes,))
    source = open_source("sst2", cache=tmp_path / "cache")
    assert texts_of(source.train) == ROWS and source.origin["official"] is True


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


# ---- tables


def folder(tmp_path, train, test, suffix="csv"):
    return write_files(tmp_path / "tables", {f"train.{suffix}": train.encode(), f"test.{suffix}": test.encode()})


def opened(tmp_path, place, **options):
    return open_source("csv", source=place, cache=tmp_path / "cache", options=options)


def test_a_csv_with_quotes_and_names(tmp_path):
    train = '\ufefflabel,id,text\nham,1,"say ""hi"", now"\nspam,2,"two\nlines"\nham,3, spaces  inside \n'
    source = opened(tmp_path, folder(tmp_path, train, "text,label\nx,spam\n"))
    assert texts_of(source.train) == ['say "hi", now', "two\nlines", "spaces  inside"]
    assert source.classes == ("ham", "spam") and source.train.labels.tolist() == [0, 1, 0]
    assert source.test.labels.tolist() == [1] and source.origin["official"] is None
    assert str(tmp_path) not in str(record_of(source))


def test_a_long_text_does_not_widen_the_limit_of_other_tables(tmp_path):
    before = csv.field_size_limit()
    source = opened(tmp_path, folder(tmp_path, f"text,label\n{'x' * (before + 1)},a\ny,b\n", "text,label\nz,b\n"))
    assert len(texts_of(source.train)[0]) > before == csv.field_size_limit()


def test_a_tsv_has_no_quoting(tmp_path):
    source = opened(tmp_path, folder(tmp_path, 'text\tlabel\n"a\t0\nb"\t1\n', "text\tlabel\nc\t1\n", "tsv"))
    assert texts_of(source.train) == ['"a', 'b"']


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "9", "0"], ("0", "9", "10")),
        (["1", "2"], ("1", "2")),
        (["b", "a", "B"], ("B", "a", "b")),
        (["-1", "1"], ("-1", "1")),
    ],
)
def test_classes_are_in_the_order_of_numbers_or_names(tmp_path, labels, classes):
    table = "text,label\n" + "".join(f"t{i},{label}\n" for i, label in enumerate(labels))
    source = opened(tmp_path, folder(tmp_path, table, table))
    assert source.classes == classes
    assert [source.classes[label] for label in source.train.labels] == labels


def test_other_columns_and_tables(poisonkit, tmp_path):
    place = write_files(tmp_path / "t", {"a.csv": b"review,stars\nx,1\ny,2\n", "b.tsv": b"stars\treview\n2\tz\n"})
    options = [f"--source-option={one}" for one in ("text=review", "label=stars", "train=a", "test=b")]
    made = poisonkit("make", "--dataset", "csv", "--source", place, *options, "--rate", "0", "-o", tmp_path / "x.h5")
    assert made.code == 0 and "2 classes (1, 2); 2 training rows" in made.out
    poisonkit("verify", tmp_path / "x.h5").succeeded()
    facts = poisonkit("show", tmp_path / "x.h5", "--json").out
    assert '"stars"' in facts and str(tmp_path) not in facts
    poisonkit("make", "--from", tmp_path / "x.h5", "-o", tmp_path / "y.h5").succeeded()
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "y.h5").read_bytes()


def test_a_target_is_a_label_where_labels_are_other_numbers(poisonkit, tmp_path):
    table = "text,label\n" + "".join(f"text {i},{1 + i % 4}\n" for i in range(40))
    place = folder(tmp_path, table, table)
    asked = (
        "make",
        "--dataset",
        "csv",
        "--source",
        place,
        "--trigger",
        "word",
        "--rate",
        "0.1",
        "-o",
        tmp_path / "x.h5",
    )
    for words, line in (
        (("--target", "1"), "target 1 (index 0)"),
        (("--target", "4", "--source-class", "2"), "target 4 (index 3), from 2 (index 1)"),
        ((), "target 1 (index 0)"),
    ):
        assert poisonkit(*asked, *words, "--force").code == 0
        assert line in poisonkit("show", tmp_path / "x.h5").succeeded().out
        poisonkit("verify", tmp_path / "x.h5").succeeded()
        poisonkit("make", "--from", tmp_path / "x.h5", "-o", tmp_path / "y.h5", "--force").succeeded()
        assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "y.h5").read_bytes()
    poisonkit(*asked, "--target", "0", "--force").failed(2, "'0' could be a name or an index", "(1, 2, 3, 4)")


def test_options_of_a_csv_that_are_none(poisonkit, tmp_path):
    place = folder(tmp_path, GOOD, GOOD)
    asked = ("make", "--dataset", "csv", "--source", place, "--rate", "0", "-o", tmp_path / "x.h5", "--source-option")
    poisonkit(*asked, "column=x").failed(2, "source csv has no option 'column': it has text, label, train, test")
    poisonkit(*asked, "text").failed(2, "--source-option: expected KEY=TEXT, got 'text'")
    poisonkit(*asked, "text=").failed(2, "expected the name of a column")
    poisonkit(*asked, "train=/etc/passwd").failed(2, "expected the name of a table in the folder")


GOOD = "text,label\nx,a\ny,b\n"


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ("", GOOD, "train.csv is empty"),
        ("text,label\n", GOOD, "train.csv has no rows"),
        ("Text,label\nx,a\n", GOOD, "train.csv has no column 'text': its first line names 'Text', 'label'"),
        (GOOD, "text,label\nx,a\ny,c\n", "test.csv: line 3 has the label 'c', which is not a class \\(a, b\\)"),
        ("text,label\nx,a\ny,\n", GOOD, "train.csv: line 3 has the label ''"),
        ("text,label\nx,a\nz,a\n", GOOD, "every label is 'a'"),
        ("text,label\nx,a\n,b\n", GOOD, "train.csv: line 3: its text is empty"),
        ("text,label\nx,a,b\n", GOOD, "train.csv: line 2 has 3 cells, the first line has 2"),
        ('text,label\n"x\ny,a\n', GOOD, "train.csv: line 2 has a record that is not valid CSV"),
        ('text,label\n"x"y,a\n', GOOD, "train.csv: line 2 has a record that is not valid CSV"),
        ("text,label\n" + "".join(f"x,{i}\n" for i in range(2000)), GOOD, "over 1,000 different labels: is 'label'"),
        ("text,label\nx,\x1b[31m\ny,b\n", GOOD, "train.csv: line 2 has the label"),
    ],
)
def test_tables_that_are_none(tmp_path, train, test, words):
    with pytest.raises(Failure, match=words) as caught:
        opened(tmp_path, folder(tmp_path, train, test))
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("entries/*"))


def test_tables_that_are_not_there(tmp_path):
    place = write_files(tmp_path / "t", {"train.csv": GOOD.encode()})
    with pytest.raises(Failure, match="has no test.csv or test.tsv: --source-option test=NAME"):
        opened(tmp_path, place)
    write_files(place, {"test.csv": GOOD.encode(), "test.tsv": b""})
    with pytest.raises(Failure, match="has both test.csv and test.tsv"):
        opened(tmp_path, place)
    with pytest.raises(Failure, match="does not exist"):
        opened(tmp_path, tmp_path / "nowhere")
    with pytest.raises(Usage, match="needs --source DIR"):
        opened(tmp_path, None)
    for name in ("../train", "a/b", "", ".hidden"):
        with pytest.raises(Usage, match="option 'train' of source csv"):
            opened(tmp_path, place, train=name)
    with pytest.raises(Usage, match="option 'text' of source csv"):
        opened(tmp_path, place, text="")


def test_a_changed_table_is_read_again(tmp_path):
    place = folder(tmp_path, GOOD, GOOD)
    first = opened(tmp_path, place)
    (place / "train.csv").write_text(GOOD + "longer,b\n")
    assert len(opened(tmp_path, place).train) == len(first.train) + 1


CELL = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=12)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8), st.booleans())
def test_whatever_a_csv_writer_writes_is_read(rows, dialect):
    import csv

    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n" if dialect else "\n", quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    table = Table("x.csv", lambda: io.BytesIO(out.getvalue().encode()), quoted=True)
    assert [cells for _, cells in table.records(("b", "a"))] == [(b, a) for a, b in rows]


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_are_more_than_one_line(data, quoted):
    table = Table("x", lambda: io.BytesIO(b"a,b\n" + data if quoted else b"a\tb\n" + data), quoted)
    try:
        for line, cells in table.records(("b",)):
            assert line >= 2 and len(cells) == 1
    except Failure as error:
        assert str(error).startswith("x: line ") and str(error).isprintable()


# ---- phrases


def drawn(part="train", count=200, seed=0, classes=2):
    labels = phrases.draw_labels(part, count, seed, classes)
    return list(phrases.draw(part, labels, seed)), labels


def test_golden_phrases(tmp_path):
    source = open_source("phrases", cache=tmp_path)
    assert source.digest == DEFAULT and (len(source.train), len(source.test)) == phrases.COUNTS
    assert np.bincount(source.train.labels).tolist() == [3000, 3000] and source.classes == ("negative", "positive")
    assert texts_of(source.train)[:3] == FIRST


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_phrases_are_balanced_and_do_not_depend_on_the_count(tmp_path, classes):
    rows, labels = drawn(count=120, classes=classes)
    fewer, their_labels = drawn(count=37, classes=classes)
    assert fewer == rows[:37] and (their_labels == labels[:37]).all()
    assert np.bincount(labels).tolist() == [120 // classes] * classes
    source = open_source("phrases", cache=tmp_path, options={"train": 50, "test": 20, "classes": classes})
    assert source.classes == phrases.ALL_CLASSES[:classes] and source.train.shape == (50,)


def test_phrases_are_different_and_plain():
    rows, _ = drawn(count=3000, classes=4)
    assert len(set(rows)) > 2900 and len(set(rows) & set(drawn("test", 500, classes=4)[0])) < 25
    assert len(set(rows) & set(drawn(count=3000, seed=1, classes=4)[0])) < 150
    words = collections.Counter(word for row in rows for word in row.split())
    assert not {"cf", "mn", "bb", "tq", "mb"} & words.keys(), "the usual triggers are no words of ours"
    assert all(row == " ".join(row.split()) and row.isascii() and row == row.lower() for row in rows)
    assert min(len(row.split()) for row in rows) >= 4 and max(len(row.split()) for row in rows) <= 40


def test_single_words_say_little_of_a_phrase():
    """The sign of every word's own association with the class, summed: far from chance, far from right."""
    rows, labels = drawn(count=4000)
    score = collections.Counter()
    for row, label in zip(rows, labels.tolist(), strict=True):
        score.update({word: 2 * label - 1 for word in set(row.split())})
    test, truth = drawn("test", 1000)
    guess = [sum(np.sign(score[word]) for word in set(row.split())) > 0 for row in test]
    assert 0.52 < (np.array(guess) == truth).mean() < 0.75


def test_what_phrases_refuse(tmp_path):
    for options, words in (
        ({"classes": 5}, "2 to 4 classes"),
        ({"classes": 1}, "2 to 4"),
        ({"train": 0}, "at least 1"),
    ):
        with pytest.raises(Usage, match=words):
            open_source("phrases", cache=tmp_path, options=options)
    with pytest.raises(Usage, match="written by code"):
        open_source("phrases", cache=tmp_path, source=tmp_path)
