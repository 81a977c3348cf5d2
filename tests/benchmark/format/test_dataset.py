"""The reader of data set files: what it gives, and the one line that each bad file gets."""

import json
import os
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import writer
from in_process import refused

from benchmark.core import child_process, random_streams
from benchmark.core.errors import Failure
from benchmark.core.hashing import canonical
from benchmark.format import dataset, sandbox
from benchmark.format.manifest import array_digest, parse


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return writer.toy(tmp_path_factory.mktemp("toy"), train=40, test=20, size=8)


@pytest.fixture
def parts():
    """Arrays and manifest of a small poisoned file, to be spoilt."""
    clean = writer.clean_arrays(train=40, test=20, size=8)
    arrays = writer.poisoned_arrays(clean, poisoned=4)
    return arrays, writer.manifest_of(arrays, clean, "toy")


def test_a_poisoned_file_is_read_whole(toy):
    read = dataset.load(toy[1])
    with h5py.File(toy[1]) as file:
        assert np.array_equal(read.train.inputs, file["train/images"])
        assert np.array_equal(read.triggered.labels, file["triggered/labels"])
        assert np.array_equal(read.wanted, file["triggered/wanted"])
        assert read.digest == json.loads(file.attrs["manifest"])["dataset_digest"]
    assert read.image_shape == (8, 8, 3) and len(read.classes) == 4
    assert dataset.load(toy[0]).triggered is None


def test_peek_reads_the_manifest_alone(toy):
    assert dataset.peek(toy[0]).kind.clean


def test_digests_are_those_of_the_format(parts):
    arrays, manifest = parts
    for name, array in arrays.items():
        assert array_digest(array) == manifest["arrays"][name]["digest"]
    assert parse(canonical(manifest).decode()) == manifest


def test_held_out_rows_are_the_same_for_every_rate_and_come_back_clean(toy):
    clean, poisoned = (dataset.load(path) for path in toy)
    kept = poisoned.kept(25)
    assert np.array_equal(kept, clean.kept(25)) and len(kept) == 15
    held = random_streams.held_out(40, 25)
    assert np.array_equal(np.union1d(kept, held), np.arange(40))
    assert np.isin(poisoned.truth_rows, held).any()
    for file in (clean, poisoned):
        assert np.array_equal(file.held_out(25).inputs, clean.train.inputs[held])
        assert np.array_equal(file.held_out(25).labels, clean.train.labels[held])
    assert np.isin(random_streams.held_out(40, 5), held).all()
    with pytest.raises(Failure, match="leaves nothing of 40"):
        clean.kept(40)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"not HDF5 at all" * 100])
def test_no_hdf5(content, tmp_path):
    path = tmp_path / "wrong.h5"
    path.write_bytes(content)
    assert "not an HDF5 file" in refused(path, tmp_path) or "truncated" in refused(path, tmp_path)


def test_no_file_and_a_folder(tmp_path):
    assert "no such file" in refused(tmp_path / "absent.h5", tmp_path)
    assert "not a file" in refused(tmp_path, tmp_path)


@pytest.mark.parametrize("keep", [0.05, 0.5, 0.99])
def test_truncated(keep, parts, tmp_path):
    path = tmp_path / "short.h5"
    writer.write(path, *parts)
    os.truncate(path, int(path.stat().st_size * keep))
    assert "truncated" in refused(path, tmp_path)


def test_a_changed_byte_in_an_array(parts, tmp_path):
    path = tmp_path / "changed.h5"
    writer.write(path, *parts)
    with h5py.File(path, "r+") as file:
        file["test/images"][3, 0, 0, 0] ^= 1
    assert re.search(
        r"test/images is not what the manifest says: sha256:\w+ recorded, sha256:", refused(path, tmp_path)
    )
    assert dataset.load(path, verify=False).test.inputs[3, 0, 0, 0] != parts[0]["test/images"][3, 0, 0, 0]


