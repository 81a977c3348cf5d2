"""Which runs a set of files asks for, in which order, and which of them are missing.

The runs folder is the only state.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmark.core import files
from benchmark.core.errors import Damaged, Failure, Usage
from benchmark.core.hashing import same
from benchmark.format import dataset, hints
from benchmark.format.manifest import Manifest
from benchmark.runs import baseline, position
from benchmark.runs.result import RunConfig, RunResult
from benchmark.runs.run import Run
from benchmark.runs.spec import RunSpec

SCORED = 3  # rows that are scored cost as much as one that is trained on


@dataclass(frozen=True)
class Task:
    """One run to be made.

    `images` is the number of rows that it is trained on, over all epochs; `scored` that of the rows that are scored
    after each. `baseline` is the folder of the clean run that it is compared with, if this sweep makes that, and
    `after` the same where that comes first. `kind` is shared by runs that take equally long.
    """

    run: Run
    arguments: tuple[str, ...]
    is_clean: bool
    images: int
    after: Path | None = None
    baseline: Path | None = None
    scored: int = 0
    kind: str = ""

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

    @property
    def epochs(self) -> int:
        """How many epochs it is trained."""
        return self.run.settings.epochs

    @property
    def rows(self) -> int:
        """How many rows it is trained on in an epoch."""
        return self.images // self.epochs

    @property
    def epoch_work(self) -> float:
        """What an epoch costs, in rows that are trained on: scoring is part of it."""
        return self.rows + self.scored / SCORED

    @property
    def work(self) -> float:
        """What the whole run costs."""
        return self.epoch_work * self.epochs

    def saved(self) -> int:
        """How many epochs it has behind it that no stop can take, by its history; all once it is finished."""
        if files.is_file(self.folder / "result.json") and not self.problem():
            return self.epochs
        try:
            lines = files.read_bytes(self.folder / "history.csv").count(b"\n")
        except (OSError, Failure):
            return 0
        return min(self.epochs, max(0, lines - 1))

    def trained(self) -> int:
        """How many training images it has gone through, by its history."""
        return self.rows * self.saved()

    def reached(self) -> "Reached":
        """Look at where it is now, also within an epoch; for a run whose process lives."""
        saved, now = self.saved(), position.read(self.folder)
        if now is None or now.epoch <= saved or now.epoch > self.epochs:
            return Reached(saved, 0)
        return Reached(now.epoch - 1, min(now.rows, self.rows))

    def problem(self) -> str | None:
        """Say what is wrong with the existing result, and what a sweep does about it; None where nothing is wrong."""
        try:
            result = self.run.result
        except Damaged as error:
            return f"damaged, to be kept as result.json{files.DAMAGED} and made again ({error})"
        except Failure as error:
            return f"to fail: {error}"
        if result is not None and not same(result.config.raw, self.run.config.raw):
            return "to fail: holds a result of another configuration"
        return None


class Reached(NamedTuple):
    """So many whole epochs, and so many rows of the next."""

    epochs: int
    rows: int

    def images(self, task: Task) -> int:
        """Return the number of rows trained on so far."""
        return self.epochs * task.rows + self.rows

    def work(self, task: Task) -> float:
        """Return what of the run's work is done; the scoring of an epoch counts when it is over."""
        return self.epochs * task.epoch_work + self.rows


def find(paths: Sequence[Path]) -> dict[Path, int]:
    """Collect the data set files: a folder stands for all `.h5` files in it. `Usage` where there is none.

    Returns each file with the number of the first path that stands for it: their order is that of the paths.
    """
    found: dict[Path, int] = {}
    for number, path in enumerate(map(Path, paths)):
        if path.is_dir():
            inside = sorted(path.glob("*.h5"))
            if not inside:
                raise Usage(f"{path}: no .h5 file there")
        elif path.exists():
            inside = [path]
        else:
            raise Usage(f"{path}: no such file or folder")
        for file in inside:
            found.setdefault(file, number)
    return found


