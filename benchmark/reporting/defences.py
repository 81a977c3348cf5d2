"""Results of detectors and repairs as the commands show them: a row for each method, controls beside."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.core import naming, text_tables
from benchmark.core.errors import Usage
from benchmark.core.numbers import counted
from benchmark.defences.catalogue import DETECTORS, REPAIRS
from benchmark.defences.chosen import Chosen
from benchmark.defences.driver import Outcome
from benchmark.defences.estimate import Estimate
from benchmark.defences.records import Detected, Repaired, Step, shared
from benchmark.defences.registry import ALONE, AMONG, DetectorSpec, MethodSpec, Size
from benchmark.defences.summaries import LAST, der, step_of
from benchmark.reporting import columns, explained
from benchmark.training.metrics import Scores, Share

RANKED = "AUROC, AP (average precision) and TPR at 1 % and 5 % FPR: of the poisoned rows against clean ones."
CUT = "cut: what the method itself flags, share of all rows"
TWIN_CUT = (
    "clean twin: the share that it flags of the same data without any poison, which would be thrown away for nothing."
)
PART = "Those of drawn rows are no submission: `poisonkit grade` takes a score of every row; run it without --rows."
EVERY_ROW = "all rows were inspected, since they are judged by one another"
OTHER_SHARE = (
    "rows are judged by one another, and of the drawn ones more are poisoned than of all: on all of them it may be "
    "otherwise"
)
NOMINAL = Size(50_000, 2_500, 10, 25)
COST = (
    "Cost: passes are forward passes, epochs are trained; of a detector over all rows that it inspects, of a repair "
    "over the clean rows. `--estimate` says minutes."
)
RATING = f"DER: {explained.RATING}."
RIGHT = f"RA: {explained.RIGHT}."
TWIN = "clean twin BA: the same on a network that was never poisoned."
OTHER_HALF = "BA is of the other half of the test set: the clean rows are of this one."


def detections(outcome: Outcome[Detected]) -> str:
    """Show what detectors found in a run."""
    if not outcome.results:
        return ""
    first = min((result for _, result in outcome.results), key=lambda one: one.inspected)
    rows = [_found(result, outcome.twins.get(result.method)) for _, result in outcome.results]
    titles = ["method", "AUROC", "AP", "TPR 1%", "TPR 5%", "cut", "precision", "recall", "clean twin", "seconds"]
    names, table = text_tables.without_empty(titles, rows, titles[1:-1])
    explained = " ".join(_explained(names))
    notes = [columns.wrap(explained, columns.WIDTH)] if explained else []
    notes += [columns.wrap(line, columns.WIDTH) for line in _drawn([result for _, result in outcome.results], first)]
    places = [f"scores: {path}/scores.csv" for path, _ in outcome.results]
    if first.measures is not None and len(places) > 1:
        places = [f"scores of each row: scores.csv in each {outcome.run.folder}/detect-…"]
    if places and first.poisoned is None and first.inspected != first.of:
        places.append(PART)
    return "\n".join([_heading(outcome, first), columns.narrow(names, table, {"method"}), *notes, *places])


def _explained(names: Sequence[str]) -> list[str]:
    """Return a sentence for each of a table's columns that need one."""
    rates = [name for name in ("precision", "recall") if name in names]
    cut = [f"{CUT}{', with ' + ' and '.join(rates) if rates else ''}."] if "cut" in names else []
    return [RANKED] * ("AUROC" in names) + cut + [TWIN_CUT] * ("clean twin" in names)


def _heading(outcome: Outcome[Detected], first: Detected) -> str:
    rows = f"{counted(first.inspected, 'training row')} inspected"
    if first.of != first.inspected:
        rows += f" of {first.of:,}"
        rows += " (all changed ones among them; figures are weighted)" if first.poisoned else " (drawn at random)"
    known = "" if first.poisoned is None else f", {first.poisoned:,} poisoned"
    known += f", {counted(first.covers, 'cover')}" if first.covers else ""
    words = f"{outcome.run.folder}: {rows}{known}; {_clean(first.clean_rows, first.clean_are)}"
    return text_tables.filled(words)


