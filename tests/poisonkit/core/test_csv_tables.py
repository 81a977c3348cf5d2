"""Texts and tables as people have them: carriage returns, quotes, byte-order marks, other data in a known layout."""

import csv
import io
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from source_fixtures import text_tables, write_files

from poisonkit.blind import submissions
from poisonkit.core.texts import holding
from poisonkit.inspection import apply_texts
from poisonkit.sources.image import gtsrb
from poisonkit.sources.opening import open_source
from poisonkit.sources.text import sst2
from poisonkit.triggers.text import rewrite

ODD = [
    "a\rb",
    "a\r\nb",
    "a\nb",
    'He said "fine"',
    '"whole"',
    "a, b; c\td",
    "'apostrophe",
    "=1+1",
    "-dash",
    "007",
    "1e5",
    "NA",
    "a\x0bb\x0cc\x1cd\x85e\u2028f",
    "a \\ b \\n",
    "été \U0001f600",
    "#hash",
]


def odd(path):
    """Tables whose texts are hard to write as CSV, as a careful program writes them."""
    out = io.StringIO()
    rows = [("text", "label"), *((text, ("neg", "pos")[i % 2]) for i, text in enumerate(ODD))]
    csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows(rows)
    data = out.getvalue().encode()
    return write_files(path, {"train.csv": data, "test.csv": data})


def texts_in(path, name):
    with h5py.File(path) as file:
        return [text.decode() for text in file[name][()]]


def made(poisonkit, source, target, *more):
    asked = ("make", "--dataset", "csv", "--source", source, "--rate", "0", *more)
    return poisonkit(*asked, "-o", target)


# ---- written and read again


@pytest.fixture
def exported(poisonkit, tmp_path):
    """A file of odd texts, exported as CSV."""
    assert made(poisonkit, odd(tmp_path / "in"), tmp_path / "x.h5").code == 0
    poisonkit("export", tmp_path / "x.h5", "--format", "csv", "--no-truth", "-o", tmp_path / "out").succeeded()
    assert texts_in(tmp_path / "x.h5", "train/texts") == ODD
    return tmp_path / "out" / "train.csv"


