"""What reading a ZIP archive raises where it is broken: of any of its parts, and of any compression."""

import lzma
import struct
import zipfile
import zlib

BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, ValueError, EOFError, OSError, RuntimeError,
)  # fmt: skip
"""An unknown compression is a NotImplementedError, and so a RuntimeError. Without MemoryError: whether it is the
archive's fault, its reader knows."""
