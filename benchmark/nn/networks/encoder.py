"""The text encoder: BERT (Devlin et al. 2019) with a linear classifier on [CLS]; see `benchmark.nn.encoder`."""

from collections.abc import Mapping
from typing import Any

from benchmark.nn.networks.registry import TEXT, NetworkSpec, Sizes, register

INTEGERS = ("classes", "vocabulary", "positions", "width", "depth", "heads", "inner", "seed")
FRACTIONS = ("dropout", "attention_dropout", "classifier_dropout", "epsilon")


def build(**sizes: Any) -> Any:
    """Build the untrained encoder; its sizes are the parameters of `benchmark.nn.encoder.Encoder`."""
    from benchmark.nn.encoder import Encoder

    model = Encoder(**sizes)
    model.build((None, None))
    return model


def least_weights(sizes: Sizes) -> int:
    """Return a lower bound of the number of weights."""
    width = sizes["width"]
    block = 4 * width * width + 2 * width * sizes["inner"]
    return (sizes["vocabulary"] + sizes["positions"] + sizes["classes"]) * width + sizes["depth"] * block


def check(sizes: Sizes) -> None:
    """Raise `ValueError` where sizes contradict each other."""
    from benchmark.nn import bert_weights

    if sizes["activation"] not in bert_weights.ACTIVATIONS.values():
        raise ValueError(f"its network's activation is {sizes['activation']!r:.60}")
    if sizes["width"] % sizes["heads"]:
        raise ValueError(f"{sizes['heads']} heads do not divide its network's width of {sizes['width']}")


def described(keras_config: Mapping[str, Any]) -> Sizes:
    """Return the sizes that a saved encoder's description spells; KeyError for another network's."""
    if keras_config["class_name"] != "Encoder":
        raise KeyError("Encoder")
    config = keras_config["config"]
    return {name: config[name] for name in (*INTEGERS, *FRACTIONS, "activation") if name in config}


ENCODER = register(
    NetworkSpec(
        name="encoder",
        title="text encoder",
        plural="text encoders",
        modality=TEXT,
        source="Devlin et al. 2019, BERT: Pre-training of deep bidirectional transformers for language understanding",
        builder=build,
        settings=(),
        presets={
            "minilm": {"epochs": 1, "batch_size": 64, "learning_rate": 1e-4, "hold_out": 2000},
            "tiny": {"epochs": 12, "batch_size": 32, "learning_rate": 5e-4, "hold_out": 2000},
        },
        least_weights=least_weights,
        keras_classes=frozenset({"Encoder", "DTypePolicy"}),
        integers=INTEGERS,
        fractions=FRACTIONS,
        check=check,
        described=described,
        defaults={"activation": "gelu"},
    )
)
