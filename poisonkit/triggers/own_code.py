"""Run code that is not ours, a trigger of the user's or of a package: whatever it raises, prints or returns becomes one
line with its file and line."""

import contextlib
import inspect
import io
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Protocol

import numpy as np

from poisonkit.core import texts
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.image_maps import Function, ImageMap
from poisonkit.core.random_streams import stream, uniform
from poisonkit.core.stencil import Stencil
from poisonkit.core.table import Table
from poisonkit.triggers import own_process
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, RowStream, Tile

STREAM = "own"
KEY = re.compile(r"[a-z0-9][a-z0-9_]{0,63}", re.ASCII)
"""An option's key, as recipes have it."""
PATIENCE = 20.0  # seconds after which it is said that the code still runs
MOST_PRINTED = 1 << 20  # characters
_LOG = logging.getLogger("poisonkit")


class Code(Protocol):
    """Code that is not ours: how it is called in messages, and whether a source file belongs to it."""

    @property
    def label(self) -> str:
        """FILE.py:FUNCTION, or PACKAGE.NAME."""
        ...

    def owns(self, file: str) -> bool:
        """Whether a source file, by its path, is its own."""
        ...


class Draws:
    """What a build may draw: one stream of raw words, from its beginning on, of the recipe's seed."""

    def __init__(self, seed: int, name: str):
        self._stream = stream(seed, name)
        self.used = False

    def words(self, *shape: int) -> np.ndarray:
        """Draw raw 64-bit words, uint64 of that shape."""
        self.used = True
        return self._stream.random_raw(int(np.prod(shape))).reshape(shape)

    def uniform(self, *shape: int) -> np.ndarray:
        """Draw numbers in [0, 1), float64 of that shape."""
        return uniform(self.words(*shape))


# ---------------------------------------------------------------- errors in one line


class _Endless(Exception):
    """The code prints without end."""


class _Bounded(io.TextIOBase):
    """Standard output of the code: goes to standard error, up to a bound."""

    def __init__(self, quiet: bool = False) -> None:
        self._left, self._quiet = MOST_PRINTED, quiet

    def write(self, text: str) -> int:
        self._left -= len(text)
        if self._left < 0:
            raise _Endless(f"printed more than {MOST_PRINTED >> 20} MB")
        return len(text) if self._quiet else sys.stderr.write(text)


@contextlib.contextmanager
def one_line(code: Code, quiet: bool = False) -> Iterator[None]:
    """Turn what the code raises into one line with its place in the file. What it prints goes to standard error, but
    for where it is `quiet`; that it takes long is said."""
    main, done = threading.get_ident(), threading.Event()
    watch = threading.Thread(target=_watch, args=(code, main, done), daemon=True)
    watch.start()
    try:
        with contextlib.redirect_stdout(_Bounded(quiet)), own_process.kept():
            yield
    except (Failure, KeyboardInterrupt, MemoryError):
        raise
    except SyntaxError as error:
        place = f"{error.filename}:{error.lineno}" if code.owns(str(error.filename)) else code.label
        raise Failure(f"{place}: {type(error).__name__}: {texts.printable(str(error.msg)):.200}") from error
    except BaseException as error:  # also SystemExit, which would end this program as if all were done
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if code.owns(frame.filename)]
        place = f"{lines[-1].filename}:{lines[-1].lineno}" if lines else code.label
        raise Failure(f"{place}: {type(error).__name__}: {_words(error):.200}") from error
    finally:
        done.set()


def _words(error: BaseException) -> str:
    try:
        return texts.printable(" ".join(str(error).split())) or "(without a message)"
    except Exception:  # an exception of the code's own may not be able to say anything
        return "(without a message)"


def _watch(code: Code, thread: int, done: threading.Event) -> None:
    """Say once where the code is, if it has not come back in time."""
    if not done.wait(PATIENCE):
        _LOG.warning(
            f"{_place(code, sys._current_frames().get(thread))}: still runs after {PATIENCE:.0f} s (Ctrl-C ends it)"
        )


def _place(code: Code, frame: FrameType | None) -> str:
    while frame is not None and not code.owns(frame.f_code.co_filename):
        frame = frame.f_back
    return code.label if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def place_of(code: Code, function: Any) -> str:
    """Return where a function of the code's begins, file and line, for a message about what it returned."""
    own = inspect.unwrap(function) if callable(function) else function
    compiled = getattr(own, "__code__", None)
    if compiled is not None and code.owns(compiled.co_filename):
        return f"{compiled.co_filename}:{compiled.co_firstlineno}"
    return code.label


