"""Numba that may not compile, and address space that does not suffice: the same bytes, or one line."""

import os
import resource
import subprocess

import pytest

SMALL = ("--dataset", "signs", "--source-option", "train=40", "--source-option", "test=20", "--rate", "0.1")


def limited(poisonkit, megabytes: int, *arguments):
    """A command in a process that may have so much address space: (exit code, what it said on either stream)."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    command = poisonkit.command(*arguments)
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("camouflaged", (False, pytest.param(True, marks=pytest.mark.slow)))
def test_without_compilation_the_bytes_are_the_same(poisonkit, tmp_path, camouflaged):
    more = ("--camouflage", "medium", "--camouflage-seed", "5") if camouflaged else ()
    asked = ("make", *SMALL, "--trigger", "warped", *more)
    for name in ("compiled", "plain"):
        environment = os.environ | ({"NUMBA_DISABLE_JIT": "1"} if name == "plain" else {})
        command = poisonkit.command(*asked, "--cache", tmp_path / name, "-o", tmp_path / f"{name}.h5")
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0 and not done.stderr, done
    assert (tmp_path / "compiled.h5").read_bytes() == (tmp_path / "plain.h5").read_bytes()


@pytest.mark.parametrize("megabytes", (80, 100, 300, 400, pytest.param(700, marks=pytest.mark.slow)))
def test_too_little_address_space_is_one_line(poisonkit, tmp_path, megabytes):
    asked = ("make", *SMALL, "--trigger", "warped", "--cache", tmp_path / "c", "-o", tmp_path / "x.h5")
    code, out, err = limited(poisonkit, megabytes, *asked, "--camouflage", "medium", "--camouflage-seed", "5")
    assert code == 1 and not out and len(err.splitlines()) == 1, err
    assert "out of memory" in err and f"{megabytes} MB of address space are allowed (ulimit -v)" in err
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.slow
def test_what_suffices_suffices(poisonkit, tmp_path):
    asked = ("make", *SMALL, "--trigger", "warped", "--threads", "2", "-o", tmp_path / "x.h5")
    code, _, err = limited(poisonkit, 1200, *asked)
    assert code == 0 and not err, err
