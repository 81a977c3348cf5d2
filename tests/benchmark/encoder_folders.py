"""Two dozen small encoders' folders as one meets them: those that are to be computed as the reference does, and those
that are another network than a plain BERT encoder, with the words that say so.

Imports neither `benchmark` nor the reference; `tests/golden/encoders.py` computes what is right with `transformers`.
"""

import json
import struct

import numpy as np
import small_encoder

TEXTS = ["Good film , very fine", "", "the [PAD] plot was dull"]
_RAW = {
    "F32": lambda value: value.astype("<f4").tobytes(),
    "F16": lambda value: value.astype("<f2").tobytes(),
    "F64": lambda value: value.astype("<f8").tobytes(),
    "BF16": lambda value: (value.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes(),
    "F8_E4M3": lambda value: np.full(value.size, 0x38, "u1").tobytes(),
    "I8": lambda value: np.clip(value * 60, -127, 127).astype("i1").tobytes(),
    "I32": lambda value: (value * 1000).astype("<i4").tobytes(),
    "I64": lambda value: value.astype("<i8").tobytes(),
}


def safetensors(path, values: dict, dtypes=None, usual="F32") -> None:
    """The file, byte by byte: `dtypes` says which weights are of another type than the `usual` one."""
    head, data = {}, b""
    for name, value in values.items():
        dtype = (dtypes or {}).get(name, usual)
        raw = _RAW[dtype](value)
        head[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head | {"__metadata__": {"format": "pt"}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def make(path, values=None, config=None, drop=(), usual="F32", dtypes=None, tokenizer=None, settings=None, words=None):
    """A folder with changes: of weights, of config.json (None as a value deletes), of tokenizer.json (a function)."""
    words = small_encoder.WORDS if words is None else words
    folder = small_encoder.write(path, words=words)
    described = {key: value for key, value in (small_encoder.CONFIG | (config or {})).items() if key not in drop}
    (folder / "config.json").write_text(json.dumps(described))
    safetensors(folder / "model.safetensors", small_encoder.weights() if values is None else values, dtypes, usual)
    if tokenizer:
        described = json.loads((folder / "tokenizer.json").read_text())
        tokenizer(described)
        (folder / "tokenizer.json").write_text(json.dumps(described))
    said = {"tokenizer_class": "BertTokenizer"} | (settings or {})
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


def renamed(change) -> dict:
    return {change(name): value for name, value in small_encoder.weights().items()}


def _old(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def _more() -> dict:
    width, random = small_encoder.SIZES["hidden_size"], np.random.default_rng(1)
    return {
        "pooler.dense.weight": random.normal(size=(width, width)), "pooler.dense.bias": random.normal(size=width),
        "cls.predictions.bias": random.normal(size=small_encoder.SIZES["vocab_size"]),
    }  # fmt: skip


def _positions() -> dict:
    return {"embeddings.position_ids": np.arange(64)[None]}


def _one_segment() -> dict:
    values = small_encoder.weights()
    return values | {"embeddings.token_type_embeddings.weight": values["embeddings.token_type_embeddings.weight"][:1]}


def _cased(described: dict) -> None:
    described["normalizer"] |= {"lowercase": False}


def _acts(name: str):
    return {"config": {"hidden_act": name}}


RIGHT = {
    "plain": {},
    "named bert.": {"values": renamed("bert.{}".format)},
    "gamma and beta": {"values": renamed(_old)},
    "named bert., gamma and beta": {"values": renamed(lambda name: "bert." + _old(name))},
    "float16": {"usual": "F16"},
    "bfloat16": {"usual": "BF16"},
    "float64": {"usual": "F64"},
    "half of it float16": {"dtypes": dict.fromkeys(list(small_encoder.weights())[::2], "F16")},
    **{name: _acts(name) for name in ("gelu_python", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate")},
    **{name: _acts(name) for name in ("gelu_python_tanh", "quick_gelu", "relu", "silu", "swish")},
    "another epsilon": {"config": {"layer_norm_eps": 1e-3}},
    "with a pooler and a head": {"values": small_encoder.weights() | _more()},
    "with numbers of positions": {
        "values": small_encoder.weights() | _positions(), "dtypes": {"embeddings.position_ids": "I64"},
    },
    "no model_type, a Bert architecture": {"drop": ("model_type",), "config": {"architectures": ["BertForMaskedLM"]}},
    "one segment": {"values": _one_segment(), "config": {"type_vocab_size": 1}},
    "no padding token": {"drop": ("pad_token_id",)},
    "dropouts of its own": {"config": {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.0}},
    "cased": {"tokenizer": _cased, "settings": {"do_lower_case": False}},
    "lower-cased, and says so": {"settings": {"do_lower_case": True}},
    "flags that are false": {"config": {"is_decoder": False, "add_cross_attention": False}},
}  # fmt: skip


def _crossed() -> dict:
    values = small_encoder.weights()
    return values | {
        name.replace(".attention.", ".crossattention."): value
        for name, value in values.items()
        if ".attention." in name
    }


def _int8():
    """As bitsandbytes writes them: kernels of int8, with a scale each."""
    values = small_encoder.weights()
    kernels = [name for name in values if name.startswith("encoder") and name.endswith("weight") and "Norm" not in name]
    scales = {name.replace("weight", "SCB"): np.ones(len(values[name])) for name in kernels}
    return {"values": values | scales, "dtypes": dict.fromkeys(kernels, "I8")}


def _without(name: str) -> dict:
    return {key: value for key, value in small_encoder.weights().items() if key != name}


def _third_layer() -> dict:
    values = small_encoder.weights()
    return values | {
        name.replace("layer.1.", "layer.2."): value for name, value in values.items() if "layer.1." in name
    }


def _no_frame(described: dict) -> None:
    described["post_processor"] = None


def _reversed_frame(described: dict) -> None:
    described["post_processor"] |= {"sep": ["[CLS]", 2], "cls": ["[SEP]", 3]}


def _sparse(described: dict) -> None:
    described["model"]["vocab"]["far"] = 40


def _huge(described: dict) -> None:
    described["model"]["vocab"]["far"] = (1 << 32) - 1


def _accents_kept(described: dict) -> None:
    described["normalizer"] |= {"strip_accents": False}


_8BIT = {"quantization_config": {"load_in_8bit": True, "quant_method": "bitsandbytes"}}
_KEY = "encoder.layer.1.attention.self.key.weight"
_DISTANCE = {"encoder.layer.0.attention.self.distance_embedding.weight": np.ones((127, 4))}
REFUSED = {
    "a decoder": ({"config": {"is_decoder": True}}, "its is_decoder is True: it is a decoder"),
    "cross-attention": (
        {"config": {"is_decoder": True, "add_cross_attention": True}, "values": _crossed()},
        "its is_decoder is True",
    ),
    "cross-attention alone": ({"config": {"add_cross_attention": True}}, "its add_cross_attention is True"),
    "cross-attention, not said": ({"values": _crossed()}, "crossattention.output.LayerNorm.bias, which is not part of"),
    "int8 of bitsandbytes": (_int8() | {"config": _8BIT}, "its quantization_config is .*: it has quantized weights"),
    "int8, not said": (_int8(), "is of type I8, quantized or no weight: expected F16, BF16, F32, F64"),
    "int8 beside float16": (_int8() | {"usual": "F16"}, "is of type I8, quantized"),
    "fp8": ({"usual": "F8_E4M3"}, "is of type F8_E4M3, quantized"),
    "fp8, said": (
        {"usual": "F8_E4M3", "config": {"quantization_config": {"quant_method": "fp8"}}},
        "its quantization_config is {'quant_method': 'fp8'}",
    ),
    "gptq": ({"config": {"quantization_config": {"bits": 4}}}, "it has quantized weights"),
    "whole numbers": ({"dtypes": {_KEY: "I32"}}, f"{_KEY} is of type I32"),
    "RoBERTa": ({"config": {"model_type": "roberta", "pad_token_id": 1}}, "its model_type is 'roberta'"),
    "RoBERTa without model_type": (
        {"drop": ("model_type",), "config": {"architectures": ["RobertaModel"], "pad_token_id": 1}},
        r"names no model_type, expected 'bert'; its architectures are \['RobertaModel'\]",
    ),
    "neither type nor architecture": ({"drop": ("model_type",)}, "names no model_type, expected 'bert'"),
    "relative positions": (
        {"config": {"position_embedding_type": "relative_key"}, "values": small_encoder.weights() | _DISTANCE},
        "its position_embedding_type is 'relative_key', expected 'absolute'",
    ),
    "relative positions, not said": (
        {"values": small_encoder.weights() | _DISTANCE},
        "distance_embedding.weight, which",
    ),
    "another activation": (_acts("mish"), "its hidden_act is 'mish', expected 'gelu' or one of"),
    "no activation's name": (_acts(["gelu"]), r"its hidden_act is \['gelu'\]"),
    "code of its own": ({"config": {"auto_map": {"AutoModel": "x--y.Z"}}}, "it is computed by code of its own"),
    "pruned heads": ({"config": {"pruned_heads": {"0": [1]}}}, "it has had heads removed"),
    "a weight missing": ({"values": _without(_KEY)}, f"holds no weight {_KEY}"),
    "a layer too many": (
        {"values": _third_layer()},
        "holds encoder.layer.2.attention.output.LayerNorm.bias, which is no",
    ),
    "two names for one": (
        {"values": small_encoder.weights() | {"embeddings.LayerNorm.gamma": np.ones(12)}},
        "holds two names for embeddings.LayerNorm.weight",
    ),
    "with and without bert.": (
        {"values": small_encoder.weights() | renamed("bert.{}".format)},
        "or two, with or without",
    ),
    "another prefix": (
        {"values": renamed("model.{}".format)},
        "holds no weight embeddings.word_embeddings.weight, .*'model.embeddings",
    ),
    "no segments": (
        {"values": small_encoder.weights() | {"embeddings.token_type_embeddings.weight": np.ones((0, 12))}},
        "token_type_embeddings.weight has another shape",
    ),
    "true for a number": ({"config": {"num_hidden_layers": True}}, "its num_hidden_layers is True"),
    "no [CLS], no [SEP]": ({"tokenizer": _no_frame}, "makes nothing of an empty text"),
    "[SEP] first": ({"tokenizer": _reversed_frame}, r"makes \[SEP\] \[CLS\] of an empty text"),
    "do_lower_case false": ({"settings": {"do_lower_case": False}}, "whose do_lower_case is false"),
    "do_lower_case true": ({"tokenizer": _cased, "settings": {"do_lower_case": True}}, "whose do_lower_case is true"),
    "strip_accents": ({"tokenizer": _accents_kept, "settings": {"strip_accents": True}}, "whose strip_accents is true"),
    "Chinese": ({"settings": {"tokenize_chinese_chars": False}}, "whose tokenize_chinese_chars is false"),
    "a token above the vocabulary": (
        {"tokenizer": _sparse},
        "its tokenizer has tokens up to 40, its encoder 40 tokens",
    ),
    "a token far above it": ({"tokenizer": _huge}, "its tokens' numbers reach 4294967295"),
}
