"""What the commands on heads found, over the seeds: runs that differ in their seeds alone are summed up together."""

import functools
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.analysis.heads import controls
from benchmark.analysis.heads.detector import SCORES
from benchmark.core import files, intervals, text_tables
from benchmark.core.errors import Failure
from benchmark.runs.groups import Cell, group
from benchmark.runs.results import Finished

KNOWN = ("heads-detect", "heads-align", "heads-ablate")
FIGURES = {"auroc": "AUROC", "tpr_1": "TPR at 1 %", "tpr_5": "TPR at 5 %", "precision_100": "first 100"}
LEFT = {"run", "rows", "score", "against", "texts", "model", "head", "direction", "variant", "stage"}
LEFT |= set(controls.MADE_OF.values())
MODELS = {"poisoned": "poisoned", "clean": "clean twin"}
MOST_HEADS = 12
UNFIT = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)
"""What goes wrong with a result that somebody edited."""
LOWEST = "lowest of all"
"""The least BA and the least ASR that any one head's absence leaves; each may be another head's."""


@dataclass(frozen=True)
class Group:
    """The results of one command, with one `settings`, on the runs of a `cell`; one result a run."""

    cell: Cell
    results: tuple[dict, ...]

    @property
    def title(self) -> str:
        """What was run on what, in one line."""
        first, cell = self.results[0], self.cell
        what = " ".join(filter(None, [cell.dataset, cell.trigger, cell.variant and f"({cell.variant})"]))
        rate = "" if cell.clean else f", rate {float(cell.rate):g}"
        words = asked(first["settings"])
        runs = f"{len(self.results)} run{'s' if len(self.results) > 1 else ''}"
        return f"{first['defence']} on {what}{rate}, {cell.settings}{words and f'; {words}'}: {runs}"


def read(folder: Path, wrong: dict | None = None) -> dict | None:
    """The result in a folder of a command on heads; None where there is none. What cannot be read is put into `wrong`:
    its path, and a line that says why."""
    path = folder / "result.json"
    try:
        if not files.there(path):
            return None
        result = files.read_json(path)
        known = isinstance(result, dict) and result.get("defence") in KNOWN and result.get("result_version") == 1
        if not known or not isinstance(result.get("settings"), dict):
            raise Failure(f"{path}: not a result of `benchmark heads` of this version")
        return result
    except Failure as error:
        (wrong if wrong is not None else {})[path] = str(error)
        return None


def of_run(folder: Path, wrong: dict | None = None) -> list[tuple[Path, dict]]:
    """The results of these commands in a run's folder. Of several with the same settings, as before and after there was
    a clean twin, one: with the twin rather than without, and the last."""
    if wrong is not None:
        wrong |= files.links(folder, "heads-*")
    found = [(inside, read(inside, wrong)) for inside in files.folders(folder, "heads-*")]
    found = [(where, result) for where, result in found if result is not None]
    found.sort(key=lambda one: (one[1].get("clean_run") is not None, str(one[1].get("finished"))))
    last = {_question(one[1]): one for one in found}
    return sorted(last.values(), key=lambda one: one[0])


def _question(result: dict) -> str:
    """The command and its settings: the same of results that can be summed up. Not `manifest.canonical`, which refuses
    what an edited result may hold."""
    return json.dumps([result["defence"], result["settings"]], sort_keys=True)


def asked(settings: dict) -> str:
    """A command's settings in one line."""
    return ", ".join(f"{key} {_word(value)}" for key, value in settings.items() if value is not None and value != [])


def collect(found: list[Finished], wrong: dict | None = None) -> list[Group]:
    """All such results in the folders of finished runs, grouped; what cannot be read or shown is put into `wrong`."""
    groups, wrong = [], {} if wrong is None else wrong
    for cell in group(found):
        of_settings = {}
        for run in cell.runs:
            for where, result in of_run(run.folder, wrong):
                if can_be_shown(result):
                    of_settings.setdefault(_question(result), {})[run.folder] = result
                else:
                    wrong[where / "result.json"] = f"{where / 'result.json'}: not a result that can be shown"
        groups += [Group(cell, tuple(results.values())) for results in of_settings.values()]
    return sorted(groups, key=lambda one: KNOWN.index(one.results[0]["defence"]))


