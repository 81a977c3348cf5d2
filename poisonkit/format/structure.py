"""Check the structure of a foreign file before anything in it is relied on.

libhdf5 can crash or hang on a damaged file, beyond the reach of a Python signal. So the file is opened in a child
process first (`child`), which checks the whole structure against the manifest and returns the manifest. No array's
data are read except texts, each of which is an object of libhdf5's own.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import h5py

from poisonkit.core import child_process, hashing, modality, numbers
from poisonkit.core.errors import Failure
from poisonkit.core.modality import TEXT
from poisonkit.format import arrays, schema, string_arrays
from poisonkit.format.manifest import FORMAT, FORMAT_VERSION, Header, Manifest, parse
from poisonkit.format.records import Json

M = TypeVar("M", bound=Header)


class _Wrong(Exception):
    """What is wrong with a file, without its name."""


def inspect(path: Path, of: type[M] | tuple[type[M], ...]) -> M:
    """Return the manifest of a file whose structure is sound: every array there, with its dtype and shape, plainly
    stored.

    `of` are the manifests of those kinds of files that will do. Raises `Failure` with one line otherwise.
    """
    types = of if isinstance(of, tuple) else (of,)
    found: Any = parse(_json(path, tuple(kind for one in types for kind in one.KINDS)))
    return cast(M, found)


def data_set(path: Path) -> Manifest:
    """Return the manifest of a clean or a poisoned file whose structure is sound. Raises as `inspect` does."""
    return inspect(path, Manifest)


def _json(path: Path, kinds: tuple[str, ...]) -> Json:
    """Return the manifest as JSON."""
    if not path.is_file():
        raise Failure(f"{path}: no such file" if not path.exists() else f"{path}: is not a regular file")
    if not hasattr(os, "fork"):
        return _checked(path, kinds)
    schema.load()  # once, and not in each child
    answer = child_process.ask(lambda alive: _look(path, kinds, alive), _Wrong)
    if "error" in answer:
        raise Failure(f"{path}: {answer['error']}")
    manifest: Json = answer["value"]
    return manifest


def opened(path: Path) -> h5py.File:
    """Return a file open for reading, without HDF5's locks: not every file system has them. Where this process has it
    open with locks already, with these. Raises OSError."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "file locking flag" not in str(error):
            raise
        return h5py.File(path, "r")


def _checked(path: Path, kinds: tuple[str, ...]) -> Json:
    try:
        return _look(path, kinds)
    except _Wrong as error:
        raise Failure(f"{path}: {error}") from None


def _look(path: Path, kinds: tuple[str, ...], alive: Callable[[], object] = lambda: None) -> Json:
    """Return the manifest, once everything fits it; `alive` is called after each step, and now and then in the longer
    ones."""
    try:
        file = opened(path)
    except OSError as error:
        if error.errno is not None:
            raise _Wrong(f"could not be opened: {os.strerror(error.errno)}") from error
        if "alloc" in str(error):
            raise
        if not h5py.is_hdf5(path):
            raise _Wrong("is not an HDF5 file, or was cut off at its beginning") from error
        raise _Wrong(f"is a damaged or truncated HDF5 file ({str(error).splitlines()[0]})") from error
    with file:
        manifest = _manifest(file, alive)
        if wrong := schema.problem(manifest, kinds):
            raise _Wrong(wrong)
        alive()
        datasets = dict(_datasets(file))
        _compare(manifest, datasets, path)
        alive()
        if wrong := arrays.problem(manifest):
            raise _Wrong(wrong)
        for name, dataset in datasets.items():
            texts = modality.is_text_dtype(manifest["arrays"][name]["dtype"])
            if texts and (wrong := string_arrays.problem(path, name, dataset, alive)):
                raise _Wrong(wrong)
        return manifest


