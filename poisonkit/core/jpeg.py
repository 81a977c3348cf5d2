"""What JPEG leaves of an image, in whole numbers and by code of our own: libjpeg's bytes differ between its versions,
and these are the same on every machine."""

import numpy as np

from poisonkit.core.signals import defer_signals

# cos(k·π/16) / 2 times 8192, and that of k = 4 for the constant row: JPEG's cosine transform in fixed point.
_COSINES = (4096, 4017, 3784, 3406, 2896, 2276, 1567, 799)
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), (99, 99, 99, 99, 99, 99, 99, 99), (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99), (99, 99, 99, 99, 99, 99, 99, 99),
)  # fmt: skip


def steps(quality: int, table: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Return a quantisation table of JPEG (Annex K) at a quality of 1 … 100, scaled as libjpeg does, (8, 8) int32."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.asarray(((np.array(table, np.int32) * scale + 50) // 100).clip(1, 255), np.int32)


def basis() -> np.ndarray:
    """Return the cosine transform of 8 values times 8192, (8, 8) int32: row u is a(u)·cos((2x + 1)uπ/16)."""
    rows = np.empty((8, 8), np.int32)
    for u in range(8):
        for x in range(8):
            k = (2 * x + 1) * u % 32
            k, sign = (32 - k, 1) if k > 16 else (k, 1)
            k, sign = (16 - k, -1) if k > 8 else (k, sign)
            rows[u, x] = _COSINES[4] if u == 0 else sign * _COSINES[k] if k < 8 else 0
    return rows


def jpeg(images: np.ndarray, quality: int, halved: bool = False) -> np.ndarray:
    """Return what JPEG of that quality leaves of images (n, H, W, C) uint8; C is 1 or 3.

    `halved`: with the usual subsampling (4:2:0), the two chroma planes at half the height and width; else without.
    """
    with defer_signals():  # numba is imported here, and may compile
        from poisonkit.core import kernels

        kernels.quantise(np.zeros((8, 8), np.int32), basis(), steps(quality, LUMA))
    halved = halved and images.shape[3] == 3
    tables = [steps(quality, LUMA), steps(quality, CHROMA), steps(quality, CHROMA)]
    planes = _planes(images, 16 if halved else 8)
    if halved:
        planes[1:] = [_smaller(plane) for plane in planes[1:]]
    for plane, table in zip(planes, tables, strict=False):
        kernels.quantise(plane.reshape(-1, plane.shape[-1]), basis(), table)
    if halved:
        height, width = (-(-side // 2) for side in images.shape[1:3])
        planes[1:] = [_larger(plane[:, :height, :width]) for plane in planes[1:]]
    return _pixels(planes, images.shape[1:3])


def _planes(images: np.ndarray, multiple: int) -> list[np.ndarray]:
    """Luma and chroma about 0, (n, H', W') int32 each, the edge repeated up to multiples of that. Fixed point, 2^16."""
    count, height, width, channels = images.shape
    down, across = -height % multiple, -width % multiple
    if channels == 1:
        padded = np.pad(images[..., 0], ((0, 0), (0, down), (0, across)), "edge")
        return [padded.astype(np.int32) - np.int32(128)]
    from poisonkit.core import kernels

    planes = np.empty((3, count, height + down, width + across), np.int32)
    kernels.to_planes(np.ascontiguousarray(images), planes)
    return list(planes)


def _smaller(plane: np.ndarray) -> np.ndarray:
    """Return the means of 2 × 2 pixels of planes (n, H, W) int32; as in libjpeg, a half goes down and up in turn."""
    sums = plane[:, ::2, ::2] + plane[:, 1::2, ::2] + plane[:, ::2, 1::2] + plane[:, 1::2, 1::2]
    return np.ascontiguousarray((sums + 1 + np.arange(sums.shape[2], dtype=np.int32) % 2) >> 2)


def _larger(plane: np.ndarray) -> np.ndarray:
    """Return planes (n, H, W) int32 at twice the height and width: 3 parts of the nearest pixel and one of the next, in
    each direction, the edge repeated; as libjpeg does by default ("fancy upsampling")."""
    count, height, width = plane.shape
    padded = np.pad(plane, ((0, 0), (1, 1), (1, 1)), "edge")
    rows, out = np.empty((count, 2 * height, width + 2), np.int32), np.empty((count, 2 * height, 2 * width), np.int32)
    near = 3 * padded[:, 1:-1]
    rows[:, ::2], rows[:, 1::2] = near + padded[:, :-2], near + padded[:, 2:]
    near = 3 * rows[..., 1:-1]
    out[..., ::2], out[..., 1::2] = (near + rows[..., :-2] + 8) >> 4, (near + rows[..., 2:] + 7) >> 4
    return out


def _pixels(planes: list[np.ndarray], size: tuple[int, ...]) -> np.ndarray:
    """Return the inverse of `_planes`, cut to (height, width) and clipped to bytes."""
    if len(planes) == 1:
        luma = planes[0][:, : size[0], : size[1]] + np.int32(128)
        return np.asarray(luma.clip(0, 255).astype(np.uint8)[..., None])
    from poisonkit.core import kernels

    brightness, blueness, redness = planes
    out = np.empty((len(brightness), *size, 3), np.uint8)
    kernels.to_pixels(brightness, blueness, redness, out)
    return out
