"""Decodes a user's picture file: PNG, PPM and PGM, JPEG, WebP, BMP. Every picture that comes in is decoded here, those
of a folder as those that `apply`, blend and sticker are given, so that one file is one picture.

- A tag that asks to turn the picture (EXIF orientation) is ignored, for colour and opacity alike, as the usual loaders
  of training data do.
- Grey levels are made of colours in one way (`grey`); 16 bits are cut to the upper 8; palettes become colours.
- Opacity, where it is asked for, is that of an alpha channel (of a BMP: where its header names one), of a palette's
  entries, or of the one colour or grey level that a PNG may call transparent (tRNS); else it is dropped, and the
  colours stay as they are below it.
- Animations are refused, GIF too: which of its frames counts differs between OpenCV 4 and 5.

PNG, PPM, PGM and BMP give the same bytes on every machine. JPEG and WebP are lossy, and their decoders (libjpeg-turbo
in OpenCV's wheels, other libraries elsewhere) may differ by a grey level: then the digests differ too, and `make
--from` says so. They have no checksums either: of a JPEG or WebP only a cut is noticed. Convert to PNG what has to be
the same everywhere.
"""

import contextlib
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from poisonkit.core import files, images
from poisonkit.core.errors import Failure
from poisonkit.core.grey_levels import grey

_LARGEST_SIDE = 1_000_000  # libpng's own limit

_PGM = re.compile(images.PPM.pattern.replace(b"P6", b"P5"))
_NO_LENGTH = (0x01, *range(0xD0, 0xD8))  # JPEG's markers without a segment
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # those that tell the size
_ANIMATED = 2  # in the flags of an extended WebP file
_USUAL = (0xC0, 0xC1, 0xC2)  # of these the ones that every libjpeg decodes: baseline, extended, progressive


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep messages of libjpeg and similar libraries, which go to standard error, off the terminal."""
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


def decode(data: bytes, channels: int, alpha: bool = False, largest: int = images.LARGEST_SIDE) -> np.ndarray:
    """Decode a picture as (h, w, channels) uint8, RGB or grey; orientation tags and colour profiles are dropped.

    With `alpha`, a transparent one has its opacity (255: none of what is below shows) as a last channel more, else
    transparency is dropped. `largest` is the most pixels that a side may have.

    Raises
    ------
    ValueError
        It is no whole picture of a known kind, or too large; the message says why.
    """
    if data.startswith((images.PNG, b"P6")):
        picture = images.decode(data, largest)
    elif data.startswith(b"P5"):
        picture = np.repeat(_pgm(data, largest), 3, 2)
    else:
        images.check_size(*_size(data), largest)
        picture = images.opencv(data, "picture")
    opacity = _opacity(data) if alpha else None
    picture = picture if channels == 3 else grey(picture)
    return picture if opacity is None else np.concatenate([picture, opacity], -1)


def _opacity(data: bytes) -> np.ndarray | None:
    """Return the opacity of a picture, (h, w, 1) uint8; None where the file has none."""
    if data.startswith((b"P5", b"P6")) or (data.startswith(b"BM") and not _bmp_has_opacity(data)):
        return None
    whole = images.unchanged(data)
    if whole.ndim == 3 and whole.shape[2] == 4:
        opacity = whole[..., 3:] >> (8 if whole.dtype == np.uint16 else 0)
    elif whole.ndim == 2 and data.startswith(images.PNG) and (level := _clear_level(data)) is not None:
        opacity = np.where(whole[..., None] == level, 0, 255)
    else:
        return None
    return opacity.astype(np.uint8)


def _bmp_has_opacity(data: bytes) -> bool:
    """Whether the fourth byte of a BMP's pixels is an opacity: its header says which bits are. (In others the byte is a
    filler, 0 as a rule, which OpenCV takes for one all the same.)"""
    return len(data) >= 70 and struct.unpack_from("<I", data, 14)[0] >= 56 and struct.unpack_from("<I", data, 66)[0] > 0


def _clear_level(data: bytes) -> int | None:
    """Return the grey level that a grey PNG calls transparent, as its pixels are decoded; None where it names none.
    (OpenCV looks after that of a colour PNG itself.)"""
    depth, chunk = data[24], images.png_chunk(data, b"tRNS")
    if chunk is None or len(chunk) != 2:
        return None
    level = int.from_bytes(chunk, "big") & ((1 << depth) - 1)
    return level if depth == 16 else level * 255 // ((1 << depth) - 1)


def _pgm(data: bytes, largest: int) -> np.ndarray:
    header = _PGM.match(data)
    if header is None:
        raise ValueError("not a binary PGM file of 8 bits")
    width, height = int(header[1]), int(header[2])
    images.check_size(width, height, largest)
    if len(data) - header.end() < width * height:
        raise ValueError("truncated PGM file")
    return np.frombuffer(data, np.uint8, width * height, header.end()).reshape(height, width, 1)


def _size(data: bytes) -> tuple[int, int]:
    """Read (width, height) from the header, and check that the file is whole: OpenCV fills up what is missing."""
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
    raise ValueError("not a PNG, PPM, PGM, JPEG, WebP or BMP file")


def _webp(data: bytes) -> tuple[int, int]:
    if len(data) < 8 + struct.unpack_from("<I", data, 4)[0]:
        raise ValueError("truncated WebP file")
    kind = data[12:16]
    if kind == b"VP8X":
        if data[20] & _ANIMATED:
            raise ValueError("an animated WebP file, expected one picture")
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
            bits, height, width = struct.unpack_from(">BHH", data, place + 4)
            if marker not in _USUAL or bits != 8:
                raise ValueError("a JPEG file of a rare kind (lossless, arithmetic or of 12 bits): convert it to PNG")
            size = width, height
        place += 2 + length
        if marker == 0xDA:  # compressed data, up to the next mark that is neither a restart nor an escaped FF
            found = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]").search(data, place)
            if found is None:
                raise ValueError("truncated JPEG file")
            place = found.start()


def read(path: Path, channels: int = 3, alpha: bool = False) -> np.ndarray:
    """Read a picture file as (h, w, channels) uint8, RGB or grey, decoded as those of a source are; with `alpha`, a
    transparent one has its opacity (255: none of what is below shows) as a last channel more, else transparency is
    dropped."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: could not be read: {files.reason(error)}") from None
    images.quiet()
    try:
        with silent():
            picture = decode(content, channels, alpha, _LARGEST_SIDE)
    except ValueError as error:
        raise Failure(f"{path}: {error}") from None
    return np.ascontiguousarray(picture)


def fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a picture to the data set's size, as the sources are."""
    return images.resize(picture, height, width)


def write_png(path: Path, picture: np.ndarray, new: bool = False) -> None:
    """Write (h, w, 1 or 3) uint8 as PNG, atomically. `new`: nothing is replaced (see `files.atomic_write`)."""
    done, data = cv2.imencode(".png", picture[..., ::-1] if picture.shape[-1] == 3 else picture)
    if not done:
        raise Failure(f"{path}: OpenCV could not encode a picture of {picture.shape}")
    try:
        with files.atomic_write(path, new=new) as temporary:
            temporary.write_bytes(data.tobytes())
    except OSError as error:
        raise Failure(f"{path}: could not be written: {files.reason(error)}") from None
