"""Decoded sources on disk, so that the next run starts from arrays.

    ROOT/entries/NAME-DIGEST/   one decoded source (see `entry`)
    ROOT/origins/NAME-HASH.json what was decoded (path, size, time …) -> which entry it gave
    ROOT/downloads/             archives from the network
    ROOT/partial/               entries being written; renamed when whole, removed later if their process died

Entries are named by the digest of what they hold, so that two processes that fill the cache at once write the same
and the later one drops its copy. Everything here may be deleted at any time.
"""

import atexit
import errno
import filecmp
import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

from poisonkit.core import files, hashing
from poisonkit.core.errors import Failure
from poisonkit.sources import base
from poisonkit.sources._cache import entry
from poisonkit.sources._fetch import locks

FOLDERS = ("entries", "origins", "downloads", "partial")
TAG_NAME = "CACHEDIR.TAG"  # backup programs leave such folders out
TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of poisonkit; it can be deleted at any time.\n"


def folder(chosen: Path | None = None) -> Path:
    """Return the cache folder: the one chosen, else $POISONKIT_CACHE, else poisonkit in $XDG_CACHE_HOME or ~/.cache.

    (`platformdirs` would choose another folder on macOS and ignore a relative $XDG_CACHE_HOME; the home folder for `~`,
    and the error where none is known, would still have to be found here.)
    """
    if chosen is not None:
        return _expanded(os.fspath(chosen))
    if os.environ.get("POISONKIT_CACHE"):
        return _expanded(os.environ["POISONKIT_CACHE"])
    return _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "poisonkit"


def _expanded(text: str) -> Path:
    """Return a path with `~` spelled out, by $HOME, else by the system's list of users. An empty HOME is none:
    `~/.cache` would be /.cache. `Failure` where no home is known, as in some containers."""
    own = text == "~" or text.startswith("~/")
    try:
        if own and not os.environ.get("HOME"):
            import pwd

            return Path(pwd.getpwuid(os.getuid()).pw_dir + text[1:]).absolute()
        expanded = os.path.expanduser(text)
    except (ImportError, KeyError):
        expanded = text
    if own and expanded == text:
        raise Failure("no home folder is known (HOME is not set): choose a cache with --cache or POISONKIT_CACHE")
    return Path(expanded).absolute()


