"""Files that are no HDF5, cut off, or built otherwise than the format says."""

import faulthandler
import os
import subprocess
import sys
import time

import damage
import h5py
import numpy as np
import pytest

COMMANDS = ("show", "verify", "preview", "diff", "apply")


@pytest.fixture
def picture(poisonkit, library, tmp_path):
    path = tmp_path / "picture.png"
    poisonkit("preview", library("clean"), "-o", path).succeeded()
    return path


def arguments(command, path, picture, tmp_path):
    return {
        "show": ("show", path),
        "verify": ("verify", path),
        "preview": ("preview", path, "-o", tmp_path / "out.png"),
        "diff": ("diff", path, path),
        "apply": ("apply", path, picture, "-o", tmp_path / "out.png"),
    }[command]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_what_is_no_file_of_ours(poisonkit, picture, tmp_path, command):
    def refused(path, *words):
        poisonkit(*arguments(command, path, picture, tmp_path)).failed(1, str(path), *words)
        assert not (tmp_path / "out.png").exists()

    refused(tmp_path / "missing.h5", "no such file")
    refused(tmp_path, "is not a regular file")
    (tmp_path / "empty.h5").touch()
    refused(tmp_path / "empty.h5", "is not an HDF5 file")
    (tmp_path / "text.h5").write_text("hello\n" * 1000)
    refused(tmp_path / "text.h5", "is not an HDF5 file")
    with h5py.File(tmp_path / "foreign.h5", "w") as f:
        f["x"] = 1
    refused(tmp_path / "foreign.h5", "has no manifest")
    os.mkfifo(tmp_path / "pipe.h5")
    refused(tmp_path / "pipe.h5", "is not a regular file")
    (tmp_path / "loop.h5").symlink_to("loop.h5")
    refused(tmp_path / "loop.h5")


def test_names_that_are_none(poisonkit, tmp_path):
    poisonkit("show", tmp_path / ("x" * 300)).failed(1)
    poisonkit("show", tmp_path / "no" / "such" / "folder.h5").failed(1, "no such file")
    poisonkit("show", tmp_path / "two\nlines.h5").failed(1, "two\\nlines.h5: no such file")
    poisonkit("verify", "").failed(1)
    missing = tmp_path / os.fsdecode(b"not\xffutf8.h5")
    poisonkit("show", missing).failed(1, "\\udcff")


def test_a_link_to_a_file_is_that_file(poisonkit, library, tmp_path):
    (tmp_path / "link.h5").symlink_to(library("square"))
    assert poisonkit("verify", tmp_path / "link.h5").succeeded()


def test_a_file_cut_off_anywhere(poisonkit, library, tmp_path):
    """From nothing to one byte short, closer together where the structure lies."""
    data = library("two").read_bytes()
    lengths = [*range(0, 2048, 128), *np.linspace(2048, len(data) - 1, 16).astype(int), len(data) - 1]
    path = tmp_path / "cut.h5"
    for length in lengths:
        path.write_bytes(data[:length])
        poisonkit("verify", path).failed(1, str(path))
    path.write_bytes(data + b"more")
    assert poisonkit("verify", path).code == 0, "what follows the end is none of the file's business; no sidecar here"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two", "clean"])
def test_a_file_cut_off_at_many_more_places(poisonkit, library, tmp_path, name):
    data = library(name).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "cut.h5"
    for length in {*range(0, 4096, 64), *rng.integers(0, len(data), 300).tolist()}:
        path.write_bytes(data[:length])
        poisonkit("verify", path).failed(1, str(path))


