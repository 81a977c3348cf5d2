"""The vision transformer around the blocks of `vit` and `moe-vit`. Keras is imported when one is built."""

from collections.abc import Mapping
from typing import Any

DEPTH, HEADS, INNER = 6, 3, 4  # blocks; heads of each; width between its dense layers, in multiples of a token's
FEWEST, MOST = 64, 256  # patches of an image
TRAINING = {
    "optimizer": "adamw", "learning_rate": 0.002, "weight_decay": 0.05, "schedule": "cosine", "warmup_epochs": 1,
}  # fmt: skip
"""Of the small presets: transformers hardly learn with plain SGD in a few epochs."""
FULL = {
    "epochs": 300, "batch_size": 512, "optimizer": "adamw", "learning_rate": 0.0005, "weight_decay": 0.05,
    "schedule": "cosine", "warmup_epochs": 5, "crop_padding": 4, "hold_out": 0,
}  # fmt: skip
"""DeiT's training (Touvron et al. 2021), but for its mixing and erasing of images and its smoothed labels; the crop is
that of small images."""
CLASSES = frozenset(
    {
        "Functional",
        "InputLayer",
        "Rescaling",
        "PatchTokens",
        "ViTBlock",
        "LayerNormalization",
        "Cropping1D",
        "Reshape",
        "Dense",
        "Softmax",
        "DTypePolicy",
        "Normal",
        "Zeros",
        "Ones",
        "__keras_tensor__",
    }
)
"""What a saved one names."""


def transformer(
    image_shape: tuple[int, int, int],
    classes: int,
    width: int,
    seed: int,
    name: str,
    sparse: Mapping[int, Mapping[str, Any]] | None = None,
) -> Any:
    """Build the network: pre-norm blocks, of whose last output the class token is classified.

    `sparse`: by the number of a block (from 1), what its `ViTBlock` is to be told of its experts. uint8 images (n, H,
    W, C) in, probabilities (n, classes) float32 out; the layer before the softmax is called `logits`.
    """
    import keras
    from keras import layers

    from benchmark.nn.initial_weights import Normal
    from benchmark.nn.layers import PatchTokens, ViTBlock

    inputs = keras.Input(image_shape, dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    x = PatchTokens(patch_of(*image_shape[:2]), width, seed, name="embedding")(x)
    for number in range(1, DEPTH + 1):
        x = ViTBlock(HEADS, INNER * width, seed, **(sparse or {}).get(number, {}), name=f"block{number}")(x)
    x = layers.LayerNormalization(epsilon=ViTBlock.epsilon, name="norm")(x)
    kernel = Normal(seed, "logits")
    x = layers.Reshape((width,), name="class_token")(layers.Cropping1D((0, x.shape[1] - 1), name="first")(x))
    x = layers.Dense(classes, dtype="float32", kernel_initializer=kernel, name="logits")(x)
    return keras.Model(inputs, layers.Softmax(dtype="float32", name="probabilities")(x), name=name)


def patch_of(height: int, width: int) -> int:
    """Return the side of a patch: the largest that divides both sides and leaves 64 to 256 patches; ValueError where
    none does."""
    for side in range(min(height, width), 0, -1):
        if height % side == 0 and width % side == 0 and FEWEST <= (height // side) * (width // side) <= MOST:
            return side
    raise ValueError(f"no square patch divides both sides and leaves {FEWEST} to {MOST} patches")


def check(sizes: Mapping[str, Any]) -> None:
    """Raise `ValueError` where no patch fits the images, or the heads do not divide the width."""
    if sizes["width"] % HEADS:
        raise ValueError(f"its network's width is {sizes['width']}, expected a multiple of its {HEADS} heads")
    patch_of(*sizes["image_shape"][:2])


def least_weights(sizes: Mapping[str, Any], dense: int = DEPTH) -> int:
    """Return a lower bound of the number of weights, with the usual two dense layers in that many of the blocks."""
    width, (height, across, channels) = sizes["width"], sizes["image_shape"]
    blocks = DEPTH * 4 * width * width + dense * 2 * INNER * width * width
    return blocks + patch_of(height, across) ** 2 * channels * width + sizes["classes"] * width


def described(keras_config: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]]]:
    """Return the sizes that the description of a saved one spells, and the configuration of each of its layers.

    KeyError for a network of another name.
    """
    layers = {layer["config"]["name"]: layer["config"] for layer in keras_config["config"]["layers"]}
    if keras_config["config"]["name"] != name:
        raise KeyError(name)
    shape, classes = layers["images"]["batch_shape"][1:], layers["logits"]["units"]
    return {"image_shape": shape, "classes": classes, "width": layers["embedding"]["width"]}, layers