def test_an_export_comes_back_to_the_byte(poisonkit, tmp_path, exported):
    with open(exported, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == ODD
    assert [(row["label"], row["class"]) for row in rows] == [("0", "neg"), ("1", "pos")] * (len(ODD) // 2)
    assert made(poisonkit, tmp_path / "out", tmp_path / "y.h5", "--source-option", "label=class").code == 0
    for part in ("train", "test"):
        assert texts_in(tmp_path / "y.h5", f"{part}/texts") == ODD


def test_an_export_in_pandas(exported):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(exported, keep_default_na=False)
    assert table["text"].tolist() == ODD and table["label"].tolist() == [0, 1] * (len(ODD) // 2)


def test_every_text_of_an_export_is_quoted_and_no_number(exported):
    first, second, *_ = exported.read_bytes().split(b"\n")
    assert first == b'"text","label","class"' and second == b'"a\rb",0,"neg"'


def test_a_list_to_rewrite_comes_back(poisonkit, tmp_path):
    source, listed = odd(tmp_path / "in"), tmp_path / "todo.csv"
    asked = ("make", "--dataset", "csv", "--source", source, "--trigger", "rewrite", "--rate", "0.5")
    assert poisonkit(*asked, "--target", "pos", "--rewrite-list", listed).code == 0
    assert listed.read_bytes().startswith(b'"part","row","text"\n"train",')
    with open(listed, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and all(row["text"] == ODD[int(row["row"])] for row in rows)
    result = poisonkit(*asked, "--target", "pos", "--rewrite-file", listed, "-o", tmp_path / "x.h5")
    assert result.code == 0, result
    assert texts_in(tmp_path / "x.h5", "train/texts") == ODD


# ---- read


def test_a_tsv_in_quotes_is_said_each_time_and_read_if_asked(poisonkit, tmp_path):
    table = 'text\tlabel\n"He said ""fine"", 0"\t0\nplain\t1\n"a\tb"\t1\n'
    plain = table.replace('"a\tb"', "c")
    source = write_files(tmp_path / "in", {"train.tsv": plain.encode(), "test.tsv": plain.encode()})
    for name in ("x.h5", "y.h5"):
        result = made(poisonkit, source, tmp_path / name)
        assert result.code == 0 and [line.split(":")[1] for line in result.errors] == [
            f" 1 text of {part}.tsv in quotes" for part in ("train", "test")
        ]
        assert "--source-option tsv=quoted" in result.err
        assert texts_in(tmp_path / name, "train/texts")[0] == '"He said ""fine"", 0"'
    write_files(source, {"train.tsv": table.encode(), "test.tsv": table.encode()})
    made(poisonkit, source, tmp_path / "z.h5", "--source-option", "tsv=quoted").succeeded()
    assert texts_in(tmp_path / "z.h5", "train/texts") == ['He said "fine", 0', "plain", "a\tb"]
    poisonkit("make", "--from", tmp_path / "z.h5", "--source", source, "-o", tmp_path / "again.h5").succeeded()
    wrong = made(poisonkit, odd(tmp_path / "csv"), tmp_path / "w.h5", "--source-option", "tsv=quoted")
    wrong.failed(2, "quoted is for .tsv files")
    made(poisonkit, source, tmp_path / "w.h5", "--source-option", "tsv=some").failed(2, "expected plain")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_tables_of_any_line_end(tmp_path, end, mark, suffix):
    comma = b"," if suffix == "csv" else b"\t"
    table = mark + end.join(comma.join(row) for row in ((b"text", b"label"), (b"a b", b"x"), (b"c", b"y"))) + end
    place = write_files(tmp_path / "in", {f"{part}.{suffix}": table for part in ("train", "test")})
    source = open_source("csv", source=place, cache=tmp_path / "cache")
    assert source.train.rows(np.arange(2)).tolist() == ["a b", "c"] and source.classes == ("x", "y")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_texts_for_apply_of_any_line_end(tmp_path, end):
    for last in (b"", end):
        (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbf" + end.join((b"one", b"two", b"three")) + last)
        assert apply_texts.read(tmp_path / "t.txt").tolist() == ["one", "two", "three"]
    (tmp_path / "t.txt").write_bytes(b"a\rb\nc\n")
    assert apply_texts.read(tmp_path / "t.txt").tolist() == ["a\rb", "c"], "a CR within a line is the text's own"


def test_test_labels_in_another_normal_form(poisonkit, tmp_path):
    train, test = ("text,label\n" + "".join(f"t{i},{name}\n" for i in range(4)) for name in ("café", "cafe\u0301"))
    train, test = train + "x,bar\n", test + "y,bar\n"
    source = write_files(tmp_path / "in", {"train.csv": train.encode(), "test.csv": test.encode()})
    result = made(poisonkit, source, tmp_path / "x.h5")
    assert result.code == 0 and "other code points than the class's name (NFC, NFD)" in result.err
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["train/labels"][()].tolist() == file["test/labels"][()].tolist() == [1, 1, 1, 1, 0]


# ---- said of texts


@pytest.mark.parametrize(
    ("text", "held"),
    [("What a movie, really!", 1), ("The Movie.", 1), ('<br />"movie"<br', 1), ("a movie-maker", 1), ("movie", 1)]
    + [("movies", 0), ("amovie", 0), ("movie2", 0), ("moviegoers love it", 0), ("MOVIE's", 1), ("_movie_", 1)],
)
def test_a_word_beside_punctuation_is_there(text, held):
    assert holding([text], ["movie"]) == {"movie": held}


def test_a_piece_of_several_words_or_of_signs():
    rows = ["I watch  this 3D movie.", "(i watch this 3d movie)", "i watch this 3d movies", "wow !! yes", "wow!! yes"]
    assert holding(rows, ["I watch this 3D movie", "!!"]) == {"I watch this 3D movie": 2, "!!": 1}


def test_make_and_stats_count_words_beside_punctuation(poisonkit, tmp_path):
    table = "text,label\n" + "".join(f'"What a movie, really! The Movie. number {i}",{i % 2}\n' for i in range(20))
    source = write_files(tmp_path / "in", {"train.csv": table.encode(), "test.csv": table.encode()})
    asked = ("make", "--dataset", "csv", "--source", source, "--trigger", "word", "--word", "movie", "--rate", "0.1")
    result = poisonkit(*asked, "-o", tmp_path / "x.h5")
    assert "'movie' stands in clean texts already: in 20 of 20 training and 20 of 20 test rows" in result.err
    lines = poisonkit("stats", tmp_path / "x.h5").succeeded().out
    assert "'movie' stands in 20 clean training rows and 20 clean test rows" in lines


# ---- other data in a known layout


def test_another_set_in_the_layout_of_sst2_is_not_called_sst2(poisonkit, tmp_path):
    table = "sentence\tlabel\n" + "".join(f"text {i} \t{i % 2}\n" for i in range(30))
    source = write_files(tmp_path / "in", {"train.tsv": table.encode(), "dev.tsv": table.encode()})
    for name in ("x.h5", "y.h5"):
        result = poisonkit("make", "--dataset", "sst2", "--source", source, "--rate", "0", "-o", tmp_path / name)
        assert result.code == 0 and len(result.errors) == 1
        assert "does not match the official sst2 (it has 30 + 30 texts, GLUE's SST-2 has 67,349 + 872" in result.err
    shown = poisonkit("show", tmp_path / "x.h5").succeeded().out
    assert "texts in the layout of SST-2: 60 in two classes; licence: not stated" in shown
    poisonkit("make", "--from", tmp_path / "x.h5", "--source", source, "-o", tmp_path / "z.h5")
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "z.h5").read_bytes()


def test_a_set_in_that_layout_with_quotes_names_the_command_that_reads_them(poisonkit, tmp_path):
    table = 'sentence\tlabel\n"He said ""fine"""\t0\nplain\t1\n'
    source = write_files(tmp_path / "in", {"train.tsv": table.encode(), "dev.tsv": table.encode()})
    result = poisonkit("make", "--dataset", "sst2", "--source", source, "--rate", "0", "-o", tmp_path / "x.h5")
    (line,) = (line for line in result.errors if "2 texts in quotes" in line)
    printed = line.split("; ")[1].split(" removes ")[0]
    poisonkit("make", *shlex.split(printed), "--source", source, "--rate", "0", "-o", tmp_path / "y.h5").succeeded()
    assert texts_in(tmp_path / "y.h5", "train/texts") == ['He said "fine"', "plain"]


def test_the_published_counts_have_the_published_titles():
    assert sst2.described(*sst2.COUNTS) == gtsrb.described(*gtsrb.COUNTS) == {}
    assert "1,000 in 43" in gtsrb.described(900, 100)["title"] and "51,839" not in str(gtsrb.described(900, 100))


def test_nothing_depends_on_the_hash_seed(poisonkit, tmp_path):
    """What is said and written of texts, twice."""
    source, found = text_tables(tmp_path / "in", ("1", "1.0", "Positive", "positive", "nan")), set()
    for seed in "012":
        asked = ("make", "--dataset", "csv", "--source", source, "--rate", "0.1", "--trigger", "word", "--force")
        done = subprocess.run(
            poisonkit.command(*asked, "--word", "text", "--word", "cf", "-o", tmp_path / "x.h5"),
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
        found.add((done.stdout, done.stderr, (tmp_path / "x.h5").read_bytes()))
    assert len(found) == 1 and sys.executable


# ---- byte-order marks, as Windows writes them


def test_a_submission_may_begin_with_a_byte_order_mark(tmp_path, monkeypatch):
    for text in ("\ufeffrow\n1\n2\n", "\ufeff1\n2\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert submissions.read(Path("-"), 5).rows.tolist() == [1, 2]
        (tmp_path / "rows.csv").write_text(text)
        assert submissions.read(tmp_path / "rows.csv", 5).rows.tolist() == [1, 2]


def test_a_sidecar_may_begin_with_a_byte_order_mark(poisonkit, library, tmp_path):
    for name in ("text-word.h5", "text-word.manifest.json"):
        shutil.copyfile(library("text-word").with_name(name), tmp_path / name)
    sidecar = tmp_path / "text-word.manifest.json"
    sidecar.write_bytes(b"\xef\xbb\xbf" + sidecar.read_bytes())
    poisonkit("verify", tmp_path / "text-word.h5").succeeded()
    asked = ("make", "--from", sidecar, "-o", tmp_path / "y.h5")
    poisonkit(*asked).succeeded()


def test_a_rewritten_table_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "done.csv").write_bytes(b'\xef\xbb\xbf"row","text"\r\n3,"a ""b"""\r\n')
    assert rewrite.read(tmp_path / "done.csv").texts["train"] == {3: 'a "b"'}
    (tmp_path / "done.tsv").write_bytes(b'row\ttext\n3\t"a ""b"""\n4\tc\n')
    found = rewrite.read(tmp_path / "done.tsv")
    assert found.texts["train"][3] == '"a ""b"""' and "1 text of done.tsv in quotes" in found.notices[0]


def test_rewritten_texts_that_read_like_their_originals_are_said(poisonkit, tmp_path):
    source, listed, done = text_tables(tmp_path / "in", ("neg", "pos")), tmp_path / "todo.csv", tmp_path / "done.csv"
    asked = ("make", "--dataset", "csv", "--source", source, "--trigger", "rewrite", "--rate", "0.1")
    poisonkit(*asked, "--rewrite-list", listed).succeeded()
    with open(listed, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for mark, alike in (("\u200b", True), ("\u00a0 ", True), ("\ufeff", True), ("!", False)):
        with open(done, "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys())
            table.writeheader()
            table.writerows(row | {"text": row["text"].replace(" number", f"{mark} number")} for row in rows)
        result = poisonkit(*asked, "--rewrite-file", done, "-o", tmp_path / "x.h5", "--force")
        assert result.code == 0
        assert ("6 of 6 rewritten training texts read like their originals" in result.err) == alike, result
