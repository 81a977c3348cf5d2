"""npz: the user's own arrays in one NumPy file: x_train, y_train, x_test, y_test, and class names as `classes` if there
are any.

Images are uint8, (N, H, W) or (N, H, W, C) with C 1 or 3; labels whole numbers, (N,) or (N, 1). They are read block by
block out of the zip that an .npz file is, stored or compressed, so that a set may be larger than memory. Nothing is
ever unpickled. A class's index is its number in the file's own labels, whatever its name.
"""

import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.core import array_files, file_states, files, texts
from poisonkit.core.errors import Failure
from poisonkit.core.modality import IMAGE
from poisonkit.sources import base
from poisonkit.sources._fetch import archive

PARTS = ("train", "test")
BLOCK = 32 << 20  # bytes of images in memory at once
LARGEST_SIDE = 4096
MOST_CLASSES = 100_000
LONGEST_NAMES = 64 << 20  # bytes of all class names


@dataclass(frozen=True)
class Member:
    """One array of the file: its name there, its dtype and shape."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]


def locate(path: Path | None, options: base.Options) -> base.Origin:
    """Find the file at `path`. Raises `Usage` where none is named, `Failure` where there is none."""
    path = base.required(path, "npz", "FILE.npz, with x_train, y_train, x_test and y_test in it")
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise Failure(f"{path} {what}: expected an .npz file with x_train, y_train, x_test, y_test")
    return base.Origin({"file": file_states.fingerprint([path])}, lambda *given: _decode(path, *given), options)


def _decode(path: Path, writer, context: base.SourceContext) -> dict:
    digest = archive.file_hashes(path)["sha256"]
    bounds = archive.Bounds(archive.SMALL.members, sys.maxsize)  # the images are as many as the user's are
    with archive.opened_zip(path, bounds) as file, archive.damage(path):
        reader = _Reader(path, file)
        images = {part: reader.images(f"x_{part}") for part in PARTS}
        shape = _one_shape(path, images)
        labels = {part: reader.labels(f"y_{part}", images[part].shape[0]) for part in PARTS}
        writer.classes = _classes(path, reader.names("classes"), labels)
        total = sum(len(found) for found in labels.values())
        with context.progress(total, "reading arrays", "image") as bar:
            for part in PARTS:
                with writer.part(part, labels[part], shape) as target:
                    for start, block in reader.blocks(images[part], shape):
                        target.write(start, block)
                        bar.update(len(block))
    return {"kind": "file", "path": files.path_text(path), "sha256": f"sha256:{digest}", "official": None}


def _one_shape(path: Path, images: dict[str, Member]) -> tuple[int, int, int]:
    """(H, W, C) of the images of both parts."""
    (train, test) = (_image_shape(images[part]) for part in PARTS)
    if train != test:
        raise Failure(f"{path}: x_train has images of {_times(train)}, x_test of {_times(test)}: expected one shape")
    return train


def _image_shape(member: Member) -> tuple[int, int, int]:
    """(H, W, C) of images that are stored as (N, H, W) or (N, H, W, C)."""
    height, width, channels = (*member.shape[1:], 1)[:3]
    return height, width, channels


def _classes(path: Path, names: list[str] | None, labels: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Return the class names: those given, else the numbers up to the largest label."""
    largest = max(int(found.max()) for found in labels.values())
    if names is None and largest >= MOST_CLASSES:
        raise Failure(f"{path}: has the label {largest}, expected labels below {MOST_CLASSES}, numbered from 0")
    if names is not None and largest >= len(names):
        raise Failure(f"{path}: has the label {largest}, but classes names {len(names)}: labels are numbered from 0")
    return tuple(str(i) for i in range(largest + 1)) if names is None else tuple(names)


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