def meta_positions(data: bytes) -> list[int]:
    """Byte positions of a file's structure: everything that is not an array's data, roughly."""
    positions = list(range(min(4096, len(data))))
    for mark in (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR"):
        at = data.find(mark)
        while at >= 0:
            positions += range(at, min(at + 512, len(data)))
            at = data.find(mark, at + 1)
    return sorted(set(positions))


def flip_and_verify(poisonkit, path, data, positions, rng):
    outcomes = set()
    for at in positions:
        changed = bytearray(data)
        changed[at] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        result = poisonkit("verify", path)
        assert result.code in (0, 1, 3), (at, result)
        if result.code == 1:
            result.failed(1)
        outcomes.add(result.code)
    return outcomes


def test_a_byte_of_the_structure_changed(poisonkit, library, tmp_path):
    """(0 is possible: some bytes of an HDF5 file mean nothing.)"""
    data, rng = library("square").read_bytes(), np.random.default_rng(0)
    positions = rng.choice(meta_positions(data), 30, replace=False)
    assert 1 in flip_and_verify(poisonkit, tmp_path / "x.h5", data, positions, rng)


@pytest.mark.slow
def test_many_bytes_of_the_structure_changed(poisonkit, library, tmp_path):
    data, rng = library("two").read_bytes(), np.random.default_rng(1)
    positions = rng.choice(meta_positions(data), 500, replace=False)
    assert {1, 3} <= flip_and_verify(poisonkit, tmp_path / "x.h5", data, positions, rng)


# ---- built otherwise


def rebuilt(library, tmp_path, change, name="square"):
    path = damage.copy(library(name), tmp_path)
    with h5py.File(path, "r+") as f:
        change(f)
    return path


@pytest.mark.parametrize("array", ["train/images", "test/labels", "truth/role", "triggered/wanted", "trigger/0/mask"])
def test_a_missing_array(poisonkit, library, tmp_path, array):
    def change(f):
        del f[array]

    poisonkit("verify", rebuilt(library, tmp_path, change)).failed(1, f"{array} is missing")


@pytest.mark.parametrize("array", ["extra", "train/extra", "trigger/1/taps", "trigger/0/pattern", "a/b/c/d"])
def test_an_array_too_many(poisonkit, library, tmp_path, array):
    def change(f):
        f[array] = np.zeros(3, "i4")

    poisonkit("verify", rebuilt(library, tmp_path, change)).failed(1, array[:3])


def test_an_array_too_many_that_the_manifest_names(poisonkit, library, tmp_path):
    path = damage.copy(library("square"), tmp_path)
    with h5py.File(path, "r+") as f:
        f["train/extra"] = np.zeros(200, "u1")
    facts = damage.manifest(path)
    facts["arrays"]["train/extra"] = {}
    damage.reseal(path, arrays=facts["arrays"])
    poisonkit("verify", path).failed(1, "train/extra")


@pytest.mark.parametrize(
    ("array", "change"),
    [
        ("train/labels", lambda a: a.astype("<i4")),
        ("train/labels", lambda a: a.astype(">i8")),
        ("train/labels", lambda a: a.astype("<u8")),
        ("train/labels", lambda a: a.astype("<f8")),
        ("train/labels", lambda a: a[:-1]),
        ("train/labels", lambda a: a[:, None]),
        ("train/images", lambda a: a[:, :31]),
        ("train/images", lambda a: a[..., :1]),
        ("train/images", lambda a: a.astype("i1")),
        ("train/images", lambda a: a.reshape(len(a), -1)),
        ("test/images", lambda a: a[:0]),
        ("truth/rows", lambda a: a[:0]),
        ("truth/role", lambda a: a.astype(bool)),
        ("trigger/0/taps", lambda a: a.astype("<i8")),
        ("trigger/0/weights", lambda a: a.repeat(2, -1)),
        ("trigger/0/bias", lambda a: a[..., None]),
        ("triggered/labels", lambda a: np.array([b"x"] * len(a))),
        ("triggered/labels", lambda a: np.array(["x"] * len(a), h5py.string_dtype())),
        ("triggered/labels", lambda a: a.astype([("x", "<i8")])),
        ("triggered/labels", lambda a: h5py.Empty("<i8")),
    ],
)
@pytest.mark.parametrize("resealed", [False, True])
def test_a_wrong_shape_or_type(poisonkit, library, tmp_path, array, change, resealed):
    path = damage.copy(library("square"), tmp_path)
    with h5py.File(path) as f:
        other = change(f[array][()])
    damage.replace(path, array, other)
    if resealed:
        try:
            damage.reseal(path)
        except (TypeError, AttributeError):
            pytest.skip("no digest is defined for such an array")
    poisonkit("verify", path).failed(1, array)


@pytest.mark.parametrize("resealed", [False, True])
def test_arrays_all_alike_but_not_images(poisonkit, library, tmp_path, resealed):
    """Four channels everywhere, sealed again: only the format's own rules can refuse it."""
    path = damage.copy(library("clean"), tmp_path)
    for array in ("train/images", "test/images"):
        with h5py.File(path) as f:
            four = f[array][()][..., [0, 1, 2, 2]]
        damage.replace(path, array, four)
    if resealed:
        damage.reseal(path)
    poisonkit("verify", path).failed(
        1, "expected [N ≤ 2147483648, H ≤ 4096, W ≤ 4096, 1 or 3]" if resealed else "images"
    )


@pytest.mark.parametrize(
    "options",
    [{"chunks": (10,)}, {"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}, {"maxshape": (None,)}],
)
def test_chunked_or_filtered(poisonkit, library, tmp_path, options):
    path = damage.copy(library("square"), tmp_path)
    with h5py.File(path) as f:
        labels = f["train/labels"][()]
    damage.replace(path, "train/labels", labels, **options)
    poisonkit("verify", path).failed(1, "train/labels", "plain arrays")


def test_kept_in_another_file(poisonkit, library, tmp_path):
    raw = tmp_path / "labels.raw"

    def external(f):
        labels = f["train/labels"][()]
        raw.write_bytes(labels.tobytes())
        del f["train/labels"]
        f.create_dataset("train/labels", labels.shape, labels.dtype, external=[(str(raw), 0, raw.stat().st_size)])

    poisonkit("verify", rebuilt(library, tmp_path, external)).failed(1, "train/labels", "another file")


def test_virtual(poisonkit, library, tmp_path):
    source = library("clean")

    def virtual(f):
        del f["train/labels"]
        layout = h5py.VirtualLayout((200,), "<i8")
        layout[:] = h5py.VirtualSource(str(source), "train/labels", (200,))
        f.create_virtual_dataset("train/labels", layout)

    poisonkit("verify", rebuilt(library, tmp_path, virtual)).failed(1, "train/labels", "virtual")


@pytest.mark.parametrize("link", ["soft", "dangling", "external", "loop", "root"])
def test_links(poisonkit, library, tmp_path, link):
    other = library("clean")

    def change(f):
        del f["train/labels"]
        f["train/labels"] = {
            "soft": h5py.SoftLink("/truth/labels"),
            "dangling": h5py.SoftLink("/nowhere"),
            "external": h5py.ExternalLink(str(other), "/train/labels"),
            "loop": h5py.SoftLink("/train/labels"),
            "root": f["/"],
        }[link]

    poisonkit("verify", rebuilt(library, tmp_path, change)).failed(1, "train/labels")


@pytest.mark.parametrize("thing", ["type", "attribute", "root attribute", "empty group"])
def test_what_the_format_does_not_have(poisonkit, library, tmp_path, thing):
    def change(f):
        if thing == "type":
            f["named"] = np.dtype("i4")
        elif thing == "attribute":
            f["train/images"].attrs["note"] = 1
        elif thing == "root attribute":
            f.attrs["note"] = 1
        else:
            f.create_group("notes")

    poisonkit("verify", rebuilt(library, tmp_path, change)).failed(
        1, "neither" if thing == "type" else "the format has none"
    )


def test_one_array_under_two_names(poisonkit, library, tmp_path):
    """Hard links cannot be told from arrays by name, but what they say is checked all the same."""

    def change(f):
        del f["truth/labels"]
        f["truth/labels"] = f["truth/rows"]

    result = poisonkit("verify", rebuilt(library, tmp_path, change))
    assert result.code == 3 and "truth/labels" in result.out


def test_a_huge_array_that_is_not_there(poisonkit, library, tmp_path):
    """A dataset may claim any shape without taking any room."""

    def change(f):
        del f["train/images"]
        f.create_dataset("train/images", (2**40, 32, 32, 3), "u1")

    path = rebuilt(library, tmp_path, change)
    poisonkit("verify", path).failed(1, "train/images")
    facts = damage.manifest(path)
    facts["arrays"]["train/images"]["shape"] = [2**40, 32, 32, 3]
    damage.write_manifest(path, damage.sealed(facts))
    poisonkit("verify", path).failed(1, "train/images", "0 of")


def test_a_group_with_a_great_many_names(poisonkit, library, tmp_path):
    def change(f):
        group = f.create_group("many")
        for i in range(20_000):
            group[f"x{i}"] = h5py.SoftLink("/train")

    poisonkit("show", rebuilt(library, tmp_path, change)).failed(1)


def test_a_look_that_never_ends_is_ended(library, monkeypatch):
    """libhdf5 can loop for ever on a damaged file, beyond the reach of a signal handler."""
    from poisonkit.core import child_process
    from poisonkit.core.errors import Failure
    from poisonkit.format import structure

    def hang(path, kinds, alive):
        while True:
            pass

    monkeypatch.setattr(structure, "_look", hang)
    monkeypatch.setattr(child_process, "SECONDS", 1)
    with pytest.raises(Failure, match="could not be checked here .*took over 1 s of processor time"):
        structure.data_set(library("square"))


def test_a_look_that_sleeps_is_ended_too(library, monkeypatch):
    from poisonkit.core import child_process
    from poisonkit.core.errors import Failure
    from poisonkit.format import structure

    monkeypatch.setattr(structure, "_look", lambda path, kinds, alive: time.sleep(600))
    monkeypatch.setattr(child_process, "WAIT", 1)
    with pytest.raises(Failure, match="could not be checked here .*no sign of life for 1 s"):
        structure.data_set(library("square"))


def test_a_look_that_has_to_wait_is_not_ended(library, monkeypatch):
    """On a busy machine a check takes longer by the clock than the processor time that it may have."""
    from poisonkit.core import child_process
    from poisonkit.format import structure

    look = structure._look

    def slow(path, kinds, alive):
        time.sleep(2.5)
        return look(path, kinds, alive)

    monkeypatch.setattr(structure, "_look", slow)
    monkeypatch.setattr(child_process, "SECONDS", 1)
    assert structure.data_set(library("square")).kind == "poisoned"


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (lambda *_: os.kill(os.getpid(), 9), "could not be checked here .*signal 9"),
        (lambda *_: bytes(1 << 33), "could not be checked here .*out of memory"),
        (lambda *_: os._exit(7), "could not be checked here .*ended with 7"),
        (lambda *_: (faulthandler.disable(), os.kill(os.getpid(), 11)), "is damaged: the HDF5 library crashed on it"),
    ],
    ids=["killed", "memory", "exit", "crash"],
)
def test_a_look_that_ends_in_its_own_way_is_one_line(library, monkeypatch, look, words):
    from poisonkit.core.errors import Failure
    from poisonkit.format import structure

    monkeypatch.setattr(structure, "_look", look)
    with pytest.raises(Failure, match=words):
        structure.data_set(library("square"))


@pytest.mark.parametrize("spare", [0, 8, 30, 100, 300])
def test_a_sound_file_under_a_memory_limit_is_not_called_damaged(poisonkit, library, spare):
    """The limit of a process that has all its libraries already, and so many MB more."""
    code = (
        "import resource, sys\n"
        "import poisonkit.blind.file_kinds, poisonkit.cli.main, numpy, h5py\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"limit = used + ({spare} << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "sys.argv = ['poisonkit', *sys.argv[1:]]\n"
        "poisonkit.cli.main.main()\n"
    )
    command = [sys.executable, "-c", code, "verify", str(library("square"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert "damaged" not in said and "DIFFERS" not in said and "Traceback" not in said, said
    assert (done.returncode, ": OK" in said) in ((0, True), (1, False)), said
    assert spare < 300 or done.returncode == 0, said


def test_the_look_costs_no_file_descriptors_and_leaves_no_child(library, monkeypatch):
    from poisonkit.format import structure

    path, fork, children = library("square"), os.fork, []

    def noted():
        children.append(fork())
        return children[-1]

    monkeypatch.setattr(os, "fork", noted)
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        structure.data_set(path)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert len(children) == 5
    for child in children:
        with pytest.raises(ChildProcessError):  # waited for already
            os.waitpid(child, os.WNOHANG)


@pytest.mark.slow
def test_a_file_of_a_million_class_names_is_sound(poisonkit, library, tmp_path):
    path = damage.copy(library("clean"), tmp_path)
    facts = damage.manifest(path)
    facts["source"]["classes"] = [f"the class of the number {number}" for number in range(10**6)]
    damage.write_manifest(path, damage.sealed(facts))
    assert poisonkit("verify", path).succeeded()
