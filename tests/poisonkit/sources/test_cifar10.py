"""CIFAR-10: every version and layout gives the same arrays, and what is wrong is said in one line."""

import io
import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_fixtures import ROWS, cifar_batches, cifar_files, record_of, small_cifar, write_files, write_tar

from poisonkit.core.errors import Failure
from poisonkit.sources._fetch import plain_pickle
from poisonkit.sources.image import cifar10
from poisonkit.sources.opening import open_source

__all__ = ["small_cifar"]
pytestmark = pytest.mark.usefixtures("small_cifar")


def opened(path, tmp_path, **more):
    return open_source("cifar10", source=path, cache=tmp_path / "cache", **more)


def test_arrays_are_those_of_the_batches_in_the_files_order(tmp_path):
    batches = cifar_batches()
    source = opened(write_files(tmp_path / "in", cifar_files(batches)), tmp_path)
    planes = np.concatenate([batches[name][1] for name in cifar10.BATCHES[:5]])
    labels = np.concatenate([batches[name][0] for name in cifar10.BATCHES[:5]])
    images = np.concatenate([block.copy() for _, block in source.train.blocks(7)])
    assert source.train.shape == (5 * ROWS, 32, 32, 3) and source.test.shape == (ROWS, 32, 32, 3)
    assert (images == planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)).all()
    assert source.train.labels.dtype == "<i8" and (source.train.labels == labels).all()
    assert (source.test.labels == batches["test_batch"][0]).all()
    assert (source.test.rows([3, 0])[:, 31, 0, 2] == batches["test_batch"][1][[3, 0], 2048 + 31 * 32]).all()
    assert images.flags.c_contiguous and images.dtype == np.uint8


def test_every_version_and_layout_gives_the_same_digests(tmp_path):
    batches = cifar_batches()
    binary, python = cifar_files(batches), cifar_files(batches, "python")
    backwards = dict(reversed(binary.items()))
    paths = [
        write_files(tmp_path / "binary", binary),
        tmp_path / "binary" / "cifar-10-batches-bin",
        write_files(tmp_path / "python", python),
        tmp_path / "python" / "cifar-10-batches-py",
        write_tar(tmp_path / "cifar-10-binary.tar.gz", binary),
        write_tar(tmp_path / "cifar-10-python.tar.gz", python),
        write_tar(tmp_path / "backwards.tar.xz", backwards, "w:xz"),
        write_tar(tmp_path / "plain.tar", {f"some/where/{name}": data for name, data in binary.items()}, "w"),
    ]
    (tmp_path / "folder").mkdir()
    os.link(paths[4], tmp_path / "folder" / "cifar-10-binary.tar.gz")
    sources = [opened(path, tmp_path / str(i)) for i, path in enumerate([*paths, tmp_path / "folder"])]
    assert len({source.digest for source in sources}) == 1
    assert len({str(record_of(source)) for source in sources}) == 1


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("fortran", (False, True))
def test_pickles_of_every_protocol_are_read(protocol, fortran):
    labels, rows = cifar_batches()["data_batch_1"]
    data = np.asfortranarray(rows) if fortran else rows
    for keys in ((b"labels", b"data"), ("labels", "data")):
        batch = pickle.dumps({keys[0]: labels.tolist(), keys[1]: data, "filenames": ["a"] * ROWS}, protocol=protocol)
        got_labels, images = cifar10.parse_pickle(batch, "here")
        assert (got_labels == labels).all()
        assert (images == rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)).all()


def test_a_pickle_as_python_2_wrote_it_is_read():
    """The official files: strings of Python 2, an array with its dtype as such a string."""
    labels, rows = cifar_batches()["data_batch_1"]
    out = io.BytesIO()
    out.write(b"(dp1\nS'labels'\np2\n(lp3\n" + b"".join(b"I%d\na" % label for label in labels) + b"sS'data'\np4\n")
    out.write(b"cnumpy.core.multiarray\n_reconstruct\np5\n(cnumpy\nndarray\np6\n(I0\ntS'b'\ntRp7\n(I1\n")
    out.write(b"(I%d\nI3072\ntcnumpy\ndtype\np8\n(S'u1'\nI0\nI1\ntRp9\n(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n" % ROWS)
    out.write(b"T" + len(rows.tobytes()).to_bytes(4, "little") + rows.tobytes() + b"tbs.")
    got_labels, images = cifar10.parse_pickle(out.getvalue(), "here")
    assert (got_labels == labels).all() and (images[:, 0, :, 0] == rows[:, :32]).all()


