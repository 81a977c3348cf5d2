"""Networks against the reference implementations' outputs (tests/golden/networks.npz:
BackdoorBench's and timm's own code, weights by a formula)."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

import keras  # noqa: E402
from keras import ops  # noqa: E402

from benchmark.nn.networks.preact_resnet18 import preact_resnet18  # noqa: E402
from benchmark.nn.networks.vit import vit  # noqa: E402
from benchmark.nn.transformer import patch_of  # noqa: E402

GOLDEN = np.load(Path(__file__).resolve().parents[2] / "golden" / "networks.npz")
LABELS = np.arange(4)


def hashed(i, j):
    """The formula's numbers in ±1: an integer hash of the position in the tensor and the tensor's number."""
    mask = np.uint64(0xFFFFFFFF)
    h = (np.asarray(i, np.uint64) * np.uint64(2654435761) + np.uint64(j) * np.uint64(40503)) & mask
    h ^= h >> np.uint64(16)
    h = h * np.uint64(2246822519) & mask
    h ^= h >> np.uint64(13)
    h = h * np.uint64(3266489917) & mask
    h ^= h >> np.uint64(16)
    return h / 2.0**32 * 2 - 1


def weights_by_formula(names, shapes, gain):
    """{torch name: array in torch's layout}, and {norm's name: its number}."""
    made, norms = {}, {}
    for j, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        shape = tuple(map(int, shape.split("x")))
        i = np.arange(np.prod(shape))
        norm = "bn" in name or "norm" in name
        if norm and name.endswith("weight"):
            value, norms[name.removesuffix(".weight")] = 1 + 0.1 * np.sin(i + j), j
        elif norm:
            value = 0.05 * np.cos(i + j)
        elif name in ("cls_token", "pos_embed"):
            value = 0.5 * hashed(i, j)
        elif name.endswith("bias"):
            value = 0.1 * hashed(i, j)
        else:
            value = np.sqrt(gain / (np.prod(shape) / shape[0])) * hashed(i, j)
        made[name] = value.reshape(shape).astype(np.float32)
    return made, norms


def as_keras(value):
    """A torch kernel in Keras' layout."""
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T if value.ndim == 2 else value


def preact(classes=10):
    """Our network with the formula's weights, and its trainable weights in torch's order."""
    model = preact_resnet18((32, 32, 3), classes)
    made, norms = weights_by_formula(GOLDEN[f"preact_names_{classes}"], GOLDEN[f"preact_shapes_{classes}"], 6)
    ordered = []
    for name, value in made.items():
        module, _, kind = name.rpartition(".")
        if module == "linear":
            layer = "logits"
        elif "shortcut" in module:
            layer = module.removesuffix(".0").replace(".", "_")
        else:
            layer = module.replace(".", "_")
        part = {"weight": "gamma" if module in norms else "kernel", "bias": "beta" if module in norms else "bias"}[kind]
        weight = next(one for one in model.weights if one.path == f"{layer}/{part}")
        weight.assign(as_keras(value))
        ordered.append(weight)
    for name, j in norms.items():
        layer = model.get_layer(name.replace(".", "_"))
        i = np.arange(layer.moving_mean.shape[0])
        layer.moving_mean.assign(0.02 * np.sin(i + 2 * j))
        layer.moving_variance.assign(1 + 0.3 * np.abs(np.sin(i)))
    return model, ordered


def logits(model, training=False):
    """The network's logits for the four images."""
    network = keras.Model(model.inputs, model.get_layer("logits").output)
    return np.asarray(network(GOLDEN["images"], training=training))


def summary(maps):
    """Mean, standard deviation and first eight values (channels first) of each image's map, (4, 10)."""
    maps = np.asarray(maps)
    maps = (maps.transpose(0, 3, 1, 2) if maps.ndim == 4 else maps).reshape(len(maps), -1)
    return np.column_stack([maps.mean(1), maps.std(1), maps[:, :8]])


def test_the_formula():
    assert np.abs(np.stack([hashed(np.arange(8), j) for j in range(3)]) - GOLDEN["hash_check"]).max() < 1e-12


def test_preact_has_the_published_number_of_parameters():
    for classes, trainable, everything in ((10, 11_171_146, 11_177_930), (43, 11_188_075, None)):
        model = preact_resnet18((32, 32, 3), classes)
        assert sum(int(np.prod(one.shape)) for one in model.trainable_weights) == trainable
        assert everything in (None, model.count_params())


@pytest.mark.parametrize("training, name", [(False, "eval"), (True, "train")])
def test_preact_gives_the_reference_s_logits_and_maps(training, name):
    model, _ = preact()
    np.testing.assert_allclose(logits(model, training), GOLDEN[f"preact_{name}_logits"], rtol=1e-4, atol=1e-4)
    model, _ = preact()
    layers = {"conv1": "conv1", **{f"layer{i}": f"layer{i}_1_add" for i in range(1, 5)}, "avgpool": "pool"}
    for part, layer in layers.items():
        found = keras.Model(model.inputs, model.get_layer(layer).output)(GOLDEN["images"], training=training)
        np.testing.assert_allclose(summary(found), GOLDEN[f"preact_{name}_{part}"], rtol=1e-3, atol=1e-4, err_msg=part)
        model, _ = preact()


