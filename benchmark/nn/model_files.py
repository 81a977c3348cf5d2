"""How a network is saved and loaded. Importing this imports Keras: call `engines.activate` first."""

import io
import os
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import keras
import numpy as np

from benchmark.core import files, numbers
from benchmark.core.errors import Failure
from benchmark.nn import (
    encoder,  # noqa: F401  (it and the layers are registered, for whoever loads by Keras)
    engines,
    layers,  # noqa: F401
    own,
    saved_weights,
)
from benchmark.nn.networks import NETWORKS, Sizes


def load(path: str | os.PathLike[str]) -> keras.Model:
    """Load the trained network of a run folder, or of a `.keras` file: uint8 images or tokens in, class probabilities
    or (an encoder) logits out.

    It is built from the run's own sizes (see `saved_weights.sizes`); of the file its weights alone are read.

    Raises `Failure` where there is none or it cannot be read.
    """
    path = Path(path)
    file = path / "model.keras" if path.is_dir() else path
    if path.is_dir() and files.there(file):
        files.check(file)
    if not file.is_file():
        raise Failure(f"{file}: no trained model there")
    with saved_weights.weights_of(file) as found:
        sizes = saved_weights.sizes(file, found)
        model = _own(sizes, file) if sizes["network"] == own.NAME else build(sizes)
        expected = Counter(tuple(weight.shape) for weight in model.weights)
        if found.shapes != expected:
            wrong = next(iter((found.shapes - expected) or (expected - found.shapes)))
            raise Failure(
                f"{file}: its weights are not those of its run's network: {found.shapes[wrong]} of shape {wrong}, "
                f"expected {expected[wrong]}"
            )
        _assign(model, found.path, file)
    return model


def build(sizes: Sizes) -> keras.Model:
    """Build the network of some sizes, as `saved_weights.sizes` gives them."""
    return NETWORKS[sizes["network"]].build({name: value for name, value in sizes.items() if name != "network"})


def _own(sizes: Sizes, file: Path) -> keras.Model:
    """Build the network of a run that has code of its own. `Failure` where the user has not named that code."""
    folder = saved_weights.run_of(file) or file.parent
    config = files.read_json(folder / "config.json")
    source = own.of_run(config["model"].get("digest"), config["model"].get("function"), folder)
    seed = config.get("seed")  # of which a function may make more than first weights
    return own.build(source, sizes["image_shape"], sizes["classes"], seed if numbers.is_count(seed) else 0)


def _assign(model: keras.Model, weights: Path, file: Path) -> None:
    """Assign inspected weights to a network. `Failure` where one of its own is not among them."""
    for weight in model.weights:
        weight.assign(np.full(weight.shape, np.nan, np.float32))
    if model.name == own.NAME:
        _assign_in_order(model, weights, file)
        return
    try:
        with engines.quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what does not fit is an error, reported below in one line
            model.load_weights(weights)
    except Exception as error:
        raise Failure(f"{file}: its weights do not fit its network ({' '.join(str(error).split())[:200]})") from None
    for weight in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise Failure(f"{file}: holds no weight {weight.path}, or one that is not finite everywhere")


def _assign_in_order(model: keras.Model, weights: Path, file: Path) -> None:
    """Assign the weights of a network of one's own, as `_save_in_order` has written them."""
    import h5py

    with h5py.File(weights, "r", locking=False) as stored:
        for number, weight in enumerate(model.weights):
            array = stored.get(f"{number:05d}")
            if array is None or array.shape != tuple(weight.shape) or not np.isfinite(array[()]).all():
                raise Failure(f"{file}: holds no weight {weight.path}, or one that is not finite everywhere")
            weight.assign(array[()])


def _save_in_order(model: keras.Model, path: Path) -> None:
    """Write the weights alone, numbered: what Keras would write of layers of one's own may not be readable again."""
    import h5py

    out = io.BytesIO()
    with h5py.File(out, "w") as stored:
        for number, weight in enumerate(model.weights):
            stored[f"{number:05d}"] = keras.ops.convert_to_numpy(weight).astype("<f4")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(saved_weights.WEIGHTS, out.getvalue())


def save(model: keras.Model, target: Path) -> None:
    """Write a network as a `.keras` file, atomically."""
    # Keras imports TensorFlow here, where it is installed, whatever the backend
    with files.replacing(target) as path, engines.quiet():
        if model.name == own.NAME:
            _save_in_order(model, path)
        else:
            model.save(path)
