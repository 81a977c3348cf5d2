"""The cache: found again at once, deleted at any time, filled by two at once, killed, full, not writable, damaged."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from source_fixtures import cifar_batches, cifar_files, record_of, small_cifar, write_files, write_tar

from poisonkit.core import progress, splits
from poisonkit.core.errors import Failure
from poisonkit.sources._cache import cache, entry
from poisonkit.sources.image import signs
from poisonkit.sources.opening import describe, open_source

__all__ = ["small_cifar"]
FEW = {"train": 60, "test": 20}


def few(folder, **more):
    return open_source("signs", cache=folder, **({"options": FEW} | more))


def files(folder) -> set[str]:
    return {os.path.relpath(path, folder) for path in folder.rglob("*") if path.is_file()}


def no_drawing(monkeypatch):
    def fail(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(signs, "draw", fail)


# ---- found again


def test_the_second_time_nothing_is_decoded(tmp_path, monkeypatch):
    first = few(tmp_path)
    no_drawing(monkeypatch)
    second = few(tmp_path)
    assert record_of(second) == record_of(first) and second.origin == first.origin
    assert (second.train.labels == first.train.labels).all()
    assert (second.test.rows(range(20)) == first.test.rows(range(20))).all()
    assert second.train.path.is_relative_to(tmp_path)


def test_an_open_source_is_what_its_digests_say(tmp_path):
    from poisonkit.core import hashing

    source = few(tmp_path)
    for part, split in (("train", source.train), ("test", source.test)):
        images = np.concatenate([block.copy() for _, block in split.blocks(13)])
        assert hashing.array_digest(images) == source.arrays[f"{part}/images"]
        assert hashing.array_digest(split.labels) == source.arrays[f"{part}/labels"]
    assert source.digest == hashing.digest(source.arrays)


def test_changed_files_are_decoded_again(tmp_path, small_cifar):
    path = write_files(tmp_path / "in", cifar_files(cifar_batches()))
    before = open_source("cifar10", source=path, cache=tmp_path / "cache")
    write_files(path, cifar_files(cifar_batches(seed=1)))
    after = open_source("cifar10", source=path, cache=tmp_path / "cache")
    assert after.digest != before.digest


def test_without_a_source_the_newest_copy_is_taken_an_official_one_first(tmp_path, small_cifar, monkeypatch):
    from poisonkit.sources.image import cifar10

    store, lines = tmp_path / "cache", []
    paths = [write_tar(tmp_path / f"{i}.tar", cifar_files(cifar_batches(seed=i)), "w") for i in range(3)]
    opened = [open_source("cifar10", source=path, cache=store) for path in paths]
    assert open_source("cifar10", cache=store, say=lines.append).digest == opened[2].digest
    assert lines[0] == f"the cache has 3 versions of cifar10; using the one from {paths[2]}"
    assert lines[1].startswith(f"warning: {paths[2]} does not match the official cifar10")

    hashes = cifar10.archive.file_hashes(paths[0])
    monkeypatch.setattr(cifar10, "ARCHIVES", (cifar10.archive.Archive("a", "", None, hashes["md5"]),))
    cache.discard(opened[0])
    open_source("cifar10", source=paths[0], cache=store)
    open_source("cifar10", source=paths[1], cache=store)
    assert open_source("cifar10", cache=store).origin["official"] is True
    assert next(one for one in describe(store) if one["name"] == "cifar10")["official"] is True


def test_the_same_content_from_two_origins_is_kept_once(tmp_path, small_cifar):
    contents = cifar_files(cifar_batches())
    for path in (write_files(tmp_path / "in", contents), write_tar(tmp_path / "a.tar", contents, "w")):
        open_source("cifar10", source=path, cache=tmp_path / "cache")
    (found,) = cache.Cache(tmp_path / "cache").entries()
    assert len(found["origins"]) == 2 and found["name"] == "cifar10" and found["size"] > 6 * 20 * 3072


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("POISONKIT_CACHE", "/env")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert str(cache.folder(tmp_path)) == str(tmp_path)
    assert str(cache.folder()) == "/env"
    monkeypatch.delenv("POISONKIT_CACHE")
    assert str(cache.folder()) == "/xdg/poisonkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(cache.folder()) == "/home/me/.cache/poisonkit"
    assert str(cache.folder("~/x")) == "/home/me/x"
    assert cache.folder("~nobody-of-that-name").name == "~nobody-of-that-name"


@pytest.mark.parametrize("home", ("", None))
def test_an_empty_home_is_none(monkeypatch, home):
    import pwd

    for name in ("POISONKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HOME", raising=False) if home is None else monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd(("me", "x", 1, 1, "", "/home/me", "/bin/sh")))
    assert str(cache.folder()) == "/home/me/.cache/poisonkit"
    monkeypatch.setenv("POISONKIT_CACHE", "~/c")
    assert str(cache.folder()) == "/home/me/c" and str(cache.folder("/c")) == "/c"

    def unknown(_):
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(Failure, match="no home folder is known"):
        cache.folder()
    monkeypatch.delenv("POISONKIT_CACHE")
    with pytest.raises(Failure, match="no home folder is known .*: choose a cache with --cache or POISONKIT_CACHE"):
        cache.folder()
    assert str(cache.folder("/c")) == "/c"


# ---- deleted, cleared, damaged


def test_deleted_at_any_time(tmp_path):
    source = few(tmp_path)
    cache.discard(source)
    assert few(tmp_path).digest == source.digest
    assert cache.Cache(tmp_path).clear() > 60 * 3072
    assert files(tmp_path) == set()
    with pytest.raises(Failure, match="the cache was cleared meanwhile; start again"):
        next(source.train.blocks())
    assert few(tmp_path).digest == source.digest
    assert cache.Cache(tmp_path / "nowhere").clear() == 0


def test_clear_touches_no_folder_of_somebody_else(tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "thesis.pdf").write_text("years of work")
    (tmp_path / "photo.jpg").write_text("dear")
    with pytest.raises(Failure, match="is not a poisonkit cache: nothing was removed"):
        cache.Cache(tmp_path).clear()
    with pytest.raises(Failure, match="contains other files"):
        few(tmp_path)
    assert files(tmp_path) == {"photo.jpg", "downloads/thesis.pdf"}


def test_deleted_between_the_index_and_the_images(tmp_path, monkeypatch):
    """Whatever file goes first, and whenever: decoded again."""
    digest = few(tmp_path).digest
    for name in ("train_images", "test_images", "train_labels", "test_labels", "index.json"):
        (next((tmp_path / "entries").iterdir()) / name).unlink()
        assert few(tmp_path).digest == digest
        assert len(list((tmp_path / "entries").iterdir())) == 1

    read = entry.read_index

    def read_then_delete(path):
        index = read(path)
        monkeypatch.setattr(entry, "read_index", read)
        cache._remove(path)
        return index

    monkeypatch.setattr(entry, "read_index", read_then_delete)
    assert few(tmp_path).digest == digest


def test_cleared_while_decoding_is_one_line(tmp_path, monkeypatch):
    draw = signs.draw

    def draw_then_clear(*given):
        yield from draw(*given)
        cache.Cache(tmp_path).clear()

    monkeypatch.setattr(signs, "draw", draw_then_clear)
    with pytest.raises(Failure, match="was cleared while signs was decoded: start again"):
        few(tmp_path)


DAMAGE = {
    "short images": ("train_images", lambda data: data[:-1]),
    "long images": ("test_images", lambda data: data + b"1"),
    "short labels": ("train_labels", lambda data: data[:-8]),
    "odd labels": ("train_labels", lambda data: data[:-3]),
    "other labels": ("test_labels", lambda data: bytes(len(data))),
    "empty index": ("index.json", lambda data: b""),
    "no index": ("index.json", lambda data: b"[1]"),
    "other version": ("index.json", lambda data: data.replace(b'"version":1', b'"version":2')),
    "no shapes": ("index.json", lambda data: data.replace(b'"shapes"', b'"shape"')),
    "odd shapes": ("index.json", lambda data: data.replace(b"[60,32,32,3]", b'"x"')),
    "deep shapes": ("index.json", lambda data: data.replace(b"[60,32,32,3]", b"[[60],32,32,3]")),
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
    assert len(lines) == 1 and "is damaged; it is removed and decoded again" in lines[0]
    assert (path / file).read_bytes() == before
    assert not list((tmp_path / "partial").iterdir())


@pytest.mark.parametrize("content", (b"", b"{}", b"[]", b'{"entry":"../../x"}', b"\xff"))
def test_a_damaged_origin_is_made_again(content, tmp_path):
    digest = few(tmp_path).digest
    (path,) = (tmp_path / "origins").iterdir()
    record = json.loads(path.read_bytes())
    for bad in (content, json.dumps(record | {"entry": "../x"}).encode(), json.dumps(record | {"time": "x"}).encode()):
        path.write_bytes(bad)
        assert few(tmp_path).digest == digest
        assert json.loads(path.read_bytes())["entry"] == record["entry"]


def test_changed_bytes_of_the_right_size_are_for_the_reader_to_find_and_discard(tmp_path):
    source = few(tmp_path)
    with open(source.train.path, "r+b") as file:
        file.write(b"\0\1\2")
    assert few(tmp_path).digest == source.digest, "not noticed without reading them all"
    cache.discard(source)
    again = few(tmp_path)
    assert again.digest == source.digest and again.train.rows([0])[0].tobytes()[:3] != b"\0\1\2"


# ---- the disk


def full(number=errno.ENOSPC):
    def write(*_, **__):
        raise OSError(number, os.strerror(number))

    return write


@pytest.mark.parametrize("where", ("images", "labels", "index", "folder"))
def test_a_full_disk_is_one_line_and_leaves_nothing(where, tmp_path, monkeypatch):
    few(tmp_path, options=FEW | {"seed": 9})
    before = files(tmp_path)
    if where == "images":
        monkeypatch.setattr(entry.Part, "write", full())
    elif where == "labels":
        monkeypatch.setattr("pathlib.Path.write_bytes", full())
    elif where == "index":
        monkeypatch.setattr(entry.hashing, "canonical", full(errno.EDQUOT))
        monkeypatch.setattr(cache.Cache, "_origin_path", lambda *_: tmp_path / "none")
    else:
        monkeypatch.setattr("pathlib.Path.mkdir", full())
    with pytest.raises(Failure, match="disk full while filling the cache") as caught:
        few(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    assert files(tmp_path) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_really_full_device(tmp_path, monkeypatch):
    def enter(part):
        part._file = open("/dev/full", "wb", 0)  # noqa: SIM115
        return part

    monkeypatch.setattr(entry.Part, "__enter__", enter)
    with pytest.raises(Failure, match="disk full"):
        few(tmp_path)


def test_an_unwritable_cache_gives_way_to_a_temporary_folder(tmp_path, monkeypatch):
    lines = []
    (tmp_path / "file").write_text("no folder")
    source = few(tmp_path / "file", say=lines.append)
    assert len(lines) == 1 and "cannot be written" in lines[0] and "temporary folder" in lines[0]
    assert not source.train.path.is_relative_to(tmp_path) and len(next(source.test.blocks())[1]) == 20

    writable = [False, True]
    monkeypatch.setattr(os, "access", lambda *_: writable.pop(0))
    assert few(tmp_path / "read-only", say=lines.append).digest == source.digest and len(lines) == 2


def test_a_cache_without_permission(tmp_path):
    few(tmp_path)
    for path in (tmp_path, *(tmp_path / name for name in cache.FOLDERS)):
        path.chmod(0o500)
    lines = []
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("whoever runs this may write everywhere")
        few(tmp_path, say=lines.append)
        assert not lines, "what is there can be read"
        few(tmp_path, options=FEW | {"seed": 3}, say=lines.append)
        assert len(lines) == 1 and "Permission denied" in lines[0]
    finally:
        for path in (tmp_path, *(tmp_path / name for name in cache.FOLDERS)):
            path.chmod(0o700)


def test_an_error_while_decoding_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(signs, "draw", lambda *_: iter([(0, np.zeros((60, 32, 32, 3), "u1")), (60, None)]))
    with pytest.raises(ValueError, match="rows 60 and on"):
        few(tmp_path)
    assert files(tmp_path) == {cache.TAG_NAME}


# ---- several processes

OPEN = """
import sys
from pathlib import Path
from poisonkit.sources.image import signs
from poisonkit.sources.opening import open_source
print("ready", flush=True)
sys.stdin.readline()
source = open_source("signs", cache=Path(sys.argv[1]), options={"train": int(sys.argv[2]), "test": 20})
print(source.digest, flush=True)
"""


def start(folder, code: str = OPEN, count: int = 300) -> subprocess.Popen:
    arguments = [sys.executable, "-c", code, os.fspath(folder), str(count)]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_processes_fill_the_cache_at_once(tmp_path):
    both = [start(tmp_path) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    digests = [process.communicate()[0].strip() for process in both]
    assert digests[0] == digests[1] == few(tmp_path, options={"train": 300, "test": 20}).digest
    assert len(list((tmp_path / "entries").iterdir())) == len(list((tmp_path / "origins").iterdir())) == 1
    assert not list((tmp_path / "partial").iterdir())


SLOW = OPEN.replace(
    'print("ready", flush=True)\nsys.stdin.readline()\n',
    """import time
