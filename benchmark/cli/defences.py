"""`benchmark defences`, `detect`, `repair`: methods on finished runs. What they know of a method is its registry's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import BASE, CODE, JSON, QUIET, allow
from benchmark.cli.printing import complain, say, say_json
from benchmark.core import text_tables
from benchmark.core.errors import Failure


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `detect` and `repair` have in common."""
    options = [
        click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN..."),
        click.option("--method", "methods", multiple=True, required=True, metavar="NAME|FILE.py:FUNCTION|all",
                     help="A method, by its name in `benchmark defences`, or a function of your own; may be given "
                          "several times."),
        click.option("--option", "given", multiple=True, metavar="[METHOD.]NAME=VALUE",
                     help="A setting of a method; may be given several times."),
        click.option("--clean-rows", type=click.IntRange(1), metavar="N",
                     help="Clean rows to use at most  [default: 5 % of the training rows, of those held out]"),
        click.option("--data", "file", type=click.Path(path_type=Path), metavar="FILE",
                     help="The data set that the run was trained on  [default: its path at that time]"),
        click.option("--no-twin", is_flag=True, help="Do not also try it on the clean run that CAD is against."),
        click.option("--estimate", is_flag=True, help="Only say how many rows and minutes it would take."),
        CODE,
        BASE,
        JSON,
        QUIET,
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command("defences")
@click.option("--method", "methods", multiple=True, metavar="NAME", help="Show a method and its options.")
@JSON
def defences_command(methods, as_json):
    """List the defences: detectors and repairs.

    With what each needs, and its source; with --method, its options.

    \b
    Example:
      benchmark defences --method spectral
    """
    from benchmark.reporting import defences

    if as_json:
        say_json(defences.method_records(methods))
    elif methods:
        say("\n\n".join(defences.method(spec, kind) for kind, spec in defences.find(methods)))
    else:
        say(defences.methods())


@click.command()
@common
@click.option("--rows", type=click.IntRange(1), metavar="N",
              help="Training rows to inspect, drawn at random; where the truth is known all poisoned ones are among "
                   "them, and figures are weighted; methods that judge rows by one another inspect all where that is "
                   "cheap, else a line says so  [default: all]")  # fmt: skip
def detect(paths, methods, given, clean_rows, file, no_twin, estimate, code, base, as_json, quiet, rows):
    """Score how suspicious each training row is.

    Each method gives every training row that is not held out a score, higher is more suspicious: scores.csv, in the
    form that `poisonkit grade` takes. Where the file holds the truth, the scores are measured against it; the same is
    done on the clean run that CAD is against. Results that exist are only read.

    \b
    Example:
      benchmark detect runs/RUN --method spectral --method mahalanobis
    """
    from benchmark.defences.catalogue import DETECTORS
    from benchmark.defences.detect import detector
    from benchmark.reporting import defences

    asked = _asked(file, base, clean_rows, rows)
    _run(paths, DETECTORS, methods, given, asked, code, estimate, as_json, quiet, not no_twin, detector,
         defences.detections)  # fmt: skip


@click.command()
@common
@click.option("--detector", metavar="NAME", help="What `retrain` goes by: as --option retrain.detector=NAME.")
def repair(paths, methods, given, clean_rows, file, no_twin, estimate, code, base, as_json, quiet, detector):
    """Repair a network, and score what is left.

    Each method changes a copy of the network, which is saved in the run's folder and scored: BA, ASR, the share still
    right. Plain fine-tuning on the same clean rows is done beside every other method, and all of it on the clean run
    that CAD is against. Results that exist are only read.

    \b
    Example:
      benchmark repair runs/RUN --method anp --method clp
    """
    from benchmark.defences.catalogue import REPAIRS
    from benchmark.defences.repair import controls, repairer
    from benchmark.reporting import defences

    asked = _asked(file, base, clean_rows, None)
    given += () if detector is None else (f"retrain.detector={detector}",)
    _run(paths, REPAIRS, methods, given, asked, code, estimate, as_json, quiet, not no_twin, repairer,
         defences.repairs, controls())  # fmt: skip


def _asked(file, base, clean_rows, rows):
    from benchmark.defences.subject import Asked

    return Asked(file, base, clean_rows, rows)


def _run(
    paths, registry, methods, given, asked, code, estimate, as_json, quiet, with_twin, make, show, beside=()
) -> None:
    """Run methods on runs and show what came of it; what could not be done is named in the end, with exit code 1."""
    from benchmark.defences.chosen import choose
    from benchmark.defences.estimate import of_run
    from benchmark.reporting import defences
    from benchmark.runs import results

    allow(code)
    paths = results.each_once(paths)
    chosen = choose(registry, methods, given, beside)
    driver = make((lambda line: None) if quiet else _progress)
    if estimate:
        found = [one for path in paths for one in of_run(path, driver.kind, chosen, asked)]
        say_json([vars(one) for one in found]) if as_json else say(defences.estimates(found))
        return
    outcomes, errors = [], []
    for path in paths:
        try:
            outcomes.append(driver.run(path, chosen, asked, with_twin))
        except Failure as error:
            if len(paths) == 1:
                raise
            errors.append(str(error))
    if as_json:
        say_json([record for outcome in outcomes for record in defences.records(outcome)])
    elif shown := [text for text in [*map(show, outcomes), *defences.reports(chosen, outcomes)] if text]:
        say("\n\n".join(shown))
    for line in dict.fromkeys(line for outcome in outcomes for line in outcome.left_out):
        say(f"left out: {line}", err=True)
    _end([*errors, *(line for outcome in outcomes for line in outcome.errors)])


def _progress(line: str) -> None:
    """Print a line of progress; one that gives a command stays whole, to be copied."""
    wide = "benchmark " not in line
    say(text_tables.filled(line, "    ") if wide else line, err=True)


def _end(errors: list[str]) -> None:
    """Name what could not be done, each once, and end with exit code 1; nothing of nothing."""
    for line in dict.fromkeys(errors):
        complain(line)
    if errors:
        click.get_current_context().exit(1)


COMMANDS = (defences_command, detect, repair)