def _drawn(results: Sequence[Detected], first: Detected) -> list[str]:
    """Return a sentence on the methods that did not take the drawn rows, and on those to which these were others."""
    if first.inspected == first.of:
        return []
    every = [one.method for one in results if one.inspected == one.of]
    among = [one.method for one in results if _judges(one) == AMONG and one.poisoned and one.inspected < one.of]
    found = [f"{', '.join(every)}: {EVERY_ROW}."] if every else []
    return found + ([f"{', '.join(among)}: {OTHER_SHARE}."] if among else [])


def _judges(result: Detected) -> str:
    return DETECTORS[result.method].judges if result.method in DETECTORS else ALONE


def _clean(rows: int, are: str) -> str:
    where = {"held out": "held out from training", "test": "of one half of the test set"}.get(are, "")
    return f"{counted(rows, 'clean row')} {where}" if rows else "no clean rows"


def _found(result: Detected, twin: Detected | None) -> list[str]:
    measures = result.measures
    cut = measures.own_cut if measures else None
    return [
        result.method,
        *(("-", "-", "-", "-") if measures is None else (
            _three(measures.auroc), _three(measures.average_precision), *map(_percent, measures.tpr.values()))),
        _percent(result.flagged_share),
        _percent(cut.precision if cut else None),
        _percent(cut.recall if cut else None),
        _percent(twin.flagged_share if twin else None),
        f"{result.seconds:.1f}",
    ]  # fmt: skip


def repairs(outcome: Outcome[Repaired]) -> str:
    """Show what repairs left of a run's backdoor."""
    if not outcome.results:
        return ""
    first = outcome.results[0][1]
    rows = [_step(first.steps[0], "before", first.before, None)]
    for _, result in outcome.results:
        twin = outcome.twins.get(result.method)
        for number, step in enumerate(result.steps[1:], 1):
            place = LAST if step is result.steps[LAST] else number
            rows.append(_step(step, result.method, result.before, step_of(twin, place)))
    titles = ["method", "stage", "BA", "ASR", "RA", "DER", "clean twin BA", "seconds"]
    names, table = text_tables.without_empty(titles, rows, titles[1:-1])
    heading = text_tables.filled(f"{outcome.run.folder}: {_clean(first.clean_rows, first.clean_are)}")
    notes = [RIGHT] if "RA" in names else []
    notes += [RATING] if "DER" in names else []
    notes += [TWIN] if "clean twin BA" in names else []
    notes += [OTHER_HALF] if first.clean_are == "test" else []
    below = [columns.wrap(" ".join(notes), columns.WIDTH)] if notes else []
    return "\n".join([heading, columns.narrow(names, table, {"method", "stage"}), *below])


def _step(step: Step, method: str, before: Scores, twin: Step | None) -> list[str]:
    scores = step.scores
    stage = "" if step.stage == "before" else f"{step.stage} {step.label}".strip()
    rating = None if step.stage == "before" else der(before, scores)
    return [
        method,
        stage,
        _share(scores.ba),
        _share(scores.asr),
        _share(scores.robust_accuracy),
        "-" if rating is None else f"{100 * rating:.1f}",
        "-" if twin is None else _share(twin.scores.ba),
        "" if step.stage == "before" else f"{step.seconds:.1f}",
    ]


def reports(chosen: Sequence[Chosen[Any]], outcomes: Sequence[Outcome[Any]]) -> list[str]:
    """Return what methods themselves show of their results, on all runs together."""
    found = []
    for one in chosen:
        results = [pair for outcome in outcomes for pair in outcome.results if pair[1].method == one.spec.name]
        if one.spec.report is not None and results:
            found.append(one.spec.report(results))
    return found


def methods() -> str:
    """List all methods: kind, name, needs, cost, source."""
    rows = [
        [kind, spec.name, ", ".join(need.name for need in spec.needs) or "-", cost(spec), spec.source.split(",")[0]]
        for kind, specs in (("detector", DETECTORS), ("repair", REPAIRS))
        for _, spec in sorted(specs.items())
    ]
    titles = ["kind", "method", "needs", "cost", "source"]
    notes = [COST] + [f"Not among `--method all`: {', '.join(some)}." for some in [_by_name()] if some]
    table = text_tables.render("text", titles, _broken(rows, {2: 23, 4: 18}), set(titles))
    return "\n".join([table, columns.wrap(" ".join(notes), columns.WIDTH)])


def _broken(rows: Sequence[Sequence[str]], widths: Mapping[int, int]) -> list[list[str]]:
    """Return rows whose cells of some columns are broken at so many characters, each line a row of its own."""
    found = []
    for row in rows:
        parts = [textwrap.wrap(cell, widths[at]) if at in widths else [cell] for at, cell in enumerate(row)]
        found += [list(line) for line in itertools.zip_longest(*parts, fillvalue="")]
    return found


