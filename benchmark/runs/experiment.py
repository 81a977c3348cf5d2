"""What the commands do: one run from file to result, and a trained run scored on another file."""

import logging
from pathlib import Path

from benchmark.core import extras, files
from benchmark.core.errors import Damaged, Failure, Usage
from benchmark.format import dataset
from benchmark.nn import engines
from benchmark.runs import baseline, hints
from benchmark.runs import run as runs
from benchmark.runs.run import Run
from benchmark.training import loop, texts
from benchmark.training.settings import Common, EncoderSettings


def run(
    file, manifest: dict, settings: Common, folder, baseline_run, verify: bool, watch, base=None, keep_epochs=False
) -> dict:
    """Train and score one run, compare it with its baseline, and return the result.

    Parameters
    ----------
    file : path-like
        The data set file; `manifest` is what `data.peek` said of it.
    settings : Settings or EncoderSettings
        See there.
    folder : path-like
        The folder of all runs.
    baseline_run : path-like or None
        The clean run to compare with; None looks for it in `folder`.
    verify : bool
        Recompute the digests of the arrays.
    watch : runs.Watch
        Hears of the progress; its `say(line)` of what is worth saying.
    base : path-like, optional
        The clean file, for a delta.
    keep_epochs : bool
        Save the network after each epoch.
    """
    job = Run.of(folder, manifest, settings)
    result = _found(job)
    if result is not None:
        watch.say(f"{job.folder}: already finished")
        if not _stale(result, folder, baseline_run):
            return result
    if baseline_run is not None and Run.at(baseline_run).result is None:
        raise Failure(f"{baseline_run}: this baseline is not finished")
    if manifest["modality"] != settings.MODALITY:  # said before anything is read
        raise Usage(f"{file}: holds {manifest['modality']}s, --model {settings.NETWORK} is for {settings.MODALITY}s")
    _installed(settings)
    contents = dataset.load(file, verify, manifest, base)
    engines.activate(settings.backend, settings.precision, settings.threads)
    result = runs.train(job, contents, watch, keep_epochs)
    if contents.triggered is not None:
        result = _compare(job, result, contents, folder, baseline_run)
    return result


def _installed(settings: Common) -> None:
    """`Failure` where a package that the run needs is absent: said before a large file is read."""
    engines.installed(settings.backend)
    if isinstance(settings, EncoderSettings) and settings.weights is not None:
        extras.check("tokenizers")
        extras.check("safetensors")


def _found(job: Run) -> dict | None:
    """The result that is there; none where it is damaged: `runs.train` puts that aside, and says so."""
    try:
        return job.result
    except Damaged:
        return None


def _stale(result: dict, folder, baseline_run) -> bool:
    """Is the clean model's ASR missing, or the comparison that it belongs to no longer the best one?"""
    if baseline_run is not None and result["dataset"]["kind"] == "poisoned":
        stored = result.get("baseline")
        return not (stored and stored["how"] == "given" and stored["runs"] == [Path(baseline_run).resolve().name])
    return baseline.incomplete(result, baseline.finished(folder).values())


def _compare(job: Run, result: dict, contents, folder, baseline_run) -> dict:
    """Put the comparison with the clean model into the result."""
    where = Path(folder)
    if baseline_run is not None:
        where = Path(baseline_run).resolve().parent
        comparison = baseline.given(result, Path(baseline_run))
    else:
        wrong = {}
        comparison = baseline.current(result, baseline.finished(folder, wrong).values())
        for line in wrong.values():
            logging.getLogger("benchmark").warning("%s: nothing is compared with it", line)
    if comparison is not None and comparison["asr"] is None:
        comparison["asr"] = baseline.clean_asr(comparison, where, contents)
    if comparison != result.get("baseline"):
        result = result | {"baseline": comparison}
        with files.locked(job.folder):
            files.write_json(job.folder / "result.json", result)
    return result


def score(folder, file, verify: bool = True, base=None) -> dict:
    """Scores of a finished run's model on another file's test and triggered images.

    The file must have the same classes and image shape as the one that the run was trained on.
    """
    job = Run.at(Path(folder))
    result = job.result
    if result is None:
        raise Failure(f"{job.folder}: not finished; what goes on with it: {hints.go_on(job.folder, job.config)}")
    _installed(job.settings)
    contents = dataset.load(file, verify, base=base)
    model = network(job, contents)
    contents = texts.for_run(job.folder, contents, model)
    predicted = loop.score(engines.engine(model, job.settings.learning_rate), contents)
    return {
        "run": result["name"],
        "file": {"name": contents.manifest["name"], "digest": contents.digest},
        "trained_on": result["dataset"]["name"],
        "scores": loop.scores(contents, predicted),
    }


def network(job: Run, contents, path=None):
    """The trained network of a finished run (or one saved at `path`), which fits a data set; its backend is activated.

    Raises `Failure` where the classes or the size of the images are others than those that it was trained on.
    """
    if contents.modality != job.settings.MODALITY:
        raise Failure(
            f"{contents.path}: holds {contents.modality}s, {job.folder.name} was trained on {job.settings.MODALITY}s"
        )
    if contents.classes != job.result["dataset"]["classes"]:
        raise Failure(f"{contents.path}: its classes are not those that {job.folder.name} was trained on")
    engines.activate(job.settings.backend, job.settings.precision, job.settings.threads)
    from benchmark.nn import model_files

    model = model_files.load(path or job.folder)
    if contents.image_shape and model.input_shape[1:] != contents.image_shape:
        raise Failure(
            f"{contents.path}: has images of {contents.image_shape}, the run was trained on {model.input_shape[1:]}"
        )
    return model
