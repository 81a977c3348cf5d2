"""Fine-pruning as the commands show it: a line a step while it goes on, then the paper's Table 3 with our figures."""

from benchmark.core import text_tables
from benchmark.defences import base as defences
from benchmark.defences import fine_pruning, results
from benchmark.defences.results import Pruned
from benchmark.reporting import tables
from benchmark.runs import context, paper_results

COLUMNS = [*tables.CELL_COLUMNS, "rows", "channels", "stage"]
WORDS = (
    "Fine-pruning: an expert's least active channels set to zero (masked: taken out behind the batch normalisation as "
    "well), then fine-tuned. notebook: ranked and fine-tuned on the training set with its triggered images under their "
    "true labels, as the paper's published code does and no defender can."
)
_LEFT = {*tables.CELL_COLUMNS, "rows", "stage", "score", "verdict"} - {"rate"}


def prune(run, file, base, settings: dict, say) -> dict:
    """Fine-pruning of one run; `say` hears of every step. See `defences.base.run`."""

    def watch(step):
        scores = step["scores"]
        asr = "" if scores["asr"] is None else f"  ASR {scores['asr']['percent']:5.1f}"
        say(f"{run}: {step['stage']:10} {step.get('rate', ''):5} BA {scores['ba']['percent']:5.1f}{asr}")

    hold = settings["data_mode"] == context.HELD_OUT
    return defences.run(
        run, file, base, "prune", settings,
        lambda given: fine_pruning.prune(given, settings["rates"], settings["finetune_epochs"], hold), watch,
    )  # fmt: skip


def render(points: list[Pruned], form: str = "text", paper: bool = False) -> str:
    """The table. With `paper` a line a score, and every published point that was not run."""
    columns, rows = against_paper(points) if paper else lines(points)
    below = [] if form == "latex" else notes(points)
    return "\n".join([text_tables.render(form, columns, rows, _LEFT), *below])


def notes(points: list[Pruned]) -> list[str]:
    """What is to be known of networks that have collapsed."""
    return tables.notes([run.result for point in points for run in point.cell.runs])


def lines(points: list[Pruned]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows, a line a point; beside the paper's figures where any of them is at its settings."""
    if any(point.published and not point.deviations for point in points):
        rows = [row for point in points for row in _beside(point)]
        return [*COLUMNS, *tables.PAPER_COLUMNS], rows
    return [*COLUMNS, "BA", "ASR"], [
        [*_names(point), *(tables.score(point.cell, name) for name in ("ba", "asr"))] for point in points
    ]


def against_paper(points: list[Pruned]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows, a line a point and score, the published points that were not run at the end."""
    rows = [row for point in points for row in _beside(point)]
    for key in results.not_run(points):
        dataset, trigger, application, rate, stage, share = key
        channels = "" if share is None else f"{float(share):g}"
        said = [dataset, trigger, application, tables.rate(rate), "paper", "-", "-", channels, results.STAGES[stage]]
        rows += tables.absent(said, paper_results.fine_pruning()[key])
    return [*COLUMNS, *tables.PAPER_COLUMNS], rows


def _beside(point: Pruned) -> list[list[str]]:
    return tables.beside(_names(point), point.cell, point.published, point.verdict)


def _names(point: Pruned) -> list[str]:
    return [*tables.names(point.cell), point.mode, point.rate, point.stage]


def records(points: list[Pruned], paper: bool) -> list[dict]:
    """Everything about every point, for programs; with `paper`, also the published ones that were not run."""
    found = []
    for point in points:
        said = tables.record(point.cell, False) | _record(point.mode, point.rate, point.stage)
        if paper:
            said["deviates_from_paper_in"] = point.deviations
            for name, figure in point.published.items():
                ours = said["scores"].get(name, {})
                difference = {"difference": ours["mean"] - figure} if ours else {}
                said["scores"][name] = ours | {"paper": figure, "verdict": point.verdict(name)} | difference
        found.append(said)
    for key in results.not_run(points) if paper else ():
        dataset, trigger, application, rate, stage, share = key
        figures = {
            name: {"paper": value, "verdict": "not run"} for name, value in paper_results.fine_pruning()[key].items()
        }
        said = {"dataset": dataset, "trigger": trigger, "application": application, "rate": tables.decimal(rate)}
        found.append(
            said
            | {"settings": "paper", "runs": [], "scores": figures}
            | _record("", "" if share is None else tables.decimal(share), results.STAGES[stage])
        )
    return found


def _record(mode: str, channels: str, stage: str) -> dict:
    return {"defence": "fine-pruning", "rows": mode, "channels": channels, "stage": stage}