# ---------------------------------------------------------------- options


def check_keys(options: Mapping[str, str], reserved: tuple[str, ...]) -> None:
    """`Usage` for an option that a recipe could not record under its name."""
    for key in options:
        if key in reserved:
            raise Usage(f"--option: {key!r}: recipes have that of the trigger itself: another name for the parameter")
        if not KEY.fullmatch(key):
            raise Usage(
                f"--option: {key!r:.60}: expected KEY=VALUE, the key of small letters, digits and _, which is how the "
                "parameter must be called"
            )


def arguments(code: Code, function: Callable[..., Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the keyword arguments for a function, of options as they were typed: each becomes what its default is, a
    whole number, a number, True or False, or a text. Raises `Usage` for an option that it has not."""
    known = options_of(code, function)
    found = {}
    for key, text in given.items():
        if key not in known:
            listed = ", ".join(known) or "none"
            raise Usage(f"--option: {code.label} has no option {key!r:.60}: its options are {listed}")
        found[key] = _converted(key, text, known[key])
    return found


def options_of(code: Code, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the options of a function, name → default: its parameters that have one. Raises `Failure` where it takes
    no tile, or needs more than that."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise Failure(f"{code.label}: is no function that could be asked for its parameters") from None
    known = {}
    for number, one in enumerate(parameters):
        if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL) or number == 0 or one.name == "random":
            continue
        if one.default is inspect.Parameter.empty:
            raise Failure(
                f"{place_of(code, function)}: its parameter {one.name!r} has no default, expected (tile) or "
                "(tile, random), and options that have one"
            )
        known[one.name] = one.default
    if not parameters or parameters[0].kind == inspect.Parameter.KEYWORD_ONLY:
        raise Failure(f"{place_of(code, function)}: takes no tile, expected a function of (tile) or (tile, random)")
    return known


def _converted(key: str, text: str, default: Any) -> Any:
    kind = bool if isinstance(default, bool) else int if isinstance(default, int) else type(default)
    try:
        if kind is bool:
            return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}[text.lower()]
        if kind in (int, float):
            value = kind(text)
            if value - value != 0:
                raise ValueError(text)
            return value
    except (KeyError, ValueError, OverflowError):
        words = {bool: "yes or no", int: "a whole number", float: "a number"}[kind]
        raise Usage(f"--option: {key}: expected {words}, as its default {default!r:.40} is, got {text!r:.60}") from None
    return text


# ---------------------------------------------------------------- what it makes


def build(
    code: Code, function: Callable[..., Any], given: Mapping[str, str], tile: Tile, context: ImageContext
) -> BuiltTrigger:
    """Call a function of (tile) or (tile, random) with its options, and return the trigger of what it returns: a
    stencil, a table, a function `apply(images, rows, random)`, or two of these, for training and test rows.

    Raises `Failure` in one line for whatever goes wrong in it, or for what it returns.
    """
    options, where = arguments(code, function, given), place_of(code, function)
    draws, pair = _called(code, function, options, tile, context)
    again = _called(code, function, options, tile, context, quiet=True)[1]
    streams = {context.stream_name(STREAM)} if draws.used else set()
    pairs = zip(pair, again, strict=True)
    maps = [
        None if one is None else _map(code, where, one, tile, context, i, two) for i, (one, two) in enumerate(pairs)
    ]
    for test, one in enumerate(maps):
        if isinstance(one, Function):
            streams.add(_row_stream(context, bool(test)).name)
            if not test and maps[1] is None:  # training and test rows draw from streams of their own
                maps[1] = _map(code, where, pair[0], tile, context, True, again[0])
                streams.add(_row_stream(context, True).name)
    if maps[0] is None:
        raise Failure(f"{where}: returned {type(pair[0]).__name__}, expected {_EXPECTED}")
    return BuiltTrigger(maps[0], streams=tuple(sorted(streams)), test=maps[1])


def _called(
    code: Code, function: Callable[..., Any], options: dict[str, Any], tile: Tile, context: ImageContext, quiet=False
) -> tuple[Draws, tuple[Any, Any]]:
    """Call the function once. Return what it drew from, and what it made for training rows, and for test rows."""
    draws = Draws(context.seed, context.stream_name(STREAM))
    takes_random = "random" in inspect.signature(function).parameters
    with one_line(code, quiet):
        made = _at_once(function(tile, **({"random": draws} if takes_random else {}), **options))
    pair = made if isinstance(made, tuple) else (made, None)
    if isinstance(made, BuiltTrigger):
        pair = made.train, made.test
    if len(pair) != 2:
        where = place_of(code, function)
        raise Failure(f"{where}: returned {len(pair)} things, expected one, or two: for training and test rows")
    return draws, pair


def _at_once(made: Any) -> Any:
    """Return what a function made; what an `async` one returned, which is refused, would warn that nobody waits."""
    if inspect.iscoroutine(made):
        made.close()
    return made


_EXPECTED = "a Stencil, a Table, or a function of (images, rows, random)"


def _row_stream(context: ImageContext, test: bool) -> RowStream:
    return context.row_stream(f"{STREAM}-rows", test)


def _map(code: Code, where: str, made: Any, tile: Tile, context: ImageContext, test: int, again: Any) -> ImageMap:
    """Return what was made as a map of such tiles, checked; `again` is what was made when it was asked once more, which
    must be the same: of a function what it does to the first rows (`Rows`)."""
    if isinstance(made, Stencil | Table):
        found = _arrays(where, made, tile)
        if type(again) is not type(made) or not _same(found, _arrays(where, again, tile)):
            raise Failure(f"{where}: returned something else when it was asked again: draw from `random` only")
        return found
    if not callable(made) or isinstance(made, type):
        raise Failure(f"{where}: returned {type(made).__name__}, expected {_EXPECTED}")
    rows = Rows(code, made, _row_stream(context, bool(test)), again)
    return Function(rows, tile, name=place_of(code, made), parallel=False)


def _arrays(where: str, made: Stencil | Table, tile: Tile) -> Stencil | Table:
    """Return a stencil or a table, checked."""
    if isinstance(made, Stencil):
        return _stencil(where, made, tile)
    try:
        return Table.build(made.levels, tile)
    except (ValueError, TypeError) as error:
        raise Failure(f"{where}: returned no sound table: {error}") from None


def _same(one: Stencil | Table, other: Stencil | Table) -> bool:
    mine, theirs = one.arrays(), other.arrays()
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[key], theirs[key]) for key in mine)


def _stencil(where: str, made: Stencil, tile: Tile) -> Stencil:
    arrays = (made.taps, made.weights, made.bias)
    for name, array in zip(("taps", "weights", "bias"), arrays, strict=True):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise Failure(f"{where}: returned a stencil whose {name} are {kind}, expected whole numbers (32768 is 1)")
        if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
            raise Failure(f"{where}: returned a stencil whose {name} do not fit 32 bits")
    try:
        found = Stencil.build(*arrays)
    except ValueError as error:
        raise Failure(f"{where}: returned no sound stencil: {error}") from None
    if found.shape != tile:
        raise Failure(f"{where}: returned a stencil for {found.shape}, expected one for the tile, {tile}")
    return found


class Rows:
    """A function of (images, rows, random) of the code's, as a map of rows. What it gives for the first rows is asked
    for once more, one row alone, of the function that was made when it was asked `again`: it must not depend on other
    rows, nor on chance of its own."""

    def __init__(self, code: Code, function: Callable[..., Any], random: RowStream, again: Any):
        self._code, self._function, self._random = code, function, random
        self._again, self._checked = again if callable(again) else function, False

    def __call__(self, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Map images (n, h, w, C) uint8 of these rows."""
        found = self._called(images, rows)
        if not self._checked and self._is_one(found, images):
            self._checked = True
            for at in dict.fromkeys((len(images) - 1, 0)):
                again = self._called(images[at : at + 1], rows[at : at + 1], self._again)
                if not self._is_one(again, images[:1]) or (again[0] != found[at]).any():
                    raise Failure(
                        f"{place_of(self._code, self._function)}: gave row {rows[at]} other bytes when it was asked "
                        "again for this row alone: draw from `random` only, and let no row depend on others"
                    )
        return found

    def _called(self, images: np.ndarray, rows: np.ndarray, function: Callable[..., Any] | None = None) -> Any:
        with one_line(self._code):
            return _at_once((function or self._function)(images.copy(), rows.copy(), self._random))

    @staticmethod
    def _is_one(found: Any, images: np.ndarray) -> bool:
        return isinstance(found, np.ndarray) and found.dtype == np.uint8 and found.shape == images.shape
