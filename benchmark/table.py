"""Results as lines of text, in percent with one decimal."""

import statistics

COLUMNS = ("run", "seed", "BA", "ASR", "ASR others", "CAD", "clean ASR", "still right", "baseline")
SOMETIMES = ("ASR others",)
"""Columns that are left out where no run has anything in them."""


def row(result: dict) -> dict[str, str]:
    """One finished run; its `baseline` must be up to date (`benchmark.baseline.current`)."""
    scores, baseline = result["scores"], result.get("baseline") or {}
    return {
        "run": result["name"],
        "seed": str(result["config"]["seed"]),
        "BA": _percent(scores["ba"]),
        "ASR": _percent(scores["asr"]),
        "ASR others": _percent(scores.get("asr_others")),
        "CAD": _points(baseline.get("cad")),
        "clean ASR": _percent(baseline.get("asr")),
        "still right": _percent(scores.get("still_right")),
        "baseline": baseline.get("how", "-"),
    }


def table(results: list[dict]) -> str:
    """All runs, and below them mean ± standard deviation over the seeds of runs that differ in nothing else."""
    rows = [row(result) for result in results] + _means(results)
    shown = [name for name in COLUMNS if name not in SOMETIMES or any(row[name] != "-" for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in shown}
    left = ("run", "baseline")

    def line(cells):
        return "  ".join(
            cells[name].ljust(widths[name]) if name in left else cells[name].rjust(widths[name]) for name in shown
        ).rstrip()

    return "\n".join([line({name: name for name in COLUMNS}), *map(line, rows)])


def scores(result: dict) -> str:
    """Scores of a run on another file (`benchmark score`)."""
    found = result["scores"]
    lines = [f"{result['run']} on {result['file']['name']}", f"BA   {_percent(found['ba'])} {_counts(found['ba'])}"]
    if found["asr"]:
        lines.append(f"ASR  {_percent(found['asr'])} {_counts(found['asr'])}")
        if "asr_others" in found:
            lines.append(f"ASR others  {_percent(found['asr_others'])} {_counts(found['asr_others'])}")
        lines.append(f"still right  {_percent(found['still_right'])} {_counts(found['still_right'])}")
    return "\n".join(lines)


def _counts(value: dict) -> str:
    return f"({value['count']:,} of {value['of']:,})"


def _means(results: list[dict]) -> list[dict]:
    groups = {}
    for result in results:
        config = {key: value for key, value in result["config"].items() if key != "seed"}
        groups.setdefault(repr(sorted(config.items())), []).append(result)
    return [_mean(group) for group in groups.values() if len(group) > 1]


def _mean(group: list[dict]) -> dict[str, str]:
    def spread(values, signed=False):
        if any(value is None for value in values):
            return "-"
        return f"{statistics.mean(values):{'+' if signed else ''}.1f} ± {statistics.stdev(values):.1f}"

    scores = [result["scores"] for result in group]
    baselines = [result.get("baseline") or {} for result in group]
    return {
        "run": f"mean ± std of {len(group)} seeds, {group[0]['dataset']['name']}, {group[0]['preset']}",
        "seed": "",
        "BA": spread([score["ba"]["percent"] for score in scores]),
        "ASR": spread([(score["asr"] or {}).get("percent") for score in scores]),
        "ASR others": spread([(score.get("asr_others") or {}).get("percent") for score in scores]),
        "CAD": spread([baseline.get("cad") for baseline in baselines], signed=True),
        "clean ASR": spread([(baseline.get("asr") or {}).get("percent") for baseline in baselines]),
        "still right": spread([(score.get("still_right") or {}).get("percent") for score in scores]),
        "baseline": "",
    }


def _percent(value: dict | None) -> str:
    return "-" if value is None or value["percent"] is None else f"{value['percent']:.1f}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"
