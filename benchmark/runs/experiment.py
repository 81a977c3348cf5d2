"""What the commands do: one run from file to result, and a trained run scored on another file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core.errors import Damaged, Failure
from benchmark.format import dataset
from benchmark.format.dataset import Dataset
from benchmark.nn import engines
from benchmark.runs import baseline
from benchmark.runs.result import RunResult
from benchmark.runs.run import Run
from benchmark.runs.spec import RunSpec
from benchmark.runs.train import RunCallback, train
from benchmark.training import loop, texts
from benchmark.training.methods import check_installed, check_modality
from benchmark.training.metrics import Scores


def run(
    spec: RunSpec, callbacks: Sequence[RunCallback] = (), log: Callable[[str], None] = lambda line: None
) -> RunResult:
    """Train and score one run, compare it with its baseline, and return the result.

    Parameters
    ----------
    spec : RunSpec
        The run.
    callbacks : sequence of RunCallback
        Told of the progress.
    log : callable
        Given a line of what the user should know.
    """
    job = spec.run
    result = _existing(job)
    if result is not None:
        log(f"{job.folder}: already finished")
        if not baseline.stale(result, spec.runs, spec.baseline):
            return result
    if spec.baseline is not None and Run.at(spec.baseline).result is None:
        raise Failure(f"{spec.baseline}: this baseline is not finished")
    check_modality(spec.modality, spec.settings, spec.file)  # before anything is read
    check_installed(spec.settings)
    data = dataset.load(spec.file, spec.verify, spec.manifest, spec.base)
    data.kept(spec.settings.hold_out)  # that rows are left: no folder of a run that cannot begin
    engines.activate(spec.settings.backend, spec.settings.precision, spec.settings.threads)
    result = train(job, data, callbacks, log, spec.keep_epochs)
    return result if data.triggered is None else baseline.store(job, result, data, spec.baseline)


def _existing(job: Run) -> RunResult | None:
    """Return the result that there is; None where it is damaged: `train` puts that aside, and says so."""
    try:
        return job.result
    except Damaged:
        return None


@dataclass(frozen=True)
class Scored:
    """The scores of the network of a run (its name) on another file (its name and dataset digest)."""

    run: str
    file: str
    digest: str
    trained_on: str
    scores: Scores

    def json(self) -> dict[str, Any]:
        """Return it as `benchmark score --json` prints it."""
        file = {"name": self.file, "digest": self.digest}
        return {"run": self.run, "file": file, "trained_on": self.trained_on, "scores": self.scores.json()}


def score(folder: Path, file: Path, verify: bool = True, base: Path | None = None) -> Scored:
    """Score a finished run's model on another file's test and triggered rows.

    The file must have the same classes and image shape as the one that the run was trained on.
    """
    job = Run.at(Path(folder))
    result = job.finished()
    job.needs_network("score")
    job.needs_code()
    check_installed(job.settings)
    data = dataset.load(file, verify, base=base)
    model = network(job, data)
    data = texts.for_run(job.folder, data, model)
    predicted = loop.score(engines.engine(model, job.settings.learning_rate), data)
    return Scored(result.name, data.manifest.name, data.digest, result.dataset.name, loop.scores(data, predicted))


def network(job: Run, data: Dataset, path: Path | None = None):
    """Load the trained network of a finished run (or one saved at `path`); its backend is activated.

    Raises `Failure` where the classes or the size of the images are others than those that it was trained on.
    """
    if not job.settings.trains_on(data.modality):
        raise Failure(f"{data.path}: holds {data.modality}s, {job.folder.name} was trained on {job.settings.MODALITY}s")
    if data.classes != job.finished().dataset.classes:
        raise Failure(f"{data.path}: its classes are not those that {job.folder.name} was trained on")
    engines.activate(job.settings.backend, job.settings.precision, job.settings.threads)
    from benchmark.nn import model_files

    model = model_files.load(path or job.folder)
    if data.image_shape and model.input_shape[1:] != data.image_shape:
        raise Failure(f"{data.path}: has images of {data.image_shape}, the run was trained on {model.input_shape[1:]}")
    return model
