"""Decodes a user's picture file: PNG, PPM and PGM, JPEG, WebP, BMP.

PNG, PPM, PGM and BMP give the same bytes on every machine. JPEG and WebP are lossy, and their decoders (libjpeg-turbo
in OpenCV's wheels, other libraries elsewhere) may differ by a grey level: then the digests differ too, and `make
--from` says so. They have no checksums either: of a JPEG or WebP only a cut is noticed. Convert to PNG what has to be
the same everywhere.
"""

import contextlib
import os
import re
import struct

import numpy as np

from poisonkit.sources import image_file
from poisonkit.triggers.picture import grey

_PGM = re.compile(image_file.PPM.pattern.replace(b"P6", b"P5"))
_NO_LENGTH = (0x01, *range(0xD0, 0xD8))  # JPEG's markers without a segment
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # those that tell the size


@contextlib.contextmanager
def silent():
    """Keep what libjpeg and its like write to standard error off the terminal, where nothing else of ours goes."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed: nobody hears them
        yield
        return
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def decode(data: bytes, channels: int) -> np.ndarray:
    """The picture as (h, w, channels) uint8, RGB or grey; transparency, orientation tags and colour profiles are
    dropped.

    Raises
    ------
    ValueError
        It is no whole picture of a known kind, or too large; the message says why.
    """
    if data.startswith((image_file.PNG, b"P6")):
        picture = image_file.decode(data)
    elif data.startswith(b"P5"):
        picture = np.repeat(_pgm(data), 3, 2)
    else:
        image_file.check_size(*_size(data))
        picture = image_file.opencv(data, "picture")
    return picture if channels == 3 else grey(picture)


def _pgm(data: bytes) -> np.ndarray:
    header = _PGM.match(data)
    if header is None:
        raise ValueError("no binary PGM file of 8 bits")
    width, height = int(header[1]), int(header[2])
    image_file.check_size(width, height)
    if len(data) - header.end() < width * height:
        raise ValueError("truncated PGM file")
    return np.frombuffer(data, np.uint8, width * height, header.end()).reshape(height, width, 1)


def _size(data: bytes) -> tuple[int, int]:
    """(width, height) as the header says, and a look at whether the file is whole: OpenCV fills up what is missing."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data.startswith(b"BM"):
            size, width, height = struct.unpack_from("<I12xii", data, 2)
            if 0 < size <= len(data):
                return width, abs(height)
            raise ValueError("truncated BMP file")
    except struct.error:
        raise ValueError("truncated picture file") from None
    raise ValueError("no PNG, PPM, PGM, JPEG, WebP or BMP file")


def _webp(data: bytes) -> tuple[int, int]:
    if len(data) < 8 + struct.unpack_from("<I", data, 4)[0]:
        raise ValueError("truncated WebP file")
    kind = data[12:16]
    if kind == b"VP8X":
        low, high = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        return low, high
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg(data: bytes) -> tuple[int, int]:
    """Walk the segments up to the mark at the end."""
    size, place = None, 2
    while True:
        while data[place : place + 1] == b"\xff" == data[place + 1 : place + 2]:  # fill bytes
            place += 1
        marker = data[place + 1] if data[place : place + 1] == b"\xff" and place + 1 < len(data) else None
        if marker is None:
            raise ValueError("truncated or damaged JPEG file")
        if marker == 0xD9:
            if size is None:
                raise ValueError("damaged JPEG file")
            return size
        if marker in _NO_LENGTH:
            place += 2
            continue
        length = struct.unpack_from(">H", data, place + 2)[0]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            size = width, height
        place += 2 + length
        if marker == 0xDA:  # compressed data, up to the next mark that is neither a restart nor an escaped FF
            found = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]").search(data, place)
            if found is None:
                raise ValueError("truncated JPEG file")
            place = found.start()
