"""What the commands on heads found, as tables for the terminal and the page."""

from pathlib import Path

from benchmark.analysis.heads import aggregate, controls, detector
from benchmark.analysis.heads.aggregate import FIGURES, LEFT
from benchmark.analysis.heads.detector import SCORES
from benchmark.core import text_tables
from benchmark.runs import hints


def detection(results: list[dict], folders: list[Path]) -> str:
    """The tables of `benchmark heads detect`: one after the other for each run, which lie in these folders, then over
    the seeds."""
    parts = []
    for result, folder in zip(results, folders, strict=True):
        shown = [text_tables.render("text", *table, LEFT) for table in tables(result)]
        parts += [headline(result), *shown, *without_twin(result, Path(folder).absolute().parent), ""]
    return "\n".join(parts + summed_up(results)).rstrip("\n")


def can_be_shown(result: dict) -> bool:
    """Do the tables of one run find in a result what they show? It may have been edited."""
    shown = {"heads-detect": lambda one: detection(one, [Path()]), "heads-align": alignment, "heads-ablate": ablation}
    try:
        shown[result["defence"]]([result])
    except aggregate.UNFIT:
        return False
    return True


def summed_up(results: list[dict]) -> list[str]:
    """The tables over several runs; nothing of one."""
    if len(results) < 2:
        return []
    shown = [text_tables.render("text", *table, LEFT) for table in aggregate.tables(results)]
    return [f"over {len(results)} runs: mean and 95 % interval", *shown]


def headline(result: dict) -> str:
    """One line: how many rows, and how many of the flagged ones are poisoned."""
    rows, words = result["rows"], [f"{result['run']}: {result['rows']['suspect']:,} suspect texts ranked"]
    words.append(f"{rows['too_short']:,} under {result['settings']['min_words']} words left out")
    if rows["poisoned"] is not None:
        words.append(f"{rows['poisoned']:,} poisoned")
    for name, flagged in result["flagged"].items():
        said = f"{SCORES[name]} flags {flagged['count']:,}"
        if flagged["poisoned"] is not None:
            said += f", {flagged['poisoned']:,} of them poisoned"
        words.append(said)
    return "; ".join(words + halved(result))


def halved(result: dict) -> list[str]:
    """A remark where fewer heads are called contaminated than were asked for."""
    settings, count = result["settings"], len(result["contaminated"])
    asked = settings.get("heads", 0) if settings.get("threshold") is None else 0
    return [detector.halved(count, result["shape"], asked)] if count < asked else []


def without_twin(result: dict, runs: Path) -> list[str]:
    """One line where the controls of a poisoned model, in that folder of runs, have no clean twin beside them."""
    if result["clean_run"] is not None or result["dataset"]["kind"] != "poisoned":
        return []
    return [f"no clean twin: the controls are those of this model alone; it needs: {hints.clean_run(result, runs)}"]


def tables(result: dict) -> list[tuple[list[str], list[list[str]]]]:
    """Columns and rows: how well each score ranks; the controls; the contaminated heads."""
    controlled_of = [controlled(result, name) for name in controls.MADE_OF if name in result]
    return [table for table in (ranked(result), *controlled_of, heads(result)) if table[1]]


def ranked(result: dict) -> tuple[list[str], list[list[str]]]:
    """How well each score ranks the suspect file's rows, and the triggered test texts among the clean ones."""
    sets = {"suspect file": result["suspect"], "triggered test texts": aggregate.triggered(result)}
    rows = []
    for words, found in sets.items():
        for name, title in SCORES.items():
            if found and name in found:
                rows.append([words, title, *(_with_interval(found[name], key) for key in FIGURES)])
    return ["texts", "score", *FIGURES.values()], rows


def controlled(result: dict, of: str) -> tuple[list[str], list[list[str]]]:
    """AUROC of every control against the texts that it was made of, on the poisoned model and its clean twin. `of`: one
    of `controls.MADE_OF`."""
    models = {which: result[of][which] for which in ("poisoned", "clean") if which in result[of]}
    names = {"poisoned": "this model" if "clean" not in models else "poisoned", "clean": "clean twin"}
    shown = [name for name in SCORES if name != "mean_z"]
    columns = [controls.MADE_OF[of], *(f"{SCORES[score]}, {names[which]}" for score in shown for which in models)]
    rows = []
    for control, words in controls.NAMES.items():
        if any(control in found for found in models.values()):
            cells = [models[which].get(control, {}).get(score) for score in shown for which in models]
            rows.append([words, *("" if cell is None else f"{cell['auroc']:.3f}" for cell in cells)])
    return columns, rows


