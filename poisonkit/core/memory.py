"""A limit on address space (`ulimit -v`, as batch systems set it): the libraries below crash or hang where theirs does
not fit, instead of saying so. So it is looked at before they are loaded."""

import os

LEAST_OF_NUMPY = 128 << 20  # bytes: with less, OpenBLAS ends the process while it is loaded
LEAST = 1 << 30  # bytes: with less, LLVM and OpenBLAS abort, crash or wait for ever

try:
    import resource
except ImportError:  # not POSIX
    resource = None  # type: ignore[assignment]


def limit() -> int | None:
    """Return the bytes of address space that this process may have; None where there is no limit."""
    if resource is None:
        return None
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def prepare(multiplies: bool = True) -> None:
    """Before NumPy is loaded: one thread for OpenBLAS under a limit, of which it takes 32 MB or more a processor,
    and where no matrices will be multiplied: starting threads takes longer than anything that they would be for."""
    if limit() is not None or not multiplies:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def check(least: int = LEAST) -> None:
    """Before Numba, or with another number of bytes NumPy, is loaded. Raises `MemoryError` where the limit is too low
    for it."""
    allowed = limit()
    if allowed is not None and allowed < least:
        raise MemoryError(
            f"{allowed >> 20} MB of address space are allowed (ulimit -v), expected at least {LEAST >> 20}"
        )


def came_of_it(error: BaseException) -> bool:
    """Whether an error is that a library could not be loaded, or a thread not be started, for want of memory."""
    text = str(error)
    return limit() is not None and any(
        words in text for words in ("failed to map segment", "annot allocate memory", "libllvmlite", "start new thread")
    )
