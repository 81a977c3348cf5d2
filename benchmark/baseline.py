"""CAD: how much BA a poisoned run lost against the clean model of the same network and training."""

from fractions import Fraction
from pathlib import Path

from benchmark import engines, files, fine_tuning, metrics
from benchmark.data import Dataset
from benchmark.errors import Failure
from benchmark.manifest import canonical
from benchmark.runs import Run
from benchmark.settings import options, settings_of

_SAME = ("model", "training", "backend", "precision")  # what a clean run must share; threads change last digits only


def finished(runs: Path) -> dict[Path, dict]:
    """The results of all finished runs in a folder, by their folders in order. What is no run is passed over."""
    folders = sorted(Path(runs).iterdir()) if Path(runs).is_dir() else []
    return {folder: result for folder in folders if (result := _result_in(folder)) is not None}


def _result_in(folder: Path) -> dict | None:
    try:
        result = files.read_json(folder / "result.json")
    except Failure:
        return None
    return result if is_result(result) else None


def is_result(value) -> bool:
    """Is this what a finished run writes, as far as tables and comparisons rely on it? (Results are passed on.)"""
    try:
        canonical(value)  # no NaN, nothing endless
        settings_of(value["config"])
        sound = value["result_version"] == 1 and isinstance(value["name"], str)
        return sound and _is_dataset(value["dataset"]) and _are_scores(value)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError, RecursionError, Failure):
        return False


def _is_dataset(dataset: dict) -> bool:
    if dataset["kind"] == "sealed":  # of which nothing more is known
        return all(isinstance(dataset[key], str) for key in ("name", "source")) and dataset["recipe"] == {}
    recipe, clean = dataset["recipe"], dataset["kind"] == "clean"
    steps = [] if clean else [step["name"] for step in recipe["triggers"]]
    words = [*(dataset[key] for key in ("name", "kind", "source", "source_digest")), recipe["rate"], *steps]
    words += [picture_name(entry) for entry in (dataset.get("pictures") or {}).values()]
    return (
        all(isinstance(word, str) for word in [*words, recipe.get("application", "")])
        and (Fraction(recipe["rate"]) == 0 if clean else 0 < Fraction(recipe["rate"]) <= 1)
        and isinstance(recipe.get("seed", 0), int)
        and isinstance(recipe.get("patch") or [], list)
        and isinstance(dataset["counts"], dict)
    )


def picture_name(entry: dict) -> str:
    """What tells a trigger's picture from others: its digest, or the name of a built-in one."""
    return entry["built_in"] if "built_in" in entry else entry["digest"].removeprefix("sha256:")


def _are_scores(result: dict) -> bool:
    scores, comparison = result["scores"], result.get("baseline")
    counts = [scores["ba"], *filter(None, [scores["asr"], scores.get("still_right"), (comparison or {}).get("asr")])]
    if comparison:
        words = [comparison["how"], *comparison["runs"]]
        numbers = [comparison["ba"], comparison["cad"]]
        if not all(isinstance(word, str) for word in words) or not all(abs(number) <= 100 for number in numbers):
            return False
    return scores["ba"]["of"] > 0 and all(map(_is_share, counts))


def _is_share(value: dict) -> bool:
    count, of = value["count"], value["of"]
    if not (isinstance(count, int) and isinstance(of, int) and 0 <= count <= of):
        return False
    return value["percent"] is None if of == 0 else abs(value["percent"] - 100 * count / of) < 1e-6


def matching(result: dict, candidates: list[dict]) -> tuple[str, list[dict]]:
    """The clean runs that a poisoned one is compared with, and in words how they were chosen.

    The clean run of the same training seed, else all that match in source, network and training (their mean).
    """
    clean = [
        other
        for other in candidates
        if other["dataset"]["kind"] == "clean"
        and other["dataset"]["source_digest"] == result["dataset"]["source_digest"]
        and all(other["config"][key] == result["config"][key] for key in _SAME)
    ]
    same = [other for other in clean if other["config"]["seed"] == result["config"]["seed"]]
    if same:
        return "same seed", same[:1]
    return f"mean of {len(clean)} other seeds", clean


def cad(result: dict, how: str, clean: list[dict]) -> dict | None:
    """CAD in percentage points, and what it was measured against; None without a clean run, and for a sealed file,
    whose clean images nobody here knows."""
    if not clean or result["dataset"]["kind"] != "poisoned":
        return None
    ba = sum(other["scores"]["ba"]["percent"] for other in clean) / len(clean)
    return {
        "how": how,
        "runs": [other["name"] for other in clean],
        "ba": ba,
        "cad": ba - result["scores"]["ba"]["percent"],
        "asr": None,
    }


def current(result: dict, candidates: list[dict]) -> dict | None:
    """The comparison as it stands with the clean runs there are now, without computing anything with a model.

    A baseline that was given by hand stays. The clean model's ASR is known if it was computed for the same runs.
    """
    stored = result.get("baseline")
    if stored and stored["how"] == "given":
        return stored
    fresh = cad(result, *matching(result, candidates))
    if fresh and stored and stored["runs"] == fresh["runs"]:
        fresh["asr"] = stored["asr"]
    return fresh or stored


def incomplete(result: dict, candidates: list[dict]) -> bool:
    """Is there a clean run to compare with whose ASR on the same triggered images has not been computed yet?"""
    if result["dataset"]["kind"] != "poisoned":
        return False
    comparison = current(result, candidates)
    return comparison is not None and comparison["asr"] is None


def given(result: dict, folder: Path) -> dict:
    """The comparison with the run that the user named. `Failure` if it cannot serve."""
    other = Run.at(folder).result
    if other is None:
        raise Failure(f"{folder}: this baseline is not finished")
    if other["dataset"]["kind"] != "clean":
        raise Failure(f"{folder}: a baseline must be trained on a clean file, this one was on {other['name']!r}")
    if other["dataset"]["source_digest"] != result["dataset"]["source_digest"]:
        raise Failure(f"{folder}: this baseline was trained on other data than {result['dataset']['name']!r}")
    return cad(result, "given", [other])


def clean_asr(comparison: dict, runs: Path, data: Dataset) -> dict | None:
    """The clean model's ASR on a file: what the trigger alone does. Summed over the baseline's runs.

    Needs an active backend. None where a baseline's model is gone; `Failure` where one is there and cannot be loaded.
    """
    from benchmark import models

    counts = []
    for name in comparison["runs"]:
        folder = Path(runs) / name
        if not (folder / "model.keras").is_file():
            return None
        model = models.load(folder)
        inputs = fine_tuning.for_run(folder, data, model).triggered.inputs
        predicted = engines.engine(model, 0.1).predict(inputs)
        counts.append(metrics.attack(predicted, data.triggered.labels, data.wanted, len(data.classes))["asr"])
    return metrics.share(sum(count["count"] for count in counts), sum(count["of"] for count in counts))


def command(result: dict) -> str:
    """The command that trains a run anew."""
    return " ".join(
        ["benchmark train", f"data/{result['dataset']['name']}.h5", *options(settings_of(result["config"]))]
    )


def commands(result: dict) -> str:
    """The commands that make the clean run that a result is to be compared with."""
    source = result["dataset"]["source"]
    train = " ".join(["benchmark train", f"data/{source}-clean.h5", *options(settings_of(result["config"]))])
    return f"poisonkit make --dataset {source} --rate 0; {train}"
