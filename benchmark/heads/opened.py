"""A finished run of an encoder, opened for the commands on heads: its data, its held-out rows, its network."""

import contextlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import baseline, defences, engines, extras, files, fine_tuning, hints, recorded, tokens
from benchmark.data import Dataset, Rows
from benchmark.errors import Failure
from benchmark.manifest import digest
from benchmark.runs import Run
from benchmark.settings import check_numbers


@dataclass(frozen=True)
class Opened:
    """A run, its result, its data set, its tokenizer, and the held-out rows, clean, which nothing is scored on."""

    job: Run
    trained: dict
    contents: Dataset
    tokenizer: object
    held_out: Rows

    def tokens(self, texts) -> tokens.Tokens:
        """The texts as this run's network takes them."""
        return tokens.encode(self.tokenizer, texts)

    def network(self):
        """A fresh copy of the trained network."""
        from benchmark import models

        model = models.load(self.job.folder)
        fine_tuning.check_vocabulary(self.tokenizer, model, self.job.folder)
        return model

    @property
    def suspect(self) -> np.ndarray:
        """The rows of the suspect file but for those held out, ascending."""
        return self.contents.kept(self.job.settings.hold_out)

    def poisoned(self, rows: np.ndarray) -> np.ndarray | None:
        """Which of these training rows carry the trigger under the attacker's label, bool; None where nobody knows."""
        if self.contents.truth_rows is None:
            return None
        truth = self.contents
        return np.isin(rows, truth.truth_rows[truth.truth_role == 1])


def configuration(folder: Path, name: str, settings: dict) -> tuple[Run, dict]:
    """The run, and the whole configuration of a command on it.

    Raises `Failure` where the run is not finished, or not an encoder's.
    """
    check_numbers(settings)
    job = Run.at(Path(folder))
    if job.result is None:
        raise Failure(f"{job.folder}: not finished; what goes on with it: {hints.go_on(job.folder, job.config)}")
    if job.config["model"]["name"] != "encoder":
        raise Failure(f"{job.folder}: its network has no attention heads: a text encoder's has (a run on texts)")
    return job, {"config_version": 1, "defence": name, "settings": settings, "run": job.config}


def target_of(job: Run, config: dict) -> Path:
    """The folder of a command's result, named by the digest of its configuration."""
    return job.folder / f"{config['defence']}-{digest(config).removeprefix('sha256:')[:8]}"


def written(target: Path) -> dict | None:
    """The result in a folder of results, None while there is none, or where its pictures are still to be drawn: when it
    was made matplotlib was missing, and now it is there. A damaged one is put aside."""
    from benchmark.heads import report

    found = recorded.kept(target / "result.json", report.can_be_shown)
    if found is None:
        return None
    undrawn = not any(target.glob("*.png")) and (target.parent / "model.keras").is_file()
    return None if undrawn and extras.problem("matplotlib") is None else found


@contextlib.contextmanager
def making(target: Path, config: dict):
    """Hold the folder of a result for this process while it is made. What does not come to its end leaves no folder."""
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


def open_run(job: Run, file=None, base=None) -> Opened:
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
        As `defences.open_data` and `defences.defender_rows`.
    """
    trained = job.result
    contents = defences.open_data(job, trained, file, base)
    held_out = defences.defender_rows(job, contents, defences.HELD_OUT, None)
    engines.activate(job.settings.backend, job.settings.precision, job.settings.threads)
    return Opened(job, trained, contents, tokens.load(job.folder), held_out)


def twin_of(job: Run) -> Run | None:
    """The clean run that a poisoned one is compared with, as for CAD; None where there is none with a model. Results
    that cannot be read, any of which may be its, are warned of."""
    trained = job.result
    if trained["dataset"]["kind"] != "poisoned":
        return None
    wrong = {}
    done = baseline.finished(job.folder.resolve().parent, wrong)
    for line in wrong.values():
        logging.getLogger("benchmark").warning("%s: nothing is compared with it", line)
    _, clean = baseline.matching(trained, list(done.values()))
    folders = [folder for one in clean for folder, result in done.items() if result is one]
    return next((Run.at(folder) for folder in folders if files.is_file(folder / "model.keras")), None)
