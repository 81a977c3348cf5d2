"""A network of one's own: a function in a file, `(image_shape, classes, seed) -> keras.Model`.

The file is code, and is executed only where the user names it in this process (`named`). What a run's folder holds of
it is a copy as data: a run of a stranger executes nothing. `build` makes of what the function returns a network as all
others are here: uint8 images in, probabilities out, and before these a layer called `logits`.
"""

import re
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core.errors import Failure, Usage
from benchmark.nn import own_guard
from benchmark.nn.networks import IMAGE, NetworkSpec

NAME = "own"
COPY = "network.py"  # of the file, in the folder of a run
MOST = 1 << 20  # bytes of the file
PROBE = 8  # images
EXPECTED = "FILE.py:FUNCTION"
_SPELLED = re.compile(r"(?P<path>.+\.py):(?P<function>[A-Za-z_]\w*)(@(?P<digest>[0-9a-f]{8,64}))?", re.ASCII | re.S)


@dataclass(frozen=True)
class Source:
    """The code of a network: where it is, its function, and the file's bytes as they were when it was named."""

    path: Path
    function: str
    text: bytes

    @property
    def digest(self) -> str:
        """Of the file: `sha256:…`."""
        import hashlib

        return "sha256:" + hashlib.sha256(self.text).hexdigest()

    @property
    def spelled(self) -> str:
        """As the option `--network` names it, for another process: with its digest, in case the file changes."""
        return f"{self.path}:{self.function}@{self.digest.removeprefix('sha256:')}"


_OF_WEIGHTS = ("initializer", "regularizer", "constraint")
"""What a dense layer has for its kernel, and for its bias."""
_NAMED: dict[tuple[str, str], Source] = {}
"""What the user has named in this process, and may be executed: by digest and function."""


def _unnamed(**sizes: Any) -> Any:
    raise Failure("a network of one's own is built by `own.build`")


SPEC = NetworkSpec(
    name=NAME,
    title="network of one's own",
    plural="networks of one's own",
    modality=IMAGE,
    source="the user's",
    builder=_unnamed,
    settings=(),
    presets={},
    least_weights=lambda sizes: 1,
    keras_classes=frozenset(),
)
"""What `saved_weights` has to know of such networks; they are not in the registry, since no name stands for them."""


def is_spelled(network: str) -> bool:
    """Tell whether a value of `--network` names a file."""
    return ".py" in network or ":" in network or "/" in network


def named(network: str) -> Source:
    """Return the code that `FILE.py:FUNCTION` names, and let it be executed in this process.

    `FILE.py:FUNCTION@SHA256` also says which file it must be. Nothing is executed yet.

    Raises
    ------
    Usage
        If it is spelled otherwise, or there is no such file.
    Failure
        If the file cannot be read, is larger than MOST, or is not the one that the digest says.
    """
    source = read(network, "--network")
    _NAMED[source.digest, source.function] = source
    return source


def read(spelled: str, option: str) -> Source:
    """Read the code that `FILE.py:FUNCTION`, perhaps with `@SHA256`, names as the value of an option; it is neither
    executed nor allowed to be. Raises as `named`."""
    found = _SPELLED.fullmatch(spelled)
    if not found:
        raise Usage(f"{option}: expected a name, or {EXPECTED}, got {spelled!r:.80}")
    source = _read(Path(found["path"]).absolute(), found["function"], option)
    if found["digest"] and not source.digest.removeprefix("sha256:").startswith(found["digest"]):
        digests = f"its SHA-256 is {source.digest[7:15]}…, expected {found['digest'][:8]}…"
        raise Failure(f"{source.path}: has changed: {digests}")
    return source


def _read(path: Path, function: str, option: str = "--network") -> Source:
    """Read a file with code. Raises as `named` does."""
    if not path.is_file():
        raise Usage(f"{option}: {path}: {'is not a file' if path.exists() else 'no such file'}")
    try:
        with open(path, "rb") as file:
            text = file.read(MOST + 1)
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror})") from None
    if len(text) > MOST:
        raise Failure(f"{path}: is larger than {MOST >> 20} MiB, which no such code is")
    return Source(path, function, text)


