"""Finished runs, found in folders, each compared with the clean runs that now lie beside it."""

from dataclasses import dataclass
from pathlib import Path

from benchmark.core import files
from benchmark.core.errors import Failure, Usage
from benchmark.format.manifest import canonical
from benchmark.runs import baseline, collapse, hints, records
from benchmark.runs.run import Run


@dataclass(frozen=True)
class Finished:
    """A finished run: its folder and its result, whose `baseline` is up to date."""

    folder: Path
    result: dict


class Found(list):
    """Finished runs (`Finished`); `wrong` says of each file that cannot be read and ought to be among them, by its
    path, in one line what is wrong with it."""

    def __init__(self, runs=(), wrong: dict[Path, str] | None = None):
        super().__init__(runs)
        self.wrong = {} if wrong is None else wrong


def gather(paths) -> Found:
    """The runs in the given folders. A folder of runs stands for all that are finished in it.

    Raises
    ------
    Usage
        If there is no such folder.
    Failure
        If nothing in it is finished, or nothing that is can be read.
    """
    found, wrong = [], {}
    for folder in map(Path, paths):
        if not folder.is_dir():
            raise Usage(f"{folder}: no such folder")
        if any(files.there(folder / name) for name in ("config.json", "result.json")):
            found += _alone(folder, wrong)
            continue
        before = len(wrong)
        inside = baseline.finished(folder, wrong)
        if not inside and len(wrong) == before:
            raise Failure(f"{folder}: no finished run there")
        found += inside.items()
    if not found:
        first, *more = wrong.values()
        raise Failure(first + (f"; and {len(more)} more like it" if more else ""))
    return _compared(found, wrong)


def _alone(folder: Path, wrong: dict[Path, str]) -> list[tuple[Path, dict]]:
    """A run that was named, with its result; none where that cannot be read."""
    if not files.there(folder / "result.json"):
        return [(folder, _result(folder))]
    try:
        return [(folder, records.read(folder))]
    except Failure as error:
        wrong[folder / "result.json"] = str(error)
        return []


def of(runs: list[Run]) -> Found:
    """The results of runs. `Failure` if one is not finished."""
    return _compared([(run.folder, _result(run.folder)) for run in runs], {})


def _result(folder: Path) -> dict:
    result = records.read(folder)
    if result is None:
        config = files.read_json(folder / "config.json") if files.there(folder / "config.json") else {}
        raise Failure(f"{folder}: not finished; what goes on with it: {hints.go_on(folder, config)}")
    return result


def _compared(found: list[tuple[Path, dict]], wrong: dict[Path, str]) -> Found:
    """Put CAD against the clean runs that now lie beside them into the results."""
    folders = {folder.parent for folder, _ in found}
    beside = {folder: list(baseline.finished(folder, wrong).values()) for folder in folders}
    runs = []
    for folder, result in found:
        comparison = {"baseline": baseline.current(result, beside[folder.parent])}
        runs.append(Finished(folder, collapse.told(folder, result) | comparison))
    return Found(runs, wrong)


def unfinished(paths) -> int:
    """How many runs in the given folders have begun and are not finished."""
    folders = [folder for path in paths if Path(path).is_dir() for folder in Path(path).iterdir()]
    return sum(is_unfinished(folder) for folder in folders)


def is_unfinished(folder: Path) -> bool:
    """Is it the folder of a run that has begun and has no result?"""
    return files.is_file(folder / "config.json") and not files.there(folder / "result.json")


def doubles(found: list[Finished]) -> int:
    """How many runs are there a second time, in another folder: same configuration, so no further seed."""
    folders = {run.folder.resolve(): run.result["name"] for run in found}
    return len(folders) - len(set(folders.values()))


def sealed(found: list[Finished]) -> int:
    """How many runs are on sealed files."""
    return sum(run.result["dataset"]["kind"] == "sealed" for run in found)


def advice(found: list[Finished]) -> list[str]:
    """For runs that have no clean run to be compared with: the commands that make it, each once."""
    needed = {}
    for run in found:
        said, config = run.result["dataset"], run.result["config"]
        if run.result["baseline"] is None and said["kind"] == "poisoned":
            settings = {key: value for key, value in config.items() if key != "dataset_digest"}
            place = str(Path(said.get("path") or "").parent), str(run.folder.parent)
            needed.setdefault((said["source_digest"], canonical(settings), *place), run)
    lines = [hints.clean_run(run.result, run.folder.parent) for run in needed.values()]
    return [f"no CAD yet; the clean model it needs: {line}" for line in dict.fromkeys(lines)]
