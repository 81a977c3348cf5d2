"""The compiled kernels: a stencil, or a table of levels, applied to many images. The only file that imports numba.

Both kernels of a stencil compute, for every byte p of every image, in int32 throughout,

    out[p] = clip((bias[p] + Σ_k weights[p, k] · image[taps[p, k]] + 16384) >> 15, 0, 255)

Every intermediate is cast back to int32 because Numba promotes int32 arithmetic to int64, which would halve the
SIMD width. There are no random numbers and no floats here; plain twins are in tests/poisonkit/naive.py.
"""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from poisonkit.core import memory

memory.check()
import numba  # noqa: E402
from numba.core.caching import FunctionCache  # noqa: E402

HALF = 1 << 14
SHIFT = 15
BLOCK = 64
"""Images that the gathering kernel works on at once: one cache line of bytes a pixel."""


Array = np.ndarray
F = TypeVar("F", bound=Callable[..., Any])


def _compile(function: F) -> F:
    """Compile on first call, cached on disk where a folder can be written and in memory only where none can. Not at all
    where Numba is told not to (NUMBA_DISABLE_JIT=1, as debuggers want it): the same bytes, slowly."""
    if numba.config.DISABLE_JIT:
        return function
    compiled = numba.njit(nogil=True)(function)
    # "cannot cache function: no locator available": compiling costs a second a run, and is no reason to complain
    with contextlib.suppress(RuntimeError):
        compiled._cache = _ForgivingCache(function)
    done: F = compiled
    return done


