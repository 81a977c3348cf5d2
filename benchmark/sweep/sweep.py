"""Every run of a set of files that is not there yet. The runs folder is the only state.

An engine (`launch.Processes`, `cluster.Cluster`) starts `benchmark train`, one process a run. Stopped at any moment,
the same sweep goes on with what is missing: a finished run is passed over, one that was stopped goes on from its last
epoch, and one that another process is working on is waited for.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.core import files
from benchmark.core.errors import Damaged, Failure, Usage
from benchmark.format import dataset, hints
from benchmark.runs import baseline
from benchmark.runs.run import Run
from benchmark.sweep import processes

TICK = 0.2  # seconds between two looks at what runs


@dataclass(frozen=True)
class Task:
    """One run to be made. `after` is the folder of the clean run that it is compared with, if this sweep makes that."""

    run: Run
    arguments: tuple[str, ...]
    kind: str
    images: int
    after: Path | None = None

    def __hash__(self):
        return hash(self.folder)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.folder

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    def trained(self) -> int:
        """How many training images it has gone through, by its history."""
        if files.is_file(self.folder / "result.json") and not self.problem():
            return self.images
        try:
            lines = files.read_bytes(self.folder / "history.csv").count(b"\n")
        except (OSError, Failure):
            return 0
        return self.images * min(self.run.settings.epochs, max(0, lines - 1)) // self.run.settings.epochs

    def problem(self) -> str | None:
        """What is wrong with the result that is there, and what a sweep does about it; None where nothing is wrong."""
        try:
            result = self.run.result
        except Damaged as error:
            return f"damaged, to be kept as result.json{files.DAMAGED} and made anew ({error})"
        except Failure as error:
            return f"to fail: {error}"
        if result is not None and result.get("config") != self.run.config:
            return "to fail: holds a result of another configuration"
        return None


def find(paths) -> list[Path]:
    """The data set files that are meant: a folder stands for all `.h5` files in it. `Usage` where there is none."""
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(path.glob("*.h5"))
            if not inside:
                raise Usage(f"{path}: no .h5 file there")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise Usage(f"{path}: no such file or folder")
    return list(dict.fromkeys(found))


def manifests(paths: list[Path]) -> tuple[dict[Path, dict], dict[Path, str]]:
    """The manifests of the files, and of those that cannot be read the reasons."""

    def peek(path):
        try:
            return dataset.peek(path)
        except Failure as error:
            return error

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = dict(zip(paths, pool.map(peek, paths), strict=True))
    wrong = {path: str(error) for path, error in found.items() if isinstance(error, Failure)}
    return {path: manifest for path, manifest in found.items() if path not in wrong}, wrong


def plan(found: dict[Path, dict], settings, seeds: int | None, runs: Path, options=()) -> list[Task]:
    """All runs of the files, finished or not: the clean ones first, then seed by seed.

    Parameters
    ----------
    found : dict
        Path to manifest.
    settings : Settings, or dict
        Of all runs, but for the seed; by path where they are not all of one kind.
    seeds : int or None
        None: a poisoned file is trained with its own poisoning seed, a clean one with every seed that occurs in the
        poisoned files of its source (0 if there is none). A number: every file is trained with seeds 0 … seeds − 1.
    runs : Path
        The folder of all runs.
    options : sequence of str
        More options for `benchmark train`.
    """
    chosen = [(seed, path) for path, manifest in found.items() for seed in _seeds(manifest, found.values(), seeds)]
    chosen.sort(key=lambda pair: (found[pair[1]]["kind"] != "clean", pair[0]))
    tasks, baselines = {}, {}
    for seed, path in chosen:
        manifest, own = found[path], replace(settings[path] if isinstance(settings, dict) else settings, seed=seed)
        run = Run.of(runs.resolve(), manifest, own)
        words = processes.arguments(path.resolve(), own, ["--runs", str(runs.resolve()), *options])
        rows = max(1, manifest["arrays"]["train/labels"]["shape"][0] - own.hold_out)
        images = min(rows, getattr(own, "rows", None) or rows) * own.epochs
        clean = manifest["kind"] == "clean"
        source = manifest["source"].get("digest"), seed
        if clean:
            baselines[source] = run.folder
        after = None if clean else baselines.get(source)
        tasks.setdefault(run.folder, Task(run, tuple(words), manifest["kind"], images, after))
    return list(tasks.values())


def _seeds(manifest: dict, others, seeds: int | None) -> list[int]:
    if seeds is not None:
        return list(range(seeds))
    if manifest["kind"] != "clean":
        return [manifest.get("recipe", {}).get("seed", 0)]
    source = manifest["source"]["digest"]
    poisoned = [other for other in others if other["kind"] == "poisoned" and other["source"]["digest"] == source]
    return sorted({other["recipe"].get("seed", 0) for other in poisoned}) or [0]


def without_baseline(found: dict[Path, dict]) -> list[str]:
    """A line for each source whose files here are all poisoned: their runs get no CAD from this sweep."""
    clean = {manifest["source"]["digest"] for manifest in found.values() if manifest["kind"] == "clean"}
    alone = {}
    for path, manifest in found.items():
        if manifest["kind"] == "poisoned" and manifest["source"]["digest"] not in clean:
            alone.setdefault(manifest["source"]["digest"], (path, manifest))
    return sorted(
        f"no clean file of {manifest['source']['name']} here, so no CAD; what makes it: "
        f"{hints.clean_file(path, manifest)}"
        for path, manifest in alone.values()
    )


def missing(tasks: list[Task], wrong: dict | None = None) -> list[Task]:
    """The tasks that there is something to do for. Of results that cannot be read, and are of none of them, `wrong` has
    the paths, and a line each."""
    folders = {task.folder.parent for task in tasks}
    own, damaged = {task.folder for task in tasks}, {}
    candidates = {folder: list(baseline.finished(folder, damaged).values()) for folder in folders}
    if wrong is not None:
        wrong |= {path: line for path, line in damaged.items() if path.parent not in own}
    begun = set()
    for task in tasks:  # a clean one comes before those that are compared with it
        try:
            complete = task.after not in begun and _complete(task, candidates[task.folder.parent])
        except Failure:  # a damaged result: told when its turn comes
            complete = False
        if not complete:
            begun.add(task.folder)
    return [task for task in tasks if task.folder in begun]


def _complete(task: Task, candidates: list[dict] | None = None) -> bool:
    """Is the run finished, and compared with every clean run that is there with its model?"""
    result = task.run.result
    if result is None or result.get("config") != task.run.config:
        return False
    if task.kind == "clean":
        return True
    runs = task.folder.parent
    candidates = list(baseline.finished(runs).values()) if candidates is None else candidates
    current = baseline.current(result, candidates)
    return not baseline.incomplete(result, candidates) or not all(
        files.is_file(runs / name / "model.keras") for name in current["runs"]
    )


def _busy(folder: Path) -> bool:
    """Does a process work on this run? A lock that is a link, or no file, is told when the run's turn comes."""
    try:
        return files.busy(folder)
    except Failure:
        return False