def at_hand(name: str, function: str, digest: str) -> Path | None:
    """Return where a file of that name and digest is: what was named in this process, or in the current folder."""
    named = [source.path for source in _NAMED.values() if (source.digest, source.function) == (digest, function)]
    for path in [*named, *([Path(name).absolute()] if Path(name).name == name else [])]:
        try:
            if path.name == name and _read(path, function).digest == digest:
                return path
        except (Failure, ValueError):
            continue
    return None


def of_run(digest: object, function: object, folder: Path | None = None) -> Source:
    """Return the code of a run's network, of a run in a folder. `Failure` where it was not named in this process,
    `Usage` where another function of the same file was."""
    for source in _NAMED.values():
        if (source.digest, source.function) == (digest, function):
            return source
    where = (folder or Path("RUN")) / COPY
    others = "".join(
        f"; its function is not {source.function}" if source.digest == digest else f"; {source.path} is another file"
        for source in _NAMED.values()
    )
    wrong = Usage if any(source.digest == digest for source in _NAMED.values()) else Failure
    raise wrong(
        f"{folder or 'this run'}: its network is code of its own, which is executed only where you name it: read "
        f"{where}, then add --network {where}:{function} (or your own file, if it is the same to the byte){others}"
    )


def build(source: Source, image_shape: tuple[int, int, int], classes: int, seed: int) -> Any:
    """Execute the code and return the network. The backend must have been activated.

    Keras, NumPy and Python are seeded before, so that a function which makes no use of `seed` is deterministic too.

    Raises `Failure` where the code fails, or what it returns is not a classifier of such images.
    """
    import keras

    keras.utils.set_random_seed(seed % 2**32)
    where = f"{source.path}:{source.function}"
    with own_guard.in_one_line(source):
        function = executed(source).get(source.function)
        if not callable(function):
            raise Usage(f"{source.path}: has no function {source.function!r}")
        model = function(tuple(image_shape), classes, seed)
        if not isinstance(model, keras.Model):
            raise Failure(f"{where}: returned {type(model).__name__}, expected a keras.Model")
        _check_inputs(model, image_shape, where)
        images = keras.Input(image_shape, dtype="uint8", name="images")
        outputs = model(images)
        softmax = _is_softmax(model, _outputs(outputs, classes, where), image_shape, classes, where)
        network = _network(model, images, outputs, softmax, where)
    _check_weights(network, where)
    setattr(network, own_guard.SOURCE, source)
    return network


def has_features(network: Any) -> bool:
    """Is the layer before the softmax a dense one, whose inputs are the features that defences need?"""
    import keras

    return isinstance(network.get_layer("logits"), keras.layers.Dense)


