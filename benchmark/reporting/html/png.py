"""PNG files in the folders of runs, checked and rewritten before they go into a page.

Pages are mailed, and runs are passed on: a file named *.png may be anything. A file that passes the checks is rewritten
from the chunks that make its picture, so that no text, no profile and nothing after its end is included.
"""

import struct
import zlib
from pathlib import Path

from benchmark.core import files
from benchmark.core.errors import Damaged, Failure

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST = 8 << 20  # bytes of a file
SIDE = 20_000  # pixels
PIXELS = 1 << 26
PICTURES = 200  # of one folder
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples a pixel
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def inside(folder: Path, errors: dict[Path, str]):
    """Yield names and contents of the PNG files in a folder inside a run, in order.

    What is not one, or too much, is put into `errors`: its path, and a line that says why.
    """
    paths = sorted(folder.glob("*.png"))
    for path in paths[:PICTURES]:
        try:
            yield path.stem, _plain(files.read_bytes(path, MOST), path)
        except Failure as error:
            errors[path] = str(error)
    for path in paths[PICTURES : PICTURES + 1]:
        errors[path] = f"{path}: more than {PICTURES} pictures in one folder, the rest is left out"


def _plain(data: bytes, path: Path) -> bytes:
    try:
        return plain(data)
    except (ValueError, struct.error, zlib.error) as error:
        raise Damaged(f"{path}: not a PNG picture ({error})") from None


def plain(data: bytes) -> bytes:
    """Rewrite a PNG file from the parts that make its picture. ValueError (or zlib's, struct's) where it is none:
    wrong signature, sums, sizes, too many or too few pixels, anything behind its end."""
    if not data.startswith(SIGNATURE):
        raise ValueError("it does not begin as one")
    parts = [(kind, content) for kind, content in _chunks(data) if kind in _KEPT]
    kinds = [kind for kind, _ in parts]
    header = parts[0][1] if parts else b""
    if not parts or kinds[0] != b"IHDR" or kinds[-1] != b"IEND" or kinds.count(b"IHDR") != 1 or len(header) != 13:
        raise ValueError("its parts are not in order")
    _check_pixels(header, [content for kind, content in parts if kind == b"IDAT"])
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunks(data: bytes):
    at = len(SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content, end = data[at + 8 : at + 8 + length], at + 12 + length
        if end > len(data) or data[end - 4 : end] != struct.pack(">I", zlib.crc32(kind + content)):
            raise ValueError("it is cut, or was changed")
        yield kind, content
        at = end
        if kind == b"IEND" and at != len(data):
            raise ValueError("there is more behind its end")


def _check_pixels(header: bytes, parts: list[bytes]) -> None:
    """Check that the compressed rows are exactly as long as the header says, and never unpacked beyond that."""
    width, height, depth, colour, compression, filters, interlace = struct.unpack(">IIBBBBB", header)
    if not (0 < width <= SIDE and 0 < height <= SIDE and width * height <= PIXELS):
        raise ValueError(f"{width} x {height} pixels")
    if depth not in (1, 2, 4, 8, 16) or colour not in _SAMPLES or (compression, filters, interlace) != (0, 0, 0):
        raise ValueError("of a kind that this program does not write")
    left = height * (1 + -(-width * depth * _SAMPLES[colour] // 8))
    stream = zlib.decompressobj()
    waiting = b"".join(parts)
    while left >= 0 and not stream.eof:
        found = len(stream.decompress(waiting, 1 << 20))
        left, waiting = left - found, stream.unconsumed_tail
        if not found and not waiting:  # it is cut
            break
    if left or not stream.eof or stream.unused_data:
        raise ValueError("its pixels are not as many as its header says")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
