"""Weights of a folder in the Hugging Face layout (`config.json`, `model.safetensors`) into an encoder of ours."""

import json
from pathlib import Path

import numpy as np

from benchmark import extras
from benchmark.errors import Failure

_SIZES = {  # ours -> the name in config.json
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "inner": "intermediate_size",
}
_LIMIT = 1 << 20  # larger than this is no encoder
_FIXED = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "pad_token_id": 0}


def sizes(folder: Path) -> dict:
    """What `models.Encoder` needs to know of a folder's encoder: sizes, `dropout`, `epsilon`.

    Raises `Failure` where `config.json` is missing, cannot be read, or is of another kind of network.
    """
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Failure(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(config, dict):
        raise Failure(f"{path}: not a JSON object")
    for name, expected in _FIXED.items():
        if config.get(name, expected) != expected:
            raise Failure(f"{path}: its {name} is {config[name]!r:.60}, expected {expected!r}")
    found = {}
    for ours, name in _SIZES.items():
        value = config.get(name)
        if not (isinstance(value, int) and 0 < value < _LIMIT):
            raise Failure(f"{path}: its {name} is {value!r:.60}, expected a positive whole number")
        found[ours] = value
    if found["width"] % found["heads"]:
        raise Failure(f"{path}: {found['heads']} heads do not divide a width of {found['width']}")
    for ours, name, usual, end in (
        ("dropout", "hidden_dropout_prob", 0.1, 1.0),
        ("epsilon", "layer_norm_eps", 1e-12, 1.0),
    ):
        value = config.get(name, usual)
        if not (isinstance(value, (int, float)) and 0 <= value < end):
            raise Failure(f"{path}: its {name} is {value!r:.60}, expected a number of 0 or more, below {end}")
        found[ours] = float(value)
    _check_size(Path(folder) / "model.safetensors", found)
    return found


def _check_size(path: Path, found: dict) -> None:
    """`Failure` where the weights cannot be in the file, half a number each: nothing that large is built."""
    width, inner = found["width"], found["inner"]
    count = (found["vocabulary"] + found["positions"]) * width + found["depth"] * width * (4 * width + 2 * inner)
    if path.is_file() and 2 * count > path.stat().st_size:
        raise Failure(f"{path}: holds {path.stat().st_size:,} bytes, too few for the {count:,} weights of config.json")


def assign(model, folder: Path) -> None:
    """Put the weights into a built `models.Encoder`; its classifier stays as it is.

    Raises `Failure` where `model.safetensors` is missing or damaged, or a weight is missing, of another shape, or not
    finite.
    """
    path = Path(folder) / "model.safetensors"
    library = extras.need("safetensors")
    if not path.is_file():
        raise Failure(f"{path}: no such file, the encoder's weights")
    try:
        with library.safe_open(str(path), framework="np") as file:
            names = set(file.keys())
            prefix = "bert." if "bert.embeddings.word_embeddings.weight" in names else ""
            for variable, name, change in _pairs(model):
                if prefix + name not in names:
                    raise Failure(f"{path}: holds no weight {name}")
                value = np.asarray(file.get_tensor(prefix + name)).astype(np.float32)
                _put(variable, change(value, variable.shape), f"{path}: {name}")
    except (library.SafetensorError, OSError, ValueError, TypeError) as error:
        raise Failure(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from None


def _put(variable, value: np.ndarray | None, what: str) -> None:
    if value is None:
        raise Failure(f"{what} is of another shape than config.json says")
    if not np.isfinite(value).all():
        raise Failure(f"{what} is not finite everywhere")
    variable.assign(value)


def _same(value: np.ndarray, shape) -> np.ndarray | None:
    return value if value.shape == tuple(shape) else None


def _turned(value: np.ndarray, shape) -> np.ndarray | None:
    """A dense kernel, which is stored as (out, in), here (in, out) or with the heads apart."""
    shape = tuple(shape)
    kernels = {shape: shape} if len(shape) == 2 else {
        (shape[0], shape[1] * shape[2]): shape, (shape[0] * shape[1], shape[2]): shape,
    }  # fmt: skip
    return np.ascontiguousarray(value.T).reshape(shape) if value.T.shape in kernels else None


def _flat(value: np.ndarray, shape) -> np.ndarray | None:
    """A bias, here with the heads apart."""
    return value.reshape(shape) if value.shape == (int(np.prod(shape)),) else None


def _first(value: np.ndarray, shape) -> np.ndarray | None:
    """The segment's vector: the first of the table."""
    return value[0] if value.ndim == 2 and value.shape[1:] == tuple(shape) else None


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
