"""Finished runs, found in folders, each compared with the clean runs that are beside it now."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.core import files
from benchmark.core.errors import Failure, Usage
from benchmark.core.hashing import canonical
from benchmark.runs import baseline, collapse, hints, records
from benchmark.runs.result import RunResult
from benchmark.runs.run import Run


@dataclass(frozen=True)
class Finished:
    """A finished run: its folder and its result, whose `baseline` is up to date."""

    folder: Path
    result: RunResult


class Found(list[Finished]):
    """Finished runs (`Finished`); `wrong` says of each file that cannot be read and ought to be among them, by its
    path, in one line what is wrong with it."""

    def __init__(self, runs: Iterable[Finished] = (), wrong: dict[Path, str] | None = None):
        super().__init__(runs)
        self.wrong: dict[Path, str] = {} if wrong is None else wrong


def gather(paths: Iterable[Path | str]) -> Found:
    """Collect the runs in the given folders. A folder of runs stands for all that are finished in it.

    Raises
    ------
    Usage
        If a folder does not exist.
    Failure
        If nothing in it is finished, or nothing that is can be read.
    """
    stored: list[tuple[Path, RunResult]] = []
    errors: dict[Path, str] = {}
    for folder in map(Path, paths):
        if not folder.is_dir():
            raise Usage(f"{folder}: no such folder")
        if any(files.there(folder / name) for name in ("config.json", "result.json")):
            stored += _single(folder, errors)
            continue
        before = len(errors)
        inside = baseline.finished(folder, errors)
        if not inside and len(errors) == before:
            raise Failure(f"{folder}: no finished run there")
        stored += inside.items()
    if not stored:
        first, *more = errors.values()
        raise Failure(first + (f"; and {len(more)} more like it" if more else ""))
    return _compared(stored, errors)


def _single(folder: Path, errors: dict[Path, str]) -> list[tuple[Path, RunResult]]:
    """Return a run that was named, with its result; none where that cannot be read."""
    try:
        return [(folder, _result(folder))]
    except Failure as error:
        if not files.there(folder / "result.json"):
            raise
        errors[folder / "result.json"] = str(error)
        return []


def each_once(folders: Iterable[Path]) -> list[Path]:
    """Return folders in order, without those that are there already under another spelling."""
    found: dict[Path, Path] = {}
    for path in folders:
        found.setdefault(path.resolve(), path)
    return list(found.values())


def of(runs: Iterable[Run]) -> Found:
    """Read the results of runs. `Failure` if one is not finished."""
    return _compared([(run.folder, run.finished()) for run in runs], {})


def _result(folder: Path) -> RunResult:
    result = records.read(folder)
    if result is None:
        config = files.read_json(folder / "config.json") if files.there(folder / "config.json") else {}
        raise Failure(f"{folder}: not finished; to finish it: {hints.go_on(folder, config)}")
    return result


def _compared(stored: list[tuple[Path, RunResult]], errors: dict[Path, str]) -> Found:
    """Compare the results with the clean runs that are beside them now."""
    beside = {
        parent: list(baseline.finished(parent, errors).values()) for parent in {path.parent for path, _ in stored}
    }
    runs = []
    for folder, result in stored:
        comparison = baseline.compare(result, beside[folder.parent])
        result = collapse.completed(folder, result).with_baseline(comparison)
        runs.append(Finished(folder, result))
    return Found(runs, errors)


def unfinished(paths) -> int:
    """Count the runs in the given folders that have begun and are not finished."""
    folders = [folder for path in paths if Path(path).is_dir() for folder in Path(path).iterdir()]
    return sum(is_unfinished(folder) for folder in folders)


def is_unfinished(folder: Path) -> bool:
    """Is it the folder of a run that has begun and has no result?"""
    return files.is_file(folder / "config.json") and not files.there(folder / "result.json")


def doubles(found: Iterable[Finished]) -> int:
    """Count the runs that are there a second time, in another folder: same configuration, so no further seed."""
    folders = {run.folder.resolve(): run.result.name for run in found}
    return len(folders) - len(set(folders.values()))


def sealed(found: Iterable[Finished]) -> int:
    """Count the runs on sealed files."""
    return sum(run.result.dataset.is_sealed for run in found)


def advice(found: Iterable[Finished]) -> list[str]:
    """For runs without a clean run to be compared with: the commands that make it, each once."""
    needed: dict[tuple, Finished] = {}
    for run in found:
        dataset, config = run.result.dataset, run.result.config
        if run.result.baseline is None and dataset.is_poisoned:
            settings = {key: value for key, value in config.raw.items() if key != "dataset_digest"}
            place = str(Path(dataset.path or "").parent), str(run.folder.parent)
            needed.setdefault((dataset.source_digest, canonical(settings), *place), run)
    lines = [hints.clean_run(run.result, run.folder.parent) for run in needed.values()]
    return [f"no CAD yet; the clean model it needs: {line}" for line in dict.fromkeys(lines)]
