"""What the engines share: the loss, the optimizers, prediction in batches of few shapes."""

import keras
import numpy as np
from keras import ops

from benchmark.nn import augmentation
from benchmark.nn.tokenizers import Tokens
from benchmark.nn.tokenizers import width as width_of

BATCH = 512  # images of a prediction step
TEXTS = 64  # texts of one
LOSSES = 256  # images of a step that takes their losses; on a CPU 1.3 to 1.7 times as fast as 512


def network(model: keras.Model) -> keras.Model:
    """Return the network up to its logits: the loss of logits is exact, that of probabilities has to clip them."""
    if getattr(model, "ends_in_logits", False):
        return model
    return keras.Model(model.inputs, model.get_layer("logits").output)


def sgd(learning_rate: float) -> keras.optimizers.Optimizer:
    """Plain stochastic gradient descent: no momentum, no schedule, no weight decay (BadPatches, section 4.1)."""
    return keras.optimizers.SGD(learning_rate)


def adamw(model: keras.Model, learning_rate: float, steps: int) -> keras.optimizers.Optimizer:
    """AdamW for fine-tuning: the rate falls linearly to a tenth over that many steps, gradients are clipped to norm 1,
    weights decay by 0.01, but not normalisations and biases."""
    falling = keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, learning_rate / 10)
    optimizer = keras.optimizers.AdamW(falling, weight_decay=0.01, epsilon=1e-8, global_clipnorm=1.0)
    spared = [one for one in model.trainable_variables if "normalization" in one.path or one.name.endswith("bias")]
    optimizer.exclude_from_weight_decay(var_list=spared)
    return optimizer


def chosen(optimizer) -> keras.optimizers.Optimizer:
    """Return the optimizer, or plain SGD at this learning rate."""
    return optimizer if isinstance(optimizer, keras.optimizers.Optimizer) else sgd(optimizer)


def prepared(model, optimizer) -> keras.optimizers.Optimizer:
    """Return `chosen`, built for all trainable variables of a network."""
    found = chosen(optimizer)
    found.build(model.trainable_variables)
    return found


def at(model, variables, values) -> keras.StatelessScope:
    """Return a scope in which a network computes with other values of some of its variables, tensors of the backend.

    Inside, nothing changes a variable: what layers assign, such as moving statistics, is dropped at the end.
    """
    other = {id(variable) for variable in variables}
    same = [(variable, variable.value) for variable in model.variables if id(variable) not in other]
    mapping = [*same, *zip(variables, values, strict=True)]
    return keras.StatelessScope(state_mapping=mapping, collect_losses=True)


def on_device(inputs) -> np.ndarray:
    """Return what the device holds of training inputs."""
    return inputs.tokens if isinstance(inputs, Tokens) else inputs


def batch_of(inputs, draws):
    """Return a batch as it is trained: images augmented as drawn, all else as it is."""
    return inputs if draws is None else augmentation.augmented(inputs, draws)


def cross_entropy(labels, logits):
    """Mean cross-entropy of a batch, a scalar."""
    return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))


def with_own(loss, added):
    """Return the loss that is minimised: the cross-entropy, and what layers have added (`add_loss`), a scalar."""
    for one in added:
        loss = loss + ops.cast(one, loss.dtype)
    return loss


def losses_by_row(labels, logits):
    """Cross-entropy of each row of a batch (n,), float32."""
    return ops.cast(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True), "float32")


def loss_batches(step, inputs, rows) -> np.ndarray:
    """Apply `step`, (row numbers (m,), width) → losses (m,), to training rows (n,), in batches of one size, as for
    prediction; the last batch is filled up. (n,) float32."""
    lengths = inputs.lengths[rows] if isinstance(inputs, Tokens) else None
    order = np.arange(len(rows)) if lengths is None else np.argsort(lengths, kind="stable")
    size = LOSSES if lengths is None else TEXTS
    found = []
    for start in range(0, len(rows), size):
        chosen = order[start : start + size]
        batch = np.resize(rows[chosen], size).astype(np.int32)
        found.append(step(batch, None if lengths is None else width_of(lengths[chosen].max())))
    losses = np.empty(len(rows), np.float32)
    losses[order] = np.concatenate([np.asarray(one) for one in found])[: len(rows)]  # only now waited for
    return losses


def predict_batches(step, images) -> np.ndarray:
    """Apply `step`, (BATCH, H, W, C) → (BATCH,) classes, to any number of images; the last batch is padded. Texts go
    in batches of TEXTS of like length."""
    classes = np.empty(len(images), np.int64)
    if isinstance(images, Tokens):
        for rows, block in images.batches(TEXTS):
            classes[rows] = np.asarray(step(block))[: len(rows)]
        return classes
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        full = batch
        if len(batch) < BATCH:
            full = np.zeros((BATCH, *images.shape[1:]), images.dtype)
            full[: len(batch)] = batch
        classes[start : start + len(batch)] = np.asarray(step(full))[: len(batch)]
    return classes
