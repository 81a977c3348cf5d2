"""What every source of clean images hands over (labels in memory, images on disk, digests of both), and what it
is given to work with."""

from collections.abc import Callable
from dataclasses import dataclass, field

from poisonkit.core import hashing, modality
from poisonkit.core.progress import NullProgress, ignore
from poisonkit.core.splits import Split


@dataclass(frozen=True)
class Source:
    """A decoded source. `arrays` are the digests of its four arrays by their path in the file format;
    `options` what was asked of it beyond the defaults; `origin` where it came from (for the sidecar); `cached` whether
    the images lie in the cache, and not in a file of the user's; `behind` of a camouflaged source, what it was made
    from (`camouflage.Behind`)."""

    name: str
    title: str
    licence: str
    url: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    arrays: dict[str, str]
    options: dict = field(default_factory=dict)
    origin: dict = field(default_factory=dict)
    cached: bool = True
    behind: object | None = None

    @property
    def modality(self) -> modality.Modality:
        """What its rows are."""
        return modality.TEXT if len(self.train.shape) == 1 else modality.IMAGE

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of `arrays`: the identity of the clean data."""
        return hashing.digest(self.arrays)

    def record(self) -> dict:
        """The manifest's `source`."""
        return {
            "name": self.name,
            "title": self.title,
            "licence": self.licence,
            "url": self.url,
            "classes": list(self.classes),
            "options": self.options,
            "arrays": self.arrays,
            "digest": self.digest,
        }


@dataclass(frozen=True)
class Origin:
    """Something that a source can be decoded from: an archive, a folder, the built-in generator.

    Attributes
    ----------
    fingerprint : dict
        JSON that names this very state of it and costs little to find out (paths, sizes, times; options of a
        generator). The cache maps it to the decoded arrays.
    decode : callable
        ``decode(writer, context) -> dict`` writes both parts (`cache.Writer`) and returns the `origin` record of the
        sidecar: at least ``kind`` and ``official``.
    options : dict
        What was asked beyond the defaults.
    """

    fingerprint: dict
    decode: Callable
    options: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What the caller lends while a source is opened: threads, a progress bar, and a place for one-line notices."""

    jobs: int
    progress: Callable = NullProgress
    say: Callable[[str], None] = ignore
