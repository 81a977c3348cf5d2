"""CAD: how much BA a poisoned run lost against the clean model of the same network and training.

`compare` alone decides what a run is compared with and computes CAD, from the scores of the finished runs that are
there now; who shows a result asks it, and so does `store`. result.json keeps the two things that cannot be computed
from scores: a baseline that the user named, and the clean model's ASR.
"""

import dataclasses
import logging
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path

from benchmark.core import file_names, files, numbers
from benchmark.core.errors import Failure
from benchmark.format.dataset import Dataset
from benchmark.nn import engines
from benchmark.runs import collapse, records
from benchmark.runs.result import GIVEN, Comparison, RunResult
from benchmark.runs.run import Run
from benchmark.training import texts
from benchmark.training.metrics import Share

_comparable = attrgetter("model", "training", "backend", "precision")
"""What of its configuration a clean run must share; threads change last digits only."""
SAME_SEED = "same seed"


def finished(runs: Path, errors: dict[Path, str] | None = None) -> dict[Path, RunResult]:
    """Read the results of all finished runs in a folder, by their folders in order; other entries are passed over.

    What cannot be read is put into `errors`: its path, and a line that says why.
    """
    results: dict[Path, RunResult] = {}
    for folder in sorted(Path(runs).iterdir()) if Path(runs).is_dir() else []:
        try:
            result = records.read(folder)
        except Failure as error:
            if errors is not None:
                errors[folder / "result.json"] = str(error)
        else:
            if result is not None:
                results[folder] = result
    return results


def matching(result: RunResult, candidates: Iterable[RunResult]) -> tuple[str, list[RunResult]]:
    """Choose the clean runs that a poisoned one is compared with; in words, how they were chosen.

    The clean run of the same training seed, else all that match in source, network and training (their mean).
    """
    clean = [
        other
        for other in candidates
        if other.dataset.is_clean
        and other.dataset.source_digest == result.dataset.source_digest
        and _comparable(other.config) == _comparable(result.config)
    ]
    clean = _one_a_seed(clean, result)
    same = [other for other in clean if other.config.seed == result.config.seed]
    if same:
        return SAME_SEED, same
    return f"mean of {numbers.counted(len(clean), 'other seed')}", clean


def _one_a_seed(clean: list[RunResult], result: RunResult) -> list[RunResult]:
    """Leave out clean runs of a seed that is there already: with other threads it is no further seed. One with as many
    threads as the poisoned run comes first."""
    chosen: dict[int, RunResult] = {}
    for other in sorted(clean, key=lambda other: other.config.raw.get("threads") != result.config.raw.get("threads")):
        chosen.setdefault(other.config.seed, other)
    return [other for other in clean if chosen[other.config.seed] is other]


def compare(result: RunResult, candidates: Iterable[RunResult], named: RunResult | None = None) -> Comparison | None:
    """Compare a run with the clean runs there are now, without computing anything with a model.

    Parameters
    ----------
    result : RunResult
        The run, as it is stored.
    candidates : iterable of RunResult
        The finished runs beside it.
    named : RunResult, optional
        The clean run that the user named; without it, one that was named before stays.

    Returns
    -------
    Comparison or None
        None of a clean run, of one on a sealed file, whose clean images nobody here knows, and where there never was a
        clean run. The clean model's ASR is known if it was computed for the same clean runs.
    """
    if not result.dataset.is_poisoned:
        return None
    stored = result.baseline
    if named is not None:
        how, clean = GIVEN, [named]
    elif stored is not None and stored.how == GIVEN:
        how, clean = GIVEN, []
    else:
        how, clean = matching(result, candidates)
    own = result.scores.ba.percent or 0.0
    if not clean:  # the clean run is gone, or in another folder: what it had is known, CAD follows
        return None if stored is None else dataclasses.replace(stored, cad=stored.ba - own)
    ba = sum(other.scores.ba.percent or 0.0 for other in clean) / len(clean)
    names = tuple(other.name for other in clean)
    collapsed = tuple(other.name for other in clean if collapse.mark(other) == collapse.SURE)
    known = stored.asr if stored is not None and stored.runs == names else None
    return Comparison(how, names, ba, ba - own, known, collapsed)


def incomplete(result: RunResult, candidates: Iterable[RunResult]) -> bool:
    """Is there a clean run to compare with whose ASR on the same triggered rows has not been computed yet?"""
    comparison = compare(result, candidates)
    return comparison is not None and comparison.asr is None


def stale(result: RunResult, runs: Path, named: Path | None) -> bool:
    """Is the clean model's ASR missing, or the stored baseline another than the one that the user named?"""
    if named is not None and result.dataset.is_poisoned:
        stored = result.baseline
        return stored is None or stored.how != GIVEN or stored.runs != (Path(named).resolve().name,)
    return incomplete(result, finished(runs).values())


def store(run: Run, result: RunResult, data: Dataset, named: Path | None) -> RunResult:
    """Put the comparison as it stands now into result.json, with the clean model's ASR; the result with it.

    `data` is what the run was trained on; `named` the clean run that the user named. Needs an active backend.
    """
    errors: dict[Path, str] = {}
    where = run.folder.parent if named is None else Path(named).resolve().parent
    if named is None:
        comparison = compare(result, finished(where, errors).values())
    else:
        comparison = compare(result, (), usable(result, Path(named)))
    for line in errors.values():
        logging.getLogger("benchmark").warning("%s: nothing is compared with it", line)
    if comparison is None:
        return result
    if comparison.asr is None:
        comparison = dataclasses.replace(comparison, asr=clean_asr(comparison, where, data))
    if comparison != result.baseline:
        result = result.with_baseline(comparison)
        with files.locked(run.folder):
            files.write_json(run.folder / "result.json", result.raw)
    return result


def usable(result: RunResult, folder: Path) -> RunResult:
    """Return the result of the run that the user named as the baseline of another. `Failure` if it cannot serve."""
    other = Run.at(folder).result
    if other is None:
        raise Failure(f"{folder}: this baseline is not finished")
    if not other.dataset.is_clean:
        raise Failure(f"{folder}: a baseline must be trained on a clean file, this one was on {other.dataset.name!r}")
    if other.dataset.source_digest != result.dataset.source_digest:
        raise Failure(f"{folder}: this baseline was trained on other data than {result.dataset.name!r}")
    return other


def clean_asr(comparison: Comparison, runs: Path, data: Dataset) -> Share | None:
    """Compute the clean model's ASR on a file: what the trigger alone does. Summed over the baseline's runs.

    Needs an active backend. None where a baseline's model is gone; `Failure` where one is there and cannot be loaded.
    """
    from benchmark.nn import model_files

    if data.triggered is None or data.wanted is None:
        return None
    shares = []
    for name in comparison.runs:
        folder = Path(runs) / name
        if file_names.problem(name) or not files.there(folder / "model.keras"):
            return None
        model = model_files.load(folder)
        triggered = texts.for_run(folder, data, model).triggered
        predicted = engines.engine(model, 0.1).predict((triggered or data.triggered).inputs)
        hit = data.hits(predicted)
        shares += [] if hit is None else [Share.where(hit)]
    return Share.total(shares)