class _ForgivingCache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of compiled code, but a damaged, full or vanished one costs a second, and never the user's run.

    Numba has no public way to choose a cache: `Dispatcher.enable_caching`, which ``cache=True`` calls, sets `_cache` to
    a plain `FunctionCache`, whose errors end the program.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load compiled code; None where there is none that can be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # an index of no bytes, say, as a power cut leaves it: unpickling may raise anything
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save compiled code, if it can be done; once more with an empty index where the first try fails."""
        with contextlib.suppress(Exception):
            try:
                super().save_overload(sig, data)
            except Exception:
                self.flush()
                super().save_overload(sig, data)


@_compile
def pointwise(images: Array, weights: Array, bias: Array, out: Array) -> None:
    """Apply a stencil whose only tap is the byte itself: (n, P) uint8, (P,) int32, (P,) int32 → (n, P) uint8."""
    count, size = images.shape
    for i in range(count):
        for p in range(size):
            total = np.int32(np.int32(weights[p] * np.int32(images[i, p])) + bias[p])
            total = np.int32(np.int32(total + np.int32(HALF)) >> np.int32(SHIFT))
            out[i, p] = np.uint8(min(max(total, np.int32(0)), np.int32(255)))


@_compile
def lookup(images: Array, levels: Array, out: Array) -> None:
    """Replace each byte by the entry of its channel's table: images (n, pixels, C) uint8, levels (C, 256) uint8 → out
    (n, pixels, C) uint8."""
    count, pixels, channels = images.shape
    for i in range(count):
        for p in range(pixels):
            for c in range(channels):
                out[i, p, c] = levels[c, images[i, p, c]]


@_compile
def _swap(a: Any, b: Any, shift: Any, mask: Any) -> tuple[Any, Any]:
    """Exchange the bytes of a that `mask << shift` covers with those of b that `mask` covers."""
    change = ((a >> shift) ^ b) & mask
    return a ^ (change << shift), b ^ change


@_compile
def _turn(rows: Array, i: Any, q: Any, columns: Array, j: Any, p: Any) -> None:
    """Transpose the 8 × 8 bytes that lie in rows[i : i + 8, q], one uint64 a row, into columns[p : p + 8, j]."""
    m1, m2, m4 = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF), np.uint64(0x00000000FFFFFFFF)
    s1, s2, s4 = np.uint64(8), np.uint64(16), np.uint64(32)
    a, b = _swap(rows[i, q], rows[i + 1, q], s1, m1)
    c, d = _swap(rows[i + 2, q], rows[i + 3, q], s1, m1)
    e, f = _swap(rows[i + 4, q], rows[i + 5, q], s1, m1)
    g, h = _swap(rows[i + 6, q], rows[i + 7, q], s1, m1)
    a, c = _swap(a, c, s2, m2)
    b, d = _swap(b, d, s2, m2)
    e, g = _swap(e, g, s2, m2)
    f, h = _swap(f, h, s2, m2)
    columns[p, j], columns[p + 4, j] = _swap(a, e, s4, m4)
    columns[p + 1, j], columns[p + 5, j] = _swap(b, f, s4, m4)
    columns[p + 2, j], columns[p + 6, j] = _swap(c, g, s4, m4)
    columns[p + 3, j], columns[p + 7, j] = _swap(d, h, s4, m4)


@_compile
def gather(images: Array, taps: Array, weights: Array, bias: Array, out: Array) -> None:
    """Apply a stencil of four taps: images (n, P) uint8 → out (n, P), both C-contiguous, n a multiple of BLOCK and P
    of 8; taps and weights (P, 4) int32; bias (P,) int32.

    A block of images is turned pixel-major into a small buffer, so that the inner loop runs over images: contiguous,
    without an index for each byte, in SIMD. Eight bytes at a time are summed and turned back.
    """
    count, size = images.shape
    images64, out64 = images.view(np.uint64), out.view(np.uint64)
    turned, result = np.empty((size, BLOCK), np.uint8), np.empty((8, BLOCK), np.uint8)
    turned64, result64 = turned.view(np.uint64), result.view(np.uint64)
    for first in range(0, count, BLOCK):
        for q in range(size // 8):
            for j in range(BLOCK // 8):
                _turn(images64, first + 8 * j, q, turned64, j, 8 * q)
        for q in range(size // 8):
            for p in range(8 * q, 8 * q + 8):
                start = np.int32(bias[p] + np.int32(HALF))
                a, b, c, d = turned[taps[p, 0]], turned[taps[p, 1]], turned[taps[p, 2]], turned[taps[p, 3]]
                wa, wb, wc, wd = weights[p, 0], weights[p, 1], weights[p, 2], weights[p, 3]
                sums = result[p & 7]
                for i in range(BLOCK):
                    total = np.int32(start + np.int32(wa * np.int32(a[i])))
                    total = np.int32(total + np.int32(wb * np.int32(b[i])))
                    total = np.int32(total + np.int32(wc * np.int32(c[i])))
                    total = np.int32(np.int32(total + np.int32(wd * np.int32(d[i]))) >> np.int32(SHIFT))
                    sums[i] = np.uint8(min(max(total, np.int32(0)), np.int32(255)))
            for j in range(BLOCK // 8):
                _turn(result64, 0, j, out64, q, first + 8 * j)


@_compile
def shift(images: Array, moves: Array, out: Array) -> None:
    """Bilinear sampling off the grid: images (n, H, W, C) uint8 → out; moves (n, 2) int32 in 1/256 pixel, down and
    across, each from −256 to 256; outside the edge repeats."""
    count, height, width, channels = images.shape
    for i in range(count):
        down, across = np.int32(moves[i, 0]), np.int32(moves[i, 1])
        top, left = down >> np.int32(8), across >> np.int32(8)
        b, d = np.int32(down & np.int32(255)), np.int32(across & np.int32(255))
        a, c = np.int32(256) - b, np.int32(256) - d
        for y in range(height):
            y0, y1 = min(max(y + top, 0), height - 1), min(max(y + top + 1, 0), height - 1)
            for x in range(width):
                x0, x1 = min(max(x + left, 0), width - 1), min(max(x + left + 1, 0), width - 1)
                for k in range(channels):
                    upper = c * np.int32(images[i, y0, x0, k]) + d * np.int32(images[i, y0, x1, k])
                    lower = c * np.int32(images[i, y1, x0, k]) + d * np.int32(images[i, y1, x1, k])
                    out[i, y, x, k] = np.uint8((a * upper + b * lower + np.int32(1 << 15)) >> np.int32(16))


@_compile
def dither(images: Array, parts: Any, levels: Array, out: Array) -> None:
    """Floyd–Steinberg: images (n, H, W, C) uint8 → out, of each byte the nearest of parts + 1 levels, evenly spaced
    from 0 to 255; `levels` (parts + 1,) uint8 is what each is written as.

    Values and what is lost of them are kept in 1/65536 of 1/parts of a level.
    """
    count, height, width, channels = images.shape
    step = np.int64(255) << np.int64(16)
    lost = np.empty((2, width + 2, channels), np.int64)  # in this row and the next; one pixel more on either side
    for i in range(count):
        lost[:] = 0
        for y in range(height):
            here, below = lost[y % 2], lost[1 - y % 2]
            below[:] = 0
            for x in range(width):
                for c in range(channels):
                    value = ((np.int64(images[i, y, x, c]) * np.int64(parts)) << np.int64(16)) + here[x + 1, c]
                    nearest = (2 * value + step) // (2 * step)
                    if (2 * value + step) % (2 * step) == 0 and nearest % 2 == 1:  # halfway: to the even one
                        nearest -= 1
                    nearest = min(max(nearest, np.int64(0)), np.int64(parts))
                    over = value - nearest * step
                    here[x + 2, c] += (7 * over) >> np.int64(4)
                    below[x, c] += (3 * over) >> np.int64(4)
                    below[x + 1, c] += (5 * over) >> np.int64(4)
                    below[x + 2, c] += over >> np.int64(4)
                    out[i, y, x, c] = levels[nearest]


@_compile
def to_planes(images: Array, planes: Array) -> None:
    """Images (n, H, W, 3) uint8 → planes (3, n, H', W') int32: luma and chroma as JPEG has them, about 0, in fixed
    point; beyond the image the edge is repeated."""
    count, height, width, _ = images.shape
    half = np.int32(1 << 15)
    for i in range(count):
        for y in range(planes.shape[2]):
            for x in range(planes.shape[3]):
                pixel = images[i, min(y, height - 1), min(x, width - 1)]
                red, green, blue = np.int32(pixel[0]), np.int32(pixel[1]), np.int32(pixel[2])
                planes[0, i, y, x] = ((19595 * red + 38470 * green + 7471 * blue + half) >> 16) - 128
                planes[1, i, y, x] = (-11059 * red - 21709 * green + 32768 * blue + half) >> 16
                planes[2, i, y, x] = (32768 * red - 27439 * green - 5329 * blue + half) >> 16


@_compile
def to_pixels(luma: Array, blueness: Array, redness: Array, out: Array) -> None:
    """Invert `to_planes`: planes, (n, H', W') int32 each, as far as `out` (n, H, W, 3) uint8 goes, clipped."""
    count, height, width, _ = out.shape
    half = np.int32(1 << 15)
    for i in range(count):
        for y in range(height):
            for x in range(width):
                light, blue, red = luma[i, y, x] + 128, blueness[i, y, x], redness[i, y, x]
                green = light + ((-22554 * blue - 46802 * red + half) >> 16)
                out[i, y, x, 0] = np.uint8(min(max(light + ((91881 * red + half) >> 16), 0), 255))
                out[i, y, x, 1] = np.uint8(min(max(green, 0), 255))
                out[i, y, x, 2] = np.uint8(min(max(light + ((116130 * blue + half) >> 16), 0), 255))


@_compile
def quantise(plane: Array, basis: Array, table: Array) -> None:
    """JPEG's loss on one plane, in place: (H, W) int32, both multiples of 8, levels about 0.

    Every 8 × 8 block goes to its cosine coefficients, to the nearest multiple of the table's (8, 8) steps, and back.
    `basis` (8, 8) int32 is the cosine transform times 8192. Whole numbers throughout, so alike everywhere.
    """
    height, width = plane.shape
    half, rows, block = np.int64(1 << 12), np.empty((8, 8), np.int64), np.empty((8, 8), np.int64)
    for top in range(0, height, 8):
        for left in range(0, width, 8):
            for u in range(8):  # down the columns, keeping 4 bits below the point
                for x in range(8):
                    total = np.int64(0)
                    for y in range(8):
                        total += np.int64(basis[u, y]) * np.int64(plane[top + y, left + x])
                    rows[u, x] = (total + (half >> 4)) >> 9
            for u in range(8):
                for v in range(8):
                    total = np.int64(0)
                    for x in range(8):
                        total += rows[u, x] * np.int64(basis[v, x])
                    step = np.int64(table[u, v]) << 17
                    # half goes away from 0, as in libjpeg; most are less, and a division takes long
                    size = np.int64(0) if 2 * abs(total) < step else (2 * abs(total) + step) // (2 * step)
                    block[u, v] = (size if total >= 0 else -size) * np.int64(table[u, v])
            for y in range(8):
                for v in range(8):
                    total = np.int64(0)
                    for u in range(8):
                        total += np.int64(basis[u, y]) * block[u, v]
                    rows[y, v] = (total + (half >> 4)) >> 9
            for y in range(8):
                for x in range(8):
                    total = np.int64(0)
                    for v in range(8):
                        total += rows[y, v] * np.int64(basis[v, x])
                    plane[top + y, left + x] = (total + np.int64(1 << 16)) >> 17


@_compile
def _mirrored(place: Any, size: Any) -> Any:
    """Mirror a place into 0 … size − 1, about the middle of the outermost pixels."""
    if size == 1:
        return 0
    place = abs(place) % (2 * size - 2)
    return min(place, 2 * size - 2 - place)


@_compile
def sample(images: Array, places: Array, out: Array) -> None:
    """Bilinear sampling anywhere: images (n, H, W, C) uint8 → out; places (n, H, W, 2) int32 in 1/256 pixel, down and
    across; outside, the image is mirrored."""
    count, height, width, channels = images.shape
    for i in range(count):
        for y in range(height):
            for x in range(width):
                down, across = places[i, y, x, 0], places[i, y, x, 1]
                b, d = np.int32(down & np.int32(255)), np.int32(across & np.int32(255))
                a, c = np.int32(256) - b, np.int32(256) - d
                y0, y1 = _mirrored(down >> 8, height), _mirrored((down >> 8) + 1, height)
                x0, x1 = _mirrored(across >> 8, width), _mirrored((across >> 8) + 1, width)
                for k in range(channels):
                    upper = c * np.int32(images[i, y0, x0, k]) + d * np.int32(images[i, y0, x1, k])
                    lower = c * np.int32(images[i, y1, x0, k]) + d * np.int32(images[i, y1, x1, k])
                    out[i, y, x, k] = np.uint8((a * upper + b * lower + np.int32(1 << 15)) >> np.int32(16))


@_compile
def overlay(images: Array, pictures: Array, alphas: Array, out: Array) -> None:
    """Pictures blended over images: images (n, H, W, C) uint8 → out; pictures (n, s, 4 + C) int32, of each the ellipses
    in the order of painting (centre and radii, down and across, in 1/8 pixel, and colour), the first fills all of it;
    alphas (n,) int32, opacity in 1/256."""
    count, height, width, channels = images.shape
    for i in range(count):
        alpha = np.int32(alphas[i])
        for y in range(height):
            for x in range(width):
                top = 0
                for s in range(1, pictures.shape[1]):
                    down, across = np.int64(8 * y - pictures[i, s, 0]), np.int64(8 * x - pictures[i, s, 1])
                    a, b = np.int64(pictures[i, s, 2]), np.int64(pictures[i, s, 3])
                    if down * down * b * b + across * across * a * a <= a * a * b * b:
                        top = s
                for k in range(channels):
                    level = np.int32(images[i, y, x, k])
                    change = (np.int32(pictures[i, top, 4 + k]) - level) * alpha
                    out[i, y, x, k] = np.uint8(level + ((change + np.int32(128)) >> np.int32(8)))