def heads(result: dict) -> tuple[list[str], list[list[str]]]:
    """The contaminated heads, and which way their similarity goes."""
    trigger = aggregate.triggered(result)
    rows = []
    for head in result["contaminated"]:
        at = head["layer"], head["head"]
        median = head["median_z"]
        cells = [f"({at[0]}, {at[1]})", "rises" if median > 0 else "falls", f"{median:+.1f}"]
        cells.append("" if head["auroc"] is None else f"{head['auroc']:.3f}")
        cells.append("" if trigger is None else f"{trigger['heads']['auroc'][at[0]][at[1]]:.3f}")
        rows.append(cells)
    return ["head", "direction", "median z, flagged", "AUROC, suspect file", "AUROC, test"], rows


def alignment(results: list[dict]) -> str:
    """The tables of `benchmark heads align`."""
    parts = []
    for result in results:
        parts += chosen(result)
        parts += [text_tables.render("text", *aligned(result), LEFT), ""]
    return "\n".join(parts + summed_up(results)).rstrip("\n")


def chosen(result: dict) -> list[str]:
    """Lines: how many rows were learned from, and which heads are contaminated, important, and drawn at random."""
    rows = result["rows"]
    known = "" if rows["poisoned"] is None else f", {rows['poisoned']:,} of them poisoned"
    lines = [f"{result['run']}: {rows['clean']:,} clean rows, {rows['flagged']:,} flagged{known}"]
    lines += [f"{words}: {_spelled(result[key]) or 'none'}" for key, words in _CHOSEN.items()]
    fewer = len(result["random"]) < len(result["contaminated"])
    there = f"only {len(result['random'])} heads" if result["random"] else "no head"
    return lines + halved(result) + ([f"random heads: {there} beside the contaminated ones"] if fewer else [])


_CHOSEN = {"contaminated": "contaminated heads", "important": "most important on clean rows", "random": "random heads"}


def aligned(result: dict) -> tuple[list[str], list[list[str]]]:
    """Every variant: what moved, and BA and ASR after it."""
    rows = []
    before = result["steps"][0]["scores"]
    for step in result["steps"]:
        scores = step["scores"]
        change = scores["ba"]["percent"] - before["ba"]["percent"]
        rows.append(
            [
                step["stage"],
                _moved(step),
                str(len(step["history"])) if "history" in step else "",
                f"{step['learning_rate']:g}" if "learning_rate" in step else "",
                _percent(scores["ba"]),
                f"{change:+.1f}",
                _percent(scores["asr"]),
                _percent(scores.get("target_class")),
            ]
        )
    columns = ["variant", "moves", "epochs", "rate", "BA", "change", "ASR", "target class"]
    return text_tables.without_empty(columns, rows)


def ablation(results: list[dict], most: int = 8) -> str:
    """The tables of `benchmark heads ablate`: the heads whose absence changes most."""
    parts = []
    for result in results:
        parts += [result["run"], text_tables.render("text", *ablated(result, most), LEFT), ""]
    return "\n".join(parts + summed_up(results)).rstrip("\n")


def ablated(result: dict, most: int) -> tuple[list[str], list[list[str]]]:
    """No head off; those off together; the lowest with any one off; then those of `over_seeds.most_changing`."""
    before, changed = result["before"], aggregate.changes(result)
    rows = [["none", _percent(before["ba"]), "", _percent(before["asr"]), ""]]

    def row(words: str, change: dict[str, float]) -> None:
        cells = [words]
        for name in ("ba", "asr"):
            there = name in change
            cells += [f"{before[name]['percent'] + change[name]:.1f}", f"{change[name]:+.1f}"] if there else ["", ""]
        rows.append(cells)

    if result["together"] is not None:
        together = {name: aggregate.percent(result["together"], name) for name in changed}
        row(_spelled(result["settings"]["heads"]), {n: v - before[n]["percent"] for n, v in together.items()})
    row(aggregate.LOWEST, {name: values.min() for name, values in changed.items()})
    for at in aggregate.most_changing(changed, most):
        row(f"({at[0]}, {at[1]})", {name: values[at] for name, values in changed.items()})
    return text_tables.without_empty(["head", "BA", "change", "ASR", "change"], rows)


def _moved(step: dict) -> str:
    if "heads" not in step:
        return "nothing"
    return f"{len(step['heads'])} heads" if step["heads"] else "all weights"


def _spelled(heads: list) -> str:
    return " ".join(f"({layer}, {head})" for layer, head in heads)


def _percent(share: dict | None) -> str:
    return "" if share is None else f"{share['percent']:.1f}"


def _with_interval(figures: dict, key: str) -> str:
    low, high = figures["intervals"][key]
    return f"{figures[key]:.3f} [{low:.3f}, {high:.3f}]"
