"""Defences on many runs, and their results as a table beside the paper's Table 3."""

from benchmark import defences, layout, published
from benchmark.defences import pruning

COLUMNS = ["run", "rows", "rate", "stage", "BA", "ASR", "paper BA", "paper ASR"]
_PUBLISHED = {"before": "before", "pruned": "pruned", "fine-tuned": "finetuned"}


def prune(run, file, base, settings: dict, say) -> dict:
    """Fine-pruning of one run; `say` hears of every step. See `defences.run`."""

    def watch(step):
        scores = step["scores"]
        asr = "" if scores["asr"] is None else f"  ASR {scores['asr']['percent']:5.1f}"
        say(f"{run}: {step['stage']:10} {step.get('rate', ''):5} BA {scores['ba']['percent']:5.1f}{asr}")

    hold = settings["data_mode"] == defences.HELD_OUT
    return defences.run(
        run, file, base, "prune", settings,
        lambda case: pruning.prune(case, settings["rates"], settings["finetune_epochs"], hold), watch,
    )  # fmt: skip


def table(results: list[dict]) -> str:
    """Every step of every result, in percent; the published figure where the run is at the paper's settings."""
    return layout.render("text", *lines(results), {"run", "rows", "stage"})


def lines(results: list[dict]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the same."""
    rows = []
    for result in results:
        paper = _paper(result)
        for step in result["steps"]:
            scores = step["scores"]
            key = (_PUBLISHED.get(step["stage"]), step.get("rate"))
            rows.append(
                [
                    result["run"],
                    f"{result['rows']:,} {result['settings']['data_mode']}",
                    step.get("rate", ""),
                    step["stage"],
                    _percent(scores["ba"]),
                    _percent(scores["asr"]),
                    *paper.get(key, ("", "")),
                ]
            )
    shown = COLUMNS if any(row[-1] for row in rows) else COLUMNS[:-2]
    return shown, [row[: len(shown)] for row in rows]


def _percent(share: dict | None) -> str:
    return "" if share is None else f"{share['percent']:.1f}"


def _paper(result: dict) -> dict[tuple, tuple[str, str]]:
    """(stage, rate) → published BA and ASR; empty where the run is not at the paper's settings."""
    trained = {"dataset": result["dataset"], "config": _without_hold_out(result["config"])}
    if result["dataset"]["kind"] != "poisoned" or published.deviations(trained):
        return {}
    recipe = result["dataset"]["recipe"]
    wanted = (
        result["dataset"]["source"], recipe["triggers"][0]["name"], recipe["application"],
        published.Fraction(recipe["rate"]),
    )  # fmt: skip
    found = {}
    for row in published.rows("fine_pruning"):
        rate = row["pruning_rate_percent"]
        key = row["dataset"], row["trigger"], row["application"], published.Fraction(row["rate_percent"]) / 100
        if key == wanted:
            spelled = f"{float(rate) / 100:g}" if rate else None
            found[row["stage"], spelled] = (row["ba_percent"], row["asr_percent"])
    return found


def _without_hold_out(config: dict) -> dict:
    """A run for defences leaves rows out, which the paper's did not; all else must be as there."""
    return config | {"training": config["training"] | {"hold_out": 0}}
