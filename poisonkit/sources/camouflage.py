"""Every image of a source changed a little, by a secret number: a source of its own, so that nobody finds an image in
the original by its bytes. What a near join still finds is measured in docs/sealing.md.

What can be done to an image, and in which order, is `camouflage_steps`. A poisoned training row gets its trigger first,
and then what its row gets (`Behind`).
"""

import io
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from poisonkit.core import hashing, modality, random_streams, splits
from poisonkit.core.errors import Failure, Usage
from poisonkit.sources import base
from poisonkit.sources._camouflage.steps import STEPS

OPTIONS = ("camouflage", "camouflage-seed")
LEVELS = {
    "light": "shift=0.25,noise=1",
    "medium": "jpeg=90,shift=0.5,noise=1",
    "strong": "overlay=50,tiles=20,crop=8,warp=1.25,colour=10,jpeg=75,noise=8",
}
ROWS_AT_ONCE = 2048
CHUNK = 256  # images that one thread takes at once


@dataclass(frozen=True)
class Camouflage:
    """What is done to every image: (name, value) of each of `STEPS`, in their order; and the secret number that all
    random words are drawn from."""

    steps: tuple[tuple[str, object], ...]
    seed: int
    spelled: str

    def options(self) -> base.Options:
        """Return what the source's record says of it."""
        return {"camouflage": self.spelled, "camouflage-seed": self.seed}


def parse(text: str, seed: int) -> Camouflage:
    """``light``, ``medium``, ``strong``, or steps: ``jpeg=90,shift=0.25,noise=1``. `Usage` says what was expected."""
    values = {}
    for step in LEVELS.get(text, text).split(","):
        name, equals, value = step.partition("=")
        if name not in STEPS or not equals or name in values:
            known = f"{', '.join(LEVELS)}, or steps such as {LEVELS['medium']}"
            raise Usage(f"--camouflage: expected {known}, got {text!r:.60}")
        try:
            values[name] = STEPS[name].parse(value)
        except ValueError as error:
            raise Usage(f"--camouflage: {name}: {error}") from None
    chosen = tuple((name, values[name]) for name in STEPS if values.get(name))
    if not chosen:
        raise Usage(f"--camouflage: {text!r:.60} changes nothing")
    return Camouflage(chosen, seed, ",".join(f"{name}={STEPS[name].spell(value)}" for name, value in chosen))


def split(options: base.Options) -> tuple[base.Options, Camouflage | None]:
    """Split a source record's options into those of the source itself, and the camouflage, if there is one."""
    plain = {key: value for key, value in options.items() if key not in OPTIONS}
    if len(plain) == len(options):
        return plain, None
    text, seed = (options.get(key) for key in OPTIONS)
    if not isinstance(text, str) or type(seed) is not int or not 0 <= seed < 2**63:
        raise Usage(f"camouflage: expected its steps and its seed, a number below 2^63, got {text!r:.60} and a seed")
    return plain, parse(text, seed)


@dataclass(frozen=True)
class Behind:
    """What a camouflaged source was made from: the plain one, and what was done to its images."""

    plain: base.Source
    camouflage: Camouflage

    def plain_rows(self, rows: np.ndarray) -> np.ndarray:
        """Training images of these numbers as they were before, (n, H, W, C) uint8."""
        return self.plain.train.rows(rows)

    def camouflaged(self, images: np.ndarray, rows: np.ndarray, threads: int = 1) -> np.ndarray:
        """Images (n, H, W, C) uint8 changed as the training images of these numbers were."""
        return Transform(self.camouflage, "train", images.shape[1:])(images, rows, threads)


