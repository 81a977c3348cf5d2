"""Make every run of a set of files that is missing. The runs folder is the only state.

An engine (`processes.Processes`, `dask.Cluster`) starts `benchmark train`, one process for each run. Stopped at any
moment, the same sweep goes on with what is missing: a finished run is skipped, one that was stopped goes on from its
last epoch, and one that another process is working on is waited for.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmark.core import files
from benchmark.core.errors import Damaged, Failure, Usage
from benchmark.format import dataset, hints
from benchmark.format.manifest import Manifest
from benchmark.runs import baseline
from benchmark.runs.result import RunResult
from benchmark.runs.run import Run
from benchmark.runs.spec import RunSpec
from benchmark.sweep import processes

TICK = 0.2  # seconds between two looks at what runs


@dataclass(frozen=True)
class Task:
    """One run to be made. `after` is the folder of the clean run that it is compared with, if this sweep makes that."""

    run: Run
    arguments: tuple[str, ...]
    is_clean: bool
    images: int
    after: Path | None = None

    def __hash__(self) -> int:
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
        """Say what is wrong with the existing result, and what a sweep does about it; None where nothing is wrong."""
        try:
            result = self.run.result
        except Damaged as error:
            return f"damaged, to be kept as result.json{files.DAMAGED} and made again ({error})"
        except Failure as error:
            return f"to fail: {error}"
        if result is not None and result.config.raw != self.run.config.raw:
            return "to fail: holds a result of another configuration"
        return None


def find(paths: Sequence[Path]) -> list[Path]:
    """Collect the data set files: a folder stands for all `.h5` files in it. `Usage` where there is none."""
    found: list[Path] = []
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


def manifests(paths: list[Path]) -> tuple[dict[Path, Manifest], dict[Path, str]]:
    """Read the manifests of the files; those that cannot be read, with the reasons."""

    def peek(path: Path) -> Manifest | Failure:
        try:
            return dataset.peek(path)
        except Failure as error:
            return error

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = list(zip(paths, pool.map(peek, paths), strict=True))
    errors = {path: str(answer) for path, answer in found if isinstance(answer, Failure)}
    return {path: answer for path, answer in found if not isinstance(answer, Failure)}, errors


def plan(specs: Sequence[RunSpec], seeds: int | None = None) -> list[Task]:
    """Plan all runs of the files, finished or not: the clean ones first, then seed by seed.

    Parameters
    ----------
    specs : sequence of RunSpec
        One for each file; their training seeds do not matter.
    seeds : int or None
        None: a poisoned file is trained with its own poisoning seed, a clean one with every seed that occurs in the
        poisoned files of its source (0 if there is none). A number: every file is trained with seeds 0 … seeds − 1.
    """
    chosen = [spec.resolved().with_seed(seed) for spec in specs for seed in _seeds(spec, specs, seeds)]
    tasks: dict[Path, Task] = {}
    baselines: dict[tuple[str | None, int], Path] = {}
    for spec in sorted(chosen, key=lambda spec: (not spec.is_clean, spec.settings.seed)):
        run, source = spec.run, (spec.source_digest, spec.settings.seed)
        images = spec.settings.rows_of(spec.manifest.arrays["train/labels"].shape[0]) * spec.settings.epochs
        if spec.is_clean:
            baselines[source] = run.folder
        after = None if spec.is_clean else baselines.get(source)
        tasks.setdefault(run.folder, Task(run, tuple(spec.arguments()), spec.is_clean, images, after))
    return list(tasks.values())


def _seeds(spec: RunSpec, others: Sequence[RunSpec], seeds: int | None) -> list[int]:
    if seeds is not None:
        return list(range(seeds))
    if not spec.is_clean:
        return [spec.poisoning_seed]
    poisoned = [other for other in others if other.is_poisoned and other.source_digest == spec.source_digest]
    return sorted({other.poisoning_seed for other in poisoned}) or [0]


def without_baseline(specs: Sequence[RunSpec]) -> list[str]:
    """Give a line for each source whose files here are all poisoned: their runs get no CAD from this sweep."""
    clean = {spec.source_digest for spec in specs if spec.is_clean}
    alone: dict[str | None, RunSpec] = {}
    for spec in specs:
        if spec.is_poisoned and spec.source_digest not in clean:
            alone.setdefault(spec.source_digest, spec)
    return sorted(
        f"no clean file of {spec.manifest.source.name} here, so no CAD; to make it: "
        f"{hints.clean_file(spec.file, spec.manifest.source)}"
        for spec in alone.values()
    )


def missing(tasks: list[Task], errors: dict[Path, str] | None = None) -> list[Task]:
    """Choose the tasks that there is something to do for. Of results that cannot be read, and are of none of them,
    `errors` gets the paths, with one line for each."""
    folders = {task.folder.parent for task in tasks}
    own, damaged = {task.folder for task in tasks}, dict[Path, str]()
    candidates = {folder: list(baseline.finished(folder, damaged).values()) for folder in folders}
    if errors is not None:
        errors |= {path: line for path, line in damaged.items() if path.parent not in own}
    begun: set[Path] = set()
    for task in tasks:  # a clean one comes before those that are compared with it
        try:
            complete = task.after not in begun and _complete(task, candidates[task.folder.parent])
        except Failure:  # a damaged result: reported when its turn comes
            complete = False
        if not complete:
            begun.add(task.folder)
    return [task for task in tasks if task.folder in begun]


def _complete(task: Task, candidates: list[RunResult] | None = None) -> bool:
    """Is the run finished, and compared with every clean run that still has its model?"""
    result = task.run.result
    if result is None or result.config.raw != task.run.config.raw:
        return False
    runs = task.folder.parent
    candidates = list(baseline.finished(runs).values()) if candidates is None else candidates
    comparison = baseline.compare(result, candidates)
    if comparison is None or comparison.asr is not None:
        return True
    return not all(files.is_file(runs / name / "model.keras") for name in comparison.runs)


def _busy(folder: Path) -> bool:
    """Return whether a process works on this run. A lock that is a link, or no file, is reported when the run's turn
    comes."""
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
        """Make them all; the names of those that failed, with the problem and the last lines of the log."""
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
                files.busy(task.folder, create=True)  # where the file system has no locks a line says so, once
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
        """Return what is wrong with what a process that did what it should has left; None where nothing is."""
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
