"""What lies where a command is to write: what is said of it holds."""

import shutil

import pytest


@pytest.fixture
def folder(library, tmp_path):
    for name in ("square", "clean", "text-word"):
        shutil.copy(library(name), tmp_path / f"{name}.h5")
    (tmp_path / "x.h5").mkdir()
    (tmp_path / "x.h5" / "mine").write_text("")
    (tmp_path / "file").write_text("")
    return tmp_path


def commands(poisonkit, folder):
    poisonkit("pack", folder / "square.h5", "-o", folder / "d.delta.h5").succeeded()
    yield "make", *poisonkit.small, "--rate", "0"
    yield "pack", folder / "square.h5"
    yield "unpack", folder / "d.delta.h5"
    yield "seal", folder / "square.h5"


def test_a_folder_is_never_replaced_and_no_force_is_recommended(poisonkit, folder):
    for command in commands(poisonkit, folder):
        for force in ((), ("--force",)):
            done = poisonkit(*command, "-o", folder / "x.h5", *force).failed(1, "is a folder", "-o")
            assert "--force" not in done.err
    assert (folder / "x.h5" / "mine").exists()


def test_a_file_where_a_folder_should_be(poisonkit, folder):
    for command in commands(poisonkit, folder):
        poisonkit(*command, "-o", folder / "file" / "y.h5").failed(1, f"{folder / 'file'} is not a folder")


def test_another_file_is_replaced_with_force_alone_as_is_said(poisonkit, folder):
    for command in commands(poisonkit, folder):
        target = shutil.copy(folder / "text-word.h5", folder / f"{command[0]}.h5")
        before = target.read_bytes()
        poisonkit(*command, "-o", target).failed(1, "--force")
        assert target.read_bytes() == before
        done = poisonkit(*command, "-o", target, "--force")
        assert done.code == 0 and target.read_bytes() != before, done


def test_the_same_delta_again_needs_no_force(poisonkit, folder):
    for _ in range(2):
        poisonkit("pack", folder / "square.h5", "-o", folder / "again.delta.h5").succeeded()


@pytest.mark.parametrize("command", ["seal", "export", "unseal"])
def test_a_name_that_no_disk_takes_is_not_blamed_on_what_is_read(command, poisonkit, folder):
    asked = ("seal", folder / "square.h5", "-o", folder / "c.h5", "--key", folder / "c.key.h5")
    poisonkit(*asked).succeeded()
    file = folder / ("c.h5" if command == "unseal" else "square.h5")
    more = ("--format", "npz") if command == "export" else ()
    name = "x" * 300 + (".npz" if command == "export" else ".h5")
    done = poisonkit(command, file, *more, "-o", folder / name).failed(1, "File name too long")
    assert str(file) not in done.err


def test_the_patches_that_are_named_will_do(poisonkit, folder):
    """Of images whose sides have no common divisor, too."""
    import numpy as np

    for shape, words in (((12, 18), "square patches may be 2, 3, 6"), ((9, 10), "3x2 (height x width) does")):
        arrays = {
            f"{part}_{name}": np.zeros((20, *shape, 3), "u1") if name == "x" else np.arange(20) % 2
            for part in ("train", "test") for name in "xy"
        }  # fmt: skip
        source = folder / f"{shape[0]}.npz"
        np.savez(source, **{f"{key.split('_')[1]}_{key.split('_')[0]}": value for key, value in arrays.items()})
        asked = ("make", "--dataset", "npz", "--source", source, "--trigger", "square", "--square-size", "1")
        asked += ("--rate", "0.5", "--dry-run", "--patch-size")
        poisonkit(*asked, "7").failed(2, words)
        for size in ("2", "3", "6") if shape == (12, 18) else ("3x2",):
            poisonkit(*asked, size).succeeded()