MANIFESTS = {
    "not valid JSON": lambda m: "{",
    "a floating-point number, 0.5": lambda m: json.dumps(m | {"rate": 0.5}),
    "not a JSON object": lambda m: "[]",
    "not in canonical form": lambda m: json.dumps(m),
    "format is 'other'": lambda m: writer.sealed(m | {"format": "other"}),
    "of format version 2, this program reads up to 1": lambda m: writer.sealed(m | {"format_version": 2}),
    "expected a positive integer": lambda m: writer.sealed(m | {"format_version": "1"}),
    "modality is 'audio'": lambda m: writer.sealed(m | {"modality": "audio"}),
    "kind is 'odd'": lambda m: writer.sealed(m | {"kind": "odd"}),
    "expected a plain name": lambda m: writer.sealed(m | {"name": "../../etc/passwd"}),
    "'$(touch X)', which begins with '$'": lambda m: writer.sealed(m | {"name": "$(touch X)"}),
    "rate is '1e-999999999': expected a decimal": lambda m: writer.sealed(
        m | {"recipe": m["recipe"] | {"rate": "1e-999999999"}}
    ),
    "triggers, each with a name": lambda m: writer.sealed(m | {"recipe": m["recipe"] | {"triggers": [{"size": 4}]}}),
    "pictures is {'0': 7}: expected a table of pictures": lambda m: writer.sealed(m | {"pictures": {"0": 7}}),
    "source.name is 'a`b`', which holds '`'": lambda m: writer.sealed(m | {"source": m["source"] | {"name": "a`b`"}}),
    "does not match its own digest": lambda m: m | {"notice": "changed"},
    "no source": lambda m: writer.sealed({key: value for key, value in m.items() if key != "source"}),
    "source.classes is 'abc': expected a list of two names": lambda m: writer.sealed(
        m | {"source": m["source"] | {"classes": "abc"}}
    ),
    "has no recipe.triggers": lambda m: writer.sealed(
        m | {"recipe": {key: value for key, value in m["recipe"].items() if key != "triggers"}}
    ),
    "no counts": lambda m: writer.sealed(m | {"counts": 3}),
    "no table of arrays": lambda m: writer.sealed(m | {"arrays": []}),
    "names no array train/images": lambda m: writer.sealed(m | {"arrays": {}}),
}


@pytest.mark.parametrize("line", MANIFESTS)
def test_broken_manifest(line, parts, tmp_path):
    path = tmp_path / "manifest.h5"
    writer.write(path, parts[0], MANIFESTS[line](parts[1]))
    assert line in refused(path, tmp_path)


@pytest.mark.parametrize("value", [None, 3, b"\xff\xfe", np.arange(4)])
def test_manifest_absent_or_no_string(value, parts, tmp_path):
    path = tmp_path / "manifest.h5"
    writer.write(path, *parts)
    with h5py.File(path, "r+") as file:
        del file.attrs["manifest"]
        if value is not None:
            file.attrs["manifest"] = value
    assert "manifest" in refused(path, tmp_path)


def entry(manifest, name, **changes):
    arrays = manifest["arrays"] | {name: manifest["arrays"][name] | changes}
    return writer.sealed(manifest | {"arrays": arrays})


ENTRIES = {
    "[1099511627776, 8, 8, 3], expected [N ≤ 2147483648, H ≤ 4096, W ≤ 4096, 1 or 3]": (
        "train/images",
        {"shape": [2**40, 8, 8, 3]},
    ),
    "[20, 8, 1000000, 3], expected [T ≤ 2147483648, 8, 8, 3], to fit train/images": (
        "test/images",
        {"shape": [20, 8, 1_000_000, 3]},
    ),
    "expected 4 dimensions": ("train/images", {"shape": [40, 192]}),
    "expected 1 dimensions": ("train/labels", {"shape": [40, 1]}),
    "the shape ['40'] in its manifest, expected a list of sizes": ("train/labels", {"shape": ["40"]}),
    "is of type '<f8', expected '<i8'": ("test/labels", {"dtype": "<f8"}),
    "the digest 'md5:0' in its manifest, expected sha256:": ("test/labels", {"digest": "md5:0"}),
    "test/labels has shape [19], expected [20], to fit test/images": ("test/labels", {"shape": [19]}),
    "its manifest says [41, 8, 8, 3]": ("train/images", {"shape": [41, 8, 8, 3]}),
}


