"""`bm.detect`, `bm.repair` and `bm.methods`: detectors and repairs on finished runs, from Python."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core import interface
from benchmark.core.errors import Failure, Usage
from benchmark.reporting.defence_objects import DetectorResult, RepairResult
from benchmark.reporting.objects import Run, table_of

if TYPE_CHECKING:
    from benchmark.defences.subject import Asked

PathLike = str | os.PathLike[str]


@interface.public
def methods(*names: str) -> Any:
    """List detectors and repairs, or those named: a pandas DataFrame, or without pandas a list of dictionaries that
    prints as a table.

    Columns: `kind` (`detector` or `repair`), `name`, `title`, `needs` of a run, `all` (whether `method="all"` on the
    command line stands for it too), `options` with their defaults, `summary`, `source`.

    Raises
    ------
    Usage
        If there is no such method.
    """
    from benchmark.reporting import defences as shown

    rows = [
        {
            "kind": one["kind"], "name": one["name"], "title": one["title"], "needs": ", ".join(one["needs"]),
            "all": one["all"], "options": {option["name"]: option["default"] for option in one["options"]},
            "summary": one["summary"], "source": one["source"],
        }
        for one in shown.method_records(names)
    ]  # fmt: skip
    return table_of(rows)


@interface.public
def detect(
    run: Run | PathLike,
    method: str,
    *,
    rows: int | None = None,
    clean_rows: int | None = None,
    data: PathLike | None = None,
    base: PathLike | None = None,
    network: str | None = None,
    twin: bool = True,
    **options: Any,
) -> DetectorResult:
    """Score a finished run's training rows: which are poisoned? A result that exists is only read.

    Parameters
    ----------
    run : Run or path-like
        The run, or its folder.
    method : str
        A detector's name (see `methods`), or a function of your own, `FILE.py:FUNCTION`, which is executed.
    rows : int, optional
        Training rows to inspect, drawn at random, with all that are known to be poisoned; without it, all.
    clean_rows : int, optional
        Clean rows to use at most; without it, 5 % of the training rows, of those held out.
    data, base : path-like, optional
        The data set, where it has moved, and a delta's clean file.
    network : str, optional
        Of a run with a network of its own: its code, `FILE.py:FUNCTION`, which is executed.
    twin : bool
        Do the same on the clean run that CAD is against.
    **options
        The method's own, such as `expected=0.02`.

    Raises
    ------
    Usage
        If the method or an option is unknown, or out of its range.
    Failure
        If the run is not finished, or lacks what the method needs.
    """
    from benchmark.defences.catalogue import DETECTORS
    from benchmark.defences.detect import detector

    asked = _asked(data, base, clean_rows, rows, network)
    name, outcome = _done(detector, DETECTORS, run, method, options, asked, twin)
    folder, result = next(one for one in outcome.results if one[1].method == name)
    return DetectorResult(folder, result, outcome.twins.get(name))


@interface.public
def repair(
    run: Run | PathLike,
    method: str,
    *,
    clean_rows: int | None = None,
    data: PathLike | None = None,
    base: PathLike | None = None,
    network: str | None = None,
    twin: bool = True,
    **options: Any,
) -> RepairResult:
    """Repair a finished run's network, and score what is left; plain fine-tuning on the same rows is done beside it. A
    result that exists is only read.

    Parameters
    ----------
    run : Run or path-like
        The run, or its folder.
    method : str
        A repair's name (see `methods`), or a function of your own, `FILE.py:FUNCTION`, which is executed.
    clean_rows, data, base, network, twin
        As in `detect`.
    **options
        The method's own, such as `epochs=5`.

    Raises
    ------
    Usage
        If the method or an option is unknown, or out of its range.
    Failure
        If the run is not finished, or lacks what the method needs.
    """
    from benchmark.defences.catalogue import REPAIRS
    from benchmark.defences.repair import controls, repairer

    asked = _asked(data, base, clean_rows, None, network)
    name, outcome = _done(repairer, REPAIRS, run, method, options, asked, twin, controls())
    folder, result = next(one for one in outcome.results if one[1].method == name)
    control = next((one for _, one in outcome.results if one.method in controls() and one.method != name), None)
    return RepairResult(folder, result, control, outcome.twins.get(name))


def _asked(
    data: PathLike | None, base: PathLike | None, clean_rows: int | None, rows: int | None, network: str | None
) -> Asked:
    """Return what is asked of any method; `Usage` where a number of rows is none."""
    from benchmark.defences.subject import Asked
    from benchmark.nn import own

    counts = {"clean_rows": interface.plain(clean_rows), "rows": interface.plain(rows)}
    for name, count in counts.items():
        if count is not None and (type(count) is not int or count < 1):
            raise Usage(f"{name}: expected a whole number from 1, got {count!r:.60}")
    if network is not None:
        own.named(network)
    return Asked(_path(data), _path(base), **counts)


def _done(
    make: Any,
    registry: Any,
    run: Run | PathLike,
    method: str,
    options: Mapping[str, Any],
    asked: Asked,
    twin: bool,
    beside: Sequence[str] = (),
) -> tuple[str, Any]:
    """Run a method with these options, and others `beside` it, on a run: the method's name, and what came of it."""
    from benchmark.defences import chosen as choice
    from benchmark.defences.options import complete

    if not isinstance(method, str) or method.strip().lower() == choice.ALL:
        raise Usage(f"method: expected the name of one, got {method!r:.60}")
    with_twin = interface.flag(twin, "twin")
    chosen = choice.choose(registry, [method], [], beside)
    (name,) = (one.spec.name for one in chosen if not one.beside)
    given = {option: interface.plain(value) for option, value in options.items()}
    every = [
        dataclasses.replace(one, settings=complete(name, one.spec.options, given)) if one.spec.name == name else one
        for one in chosen
    ]
    logger = logging.getLogger("benchmark")
    outcome = make(logger.info).run(run.folder if isinstance(run, Run) else Path(run), every, asked, with_twin)
    if all(result.method != name for _, result in outcome.results):
        raise Failure(next((line for line in outcome.errors if f"{name}:" in line), outcome.errors[0]))
    for line in outcome.errors:
        logger.warning("%s", line)
    return name, outcome


def _path(value: PathLike | None) -> Path | None:
    return None if value is None else Path(value)
