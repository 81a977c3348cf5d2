"""What the formats share: folders written whole or not at all, PNGs in blocks, names that any file system takes."""

import contextlib
import errno
import json
import os
import shutil
import socket
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.core import files, hints, splits
from poisonkit.core.errors import Failure
from poisonkit.core.signals import held_back
from poisonkit.export import marks
from poisonkit.format import reader

LONGEST = 100  # bytes of a class's folder name
THREADS = 4


@dataclass(frozen=True)
class Context:
    """What a format is given besides the file: its own name, where the file lies and where the result will lie, a
    progress bar, and what the user asked for."""

    format: str
    source: Path
    target: Path
    progress: Callable
    truth: bool = True
    creator: str | None = None
    url: str | None = None


# ---------------------------------------------------------------- the file


def check_labels(data: reader.Reader) -> None:
    """`Failure` where labels or row numbers are none: they become names of folders and indices."""
    shapes = {path: entry["shape"] for path, entry in data.manifest["arrays"].items()}
    classes = len(data.manifest["source"]["classes"])
    limits = {path: classes for path in shapes if path.endswith(("/labels", "/wanted"))}
    for path in (path for path in shapes if path.endswith("/rows")):
        limits[path] = shapes["train/labels" if path == "truth/rows" else "test/labels"][0]
    for path, limit in limits.items():
        values = data[path]
        if values.min() < 0 or values.max() >= limit or (path.endswith("/rows") and (np.diff(values) <= 0).any()):
            order = "ascend and " if path.endswith("/rows") else ""
            more = hints.verify(data.path)
            raise Failure(f"{data.path}: {path} must {order}lie in 0 … {limit - 1}: `{more}` says more")


def rows(data: reader.Reader, path: str) -> int:
    """How many rows an array has, 0 where the file has no such array."""
    return data.manifest["arrays"][path]["shape"][0] if path in data else 0


def size(data: reader.Reader) -> int:
    """Bytes of all arrays but the trigger's."""
    return sum(data.size(path) for path in data.manifest["arrays"] if not path.startswith("trigger/"))


def counts(data: reader.Reader) -> str:
    """How many rows there are, in words."""
    parts = [(rows(data, f"{part}/labels"), part) for part in ("train", "test", "triggered", "others")]
    return ", ".join(f"{count:,} {part}" for count, part in parts if count)


# ---------------------------------------------------------------- folders


@contextlib.contextmanager
def replacing_folder(target: Path, form: str, new: bool = False):
    """A temporary folder beside the target, renamed to it when the block ends well and removed when it does not.

    A folder that lies there already, one of ours, goes at the same moment, unless something lies in it that we did not
    write (`Failure`). `form` goes into the mark by which it is known as one of ours. `new`: nothing but an empty folder
    is replaced; raises `store.Taken` where something has the name by then.
    """
    files.make_folder(target.parent)
    stem = f".{target.name}.{socket.gethostname()}-{os.getpid()}"
    files.remove_stale_temporaries(target)
    temporary, old = target.with_name(f"{stem}.tmp"), target.with_name(f"{stem}.old")
    temporary.mkdir()
    try:
        yield temporary
        marks.write(temporary, form)
        with held_back():
            _publish(temporary, target, old, new)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, target: Path, old: Path, new: bool) -> None:
    """Give a finished folder its name; what lay there is moved to `old`, looked at, and removed."""
    if target.exists() and not new:
        os.rename(target, old)
    try:
        if old.exists():
            marks.refuse_others(old, target)
        os.rename(temporary, target)  # onto an empty folder too, but onto no other and onto no file
    except OSError as error:
        if new and error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise files.Taken(target) from None
        raise
    finally:
        if old.exists() and not target.exists():
            os.rename(old, target)
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value) -> None:
    """A JSON file for people, inside a folder that is still temporary."""
    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def class_folders(names: list[str]) -> list[str]:
    """A folder name for each class: its number, then what of its name any file system takes.

    The numbers keep the order of the labels where folders are sorted by name, as torchvision and Keras do, and keep
    names apart that are the same once they are made safe.
    """
    width = len(str(len(names) - 1))
    return [f"{number:0{width}}_{_safe(name)}".rstrip("_") for number, name in enumerate(names)]


def _safe(name: str) -> str:
    """Letters, digits, hyphens and underscores alone (so no dots, slashes, spaces, colons, control characters)."""
    kept = (c if c.isalnum() or c == "-" else "_" for c in unicodedata.normalize("NFC", name))
    words = [word for word in "".join(kept).split("_") if word]
    return "_".join(words).encode("utf-8", "ignore")[: LONGEST - 12].decode("utf-8", "ignore")


# ---------------------------------------------------------------- pictures


def png(image: np.ndarray) -> bytes:
    """A PNG of an (H, W, C) uint8 image, RGB or grey; no losses."""
    import cv2

    done, code = cv2.imencode(".png", image[..., ::-1] if image.shape[-1] == 3 else image)
    if not done:
        raise Failure(f"an image of {image.shape} could not be written as PNG")
    return code.tobytes()


def write_pictures(data: reader.Reader, array: str, path_of: Callable[[int], Path], bar, chosen=None) -> None:
    """Every image of an array as a PNG, block by block on a few threads.

    `path_of` gives the path for a row of the array (its folder must be there); `chosen` are the rows to write,
    (n,) ascending, all by default.
    """
    blocks = data.blocks(array) if chosen is None else _chosen(data, array, chosen)

    def one(row: int, image: np.ndarray) -> None:
        path_of(row).write_bytes(png(image))

    with ThreadPoolExecutor(THREADS) as pool:
        for start, images in blocks:
            numbers = range(start, start + len(images)) if chosen is None else chosen[start : start + len(images)]
            list(pool.map(one, map(int, numbers), images))
            bar.update(len(images))


def _chosen(data: reader.Reader, array: str, chosen: np.ndarray):
    at_once = max(1, min(2048, splits.BLOCK // int(np.prod(data.manifest["arrays"][array]["shape"][1:]))))
    for start in range(0, len(chosen), at_once):
        yield start, data.pick(array, chosen[start : start + at_once])


def digits(count: int) -> int:
    """How many digits the last of so many rows has: names of that width sort as the rows do."""
    return len(str(max(0, count - 1)))