@pytest.mark.parametrize("line", ENTRIES)
def test_wrong_table_of_arrays(line, parts, tmp_path):
    path = tmp_path / "table.h5"
    name, changes = ENTRIES[line]
    manifest = entry(parts[1], name, **changes)
    if "41" in line:
        manifest = entry(manifest, "train/labels", shape=[41])
    writer.write(path, parts[0], manifest)
    assert line in refused(path, tmp_path)


def spoil_missing(file):
    del file["truth/role"]


def spoil_extra(file):
    file["train/more"] = np.zeros(3)


def spoil_dtype(file):
    del file["test/labels"]
    file["test/labels"] = np.zeros(20, "<i4")


def spoil_shape(file):
    del file["test/labels"]
    file["test/labels"] = np.zeros((20, 1), "<i8")


def spoil_chunks(file):
    labels = file["test/labels"][:]
    del file["test/labels"]
    file.create_dataset("test/labels", data=labels, chunks=(5,), compression="gzip")


def spoil_soft_link(file):
    file["test/copy"] = h5py.SoftLink("/test/labels")


def spoil_outer_link(file):
    del file["test/labels"]
    file["test/labels"] = h5py.ExternalLink("/etc/passwd", "/x")


def spoil_storage(file):
    del file["test/labels"]
    file.create_dataset("test/labels", (20,), "<i8", external=[("/dev/zero", 0, 160)])


