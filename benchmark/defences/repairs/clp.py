"""CLP (Zheng et al. 2022): channels whose Lipschitz constant lies far above their layer's are taken out; needs no data.

The constant of a channel behind a convolution and its batch normalisation is σ_max(W) · |γ| / √variance, W being the
channel's kernel as a matrix (inputs, height · width). A trigger that few pixels make needs a channel that a small
change of its input moves much.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core.errors import Failure
from benchmark.defences.context import DefenceContext, Stage
from benchmark.defences.needs import BATCH_NORM, IMAGES
from benchmark.defences.options import Option
from benchmark.defences.registry import Remark, RepairSpec, Work, register
from benchmark.nn import units
from benchmark.nn.units import Units

CODE = "BackdoorBench f02e353, defense/clp.py"
FEW = 16
"""With no more channels than these a part is judged by the mean and deviation of all experts of its layer."""


@dataclass(frozen=True)
class Pair:
    """A batch normalisation and the weights of what feeds it: `kernels` (parts, channels, inputs, positions) float32,
    parts being the experts whose channels each are judged for themselves, 1 of a usual convolution."""

    units: Units
    kernels: np.ndarray


def lipschitz(kernels: np.ndarray, gamma: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return each channel's constant, (…, channels) float64.

    `kernels` (…, channels, inputs, positions), `gamma` and `variance` (…, channels); of a variance of zero, of which a
    network's epsilon makes a finite number, infinite.
    """
    largest = np.linalg.norm(np.asarray(kernels, np.float64), ord=2, axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = largest * np.abs(gamma) / np.sqrt(np.asarray(variance, np.float64))
    return np.where(largest * np.abs(gamma) == 0, 0.0, found)


def outliers(constants: np.ndarray, u: float, pooled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Tell which channels (parts, channels) lie more than `u` standard deviations above the mean of their part, or with
    `pooled` of all parts, bool; and the thresholds (parts,). The deviation is that of a sample (n − 1)."""
    of = constants.reshape(1, -1) if pooled else constants
    limit = of.mean(axis=1) + u * (of.std(axis=1, ddof=1) if of.shape[1] > 1 else 0)
    limit = np.broadcast_to(limit, len(constants))
    return constants > limit[:, None], limit


def farthest(channels: int) -> float:
    """Return how many standard deviations above its mean one of n numbers can lie at most, (n − 1)/√n."""
    return (channels - 1) / math.sqrt(channels)


def pairs(model: Any) -> list[Pair]:
    """Find the batch normalisations whose input is what a convolution gives, by the network's own graph.

    One that normalises a sum of branches has no single convolution and is left out. Stacked experts normalise the
    convolution before them, each for itself, and what normalises their maps belongs to their 1×1 convolutions.
    """
    return [found for one in units.normalisations(model) if (found := _pair(one)) is not None]


def _pair(one: Units) -> Pair | None:
    import keras

    from benchmark.nn.layers.stacked_experts import StackedExperts

    before = _before(one.layer)
    if isinstance(before, StackedExperts):
        kernel = _array(before.kernel)  # (experts, inputs, filters)
        return Pair(one, kernel.transpose(0, 2, 1)[..., None])
    if not isinstance(before, keras.layers.Conv2D) or isinstance(before, keras.layers.DepthwiseConv2D):
        return None
    height, width, inputs, channels = before.kernel.shape
    kernel = _array(before.kernel).transpose(3, 2, 0, 1).reshape(channels, inputs, height * width)
    parts = one.shape[0] if len(one.shape) > 1 else 1
    return Pair(one, np.broadcast_to(kernel, (parts, *kernel.shape)))


def _before(layer: Any) -> Any:
    """Return the layer whose output a layer takes, None where that is not one alone."""
    try:
        return layer.input._keras_history.operation
    except (AttributeError, ValueError):  # several inputs, or used more than once
        return None


def _array(variable: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(variable), np.float32)


def prune(model: Any, u: float, pooled: bool | None) -> list[dict[str, Any]]:
    """Take the outliers out of a network, in place: γ = β = 0. Returns what was found, layer by layer.

    `pooled`: whether experts share mean and deviation; None: where one has no more than `FEW` channels.
    """
    findings = []
    for pair in pairs(model):
        parts, channels = pair.kernels.shape[:2]
        gamma, variance = (
            _array(one).reshape(parts, channels) for one in (pair.units.layer.gamma, pair.units.layer.moving_variance)
        )
        together = parts > 1 and (channels <= FEW if pooled is None else pooled)
        dead, limit = outliers(lipschitz(pair.kernels, gamma, variance), u, together)
        units.prune([pair.units], dead.reshape(-1), biases=True)
        judged = parts * channels if together else channels
        findings.append(
            {
                "layer": pair.units.name,
                "channels": channels,
                "experts": parts if parts > 1 else None,
                "pooled": together,
                "threshold": [float(one) for one in limit],
                "pruned": dead.sum(axis=1).tolist(),
                "possible": farthest(judged) > u,
            }
        )
    return findings


def repair(context: DefenceContext, *, u: float, pooled: str) -> Iterator[Stage]:
    """Yield the network without its outliers; it learns from no rows."""
    model = context.network()
    findings = prune(model, u, POOLED[pooled])
    if not findings:
        raise Failure("no batch normalisation of this network follows a convolution alone, so that no bound is known")
    gone = sum(sum(one["pruned"]) for one in findings)
    small = [one["layer"] for one in findings if not one["possible"]]
    if small:
        context.log(f"clp: {', '.join(small)}: so few channels that none can lie {u:g} deviations above their mean")
    yield Stage(model, "pruned", findings={"channels": gone, "layers": findings})


POOLED = {"auto": None, "yes": True, "no": False}

register(
    RepairSpec(
        name="clp",
        title="CLP",
        source="Zheng et al. 2022, Data-free backdoor removal based on channel Lipschitzness",
        summary="Takes out channels whose Lipschitz constant lies far above their layer's; needs no data.",
        repair=repair,
        needs=(IMAGES, BATCH_NORM),
        options=(
            Option("u", "Standard deviations above the mean of its layer at which a channel goes.", float, 3.0, least=0,
                   source="BackdoorBench, for CIFAR-10"),
            Option("pooled", "Whether mean and deviation are of all experts of a layer together; auto: where an expert "
                   f"has no more than {FEW} channels.", str, "auto", choices=tuple(POOLED), source="ours"),
        ),
        work=lambda size, options: Work(seconds=5),
        aliases=("channel-lipschitz-pruning",),
        remarks=(
            Remark(
                CODE, "inferred",
                "with ten channels or fewer a layer is never pruned: no number of n lies more than (n - 1)/sqrt(n) "
                "deviations above their mean, 2.85 for ten",
                "says of which layers that holds; experts of few channels share mean and deviation",
            ),
            Remark(
                CODE, "run",
                "pairs a batch norm with the last convolution in the order of the modules: in PreAct networks the "
                "first of a block with one branch of the sum that it normalises, after a strided block with the "
                "shortcut, a bound that does not hold",
                "pairs by the network's own graph, and leaves out what normalises a sum",
            ),
            Remark(
                CODE, "read",
                "does nothing, without saying so, to a network without batch norm, as ViT and ConvNeXt",
                "says in one line that there is none",
            ),
        ),
    )
)  # fmt: skip
