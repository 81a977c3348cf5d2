"""Fine-pruning (Liu et al. 2018): of each expert's channels, as BadPatches applies it (section 4.3; Table 3), and of a
network without such experts of the features before its last layer, as BackdoorBench does."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core import fractions
from benchmark.core.errors import Failure
from benchmark.defences import tuning
from benchmark.defences.context import DefenceContext, Stage
from benchmark.defences.needs import CLEAN_ROWS, IMAGES, Need
from benchmark.defences.options import Option
from benchmark.defences.registry import Remark, RepairSpec, Size, Work, register
from benchmark.format import dataset
from benchmark.format.dataset import Rows
from benchmark.nn import engines
from benchmark.runs.context import HELD_OUT, TRAINING_SET, defender_rows
from benchmark.training import loop, schedule
from benchmark.training.common import Common
from benchmark.training.settings import ImageSettings

NAME = "fine-pruning"
CODE = "BackdoorBench f02e353, defense/fp.py"
NOTEBOOK = "the published notebook of BadPatches"


@dataclass(frozen=True)
class Defender:
    """What is pruned and on which rows: the trained network (a fresh copy for whoever calls `network`), the settings
    that it was trained with, and the rows that the defender has."""

    network: Callable[[], Any]
    settings: Common
    rows: Rows


def prune(context: Defender, rates: list[str], epochs: int, hold: bool) -> Iterator[Stage]:
    """Yield for each rate: pruned, the same with the channels masked after the batch normalisation, and fine-tuned.

    Of a network without experts on patches the features before its last layer are pruned, where masked is the same.

    Parameters
    ----------
    context : Defender
        The network and the defender's rows.
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
        findings = {"channels": count, "rows": len(context.rows)}
        model = context.network()
        dead = set_to_zero(model, order[:, :count])
        yield Stage(model, "pruned", rate, findings)
        if experts_of(model) is not None:
            yield Stage(masked(context.network(), dead), "masked", rate, findings)
        if epochs:
            fine_tune(model, context, epochs, dead if hold else None)
            yield Stage(model, "fine-tuned", rate, findings)


def parse_rates(text: str) -> str:
    """Parse ``0.1,20%`` to decimal strings in one spelling, ``0.1,0.2``. `Usage` where one is no share between 0 and
    1."""
    expected = f"--option {NAME}.rates: expected shares between 0 and 1, as 0.1,0.2 or 10%,20%, got {text!r:.80}"
    return ",".join(dict.fromkeys(fractions.parse(part, expected) for part in text.split(",")))


def pruned_count(rate: str, channels: int) -> int:
    """Return ⌊rate · channels⌋, exactly, and at least 1."""
    return fractions.count(rate, channels)


def experts_of(model):
    """Return the layer of the experts whose channels are pruned; None of a network without."""
    from benchmark.nn.layers import DenseExperts, PatchMoE

    return next((layer for layer in model.layers if isinstance(layer, (DenseExperts, PatchMoE))), None)


def ranking(context: Defender) -> np.ndarray:
    """Rank each expert's channels from the least to the most active, (experts, channels) int64, ties by index.

    Activity is the mean over the defender's rows and all patches of the channel's ReLU(BN(·)) after the
    concatenation of the experts. Without experts on patches: of each input of the last layer, (1, features).
    """
    import keras

    model = context.network()
    experts = experts_of(model)
    if experts is None and not hasattr(model.get_layer("logits"), "kernel"):
        raise Failure("this network's last layer is not a keras.layers.Dense, so it has no features to prune")
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


def fine_tune(model, context: Defender, epochs: int, dead: np.ndarray | None) -> None:
    """Train the whole network on the defender's rows with the training's own settings; `dead` channels stay zero.

    A learning rate that fell in the training falls again, over these epochs, without a warm-up before.
    """
    if dead is not None:
        _hold(model, (~dead).astype("float32"))
    settings, rows = context.settings, context.rows
    plan = tuning.Plan.augmented_as(settings, epochs, settings.learning_rate, settings.batch_size)
    assert isinstance(settings, ImageSettings)
    anew = dataclasses.replace(settings, epochs=epochs, schedule_epochs=0, warmup_epochs=0)
    optimizer = schedule.optimizer(anew, model, plan.steps(len(rows)))
    engine = engines.engine(model, optimizer, rows.inputs, rows.labels)
    for epoch in range(1, epochs + 1):
        loop.train_blocks(engine, plan.blocks(len(rows), epoch, engine.steps), lambda count: None)


