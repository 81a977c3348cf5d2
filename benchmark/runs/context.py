"""A finished run, opened for the commands that go on with it: its data, its clean rows, its network."""

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmark.core import extras, files
from benchmark.core.errors import Failure
from benchmark.core.hashing import digest
from benchmark.format import dataset
from benchmark.format.dataset import Dataset, Rows
from benchmark.nn import engines, tokenizers
from benchmark.runs import baseline, hints, records
from benchmark.runs.result import RunResult
from benchmark.runs.run import Run
from benchmark.training import texts as text_training
from benchmark.training.common import check_numbers
from benchmark.training.metrics import Json
from benchmark.training.settings import EncoderSettings

TRAINING_SET = "notebook"
HELD_OUT = "held-out"
T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """A run, its result, its data set, its tokenizer, and the held-out rows, clean, which nothing is scored on; `rows`:
    the suspect ones, where those are not all others."""

    job: Run
    trained: RunResult
    contents: Dataset
    tokenizer: tokenizers.Pieces | tokenizers.Words
    held_out: Rows
    rows: np.ndarray | None = None

    def tokens(self, texts) -> tokenizers.Tokens:
        """Return the texts as this run's network takes them."""
        return tokenizers.encode(self.tokenizer, texts)

    def network(self):
        """Return a fresh copy of the trained network."""
        from benchmark.nn import model_files

        model = model_files.load(self.job.folder)
        text_training.check_vocabulary(self.tokenizer, model, self.job.folder)
        return model

    @property
    def suspect(self) -> np.ndarray:
        """The rows of the suspect file but for those held out, ascending."""
        return self.rows if self.rows is not None else self.contents.kept(self.job.settings.hold_out)

    def poisoned(self, rows: np.ndarray) -> np.ndarray | None:
        """Tell which of these training rows carry the trigger under the attacker's label, bool; None where unknown."""
        truth, role = self.contents.truth_rows, self.contents.truth_role
        if truth is None or role is None:
            return None
        return np.isin(rows, truth[role == 1])

    def unchanged(self, rows: np.ndarray) -> np.ndarray | None:
        """Tell which of these training rows are as in the source, neither poisoned nor covers, bool; None where
        unknown."""
        truth = self.contents.truth_rows
        return None if truth is None else ~np.isin(rows, truth)


def configuration(folder: Path, name: str, settings: Json) -> tuple[Run, Json]:
    """Return the run, and the whole configuration of a command on it.

    Raises `Failure` where the run is not finished, or not an encoder's.
    """
    check_numbers(settings)
    job = Run.at(Path(folder))
    job.finished()
    job.needs_network("what is done with attention heads")
    if job.config.network != EncoderSettings.NETWORK:
        raise Failure(f"{job.folder}: this run's model has no attention heads; a text encoder's has (a run on texts)")
    return job, {"config_version": 1, "defence": name, "settings": settings, "run": job.config.raw}


def target_of(job: Run, config: Json) -> Path:
    """Return the folder of a command's result, named by the digest of its configuration."""
    return job.folder / f"{config['defence']}-{digest(config).removeprefix('sha256:')[:8]}"


def written(target: Path, parse: Callable[[Json], T]) -> T | None:
    """Read the result in a folder of results, None while there is none, or where its pictures are still to be drawn:
    when it was made matplotlib was missing, and now it is installed. A damaged one is put aside (`records.kept`)."""
    found = records.kept(target / "result.json", parse)
    if found is None:
        return None
    undrawn = not any(target.glob("*.png")) and (target.parent / "model.keras").is_file()
    return None if undrawn and extras.problem("matplotlib") is None else found


@contextlib.contextmanager
def making(target: Path, config: Json) -> Iterator[None]:
    """Hold the folder of a result for this process while it is made. What is not completed leaves no folder."""
    fresh = not files.there(target)
    files.make_folder(target)
    with files.locked(target):
        files.write_json(target / "config.json", config)
        try:
            yield
        except BaseException:
            if fresh:
                shutil.rmtree(target)
            raise


def open_data(job: Run, trained: RunResult, file: Path | None, base: Path | None) -> Dataset:
    """Load the data set that a run was trained on; `Failure` for another."""
    path = file or trained.dataset.path
    if path is None or not Path(path).is_file():
        where = f"is no longer at {path}" if path else "is not known"
        raise Failure(f"{job.folder}: its data set {trained.dataset.name} {where}: name it with --data")
    manifest = dataset.peek(path)
    if manifest.dataset_digest != trained.dataset.digest:
        raise Failure(f"{path}: is not the data set that {job.folder.name} was trained on")
    return dataset.load(path, manifest=manifest, base=base or trained.dataset.base)


def defender_rows(job: Run, data: Dataset, mode: str, limit: int | None) -> Rows:
    """Give the rows that a defender may use.

    `held-out`: the clean rows that the run was not trained on. `notebook`: the training set itself, its triggered
    images under their true labels, as the paper's published notebook has it. `limit` takes the first rows only.
    """
    settings = job.settings
    if mode == TRAINING_SET:
        rows = Rows(data.train.inputs, data.train.labels.copy())
        if data.truth is not None:
            rows.labels[data.truth_rows] = data.truth.labels
    elif settings.hold_out:
        rows = data.held_out(settings.hold_out)
    else:
        raise Failure(
            f"{job.folder}: was trained on every row, a defence needs clean ones that it never saw: "
            f"{hints.hold_out(job.folder, data, settings)}"
        )
    return rows if limit is None else Rows(rows.inputs[:limit], rows.labels[:limit])


def open_run(job: Run, file: Path | None = None, base: Path | None = None) -> Opened:
    """Open a finished run of an encoder and activate its backend.

    Parameters
    ----------
    job : Run
        See `configuration`.
    file, base : path-like, optional
        The data set that it was trained on, where it has moved; a delta's clean file.

    Raises
    ------
    Failure
        As `open_data` and `defender_rows`.
    """
    trained = job.finished()
    contents = open_data(job, trained, file, base)
    held_out = defender_rows(job, contents, HELD_OUT, None)
    engines.activate(job.settings.backend, job.settings.precision, job.settings.threads)
    return Opened(job, trained, contents, tokenizers.load(job.folder), held_out)


def twin_of(job: Run) -> Run | None:
    """Find the clean run that a poisoned one is compared with, as for CAD; None where none with a model exists. Results
    that cannot be read, any of which may be its, are warned of."""
    trained = job.finished()
    if not trained.dataset.is_poisoned:
        return None
    errors: dict[Path, str] = {}
    results = baseline.finished(job.folder.resolve().parent, errors)
    for line in errors.values():
        logging.getLogger("benchmark").warning("%s: nothing is compared with it", line)
    _, clean = baseline.matching(trained, results.values())
    folders = [folder for one in clean for folder, result in results.items() if result is one]
    return next((Run.at(folder) for folder in folders if files.is_file(folder / "model.keras")), None)
