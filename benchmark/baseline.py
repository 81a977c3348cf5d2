"""CAD: how much BA a poisoned run lost against the clean model of the same network and training."""

from pathlib import Path

from benchmark import collapse, engines, files, fine_tuning, metrics, naming, numbers, recorded
from benchmark.data import Dataset
from benchmark.errors import Failure
from benchmark.runs import Run

_SAME = ("model", "training", "backend", "precision")  # what a clean run must share; threads change last digits only


def finished(runs: Path, wrong: dict | None = None) -> dict[Path, dict]:
    """The results of all finished runs in a folder, by their folders in order. What is no run is passed over.

    What cannot be read is put into `wrong`: its path, and a line that says why.
    """
    found = {}
    for folder in sorted(Path(runs).iterdir()) if Path(runs).is_dir() else []:
        try:
            result = recorded.read(folder)
        except Failure as error:
            (wrong if wrong is not None else {})[folder / "result.json"] = str(error)
        else:
            if result is not None:
                found[folder] = result
    return found


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
    return f"mean of {numbers.counted(len(clean), 'other seed')}", clean


def cad(result: dict, how: str, clean: list[dict]) -> dict | None:
    """CAD in percentage points, and what it was measured against; None without a clean run, and for a sealed file,
    whose clean images nobody here knows."""
    if not clean or result["dataset"]["kind"] != "poisoned":
        return None
    ba = sum(other["scores"]["ba"]["percent"] for other in clean) / len(clean)
    collapsed = [other["name"] for other in clean if collapse.mark(other) == collapse.SURE]
    return ({"collapsed": collapsed} if collapsed else {}) | {
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
        if naming.problem(name) or not files.there(folder / "model.keras"):
            return None
        model = models.load(folder)
        inputs = fine_tuning.for_run(folder, data, model).triggered.inputs
        predicted = engines.engine(model, 0.1).predict(inputs)
        counts.append(metrics.attack(predicted, data.triggered.labels, data.wanted, len(data.classes))["asr"])
    return metrics.share(sum(count["count"] for count in counts), sum(count["of"] for count in counts))
