"""Finished runs, found in folders, each compared with the clean runs that now lie beside it."""

from dataclasses import dataclass
from pathlib import Path

from benchmark import baseline
from benchmark.errors import Failure, Usage
from benchmark.runs import Run


@dataclass(frozen=True)
class Finished:
    """A finished run: its folder and its result, whose `baseline` is up to date."""

    folder: Path
    result: dict


def gather(paths) -> list[Finished]:
    """The runs in the given folders. A folder of runs stands for all that are finished in it.

    Raises
    ------
    Usage
        If there is no such folder.
    Failure
        If nothing in it is finished.
    """
    runs = []
    for folder in map(Path, paths):
        if (folder / "config.json").is_file():
            runs.append(Run.at(folder))
            continue
        if not folder.is_dir():
            raise Usage(f"{folder}: no such folder")
        names = [result["name"] for result in baseline.finished(folder)]
        if not names:
            raise Failure(f"{folder}: no finished run there")
        runs += [Run.at(folder / name) for name in names]
    return compared(runs)


def compared(runs: list[Run]) -> list[Finished]:
    """The results of runs, CAD against the clean runs that now lie beside them. `Failure` if one is not finished."""
    beside = {folder: baseline.finished(folder) for folder in {run.folder.parent for run in runs}}
    found = []
    for run in runs:
        result = run.result
        if result is None:
            raise Failure(f"{run.folder}: not finished; `benchmark train` with its settings goes on with it")
        current = baseline.current(result, beside[run.folder.parent])
        found.append(Finished(run.folder, result | {"baseline": current}))
    return found


def unfinished(paths) -> int:
    """How many runs in the given folders have begun and are not finished."""
    folders = [folder for path in paths if Path(path).is_dir() for folder in Path(path).iterdir()]
    return sum((folder / "config.json").is_file() and not (folder / "result.json").is_file() for folder in folders)


def hints(found: list[Finished]) -> list[str]:
    """For runs that have no clean run to be compared with: the commands that make it, each once."""
    alone = [run.result for run in found if run.result["baseline"] is None]
    return list(dict.fromkeys(baseline.hint(result) for result in alone if result["dataset"]["kind"] != "clean"))
