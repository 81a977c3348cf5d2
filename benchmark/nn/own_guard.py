"""What a network's own code may do while it runs here: its errors are one line, and it cannot end this process."""

import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from benchmark.core import child_process
from benchmark.core.errors import Failure

if TYPE_CHECKING:
    from benchmark.nn.own import Source

SOURCE = "code_of_its_own"  # the attribute of a network that holds its `Source`
_SYSTEM = tuple(sys.modules[name] for name in ("os", "posix", "nt") if name in sys.modules)
_ENDS = ("_exit", "execv", "execve")
_WRAPPED = ("in user code:", "Exception encountered when calling")


@contextlib.contextmanager
def in_one_line(source: "Source") -> Iterator[None]:
    """Turn what the code raises into one line with its place in the file. What it prints goes to stderr."""
    try:
        with contextlib.redirect_stdout(sys.stderr), _kept_alive():
            yield
    except (Failure, KeyboardInterrupt):
        raise
    except SyntaxError as error:
        line = f":{error.lineno}" if error.filename == str(source.path) else ""
        raise Failure(f"{source.path}{line}: {type(error).__name__}: {error.msg}") from error
    except BaseException as error:  # also SystemExit, which would end this program as if all were done
        first = _raised_first(error)
        frames = traceback.extract_tb(first.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(source.path)]
        line = f":{lines[-1]}" if lines else ""
        more = " (the file can import installed packages only)" if isinstance(first, ImportError) else ""
        raise Failure(f"{source.path}{line}: {type(first).__name__}: {_words(first)[:200]}{more}") from error


@contextlib.contextmanager
def _kept_alive() -> Iterator[None]:
    """Let code raise where it would end this process at once, or put another program in its place: it would end a
    training with exit code 0 and no result. A process that it forks may end, and does so with the code, and this one is
    in the same folder afterwards: the names of files that are still to be written are seen from there."""
    here, folder = os.getpid(), _folder()
    replaced = {(module, name): getattr(module, name) for module in _SYSTEM for name in _ENDS if hasattr(module, name)}

    def instead(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def end(*args: Any) -> Any:
            if os.getpid() != here:
                return function(*args)
            raise SystemExit(f"os.{name} ends the process")

        return end

    for (module, name), function in replaced.items():
        setattr(module, name, instead(function, name))
    try:
        yield
    finally:
        if os.getpid() != here:
            child_process.end(1)
        for (module, name), function in replaced.items():
            setattr(module, name, function)
        if folder is not None and _folder() != folder:
            os.chdir(folder)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it is no longer there
        return None


def _raised_first(error: BaseException) -> BaseException:
    """Return what the code itself has raised, where Keras and TensorFlow have put many lines of their own around it."""
    while _words(error).startswith(_WRAPPED) and error.__context__ is not None:
        error = error.__context__
    return error


def _words(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())
    except Exception:  # an exception of the code's own may not be able to say anything
        return "(without a message)"


class _Guarded:
    """The engine or a compiled function of a network of one's own: its code also runs while it trains and predicts,
    where `build` did not."""

    def __init__(self, engine: Any, source: "Source"):
        self._engine, self._source = engine, source

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._engine, name)
        if not callable(value):
            return value

        @functools.wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            with running(self._source):
                return value(*args, **kwargs)

        return call

    def __call__(self, *args: Any) -> Any:
        with running(self._source):
            return self._engine(*args)


@contextlib.contextmanager
def running(source: "Source") -> Iterator[None]:
    """Turn what the code of a built network raises, and what cannot be computed of it, into one line. Memory that was
    not enough is not its fault."""
    try:
        with in_one_line(source):
            yield
    except Failure as error:
        cause = error.__cause__
        if isinstance(cause, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise cause or error from None
        raise


def guarded(engine: Callable[[], Any], model: Any) -> Any:
    """Return the engine or function of a network, made by `engine`; of one's own, one whose errors are one line."""
    source = getattr(model, SOURCE, None)
    if source is None:
        return engine()
    with running(source):
        return _Guarded(engine(), source)