class Sweep:
    """Missing tasks on their way through an engine."""

    def __init__(self, tasks: list[Task], engine, watch):
        self.waiting, self.engine, self.watch = list(tasks), engine, watch
        self.open = {task.folder for task in tasks}
        self.failed: dict[str, list[str]] = {}

    def go(self) -> dict[str, list[str]]:
        """Until all is done or has failed; the names of the failed with the problem and the last lines of the log."""
        try:
            while self.open:
                for task, problem in self.engine.ended():
                    self._ended(task, problem)
                self._start()
                self.watch.tick(self.engine.running)
                if self.open:
                    time.sleep(TICK)
        finally:
            self.engine.stop()
        return self.failed

    def _start(self) -> None:
        for task in list(self.waiting):
            if not self.engine.room():
                return
            if task.after in self.open or _busy(task.folder):
                continue
            self.waiting.remove(task)
            try:
                if self._finished(task):
                    self._close(task)
                    continue
                task.run.create()
                files.busy(task.folder, create=True)  # where the file system has no locks it is said here, once
                self.engine.start(task)
            except Failure as error:
                self._close(task, [str(error)])

    def _ended(self, task: Task, problem: str | None) -> None:
        if problem is None:
            problem = self._unsound(task)
        if problem is None:
            self._close(task)
        elif _busy(task.folder) or self._finished_elsewhere(task):  # another sweep was quicker
            self.waiting.append(task)
        else:
            self._close(task, [problem, *processes.tail(task.folder)])

    @staticmethod
    def _unsound(task: Task) -> str | None:
        """What is wrong with what a process that did what it should has left; None where nothing is."""
        try:
            return "ended without a result" if task.run.result is None else None
        except Failure as error:
            return str(error)

    def _finished(self, task: Task) -> bool:
        """Is it complete? A damaged result is not: `train` puts it aside."""
        try:
            return _complete(task)
        except Damaged:
            self.watch.say(f"{task.name}: {task.problem()}")
            return False

    def _finished_elsewhere(self, task: Task) -> bool:
        try:
            return _complete(task)
        except Failure:
            return False

    def _close(self, task: Task, lines: list[str] | None = None) -> None:
        self.open.discard(task.folder)
        if lines is None:
            self.watch.done(task)
        else:
            self.failed[task.name] = lines
            self.watch.failed(task, lines)