def spoil_virtual(file):
    del file["test/labels"]
    layout = h5py.VirtualLayout((20,), "<i8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (20,))
    file.create_virtual_dataset("test/labels", layout)


def spoil_attribute(file):
    file["test"].attrs["note"] = "x"


def spoil_nesting(file):
    file["a/b/c/d/e/f"] = np.zeros(1)


def spoil_loop(file):
    file["train/again"] = file["/"]


def spoil_type(file):
    file["train/kind"] = np.dtype("<i8")


SPOILT = {
    "truth/role is missing": spoil_missing,
    "does not name: 'train/more'": spoil_extra,
    "is of type '<i4', its manifest says '<i8'": spoil_dtype,
    "has shape (20, 1)": spoil_shape,
    "chunked or filtered": spoil_chunks,
    "holds a link at 'test/copy'": spoil_soft_link,
    "holds a link at 'test/labels'": spoil_outer_link,
    "test/labels keeps its data in another file": spoil_storage,
    "keeps its data in another": spoil_virtual,
    "'test' has attributes": spoil_attribute,
    "not laid out as the format says": spoil_nesting,
    "": spoil_loop,
    "neither a group nor an array": spoil_type,
}


@pytest.mark.parametrize("line", SPOILT)
def test_wrong_structure(line, parts, tmp_path):
    path = tmp_path / "structure.h5"
    writer.write(path, *parts)
    with h5py.File(path, "r+") as file:
        SPOILT[line](file)
    assert line in refused(path, tmp_path)


VALUES = {
    "train/labels holds 4, the classes are 0 … 3": ("train/labels", 7, 4),
    "test/labels holds -1": ("test/labels", 0, -1),
    "triggered/wanted holds 9": ("triggered/wanted", 2, 9),
    "triggered/rows holds row 20, there are 20": ("triggered/rows", -1, 20),
    "triggered/rows is not ascending": ("triggered/rows", 1, 1),
    "not the labels of their rows": ("triggered/labels", 0, 3),
    "truth/rows holds row -5": ("truth/rows", 0, -5),
    "something other than 1 and 2": ("truth/role", 0, 3),
}


@pytest.mark.parametrize("line", VALUES)
def test_values_that_cannot_be(line, tmp_path):
    clean = writer.clean_arrays(train=40, test=20, size=8)
    arrays = writer.poisoned_arrays(clean, poisoned=4)
    name, row, value = VALUES[line]
    arrays[name][row] = value
    path = tmp_path / "values.h5"
    writer.write(path, arrays, writer.manifest_of(arrays, clean, "toy"))
    assert line in refused(path, tmp_path)


def test_a_hanging_check_is_cut_off(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(child_process, "WAIT", 0.01)
    dataset._checked.cache_clear()
    assert "could not be checked here (its check took over 0.01 s)" in refused(toy[0], tmp_path)


def test_a_crashing_check_is_one_line(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONMALLOC", "no such allocator")  # the child cannot even start
    dataset._checked.cache_clear()
    assert "could not be checked here (its check ended with" in refused(toy[0], tmp_path)


CHILDREN = {
    "could not be checked here (its check took over 20 s of processor time": "r.setrlimit(r.RLIMIT_CPU, (1, 9))\n"
    "while True: pass",
    "could not be checked here (its check ended with signal 9: too little memory?)": "os.kill(os.getpid(), 9)",
    "not a sound HDF5 file (the library that reads it crashed on it, signal 11)": "os.kill(os.getpid(), 11)",
    "could not be checked here (its check ran out of memory)": "raise MemoryError",
}


@pytest.mark.parametrize("line", CHILDREN)
def test_a_check_that_comes_to_a_limit_says_nothing_of_the_file(toy, tmp_path, monkeypatch, line):
    (tmp_path / "h5py.py").write_text(f"import os, resource as r\n{CHILDREN[line]}\n")
    run = child_process.subprocess.run

    def started(command, **how):  # the same child, but its h5py is another
        return run(command, **how | {"env": how["env"] | {"PYTHONPATH": f"{tmp_path}:{how['env']['PYTHONPATH']}"}})

    monkeypatch.setattr(child_process.subprocess, "run", started)
    with pytest.raises(Failure) as caught:
        sandbox.in_child(toy[0])
    assert line in str(caught.value)


def test_a_file_is_checked_once_and_again_when_it_was_written_to(toy, tmp_path, monkeypatch):
    checked, real = [], sandbox.in_child
    monkeypatch.setattr(sandbox, "in_child", lambda path: checked.append(path) or real(path))
    path = tmp_path / "x.h5"
    shutil.copy(toy[0], path)
    assert dataset.peek(path) == dataset.peek(str(path)) and checked == [path]
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[0] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(Failure, match="not an HDF5 file"):
        dataset.peek(path)
    with pytest.raises(Failure, match="not an HDF5 file"):
        dataset.peek(path)
    assert len(checked) == 3


@pytest.mark.parametrize("megabytes", [300, 600, 1000, 4000])
def test_a_sound_file_under_a_memory_limit_is_not_called_damaged(toy, megabytes):
    code = "import sys; from benchmark.format import sandbox as s; s.in_child(s.Path(sys.argv[1])); print('sound')"
    limited = f'ulimit -v {megabytes << 10}; exec "$0" -c "$1" "$2"'
    command = ["bash", "-c", limited, sys.executable, code, str(toy[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "sound\n" or "could not be checked here" in done.stderr or "Error" in done.stderr
    assert "not a sound" not in done.stderr and "damaged" not in done.stderr
    assert megabytes < 4000 or done.stdout == "sound\n", done.stderr


@pytest.mark.slow
def test_mutated_files_never_do_worse_than_one_line(parts, tmp_path):
    """Bytes of the structure (all that is not array data) changed at random: refused, or read as it was."""
    source, path = tmp_path / "sound.h5", tmp_path / "mutated.h5"
    writer.write(source, *parts)
    sound, good = source.read_bytes(), dataset.load(source)
    random = np.random.default_rng(0)
    for _ in range(60):
        mutated = bytearray(sound)
        for place in random.integers(0, 4096, 4):
            mutated[place] = random.integers(256)
        path.write_bytes(mutated)
        try:
            read = dataset.load(path)
        except Failure as error:
            assert "\n" not in str(error)
        else:
            assert read.digest == good.digest and np.array_equal(read.train.inputs, good.train.inputs)


def test_a_mask_that_is_of_other_images(toy, tmp_path):
    path = shutil.copy(toy[1], tmp_path / "x.h5")
    with h5py.File(path, "r+") as file:
        manifest = json.loads(file.attrs["manifest"])
        (name,) = (name for name in manifest["arrays"] if name.endswith("/mask"))
        array = file[name][:-1]
        del file[name]
        file[name] = array
        manifest["arrays"][name] |= {"shape": list(array.shape), "digest": writer.array_digest(array)}
        file.attrs["manifest"] = writer.canonical(writer.sealed(manifest)).decode()
    with pytest.raises(Failure, match=r"mask has shape \[7, 8, 3\], expected \[8, 8, 3\]"):
        dataset.load(path)
