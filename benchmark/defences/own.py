"""A method of one's own: a function in a file, `score(context, *, option=default, …)` for a detector and
`repair(context, *, option=default, …)` for a repair.

The file is code, and is executed only where the user names it. A result says by its SHA-256 which file it was.
"""

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core.errors import Failure, Usage
from benchmark.defences.context import DefenceContext, Detection
from benchmark.defences.options import Option
from benchmark.defences.registry import DetectorSpec, MethodSpec, Registry, RepairSpec
from benchmark.nn import own, own_guard
from benchmark.nn.own import Source

EXPECTED = own.EXPECTED


def is_spelled(method: str) -> bool:
    """Tell whether a value of `--method` names a file."""
    return own.is_spelled(method)


def spec_of(method: str, registry: Registry) -> tuple[MethodSpec, Source]:
    """Execute the file that `FILE.py:FUNCTION` names, and return its function as a method of the registry's kind.

    Its options are the function's keyword arguments with defaults, which give their types.

    Raises
    ------
    Usage
        If it is spelled otherwise, there is no such file or function, or an argument has no default.
    Failure
        If the code fails.
    """
    source = own.read(method, "--method")
    with own_guard.in_one_line(source):
        function = own.executed(source).get(source.function)
    if not callable(function):
        raise Usage(f"{source.path}: has no function {source.function!r}")
    words: dict[str, Any] = {
        "name": _name(source),
        "title": f"{source.path.name}:{source.function}",
        "source": "the user's",
        "summary": f"The function {source.function} of {source.path.name}.",
        "options": tuple(_options(function, source)),
    }
    if registry.kind == "detector":
        return DetectorSpec(**words, score=functools.partial(_score, function, source)), source
    return RepairSpec(**words, repair=functools.partial(_repair, function, source)), source


def _name(source: Source) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "-", f"{source.path.stem}-{source.function}").strip("-").lower()
    return f"own-{plain[:60]}"


def _options(function: Callable[..., Any], source: Source) -> Iterator[Option]:
    """Yield the function's options: all arguments but the first, which is the context."""
    where = f"{source.path}:{source.function}"
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise Usage(f"{where}: has no signature that can be read") from None
    if not arguments or arguments[0].kind not in (arguments[0].POSITIONAL_ONLY, arguments[0].POSITIONAL_OR_KEYWORD):
        raise Usage(f"{where}: expected a function whose first argument is the context")
    for one in arguments[1:]:
        if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL):
            continue
        if type(one.default) not in (bool, int, float, str):
            raise Usage(f"{where}: its argument {one.name!r} needs a default, a number, a text or a truth value")
        yield Option(one.name, f"Argument {one.name} of {source.function}.", type(one.default), one.default)


def _score(function: Callable[..., Any], source: Source, context: DefenceContext, **options: Any) -> Detection:
    with own_guard.in_one_line(source), _unchanged(context, source):
        found = function(context, **options)
        if isinstance(found, Detection):
            return replace(found, pictures=_guarded(found.pictures, source))
        scores, flagged = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
        try:
            scores = np.asarray(scores)
            if scores.dtype.kind not in "fiub":
                raise TypeError
        except (TypeError, ValueError):
            raise Failure(
                f"{source.path}:{source.function}: returned {type(found).__name__}, expected an array of a score for "
                "each of context.rows, that and an array of bool, or a Detection"
            ) from None
        return Detection(scores, flagged)


def _guarded(pictures: Mapping[str, Callable[[Path], None]], source: Source) -> dict[str, Callable[[Path], None]]:
    """Return what draws the pictures of such code, whose errors are one line too."""
    return {name: functools.partial(_draw, save, source) for name, save in pictures.items()}


def _draw(save: Callable[[Path], None], source: Source, path: Path) -> None:
    with own_guard.in_one_line(source):
        save(path)


@contextlib.contextmanager
def _unchanged(context: DefenceContext, source: Source) -> Iterator[None]:
    """Let code of one's own read what it is given, and not change it: other methods and the scores' rows go by it.

    Arrays cannot be written while it runs. `Failure` where the shared network was changed; what was computed with it is
    not kept then.
    """
    arrays = [context.rows, *(array for one in (context.train, context.clean) for array in (one.inputs, one.labels))]
    fixed = [array for array in arrays if isinstance(array, np.ndarray) and array.flags.writeable]
    before = context.weights_digest()
    for array in fixed:
        array.flags.writeable = False
    try:
        yield
    finally:
        for array in fixed:
            array.flags.writeable = True
        changed = context.weights_digest() != before
        if changed:
            context.forget()
    if changed:
        raise Failure(
            f"{source.path}:{source.function}: has changed context.model, which others share: context.network() is a "
            "copy"
        )


def _repair(function: Callable[..., Any], source: Source, context: DefenceContext, **options: Any) -> Iterator[Any]:
    import keras

    from benchmark.defences.context import Stage

    where = f"{source.path}:{source.function}"
    with own_guard.in_one_line(source), _unchanged(context, source):
        found = function(context, **options)
        if not isinstance(found, (keras.Model, Stage, Iterable)):
            raise Failure(f"{where}: returned {type(found).__name__}, expected a keras.Model, or several")
        stages = iter([found] if isinstance(found, (keras.Model, Stage)) else found)
    while True:
        with own_guard.in_one_line(source), _unchanged(context, source):
            stage = next(stages, None)
        if stage is None:
            return
        if isinstance(stage, keras.Model):
            stage = Stage(stage, "repaired")
        if not isinstance(stage, Stage) or not isinstance(stage.model, keras.Model):
            wrong = stage.model if isinstance(stage, Stage) else stage
            raise Failure(f"{where}: yielded {type(wrong).__name__}, expected a keras.Model")
        _check_shapes(stage.model, context, where)
        yield replace(stage, pictures=_guarded(stage.pictures, source))


def _check_shapes(model: Any, context: DefenceContext, where: str) -> None:
    """`Failure` where a network takes or makes something else than the trained one, as far as both say."""
    for what in ("input_shape", "output_shape"):
        shapes = []
        for one in (context.model, model):
            try:
                shapes.append(getattr(one, what, None))
            except (AttributeError, ValueError):  # of a model that was not called yet
                shapes.append(None)
        if None not in shapes and shapes[0] != shapes[1]:
            raise Failure(f"{where}: yielded a network whose {what} is {shapes[1]}, expected {shapes[0]}")
