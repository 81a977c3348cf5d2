"""Progress bars as the lower floors see them, and how many processors there are to keep busy."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class NullProgress:
    """A progress bar that nobody sees. The real ones have the same two sides: a context, and `update`."""

    def __init__(self, total: int | None = None, label: str = "", unit: str = "") -> None:
        pass

    def __enter__(self) -> "NullProgress":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, count: int = 1) -> None:
        pass


def ignore(_line: str) -> None:
    """Do nothing with a line."""


def counted(items: Iterable[T], bar: Any) -> Iterator[T]:
    """Yield the same items, each shown on a progress bar."""
    for item in items:
        yield item
        bar.update(1)


def processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