def can_be_shown(result: dict) -> bool:
    """Do the tables find in it what they show? Runs are passed on, and edited."""
    try:
        tables((result,))
        asked(result["settings"])
    except UNFIT:
        return False
    return True


def render(groups: list[Group], form: str) -> str:
    """Every group's title and tables, in one of `layout.FORMS`."""
    before = {"latex": "% ", "markdown": "### "}.get(form, "")
    parts = []
    for one in groups:
        parts.append(before + text_tables.printable(one.title))
        parts += [text_tables.render(form, *table, LEFT) for table in tables(one.results)]
    return "\n\n".join(parts)


def tables(results: tuple[dict, ...]) -> list[tuple[list[str], list[list[str]]]]:
    """Columns and rows of what one command found on several runs: means and Student's 95 % intervals over them."""
    made = {
        "heads-detect": (ranked, *(functools.partial(controlled, of=name) for name in controls.MADE_OF), heads),
        "heads-align": (aligned,),
        "heads-ablate": (ablated,),
    }[results[0]["defence"]]
    return [table for table in (make(results) for make in made) if table[1]]


def ranked(results) -> tuple[list[str], list[list[str]]]:
    """How well each score ranks, and which share of the rows that a pass flags is poisoned."""
    rows = []
    for words, of in (("suspect file", lambda result: result["suspect"]), ("triggered test texts", triggered)):
        sets = [of(result) for result in results]
        for name, title in SCORES.items():
            if all(found and name in found for found in sets):
                cells = [share([found[name][key] for found in sets]) for key in FIGURES]
                passes = [result["flagged"].get(name) for result in results] if words == "suspect file" else [None]
                known = all(one and one["poisoned"] is not None for one in passes)
                flagged = share([one["poisoned"] / one["count"] for one in passes]) if known else ""
                rows.append([words, title, *cells, flagged])
    return ["texts", "score", *FIGURES.values(), "of the flagged"], rows


def controlled(results, of: str) -> tuple[list[str], list[list[str]]]:
    """AUROC of every control against the texts that it was made of, on the poisoned models and their clean twins. `of`:
    one of `controls.MADE_OF`; no row where not all results have it."""
    models = [which for which in MODELS if all(which in result.get(of, {}) for result in results)]
    shown = ("mahalanobis", "second_pass")
    columns = [controls.MADE_OF[of], *(f"{SCORES[score]}, {MODELS[which]}" for score in shown for which in models)]
    rows = []
    for control, words in controls.NAMES.items():
        found = [[result[of][which].get(control) for result in results] for which in models]
        if models and all(one is not None for sets in found for one in sets):
            cells = [_aurocs(sets, score) for score in shown for sets in found]
            rows.append([words, *cells])
    return columns, rows


def heads(results) -> tuple[list[str], list[list[str]]]:
    """The heads that are contaminated in most runs, and which way their similarity goes."""
    count = Counter((one["layer"], one["head"]) for result in results for one in result["contaminated"])
    median = {at: [result["flagged_median_z"][at[0]][at[1]] for result in results] for at in count}
    order = sorted(count, key=lambda at: (-count[at], -abs(sum(median[at])), at))[:MOST_HEADS]
    rows = []
    for at in order:
        falls = sum(value < 0 for value in median[at])
        way = {0: "rises", len(results): "falls"}.get(falls, f"falls in {falls}")
        mean = intervals.summary(median[at], least=float("-inf")).mean
        aurocs = [_of_head(results, at, of) for of in (lambda r: r["suspect_heads"], _trigger_heads)]
        rows.append([f"({at[0]}, {at[1]})", f"{count[at]} of {len(results)}", way, f"{mean:+.1f}", *aurocs])
    return ["head", "contaminated", "direction", "median z, flagged", "AUROC, suspect file", "AUROC, test"], rows


