"""Results as tables, in percent with one decimal: one run a line, one cell a line, a cell beside the paper's figure."""

from benchmark.core import text_tables
from benchmark.runs import collapse, paper_results
from benchmark.runs.groups import SCORES, TITLES, Cell, group, place
from benchmark.runs.results import Finished

RUN_COLUMNS = ["run", "seed", "BA", "ASR", "ASR others", "CAD", "clean ASR", "still right", "baseline"]
SOMETIMES = ("ASR others",)
"""Columns that are left out where no line has anything in them."""

CELL_COLUMNS = ["data set", "trigger", "application", "rate", "settings", "seeds"]
PAPER_COLUMNS = ["score", "ours", "paper", "difference", "verdict"]
LEGEND = "mean ± standard deviation over seeds [95 % interval: Student's over seeds; of one seed, Wilson's over rows]"
UNPAIRED = "* against the mean of clean runs of other seeds, or a clean run given by hand"
PICTURE = "blend: the paper's picture is somebody's; without --blend-image another one was blended here"
_LEFT = {"run", "baseline", "data set", "trigger", "application", "settings", "seeds", "score", "verdict"}


def runs(found: list[Finished], wrong=()) -> str:
    """All runs, and below them mean ± standard deviation of each cell of several, and what needs a word."""
    rows = [_run_row(run.result) for run in found] + [_mean_row(cell) for cell in group(found) if len(cell.runs) > 1]
    table = text_tables.render("text", *text_tables.without_empty(RUN_COLUMNS, rows, SOMETIMES), _LEFT)
    return "\n".join([table, *notes([run.result for run in found]), *left_out(wrong)])


def cells(found: list[Cell], form: str = "text", wrong=()) -> str:
    """One line a cell. `wrong`: the paths of what could not be read, and stands below."""
    return _with_legend(form, text_tables.render(form, *cell_lines(found), _LEFT), found, wrong)