def _manifest(file: h5py.File, alive: Callable[[], object]) -> Json:
    if "manifest" not in file.attrs:
        raise _Wrong("has no manifest: it was not written by poisonkit")
    if len(file.attrs) != 1:
        raise _Wrong("has attributes beside its manifest: the format has none")
    text = file.attrs["manifest"]
    most = schema.limit("manifest_bytes")
    if not isinstance(text, str) or len(text.encode("utf-8", "surrogatepass")) > most:
        raise _Wrong(f"its manifest is not a text of at most {most >> 20} MiB")
    alive()
    try:
        manifest = numbers.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"its manifest is not valid JSON ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _Wrong("its manifest is not poisonkit's")
    version = manifest.get("format_version")
    if type(version) is not int or version < 1:
        raise _Wrong(f"is of format version {version!r:.60}, which never was")
    if version > FORMAT_VERSION:
        raise _Wrong(
            f"is of format version {version}; this poisonkit reads up to {FORMAT_VERSION}: use a newer version"
        )
    if wrong := modality.problem(manifest.get("modality")):
        raise _Wrong(wrong)
    alive()
    _check_spelling(manifest, text)
    alive()
    return manifest


def _check_spelling(manifest: Json, text: str) -> None:
    """Require the one spelling that a manifest has: other parsers could read something else in a text that, say, has a
    key twice."""
    try:
        if hashing.canonical(manifest) != text.encode():
            raise _Wrong("its manifest is not canonical JSON (sorted keys, each once, no white space)")
    except (TypeError, ValueError, RecursionError) as error:
        raise _Wrong(f"its manifest is not canonical JSON ({error})") from None


def _datasets(group: h5py.Group, prefix: str = "") -> Iterator[tuple[str, h5py.Dataset]]:
    """(path, dataset) of everything below a group, by hard links alone."""
    if len(group) > schema.limit("members"):
        raise _Wrong(f"{prefix or 'its root'} has more than {schema.limit('members'):,} members")
    for name in group:
        path = prefix + name
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _Wrong(f"{path} is a link to elsewhere: refused")
        if path.count("/") > schema.limit("depth"):
            raise _Wrong(f"{path} lies deeper than the format goes")
        child = group[name]
        if len(child.attrs):
            raise _Wrong(f"{path} has attributes: the format has none but the manifest")
        if isinstance(child, h5py.Group):
            if not len(child):
                raise _Wrong(f"{path} is an empty group: the format has none")
            yield from _datasets(child, path + "/")
        elif isinstance(child, h5py.Dataset):
            yield path, child
        else:
            raise _Wrong(f"{path} is neither group nor dataset")


def _compare(manifest: Json, datasets: dict[str, h5py.Dataset], file: Path) -> None:
    """Compare the datasets with the manifest's `arrays`: no more, no fewer, each as it says, and plainly stored."""
    named, file_size = manifest["arrays"], file.stat().st_size
    for path in sorted(named.keys() - datasets.keys()):
        raise _Wrong(f"{path} is missing")
    for path in sorted(datasets.keys() - named.keys()):
        raise _Wrong(f"{path} is not in the manifest")
    for path, dataset in datasets.items():
        entry = named[path]
        texts = string_arrays.is_text(dataset)
        dtype = TEXT.dtype if texts else dataset.dtype.str
        if dataset.shape is None or (entry["dtype"], entry["shape"]) != (dtype, list(dataset.shape)):
            raise _Wrong(
                f"{path} is {dtype:.40} {dataset.shape}, its manifest says {entry['dtype']:.40} {entry['shape']!s:.60}"
            )
        plain = dataset.id.get_create_plist()
        if plain.get_layout() != h5py.h5d.CONTIGUOUS or plain.get_nfilters() or plain.get_external_count():
            raise _Wrong(f"{path} is compressed, chunked, virtual or kept in another file: the format has plain arrays")
        size = dataset.size * (string_arrays.REFERENCE if texts else dataset.dtype).itemsize
        if size and dataset.id.get_storage_size() != size:
            raise _Wrong(f"{path} is cut off: {dataset.id.get_storage_size()} of {size} bytes")
        if size and (dataset.id.get_offset() is None or dataset.id.get_offset() + size > file_size):
            raise _Wrong(f"{path} is cut off: it reaches beyond the end of the file")