class _Reader:
    """The arrays of an open .npz file."""

    def __init__(self, path: Path, file: zipfile.ZipFile):
        self._path, self._file = path, file
        self._members = set(archive.zip_names(path, file))

    def _wrong(self, name: str, what: str) -> Failure:
        return Failure(f"{self._path}: {name} {what}")

    def _open(self, name: str):
        """Open the member as a file, behind its header, and what the header says."""
        if f"{name}.npy" not in self._members:
            names = ", ".join(sorted(texts.printable(found.removesuffix(".npy")) for found in self._members)[:8])
            raise self._wrong(name, f"is missing, expected x_train, y_train, x_test, y_test; found {names or 'none'}")
        stream = self._file.open(f"{name}.npy")
        try:
            shape, fortran, dtype = array_files.npy_header(stream)
        except (ValueError, KeyError) as error:
            raise self._wrong(name, f"is not a readable array ({str(error).splitlines()[0]})") from None
        if dtype.hasobject:
            raise self._wrong(name, "holds Python objects, which could run code when they are read: refused")
        if fortran and len(shape) > 1:
            raise self._wrong(name, "is in Fortran order: save np.ascontiguousarray(...) of it")
        size, held = dtype.itemsize * int(np.prod(shape, dtype=object)), self._file.getinfo(f"{name}.npy").file_size
        if stream.tell() + size != held:
            raise self._wrong(name, f"is of {_times(shape)} {dtype}, which does not fit the {held} bytes it has")
        return stream, Member(name, dtype, shape)

    def images(self, name: str) -> Member:
        """Return an array of images, checked but not read."""
        stream, found = self._open(name)
        stream.close()
        shape, hint = found.shape, ""
        if f"{name}_offsets.npy" in self._members:
            raise self._wrong(name, "is of texts: `export --format csv` and `make --dataset csv` carry these over")
        if found.dtype != np.uint8:
            scale = " (if they run from 0 to 1: (255 * x).round().astype('uint8'))" if found.dtype.kind == "f" else ""
            raise self._wrong(name, f"is {found.dtype}, expected uint8{scale}")
        if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
            hint = ": np.moveaxis(x, 1, -1) puts the channels last"
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
            raise self._wrong(name, f"is {_times(shape)}, expected (N, H, W) or (N, H, W, C) with C 1 or 3{hint}")
        if 0 in shape or max(shape[1:3]) > LARGEST_SIDE:
            raise self._wrong(name, f"is {_times(shape)}, expected at least one image, of 1 to {LARGEST_SIDE} a side")
        return found

    def labels(self, name: str, rows: int) -> np.ndarray:
        """Labels as (rows,) int64."""
        stream, found = self._open(name)
        with stream:
            if found.dtype.kind not in "iu":
                raise self._wrong(name, f"is {found.dtype}, expected whole numbers")
            if found.shape not in ((rows,), (rows, 1)):
                raise self._wrong(name, f"is {_times(found.shape)}, expected {rows} labels, one for each image")
            values = np.frombuffer(self._read(stream, found), found.dtype)
            stream.read(1)  # at the end the zip's checksum is compared
        if (values < 0).any() or (values >= 2**62).any():
            raise self._wrong(name, "has labels below 0: expected classes numbered from 0")
        return values.astype(np.int64)

    def names(self, name: str) -> list[str] | None:
        """Class names, None where the file has none."""
        if f"{name}.npy" not in self._members:
            return None
        stream, found = self._open(name)
        with stream:
            if found.dtype.kind not in "US" or len(found.shape) != 1 or not 1 <= found.shape[0] <= MOST_CLASSES:
                raise self._wrong(name, f"is {_times(found.shape)} {found.dtype}, expected one text for each class")
            if found.dtype.itemsize * found.shape[0] > LONGEST_NAMES:
                raise self._wrong(name, f"has over {LONGEST_NAMES >> 20} MB of names")
            values = np.frombuffer(self._read(stream, found), found.dtype).tolist()
        try:
            names = [value.decode() if isinstance(value, bytes) else value for value in values]
            printable = all(text.isprintable() and text for text in names)
        except ValueError:
            printable = False
        if not printable or len(set(names)) < len(names):
            raise self._wrong(name, "must be different names of printable characters")
        return names

    def blocks(self, member: Member, shape: tuple[int, int, int]):
        """Yield (first row, images (n, H, W, C) uint8)."""
        rows = max(1, BLOCK // int(np.prod(shape)))
        stream, _ = self._open(member.name)
        with stream:
            for start in range(0, member.shape[0], rows):
                part = Member(member.name, member.dtype, (min(rows, member.shape[0] - start), *shape))
                yield start, np.frombuffer(self._read(stream, part), np.uint8).reshape(part.shape)
            stream.read(1)

    def _read(self, stream, found: Member) -> bytes:
        size = found.dtype.itemsize * int(np.prod(found.shape))
        data = stream.read(size)
        if len(data) != size:
            raise self._wrong(found.name, "is cut off")
        return data


SPEC = base.SourceSpec(
    name="npz",
    title="npz: arrays from an .npz file",
    licence="not stated",
    url="",
    how="--source FILE.npz with x_train, y_train, x_test, y_test (uint8 images, whole-number labels) and maybe classes",
    modality=IMAGE,
    shape=(0, 0, 0),
    locate=locate,
)
