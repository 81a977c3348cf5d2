"""Texts on full disks, in damaged caches, in processes of their own; and sources that give what is no text."""

import os
import resource
import signal
import time

import h5py
import numpy as np
import pytest
from running import TEXT_SMALL

from poisonkit.core import texts
from poisonkit.core.errors import Failure
from poisonkit.core.modality import TEXT
from poisonkit.format.manifest import Manifest
from poisonkit.format.records import Counts, Recipe, Source
from poisonkit.format.writer import writing
from poisonkit.sources import base
from poisonkit.sources._cache import cache, entry
from poisonkit.sources.opening import open_source

LARGE = ("--dataset", "phrases", "--trigger", "word", "--rate", "0.05")
FEW = {"train": 60, "test": 20}


# ---- writing


@pytest.mark.parametrize("limit", [0, 3000, 60_000, 400_000, 900_000])
def test_a_file_size_limit(poisonkit, tmp_path, limit):
    """libhdf5 reads back what it wrote of a heap: it must not crash where that went nowhere."""
    poisonkit("make", *LARGE, "--dry-run").succeeded()  # so that the source is cached

    def lower():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    result = poisonkit.spawn("make", *LARGE, "-o", tmp_path / "x.h5", preexec_fn=lower, env=environment)
    assert result.code == 1 and "Traceback" not in result.err, result
    assert result.errors[-1].startswith("poisonkit: ") and "File too large" in result.errors[-1], result
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_killed_while_writing(poisonkit, tmp_path, number):
    import subprocess
    import sys

    code = (
        "import sys, time\nfrom poisonkit.cli import main as cli\nfrom poisonkit.format import writer as store\n"
        "write = store.TextColumn.write\n"
        "def slow(self, block):\n    write(self, block)\n    print('here', flush=True)\n"
        "    for _ in range(600):\n        time.sleep(0.1)\n"
        "store.TextColumn.write = slow\nsys.argv[0] = 'poisonkit'\ncli.main()"
    )
    words = [sys.executable, "-c", code, "make", *TEXT_SMALL, "--rate", "0", "-o", tmp_path / "x.h5"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert not (tmp_path / "x.h5").exists() and b"Traceback" not in errors
    if number != signal.SIGKILL:
        assert process.returncode == 130 and errors.count(b"\n") == 1 and not list(tmp_path.iterdir())
    poisonkit("make", *TEXT_SMALL, "--rate", "0", "-o", tmp_path / "x.h5").succeeded()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.h5", "x.manifest.json"]


def test_the_same_bytes_in_any_process_with_any_threads(poisonkit, tmp_path):
    made = set()
    for name, threads, seed in (("a", 1, "0"), ("b", 2, "1"), ("c", 3, "77")):
        path = tmp_path / f"{name}.h5"
        environment = os.environ | {"PYTHONHASHSEED": seed}
        poisonkit.spawn("make", *LARGE, "--threads", str(threads), "-o", path, env=environment).succeeded()
        made.add(path.read_bytes())
    assert len(made) == 1


def test_many_texts_in_several_blocks_are_written_as_they_are(tmp_path):
    rows = texts.array(f"row {n} " + "ä" * (n % 300) + "." for n in range(5000))
    source = Source("x", "x", "x", "x", ("a", "b"))
    draft = Manifest.draft(
        modality=TEXT, name="x", recipe_version=1, source=source, recipe=Recipe("0"), counts=Counts(5, 5), pictures={}
    )
    for name, cuts in (("a.h5", [0, 5000]), ("b.h5", [0, 1, 2048, 2049, 5000])):
        with writing(tmp_path / name, sidecar=False) as writer:
            column = writer.column("x/texts", "text", (5000,))
            for start, stop in zip(cuts, cuts[1:], strict=False):
                column.write(rows[start:stop])
            writer.finish(draft)
        with h5py.File(tmp_path / name) as f:
            assert f["x/texts"].asstr()[:].tolist() == rows.tolist()


# ---- the cache


def few(folder, **more):
    return open_source("phrases", cache=folder, **({"options": FEW} | more))


DAMAGE = {
    "short texts": ("train_texts", lambda data: data[:-1]),
    "long texts": ("test_texts", lambda data: data + b"1"),
    "other texts": ("test_texts", lambda data: data[:-2] + b"xy"),
    "no UTF-8": ("train_texts", lambda data: b"\xff" + data[1:]),
    "short labels": ("train_labels", lambda data: data[:-8]),
    "other labels": ("test_labels", lambda data: bytes(len(data))),
    "short offsets": ("train_offsets", lambda data: data[:-8]),
    "odd offsets": ("train_offsets", lambda data: data[:-3]),
    "other offsets": ("test_offsets", lambda data: data[:8] + data[16:24] + data[16:]),
    "offsets that fall": ("test_offsets", lambda data: data[:8] + b"\xff" * 8 + data[16:]),
    "other shape": ("index.json", lambda data: data.replace(b"[60]", b"[61]")),
    "deep shape": ("index.json", lambda data: data.replace(b"[60]", b"[60,32,32,3]")),
    "no digest": ("index.json", lambda data: data.replace(b'"train/texts"', b'"train/words"')),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_entry_is_dropped_and_made_again(name, tmp_path):
    digest = few(tmp_path).digest
    file, change = DAMAGE[name]
    (path,) = (tmp_path / "entries").iterdir()
    before = (path / file).read_bytes()
    assert change(before) != before
    (path / file).write_bytes(change(before))
    lines = []
    assert few(tmp_path, say=lines.append).digest == digest
    assert len(lines) <= 1 and all("is damaged; it is removed and decoded again" in line for line in lines)
    assert (path / file).read_bytes() == before


def test_blocks_and_rows_are_the_same_texts(tmp_path):
    split = few(tmp_path).train
    whole = np.concatenate([block for _, block in split.blocks(7)])
    assert [start for start, _ in split.blocks(7)] == list(range(0, 60, 7)) and len(split) == 60
    index = np.array([59, 0, 3, 3])
    assert split.rows(index).tolist() == whole[index].tolist() and not len(split.rows([]))
    held = type(split).held(split.path, whole, split.labels)
    assert held.rows(index).tolist() == whole[index].tolist() and held.digest() == split.digest()


def test_the_cache_lists_texts(poisonkit, tmp_path):
    few(tmp_path)
    assert "phrases, test 20, train 60" in poisonkit("cache", "--cache", tmp_path).succeeded().out


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (" \t\n", "is empty"),
        ("a\0b", "has a NUL in it"),
        ("a\ud800", "has half of a surrogate pair"),
        ("x" * (texts.LARGEST + 1), "has 1,048,577 bytes, more than 1,048,576"),
    ],
)
def test_a_source_that_gives_what_is_no_text(tmp_path, row, words):
    writer = entry.Writer(tmp_path)
    with pytest.raises(Failure, match=f"train: row 1 {words}"):
        writer.texts("train", np.zeros(2, np.int64), ["fine", row])
    with pytest.raises(Failure, match=f"my.tsv, line 1 {words}"):
        writer.texts("train", np.zeros(2, np.int64), ["fine", row], where="my.tsv, line")


def test_texts_are_stripped_and_long_ones_are_fine(tmp_path):
    rows = [" a  b \n", "word " * 100_000, "tab\tand\x07bell", "é\u3000"]

    def decode(writer, context):
        for part in ("train", "test"):
            writer.texts(part, np.arange(4) % 2, rows)
        return {"kind": "made up", "official": None}

    store_ = cache.Cache(tmp_path).writable()
    source = store_.fill("phrases", base.Origin({"x": 1}, decode), base.SourceContext(1))
    assert source.train.rows([0, 1, 2, 3]).tolist() == [row.strip() for row in rows]
    assert source.modality.rows == "texts"
