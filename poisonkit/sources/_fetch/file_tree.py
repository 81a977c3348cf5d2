"""One view of files, whether they lie in a folder or in zip archives: names, contents, where they are."""

import os
import zipfile
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from poisonkit.core import file_states, texts
from poisonkit.core.errors import Failure
from poisonkit.sources._fetch import archive

DEEPEST = 6  # folders below the one that was named
MOST = 500_000  # files: somebody has named a whole disk
LARGEST = 64 << 20  # bytes of one file


class Folder:
    """The files below a folder; names are relative to it, with slashes."""

    def __init__(self, path: Path):
        self.path = path
        self._files = dict(_walk(path))
        self.names = self._files.keys()

    def where(self, name: str) -> str:
        """Return what to call a file in a message."""
        return f"{self.path}/{texts.printable(name)}"

    def read(self, name: str) -> bytes:
        """Read a file."""
        if self._files[name].st_size > LARGEST:
            raise Failure(f"{self.where(name)} has {self._files[name].st_size} bytes, expected at most {LARGEST}")
        return (self.path / name).read_bytes()

    def stream(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, contents) of some files, in the order of their names here."""
        return ((name, self.read(name)) for name in names)

    def fingerprint(self) -> str:
        """Return changes when any file is added, removed, replaced or written to."""
        total = file_states.Listing()
        for name in sorted(self.names):
            total.add(name, self._files[name])
        return total.finish()


def _walk(root: Path):
    """Yield (name, stat) of every file; links are followed, each folder is entered once, by its shortest path."""
    seen = set()
    folders = deque([("", 0)])
    count = 0
    while folders:
        prefix, depth = folders.popleft()
        here = os.stat(root / prefix)
        if (here.st_dev, here.st_ino) in seen:
            continue
        seen.add((here.st_dev, here.st_ino))
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                if entry.is_dir():
                    if depth < DEEPEST:
                        folders.append((f"{prefix}{entry.name}/", depth + 1))
                elif entry.is_file():
                    yield prefix + entry.name, entry.stat()
                    count += 1
                    if count > MOST:
                        raise Failure(f"{root} has over {MOST} files: name the folder of the data set itself")


class Tar:
    """The files of a tar archive, compressed or not, which can be read in the order they lie in alone."""

    def __init__(self, path: Path):
        self.path = path
        self.names: set[str] = set()

    def __enter__(self):
        for name, size, _ in archive.tar_files(self.path, archive.LARGE):
            if name in self.names:
                raise Failure(f"{self.path}: {texts.printable(name)} occurs twice")
            if size > LARGEST:
                raise Failure(f"{self.where(name)} has {size} bytes, expected at most {LARGEST}")
            self.names.add(name)
        return self

    def __exit__(self, *_):
        pass

    def where(self, name: str) -> str:
        """Return what to call a file in a message."""
        return f"{self.path}: {texts.printable(name)}"

    def stream(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, contents) of some files, in the order they lie in."""
        for name, _, read in archive.tar_files(self.path, archive.LARGE):
            if name in names:
                yield name, read()


class Zips:
    """The files of several zip archives together."""

    def __init__(self, paths: list[Path]):
        self.path = paths[0] if len(paths) == 1 else paths[0].parent
        self._paths = paths
        self._members: dict[str, tuple[Path, zipfile.ZipFile]] = {}
        self.names = self._members.keys()

    def __enter__(self):
        with ExitStack() as stack:
            for path in self._paths:
                opened = stack.enter_context(archive.opened_zip(path, archive.LARGE))
                for name in archive.zip_names(path, opened):
                    if self._members.get(name, (None,))[0] == path:
                        raise Failure(f"{path}: {texts.printable(name)} occurs twice")
                    self._members[name] = path, opened
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def where(self, name: str) -> str:
        """Return what to call a file in a message."""
        return f"{self._members[name][0]}: {texts.printable(name)}"

    def read(self, name: str) -> bytes:
        """Read a member; several threads may read at once."""
        path, opened = self._members[name]
        size = opened.getinfo(name).file_size
        if size > LARGEST:
            raise Failure(f"{self.where(name)} has {size} bytes, expected at most {LARGEST}")
        with archive.damage(path):
            return opened.read(name)

    def stream(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, contents) of some files, in the order of their names here."""
        return ((name, self.read(name)) for name in names)