draw = signs.draw
def slowly(*given):
    for block in draw(*given):
        yield block
        print("drawing", flush=True)
        time.sleep(60)
signs.draw = slowly
""",
)


def test_what_a_killed_process_left_is_cleaned_up_but_not_what_a_live_one_writes(tmp_path):
    killed, alive = start(tmp_path, SLOW), start(tmp_path, SLOW)
    try:
        assert killed.stdout.readline() == alive.stdout.readline() == "drawing\n"
        assert len([path for path in (tmp_path / "partial").iterdir() if path.is_dir()]) == 2
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert not list((tmp_path / "entries").iterdir()), "nothing half-written under a final name"
        (tmp_path / "partial" / "left-behind").mkdir()
        few(tmp_path)
        assert [path.name.split("-")[0] for path in (tmp_path / "partial").iterdir()] == [str(alive.pid)] * 2
    finally:
        for process in (killed, alive):
            process.kill()
            process.communicate()
    few(tmp_path, options=FEW | {"seed": 1})
    assert not list((tmp_path / "partial").iterdir())


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path):
    """Whenever the process dies, the next one finds either nothing or everything."""
    expected = few(tmp_path / "other", options={"train": 300, "test": 20}).digest
    for wait in np.linspace(0, 0.4, 12):
        process = start(tmp_path / "cache")
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(wait)
        process.kill()
        process.communicate()
        for found in (tmp_path / "cache").glob("entries/*"):
            assert entry.load(found, {}).digest == expected
    assert few(tmp_path / "cache", options={"train": 300, "test": 20}).digest == expected


# ---- reading


def test_blocks_and_rows(tmp_path):
    source = few(tmp_path)
    blocks = [(start, block.shape[0]) for start, block in source.train.blocks(25)]
    assert blocks == [(0, 25), (25, 25), (50, 10)] and len(source.train) == 60
    images = np.concatenate([block.copy() for _, block in source.train.blocks()])
    assert (source.train.rows([59, 0, 59]) == images[[59, 0, 59]]).all()
    assert source.train.rows([]).shape == (0, 32, 32, 3)
    short = splits.Split(source.train.path, 5, source.train.shape, source.train.labels)
    with pytest.raises(Failure, match="is shorter than its index says"):
        list(short.blocks())


def test_progress_and_notices(tmp_path):
    made = []

    class Bar(progress.NullProgress):
        def __init__(self, total, label, unit):
            self.total, self.label, self.unit, self.done = total, label, unit, 0
            made.append(self)

        def update(self, count=1):
            self.done += count

    few(tmp_path, progress=Bar)
    assert [(bar.total, bar.done, bar.label, bar.unit) for bar in made] == [(80, 80, "drawing signs", "image")]


def test_a_path_that_is_no_utf_8(tmp_path, small_cifar):
    path = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        write_files(path, cifar_files(cifar_batches()))
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    source = open_source("cifar10", source=path, cache=tmp_path / "cache")
    assert open_source("cifar10", source=path, cache=tmp_path / "cache").origin == source.origin
    json.dumps(source.origin).encode()


@pytest.mark.slow
def test_memory_stays_below_the_data(tmp_path):
    """CIFAR-10 in full size, written and read: less memory than half of its 184 MB on top of what NumPy needs."""
    code = """
import sys
from pathlib import Path
import numpy as np
from poisonkit.sources.image import cifar10
from poisonkit.sources.opening import open_source
def peak():  # not ru_maxrss, which begins with that of the process that forked
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
folder = Path(sys.argv[1])
(folder / "in").mkdir()
for name in cifar10.BATCHES:
    (folder / "in" / f"{name}.bin").write_bytes(bytes(30_730_000))
before = peak()
open_source("cifar10", source=folder / "in", cache=folder / "cache")
print((peak() - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code, os.fspath(tmp_path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1.5 * 184