def aligned(results) -> tuple[list[str], list[list[str]]]:
    """The variants that all results have: BA, its change, ASR, and what is left of the target class's own texts."""
    lines = [{step["stage"]: step["scores"] for step in result["steps"]} for result in results]
    rows = []
    for stage in lines[0]:
        if all(stage in line for line in lines):
            scores = [line[stage] for line in lines]
            ba = [one["ba"]["percent"] for one in scores]
            change = [own - line["untouched"]["ba"]["percent"] for own, line in zip(ba, lines, strict=True)]
            rest = [_percents(scores, name) for name in ("asr", "target_class")]
            rows.append([stage, points(ba), points(change, least=-100.0), *rest])
    return text_tables.without_empty(["variant", "BA", "change", "ASR", "target class"], rows)


def ablated(results, most: int = 8) -> tuple[list[str], list[list[str]]]:
    """By how many points BA and ASR change: at worst, whichever head is off; and for the heads of `most_changing`."""
    found = [changes(result) for result in results]
    names = [name for name in found[0] if all(name in one for one in found)]
    stacked = {name: np.stack([one[name] for one in found]) for name in names}
    rows = [[LOWEST, *(points(stacked[name].min((1, 2)), least=-100.0) for name in names)]]
    for layer, head in most_changing({name: values.mean(0) for name, values in stacked.items()}, most):
        rows.append([f"({layer}, {head})", *(points(stacked[name][:, layer, head], least=-100.0) for name in names)])
    return ["head", *(f"{name.upper()}, change" for name in names)], rows


def percent(scores: dict, name: str) -> float | None:
    """A score in percent, None where there is none."""
    return None if scores[name] is None else scores[name]["percent"]


def changes(result: dict) -> dict[str, np.ndarray]:
    """`ba` and, for a poisoned file, `asr`: by how many points each changes when a head is off, (L, H)."""
    before = {name: percent(result["before"], name) for name in ("ba", "asr")}
    return {name: np.array(result["off"][name], float) - before[name] for name in before if before[name] is not None}


def most_changing(changed: dict[str, np.ndarray], most: int) -> list[tuple[int, int]]:
    """The heads (layer, head) whose absence changes ASR most, and of those alike BA; most first."""
    keys = [-np.abs(changed[name]).round(6).reshape(-1) for name in ("ba", "asr") if name in changed]
    heads = changed["ba"].shape[1]
    return [divmod(int(flat), heads) for flat in np.lexsort(keys)[:most]]


def triggered(result: dict) -> dict | None:
    """The figures of the triggered test texts; None where there are none."""
    return result["controls"]["poisoned"].get("trigger")


def points(values: list[float], least: float = 0.0) -> str:
    """Mean and interval of percentages, of one value just that."""
    summary = intervals.summary(values, least=least)
    interval = "" if summary.low is None else f" [{_point(summary.low)}, {_point(summary.high)}]"
    return _point(summary.mean) + interval


def _point(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}"  # no -0.0


def share(values: list[float]) -> str:
    """The same of figures from 0 to 1."""
    summary = intervals.summary([100 * value for value in values])
    interval = "" if summary.low is None else f" [{summary.low / 100:.3f}, {summary.high / 100:.3f}]"
    return f"{summary.mean / 100:.3f}{interval}"


def _aurocs(sets: list[dict], score: str) -> str:
    return share([one[score]["auroc"] for one in sets]) if all(score in one for one in sets) else ""


def _trigger_heads(result: dict) -> dict | None:
    found = triggered(result)
    return found and found["heads"]


def _of_head(results, at: tuple[int, int], of) -> str:
    found = [of(result) for result in results]
    return share([one["auroc"][at[0]][at[1]] for one in found]) if all(found) else ""


def _percents(scores: list[dict], name: str) -> str:
    values = [one.get(name) for one in scores]
    return points([value["percent"] for value in values]) if all(values) else ""


def _word(value) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
