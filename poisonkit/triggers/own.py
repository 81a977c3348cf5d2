"""A trigger of one's own: a function in a file, `FILE.py:FUNCTION`.

The file is code, and is executed only where the user names it in the same command or call (`named`). What a data set
holds of it is its SHA-256 and a copy, as data: a file of a stranger's executes nothing.
"""

import re
import sys
import types
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poisonkit.core import hashing, texts
from poisonkit.core.errors import Failure, Usage
from poisonkit.triggers import own_code
from poisonkit.triggers.base import UNNAMED, Parameters
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile

NAME = "own"
MOST = 1 << 20  # bytes of the file
LONGEST = 100  # characters of the names of file and function
EXPECTED = "FILE.py:FUNCTION"
RESERVED = ("name", "file", "function", "digest")
_SPELLED = re.compile(r"(?P<path>.+\.py):(?P<function>[A-Za-z_]\w*)", re.ASCII | re.S)


@dataclass(frozen=True)
class Source:
    """The code of a trigger: where it is, its function, and the file's bytes as they were when it was named."""

    path: Path
    function: str
    text: bytes

    @property
    def digest(self) -> str:
        """Of the file: `sha256:…`."""
        return hashing.sha256(self.text)

    @property
    def label(self) -> str:
        """See `own_code.Code`."""
        return f"{self.path}:{self.function}"

    def owns(self, file: str) -> bool:
        """See `own_code.Code`."""
        return file == str(self.path)

    def parameters(self, options: dict[str, str]) -> dict[str, str]:
        """Return what a recipe says of it, with options as they were typed."""
        own_code.check_keys(options, RESERVED)
        return {"digest": self.digest, "file": self.path.name, "function": self.function, **options}


_NAMED: ContextVar[Mapping[tuple[str, str], Source]] = ContextVar("named", default=types.MappingProxyType({}))
"""What the user has named, and may be executed: by digest and function. Every command, and every call of the Python
interface, runs in a context of its own (`interface.in_a_context`), so that what was named for one is not for the next.
"""
_EXECUTED: dict[str, dict[str, Any]] = {}
"""The names of files that were executed, by digest."""


def named(trigger: str) -> Source:
    """Return the code that `FILE.py:FUNCTION` names, and let it be executed in this context. Nothing is executed yet.

    Raises `Usage` where it is spelled otherwise or there is no such file, `Failure` where that cannot be read or is
    larger than MOST.
    """
    found = _SPELLED.fullmatch(trigger)
    if not found:
        raise Usage(f"--trigger: expected a name, or {EXPECTED}, got {trigger!r:.80}")
    path = Path(found["path"]).absolute()
    if len(path.name) > LONGEST or not path.name.isprintable() or len(found["function"]) > LONGEST:
        raise Usage(f"--trigger: expected printable names of at most {LONGEST} characters, got {trigger!r:.80}")
    if not path.is_file():
        raise Usage(f"--trigger: {path}: {'is not a file' if path.exists() else 'no such file'}")
    try:
        with open(path, "rb") as file:
            text = file.read(MOST + 1)
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror})") from None
    if not 0 < len(text) <= MOST:
        raise Failure(f"{path}: {'is empty' if not text else f'is larger than {MOST >> 20} MiB'}, expected Python code")
    source = Source(path, found["function"], text)
    _NAMED.set({**_NAMED.get(), (source.digest, source.function): source})
    return source


def of_recipe(parameters: Parameters) -> Source | None:
    """Return the code of a recipe's trigger; None where it was not named in this context."""
    return _NAMED.get().get((str(parameters.get("digest")), str(parameters.get("function"))))


def unknown(parameters: Parameters) -> str | None:
    """Say in a few words why a recipe's trigger cannot be made here; None where it can."""
    if of_recipe(parameters):
        return None
    wanted = ":".join(texts.printable(str(parameters.get(key)))[:60] for key in ("file", "function"))
    others = [one for one in _NAMED.get().values() if one.function == parameters.get("function")]
    if others:
        short = [text.removeprefix("sha256:")[:8] for text in (others[-1].digest, str(parameters.get("digest")))]
        return f"{UNNAMED}{wanted}, SHA-256 {short[1]}…; {others[-1].path} is another file, {short[0]}…"
    function = texts.printable(str(parameters.get("function")))[:60]
    if same := [one for one in _NAMED.get().values() if one.digest == parameters.get("digest")]:
        return f"{UNNAMED}{wanted}: named was another function of the same file, {same[-1].function}"
    return f"{UNNAMED}{wanted} is code of its maker's, which runs only where you name it: --trigger FILE.py:{function}"


def copy_problem(parameters: Parameters, copy: np.ndarray) -> str | None:
    """Say what is wrong with the copy of the code in a file, (n,) uint8; None where its digest is the recipe's."""
    digest = hashing.sha256(copy.tobytes())
    return None if digest == parameters.get("digest") else f"is not the code of the recipe's digest ({digest[:23]}…)"


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Execute the code, which was named, and build what it returns; a copy of it goes into the file."""
    source = of_recipe(parameters)
    if source is None:
        raise Usage(f"{unknown(parameters)}")
    function, options = _function(source), _options(parameters)
    made = own_code.build(source, function, options, tile, context)
    extras = {"source": np.frombuffer(source.text, np.uint8)}
    return BuiltTrigger(made.train, extras, made.streams, test=made.test)


def check(parameters: Parameters) -> None:
    """Execute the code, which was named, and hold the options of a recipe against its function. Raises `Usage` for an
    option that it has not, `Failure` where it is no such function."""
    source = of_recipe(parameters)
    if source is not None:
        own_code.arguments(source, _function(source), _options(parameters))


def _options(parameters: Parameters) -> dict[str, str]:
    return {key: str(value) for key, value in parameters.items() if key not in RESERVED}


def _function(source: Source) -> Any:
    """Execute the file, once in this process, and return its function."""
    names = _EXECUTED.get(source.digest + str(source.path))
    if names is None:
        module = types.ModuleType(f"poisonkit_own_{source.digest[7:15]}")
        module.__file__ = str(source.path)
        sys.modules[module.__name__] = module  # where pickles and dataclasses look for its classes
        with own_code.one_line(source):
            exec(compile(source.text, str(source.path), "exec", dont_inherit=True), module.__dict__)
        names = _EXECUTED[source.digest + str(source.path)] = module.__dict__
    function = names.get(source.function)
    if not callable(function):
        there = [name for name, value in names.items() if isinstance(value, types.FunctionType)]
        raise Failure(f"{source.path}: has no function {source.function!r}: it has {', '.join(there[:8]) or 'none'}")
    return function


SPEC = ImageTrigger(
    name=NAME,
    summary=f"a trigger of your own, {EXPECTED}",
    free=True,
    build=build,
)
"""What stands for all such triggers in a recipe; it is in no folder of triggers, since no name chooses it."""
