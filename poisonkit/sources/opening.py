"""Open a source of clean data: from the cache, or decoded into it.

NumPy, OpenCV and whatever else decoding needs are imported when a source is opened, so that listing them is cheap.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from poisonkit.core import files, naming
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.progress import NullProgress, ignore, processors
from poisonkit.sources._cache.cache import Cache
from poisonkit.sources.base import Options, Source, SourceContext, SourceSpec
from poisonkit.sources.registry import SOURCES

DISGUISE = ("camouflage", "camouflage-seed")
"""Options of a camouflaged source, beside those of the source itself."""


def open_source(
    name: str,
    *,
    source: Path | None = None,
    cache: Path | None = None,
    options: Options | None = None,
    fresh: bool = False,
    jobs: int | None = None,
    progress: Callable[..., Any] | None = None,
    say: Callable[[str], None] | None = None,
) -> Source:
    """Open a source of clean data: from the cache if it is there, else decoded into it.

    Parameters
    ----------
    name : str
        One of `registry.SOURCES`.
    source : Path, optional
        Archive or folder to read. Without it the newest decoded copy in the cache is taken, an official one first; if
        there is none, the official archives are downloaded.
    cache : Path, optional
        The cache folder (default: see `cache.folder`).
    options : dict, optional
        Options of the source itself (`SourceSpec.options`), and ``camouflage`` and ``camouflage-seed``, as the
        source's record has them.
    fresh : bool
        Decode again what may be in the cache.
    jobs : int, optional
        Threads that decode (default: the processors of this process).
    progress : callable, optional
        ``progress(total, label, unit)`` is a context manager whose object has ``update(n)``.
    say : callable, optional
        Is called with one-line notices and warnings.

    Raises
    ------
    errors.Usage
        Unknown name or option.
    errors.Failure
        Missing or damaged data, a full disk, no network: the message says which.
    """
    spec, store = SOURCES[name], Cache(cache)
    plain, disguise = dict(options or {}), None
    if plain.keys() & set(DISGUISE):
        from poisonkit.sources import camouflage  # late, as all that few data need

        plain, disguise = camouflage.split(plain)
    context = SourceContext(jobs or processors(), progress or NullProgress, say or ignore)
    chosen = _check_options(spec, plain)
    if disguise is not None:
        camouflage.check_modality(name, spec.modality)
    with _explained(source, store):
        opened = _open(spec, None if source is None else Path(source), chosen, store, context, fresh)
        _warn(opened, context.say)
        if spec.user_data and source is not None:
            from poisonkit.sources import exported

            for line in exported.notices(Path(source)):
                context.say(line)
        return opened if disguise is None else camouflage.derive(opened, disguise, store, context)


def must_fetch(name: str, source: Path | None, cache: Path | None) -> bool:
    """Tell whether data that the user does not bring are neither in the cache nor among its downloads, so that
    `open_source` would begin with a download. Nothing is opened."""
    spec, store = SOURCES[name], Cache(cache)
    if source is not None or spec.fetch is None:
        return False
    cached = any(entry["name"] == name and "camouflage" not in entry["options"] for entry in store.entries())
    return not cached and not any((store.downloads / archive.name).is_file() for archive in spec.archives)


@contextmanager
def _explained(source: Path | None, store: Cache) -> Iterator[None]:
    """Turn errors of the file system into one line."""
    try:
        yield
    except OSError as error:
        if files.is_full(error):
            raise Failure(
                f"disk full while filling the cache {store.root}: free some space or name another with --cache"
            ) from error
        raise Failure(f"{error.filename or source or store.root}: {error.strerror or error}") from error


def _open(
    spec: SourceSpec, source: Path | None, options: Options, store: Cache, context: SourceContext, fresh: bool
) -> Source:
    """Open without camouflage."""
    if source is not None or spec.fetch is None:
        origin = spec.locate(source, options)
        cached = None if fresh else store.lookup(spec.name, origin.fingerprint, context.say)
        return cached or store.writable(context.say).fill(spec.name, origin, context)
    cached = None if fresh else store.newest(spec.name, context.say, options)
    if cached is not None:
        return cached
    store = store.writable(context.say)
    origin = spec.locate(spec.fetch(store.downloads, context), options)
    return store.fill(spec.name, origin, context)


def _warn(source: Source, say: Callable[[str], None]) -> None:
    """Say what should be known of data each time that they are used: that they are not the published ones, and the
    notices of when they were read."""
    if source.origin.get("official") is False:
        why = source.origin.get("difference", "its hash is not the published one")
        say(f"warning: {source.origin['path']} does not match the official {source.name} ({why}); using it anyway")
    for line in source.origin.get("notices", ()):
        say(line)


def _check_options(spec: SourceSpec, options: Options) -> Options:
    """Parse the options, and return those that differ from the defaults."""
    chosen = {}
    for key, value in sorted(options.items()):
        if key not in spec.options:
            known = f"it has {', '.join(spec.options)}" if spec.options else "it has none"
            raise Usage(f"source {spec.name} has no option {key!r}: {known}{naming.hint(key, spec.options)}")
        try:
            chosen[key] = spec.parsers.get(key, _whole)(value)
        except ValueError as error:
            raise Usage(f"option {key!r} of source {spec.name}: expected {error}, got {value!r}") from None
    return {key: value for key, value in chosen.items() if value != spec.options[key]}


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a whole number of at least 0")
    return value


def describe(cache: Path | None = None) -> list[dict[str, Any]]:
    """Describe every source for `poisonkit sources`: what it is, how to get it, and whether it is cached.

    Returns
    -------
    list of dict
        ``name, title, licence, url, how``; ``classes`` (names); ``train`` and ``test`` (counts); ``image`` (H, W, C);
        ``archives`` (each ``name, url, size, md5, sha256``, None where not published); ``mirror`` (the environment
        variable that names another place to download from, or None); ``options`` (defaults); ``cached`` (bool) and
        ``official`` (of the best cached copy: true, false, or null where nothing is published).
    """
    entries = [entry for entry in Cache(cache).entries() if "camouflage" not in entry["options"]]
    return [
        _described(spec, [entry["official"] for entry in entries if entry["name"] == spec.name]) for spec in SOURCES
    ]


def _described(spec: SourceSpec, verdicts: list[bool | None]) -> dict[str, Any]:
    """Describe one source; `verdicts` has for each cached copy whether it is the official one."""
    return {
        "name": spec.name,
        "title": spec.title,
        "licence": spec.licence,
        "url": spec.url,
        "how": spec.how,
        "classes": list(spec.classes),
        "train": spec.counts[0],
        "test": spec.counts[1],
        "image": list(spec.shape),
        "archives": [asdict(archive) for archive in spec.archives],
        "mirror": spec.mirror,
        "options": dict(spec.options),
        "cached": bool(verdicts),
        "official": next((verdict for verdict in (True, None, False) if verdict in verdicts), None),
    }
