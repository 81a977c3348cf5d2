"""Write files so that a name never stands for half a file: into a temporary name, synced, then renamed."""

import contextlib
import csv
import fcntl
import io
import json
import os
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from benchmark.errors import Failure


@contextlib.contextmanager
def replacing(path: Path):
    """Yield a temporary path in the same folder, with the same suffix; it takes the final name at the end.

    An OSError on the way (a full disk) names the final path.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file's content at once."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value) -> None:
    """Indented JSON, one line at the end."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(path: Path):
    """A JSON file of our own; `Failure` in one line if it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Failure(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from None


def write_csv(path: Path, rows: list[dict]) -> None:
    """Rows with the same keys, a header first; None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Named arrays, uncompressed, no pickles."""
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    write_bytes(path, data.getvalue())


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of `write_npz`. Raises OSError or ValueError (among others) on a damaged file.

    Nothing is unpickled, and as nothing in it may be compressed, its arrays are no larger than the file.
    """
    with np.load(path, allow_pickle=False) as arrays:
        members = arrays.zip.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed, as none of ours is")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("its arrays lie on one another")
        return {name: arrays[name] for name in arrays.files}


@contextlib.contextmanager
def locked(folder: Path):
    """Hold a folder for this process alone; `Failure` if another has it. The kernel frees it with the process."""
    with open(folder / ".lock", "w") as file:
        for attempt in range(5):  # somebody who asks `busy` holds it for a moment
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 4:
                    raise Failure(f"{folder}: another process is working on this run") from None
                time.sleep(0.05)
        yield


def busy(folder: Path) -> bool:
    """Does a process hold this folder (`locked`)?"""
    try:
        with open(folder / ".lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