def test_preact_trains_as_the_reference():
    import tensorflow as tf

    model, ordered = preact()
    network = keras.Model(model.inputs, model.get_layer("logits").output)
    buffers, losses = [0.0] * len(ordered), []
    for step in range(3):
        with tf.GradientTape() as tape:
            out = network(GOLDEN["images"], training=True)
            loss = ops.mean(ops.sparse_categorical_crossentropy(LABELS, out, from_logits=True))
        losses.append(float(loss))
        if step == 2:
            break
        gradients = tape.gradient(loss, [one.value for one in ordered])
        if step == 0:
            norms = [float(np.linalg.norm(np.asarray(g))) for g in gradients]
            np.testing.assert_allclose(norms, GOLDEN["preact_step1_grad_norms"], rtol=5e-3)
        for k, (weight, g) in enumerate(zip(ordered, gradients, strict=True)):
            buffers[k] = 0.9 * buffers[k] + np.asarray(g) + 5e-4 * np.asarray(weight)
            weight.assign(np.asarray(weight) - 0.001 * buffers[k])
        if step == 0:
            first = np.stack([as_torch(weight).ravel()[:8] for weight in ordered])
            np.testing.assert_allclose(first, GOLDEN["preact_lr0001_step1_params_first8"], rtol=1e-4, atol=1e-5)
            norms = [layer for layer in model.layers if hasattr(layer, "moving_variance")]
            order = sorted(norms, key=lambda layer: layer.name)  # layer1_0_bn1, layer1_0_bn2 … as torch's modules
            variances = np.stack([np.asarray(layer.moving_variance)[:8] for layer in order])
            np.testing.assert_allclose(variances, GOLDEN["preact_step1_running_var_first8"], rtol=1e-4)
            means = np.stack([np.asarray(layer.moving_mean)[:8] for layer in order])
            np.testing.assert_allclose(means, GOLDEN["preact_step1_running_mean_first8"], rtol=1e-4, atol=1e-5)
    assert losses[0] == pytest.approx(GOLDEN["preact_lr0001_train_losses"][0], rel=1e-5)
    np.testing.assert_allclose(losses, GOLDEN["preact_lr0001_train_losses"], rtol=1e-2)


def as_torch(weight):
    """A Keras weight in torch's layout."""
    value = np.asarray(weight)
    return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T if value.ndim == 2 else value


def test_the_engine_trains_preact_with_backdoorbench_s_optimizer_as_the_reference():
    from benchmark.training import schedule
    from benchmark.training.settings import NETWORKS, PRESETS_OF

    chosen = PRESETS_OF["preact-resnet18"]["backdoorbench-cifar10"]
    settings = NETWORKS["preact-resnet18"](
        width=chosen.width, learning_rate=0.001, optimizer=chosen.optimizer, momentum=chosen.momentum,
        weight_decay=chosen.weight_decay, decay_on=chosen.decay_on,
    )  # fmt: skip
    model, ordered = preact()
    engine = engines.engine(model, schedule.optimizer(settings, model, 1), GOLDEN["images"], LABELS)
    losses = []
    for step in range(3):
        if step:
            first = np.stack([as_torch(weight).ravel()[:8] for weight in ordered])
            name = f"preact_lr0001_step{step}_params_first8"
            np.testing.assert_allclose(first, GOLDEN[name], rtol=10.0 ** (step - 5), atol=10.0 ** (step - 6))
        losses += np.asarray(engine.train(LABELS.astype("i4")[None])).tolist()
    assert losses[0] == pytest.approx(GOLDEN["preact_lr0001_train_losses"][0], rel=1e-5)
    np.testing.assert_allclose(losses, GOLDEN["preact_lr0001_train_losses"], rtol=1e-2)


def reference_vit():
    """Our vision transformer with the formula's weights."""
    model = vit((32, 32, 3), 10)
    made, _ = weights_by_formula(GOLDEN["vit_names_10"], GOLDEN["vit_shapes_10"], 3)
    names = {"cls_token": "embedding/class_token", "pos_embed": "embedding/positions"}
    for name, value in made.items():
        module, _, kind = name.rpartition(".")
        layer = module.replace("patch_embed.proj", "embedding.project").replace("attn.", "").replace("mlp.", "")
        layer = "logits" if layer == "head" else layer
        if layer.startswith("blocks."):
            _, number, rest = layer.split(".", 2)
            layer = f"block{int(number) + 1}.{rest}"
        norm = "norm" in layer
        part = {"weight": "gamma" if norm else "kernel", "bias": "beta" if norm else "bias"}.get(kind, "")
        path = names.get(name, f"{layer.replace('.', '/')}/{part}")
        next(one for one in model.weights if one.path == path).assign(as_keras(value))
    return model


def test_vit_gives_the_reference_s_logits_and_attention():
    model = reference_vit()
    assert model.count_params() == 2_693_578 and vit((32, 32, 3), 43).count_params() == 2_699_947
    np.testing.assert_allclose(logits(model), GOLDEN["vit_logits"], rtol=1e-4, atol=1e-4)
    embedded = keras.Model(model.inputs, model.get_layer("embedding").output)(GOLDEN["images"])
    block = model.get_layer("block1")
    _, weights = block.attend(block.norm1(embedded))
    np.testing.assert_allclose(np.asarray(weights)[0], GOLDEN["vit_block0_attention_image0"], rtol=1e-4, atol=1e-6)
    for i in range(6):
        found = np.asarray(keras.Model(model.inputs, model.get_layer(f"block{i + 1}").output)(GOLDEN["images"]))
        np.testing.assert_allclose(summary(found), GOLDEN[f"vit_block{i}"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "sides, patch", [((32, 32), 4), ((28, 28), 2), ((96, 96), 12), ((64, 64), 8), ((224, 224), 28), ((32, 64), 4)]
)
def test_patches_are_as_large_as_leaves_64(sides, patch):
    assert patch_of(*sides) == patch