class Cache:
    """The cache at `root` (see `folder` for the default). Creating the object touches nothing."""

    def __init__(self, root: Path | None = None):
        self.root = folder(root)

    # ---- reading

    def lookup(self, name: str, fingerprint: dict, say=lambda line: None) -> base.Source | None:
        """Look up the source that was decoded from this very origin, if it is complete."""
        record = _read_record(self._origin_path(name, fingerprint))
        return self._open(record, say) if record is not None and record["fingerprint"] == fingerprint else None

    def newest(self, name: str, say=lambda line: None, options: base.Options | None = None) -> base.Source | None:
        """Return the newest decoded copy of a source, an official one first; says which if there are several. None that
        was camouflaged. `options`: those of the source itself that it must have."""
        rank = {True: 2, None: 1, False: 0}  # official, unknown, something else
        records = [record for record in self._records(name) if (self.root / "entries" / record["entry"]).is_dir()]
        records = [record for record in records if "camouflage" not in record["fingerprint"]]
        if options is not None:
            records = [record for record in records if self._options(record) == options]
        records.sort(key=lambda record: (rank.get(record["origin"].get("official"), 0), record["time"]))
        while records:
            record = records.pop()
            source = self._open(record, say)
            if source is not None:
                others = {other["entry"] for other in records} - {record["entry"]}
                if others:
                    where = record["origin"].get("path", "this program")
                    say(f"the cache has {len(others) + 1} versions of {name}; using the one from {where}")
                return source
        return None

    def _options(self, record: dict) -> base.Options:
        """Return the options of a decoded copy; none where it cannot be read, which whoever opens it says."""
        try:
            found: base.Options = entry.read_index(self.root / "entries" / record["entry"])["options"]
        except (OSError, ValueError):
            return {}
        return found

    def by_digest(self, digest: str, say=lambda line: None) -> base.Source | None:
        """Return the source whose arrays are the ones of this digest, whatever it was decoded from."""
        for record in self._records():
            try:
                index = entry.read_index(self.root / "entries" / record["entry"])
            except (OSError, ValueError):
                continue
            if hashing.digest(index["arrays"]) == digest and (source := self._open(record, say)):
                return source
        return None

    def every(self, say=lambda line: None, camouflaged: bool = False):
        """Yield each cached source once; those that earlier versions camouflaged only if asked to."""
        seen = set()
        for record in self._records():
            if record["entry"] not in seen and (camouflaged or "camouflage" not in record["fingerprint"]):
                seen.add(record["entry"])
                source = self._open(record, say)
                if source is not None:
                    yield source

    def _open(self, record: dict, say) -> base.Source | None:
        path = self.root / "entries" / record["entry"]
        try:
            return entry.load(path, record["origin"])
        except FileNotFoundError:  # deleted, maybe between two looks, maybe not all of it
            if path.exists():
                _remove(path)
            return None
        except (OSError, KeyError, TypeError, ValueError):
            say(f"the cached copy {path} is damaged; it is removed and decoded again")
            _remove(path)
            return None

    def _records(self, name: str | None = None):
        for path in sorted((self.root / "origins").glob("*.json")):
            record = _read_record(path)
            if record is not None and name in (None, record["name"]):
                yield record

    # ---- writing

    def writable(self, say=lambda line: None) -> "Cache":
        """Return this cache with its folders made; one in a temporary folder, with a warning, if it cannot be
        written."""
        try:
            self._prepare()
            return self
        except OSError as error:
            if files.is_full(error):
                raise
            say(f"the cache {self.root} cannot be written ({error.strerror}); using a temporary folder")
        temporary = Cache(_temporary())
        temporary._prepare()
        return temporary

    @property
    def downloads(self) -> Path:
        """The folder for downloaded archives."""
        return self.root / "downloads"

    def nameless(self):
        """Open a file on the disk of this cache, which is `writable`, that no name leads to: it goes when it is
        closed, or its process ends, however that may be."""
        import tempfile  # late: a source that is in the cache needs none

        return tempfile.TemporaryFile(buffering=0, dir=self.root / "partial")

    def fill(self, name: str, origin: base.Origin, context: base.SourceContext) -> base.Source:
        """Decode an origin into the cache, which is `writable`."""
        with self._partial() as path:
            writer = entry.Writer(path)
            try:
                found = origin.decode(writer, context)
                digest = entry.finish(name, writer, origin.options)
            except OSError as error:
                if path.exists():
                    raise
                raise Failure(self._cleared(name)) from error
            return self._publish(path, name, digest, origin.fingerprint, found)

    def _prepare(self) -> None:
        """Make the folders, and clean up after processes that were killed."""
        self.root.mkdir(parents=True, exist_ok=True)
        if not self._is_ours():
            raise Failure(f"{self.root} contains other files: choose an empty or new folder as the cache")
        if not (self.root / TAG_NAME).exists():
            (self.root / TAG_NAME).write_text(TAG)
        for name in FOLDERS:
            (self.root / name).mkdir(exist_ok=True)
        if not os.access(self.root / "partial", os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        self.forget_camouflaged()
        for path in (self.root / "partial").iterdir():
            lock = path.with_suffix(".lock")
            # The lock is made before its folder and goes after it: a folder without one is rubbish too.
            with locks.abandoned(lock) as dead:
                if dead or (path.is_dir() and not lock.exists()):
                    shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                    lock.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        """`clear` must never remove somebody's own folder that happens to be called `downloads`."""
        names = {path.name for path in self.root.iterdir()}
        return TAG_NAME in names or names <= set(FOLDERS)

    @contextmanager
    def _partial(self):
        """Make a folder that is removed at the end, unless it was renamed."""
        path = self.root / "partial" / f"{os.getpid()}-{os.urandom(4).hex()}"
        lock = path.with_name(path.name + ".lock")
        with locks.held(lock):
            path.mkdir()
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
                lock.unlink(missing_ok=True)

    def _publish(self, path: Path, name: str, digest: str, fingerprint: dict, origin: dict) -> base.Source:
        """Give a finished folder its name; whoever comes second drops the own copy and takes the first one's, if it is
        the same to the byte."""
        folder_name = f"{name}-{digest.removeprefix('sha256:')[:32]}"
        record = {
            "name": name,
            "entry": folder_name,
            "fingerprint": fingerprint,
            "origin": origin,
            "time": time.time_ns(),
        }
        for _ in range(5):
            try:
                os.rename(path, self.root / "entries" / folder_name)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise Failure(self._cleared(name)) from error
                if not _same(path, self.root / "entries" / folder_name):  # the existing one was damaged meanwhile
                    _remove(self.root / "entries" / folder_name)
                    continue
            opened = self._open(record, lambda line: None)
            if opened is not None:
                _write_record(self._origin_path(name, fingerprint), record)
                return opened
            if not path.exists():  # it was renamed, and removed at once
                break
        raise Failure(self._cleared(name))

    def _cleared(self, name: str) -> str:
        return f"the cache {self.root} was cleared while {name} was decoded: start again"

    def _origin_path(self, name: str, fingerprint: dict) -> Path:
        key = hashing.digest(fingerprint).removeprefix("sha256:")[:32]
        return self.root / "origins" / f"{name}-{key}.json"

    def forget_camouflaged(self) -> None:
        """Remove the camouflaged images that earlier versions kept here, and what says how they were made: with them
        anybody finds the changed rows of a sealed file. Later versions never keep any."""
        for path in sorted((self.root / "origins").glob("*.json")):
            record = _read_record(path)
            if record is not None and "camouflage" in record["fingerprint"]:
                _remove(self.root / "entries" / record["entry"])
                path.unlink(missing_ok=True)

    # ---- for `poisonkit cache`

    def entries(self) -> list[dict]:
        """List the entries: ``name, digest, path, size`` in bytes, ``options``, ``official`` and ``origins``."""
        records = list(self._records())
        found = []
        for path in sorted((self.root / "entries").glob("*")):
            try:
                index = entry.read_index(path)
            except (OSError, ValueError):
                continue
            origins = [record["origin"] for record in records if record["entry"] == path.name]
            verdicts = {origin.get("official") for origin in origins}
            found.append(
                {
                    "name": index["name"],
                    "digest": hashing.digest(index["arrays"]),
                    "path": path,
                    "size": _size(path),
                    "options": index["options"],
                    "official": True if True in verdicts else False if False in verdicts else None,
                    "origins": origins,
                }
            )
        return found

    def size(self) -> int:
        """Bytes of everything here, downloads too."""
        return sum(_size(self.root / name) for name in FOLDERS)

    def clear(self) -> int:
        """Delete the cache, and return the bytes freed. Raises `Failure` if the folder is not a poisonkit cache."""
        if not self.root.is_dir():
            return 0
        if not self._is_ours():
            raise Failure(f"{self.root} is not a poisonkit cache: nothing was removed")
        freed = self.size()
        for path in list((self.root / "entries").glob("*")):
            _remove(path)
        for name in FOLDERS:
            shutil.rmtree(self.root / name, ignore_errors=True)
        (self.root / TAG_NAME).unlink(missing_ok=True)
        return freed


def discard(source: base.Source) -> None:
    """Remove a cached source whose bytes turned out not to be what its index says."""
    _remove(source.train.path.parent)


def _read_record(path: Path) -> dict | None:
    """Read what was decoded, and into which entry; None if there is no such file, or not one of ours."""
    kinds = {"name": str, "entry": str, "fingerprint": dict, "origin": dict, "time": int}
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    fits = isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in kinds.items())
    return record if fits and "/" not in record["entry"] else None


def _write_record(path: Path, value: dict) -> None:
    """Write a record atomically. Without it a source is only decoded again, so failing to write it is not an error."""
    try:
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_bytes(hashing.canonical(value))
        os.replace(part, path)
    except OSError:
        pass


def _remove(path: Path) -> None:
    """Remove an entry at once: no other process sees half of it."""
    grave = path.parent.parent / "partial" / f"{os.getpid()}-{os.urandom(4).hex()}"
    try:
        os.rename(path, grave)
    except OSError:
        grave = path
    shutil.rmtree(grave, ignore_errors=True)


def _same(path: Path, existing: Path) -> bool:
    """Whether an entry holds the very files of another one. Its name and sizes alone do not tell: this is asked after
    an origin was read again, maybe because the user did not trust the cached copy."""
    try:
        names = [item.name for item in path.iterdir()]
        return len(filecmp.cmpfiles(path, existing, names, shallow=False)[0]) == len(names)
    except OSError:
        return False


def _size(path: Path) -> int:
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())


def _temporary() -> Path:
    import tempfile

    path = Path(tempfile.mkdtemp(prefix="poisonkit-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path
