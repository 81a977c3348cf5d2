"""Networks, one a file, and how a saved one is loaded. Importing this imports Keras: call `engines.activate` first."""

import warnings
from pathlib import Path

import keras

from benchmark import engines, files, layers  # noqa: F401  (layers registers them, so that saved models load)
from benchmark.errors import Failure
from benchmark.models.encoder import Encoder
from benchmark.models.pmoe import pmoe

__all__ = ["Encoder", "load", "pmoe", "save"]


def load(path) -> keras.Model:
    """The trained network of a run folder, or of a `.keras` file: uint8 images or tokens in, class probabilities
    or (an encoder) logits out.

    Raises `Failure` where there is none or it cannot be read.
    """
    path = Path(path)
    file = path / "model.keras" if path.is_dir() else path
    if path.is_dir() and files.there(file):
        files.check(file)
    if not file.is_file():
        raise Failure(f"{file}: no trained model there")
    try:
        with engines.quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what does not fit is an error, said below in one line
            return keras.saving.load_model(file, compile=False)
    except Exception as error:
        raise Failure(f"{file}: not a model that can be loaded ({' '.join(str(error).split())[:200]})") from None


def save(model: keras.Model, target: Path) -> None:
    """Write a network as a `.keras` file, atomically."""
    # Keras imports TensorFlow here, where it is installed, whatever the backend
    with files.replacing(target) as path, engines.quiet():
        model.save(path)
