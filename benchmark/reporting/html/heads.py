"""The part of the page on attention heads: what `benchmark heads` left in the folders of runs."""

from pathlib import Path

from benchmark.analysis.heads import aggregate, tables
from benchmark.analysis.heads import results as stored
from benchmark.reporting.html import page, png
from benchmark.runs.results import Finished

_WORDS = {
    "heads-detect": (
        "Detection. Similarity of a layer's heads, standardised against clean held-out texts of like length. AUROC "
        "below 0.5 means that a score falls where it ought to rise. Intervals are 95 %, of one run bootstrap over the "
        "texts, of several Student's over the runs. The controls are texts without the trigger, each against "
        "the same texts unchanged, on this model and on its clean twin: what raises the alarm there is not the "
        "backdoor. Of the suspect file's own texts the trigger's are its poisoned ones, as they are."
    ),
    "heads-align": (
        "Alignment, beside everything that it has to be better than. BA and ASR are those of the last epoch, in "
        "percent; no row that was learned from is scored on. Target class: of the poisoned rows that are of the target "
        "class by themselves, and that nothing was learned from, the share that is still right."
    ),
    "heads-ablate": "Each head switched off by itself: by how many points BA and ASR change.",
}


def section(found: list[Finished]) -> str:
    """What `benchmark heads` found: over the seeds, where there are several, then tables and pictures run by run; empty
    where there is nothing."""
    wrong = getattr(found, "wrong", {})
    parts = _over_seeds(found, wrong)
    for run in found:
        parts += [_shown(folder, result, wrong) for folder, result in stored.in_run(run.folder, wrong)]
    return "".join(parts)


def _over_seeds(found: list[Finished], wrong: dict) -> list[str]:
    groups = [one for one in aggregate.collect(found, wrong) if len(one.results) > 1]
    parts = []
    for one in groups:
        kind = one.results[0]["defence"]
        parts += [page.heading(one.title), page.paragraphs([_WORDS[kind], "Means over the runs."])]
        parts += [page.table(table.columns, table.rows, table.labels) for table in tables.tables(one.results)]
    return parts


def _shown(folder: Path, result: dict, wrong: dict) -> str:
    try:
        return _result(folder, result, wrong)
    except stored.MALFORMED:  # runs are passed on, and edited
        path = folder / "result.json"
        wrong[path] = f"{path}: not a result that can be shown"
        return page.paragraphs([f"{folder.parent.name}/{folder.name}: not a result that can be shown."])


def _result(folder: Path, result: dict, wrong: dict) -> str:
    kind = result["defence"]
    settings = stored.describe_settings(result["settings"])
    parts = [page.heading(f"{result['run']}: {kind.removeprefix('heads-')}"), page.paragraphs([_WORDS[kind]])]
    parts += [page.paragraphs([f"Settings: {settings}."])] if settings else []
    if kind != stored.ABLATE:  # of an ablation it is the run's name, as in the heading
        parts.append(page.paragraphs(tables.introduction(result)))
    parts += [page.table(table.columns, table.rows, table.labels) for table in tables.tables([result], detailed=True)]
    parts.append(page.row([page.figure(page.png(content, name), name) for name, content in png.inside(folder, wrong)]))
    return "".join(parts)
