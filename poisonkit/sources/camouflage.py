"""Every image of a source changed a little, by a secret number: a source of its own, so that nobody finds an image in
the original by its bytes. What a near join still finds is measured in docs/sealing.md.

What can be done to an image, and in which order, is `camouflage_steps`. (JPEG comes first: last it would leave every
coefficient on its steps but where a trigger was put on afterwards.)
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from poisonkit import modality, sampling
from poisonkit.errors import Usage
from poisonkit.sources import base
from poisonkit.sources.camouflage_steps import STEPS

VERSION = 1  # raised when the same steps and seed give other bytes
OPTIONS = ("camouflage", "camouflage-seed")
LEVELS = {
    "light": "shift=0.25,noise=1",
    "medium": "jpeg=90,shift=0.5,noise=1",
    "strong": "jpeg=75,shift=0.5,noise=2",
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

    def options(self) -> dict:
        """What the source's record says of it."""
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


def split(options: dict) -> tuple[dict, Camouflage | None]:
    """A source record's options without those of the camouflage, and the camouflage, if there is one."""
    plain = {key: value for key, value in options.items() if key not in OPTIONS}
    if len(plain) == len(options):
        return plain, None
    text, seed = (options.get(key) for key in OPTIONS)
    if not isinstance(text, str) or type(seed) is not int or not 0 <= seed < 2**63:
        raise Usage(f"camouflage: expected its steps and its seed, got {text!r:.60} and {seed!r:.60}")
    return plain, parse(text, seed)


def derive(source: base.Source, wanted: Camouflage, store, context: base.Context) -> base.Source:
    """The camouflaged source, from the cache or made into it; `store` is the `cache.Cache`. `Usage` for texts."""
    if source.modality != modality.IMAGE:
        raise Usage(f"--camouflage: is for images, {source.name} holds {source.modality.rows}")
    fingerprint = {"camouflage": wanted.options(), "version": VERSION, "of": source.digest, "options": source.options}
    fingerprint |= {"classes": list(source.classes)}
    found = store.lookup(source.name, fingerprint, context.say)
    if found is not None:
        return found
    origin = base.Origin(fingerprint, lambda *given: _write(source, wanted, *given), source.options | wanted.options())
    return store.writable(context.say).fill(source.name, origin, context)


def _write(source: base.Source, wanted: Camouflage, writer, context: base.Context) -> dict:
    if source.classes != base_classes(source.name):
        writer.classes = source.classes
    with context.progress(len(source.train) + len(source.test), "camouflage", "images") as bar:
        for part, images in (("train", source.train), ("test", source.test)):
            apply = Transform(wanted, part, images.shape[1:])
            with writer.part(part, images.labels, images.shape[1:]) as target:
                for row, block in images.blocks(ROWS_AT_ONCE):
                    target.write(row, apply(block, np.arange(row, row + len(block)), context.jobs))
                    bar.update(len(block))
    return source.origin | {"camouflage": wanted.spelled}


def base_classes(name: str) -> tuple[str, ...]:
    """The class names of a source's module; a source whose names are its data's own has others."""
    from poisonkit.sources import module

    return tuple(module(name).CLASSES)


class Transform:
    """The change of one part's images. Row r of a part always takes the same random words, so that what is done to an
    image depends on its row, and not on what is done beside it."""

    def __init__(self, wanted: Camouflage, part: str, shape: tuple[int, int, int]):
        self._steps = [(STEPS[name], value, f"camouflage/{part}/{name}") for name, value in wanted.steps]
        self._seed, self._shape = wanted.seed, tuple(shape)

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
            images = step.apply(images, sampling.row_words(self._seed, purpose, rows, count), value)
        return images
