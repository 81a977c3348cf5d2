"""Is a file what data/FORMAT.md says, as far as its structure goes? Checked in a child process.

libhdf5 can hang or crash on a mutated file, beyond the reach of a Python signal. So `inspect` runs in a child process
with limits on the processor's time and on memory (`python -m benchmark.format.sandbox FILE`) before this process opens
the file. It reads no array but texts, which HDF5 keeps in heaps of their own.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmark.core import child_process
from benchmark.core.errors import Failure
from benchmark.format import schema
from benchmark.format.manifest import ArrayEntry, parse
from benchmark.format.schema import Json

WHAT = "a sound HDF5 file"
TEXTS_AT_ONCE = 4096


def in_child(path: Path) -> Json:
    """Return the manifest of a file whose structure a child process has found sound."""
    if not path.is_file():
        raise Failure(f"{path}: no such file" if not path.exists() else f"{path}: not a file")
    return child_process.call("benchmark.format.sandbox", [str(path)], path, WHAT)


def inspect(path: str | Path, alive: Callable[[], object] = lambda: None) -> Json:
    """Check that a file is what FORMAT.md says without reading an array, and return its manifest.

    Runs in the child process; `alive` is called after each block of texts. Raises `Failure` with one line, MemoryError
    where there is too little; libhdf5 may hang or crash.
    """
    import h5py

    try:
        file = h5py.File(path, "r", locking=False)
    except PermissionError:
        raise Failure("no permission to read it") from None
    except (OSError, RuntimeError, ValueError) as error:
        if "alloc" in str(error):
            raise MemoryError(one_line(error)) from None
        damaged = "truncated" in str(error)
        raise Failure("the file is truncated" if damaged else "not an HDF5 file") from None
    try:
        with file:
            manifest = parse(manifest_text(file))
            found = dict(_walk(file, ""))
            for name in manifest["arrays"]:
                if name not in found:
                    raise Failure(f"the array {name} is missing")
            for name, node in found.items():
                if name not in manifest["arrays"]:
                    raise Failure(f"holds an array that its manifest does not name: {name!r:.80}")
                _check_dataset(node, name, manifest["arrays"][name], os.path.getsize(path))
            for name, entry in manifest["arrays"].items():
                if ArrayEntry.of(entry).is_text:
                    _read_texts(found[name], name, alive)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        if "alloc" in str(error):
            raise MemoryError(one_line(error)) from None
        raise Failure(f"damaged: {one_line(error)}") from None
    return manifest


def manifest_text(file: Any) -> str:
    """Return the text of the manifest, the only attribute that a file may have."""
    if list(file.attrs) != ["manifest"]:
        names = ", ".join(sorted(file.attrs))[:80] or "none"
        raise Failure(f"not a file of poisonkit: expected the one root attribute 'manifest', found {names}")
    text = file.attrs["manifest"]
    if not isinstance(text, str):
        raise Failure("its manifest is not a string")
    return text


def _walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, dataset) of every dataset; refuse links, attributes, and more nesting than the format has."""
    import h5py

    if prefix.count("/") > schema.limit("depth") or len(group) > schema.limit("members"):
        raise Failure(f"not laid out as the format says: {prefix!r:.80}")
    if prefix and not len(group):
        raise Failure(f"{prefix!r:.80} is an empty group; the format has none")
    for name in group:
        path = prefix + name
        if type(group.get(name, getlink=True)) is not h5py.HardLink:
            raise Failure(f"holds a link at {path!r:.80}; the format has none")
        node = group[name]
        if len(node.attrs):
            raise Failure(f"{path!r:.80} has attributes; only the root has one")
        if isinstance(node, h5py.Group):
            yield from _walk(node, path + "/")
        elif isinstance(node, h5py.Dataset):
            yield path, node
        else:
            raise Failure(f"{path!r:.80} is neither a group nor an array")


def _check_dataset(node: Any, name: str, entry: Json, file_size: int) -> None:
    if ArrayEntry.of(entry).is_text:
        _check_texts(node, name)
    elif node.dtype.str != entry["dtype"]:
        raise Failure(f"{name} is of type {node.dtype.str!r:.40}, its manifest says {entry['dtype']!r}")
    if node.shape is None or list(node.shape) != entry["shape"]:
        raise Failure(f"{name} has shape {str(node.shape):.80}, its manifest says {entry['shape']}")
    if node.is_virtual or node.external:
        raise Failure(f"{name} keeps its data in another file")
    if node.chunks is not None or node.id.get_create_plist().get_nfilters():
        raise Failure(f"{name} is chunked or filtered; the format's arrays are contiguous")
    offset = node.id.get_offset()
    if node.size and (offset is None or offset + node.nbytes > file_size):
        raise Failure(f"{name} reaches beyond the end of the file: it is truncated")


def _check_texts(node: Any, name: str) -> None:
    import h5py

    kind = h5py.check_string_dtype(node.dtype)
    if kind is None or kind.length is not None or kind.encoding != "utf-8":
        raise Failure(f"{name} is of type {node.dtype.str!r:.40}, its manifest says texts in UTF-8 of any length")


def _read_texts(node: Any, name: str, alive: Callable[[], object]) -> None:
    """Once through the heap: what libhdf5 cannot follow ends this process, not the one that trains. Raises `Failure`
    for a row that is no text of the format."""
    for start in range(0, len(node), TEXTS_AT_ONCE):
        for number, data in enumerate(node[start : start + TEXTS_AT_ONCE], start):
            if wrong := text_problem(data):
                raise Failure(f"{name}: row {number} {wrong}")
        alive()


def text_problem(data: bytes) -> str | None:
    """Why the bytes of a row are no text of the format; None where they are one."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    if not text or text != text.strip():
        return "is empty, or has white space around it"
    if "\0" in text:
        return "has a NUL in it"
    most = schema.limit("text_bytes")
    return f"has {len(data):,} bytes, more than {most:,}" if len(data) > most else None


def one_line(error: Exception) -> str:
    """Return what an error says in at most 200 characters, without line breaks."""
    return " ".join(str(error).split())[:200] or type(error).__name__


if __name__ == "__main__":
    sys.exit(child_process.answer(lambda: inspect(sys.argv[1], child_process.more_time), WHAT))
