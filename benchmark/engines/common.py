"""What the engines share: the loss, the optimizer, prediction in batches of one shape."""

import keras
import numpy as np
from keras import ops

BATCH = 512  # images of a prediction step


def network(model: keras.Model) -> keras.Model:
    """The network up to its logits: the loss of logits is exact, that of probabilities has to clip them."""
    return keras.Model(model.inputs, model.get_layer("logits").output)


def sgd(learning_rate: float) -> keras.optimizers.Optimizer:
    """Plain stochastic gradient descent: no momentum, no schedule, no weight decay (BadPatches, section 4.1)."""
    return keras.optimizers.SGD(learning_rate)


def cross_entropy(labels, logits):
    """Mean cross-entropy of a batch, a scalar."""
    return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))


def predict_batches(step, images: np.ndarray) -> np.ndarray:
    """Apply `step`, (BATCH, H, W, C) → (BATCH,) classes, to any number of images; the last batch is padded."""
    classes = np.empty(len(images), np.int64)
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        full = batch
        if len(batch) < BATCH:
            full = np.zeros((BATCH, *images.shape[1:]), images.dtype)
            full[: len(batch)] = batch
        classes[start : start + len(batch)] = np.asarray(step(full))[: len(batch)]
    return classes
