"""Attention heads: what the detector, the repair and the ablation found, over the seeds and run by run."""

from pathlib import Path

from benchmark.analysis.heads import aggregate, tables
from benchmark.analysis.heads import results as stored
from benchmark.analysis.heads.records import ABLATE, NAMES, HeadsResult
from benchmark.reporting.html import page, png
from benchmark.reporting.html.registry import Content, Section, register
from benchmark.runs import titles
from benchmark.runs.results import Finished

_WORDS = {
    "heads-detect": (
        "Similarity of a layer's heads, standardised against clean held-out texts of similar length. AUROC "
        "below 0.5 means that a score falls where it should rise. Intervals are 95 %, of one run bootstrap over the "
        "texts, of several Student's over the runs. The controls are texts without the trigger, each against "
        "the same texts unchanged, on this model and on its clean counterpart, where an alarm is not due to the "
        "backdoor. "
        "For the suspect file's own texts, the trigger row is its poisoned texts, unchanged."
    ),
    "heads-align": (
        "The baselines are in the table too. BA and ASR are those of the last epoch, in "
        "percent; no training row of the alignment is scored on. Target class: share of the poisoned rows whose true "
        "label is the target class, without those learned from, that are still predicted right."
    ),
    "heads-ablate": "One head switched off at a time: change of BA and ASR in percentage points.",
}


def build(content: Content) -> str:
    """Build the section: over the seeds, where there are several, then tables and pictures run by run."""
    parts = _over_seeds(content.found, content.errors)
    for run in content.found:
        for folder, result in stored.in_run(run.folder, content.errors):
            parts.append(_result(run, folder, result, content.errors))
    return "".join(parts)


def _over_seeds(found: list[Finished], errors: dict[Path, str]) -> list[str]:
    groups = [one for one in aggregate.collect(found, errors) if len(one.results) > 1]
    parts = []
    for one in groups:
        settings = [f"Settings: {one.settings}."] if one.settings else []
        words = [_WORDS[one.results[0].command], *settings, "Means over the runs."]
        parts += [page.heading(one.title), page.paragraphs(words)]
        parts += [page.table(table.columns, table.rows, table.labels) for table in tables.tables(one.results)]
    return parts


def _result(run: Finished, folder: Path, result: HeadsResult, errors: dict[Path, str]) -> str:
    heading = page.heading(f"{NAMES[result.command]}: {titles.run(run.result)}")
    parts = [heading, page.paragraphs([_WORDS[result.command], f"Run: {result.name}."])]
    parts += [page.paragraphs([f"Settings: {result.described}."])] if result.described else []
    if result.command != ABLATE:  # of an ablation it is the run's name, as in the heading
        parts.append(page.paragraphs(tables.introduction(result)))
    parts += [page.table(table.columns, table.rows, table.labels) for table in tables.tables([result], detailed=True)]
    parts.append(page.row([page.figure(page.png(content, name), name) for name, content in png.inside(folder, errors)]))
    return "".join(parts)


HEADS = register(Section(90, "Attention heads", build))
