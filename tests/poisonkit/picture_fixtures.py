"""Picture files of rare kinds, made byte by byte: EXIF orientation, transparency in all its spellings, animations."""

import struct
import zlib

import cv2
import numpy as np

from poisonkit.core.images import PNG

EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
"""A TIFF header whose one tag says: turn the picture by a quarter (orientation 6)."""


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: np.ndarray, colour: int, *chunks: tuple[bytes, bytes], depth: int | None = None) -> bytes:
    """A PNG of samples (h, w, n), uint8 or uint16, of a colour type (0 grey, 2 RGB, 3 palette, 4 grey and opacity, 6
    RGBA), with more chunks before the pixels."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, depth or rows.dtype.itemsize * 8, colour, 0, 0, 0)
    if depth in (1, 2, 4):
        bits = np.unpackbits(rows[..., None], 2)[..., 8 - depth :].reshape(height, -1)
        rows = np.packbits(bits, 1)
    lines = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in rows)
    more = b"".join(chunk(*one) for one in chunks)
    return PNG + chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def jpeg(picture: np.ndarray, exif: bytes = b"") -> bytes:
    """A JPEG of (h, w, 3) or (h, w) uint8, with EXIF data where there are any."""
    data = cv2.imencode(".jpg", picture[..., ::-1] if picture.ndim == 3 else picture)[1].tobytes()
    said = b"Exif\0\0" + exif
    return data[:2] + (b"\xff\xe1" + struct.pack(">H", len(said) + 2) + said if exif else b"") + data[2:]


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP file of these chunks."""
    body = b"WEBP" + b"".join(k + struct.pack("<I", len(d)) + d + b"\0" * (len(d) % 2) for k, d in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def lossless(picture: np.ndarray) -> bytes:
    """The VP8L chunk's contents of (h, w, 3 or 4) uint8, RGB or RGBA."""
    order = [2, 1, 0, 3][: picture.shape[2]]
    data = cv2.imencode(".webp", picture[..., order], [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    place = data.index(b"VP8L")
    return data[place + 8 : place + 8 + struct.unpack_from("<I", data, place + 4)[0]]


def sides(picture: np.ndarray) -> bytes:
    """Width and height as the chunks of WebP have them."""
    return b"".join((side - 1).to_bytes(3, "little") for side in picture.shape[1::-1])


def webp(picture: np.ndarray, exif: bytes = b"") -> bytes:
    """A WebP of (h, w, 3 or 4) uint8, lossless."""
    flags = (8 if exif else 0) | (16 if picture.shape[2] == 4 else 0)
    more = [(b"EXIF", exif)] if exif else []
    return riff((b"VP8X", bytes([flags, 0, 0, 0]) + sides(picture)), (b"VP8L", lossless(picture)), *more)


def animated_webp(*pictures: np.ndarray) -> bytes:
    """A WebP that shows several pictures of one size in turn."""
    frames = []
    for picture in pictures:
        data = lossless(picture)
        inner = b"VP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        frames.append((b"ANMF", bytes(6) + sides(picture) + b"\x64\0\0\0" + inner))
    head = (b"VP8X", b"\x02\0\0\0" + sides(pictures[0]))
    return riff(head, (b"ANIM", bytes(6)), *frames)


def animated_png(first: np.ndarray, second: np.ndarray) -> bytes:
    """A PNG that shows two pictures (h, w, 3) in turn."""
    height, width = first.shape[:2]
    control = struct.pack(">IIIIHHBB", width, height, 0, 0, 1, 10, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in second)
    data = png(first, 2, (b"acTL", struct.pack(">II", 2, 0)), (b"fcTL", bytes(4) + control))
    more = chunk(b"fcTL", b"\0\0\0\1" + control) + chunk(b"fdAT", b"\0\0\0\2" + zlib.compress(lines))
    return data[:-12] + more + data[-12:]


def gif() -> bytes:
    """A still GIF of one pixel."""
    return b"GIF89a\x01\0\x01\0\x80\0\0\xff\0\0\0\xff\0!\xf9\x04\0\n\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"


def bmp(picture: np.ndarray, opacity: bool) -> bytes:
    """A BMP of (h, w, 4) uint8 RGBA with masks for each channel; without `opacity` the fourth byte is a filler."""
    height, width = picture.shape[:2]
    data = picture[::-1, :, [2, 1, 0, 3]].tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000 if opacity else 0)
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(data), 2835, 2835, 0, 0) + masks
    start = 14 + 108
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + header.ljust(108, b"\0") + data
