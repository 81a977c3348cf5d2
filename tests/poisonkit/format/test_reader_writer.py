"""Writing atomically, and what the disk or the user says meanwhile."""

import os
import signal
import threading

import h5py
import numpy as np
import pytest

from poisonkit.core import files
from poisonkit.core.errors import Failure
from poisonkit.core.modality import IMAGE
from poisonkit.format import sidecars
from poisonkit.format import writer as writer_module
from poisonkit.format.manifest import Manifest
from poisonkit.format.records import Counts, Recipe, Source
from poisonkit.format.writer import ErrorLatchingFile, writing

DRAFT = Manifest.draft(
    modality=IMAGE, name="x", recipe_version=1, source=Source("x", "x", "x", "x", ("a", "b")), recipe=Recipe("0"),
    counts=Counts(5, 5), pictures={},
)  # fmt: skip


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    target = tmp_path / "x"
    target.write_text("old")
    with files.atomic_write(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old" and temporary.parent == tmp_path
    assert target.read_text() == "new" and names(tmp_path) == ["x"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, OSError])
def test_an_error_leaves_the_old_file(tmp_path, error):
    (tmp_path / "x").write_text("old")
    with pytest.raises(error), files.atomic_write(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise error
    assert (tmp_path / "x").read_text() == "old" and names(tmp_path) == ["x"]


def test_what_speaks_of_the_old_file_goes_with_it(tmp_path):
    (tmp_path / "x.h5").write_text("old")
    (tmp_path / "x.manifest.json").write_text("{}")
    with pytest.raises(RuntimeError), files.atomic_write(tmp_path / "x.h5", tmp_path / "x.manifest.json"):
        raise RuntimeError
    assert names(tmp_path) == ["x.h5", "x.manifest.json"]
    with files.atomic_write(tmp_path / "x.h5", tmp_path / "x.manifest.json") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["x.h5"]


def write(target, before_finish=lambda: None):
    with writing(target) as writer:
        column = writer.column("a/b", "<i8", (1000,))
        for start in range(0, 1000, 300):
            column.write(np.arange(start, min(start + 300, 1000)))
        writer.whole("c", np.eye(3))
        before_finish()
        return writer.finish(DRAFT).json


def test_columns_are_written_block_by_block(tmp_path):
    facts = write(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as f:
        assert np.array_equal(f["a/b"], np.arange(1000)) and np.array_equal(f["c"], np.eye(3))
    assert facts["arrays"]["a/b"]["shape"] == [1000] and facts["arrays"]["c"]["dtype"] == "<f8"
    assert names(tmp_path) == ["x.h5"]


@pytest.mark.parametrize("old", [False, True])
def test_the_digest_that_is_taken_while_a_file_gets_its_name_is_that_of_the_file(tmp_path, old):
    target = tmp_path / "x.h5"
    if old:
        target.write_bytes(b"old" * 1000)
    with writing(target) as writer:
        writer.whole("c", np.arange(1 << 20))
        writer.finish(DRAFT)
    assert writer.written == sidecars.record_of(target) and writer.written.size > 8 << 20


def test_a_column_that_is_not_full_is_a_bug_and_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="0 of 5 rows written"), writing(tmp_path / "x.h5") as writer:
        writer.column("a", "|u1", (5,))
        writer.finish(DRAFT)
    assert not names(tmp_path)


class Failing:
    """The n-th call of write raises."""

    def __init__(self, disk, calls):
        self.write, self.calls = disk.write, calls

    def __call__(self, data):
        self.calls -= 1
        if self.calls < 0:
            raise OSError(28, "No space left on device")
        return self.write(data)


@pytest.mark.parametrize("calls", range(12))
def test_a_disk_that_fails_at_any_write(tmp_path, monkeypatch, calls):
    """libhdf5 must never hear of it: it would crash when the process ends."""
    opened = ErrorLatchingFile.__init__

    def failing(self, path, *more):
        opened(self, path)
        raw = self._file

        class File:
            def __getattr__(self, name):
                return getattr(raw, name)

            write = staticmethod(Failing(raw, calls))

        self._file = File()

    monkeypatch.setattr(ErrorLatchingFile, "__init__", failing)
    with pytest.raises(Failure, match="x.h5: could not be written: No space left on device"):
        write(tmp_path / "x.h5")
    assert not names(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_hdf5_is_at_work_is_held_back(tmp_path, monkeypatch, number):
    """It comes in the middle of a write of libhdf5's own, and is heard after it."""
    before = {one: signal.signal(one, signal.default_int_handler) for one in (signal.SIGINT, signal.SIGTERM)}
    real, sent = ErrorLatchingFile.write, []

    def write_and_send(self, data):
        if not sent:
            sent.append(os.kill(os.getpid(), number))
        real(self, data)

    monkeypatch.setattr(ErrorLatchingFile, "write", write_and_send)
    try:
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "x.h5")
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert sent and not names(tmp_path)


@pytest.mark.parametrize("when", ["opened", "closing"])
def test_an_interrupt_beside_hdf5_leaves_no_file_open(tmp_path, monkeypatch, when):
    """Such a file would be closed by the interpreter's end, in the middle of an exception, and say so."""
    opened, create, held_back = [], h5py.File, writer_module.defer_signals

    def creating(*arguments):
        opened.append(create(*arguments))
        if when == "opened":
            signal.raise_signal(signal.SIGINT)
        return opened[-1]

    def interrupted():
        monkeypatch.setattr(writer_module, "defer_signals", held_back)
        raise KeyboardInterrupt

    monkeypatch.setattr(h5py, "File", creating)
    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "x.h5") as writer:
        writer.whole("a", np.arange(3))
        monkeypatch.setattr(writer_module, "defer_signals", interrupted)
    assert len(opened) == 1 and not opened[0], "closed"
    assert list(tmp_path.iterdir()) == []


def test_writing_on_another_thread(tmp_path):
    """(Signals belong to the main thread.)"""
    thread = threading.Thread(target=write, args=(tmp_path / "x.h5",))
    thread.start()
    thread.join()
    assert names(tmp_path) == ["x.h5"]
    write(tmp_path / "y.h5")
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "y.h5").read_bytes()


def test_the_sidecar_lies_beside_its_file(tmp_path):
    assert sidecars.sidecar_path(tmp_path / "a.b.h5") == tmp_path / "a.b.manifest.json"


def test_reasons_are_the_systems_own_words():
    assert files.reason(OSError(28, "x")) == "No space left on device"
    buried = OSError(
        "Can't write data (file write failed: time = x\n, errno = 28, error message = 'No space', buf = 1)"
    )
    assert files.reason(buried) == "No space left on device"
    assert files.reason(OSError("something else\nand more")) == "something else"
