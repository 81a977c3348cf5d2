"""The commands that train a run, finish it, or make its clean counterpart."""

import dataclasses
import glob
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import Failure
from benchmark.core.hints import Open, advice, place, spelled
from benchmark.format.hints import BROUGHT, SIDECAR, make_clean, sidecar, writable_folder
from benchmark.format.manifest import Manifest, Source
from benchmark.nn import own
from benchmark.nn.own import EXPECTED
from benchmark.runs.result import GIVEN, DatasetRecord, RunResult
from benchmark.training.common import Common
from benchmark.training.configuration import options, settings_of
from benchmark.training.own import OwnSettings
from benchmark.training.predicted import PredictedSettings
from benchmark.training.settings import ENCODERS, EncoderSettings
from benchmark.training.table import option_of

if TYPE_CHECKING:
    from benchmark.format.dataset import Dataset

USUAL_HOLD_OUT = 2000
CLEAN_SHARE = 0.05  # of the training rows: what the defences take where nothing else is said, as in BackdoorBench
LEAST_IMAGES = 300  # that of every class there are some
LEAST_TEXTS = 100  # held out, so that some fifty are long enough for `heads`


@advice
def go_on(folder: Path, config: Any) -> str:
    """Give the command that finishes a run of that configuration, which may be any JSON."""
    name = folder.name.split("--")[0]
    there = Path("data") / f"{name}.h5"
    file = place(there, "") if there.is_file() else Open("FILE", f"the data set {name}"[:200])
    try:
        settings = settings_of(dict(config))
    except (LookupError, TypeError, ValueError, AttributeError, Failure):
        return spelled(["benchmark", "train", file, "--runs", place(folder.parent, "its folder", "RUNS")])
    return spelled(_train(file, settings, folder.parent))


