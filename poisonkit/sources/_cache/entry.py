"""One decoded source in a folder: written while it is decoded, and opened again.

train_images, test_images   raw bytes, C order; or, of texts, train_texts, test_texts in UTF-8, one after the other, and
train_offsets, test_offsets where each begins and the last one ends, <i8
train_labels, test_labels   <i8
index.json                  name, options, shapes, digests, and class names where they are the data's own
"""

import json
from pathlib import Path

import numpy as np

from poisonkit.core import hashing, splits
from poisonkit.sources import base
from poisonkit.sources._cache import text_entry
from poisonkit.sources.registry import SOURCES

VERSION = 1
PARTS = ("train", "test")


class Writer:
    """Takes the parts of a source while it is decoded, into a folder; and its class names, where they are not those
    of its module."""

    def __init__(self, path: Path):
        self.path = path
        self.classes: tuple[str, ...] = ()
        self.parts: dict[str, Part | text_entry.TextPart] = {}

    def part(self, name: str, labels: np.ndarray, shape: tuple[int, int, int]) -> "Part":
        """Begin the part `name` ("train" or "test"): labels (N,) int64 and the shape (H, W, C) of an image."""
        part = self.parts[name] = Part(self.path / f"{name}_images", labels, shape)
        return part

    def texts(self, name: str, labels: np.ndarray, texts, where: str | None = None) -> None:
        """Write the part `name`: labels (N,) int64 and as many texts, an iterable of `str`, which are stripped.

        `Failure` where one is empty, or holds a NUL or half of a surrogate pair: it names the row, counted from 0,
        after `where`.
        """
        self.parts[name] = text_entry.TextPart(self.path, name, labels, texts, where or f"{name}: row")


class Part:
    """One part of a source being written: images in blocks, anywhere; hashed on the way where they come in order."""

    def __init__(self, path: Path, labels: np.ndarray, shape: tuple[int, int, int]):
        self.path = path
        self.labels = np.ascontiguousarray(labels, "<i8")
        self.shape = (len(labels), *shape)
        self._hash = hashing.ArrayHash("|u1", self.shape)
        self._next = 0

    def __enter__(self):
        self._file = open(self.path, "wb", buffering=0)
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, row: int, images: np.ndarray) -> None:
        """Write images (n, H, W, C) uint8 from `row` on."""
        images = np.ascontiguousarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != self.shape[1:] or row + len(images) > self.shape[0]:
            raise ValueError(f"rows {row} and on: {images.dtype} {images.shape} into {self.shape}")
        self._file.seek(row * images[:1].size)
        splits.write_all(self._file, images)
        if row == self._next:
            self._hash.update(images)
            self._next += len(images)

    def finish(self) -> tuple[splits.Split, dict[str, str]]:
        """Return the part as a split, and the digests of its images and labels."""
        split = splits.Split(self.path, 0, self.shape, self.labels)
        if self._next != len(split):  # blocks came in another order: hash what was written
            self._hash = hashing.ArrayHash("|u1", self.shape)
            for _, block in split.blocks():
                self._hash.update(block)
        return split, {"images": str(self._hash), "labels": hashing.array_digest(self.labels)}


def finish(name: str, writer: Writer, options: dict) -> str:
    """Write labels and index beside the images; the digest that names the entry.

    It is that of the source's arrays; of names and options too where the class names are the data's own, because then
    equal arrays may come under other names.
    """
    arrays: dict[str, str] = {}
    shapes: dict[str, list[int]] = {}
    for part in PARTS:
        split, digests = writer.parts[part].finish()
        shapes[part] = list(split.shape)
        arrays |= {f"{part}/{kind}": value for kind, value in digests.items()}
        (writer.path / f"{part}_labels").write_bytes(split.labels.tobytes())
    index = {"version": VERSION, "name": name, "options": options, "shapes": shapes, "arrays": arrays}
    if writer.classes:
        index["classes"] = list(writer.classes)
    (writer.path / "index.json").write_bytes(hashing.canonical(index))
    return hashing.digest(index if writer.classes else arrays)


def read_index(path: Path) -> dict:
    """Read the index of the entry in a folder. `ValueError` if it is none that this version can read."""
    index = json.loads((path / "index.json").read_bytes())
    keys = {"version", "name", "options", "shapes", "arrays"}
    if not isinstance(index, dict) or index.keys() - {"classes"} != keys or index["version"] != VERSION:
        raise ValueError(f"{path}: no index of version {VERSION}")
    return index


def load(path: Path, origin: dict) -> base.Source:
    """Load the source in a folder: its labels are read, of its images only the size is checked.

    Raises
    ------
    FileNotFoundError
        It is gone.
    OSError, KeyError, TypeError, ValueError
        It is damaged.
    """
    index = read_index(path)
    train, test = (_open_part(path, part, index["shapes"][part], index["arrays"]) for part in PARTS)
    spec = SOURCES[index["name"]]
    about = {"title": spec.title, "licence": spec.licence, "url": spec.url}
    if spec.described is not None:
        about |= spec.described(len(train), len(test))
    return base.Source(
        name=index["name"],
        title=about["title"],
        licence=about["licence"],
        url=about["url"],
        classes=tuple(index.get("classes", spec.classes)),
        train=train,
        test=test,
        arrays=index["arrays"],
        options=index["options"],
        origin=origin,
    )


def _open_part(path: Path, part: str, shape: list[int], arrays: dict):
    """Open one part of an entry; `ValueError` if its files are not what the index says. Labels are checked in full,
    the images by their size alone: their digest is checked where they are streamed."""
    if len(shape) == 1:
        return text_entry.load(path, part, shape, arrays)
    labels = np.fromfile(path / f"{part}_labels", "<i8")
    images = path / f"{part}_images"
    if len(shape) != 4 or images.stat().st_size != int(np.prod(shape)) or labels.shape != (shape[0],):
        raise ValueError(f"{path}: wrong size")
    if hashing.array_digest(labels) != arrays[f"{part}/labels"]:
        raise ValueError(f"{path}: wrong labels")
    height, width, channels = shape[1:]
    return splits.Split(images, 0, (shape[0], height, width, channels), labels)