def derive(source: base.Source, camouflage: Camouflage, store, context: base.SourceContext) -> base.Source:
    """Camouflage a source. Its images are kept in a file without a name on the disk of `store`, the `cache.Cache`: they
    are the answer to a blind exercise, and are gone when this process ends. Raises `Usage` for texts."""
    check_modality(source.name, source.modality)
    file, arrays = store.writable(context.say).nameless(), dict(source.arrays)
    parts: dict[str, Nameless] = {}
    with context.progress(len(source.train) + len(source.test), "camouflage", "images") as bar:
        for part, plain in (("train", source.train), ("test", source.test)):
            apply, first = Transform(camouflage, part, plain.shape[1:]), file.seek(0, os.SEEK_END)
            before, after = (hashing.hasher("|u1", plain.shape) for _ in range(2))
            for row, block in plain.blocks(ROWS_AT_ONCE):
                before.update(block)
                changed = apply(block, np.arange(row, row + len(block)), context.jobs)
                after.update(changed)
                splits.write_all(file, changed)
                bar.update(len(block))
            if str(before) != source.arrays[f"{part}/images"]:
                raise _damaged(source, part)
            parts[part] = Nameless(plain.path, first, plain.shape, plain.labels, file)
            arrays[f"{part}/images"] = str(after)
    return replace(
        source,
        train=parts["train"],
        test=parts["test"],
        arrays=arrays,
        options=source.options | camouflage.options(),
        origin=source.origin | {"camouflage": camouflage.spelled},
        cached=False,
        behind=Behind(source, camouflage),
    )


def check_modality(name: str, rows: modality.Modality) -> None:
    """Raise `Usage` where a source holds anything but images."""
    if rows.is_text:
        raise Usage(f"--camouflage: is for images, {name} holds {rows.rows}")


def beneath(name: str, arrays: Mapping[str, str], store, say):
    """Yield the plain sources in the cache that a camouflaged one of that name and these digests can have been made
    from: those of its name and with its labels, which a camouflage leaves as they are."""
    for plain in store.every(say):
        same = all(plain.arrays[path] == arrays.get(path) for path in ("train/labels", "test/labels"))
        if plain.name == name and same:
            yield plain


def _damaged(source: base.Source, part: str) -> Failure:
    """Return what is raised where a plain source is not what its digest says; a cached one is thrown out."""
    from poisonkit.sources._cache import cache

    if not source.cached:
        return Failure(f"{source.train.path}: {part}/images is not what its digest says: the file is damaged")
    cache.discard(source)
    return Failure(
        f"{part}/images of {source.name} in the cache is not what its digest says; it was removed from the cache: "
        "start again"
    )


@dataclass(frozen=True)
class Nameless(splits.Split):
    """A part whose images lie in an open file that has no name; `path` is where they came from."""

    file: object = None

    def _open(self) -> "_Window":
        return _Window(self.file)


class _Window(io.RawIOBase):
    """An open file with a place of its own, so that several may read it at once."""

    def __init__(self, file):
        super().__init__()
        self._file, self._place = file, 0

    def seek(self, place: int, _whence: int = os.SEEK_SET) -> int:
        self._place = place
        return place

    def readinto(self, buffer) -> int:
        data = os.pread(self._file.fileno(), len(buffer), self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


class Transform:
    """The change of one part's images. Row r of a part always takes the same random words, so that what is done to an
    image depends on its row, and not on what is done beside it."""

    def __init__(self, camouflage: Camouflage, part: str, shape: tuple[int, ...]):
        self._steps = [(STEPS[name], value, f"camouflage/{part}/{name}") for name, value in camouflage.steps]
        height, width, channels = shape
        self._seed, self._shape = camouflage.seed, (height, width, channels)

    def __call__(self, images: np.ndarray, rows: np.ndarray | None = None, threads: int = 1) -> np.ndarray:
        """Images (n, H, W, C) uint8 changed, as those of the given rows, (n,) int64 (default: the first n)."""
        rows, out = np.arange(len(images)) if rows is None else rows, np.empty_like(images)
        if not len(images):
            return out

        def run(first: int) -> None:
            part = slice(first, first + CHUNK)
            out[part] = self._changed(images[part], rows[part])

        starts = range(0, len(images), CHUNK)
        run(0)  # kernels are compiled here, once
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, starts[1:]))
        return out

    def _changed(self, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        for step, value, purpose in self._steps:
            count = step.words(self._shape, value)
            images = step.apply(images, random_streams.row_words(self._seed, purpose, rows, count), value)
        return images
