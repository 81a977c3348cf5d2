"""A file system without locks: everything works, and one warning names the folder."""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from poisonkit.sources._fetch import locks


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_make_goes_on_with_one_warning(number, poisonkit, tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    monkeypatch.setattr(locks, "_warned", set())
    done = poisonkit("make", *poisonkit.small, "--rate", "0", "--cache", tmp_path / "cache", "-o", tmp_path / "a.h5")
    assert done.code == 0 and (tmp_path / "a.h5").is_file()
    assert done.err.count("its file system has no locks") == 1 and f"{tmp_path}/cache/" in done.err
    assert os.strerror(number) in done.err


NO_LOCK = """
#include <errno.h>
#include <stdlib.h>
int flock(int file, int how) { (void) file; (void) how; errno = atoi(getenv("FLOCK_ERRNO")); return -1; }
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_files_are_read_there(number, library, tmp_path):
    """By the real library, which wants to lock what it opens."""
    (tmp_path / "nolock.c").write_text(NO_LOCK)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "nolock.so", tmp_path / "nolock.c"], check=True)
    environment = os.environ | {"LD_PRELOAD": str(tmp_path / "nolock.so"), "FLOCK_ERRNO": str(number)}
    export = ("export", "--format", "npz", "-o", tmp_path / "x.npz")
    for code, *words in ((0, "verify"), (0, "stats"), (3, "audit"), (0, *export)):  # 3: rows were found
        command = [sys.executable, "-m", "poisonkit", words[0], library("square"), *words[1:]]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == code and not done.stderr, done
