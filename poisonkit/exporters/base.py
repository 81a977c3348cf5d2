"""What an export format is, and what the formats share: atomic folders, PNGs in blocks, names for any file system."""

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
from typing import Any

import numpy as np

from poisonkit.core import files, splits
from poisonkit.core.errors import Failure
from poisonkit.core.modality import IMAGE, Modality
from poisonkit.core.signals import defer_signals
from poisonkit.exporters import marks
from poisonkit.format import reader

LONGEST = 100  # bytes of a class's folder name
THREADS = 4


@dataclass(frozen=True)
class ExportContext:
    """What a format is given besides the file: its own name, the paths of the file and of the result, a progress bar,
    and the user's options."""

    format: str
    source: Path
    target: Path
    progress: Callable[..., Any]
    truth: bool = True
    creator: str | None = None
    url: str | None = None


# ---------------------------------------------------------------- the file


def rows(data: reader.Reader, path: str) -> int:
    """Count the rows of an array; 0 where the file has no such array."""
    return data.manifest.rows(path)


def size(data: reader.Reader) -> int:
    """Add up the bytes of all arrays but the trigger's."""
    return sum(data.size(path) for path in data.manifest.arrays if not path.startswith("trigger/"))


def counts(data: reader.Reader, truth: bool) -> str:
    """Say how many rows are written of each part; without the `truth`, of training and test set alone."""
    names = ("train", "test", *(("triggered", "others") if truth else ()))
    parts = [(rows(data, f"{part}/labels"), part) for part in names]
    return ", ".join(f"{count:,} {part}" for count, part in parts if count)


# ---------------------------------------------------------------- a format


def fits_any_file(data: reader.Reader) -> None:
    """Accept every file: the `check` of a format that has a place for everything."""


@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """A format that a file can be exported to.

    Attributes
    ----------
    name : str
        The module's name, with hyphens for underscores; the value of `--format`.
    help : str
        What is written and for whom, for `poisonkit export --help`.
    write : callable
        ``write(data, target, context)`` writes it, block by block, under the temporary name `target`.
    modality : Modality or None
        What rows it takes; None for any.
    suffix : str or None
        How the name of the result ends; None where the result is a folder.
    file_name : str, optional
        The result's name unless told otherwise (default: the file's own name and the suffix, or the format).
    options : tuple of str
        Which of ``truth``, ``creator`` and ``url`` it knows.
    check : callable
        ``check(data)`` raises `Failure` for a file that does not fit, before anything is written.
    counts : callable
        ``counts(data, truth)``: what is written, in words.
    aliases : tuple of str
        What others call it: understood wherever its name is typed.
    """

    name: str
    help: str
    write: Callable[[reader.Reader, Path, ExportContext], None]
    modality: Modality | None = IMAGE
    suffix: str | None = None
    file_name: str | None = None
    options: tuple[str, ...] = ()
    check: Callable[[reader.Reader], None] = fits_any_file
    counts: Callable[[reader.Reader, bool], str] = counts
    aliases: tuple[str, ...] = ()

    def default_name(self, path: Path) -> str:
        """Name the result for a file at that path."""
        stem = path.name.removesuffix(".h5")
        return self.file_name or (f"{stem}-{self.name}" if self.suffix is None else f"{stem}{self.suffix}")


# ---------------------------------------------------------------- folders


@contextlib.contextmanager
def replacing_folder(target: Path, form: str, new: bool = False):
    """Yield a temporary folder next to the target, renamed to it when the block succeeds and removed when it fails.

    An earlier export at the target is removed at the same moment, unless it contains files that we did not write
    (`Failure`). `form` is recorded in the mark that identifies an export. `new`: nothing but an empty folder is
    replaced; raises `files.Taken` where something has the name by then.
    """
    files.make_folder(target.parent)
    stem = f".{target.name}.{socket.gethostname()}-{os.getpid()}"
    files.remove_stale_temporaries(target)
    temporary, old = target.with_name(f"{stem}.tmp"), target.with_name(f"{stem}.old")
    temporary.mkdir()
    try:
        yield temporary
        marks.write(temporary, form)
        with defer_signals():
            _publish(temporary, target, old, new)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, target: Path, old: Path, new: bool) -> None:
    """Give a finished folder its name; an earlier export is moved to `old`, checked and removed."""
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
    """Write an indented JSON file into a folder that is still temporary."""
    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def class_folders(names: list[str]) -> list[str]:
    """Name a folder for each class: its number, then what of its name any file system takes.

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
    """Encode an (H, W, C) uint8 image, RGB or grey, as PNG, without losses."""
    import cv2

    done, code = cv2.imencode(".png", image[..., ::-1] if image.shape[-1] == 3 else image)
    if not done:
        raise Failure(f"an image of {image.shape} could not be written as PNG")
    return code.tobytes()


def write_pictures(data: reader.Reader, array: str, path_of: Callable[[int], Path], bar, chosen=None) -> None:
    """Write every image of an array as a PNG, block by block on a few threads.

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
    at_once = max(1, min(2048, splits.BLOCK // int(np.prod(data.manifest.shape(array)[1:]))))
    for start in range(0, len(chosen), at_once):
        yield start, data.pick(array, chosen[start : start + at_once])


def digits(count: int) -> int:
    """Count the digits of the last row's number: names of that width sort as the rows do."""
    return len(str(max(0, count - 1)))
