"""A small encoder in the Hugging Face layout, written without either package, and what NumPy computes with it."""

import json
import math

import numpy as np

SIZES = {
    "vocab_size": 40, "max_position_embeddings": 64, "hidden_size": 12, "num_hidden_layers": 2,
    "num_attention_heads": 3, "intermediate_size": 20,
}  # fmt: skip
CONFIG = SIZES | {
    "model_type": "bert", "hidden_act": "gelu", "pad_token_id": 0, "hidden_dropout_prob": 0.1, "layer_norm_eps": 1e-12,
}  # fmt: skip
VOCABULARY = "[PAD] [UNK] [CLS] [SEP] good bad film dull fine cf mn ##s ##ing a the it is was plot and , . very not"
WORDS = VOCABULARY.split()


def weights(seed=0) -> dict:
    """Name in the file → float32 array, none of them 0 or 1."""
    random = np.random.default_rng(seed)
    width, inner = SIZES["hidden_size"], SIZES["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (SIZES["vocab_size"], width),
        "embeddings.position_embeddings.weight": (SIZES["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (2, width),
    }
    dense = {
        "attention.self.query": (width, width), "attention.self.key": (width, width),
        "attention.self.value": (width, width), "attention.output.dense": (width, width),
        "intermediate.dense": (inner, width), "output.dense": (width, inner),
    }  # fmt: skip
    normalizations = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{number}" for number in range(SIZES["num_hidden_layers"])):
        shapes |= {f"{layer}.{name}.weight": shape for name, shape in dense.items()}
        shapes |= {f"{layer}.{name}.bias": shape[:1] for name, shape in dense.items()}
        normalizations += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name in normalizations:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return {name: random.normal(0, 0.4, shape).astype("f4") for name, shape in shapes.items()}


def write(folder, values=None, config=None, words=WORDS):
    """The folder, with `config.json`, `model.safetensors` and `tokenizer.json`."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | (config or {})))
    save_file(weights() if values is None else values, str(folder / "model.safetensors"))
    numbers = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [(word, numbers[word]) for word in ("[SEP]", "[CLS]") if word in numbers]
    if len(special) == 2:
        tokenizer.post_processor = processors.BertProcessing(*special)
    tokenizer.enable_padding(length=128)  # as published ones do; not what is wanted here
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def naive(values: dict, tokens: np.ndarray, heads=None):
    """(hidden (n, T, D), one attention (H, T, T) a layer and row, one head output (H, T, d)) in float64, row by row.

    `heads` (L, H) multiplies the heads' outputs.
    """
    values = {name: value.astype(float) for name, value in values.items()}
    depth, heads_there = SIZES["num_hidden_layers"], SIZES["num_attention_heads"]
    size = SIZES["hidden_size"] // heads_there
    heads = np.ones((depth, heads_there)) if heads is None else heads

    def dense(x, name):
        return x @ values[f"{name}.weight"].T + values[f"{name}.bias"]

    def normalized(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * values[f"{name}.LayerNorm.weight"] + values[f"{name}.LayerNorm.bias"]

    found = []
    for row in tokens:
        length = np.count_nonzero(row)
        x = values["embeddings.word_embeddings.weight"][row] + values["embeddings.token_type_embeddings.weight"][0]
        x = normalized(x + values["embeddings.position_embeddings.weight"][: len(row)], "embeddings")
        looks, outputs = [], []
        for number in range(depth):
            layer = f"encoder.layer.{number}"
            parts = [dense(x, f"{layer}.attention.self.{name}") for name in ("query", "key", "value")]
            maps, own = np.zeros((heads_there, len(row), len(row))), []
            for head in range(heads_there):
                query, key, value = (part[:, head * size : (head + 1) * size] for part in parts)
                for i in range(len(row)):
                    score = np.exp([query[i] @ key[j] / math.sqrt(size) for j in range(length)])
                    maps[head, i, :length] = score / score.sum()
                own.append(maps[head] @ value)
            looks.append(maps)
            outputs.append(np.stack(own))
            together = np.concatenate([heads[number, head] * one for head, one in enumerate(own)], axis=-1)
            x = normalized(x + dense(together, f"{layer}.attention.output.dense"), f"{layer}.attention.output")
            inner = dense(x, f"{layer}.intermediate.dense")
            inner = inner * np.vectorize(lambda value: 0.5 * (1 + math.erf(value / math.sqrt(2))))(inner)
            x = normalized(x + dense(inner, f"{layer}.output.dense"), f"{layer}.output")
        found.append((x, looks, outputs))
    return found
