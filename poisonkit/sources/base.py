"""What a source of clean data is: what it declares of itself, what it is given to decode its data, and what it returns
(labels in memory, images on disk, digests of both)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from poisonkit.core import hashing
from poisonkit.core.errors import Usage
from poisonkit.core.modality import IMAGE, TEXT, Modality
from poisonkit.core.progress import NullProgress, ignore

if TYPE_CHECKING:
    from poisonkit.sources._fetch.archive import Archive

Options = dict[str, Any]
"""Options of a source as a manifest has them: key → integer or string."""


class Part(Protocol):
    """One part (train or test) of a source: rows in order, their labels, and where they are read from."""

    @property
    def path(self) -> Path:
        """The file that the rows are read from."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C) of images, (N,) of texts."""

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64."""

    def __len__(self) -> int: ...

    def blocks(self, rows: int = 2048) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, rows) over the whole part, at most `rows` at once."""

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Read the given rows, in that order."""


@dataclass(frozen=True)
class Source:
    """A decoded source.

    Attributes
    ----------
    arrays : dict
        The digests of its four arrays by their path in the file format.
    options : dict
        Its options, where they are not the defaults.
    origin : dict
        Where it came from, for the sidecar.
    cached : bool
        Whether the images are in the cache, and not in a file of the user's.
    behind : camouflage.Behind or None
        What a camouflaged source was made from.
    """

    name: str
    title: str
    licence: str
    url: str
    classes: tuple[str, ...]
    train: Part
    test: Part
    arrays: dict[str, str]
    options: Options = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    cached: bool = True
    behind: Any = None

    @property
    def modality(self) -> Modality:
        """What its rows are."""
        return TEXT if len(self.train.shape) == 1 else IMAGE

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of `arrays`: the identity of the clean data."""
        return hashing.digest(self.arrays)


@dataclass(frozen=True)
class Origin:
    """Something that a source can be decoded from: an archive, a folder, the built-in generator.

    Attributes
    ----------
    fingerprint : dict
        JSON that names its present state and is cheap to compute (paths, sizes, times; options of a generator). The
        cache maps it to the decoded arrays.
    decode : callable
        ``decode(writer, context) -> dict`` writes both parts (`_cache.entry.Writer`) and returns the `origin` record
        of the sidecar: at least ``kind`` and ``official``.
    options : dict
        The source's options, where they are not the defaults.
    """

    fingerprint: dict[str, Any]
    decode: Callable[[Any, "SourceContext"], dict[str, Any]]
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class SourceContext:
    """What the caller provides while a source is opened: threads, a progress bar, and a log for one-line notices."""

    jobs: int
    progress: Callable[..., Any] = NullProgress
    say: Callable[[str], None] = ignore


def required(path: Path | None, name: str, what: str) -> Path:
    """Return a source's path, absolute. Raises `Usage` where the user named none; `what` says what it should be."""
    if path is None:
        raise Usage(f"source {name} needs --source {what}")
    return path.absolute()


def nothing_unrecorded(_classes: Sequence[str], _options: Options) -> Options:
    """Return no options: a manifest's record of most sources says everything."""
    return {}


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """What a source of clean data is called, where its data come from, and how they are found.

    Attributes
    ----------
    name : str
        The file's name; the value of `make --dataset`.
    title, licence, url : str
        As the manifest records them. `described` may replace them for data with other counts than the published ones.
    how : str
        How to get the data, for `poisonkit sources`.
    modality : Modality
        What its rows are.
    locate : callable
        ``locate(path, options) -> Origin`` finds what can be decoded at a path (None where the user named none).
    classes : tuple of str
        The class names; none where the data bring them (see `user_data`).
    counts : (int, int)
        Rows of the training and the test part, as published.
    shape : tuple of int
        Height, width and channels of an image; () for texts.
    options : mapping
        Option → default.
    parsers : mapping
        Option → what makes its value of what was typed; raises ValueError with what was expected. Without one an
        option is a whole number of at least 0.
    text_options : bool
        Whether `--source-option` takes any text for its options, instead of numbers and sizes.
    archives : tuple of Archive
        What is published, with hashes.
    fetch : callable, optional
        ``fetch(folder, context) -> Path`` downloads the data; None where they cannot be downloaded.
    mirror : str, optional
        The environment variable that names another place to download from.
    target : int
        The class that an attacker wants unless told otherwise, if it has rows.
    described : callable, optional
        ``described(train, test)``: title, licence and url of data with other counts, where they differ.
    former_options : mapping
        Options that are meant by manifests which do not name them, because they were made before the option existed.
    unrecorded : callable
        ``unrecorded(classes, options)``: the options that a manifest's record of this source, which has those, implies
        and does not name, so that the clean file can be made again.
    aliases : tuple of str
        What others call it: understood wherever its name is typed, never stored.
    """

    name: str
    title: str
    licence: str
    url: str
    how: str
    modality: Modality
    locate: Callable[[Path | None, Options], Origin]
    classes: tuple[str, ...] = ()
    counts: tuple[int, int] = (0, 0)
    shape: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    parsers: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    text_options: bool = False
    archives: tuple["Archive", ...] = ()
    fetch: Callable[[Path, SourceContext], Path] | None = None
    mirror: str | None = None
    target: int = 0
    described: Callable[[int, int], dict[str, str]] | None = None
    former_options: Mapping[str, Any] = field(default_factory=dict)
    unrecorded: Callable[[Sequence[str], Options], Options] = nothing_unrecorded
    aliases: tuple[str, ...] = ()

    @property
    def user_data(self) -> bool:
        """Whether the data, and so the class names, are the user's own: there is nothing without `--source`."""
        return not self.classes and self.fetch is None
