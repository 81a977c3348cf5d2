"""Where encoders come from: MiniLM in an installed package, in the cache or from the network; a folder; new ones."""

import hashlib
import os
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmark.core import file_names, naming
from benchmark.core.errors import Failure, Usage
from benchmark.core.hashing import digest
from benchmark.nn import bert_weights, hub
from benchmark.nn.tokenizers import LENGTH
from benchmark.training.configuration import shortened
from benchmark.training.settings import ENCODERS, MINILM, TINY, EncoderSettings

FILES = ("config.json", "model.safetensors", "tokenizer.json")
LONGEST_NAME = 80  # bytes of a folder's name in the names of its runs


@dataclass(frozen=True)
class Origin:
    """A folder in the Hugging Face layout, and in words how it was found."""

    folder: Path
    how: str

    def record(self) -> dict:
        """Return what a result says of it: how it was found, and the SHA-256 of its files."""
        return {"from": self.how, "files": {name: file_digest(self.folder / name) for name in FILES}}


def file_digest(path: Path) -> str:
    """`sha256:…` of a file. `Failure` where it cannot be read."""
    total = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror})") from None
    return f"sha256:{total.hexdigest()}"


def named(value: str) -> dict:
    """Return what `--encoder` says, as fields of `EncoderSettings`: `minilm`, `tiny`, or a folder.

    Raises `Usage` where it is none, `Failure` where the folder lacks a file.
    """
    folder = Path(value)
    if not folder.is_dir():
        value = naming.understood(value, ENCODERS) or value
    if value in ENCODERS:
        usual = ENCODERS[value]
        return {"encoder": value, "weights": usual.weights}
    if not folder.is_dir():
        raise Usage(
            f"--encoder {value}: expected {', '.join(ENCODERS)} or a folder in the Hugging Face layout"
            + naming.hint(value, ENCODERS)
        )
    for name in FILES:
        if not (folder / name).is_file():
            raise Failure(f"{folder}: an encoder's folder has {', '.join(FILES)}; it has no {name}")
    bert_weights.sizes(folder)
    identity = digest({name: file_digest(folder / name) for name in FILES})
    name = folder.resolve().name
    if name in ENCODERS or _plainer(name) != name:
        name = f"{_plainer(name)}-{identity[7:15]}"
    return {"encoder": name, "weights": identity, "folder": folder}


def _plainer(name: str) -> str:
    """Return what of a folder's name can be part of the names of runs: what cannot becomes a hyphen."""
    plainer = "".join(letter if letter.isalnum() or letter in file_names.MARKS else "-" for letter in name)
    plainer = re.sub(r"\.{2,}", "-", plainer).lstrip(file_names.MARKS)
    return shortened(plainer, LONGEST_NAME).rstrip(". ") or "encoder"


def find(settings: EncoderSettings, say) -> Origin | None:
    """Return the folder that a run's encoder starts from; None for `tiny`, which is new.

    Raises `Failure` where it is not to be had, or holds other weights than the settings say.
    """
    if settings.weights is None:
        return None
    if settings.folder is not None:
        return Origin(settings.folder, "folder")
    if settings.weights != MINILM:
        raise Failure(f"name the folder that the encoder {settings.encoder!r} is in with --encoder")
    origin = _installed() or _downloaded(say)
    found = file_digest(origin.folder / "model.safetensors")
    if found != MINILM:
        raise Failure(f"{origin.folder}/model.safetensors: not MiniLM's weights: {MINILM} expected, {found} found")
    return origin


def _installed() -> Origin | None:
    """MiniLM in the package that carries it, which is not imported."""
    try:
        package = metadata.distribution(hub.PACKAGE)
    except metadata.PackageNotFoundError:
        return None
    for file in package.files or []:
        folder = Path(file.locate()).parent
        if file.name == "model.safetensors" and all((folder / name).is_file() for name in FILES):
            return Origin(folder, f"{hub.PACKAGE} {package.version}")
    return None


def cache() -> Path:
    """Return the folder for downloaded encoders: in $POISONKIT_CACHE, else poisonkit in $XDG_CACHE_HOME or ~/.cache."""
    if os.environ.get("POISONKIT_CACHE"):
        return Path(os.environ["POISONKIT_CACHE"]).expanduser().absolute() / "encoders"
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")).absolute() / "poisonkit/encoders"


def _downloaded(say) -> Origin:
    folder = cache() / "minilm"
    how = "cache" if all((folder / name).is_file() for name in FILES) else "download"
    if how == "download":
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            hub.fetch(hub.MINILM, name, folder, MINILM if name == "model.safetensors" else None, say)
    return Origin(folder, how)


def build(origin: Origin | None, classes: int, vocabulary: int, seed: int):
    """Build the encoder with its first weights; `vocabulary` is the tokenizer's, for a new one.

    Raises `Failure` where a folder's weights, tokenizer and sizes do not fit. The backend must have been activated.
    """
    from benchmark.nn.encoder import Encoder

    if origin is None:
        model = Encoder(classes, **TINY, vocabulary=vocabulary, positions=LENGTH, seed=seed)
        model.build((None, None))
        return model
    sizes = bert_weights.sizes(origin.folder)
    if vocabulary > sizes["vocabulary"]:
        has = f"its tokenizer has tokens up to {vocabulary - 1}, its encoder {sizes['vocabulary']} tokens"
        raise Failure(f"{origin.folder}: {has}, numbered from 0")
    if sizes["positions"] < LENGTH:
        raise Failure(f"{origin.folder}: its encoder takes {sizes['positions']} tokens, {LENGTH} are needed")
    model = Encoder(classes, **sizes, seed=seed)
    model.build((None, None))
    bert_weights.assign(model, origin.folder)
    return model
