"""Where clean images come from. One file a source, one line in the table below.

Everything heavy (NumPy, OpenCV) is imported when a source is opened, so that listing the names costs nothing.
"""

from pathlib import Path

from poisonkit.core.errors import Failure, Usage
from poisonkit.sources.registry import TITLES, module


def open_source(
    name: str,
    *,
    source: Path | None = None,
    cache: Path | None = None,
    options: dict | None = None,
    fresh: bool = False,
    jobs: int | None = None,
    progress=None,
    say=None,
):
    """Open a source of clean images: from the cache if it lies there, else decoded into it.

    Parameters
    ----------
    name : str
        One of `TITLES`.
    source : Path, optional
        Archive or folder to read. Without it the newest decoded copy in the cache is taken, an official one first;
        where there is none, the official archives are downloaded.
    cache : Path, optional
        The cache folder (default: see `cache.folder`).
    options : dict, optional
        Options of the source itself (`signs`: ``train``, ``test``, ``seed``; `folder`: ``size``, ``channels``), and of
        the change of every image, ``camouflage`` and ``camouflage-seed``, as the source's record has them.
    fresh : bool
        Read anew what may lie decoded in the cache: the source where one is named, else what is downloaded or drawn.
    jobs : int, optional
        Threads that decode (default: the processors of this process).
    progress : callable, optional
        ``progress(total, label, unit)`` is a context manager whose object has ``update(n)``.
    say : callable, optional
        Is given one-line notices and warnings.

    Returns
    -------
    base.Source

    Raises
    ------
    errors.Usage
        Unknown name or option.
    errors.Failure
        Nothing there, damaged, refused, disk full, no network: one line says which.
    """
    from poisonkit.core import files, modality
    from poisonkit.core.progress import NullProgress, processors
    from poisonkit.sources import base, camouflage
    from poisonkit.sources._cache.cache import Cache

    kind = module(name)
    plain, disguise = camouflage.split(options or {})
    context = base.Context(jobs=jobs or processors(), progress=progress or NullProgress, say=say or base.Context.say)
    store = Cache(cache)
    chosen = _check_options(name, kind, plain)
    if disguise is not None and modality.of_module(kind) != modality.IMAGE:
        raise Usage(f"--camouflage: is for images, {name} holds {modality.of_module(kind).rows}")
    try:
        opened = _warned(_open(name, kind, source, chosen, store, context, fresh), context.say)
        return opened if disguise is None else camouflage.derive(opened, disguise, store, context)
    except OSError as error:
        if files.is_full(error):
            raise Failure(
                f"disk full while filling the cache {store.root}: free some space or name another with --cache"
            ) from error
        raise Failure(f"{error.filename or source or store.root}: {error.strerror or error}") from error


def _open(name: str, kind, source, options: dict, store, context, fresh: bool):
    if source is not None or not kind.ARCHIVES:
        origin = kind.locate(None if source is None else Path(source), options)
        found = None if fresh else store.lookup(name, origin.fingerprint, context.say)
        return found or store.writable(context.say).fill(name, origin, context)
    found = None if fresh else store.newest(name, context.say)
    if found is not None:
        return found
    store = store.writable(context.say)
    origin = kind.locate(kind.fetch(store.downloads, context), options)
    return store.fill(name, origin, context)


def _warned(source, say):
    """What should be known of data each time that they are used: that they are not the published ones, and whatever was
    found when they were read."""
    if source.origin.get("official") is False:
        why = source.origin.get("difference", "its hash is not the published one")
        say(f"warning: {source.origin['path']} is not the official {source.name} ({why}); used all the same")
    for line in source.origin.get("notices", ()):
        say(line)
    return source


def _check_options(name: str, kind, options: dict) -> dict:
    """The options beyond the defaults: what the module's parser makes of each, else whole numbers of at least 0."""
    parsers, chosen = getattr(kind, "PARSERS", {}), {}
    for key, value in sorted(options.items()):
        if key not in kind.OPTIONS:
            known = f"it has {', '.join(kind.OPTIONS)}" if kind.OPTIONS else "it has none"
            raise Usage(f"source {name} has no option {key!r}: {known}")
        try:
            chosen[key] = parsers.get(key, _whole)(value)
        except ValueError as error:
            raise Usage(f"option {key!r} of source {name}: expected {error}, got {value!r}") from None
    return {key: value for key, value in chosen.items() if value != kind.OPTIONS[key]}


def _whole(value) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a whole number of at least 0")
    return value


def describe(cache: Path | None = None) -> list[dict]:
    """What `poisonkit sources` tells: for each source its name, what it is, how to get it, and whether it is cached.

    Returns
    -------
    list of dict
        ``name, title, licence, url, how``; ``classes`` (names); ``train`` and ``test`` (counts); ``image`` (H, W, C);
        ``archives`` (each ``name, url, size, md5, sha256``, None where not published); ``mirror`` (the environment
        variable that names another place to download from, or None); ``options`` (defaults); ``cached`` (bool) and
        ``official`` (of the best cached copy: true, false, or null where nothing is published).
    """
    from dataclasses import asdict

    from poisonkit.sources._cache.cache import Cache

    entries = [entry for entry in Cache(cache).entries() if "camouflage" not in entry["options"]]
    found = []
    for name in TITLES:
        kind = module(name)
        verdicts = [entry["official"] for entry in entries if entry["name"] == name]
        best = next((verdict for verdict in (True, None, False) if verdict in verdicts), None)
        found.append(
            {
                "name": name,
                "title": kind.TITLE,
                "licence": kind.LICENCE,
                "url": kind.URL,
                "how": kind.HOW,
                "classes": list(kind.CLASSES),
                "train": kind.COUNTS[0],
                "test": kind.COUNTS[1],
                "image": list(kind.SHAPE),
                "archives": [asdict(archive) for archive in kind.ARCHIVES],
                "mirror": kind.MIRROR,
                "options": dict(kind.OPTIONS),
                "cached": bool(verdicts),
                "official": best,
            }
        )
    return found
