"""Every image of a source changed a little, by a secret number: a source of its own, so that nobody finds an image in
the original by its bytes. What a near join still finds is measured in docs/sealing.md.

The steps, in this order: the loss of JPEG; a shift by a fraction of a pixel, drawn for each image; noise. (JPEG last
would leave every coefficient on its steps but where a trigger was put on afterwards.) All in whole numbers, and by code
of our own (libjpeg's bytes differ between its versions), so that every machine makes the same bytes.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from poisonkit import modality, sampling
from poisonkit.errors import Usage
from poisonkit.interrupts import held_back
from poisonkit.sources import base
from poisonkit.triggers.base import decimal, integer, spell

VERSION = 1  # raised when the same steps and seed give other bytes
OPTIONS = ("camouflage", "camouflage-seed")
LEVELS = {
    "light": "shift=0.25,noise=1",
    "medium": "jpeg=90,shift=0.5,noise=1",
    "strong": "jpeg=75,shift=0.5,noise=2",
}
PARSERS = {"jpeg": integer(1, 100), "shift": decimal("0", "1"), "noise": integer(0, 16)}
ROWS_AT_ONCE = 2048

# cos(k·π/16) / 2 times 8192, and that of k = 4 for the constant row: JPEG's cosine transform in fixed point.
_COSINES = (4096, 4017, 3784, 3406, 2896, 2276, 1567, 799)
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), (99, 99, 99, 99, 99, 99, 99, 99), (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99), (99, 99, 99, 99, 99, 99, 99, 99),
)  # fmt: skip


@dataclass(frozen=True)
class Camouflage:
    """What is done to every image: JPEG of that quality, a shift of at most so many 1/256 pixels either way, noise of
    at most so many grey levels (0: none of it); and the secret number that shift and noise are drawn from."""

    jpeg: int
    shift: int
    noise: int
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
        if name not in PARSERS or not equals or name in values:
            known = f"{', '.join(LEVELS)}, or steps such as {LEVELS['medium']}"
            raise Usage(f"--camouflage: expected {known}, got {text!r:.60}")
        try:
            values[name] = PARSERS[name](value)
        except ValueError as error:
            raise Usage(f"--camouflage: {name}: {error}") from None
    values = {name: values[name] for name in PARSERS if values.get(name, "0") not in ("0", 0)}
    shift = int(Decimal(values.get("shift", "0")) * 256)
    if not values or ("shift" in values and not shift):
        raise Usage(f"--camouflage: {text!r:.60} changes nothing")
    if "shift" in values:
        values["shift"] = spell(Decimal(shift) / 256)
    spelled = ",".join(f"{name}={value}" for name, value in values.items())
    return Camouflage(values.get("jpeg", 0), shift, values.get("noise", 0), seed, spelled)


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
                    target.write(row, apply(block, context.jobs))
                    bar.update(len(block))
    return source.origin | {"camouflage": wanted.spelled}


def base_classes(name: str) -> tuple[str, ...]:
    """The class names of a source's module; a source whose names are its data's own has others."""
    from poisonkit.sources import module

    return tuple(module(name).CLASSES)


class Transform:
    """The change of one part's images, row after row: every image takes the same count of words from the streams, so
    that an image's change depends on its row and not on the blocks."""

    def __init__(self, wanted: Camouflage, part: str, shape: tuple[int, int, int]):
        self.wanted, self.shape = wanted, shape
        self._moves = sampling.stream(wanted.seed, f"camouflage/{part}/shift")
        self._grain = sampling.stream(wanted.seed, f"camouflage/{part}/noise")

    def __call__(self, images: np.ndarray, threads: int = 1) -> np.ndarray:
        """The next images, (n, H, W, C) uint8, changed."""
        if self.wanted.jpeg:
            images = jpeg(images, self.wanted.jpeg, threads)
        if self.wanted.shift:
            images = shifted(images, self._draw_moves(len(images)))
        return self._noisy(images) if self.wanted.noise else images

    def _draw_moves(self, count: int) -> np.ndarray:
        """(count, 2) int32 in 1/256 pixel, uniform from −shift to shift."""
        words = self._moves.random_raw(2 * count).reshape(count, 2)
        width = np.uint64(2 * self.wanted.shift + 1)
        return ((words >> np.uint64(32)) * width >> np.uint64(32)).astype(np.int32) - np.int32(self.wanted.shift)

    def _noisy(self, images: np.ndarray) -> np.ndarray:
        """Noise in every byte: −n … n, evenly but for a 256th; then clipped to bytes."""
        size, n = int(np.prod(self.shape)), self.wanted.noise
        words = self._grain.random_raw(len(images) * -(-size // 8)).astype("<u8")
        grain = words.view(np.uint8).reshape(len(images), -1)[:, :size].astype(np.int16)
        noise = (grain * np.int16(2 * n + 1) >> 8) - np.int16(n)
        return (images + noise.reshape(images.shape)).clip(0, 255).astype(np.uint8)


def shifted(images: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Images (n, H, W, C) uint8 looked at `moves` (n, 2) int32 off their grid, in 1/256 pixel, bilinear."""
    out = np.empty_like(images)
    with held_back():  # numba is imported here, and may compile
        from poisonkit import kernels

        kernels.shift(np.ascontiguousarray(images), moves, out)
    return out


def steps(quality: int, table) -> np.ndarray:
    """A quantisation table of JPEG (Annex K) at a quality of 1 … 100, scaled as libjpeg does, (8, 8) int32."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((np.array(table, np.int32) * scale + 50) // 100).clip(1, 255).astype(np.int32)


def basis() -> np.ndarray:
    """The cosine transform of 8 values times 8192, (8, 8) int32: row u is a(u)·cos((2x + 1)uπ/16)."""
    rows = np.empty((8, 8), np.int32)
    for u in range(8):
        for x in range(8):
            k = (2 * x + 1) * u % 32
            k, sign = (32 - k, 1) if k > 16 else (k, 1)
            k, sign = (16 - k, -1) if k > 8 else (k, sign)
            rows[u, x] = _COSINES[4] if u == 0 else sign * _COSINES[k] if k < 8 else 0
    return rows


def jpeg(images: np.ndarray, quality: int, threads: int = 1) -> np.ndarray:
    """What JPEG of that quality, without subsampling, leaves of images (n, H, W, C) uint8; C is 1 or 3."""
    with held_back():
        from poisonkit import kernels

        kernels.quantise(np.zeros((8, 8), np.int32), basis(), steps(quality, _LUMA))
    tables = [steps(quality, _LUMA), steps(quality, _CHROMA), steps(quality, _CHROMA)]
    cosines, out = basis(), np.empty_like(images)

    def run(first: int) -> None:
        planes = _planes(images[first : first + 256])
        for k in range(images.shape[3]):
            kernels.quantise(planes[k].reshape(-1, planes.shape[-1]), cosines, tables[k])
        out[first : first + 256] = _pixels(planes, images.shape[1:3])

    if threads == 1:
        for first in range(0, len(images), 256):
            run(first)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, range(0, len(images), 256)))
    return out


def _planes(images: np.ndarray) -> np.ndarray:
    """Luma and chroma about 0, (C, n, H', W') int32 with the edge repeated up to multiples of 8. Fixed point, 2^16."""
    down, across = -images.shape[1] % 8, -images.shape[2] % 8
    padded = np.pad(images, ((0, 0), (0, down), (0, across), (0, 0)), "edge").astype(np.int32)
    if images.shape[3] == 1:
        return np.ascontiguousarray(padded.transpose(3, 0, 1, 2)) - np.int32(128)
    red, green, blue = padded[..., 0], padded[..., 1], padded[..., 2]
    half = 1 << 15
    luma = (19595 * red + 38470 * green + 7471 * blue + half) >> 16
    blueness = (-11059 * red - 21709 * green + 32768 * blue + half) >> 16
    redness = (32768 * red - 27439 * green - 5329 * blue + half) >> 16
    return np.stack([luma - 128, blueness, redness]).astype(np.int32)


def _pixels(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The inverse of `_planes`, cut to (height, width) and clipped to bytes."""
    planes = planes[:, :, : size[0], : size[1]]
    luma, half = planes[0] + np.int32(128), 1 << 15
    if len(planes) == 1:
        return luma.clip(0, 255).astype(np.uint8)[..., None]
    blueness, redness = planes[1], planes[2]
    red = luma + ((91881 * redness + half) >> 16)
    green = luma + ((-22554 * blueness - 46802 * redness + half) >> 16)
    blue = luma + ((116130 * blueness + half) >> 16)
    return np.stack([red, green, blue], -1).clip(0, 255).astype(np.uint8)
