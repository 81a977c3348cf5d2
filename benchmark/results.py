"""Finished runs, found in folders, each compared with the clean runs that now lie beside it."""

from dataclasses import dataclass
from pathlib import Path

from benchmark import baseline, files
from benchmark import hints as printed
from benchmark.errors import Failure, Usage
from benchmark.manifest import canonical
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
    found = []
    for folder in map(Path, paths):
        if (folder / "config.json").is_file() or (folder / "result.json").is_file():
            found.append((folder, _result(folder)))
            continue
        if not folder.is_dir():
            raise Usage(f"{folder}: no such folder")
        inside = baseline.finished(folder)
        if not inside:
            raise Failure(f"{folder}: no finished run there")
        found += inside.items()
    return _compared(found)


def of(runs: list[Run]) -> list[Finished]:
    """The results of runs. `Failure` if one is not finished."""
    return _compared([(run.folder, _result(run.folder)) for run in runs])


def _result(folder: Path) -> dict:
    path = folder / "result.json"
    if not path.is_file():
        config = files.read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
        raise Failure(f"{folder}: not finished; what goes on with it: {printed.go_on(folder, config)}")
    result = files.read_json(path)
    if not baseline.is_result(result):
        raise Failure(f"{path}: not the result of a run of this program")
    return result


def _compared(found: list[tuple[Path, dict]]) -> list[Finished]:
    """Put CAD against the clean runs that now lie beside them into the results."""
    folders = {folder.parent for folder, _ in found}
    beside = {folder: list(baseline.finished(folder).values()) for folder in folders}
    return [
        Finished(folder, result | {"baseline": baseline.current(result, beside[folder.parent])})
        for folder, result in found
    ]


def unfinished(paths) -> int:
    """How many runs in the given folders have begun and are not finished."""
    folders = [folder for path in paths if Path(path).is_dir() for folder in Path(path).iterdir()]
    return sum((folder / "config.json").is_file() and not (folder / "result.json").is_file() for folder in folders)


def doubles(found: list[Finished]) -> int:
    """How many runs are there a second time, in another folder: same configuration, so no further seed."""
    folders = {run.folder.resolve(): run.result["name"] for run in found}
    return len(folders) - len(set(folders.values()))


def sealed(found: list[Finished]) -> int:
    """How many runs are on sealed files."""
    return sum(run.result["dataset"]["kind"] == "sealed" for run in found)


def hints(found: list[Finished]) -> list[str]:
    """For runs that have no clean run to be compared with: the commands that make it, each once."""
    needed = {}
    for run in found:
        said, config = run.result["dataset"], run.result["config"]
        if run.result["baseline"] is None and said["kind"] == "poisoned":
            settings = {key: value for key, value in config.items() if key != "dataset_digest"}
            place = str(Path(said.get("path") or "").parent), str(run.folder.parent)
            needed.setdefault((said["source_digest"], canonical(settings), *place), run)
    lines = [printed.clean_run(run.result, run.folder.parent) for run in needed.values()]
    return [f"no CAD yet; the clean model it needs: {line}" for line in dict.fromkeys(lines)]
