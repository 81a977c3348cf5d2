"""A finished run of an encoder, opened for the commands on heads: its data, its held-out rows, its network."""

import contextlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.core import extras, files
from benchmark.core.errors import Failure
from benchmark.format import dataset
from benchmark.format.dataset import Dataset, Rows
from benchmark.format.manifest import digest
from benchmark.nn import engines, tokenizers
from benchmark.runs import baseline, hints, records
from benchmark.runs.run import Run
from benchmark.training import texts as fine_tuning
from benchmark.training.settings import check_numbers

TRAINING_SET = "notebook"
HELD_OUT = "held-out"
DATA_MODES = (HELD_OUT, TRAINING_SET)


@dataclass(frozen=True)
class Opened:
    """A run, its result, its data set, its tokenizer, and the held-out rows, clean, which nothing is scored on."""

    job: Run
    trained: dict
    contents: Dataset
    tokenizer: tokenizers.Pieces | tokenizers.Words
    held_out: Rows

    def tokens(self, texts) -> tokenizers.Tokens:
        """The texts as this run's network takes them."""
        return tokenizers.encode(self.tokenizer, texts)

    def network(self):
        """A fresh copy of the trained network."""
        from benchmark.nn import model_files

        model = model_files.load(self.job.folder)
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
    found = records.kept(target / "result.json")
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
        As `open_data` and `defender_rows`.
    """
    trained = job.result
    contents = open_data(job, trained, file, base)
    held_out = defender_rows(job, contents, HELD_OUT, None)
    engines.activate(job.settings.backend, job.settings.precision, job.settings.threads)
    return Opened(job, trained, contents, tokenizers.load(job.folder), held_out)


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


def defender_rows(run: Run, contents: Dataset, mode: str, limit: int | None) -> Rows:
    """The rows that a defender may use.

    `held-out`: the clean rows that the run was not trained on. `notebook`: the training set itself, its triggered
    images under their true labels, as the paper's published notebook has it. `limit` takes the first so many.
    """
    settings = run.settings
    if mode == TRAINING_SET:
        rows = Rows(contents.train.inputs, contents.train.labels.copy())
        if contents.truth is not None:
            rows.labels[contents.truth_rows] = contents.truth.labels
    elif settings.hold_out:
        rows = contents.held_out(settings.hold_out)
    else:
        raise Failure(
            f"{run.folder}: was trained on every row, a defence needs clean ones that it never saw: "
            f"{hints.hold_out(run.folder, contents, settings)}"
        )
    return rows if limit is None else Rows(rows.inputs[:limit], rows.labels[:limit])


def open_data(job: Run, trained: dict, file, base) -> Dataset:
    """The data set that a run was trained on; `Failure` for another."""
    file = file or trained["dataset"].get("path")
    if file is None or not Path(file).is_file():
        where = f"no longer lies at {file}" if file else "is not known"
        raise Failure(f"{job.folder}: its data set {trained['dataset']['name']} {where}: name it with --data")
    manifest = dataset.peek(file)
    if manifest["dataset_digest"] != trained["dataset"]["digest"]:
        raise Failure(f"{file}: is not the data set that {job.folder.name} was trained on")
    return dataset.load(file, manifest=manifest, base=base or trained["dataset"].get("base"))
