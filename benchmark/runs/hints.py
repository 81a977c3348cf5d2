"""The commands that train a run, finish it, or make its clean counterpart."""

import dataclasses
import glob
from pathlib import Path

from benchmark.core.errors import Failure
from benchmark.core.hints import Open, advice, place, spelled
from benchmark.format.hints import make_clean, sidecar, writable_folder
from benchmark.training.settings import ENCODERS, Common, EncoderSettings, options, settings_of

USUAL_HOLD_OUT = 2000
LEAST_TEXTS = 100  # held out, so that some fifty are long enough for `heads`


@advice
def go_on(folder: Path, config: dict) -> str:
    """The command that finishes a run of that configuration."""
    name = folder.name.split("--")[0]
    there = Path("data") / f"{name}.h5"
    file = place(there, "") if there.is_file() else Open("FILE", f"the data set {name}"[:200])
    try:
        settings = settings_of(config)
    except (KeyError, TypeError, Failure):
        return spelled(["benchmark", "train", file, "--runs", place(folder.parent, "its folder", "RUNS")])
    return spelled(_train(file, settings, folder.parent))


@advice
def hold_out(folder: Path, contents, settings: Common) -> str:
    """The command that trains a run once more, with rows left out for a defence: as many as usual, or as fit."""
    rows = len(contents.train)
    least = min(LEAST_TEXTS, rows // 2) if isinstance(settings, EncoderSettings) else 1
    settings = dataclasses.replace(settings, hold_out=min(USUAL_HOLD_OUT, max(rows // 5, least, 1)))
    return spelled(_train(place(contents.path, "the data set"), settings, folder.parent, contents.base))


@advice
def keep_epochs(folder: Path, result: dict) -> str:
    """The command that trains a finished run once more, in another folder, with the network of each epoch kept."""
    file = place(result["dataset"].get("path") or f"{result['dataset']['name']}.h5", "the data set")
    runs = folder.absolute().parent
    words = _train(file, settings_of(result["config"]), runs.with_name(f"{runs.name}-epochs"))
    return spelled([*words, "--keep-epochs"])


@advice
def clean_run(result: dict, runs: Path) -> str:
    """The commands that make the clean run which a result is to be compared with, in the same folder of runs."""
    said = result["dataset"]
    file = _clean_beside(said)
    if file is not None:
        return spelled(_train(place(file, "the clean data set"), settings_of(result["config"]), runs))
    make, target = make_clean(
        said["source"], *_origin(said), said["source_digest"], writable_folder(said.get("path")), said.get("classes")
    )
    return spelled(make, _train(target, settings_of(result["config"]), runs))


@advice
def repeat(results: list[dict]) -> list[str]:
    """The commands that train all of these runs anew, one a line; data sets are made as `regenerate` says."""
    lines = [
        spelled(_train(place(f"data/{one['dataset']['name']}.h5", "the data set"), settings_of(one["config"]), None))
        for one in results
    ]
    return list(dict.fromkeys(lines))


@advice
def regenerate() -> str:
    """The command that makes a data set from its manifest."""
    return spelled(["poisonkit", "make", "--from", Open("MANIFEST", "its NAME.manifest.json")])


def _train(file: str, settings: Common, runs: Path | None, base: Path | None = None) -> list[str]:
    words = options(settings)
    if isinstance(settings, EncoderSettings) and settings.encoder not in ENCODERS and settings.folder is None:
        where = words.index("--encoder") + 1
        words[where] = Open("FOLDER", f"where the encoder {settings.encoder} lies"[:200])
    if base is not None and Path(base).absolute().parent != Path(file).absolute().parent:
        words += ["--base", place(base, "the clean data set", "CLEAN")]
    if runs is not None and Path(runs).resolve() != Path("runs").resolve():
        words += ["--runs", place(runs, "the folder of the runs", "RUNS")]
    return ["benchmark", "train", file, *words]


def _facts(path: Path) -> dict:
    """The manifest of a data set, by its sidecar or by itself; nothing where there is none."""
    from benchmark.format import dataset

    try:
        return sidecar(path).get("manifest") or dataset.peek(path)
    except Failure:
        return {}


def _origin(said: dict) -> tuple[dict | None, dict]:
    """The options of a result's source, None where they are not known, and where its data came from."""
    path = said.get("path")
    facts = _facts(path) if path and Path(path).is_file() else {}
    source = facts.get("source")
    sound = facts.get("dataset_digest") == said["digest"] and isinstance(source, dict)
    if not sound or not isinstance(source.get("options"), dict):
        return None, {}
    return source["options"], sidecar(path).get("origin", {})


def _clean_beside(said: dict) -> Path | None:
    """A clean file of a result's source that is there already: a delta's base, or one beside the data set."""
    if said.get("base") and Path(said["base"]).is_file():
        return Path(said["base"])
    folder = Path(said["path"]).parent if said.get("path") else Path("data")
    for file in sorted(folder.glob(f"{glob.escape(said['source'])}-clean*.h5")):
        facts = _facts(file)
        source = facts.get("source")
        same = isinstance(source, dict) and source.get("digest") == said["source_digest"]
        if same and facts.get("kind") == "clean":
            return file
    return None
