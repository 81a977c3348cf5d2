"""A file system without locks: everything works, and one warning names the folder."""

import errno
import os

import pytest

from poisonkit.sources import locks


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
