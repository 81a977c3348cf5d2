"""What the commands on heads found, as tables for the terminal and the page."""

from benchmark import layout, statistics
from benchmark.heads import controls
from benchmark.heads.scoring import SCORES

_FIGURES = {"auroc": "AUROC", "tpr_1": "TPR at 1 %", "tpr_5": "TPR at 5 %", "precision_100": "first 100"}


def detection(results: list[dict]) -> str:
    """The tables of `benchmark heads detect`: one after the other for each run, then over the seeds."""
    parts = []
    for result in results:
        parts += [headline(result), *(layout.render("text", *table, LEFT) for table in tables(result)), ""]
    if summary := over_seeds(results):
        parts += [f"over {len(results)} runs: mean and 95 % interval", layout.render("text", *summary, LEFT)]
    return "\n".join(parts).rstrip("\n")


LEFT = {"run", "rows", "score", "against", "texts", "model", "head", "direction", "variant", "stage"}


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
    return "; ".join(words)


def tables(result: dict) -> list[tuple[list[str], list[list[str]]]]:
    """Columns and rows: how well each score ranks; the controls; the contaminated heads."""
    found = [ranked(result), controlled(result), heads(result)]
    return [table for table in found if table[1]]


def ranked(result: dict) -> tuple[list[str], list[list[str]]]:
    """How well each score ranks the suspect file's rows, and the triggered test texts among the clean ones."""
    sets = {"suspect file": result["suspect"], "triggered test texts": _trigger(result)}
    rows = []
    for words, found in sets.items():
        for name, title in SCORES.items():
            if found and name in found:
                rows.append([words, title, *(_with_interval(found[name], key) for key in _FIGURES)])
    return ["texts", "score", *_FIGURES.values()], rows


def controlled(result: dict) -> tuple[list[str], list[list[str]]]:
    """AUROC of every control against the texts that it was made of, on the poisoned model and its clean twin."""
    models = {which: result["controls"][which] for which in ("poisoned", "clean") if which in result["controls"]}
    names = {"poisoned": "this model" if "clean" not in models else "poisoned", "clean": "clean twin"}
    shown = [name for name in SCORES if name != "mean_z"]
    columns = ["texts", *(f"{SCORES[score]}, {names[which]}" for score in shown for which in models)]
    rows = []
    for control, words in controls.NAMES.items():
        if any(control in found for found in models.values()):
            cells = [models[which].get(control, {}).get(score) for score in shown for which in models]
            rows.append([words, *("" if cell is None else f"{cell['auroc']:.3f}" for cell in cells)])
    return columns, rows


def heads(result: dict) -> tuple[list[str], list[list[str]]]:
    """The contaminated heads, and which way their similarity goes."""
    trigger = _trigger(result)
    rows = []
    for head in result["contaminated"]:
        at = head["layer"], head["head"]
        median = head["median_z"]
        cells = [f"({at[0]}, {at[1]})", "rises" if median > 0 else "falls", f"{median:+.1f}"]
        cells.append("" if head["auroc"] is None else f"{head['auroc']:.3f}")
        cells.append("" if trigger is None else f"{trigger['heads']['auroc'][at[0]][at[1]]:.3f}")
        rows.append(cells)
    return ["head", "direction", "median z, flagged", "AUROC, suspect file", "AUROC, test"], rows


def over_seeds(results: list[dict]) -> tuple[list[str], list[list[str]]] | None:
    """Means and Student's intervals over runs, where there are several and each has what is compared."""
    if len(results) < 2:
        return None
    rows = []
    for words, of in (("suspect file", lambda result: result["suspect"]), ("triggered test texts", _trigger)):
        sets = [of(result) for result in results]
        for name, title in SCORES.items():
            if all(found and name in found for found in sets):
                cells = [_summary([found[name][key] for found in sets]) for key in _FIGURES]
                rows.append([words, title, *cells])
    return (["texts", "score", *_FIGURES.values()], rows) if rows else None


def _trigger(result: dict) -> dict | None:
    return result["controls"]["poisoned"].get("trigger")


def _with_interval(figures: dict, key: str) -> str:
    low, high = figures["intervals"][key]
    return f"{figures[key]:.3f} [{low:.3f}, {high:.3f}]"


def _summary(values: list[float]) -> str:
    summary = statistics.summary([100 * value for value in values])
    return f"{summary.mean / 100:.3f} [{summary.low / 100:.3f}, {summary.high / 100:.3f}]"
