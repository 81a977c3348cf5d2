"""What a finished run has written: read, and checked as far as tables and comparisons rely on it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmark.core import file_names, files, numbers
from benchmark.core.errors import Damaged, Failure
from benchmark.core.hashing import canonical
from benchmark.format.manifest import Kind
from benchmark.runs.result import KINDS, RunResult, picture_name
from benchmark.training.configuration import settings_of
from benchmark.training.metrics import Json, Scores

VERSION = 1
T = TypeVar("T")
_WRONG = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, Failure)


def read(folder: Path) -> RunResult | None:
    """Read and check the result in a run's folder, None where there is none yet.

    Raises
    ------
    Damaged
        If it is not what this program writes.
    Failure
        If it cannot be read here and now, or is of a later version of this program.
    """
    path = Path(folder) / "result.json"
    if not files.there(path):
        return None
    result = files.read_json(path)
    version = result.get("result_version") if isinstance(result, dict) else None
    if version is not None and numbers.is_count(version) and version > VERSION:
        raise Failure(f"{path}: of version {version}, this program reads up to {VERSION}: update it")
    if not is_result(result):
        raise Damaged(f"{path}: not the result of a run of this program")
    return RunResult(result)


def take_over(run: Path, target: Path) -> None:
    """Copy what a finished run has found, result.json and history.csv, to the folder `target`, to be shared; of paths
    in it only the names are kept."""
    raw = without_places(files.read_json(run / "result.json"))
    target.mkdir(parents=True, exist_ok=True)
    (target / "result.json").write_text(json.dumps(raw, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (target / "history.csv").write_bytes((run / "history.csv").read_bytes())


def without_places(raw: Json) -> Json:
    """Return a result, of a run or of a command on one, in which of its data set's paths only the names are left."""
    places = {key: Path(raw["dataset"][key]).name for key in ("path", "base") if raw["dataset"].get(key)}
    return raw | {"dataset": raw["dataset"] | places}


def parsed(path: Path, parse: Callable[[Json], T], words: str = "not a result of this program") -> T:
    """Read what a command has left in a JSON file. `Damaged` where `parse` raises: what its `Failure` says, or these
    words."""
    raw = files.read_json(path)
    try:
        return parse(raw)
    except Failure as error:
        raise Damaged(f"{path}: {error}") from None
    except _WRONG:
        raise Damaged(f"{path}: {words}") from None


def kept(path: Path, parse: Callable[[Json], T]) -> T | None:
    """Return the same, None while there is nothing; what is damaged is put aside."""
    try:
        return parsed(path, parse) if files.there(path) else None
    except Damaged as error:
        files.put_aside(path, error)
        return None


def is_result(value) -> bool:
    """Is this what a finished run writes?"""
    try:
        canonical(value)  # nothing endless, no half characters
        settings_of(value["config"])
        sound = value["result_version"] == VERSION and file_names.plain(value["name"])
        return sound and _is_dataset(value["dataset"]) and _are_scores(value) and _is_recorded(value)
    except _WRONG:
        return False


def is_pruning(value) -> bool:
    """Is this what fine-pruning writes?"""
    try:
        settings, steps = value["settings"], value["steps"]
        counts = [value["rows"], settings["finetune_epochs"]]
        named = isinstance(settings["data_mode"], str) and all(map(numbers.is_count, counts))
        return value["defence"] == "prune" and named and isinstance(steps, list) and all(map(_is_step, steps))
    except _WRONG:
        return False


def _is_step(step: dict) -> bool:
    if step["stage"] not in ("before", "pruned", "masked", "fine-tuned"):
        return False
    return ("rate" not in step or numbers.share(step["rate"]) > 0) and _are_shares(step["scores"])


def _is_dataset(dataset: dict) -> bool:
    words = [dataset[key] for key in ("name", "kind", "source")]
    words += [value for key in ("digest", "path", "base") if (value := dataset.get(key)) is not None]
    if not all(isinstance(word, str) for word in words) or dataset["kind"] not in KINDS:
        return False
    if not all(file_names.plain(dataset[key]) for key in ("name", "source")):
        return False
    if (kind := Kind(dataset["kind"])).sealed:  # of which nothing more is known
        return dataset["recipe"] == {}
    counts, pictures = dataset["counts"], dataset.get("pictures") or {}
    return (
        isinstance(dataset["source_digest"], str)
        and all(isinstance(picture_name(entry), str) for entry in pictures.values())
        and all(map(numbers.is_count, counts.values()))
        and _is_recipe(dataset["recipe"], kind.clean)
    )


def _is_recipe(recipe: dict, clean: bool) -> bool:
    rate = numbers.share(recipe["rate"])
    if clean:
        return rate == 0
    patch = recipe.get("patch")
    return (
        rate > 0
        and bool(recipe["triggers"])
        and all(isinstance(step["name"], str) for step in recipe["triggers"])
        and isinstance(recipe.get("application", ""), str)
        and numbers.is_count(recipe["seed"])
        and (patch is None or (len(patch) == 2 and all(map(numbers.is_count, patch))))
    )


def _are_scores(result: dict) -> bool:
    comparison = result.get("baseline")
    if comparison:
        points = [comparison["ba"], comparison["cad"]]
        sound = isinstance(comparison["runs"], list) and all(map(file_names.plain, comparison["runs"]))
        sound = sound and isinstance(comparison["how"], str)
        sound = sound and all(numbers.is_real(number) and abs(number) <= 100 for number in points)
        if not sound or not (comparison["asr"] is None or _is_share(comparison["asr"])):
            return False
    return _are_shares(result["scores"])


def _are_shares(scores: dict) -> bool:
    shares = [scores["asr"], *(scores.get(name) for name in ("still_right", "asr_others", "target_class"))]
    shares += scores.get("asr_by_class") or []
    if (found := scores.get("most_predicted")) is not None and not numbers.is_count(found["class"]):
        return False
    shares.append(found)
    return scores["ba"]["of"] > 0 and all(_is_share(one) for one in (scores["ba"], *shares) if one is not None)


def scores_of(raw: Json) -> Scores:
    """Return the scores that JSON holds; ValueError, KeyError or TypeError where it holds none."""
    if not _are_shares(raw):
        raise ValueError("not scores that this program writes")
    return Scores.of(raw)


def _is_share(value: dict) -> bool:
    count, of = value["count"], value["of"]
    if not (numbers.is_count(count) and numbers.is_count(of) and count <= of):
        return False
    percent = value["percent"]
    return percent is None if of == 0 else numbers.is_real(percent) and abs(percent - 100 * count / of) < 1e-6


def _is_recorded(result: dict) -> bool:
    """Are the records that nothing depends on, speed and versions, of the right types?"""
    seconds, versions = result.get("seconds", {}), result.get("environment", {}).get("versions", {})
    recorded = [result.get("images_per_second", 0), seconds.get("training", 0)]
    return all(map(numbers.is_real, recorded)) and isinstance(versions, dict)
