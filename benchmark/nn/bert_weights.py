"""Weights of a folder in the Hugging Face layout (`config.json`, `model.safetensors`) into an encoder of ours."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import extras
from benchmark.core.errors import Failure

_SIZES = {  # ours -> the name in config.json
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "inner": "intermediate_size",
}
_LIMIT = 1 << 20  # no encoder is larger
_FIXED = {"model_type": "bert", "position_embedding_type": "absolute", "pad_token_id": 0}
_ABSENT = {  # not there, or empty: what would make another network of the same weights
    "is_decoder": "is a decoder, whose tokens see only what stands before them",
    "add_cross_attention": "attends to a second network's output",
    "is_encoder_decoder": "is an encoder and a decoder",
    "quantization_config": "has quantized weights",
    "compression_config": "has compressed weights",
    "pruned_heads": "has had heads removed",
    "auto_map": "is computed by code of its own",
}
ACTIVATIONS = {  # hidden_act -> ours, see `layers.encoder_block`
    "gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "gelu_python_tanh": "gelu_tanh", "gelu_accurate": "gelu_tanh",
    "quick_gelu": "quick_gelu", "relu": "relu", "silu": "silu", "swish": "silu",
}  # fmt: skip
_FRACTIONS = (  # ours, the name in config.json, what it is where that is absent
    ("dropout", "hidden_dropout_prob", 0.1),
    ("attention_dropout", "attention_probs_dropout_prob", 0.1),
    ("classifier_dropout", "classifier_dropout", None),
    ("epsilon", "layer_norm_eps", 1e-12),
)
_DTYPES = ("F16", "BF16", "F32", "F64")
_OLD = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
_UNUSED = {"embeddings.position_ids", "embeddings.token_type_ids"}  # counters, no weights
_FIRST = "embeddings.word_embeddings.weight"


def sizes(folder: Path) -> dict:
    """Read from a folder what `Encoder` is built of: its sizes, dropouts, `epsilon`, `activation`.

    Raises `Failure` where `config.json` is missing, cannot be read, or is of another kind of network, or where the
    weights are of another kind than numbers, or too few.
    """
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Failure(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(config, dict):
        raise Failure(f"{path}: not a JSON object")
    _check_kind(config, path)
    found: dict[str, Any] = {}
    for ours, name in _SIZES.items():
        value = config.get(name)
        if not (type(value) is int and 0 < value < _LIMIT):
            raise Failure(f"{path}: its {name} is {value!r:.60}, expected a positive whole number")
        found[ours] = value
    if found["width"] % found["heads"]:
        raise Failure(f"{path}: {found['heads']} heads do not divide a width of {found['width']}")
    for ours, name, usual in _FRACTIONS:
        value = config.get(name, usual)
        if value is None and usual is None:
            value = found["dropout"]  # as the reference has it
        if value is None or not (type(value) in (int, float) and 0 <= value < 1):
            raise Failure(f"{path}: its {name} is {value!r:.60}, expected a number of 0 or more, below 1.0")
        found[ours] = float(value)
    found["activation"] = ACTIVATIONS[config.get("hidden_act", "gelu")]
    weights = Path(folder) / "model.safetensors"
    if weights.is_file():
        with _opened(weights) as file:
            _names(file, weights)
        _check_size(weights, found)
    return found


def _check_kind(config: dict, path: Path) -> None:
    """`Failure` where a configuration is of another network than a plain BERT encoder."""
    if config.get("model_type") is None:
        names = config.get("architectures")
        if not (isinstance(names, list) and names and all(str(name).startswith("Bert") for name in names)):
            raise Failure(f"{path}: names no model_type, expected 'bert'; its architectures are {names!r:.80}")
    for name, expected in _FIXED.items():
        if config.get(name) not in (None, expected) or isinstance(config.get(name), bool):
            raise Failure(f"{path}: its {name} is {config[name]!r:.60}, expected {expected!r}")
    for name, words in _ABSENT.items():
        if config.get(name):
            raise Failure(f"{path}: its {name} is {config[name]!r:.80}: it {words}, expected a plain BERT encoder")
    activation = config.get("hidden_act", "gelu")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise Failure(
            f"{path}: its hidden_act is {activation!r:.60}, expected 'gelu' or one of {', '.join(ACTIVATIONS)}"
        )


@contextlib.contextmanager
def _opened(path: Path):
    """Return the file of weights. `Failure` where it is missing, damaged, or the library for it is."""
    library = extras.need("safetensors")
    import ml_dtypes  # noqa: F401  (Keras has it; it tells NumPy what a bfloat16 is)

    if not path.is_file():
        raise Failure(f"{path}: no such file, the encoder's weights")
    try:
        with library.safe_open(str(path), framework="np") as file:
            yield file
    except (library.SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise Failure(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from None


def _names(file, path: Path) -> dict[str, str]:
    """Each weight's name without the prefix that a file may have → its name in the file.

    `Failure` where what a network is made of is ambiguous, or not a plain number.
    """
    names = set(file.keys())
    prefixes = [prefix for prefix in ("", "bert.") if prefix + _FIRST in names]
    if len(prefixes) != 1:
        others = sorted(name for name in names if name.endswith(_FIRST))
        raise Failure(f"{path}: holds no weight {_FIRST}, or two, with or without bert. before it: {others!r:.120}")
    found = {}
    for name in sorted(names):
        own = name.removeprefix(prefixes[0])
        if not name.startswith(prefixes[0]) or not own.startswith(("embeddings.", "encoder.")) or own in _UNUSED:
            continue
        dtype = file.get_slice(name).get_dtype()
        if dtype not in _DTYPES:
            raise Failure(f"{path}: {own} is of type {dtype}, quantized or no weight: expected {', '.join(_DTYPES)}")
        found[own] = name
    return found


def _check_size(path: Path, found: dict) -> None:
    """`Failure` where the weights cannot be in the file, half a number each: nothing that large is built."""
    width, inner = found["width"], found["inner"]
    count = (found["vocabulary"] + found["positions"]) * width + found["depth"] * width * (4 * width + 2 * inner)
    if 2 * count > path.stat().st_size:
        raise Failure(f"{path}: holds {path.stat().st_size:,} bytes, too few for the {count:,} weights of config.json")


def assign(model, folder: Path) -> None:
    """Assign the weights to a built `Encoder`; its classifier stays as it is.

    Raises `Failure` where `model.safetensors` is missing or damaged, or a weight is missing, of another shape, not
    finite, or not the network's.
    """
    path = Path(folder) / "model.safetensors"
    with _opened(path) as file:
        names = _names(file, path)
        for variable, name, change in _pairs(model):
            there = [one for one in (name, _older(name)) if one in names]
            if len(there) != 1:
                raise Failure(f"{path}: holds {'no weight' if not there else 'two names for'} {name}")
            with np.errstate(over="ignore"):  # what becomes infinite is refused below
                value = np.asarray(file.get_tensor(names.pop(there[0]))).astype(np.float32)
            _put(variable, change(value, variable.shape), f"{path}: {name}")
    if names:
        raise Failure(f"{path}: holds {min(names)}, which is not part of the network that config.json describes")


def _older(name: str) -> str | None:
    """Return what the first versions of BERT called a weight; None where that is the same."""
    end = ".".join(name.split(".")[-2:])
    return name.removesuffix(end) + _OLD[end] if end in _OLD else None


def _put(variable, value: np.ndarray | None, what: str) -> None:
    if value is None:
        raise Failure(f"{what} has another shape than config.json describes")
    if not np.isfinite(value).all():
        raise Failure(f"{what} is not finite everywhere")
    variable.assign(value)


def _same(value: np.ndarray, shape) -> np.ndarray | None:
    return value if value.shape == tuple(shape) else None


def _turned(value: np.ndarray, shape) -> np.ndarray | None:
    """Return a dense kernel, which is stored as (out, in), here (in, out) or with the heads apart."""
    shape = tuple(shape)
    kernels = {shape: shape} if len(shape) == 2 else {
        (shape[0], shape[1] * shape[2]): shape, (shape[0] * shape[1], shape[2]): shape,
    }  # fmt: skip
    return np.ascontiguousarray(value.T).reshape(shape) if value.T.shape in kernels else None


def _flat(value: np.ndarray, shape) -> np.ndarray | None:
    """Return a bias, here with the heads apart."""
    return value.reshape(shape) if value.shape == (int(np.prod(shape)),) else None


def _first(value: np.ndarray, shape) -> np.ndarray | None:
    """Return the segment's vector: the first of the table."""
    return value[0] if value.ndim == 2 and len(value) and value.shape[1:] == tuple(shape) else None