def cell_lines(found: list[Cell]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table of cells; the first len(CELL_COLUMNS) say what a cell is of."""
    columns = [*CELL_COLUMNS, *(TITLES[name] for name in SCORES)]
    rows = [[*names(cell), *(score(cell, name) for name in SCORES)] for cell in found]
    return text_tables.without_empty(columns, rows, SOMETIMES)


def against_paper(found: list[Cell], form: str = "text", wrong=()) -> str:
    """One line a cell and score, the paper's figure beside; then a word of every published cell that was not run."""
    blocks = [(place(cell.dataset, cell.trigger, cell.application, cell.rate), paper_lines(cell)) for cell in found]
    shown = {cell.dataset for cell in found if cell.published} or {key[0] for key in paper_results.attacks()}
    missing = not_run(found)
    blocks += [(place(*key), _absent_block(key)) for key in missing if key[0] in shown]
    blocks.sort(key=lambda block: block[0])
    rows = [row for _, block in blocks for row in block]
    table = _with_legend(form, text_tables.render(form, [*CELL_COLUMNS, *PAPER_COLUMNS], rows, _LEFT), found, wrong)
    if form == "latex":
        return table
    if any(cell.trigger == "blend" and cell.published for cell in found):
        table += f"\n{PICTURE}"
    return f"{table}\npublished cells not run at the paper's settings: {len(missing)} of {len(paper_results.attacks())}"


def not_run(found: list[Cell]) -> list[tuple]:
    """The published cells (data set, trigger, application, rate) that no run at the paper's settings is of."""
    there = {(cell.dataset, cell.trigger, cell.application, cell.rate) for cell in found if not cell.deviations}
    return [key for key in sorted(paper_results.attacks(), key=lambda key: place(*key)) if key not in there]


def records(found: list[Cell], paper: bool) -> list[dict]:
    """Everything about every cell, for programs; with `paper`, also the published cells that were not run."""
    rows = [record(cell, paper) for cell in found]
    if paper:
        rows += [_absent_record(key) for key in not_run(found)]
    return rows


def flat(records: list[dict]) -> str:
    """Such records as CSV, one line a cell and score."""
    lines = []
    for record in records:
        said = {key: record.get(key) for key in ("dataset", "trigger", "application", "rate", "variant", "settings")}
        said |= {"runs": len(record["runs"]), "varying": "+".join(record.get("varying", []))}
        said["collapsed"] = record.get("collapsed")
        said |= {key: record[key] for key in ("defence", "rows", "channels", "stage") if key in record}
        lines += [said | {"score": name} | values for name, values in record["scores"].items()]
    if not lines:
        return ""
    columns = list(dict.fromkeys(key for line in lines for key in line))
    rows = [[_plain(line.get(key)) for key in columns] for line in lines]
    return text_tables.render("csv", columns, rows, set())


def scores(result: dict) -> str:
    """Scores of a run on another file (`benchmark score`)."""
    found = result["scores"]
    lines = [f"{result['run']} on {result['file']['name']}", f"BA   {_percent(found['ba'])} {_counts(found['ba'])}"]
    if found["asr"]:
        lines.append(f"ASR  {_percent(found['asr'])} {_counts(found['asr'])}")
        if "asr_others" in found:
            lines.append(f"ASR others  {_percent(found['asr_others'])} {_counts(found['asr_others'])}")
        lines.append(f"still right  {_percent(found['still_right'])} {_counts(found['still_right'])}")
    return "\n".join([*lines, *collapse.notes([collapse.by_counts(found)])])


def rate(value) -> str:
    """A poisoning rate in percent, in its one spelling: `0.05 %`."""
    return f"{float(100 * value):.10f}".rstrip("0").rstrip(".") + " %"


def _run_row(result: dict) -> list[str]:
    found, baseline = result["scores"], result["baseline"] or {}
    return [
        result["name"],
        str(result["config"]["seed"]),
        _percent(found["ba"]) + collapse.mark(result),
        _percent(found["asr"]),
        _percent(found.get("asr_others")),
        "-" if "cad" not in baseline else _signed(baseline["cad"]) + collapse.SURE * bool(baseline.get("collapsed")),
        _percent(baseline.get("asr")),
        _percent(found.get("still_right")),
        baseline.get("how", "-"),
    ]


def _mean_row(cell: Cell) -> list[str]:
    def spread(name):
        summary = cell.scores[name].summary if name in cell.scores else None
        if summary is None or summary.deviation is None:
            return "-"
        return f"{_number(name)(summary.mean)}{cell.mark * (name == 'ba')} ± {summary.deviation:.1f}"

    names = {run.result["dataset"]["name"] for run in cell.runs}
    name = (
        names.pop() if len(names) == 1 else f"{cell.dataset}, {_trigger(cell)}, {cell.application}, {rate(cell.rate)}"
    )
    label = f"mean ± std of {_seeds(cell)}, {name}, {cell.settings}"
    return [label, "", *(spread(name) for name in SCORES), ""]


def names(cell: Cell) -> list[str]:
    """CELL_COLUMNS of a cell."""
    where = cell.application or "-"
    return [cell.dataset, _trigger(cell), where, "-" if cell.clean else rate(cell.rate), cell.settings, _seeds(cell)]


def _trigger(cell: Cell) -> str:
    return cell.trigger + (f" ({cell.variant})" if cell.variant else "")


def _seeds(cell: Cell) -> str:
    """`5 poisoning and training seeds`, `3 training seeds`, `1 seed`."""
    varying = cell.varying
    if not varying:
        return "1 seed"
    count = len(cell.seeds[varying[0]])
    runs = f", {len(cell.runs)} runs" if len(cell.runs) != count else ""
    return f"{count} {' and '.join(varying)} seeds{runs}"


def score(cell: Cell, name: str) -> str:
    """`96.1 ± 1.2 [94.6, 97.6]`, a difference with its sign; `-` where there is none."""
    if name not in cell.scores:
        return "-"
    summary, number = cell.scores[name].summary, _number(name)
    words = [number(summary.mean)]
    if summary.deviation is not None:
        words.append(f"± {summary.deviation:.1f}")
    if summary.low is not None:
        words.append(f"[{number(summary.low)}, {number(summary.high)}]")
    if name == "cad" and not cell.paired:
        words[0] += "*"
    if name == "ba":
        words[0] += cell.mark
    if name == "cad" and any((run.result["baseline"] or {}).get("collapsed") for run in cell.runs):
        words[0] += collapse.SURE
    return " ".join(words)


def paper_lines(cell: Cell) -> list[list[str]]:
    """A cell beside the paper's figures, a line a score: CELL_COLUMNS, the latter but once, then PAPER_COLUMNS."""
    return beside(names(cell), cell, cell.published, cell.verdict)


def beside(said: list[str], cell: Cell, figures: dict[str, float], verdict) -> list[list[str]]:
    """A line a score, ours and the paper's figure: what it is of (`said`, but once), then PAPER_COLUMNS."""
    rows = []
    for name in paper_results.SCORES:
        if name not in cell.scores and name not in figures:
            continue
        figure, ours = figures.get(name), cell.scores.get(name)
        difference = "-" if figure is None or ours is None else _signed(ours.summary.mean - figure)
        figure = "-" if figure is None else f"{figure:.1f}"
        rows.append([*said, TITLES[name], score(cell, name), figure, difference, verdict(name) or "-"])
        said = [""] * len(said)
    return rows


def absent(said: list[str], figures: dict[str, float]) -> list[list[str]]:
    """The same of a published cell that no run is of."""
    rows = []
    for name, figure in figures.items():
        rows.append([*said, TITLES[name], "-", f"{figure:.1f}", "-", "not run"])
        said = [""] * len(said)
    return rows


def _absent_block(key: tuple) -> list[list[str]]:
    dataset, trigger, application, share = key
    said = [dataset, trigger, application or "-", "-" if trigger == "clean" else rate(share), "paper", "-"]
    return absent(said, paper_results.attacks()[key])


def record(cell: Cell, paper: bool) -> dict:
    """Everything about a cell, for programs."""
    found = {}
    for name, score in cell.scores.items():
        summary = score.summary
        found[name] = {
            "mean": summary.mean, "deviation": summary.deviation, "low": summary.low, "high": summary.high,
            "interval_over": summary.over, "seeds": summary.seeds, "count": score.count, "of": score.of,
            "percent": score.percent, "values": list(summary.values),
        }  # fmt: skip
        if paper and name in cell.published:
            figure = cell.published[name]
            found[name] |= {"paper": figure, "difference": summary.mean - figure, "verdict": cell.verdict(name)}
    said = {
        "dataset": cell.dataset, "source_digest": cell.first["dataset"]["source_digest"], "trigger": cell.trigger,
        "application": cell.application or None, "rate": str(cell.recipe["rate"]), "variant": cell.variant,
        "settings": cell.settings, "recipe": cell.recipe, "config": _without_seed(cell.first["config"]),
        "seeds": cell.seeds, "varying": cell.varying, "runs": [run.result["name"] for run in cell.runs],
        "cad_paired_by_seed": cell.paired if "cad" in cell.scores else None, "scores": found,
        "collapsed": [name for name, mark in cell.marks.items() if mark == collapse.SURE],
    }  # fmt: skip
    return said | ({"deviates_from_paper_in": cell.deviations} if paper else {})


def _absent_record(key: tuple) -> dict:
    dataset, trigger, application, share = key
    figures = paper_results.attacks()[key]
    return {
        "dataset": dataset, "trigger": trigger, "application": application or None, "rate": decimal(share),
        "settings": "paper", "runs": [],
        "scores": {name: {"paper": figure, "verdict": "not run"} for name, figure in figures.items()},
    }  # fmt: skip


def _plain(value) -> str:
    if isinstance(value, list):
        return ";".join(map(str, value))
    return "" if value is None else str(value)


def _without_seed(config: dict) -> dict:
    return {key: value for key, value in config.items() if key not in ("seed", "dataset_digest")}


def decimal(share) -> str:
    """A share as a decimal fraction in its one spelling."""
    return f"{float(share):.12f}".rstrip("0").rstrip(".") or "0"


def _with_legend(form: str, table: str, found: list[Cell], wrong) -> str:
    below = [*notes([run.result for cell in found for run in cell.runs]), *left_out(wrong)]
    if form == "latex":
        return "\n".join([table, *(f"% {line}" for line in below)])
    unpaired = any("cad" in cell.scores and not cell.paired for cell in found)
    return "\n".join([table, "", LEGEND, *([UNPAIRED] if unpaired else []), *below])


def notes(results: list[dict]) -> list[str]:
    """What is to be known of runs whose networks have collapsed: what the marks mean, and which runs have one."""
    marks = {result["name"]: mark for result in results if (mark := collapse.mark(result))}
    clean = {name for result in results for name in (result.get("baseline") or {}).get("collapsed", ())}
    marks |= dict.fromkeys(clean, collapse.SURE)
    of = {mark: [name for name, one in marks.items() if one == mark] for mark in marks.values()}
    return [text_tables.printable(f"{line}: {text_tables.some(of[line.split()[0]])}") for line in collapse.notes(of)]


def left_out(wrong) -> list[str]:
    """One line that names the files that could not be read, where there are any."""
    names = text_tables.some([short(path) for path in wrong])
    return [text_tables.printable(f"left out, since they cannot be read: {names}")] if wrong else []


def short(path) -> str:
    """A path from its run's folder on."""
    inside = path.parent.name.startswith(("prune-", "heads-")) or path.parent.name == "routing"
    return "/".join(path.parts[-3 if inside else -2 :])


def _number(score: str):
    """How a score is written: a difference with its sign."""
    return _signed if score == "cad" else "{:.1f}".format


def _signed(points: float) -> str:
    return f"{round(points, 1) + 0.0:+.1f}"  # + 0.0: no minus on nothing


def _counts(value: dict) -> str:
    return f"({value['count']:,} of {value['of']:,})"


def _percent(value: dict | None) -> str:
    return "-" if value is None or value["percent"] is None else f"{value['percent']:.1f}"
