"""What code that is not ours leaves of this process: alive, once, and in its folder."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

_SYSTEM = tuple(sys.modules[name] for name in ("os", "posix", "nt") if name in sys.modules)
_ENDS = ("_exit", "execv", "execve")
_end = os._exit


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Let code raise where it would end this process at once or put another program in its place, as if all were done.
    A child that it forks ends with the code, and this process is in the same folder afterwards: the names of files that
    are still to be written are seen from there."""
    here, folder = os.getpid(), _folder()
    replaced = {(module, name): getattr(module, name) for module in _SYSTEM for name in _ENDS if hasattr(module, name)}
    for (module, name), function in replaced.items():
        setattr(module, name, _instead(function, name, here))
    try:
        yield
    finally:
        if os.getpid() != here:
            _end(1)
        for (module, name), function in replaced.items():
            setattr(module, name, function)
        if folder is not None and _folder() != folder:
            os.chdir(folder)


def _instead(function: Callable[..., Any], name: str, here: int) -> Callable[..., Any]:
    def end(*args: Any) -> Any:
        if os.getpid() != here:  # a child may
            return function(*args)
        raise SystemExit(f"os.{name} ends the process")

    return end


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it is no longer there
        return None