def _by_name() -> list[str]:
    return [name for registry in (DETECTORS, REPAIRS) for name, spec in sorted(registry.items()) if spec.by_name]


def cost(spec: MethodSpec) -> str:
    """Say what a method costs with its defaults, in passes and epochs: of a detector over the rows that it inspects, of
    a repair over the clean rows; on a data set like CIFAR-10."""
    work = spec.work(NOMINAL, {one.name: one.default for one in spec.options})
    rows = NOMINAL.rows if isinstance(spec, DetectorSpec) else NOMINAL.clean
    parts = [(work.trained / rows, "epoch", "epochs"), (work.forward / rows, "pass", "passes")]
    said = []
    for count, one, several in parts:
        if count:
            shown = f"{count:,.0f}" if count >= 10 else f"{max(count, 0.1):.1f}".removesuffix(".0")
            said.append(f"{shown} {one if shown == '1' else several}")
    return ", ".join(said) or "arithmetic"


def method(spec: MethodSpec, kind: str) -> str:
    """Show one method: what it does, what it needs, its options."""
    lines = [f"{spec.name}: {spec.title} ({kind}; {spec.source})", spec.summary]
    lines += [f"needs {need.name}: {need.words}" for need in spec.needs]
    lines = [columns.wrap(line, columns.WIDTH) for line in [*lines, f"cost: {cost(spec)}"]]
    for one in spec.options:
        said = f"{one.help} {f'[{one.source}]' if one.source else ''}".strip()
        lines += ["", f"  {one.name} = {_default(one.default)}   ({one.range})"]
        lines += textwrap.wrap(said, columns.WIDTH, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:g}" if isinstance(value, (int, float)) else str(value)


def find(names: Sequence[str]) -> list[tuple[str, MethodSpec]]:
    """Return the methods of these names, each with its kind; a name that two kinds have stands for both. `Usage` for a
    name of neither."""
    every = {name: name for registry in (DETECTORS, REPAIRS) for name in registry}
    aliases = DETECTORS.aliases | REPAIRS.aliases
    found: list[tuple[str, MethodSpec]] = []
    for typed in names:
        name = naming.one_of(typed, every, lambda words: Usage(f"--method: {words}"), aliases)
        found += [(registry.kind, registry[name]) for registry in (DETECTORS, REPAIRS) if name in registry]
    return found


def method_records(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return methods, those named or all, as JSON."""
    every = [(registry.kind, spec) for registry in (DETECTORS, REPAIRS) for _, spec in sorted(registry.items())]
    return [
        {
            "kind": kind,
            "name": spec.name,
            "title": spec.title,
            "source": spec.source,
            "summary": spec.summary,
            "needs": [need.name for need in spec.needs],
            "all": not spec.by_name,
            "options": [
                {"name": one.name, "default": one.default, "range": one.range, "help": one.help, "source": one.source}
                for one in spec.options
            ],
        }
        for kind, spec in (find(names) if names else every)
    ]


def records(outcome: Outcome[Any]) -> list[dict[str, Any]]:
    """Return results as JSON, each with the folder that it is in, and that of the clean twin."""
    return [shared(path, result, outcome.twins.get(result.method)) for path, result in outcome.results]


def estimates(found: Sequence[Estimate]) -> str:
    """Show what methods will take."""
    rows = [
        [
            one.run,
            one.method,
            f"{one.rows:,}",
            f"{one.clean:,}",
            "?" if one.seconds is None else f"{one.seconds / 60:.1f}",
        ]
        for one in found
        if one.lacks is None
    ]
    total = sum(one.seconds or 0 for one in found)
    titles = ["run", "method", "rows", "clean rows", "minutes"]
    table = columns.narrow(titles, rows, {"run", "method"}) if rows else "no method that these runs can serve"
    lines = [f"about {total / 60:.1f} minutes in all, by the speed of each run's own training"] if rows else []
    return "\n".join([table, *lines, *dict.fromkeys(f"left out: {one.lacks}" for one in found if one.lacks)])


def _share(share: Share | None) -> str:
    return "-" if share is None or share.percent is None else f"{share.percent:.1f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _three(value: float) -> str:
    return f"{value:.3f}"
