"""How a build runs, whatever it builds: nothing in here changes a byte of a data set."""

from collections.abc import Callable
from dataclasses import dataclass, field

from poisonkit.core.progress import NullProgress, ignore, processors


@dataclass(frozen=True)
class Runtime:
    """How a build runs and to whom it reports.

    Attributes
    ----------
    command : list of str
        The command line that the sidecar records.
    threads : int
        Threads that compute and write.
    progress : callable
        ``progress(total, label, unit)`` is a context manager whose object has ``update(n)``.
    warn : callable
        Is given each warning, one line.
    """

    command: list[str] = field(default_factory=list)
    threads: int = field(default_factory=processors)
    progress: Callable = NullProgress
    warn: Callable[[str], None] = ignore
