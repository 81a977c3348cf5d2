"""Decodes one picture file into a small RGB image, the same bytes with OpenCV 4 and 5."""

import re
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np

PNG = b"\x89PNG\r\n\x1a\n"
PPM = re.compile(rb"P6(?:\s|#[^\n]*\n)+(\d{1,5})(?:\s|#[^\n]*\n)+(\d{1,5})(?:\s|#[^\n]*\n)+255\s")
DENSEST = 8 * 1032  # pixels of one bit that a byte of deflate can stand for
LARGEST_SIDE = 4096  # no photograph of one traffic sign is larger; a few bytes of PNG can claim gigabytes


def quiet() -> None:
    """Keep OpenCV's own messages off the terminal: what goes wrong is told by whoever reads the file."""
    if hasattr(cv2, "setLogLevel"):  # OpenCV 4
        cv2.setLogLevel(0)
    else:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def thumbnail(data: bytes, side: int) -> np.ndarray:
    """Decode a whole picture, resized to (side, side, 3) uint8 RGB.

    By area where both sides of it are at least `side`, else linearly.

    Raises
    ------
    ValueError
        It is no whole PNG or binary PPM file; the message says why.
    """
    return resize(decode(data), side, side)


def decode(data: bytes, largest: int = LARGEST_SIDE) -> np.ndarray:
    """Decode a whole PNG or binary PPM file as (h, w, 3) uint8 RGB. Raises `ValueError` for anything
    else, and where a side is longer than `largest`."""
    return _png(data, largest) if data.startswith(PNG) else _ppm(data, largest)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize an image (h, w, C) uint8: by area where both its sides are at least as large, else linearly."""
    if image.shape[:2] == (height, width):
        return image
    large = image.shape[0] >= height and image.shape[1] >= width
    done = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if large else cv2.INTER_LINEAR)
    return np.asarray(done).reshape(height, width, -1)


def opencv(data: bytes, kind: str) -> np.ndarray:
    """Decode a picture file with OpenCV, (h, w, 3) uint8 RGB. Raises `ValueError` where it cannot."""
    image = _decoded(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, kind)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def unchanged(data: bytes) -> np.ndarray:
    """Decode a picture as the file has it, grey, BGR or BGR and opacity, of 8 or 16 bits; not turned either."""
    return _decoded(data, cv2.IMREAD_UNCHANGED, "picture")


def _decoded(data: bytes, flags: int, kind: str) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"not a valid {kind} file")
    return np.asarray(image)


def _png(data: bytes, largest: int) -> np.ndarray:
    check_png(data, largest)
    return opencv(data, "PNG")


def png_chunk(data: bytes, wanted: bytes) -> bytes | None:
    """Return the contents of the first chunk of a kind of a PNG that `check_png` accepts; None where it has none."""
    return next((data[start:end] for kind, start, end in _chunks(data) if kind == wanted), None)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its contents begin, where they end) of each chunk of a PNG up to the last; `ValueError` where it is
    cut off or one's checksum is wrong."""
    place = len(PNG)
    while True:
        if len(data) < place + 12:
            raise ValueError("truncated PNG file")
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if len(data) < end + 4:
            raise ValueError("truncated PNG file")
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise ValueError("damaged PNG file")
        yield kind, place + 8, end
        if kind == b"IEND":
            return
        place = end + 4


def check_png(data: bytes, largest: int = LARGEST_SIDE) -> None:
    """Check size and checksums before libpng sees the file: it writes its messages straight to the terminal, and OpenCV
    5 allocates whatever length a chunk claims."""
    for kind, start, end in _chunks(data):
        if start == len(PNG) + 8:
            if kind != b"IHDR" or end - start != 13:
                raise ValueError("not a valid PNG file")
            width, height = struct.unpack_from(">II", data, start)
            check_size(width, height, largest)
            if width * height > DENSEST * len(data):
                raise ValueError("damaged PNG file: it is too short for its size")
        if kind == b"acTL":
            raise ValueError("an animated PNG file, expected one picture")


def _ppm(data: bytes, largest: int) -> np.ndarray:
    header = PPM.match(data)
    if header is None:
        raise ValueError("neither a PNG nor a binary PPM file of 8 bits")
    width, height = int(header[1]), int(header[2])
    check_size(width, height, largest)
    if len(data) - header.end() < width * height * 3:
        raise ValueError("truncated PPM file")
    return np.frombuffer(data, np.uint8, width * height * 3, header.end()).reshape(height, width, 3)


def check_size(width: int, height: int, largest: int = LARGEST_SIDE) -> None:
    """Raise `ValueError` where a header claims more pixels than a picture here may have."""
    if not (0 < width <= largest and 0 < height <= largest):
        raise ValueError(f"{width} x {height} pixels, expected 1 to {largest} a side")