def _pairs(model):
    """(variable, its name in the file, what makes the one of the other) of every weight but the classifier's."""

    def normalization(layer, name):
        yield layer.gamma, f"{name}.LayerNorm.weight", _same
        yield layer.beta, f"{name}.LayerNorm.bias", _same

    def dense(kernel, bias, name):
        yield kernel, f"{name}.weight", _turned
        yield bias, f"{name}.bias", _flat

    embedding = model.embedding
    yield embedding.words, "embeddings.word_embeddings.weight", _same
    yield embedding.places, "embeddings.position_embeddings.weight", _same
    yield embedding.segment, "embeddings.token_type_embeddings.weight", _first
    yield from normalization(embedding.normalization, "embeddings")
    for number, block in enumerate(model.blocks):
        layer, attention = f"encoder.layer.{number}", block.attention
        for name in ("query", "key", "value"):
            pair = getattr(attention, name), getattr(attention, f"{name}_bias")
            yield from dense(*pair, f"{layer}.attention.self.{name}")
        yield from dense(attention.output_kernel, attention.output_bias, f"{layer}.attention.output.dense")
        yield from normalization(block.normalizations[0], f"{layer}.attention.output")
        yield from dense(block.widen.kernel, block.widen.bias, f"{layer}.intermediate.dense")
        yield from dense(block.narrow.kernel, block.narrow.bias, f"{layer}.output.dense")
        yield from normalization(block.normalizations[1], f"{layer}.output")