def _hold(model, alive: np.ndarray) -> None:
    """Have training keep at zero what is not `alive`, (experts, channels) or (1, features) of 0 and 1."""
    experts = experts_of(model)
    if experts is None:
        model.get_layer("logits").kernel.constraint = lambda kernel: kernel * alive.reshape(-1, 1)
    else:
        experts.kernel.constraint = lambda kernel: kernel * alive[:, None]
        experts.bias.constraint = lambda bias: bias * alive


def repair(
    context: DefenceContext, *, rates: str, epochs: int, data_mode: str, notebook_rows: int | None
) -> Iterator[Stage]:
    """Yield the points of each rate on the clean rows, or on those of the published notebook."""
    if data_mode == HELD_OUT:
        CLEAN_ROWS.check(context)
        rows = context.clean
    else:
        rows = _of_notebook(context, notebook_rows)
    defender = Defender(context.network, context.settings, rows)
    yield from prune(defender, rates.split(","), epochs, data_mode == HELD_OUT)


def _of_notebook(context: DefenceContext, limit: int | None) -> Rows:
    """Return the training set itself, its triggered images under their true labels, as the paper's published notebook
    has it. No real defender could: the context has no truth, so the file is read again."""
    blind = context.data_set
    return defender_rows(context.run, dataset.load(blind.path, base=blind.base), TRAINING_SET, limit)


def _asked_later(context: DefenceContext) -> None:
    """Only one of the two data modes needs them, see `repair`."""


def _work(size: Size, options: Mapping[str, Any]) -> Work:
    rows = size.clean if options["data_mode"] == HELD_OUT else options["notebook_rows"] or size.rows
    return Work(forward=rows, trained=rows * options["epochs"] * len(options["rates"].split(",")))


register(
    RepairSpec(
        name=NAME,
        title="Fine-pruning",
        source="Liu et al. 2018, Fine-pruning; BadPatches, section 4.3 and Table 3",
        summary="Sets the least active channels of each expert, or features, to zero, then fine-tunes on clean rows.",
        repair=repair,
        needs=(IMAGES, Need(CLEAN_ROWS.name, f"{CLEAN_ROWS.words} (not with data_mode=notebook)", _asked_later)),
        options=(
            Option("rates", "Shares of each expert's channels, or of the features, to prune.", str, "0.1,0.2,0.3",
                   parse=parse_rates, source="BadPatches, Table 3"),
            Option("epochs", "Epochs of fine-tuning with the training's own settings; 0: none.", int, 5, least=0,
                   source="ours"),
            Option("data_mode", "Rows to rank and fine-tune on: clean ones held out from training, or as in the "
                   "paper's published notebook the training set, with the true labels of its triggered images, which "
                   "no real defender can do.", str, HELD_OUT, choices=(HELD_OUT, TRAINING_SET), source=NOTEBOOK),
            Option("notebook_rows", "Of data_mode notebook: the first rows only  [default: all]", int, None, least=1),
        ),
        work=_work,
        aliases=("fp", "prune", "fine-prune"),
        remarks=(
            Remark(
                CODE, "read",
                "stops once pruning has cost a tenth of the accuracy on the *test* set, and keeps the network that it "
                "has pruned one step too far: both names are of the same object",
                "prunes the shares that are asked for, and shows each",
            ),
            Remark(
                CODE, "read",
                "a slice that ends one too early prunes one channel less than it says",
                "prunes as many as the rate says, exactly",
            ),
            Remark(
                CODE, "read",
                "puts each mask over those before it",
                "prunes a fresh copy of the network at each rate",
            ),
            Remark(
                CODE, "read",
                "draws its clean rows twice: those that its log names are not those that it used",
                "the clean rows are those of every other repair",
            ),
            Remark(
                CODE, "read",
                "prunes inputs of the last dense layer, after the pooling, where the paper prunes channels of the last "
                "convolution",
                "of experts prunes the channels of their convolutions; of other networks, as the code, the inputs of "
                "the last layer",
            ),
        ),
    )
)  # fmt: skip
