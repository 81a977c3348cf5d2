"""Fine-pruning (Liu et al. 2018): of each expert's channels, as BadPatches applies it (section 4.3; Table 3), and of a
network without such experts of the features before its last layer, as BackdoorBench does."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import fractions
from benchmark.core.errors import Failure
from benchmark.defences import base as defences
from benchmark.defences.base import DefenceContext, DefenceResult, Stage, Step
from benchmark.nn import engines
from benchmark.runs.context import HELD_OUT
from benchmark.training import loop

NAME = "prune"


def run(
    folder: Path, file: Path | None, base: Path | None, settings: dict[str, Any], on_stage: Callable[[Step], None]
) -> DefenceResult:
    """Prune and fine-tune one run, unless the result exists already.

    `settings` are `rates`, `finetune_epochs`, `rows` and `data_mode`; for the rest see `defences.base.run`.
    """
    hold = settings["data_mode"] == HELD_OUT

    def apply(context: DefenceContext) -> Iterator[Stage]:
        return prune(context, settings["rates"], settings["finetune_epochs"], hold)

    return defences.run(folder, file, base, NAME, settings, apply, on_stage)


def prune(context: DefenceContext, rates: list[str], epochs: int, hold: bool) -> Iterator[Stage]:
    """Yield for each rate: pruned, the same with the channels masked after the batch normalisation, and fine-tuned.

    Of a network without experts on patches the features before its last layer are pruned, where masked is the same.

    Parameters
    ----------
    context : DefenceContext
        The run and the defender's rows.
    rates : list of str
        Shares of each expert's channels, or of the features, decimal fractions.
    epochs : int
        Of fine-tuning, with the training's own settings; 0: none.
    hold : bool
        Whether pruned channels stay zero while the network is fine-tuned.
    """
    order = ranking(context)
    for rate in rates:
        count = pruned_count(rate, order.shape[1])
        model = context.network()
        dead = set_to_zero(model, order[:, :count])
        yield Stage(model, "pruned", rate, count)
        if experts_of(model) is not None:
            yield Stage(masked(context.network(), dead), "masked", rate, count)
        if epochs:
            fine_tune(model, context, epochs, dead if hold else None)
            yield Stage(model, "fine-tuned", rate, count)


def parse_rates(text: str) -> list[str]:
    """Parse ``0.1,20%`` to decimal strings in one spelling. `Usage` where one is not a share between 0 and 1."""
    expected = f"--rates: expected shares between 0 and 1, as 0.1,0.2 or 10%,20%, got {text!r:.80}"
    return list(dict.fromkeys(fractions.parse(part, expected) for part in text.split(",")))


def pruned_count(rate: str, channels: int) -> int:
    """Return ⌊rate · channels⌋, exactly, and at least 1."""
    return fractions.count(rate, channels)


def experts_of(model):
    """Return the layer of the experts whose channels are pruned; None of a network without."""
    from benchmark.nn.layers import DenseExperts, PatchMoE

    return next((layer for layer in model.layers if isinstance(layer, (DenseExperts, PatchMoE))), None)


def ranking(context: DefenceContext) -> np.ndarray:
    """Rank each expert's channels from the least to the most active, (experts, channels) int64, ties by index.

    Activity is the mean over the defender's rows and all patches of the channel's ReLU(BN(·)) after the
    concatenation of the experts. Without experts on patches: of each input of the last layer, (1, features).
    """
    import keras

    model = context.network()
    experts = experts_of(model)
    if experts is None and not hasattr(model.get_layer("logits"), "kernel"):
        raise Failure("prune: this network's last layer is not a keras.layers.Dense, so it has no features to prune")
    features = model.get_layer("logits").input if experts is None else model.get_layer("head_relu").output
    head = keras.Model(model.input, features)
    total = np.zeros(features.shape[-1])
    for start in range(0, len(context.rows), 512):
        maps = keras.ops.convert_to_numpy(head(context.rows.inputs[start : start + 512], training=False))
        total = total + maps.astype(np.float64).sum(tuple(range(maps.ndim - 1)))
    mean = (total / len(context.rows)).reshape(1 if experts is None else experts.experts, -1)
    return np.argsort(mean, axis=1, kind="stable")


def set_to_zero(model, channels: np.ndarray) -> np.ndarray:
    """Zero the weights and the bias of these channels, (experts, n), of each expert's convolution, as published; of a
    network without experts the last layer's weights of these features, (1, n).

    Returns (experts, channels) bool: which are zero now.
    """
    experts = experts_of(model)
    shape = (1, model.get_layer("logits").kernel.shape[0]) if experts is None else (experts.experts, experts.filters)
    dead = np.zeros(shape, bool)
    np.put_along_axis(dead, channels, True, axis=1)
    if experts is None:
        masked(model, dead)
    else:
        experts.kernel.assign(np.where(dead[:, None], 0, _array(experts.kernel)))
        experts.bias.assign(np.where(dead, 0, _array(experts.bias)))
    return dead


def _array(weight) -> np.ndarray:
    from keras.ops import convert_to_numpy

    return np.asarray(convert_to_numpy(weight))


def masked(model, dead: np.ndarray):
    """Remove these channels or features altogether, and return the network.

    After the batch normalisation a channel of zeros is a constant, which the published pruning keeps. Removing it there
    means removing its row of the last layer's weights.
    """
    logits = model.get_layer("logits")
    logits.kernel.assign(np.where(dead.reshape(-1)[:, None], 0, _array(logits.kernel)))
    return model


def fine_tune(model, context: DefenceContext, epochs: int, dead: np.ndarray | None) -> None:
    """Train the whole network on the defender's rows with the training's own settings; `dead` channels stay zero."""
    if dead is not None:
        _hold(model, (~dead).astype("float32"))
    settings = context.settings
    engine = engines.engine(model, settings.learning_rate, context.rows.inputs, context.rows.labels)
    rows = np.arange(len(context.rows))
    for epoch in range(1, epochs + 1):
        order = loop.epoch_rows(rows, settings.seed, epoch, "fine-tuning epoch")
        loop.train_epoch(engine, order, min(settings.batch_size, len(rows)), lambda count: None)


def _hold(model, alive: np.ndarray) -> None:
    """Have training keep at zero what is not `alive`, (experts, channels) or (1, features) of 0 and 1."""
    experts = experts_of(model)
    if experts is None:
        model.get_layer("logits").kernel.constraint = lambda kernel: kernel * alive.reshape(-1, 1)
    else:
        experts.kernel.constraint = lambda kernel: kernel * alive[:, None]
        experts.bias.constraint = lambda bias: bias * alive