def manifests(paths: Iterable[Path]) -> tuple[dict[Path, Manifest], dict[Path, str]]:
    """Read the manifests of the files; those that cannot be read, with the reasons."""

    def peek(path: Path) -> Manifest | Failure:
        try:
            return dataset.peek(path)
        except Failure as error:
            return error

    paths = list(paths)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = list(zip(paths, pool.map(peek, paths), strict=True))
    errors = {path: str(answer) for path, answer in found if isinstance(answer, Failure)}
    return {path: answer for path, answer in found if not isinstance(answer, Failure)}, errors


def plan(specs: Sequence[RunSpec], seeds: int | None = None, ranks: Mapping[Path, int] | None = None) -> list[Task]:
    """Plan all runs of the files, finished or not: by the ranks of their files, the lowest first; of equal ranks the
    clean ones first, then seed by seed.

    Parameters
    ----------
    specs : sequence of RunSpec
        One for each file and settings; their training seeds do not matter.
    seeds : int or None
        None: a poisoned file is trained with its own poisoning seed, a clean one with every seed that occurs in the
        poisoned files of its source (0 if there is none). A number: every file is trained with seeds 0 … seeds − 1.
    ranks : mapping of Path to int, optional
        How early each file is wanted; None: all alike.
    """
    chosen = [
        ((ranks or {}).get(spec.file, 0), spec.resolved().with_seed(seed))
        for spec in specs
        for seed in _seeds(spec, specs, seeds)
    ]
    baselines: dict[str, Path] = {}
    for _, spec in chosen:
        if spec.is_clean:
            baselines.setdefault(_comparable(spec), spec.run.folder)
    tasks: dict[Path, Task] = {}
    for _, spec in sorted(chosen, key=lambda entry: (entry[0], not entry[1].is_clean, entry[1].settings.seed)):
        clean = None if spec.is_clean else baselines.get(_comparable(spec))
        task = _task(spec, clean, clean if clean in tasks else None)
        tasks.setdefault(task.folder, task)
    return list(tasks.values())


def _comparable(spec: RunSpec) -> str:
    """Return what a poisoned run and the clean run that it is compared with share; see `baseline.matching`."""
    config = spec.run.config
    shared = [spec.source_digest, config.model, config.training, config.backend, config.precision, config.seed]
    return json.dumps(shared, sort_keys=True)


def _task(spec: RunSpec, clean: Path | None, after: Path | None) -> Task:
    """Make the task of a run."""
    run, arrays = spec.run, spec.manifest.arrays
    images = spec.settings.rows_of(arrays["train/labels"].shape[0]) * spec.settings.epochs
    labels = [arrays.get(f"{group}/labels") for group in ("test", "triggered", "others")]
    scored = sum(entry.shape[0] for entry in labels if entry)
    kind = kind_of(run.config, spec.source_digest)
    return Task(run, tuple(spec.arguments()), spec.is_clean, images, after, clean, scored, kind)


def kind_of(config: RunConfig, source_digest: str | None) -> str:
    """Return what runs that take equally long share: the whole configuration but for the seed, on the same clean
    data."""
    whole = {key: value for key, value in config.raw.items() if key not in ("dataset_digest", "seed")}
    return json.dumps([whole, source_digest], sort_keys=True)


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
        f"no clean file of {spec.manifest.source.label} here, so no CAD; to make it: "
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
    for task in sorted(tasks, key=lambda task: not task.is_clean):  # before those that are compared with it
        try:
            complete = task.baseline not in begun and is_complete(task, candidates[task.folder.parent])
        except Failure:  # a damaged result: reported when its turn comes
            complete = False
        if not complete:
            begun.add(task.folder)
    return [task for task in tasks if task.folder in begun]


def is_complete(task: Task, candidates: list[RunResult] | None = None) -> bool:
    """Is the run finished, and compared with every clean run that still has its model?"""
    result = task.run.result
    if result is None or not same(result.config.raw, task.run.config.raw):
        return False
    runs = task.folder.parent
    candidates = list(baseline.finished(runs).values()) if candidates is None else candidates
    comparison = baseline.compare(result, candidates)
    if comparison is None or comparison.asr is not None:
        return True
    return not all(files.is_file(runs / name / "model.keras") for name in comparison.runs)