class Evil:
    """A pickle that runs a command where it is read naively."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


HOSTILE = {
    "command": pickle.dumps({"data": Evil()}),
    "eval": b'c__builtin__\neval\n(S\'open("pwned", "w")\'\ntR.',
    "getattr": pickle.dumps(getattr),
    "numpy": b"cnumpy\nload\n(S'pwned'\ntR.",
    "persistent": b"P1\n.",
    "object array": pickle.dumps({"data": np.array([Evil()], object), "labels": []}, protocol=4),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_wants_more_than_arrays_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = cifar_files(cifar_batches(), "python")
    files["cifar-10-batches-py/data_batch_2"] = HOSTILE[name]
    for path in (write_files(tmp_path / "in", files), write_tar(tmp_path / "a.tar.gz", files)):
        with pytest.raises(Failure, match="data_batch_2.* refused, this pickle") as caught:
            opened(path, tmp_path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "pwned").exists()


def test_a_pickle_cannot_change_how_the_next_one_is_read():
    """BUILD sets attributes on whatever lies on the stack, the stand-ins too: each pickle has its own."""
    for target in ("numpy\nndarray", "numpy\ndtype", "_codecs\nencode", "numpy.core.multiarray\n_reconstruct"):
        with pytest.raises(Failure):
            hostile = f"c{target}\n(N}}V__call__\nI5\nsV__setstate__\nI5\nsV__defaults__\nNstb0cos\nsystem\n."
            plain_pickle.load(hostile.encode(), "here")
    good = pickle.dumps({"a": np.arange(3), "b": b"x"}, protocol=2)
    assert plain_pickle.load(good, "here")["a"].tolist() == [0, 1, 2]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_pickle_is_an_array_or_one_line(data):
    good = pickle.dumps(
        {"labels": [1] * ROWS, "data": np.zeros((ROWS, 3072), "u1")}, protocol=data.draw(st.sampled_from((0, 2, 4)))
    )
    if data.draw(st.booleans()):
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    else:
        at = data.draw(st.integers(0, 400))
        bad = good[:at] + data.draw(st.binary(min_size=1, max_size=8)) + good[at + 1 :]
    try:
        labels, images = cifar10.parse_pickle(bad, "here")
    except Failure as error:
        assert str(error).startswith("here") and "\n" not in str(error)
    else:
        assert images.shape == (ROWS, 32, 32, 3) and images.dtype == np.uint8 and max(labels) < 10


def replaced(name: str, data: bytes, version: str = "binary") -> dict[str, bytes]:
    files = cifar_files(cifar_batches(), version)
    folder = "cifar-10-batches-bin" if version == "binary" else "cifar-10-batches-py"
    assert f"{folder}/{name}" in files
    return files | {f"{folder}/{name}": data}


def batch(**changes) -> bytes:
    labels, rows = cifar_batches()["data_batch_3"]
    return pickle.dumps({"labels": labels.tolist(), "data": rows} | changes)


BROKEN = {
    "truncated": (
        replaced("data_batch_2.bin", bytes(100)),
        "data_batch_2.bin: expected 20 rows of 3073 bytes, got 100",
    ),
    "empty": (replaced("test_batch.bin", b""), "test_batch.bin: expected 20 rows of 3073 bytes, got 0"),
    "label": (replaced("data_batch_5.bin", b"\x0a" * ROWS * 3073), "data_batch_5.bin: label 10 is out of range"),
    "not a pickle": (replaced("data_batch_3", b"hello", "python"), "data_batch_3 is a truncated or damaged pickle"),
    "no dictionary": (replaced("data_batch_3", pickle.dumps([1]), "python"), "expected a dictionary"),
    "no data": (replaced("data_batch_3", batch(data=None), "python"), "got NoneType"),
    "few rows": (replaced("data_batch_3", batch(data=np.zeros((3, 3072), "u1")), "python"), r"got \(3, 3072\) uint8"),
    "wide data": (replaced("data_batch_3", batch(data=np.zeros((ROWS, 3072), "i4")), "python"), "int32"),
    "floats": (replaced("data_batch_3", batch(data=np.zeros((ROWS, 3072))), "python"), "damaged pickle"),
    "few labels": (replaced("data_batch_3", batch(labels=[1]), "python"), "expected labels to be a list of 20"),
    "text labels": (replaced("data_batch_3", batch(labels=["1"] * ROWS), "python"), "expected labels"),
    "high label": (replaced("data_batch_3", batch(labels=[10**30] * ROWS), "python"), "out of range"),
    "negative": (replaced("data_batch_3", batch(labels=[-1] * ROWS), "python"), "label -1 is out of range"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_batches_are_one_line(name, tmp_path):
    files, message = BROKEN[name]
    for path in (write_files(tmp_path / "in", files), write_tar(tmp_path / "a.tar", files, "w")):
        with pytest.raises(Failure, match=message) as caught:
            opened(path, tmp_path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert not list((tmp_path / "cache" / "entries").iterdir())
    assert not list((tmp_path / "cache" / "partial").iterdir())


def test_what_is_missing_or_twice_is_named(tmp_path):
    files = cifar_files(cifar_batches())
    del files["cifar-10-batches-bin/data_batch_4.bin"]
    for path in (write_files(tmp_path / "in", files), write_tar(tmp_path / "a.tar", files, "w")):
        with pytest.raises(Failure, match="data_batch_4.* is missing"):
            opened(path, tmp_path)
    twice = cifar_files(cifar_batches())
    twice |= {f"again/{name}": data for name, data in twice.items()}
    with pytest.raises(Failure, match="data_batch_1.bin occurs twice"):
        opened(write_tar(tmp_path / "b.tar", twice, "w"), tmp_path)


@pytest.mark.parametrize("name", ("nowhere", "empty folder", "other files"))
def test_a_path_without_batches_is_one_line(name, tmp_path):
    if name != "nowhere":
        (tmp_path / name).mkdir()
    if name == "other files":
        write_files(tmp_path / name, {"train.bin": b"CIFAR-100"})
        with pytest.raises(Failure, match="holds no CIFAR-10 batches"):
            opened(write_tar(tmp_path / "a.tar", {"cifar-100/train.bin": b"1"}), tmp_path)
    with pytest.raises(Failure, match="expected"):
        opened(tmp_path / name, tmp_path)


def test_a_local_archive_with_another_hash_is_used_with_one_warning(tmp_path, monkeypatch):
    path = write_tar(tmp_path / "cifar-10-binary.tar.gz", cifar_files(cifar_batches()))
    lines = []
    source = opened(path, tmp_path, say=lines.append)
    assert source.origin["official"] is False and source.origin["sha256"].startswith("sha256:")
    assert len(lines) == 1 and lines[0].startswith("warning: ") and "does not match the official" in lines[0]
    again = opened(path, tmp_path, say=lines.append)
    assert again.origin == source.origin and lines[1:] == lines[:1]

    hashes = cifar10.archive.file_hashes(path)
    known = cifar10.archive.Archive(path.name, "", None, hashes["md5"], hashes["sha256"])
    monkeypatch.setattr(cifar10, "ARCHIVES", (known,))
    assert opened(path, tmp_path / "other", say=lines.append).origin["official"] is True
    assert len(lines) == 2


def test_a_folder_of_the_python_version_is_checked_by_its_files(tmp_path, monkeypatch):
    batches = cifar_batches()
    lines = []
    python = write_files(tmp_path / "python", cifar_files(batches, "python"))
    assert opened(python, tmp_path / "a", say=lines.append).origin["official"] is False and len(lines) == 1
    md5 = {
        name: cifar10.hashlib.md5((python / "cifar-10-batches-py" / name).read_bytes()).hexdigest() for name in batches
    }
    monkeypatch.setattr(cifar10, "BATCH_MD5", md5)
    assert opened(python, tmp_path / "b", say=lines.append).origin["official"] is True
    binary = write_files(tmp_path / "binary", cifar_files(batches))
    assert opened(binary, tmp_path / "c", say=lines.append).origin["official"] is None
    assert len(lines) == 1