def executed(source: Source) -> dict[str, Any]:
    """Execute the file as a module of its own, and return its names."""
    module = types.ModuleType(f"benchmark_own_{source.digest[7:15]}")
    module.__file__ = str(source.path)
    sys.modules[module.__name__] = module  # where pickles, dataclasses and Keras look for its classes
    exec(compile(source.text, str(source.path), "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def _check_inputs(model: Any, image_shape: tuple[int, int, int], where: str) -> None:
    """Check what a model says of its inputs; one that has not been called yet says nothing."""
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        raise Failure(f"{where}: takes {len(inputs)} inputs, expected one, the images")
    for one in inputs:
        shape = tuple(one.shape[1:])
        fits = len(shape) == 3 and all(side in (None, given) for side, given in zip(shape, image_shape, strict=True))
        if not fits:
            raise Failure(f"{where}: takes inputs of shape {shape}, expected {tuple(image_shape)}")
        if one.dtype != "uint8":
            raise Failure(
                f"{where}: takes {one.dtype}, expected uint8 images from 0 to 255: keras.Input(image_shape, "
                'dtype="uint8"), then for example layers.Rescaling(1 / 255)'
            )


def _outputs(outputs: Any, classes: int, where: str) -> Any:
    shape = getattr(outputs, "shape", None)
    if shape is None:
        raise Failure(f"{where}: returns several outputs, expected one, (n, {classes})")
    if len(shape) != 2 or shape[1] != classes:
        raise Failure(f"{where}: its output is of shape {('n', *shape[1:])}, expected ('n', {classes})")
    return outputs


def _is_softmax(model: Any, outputs: Any, image_shape: tuple[int, int, int], classes: int, where: str) -> bool:
    """Tell by a few images whether it ends in probabilities, not in logits."""
    import keras
    import numpy as np

    from benchmark.core import random_streams

    size = (PROBE, *image_shape)
    images = random_streams.uniform(0, "probe of a network", int(np.prod(size))).reshape(size)
    values = keras.ops.convert_to_numpy(model((255 * images).astype(np.uint8), training=False)).astype(np.float64)
    if values.shape != (PROBE, classes):
        raise Failure(f"{where}: made {values.shape} of {PROBE} images, expected {(PROBE, classes)}")
    if not np.isfinite(values).all():
        raise Failure(f"{where}: its outputs are not finite on random images")
    near = 0.02 if outputs.dtype in ("bfloat16", "float16") else 1e-4
    if (values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=near):
        return True
    if ((values > 0) & (values < 1)).all():
        raise Failure(f"{where}: ends in values from 0 to 1 that do not sum to 1, expected logits or a softmax")
    return False


def _network(model: Any, images: Any, outputs: Any, softmax: bool, where: str) -> Any:
    """Return a network that ends in a layer `logits` and probabilities, both float32.

    Where the model's last layer is a dense one, that becomes `logits`, and its inputs are the features. Otherwise what
    comes out is taken as it is; of a softmax the logarithm.
    """
    import keras
    from keras import layers

    inputs, dense = images, _last_dense(model)
    if dense is not None:
        kept = ("units", "use_bias", *(f"{part}_{what}" for part in ("kernel", "bias") for what in _OF_WEIGHTS))
        settings = {name: getattr(dense, name) for name in kept}
        logits = layers.Dense(**settings, name="logits", dtype="float32")
        inputs, outputs = model.inputs[0], logits(dense.input)
        logits.set_weights(dense.get_weights())
    elif softmax:
        outputs = layers.Lambda(_log, dtype="float32", name="logits", output_shape=lambda shape: shape)(outputs)
    else:
        outputs = layers.Activation("linear", dtype="float32", name="logits")(outputs)
    taken = {"logits", "probabilities"} & {layer.name for layer in model.layers if layer is not dense}
    if dense is not None and taken:
        raise Failure(f"{where}: a layer that is not its last is called {taken.pop()!r}: give it another name")
    return keras.Model(inputs, layers.Softmax(dtype="float32", name="probabilities")(outputs), name=NAME)


def _log(probabilities: Any) -> Any:
    from keras import ops

    return ops.log(ops.maximum(probabilities, 1e-7))


def _last_dense(model: Any) -> Any:
    """Return the dense layer whose output, or its softmax, is that of the model; None where there is no such layer."""
    from keras import activations, layers

    if len(getattr(model, "outputs", None) or ()) != 1 or len(getattr(model, "inputs", None) or ()) != 1:
        return None
    layer = model.outputs[0]._keras_history.operation
    plain = (activations.softmax, activations.linear)
    for _ in range(len(model.layers)):
        passed = isinstance(layer, layers.Softmax) and layer.axis == -1
        passed = passed or (isinstance(layer, layers.Activation) and layer.activation in plain)
        if not passed or not hasattr(layer.input, "_keras_history"):
            break
        layer = layer.input._keras_history.operation
    if type(layer) is not layers.Dense or layer.activation not in plain or len(layer._inbound_nodes) != 1:
        return None
    return layer


def _check_weights(network: Any, where: str) -> None:
    for weight in network.weights:
        if weight.dtype != "float32":
            raise Failure(f"{where}: its weight {weight.path} is of type {weight.dtype}, expected float32")
    if not network.trainable_weights:
        raise Failure(f"{where}: has no weight that can be trained")