@advice
def hold_out(folder: Path, contents: "Dataset", settings: Common) -> str:
    """Give the command that trains a run once more, with rows left out for a defence: as many as usual, or as fit."""
    rows = len(contents.train)
    if isinstance(settings, EncoderSettings):
        wanted = max(rows // 5, min(LEAST_TEXTS, rows // 2))
    else:
        wanted = max(int(CLEAN_SHARE * rows), min(LEAST_IMAGES, rows // 5))
    settings = dataclasses.replace(settings, hold_out=min(USUAL_HOLD_OUT, max(wanted, 1)))
    return spelled(_train(place(contents.path, "the data set"), settings, folder.parent, contents.base))


@advice
def detect(folder: Path, method: str) -> str:
    """Give the command that has a detector score the rows of a finished run."""
    return spelled(["benchmark", "detect", place(folder, "the run", "RUN"), "--method", method])


@advice
def keep_epochs(folder: Path, result: RunResult) -> str:
    """Give the command that trains a finished run once more, in another folder, with the network of each epoch kept."""
    file = place(result.dataset.path or f"{result.dataset.name}.h5", "the data set")
    runs = folder.absolute().parent
    words = _train(file, result.config.settings, runs.with_name(f"{runs.name}-epochs"))
    return spelled([*words, "--keep-epochs"])


@advice
def clean_run(result: RunResult, runs: Path) -> str:
    """Give the commands that make the clean run which a result is to be compared with, in the same folder of runs.

    `result`: of a run, or of a command on one that has its `dataset` and `config`.
    """
    dataset = result.dataset
    file = _clean_beside(dataset)
    if file is not None:
        return spelled(_train(place(file, "the clean data set"), result.config.settings, runs))
    make, target = make_clean(*_source(dataset), writable_folder(dataset.path))
    return spelled(make, _train(target, result.config.settings, runs))


@advice
def repeat(results: Iterable[RunResult]) -> list[str]:
    """Give the commands that repeat all of these runs; their data sets are made as `remake` says.

    The clean run that one is compared with is named where the user named it.
    """
    results = list(results)
    names = {one.name for one in results}
    lines = []
    for one in results:
        words = _train(place(f"data/{one.dataset.name}.h5", "the data set"), one.config.settings, None)
        lines.append(spelled([*words, *_baseline(one, names)]))
    return list(dict.fromkeys(lines))


def _baseline(result: RunResult, names: Collection[str]) -> list[str]:
    """Return the option that names a result's clean run, if the user named one; a run of `names` will be in `runs`."""
    stored = result.baseline
    if stored is None or stored.how != GIVEN or len(stored.runs) != 1:
        return []
    (name,) = stored.runs
    why = f"the folder of the clean run {name}"[:200]
    return ["--baseline", place(Path("runs") / name, why, "RUN") if name in names else Open("RUN", why)]


@advice
def remake(results: Iterable[RunResult]) -> list[str]:
    """Give the commands that make the data sets of these runs again, clean ones first, from manifests that lie in the
    current folder; those of a sealed file cannot be given."""
    datasets = {one.dataset.name: one.dataset for one in results if not one.dataset.is_sealed}
    lines = []
    for name, dataset in sorted(datasets.items(), key=lambda item: not item[1].is_clean):
        manifest = place(f"{name}{SIDECAR}", f"the manifest of {name}"[:200], "MANIFEST")
        words = ["poisonkit", "make", "--from", manifest]
        if dataset.source in BROUGHT:
            words += ["--source", Open("PATH", f"what {dataset.source} was read from"[:200])]
        lines.append(spelled([*words, "-o", place(f"data/{name}.h5", "the data set")]))
    return lines


def _train(file: str, settings: Common, runs: Path | None, base: Path | None = None) -> list[str]:
    """Return the command that makes a run; of a network that was trained elsewhere, with its predictions."""
    if isinstance(settings, PredictedSettings):
        predictions = Open("PREDICTIONS", "what the network predicts, trained on this data set")
        command, words = ["score", "--predictions", predictions], settings.arguments()
    else:
        command, words = ["train"], options(settings)
    if isinstance(settings, EncoderSettings) and settings.encoder not in ENCODERS and settings.folder is None:
        where = words.index(option_of(settings.CHOICE)) + 1
        words[where] = Open("FOLDER", f"the folder of the encoder {settings.encoder}"[:200])
    if isinstance(settings, OwnSettings):
        words[words.index("--network") + 1] = _code(settings)
    if base is not None and Path(base).absolute().parent != Path(file).absolute().parent:
        words += ["--base", place(base, "the clean data set", "CLEAN")]
    if runs is not None and Path(runs).resolve() != Path("runs").resolve():
        words += ["--runs", place(runs, "the folder of the runs", "RUNS")]
    return ["benchmark", *command, file, *words]


def _code(settings: OwnSettings) -> str:
    """Return `FILE.py:FUNCTION` of a network of one's own, with the place of its file where that is known."""
    why = f"the network's code, {settings.network}, a copy of which is network.py in the run's folder"
    named = settings.source
    path = own.at_hand(settings.file, settings.function, settings.digest) if named is None else named.path
    shown = None if path is None else place(path, why)
    return Open(EXPECTED, why) if shown is None or isinstance(shown, Open) else f"{shown}:{settings.function}"


def _manifest(path: Path) -> Manifest | None:
    """Return the manifest of a data set, by its sidecar or by itself; None where there is none."""
    from benchmark.format import dataset

    beside = sidecar(path)
    try:
        return dataset.peek(path) if beside is None else beside.manifest
    except Failure:
        return None


def _source(dataset: DatasetRecord) -> tuple[Source, str | None]:
    """Return a result's source, without options where the file that has them is no longer there, and the path that it
    was read from."""
    plain = Source(dataset.source, "", tuple(dataset.classes), digest=dataset.source_digest)
    if dataset.path is None or not Path(dataset.path).is_file():
        return plain, None
    manifest, beside = _manifest(Path(dataset.path)), sidecar(dataset.path)
    if manifest is None or manifest.dataset_digest != dataset.digest or manifest.source.options is None:
        return plain, None
    return dataclasses.replace(plain, options=manifest.source.options), beside.origin if beside else None


def _clean_beside(dataset: DatasetRecord) -> Path | None:
    """Return a clean file of a result's source that exists already: a delta's base, or one beside the data set."""
    if dataset.base and Path(dataset.base).is_file():
        return Path(dataset.base)
    folder = Path(dataset.path).parent if dataset.path else Path("data")
    for file in sorted(folder.glob(f"{glob.escape(dataset.label)}-clean*.h5")):
        manifest = _manifest(file)
        if manifest is not None and manifest.kind.clean and manifest.source.digest == dataset.source_digest:
            return file
    return None
