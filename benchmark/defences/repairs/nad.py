"""NAD (Li et al. 2021): a copy that was fine-tuned on clean rows teaches the backdoored network where to look.

The student is fine-tuned with the cross-entropy and Σ β · MSE(A(student), A(teacher)) over its last three maps; A(F) is
the sum of |F|² over the channels at each position, divided by its norm over the positions.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from benchmark.core import numbers
from benchmark.core.errors import Failure, Usage
from benchmark.defences import tuning
from benchmark.defences.context import DefenceContext, Stage
from benchmark.defences.needs import CLEAN_ROWS, IMAGES
from benchmark.defences.options import Option
from benchmark.defences.registry import Remark, RepairSpec, Size, Work, register
from benchmark.format.dataset import Rows
from benchmark.nn import engines, units

POWER = 2
TINY = 1e-6
MAPS = 3
CODE = "BackdoorBench f02e353, defense/nad.py"


def attention(maps: Any) -> Any:
    """Return the attention of maps (n, …positions, channels): (n, …positions), a tensor of the backend."""
    from keras import ops

    summed = ops.sum(ops.power(ops.abs(ops.cast(maps, "float32")), POWER), axis=-1)
    axes = tuple(range(1, len(summed.shape)))
    return summed / (ops.sqrt(ops.sum(ops.square(summed), axis=axes, keepdims=True)) + TINY)


def distance(student: Any, teacher: Any) -> Any:
    """Return the mean square between two attentions, a scalar."""
    from keras import ops

    return ops.mean(ops.square(student - teacher))


def chosen_layers(model: Any) -> list[Any]:
    """Return the layers whose maps are compared, up to three: of a convolutional network the last sum (or where it has
    none the last convolution, of experts too) at each of its smallest sizes of more than one position; of a transformer
    the blocks after each third. `Failure` where there is none."""
    if blocks := units.vit_blocks(model):
        return [blocks[len(blocks) * part // MAPS - 1] for part in range(1, MAPS + 1)]
    at: dict[tuple[int, int], Any] = {}
    for layer in model.layers:
        place = tuple(getattr(getattr(layer, "output", None), "shape", ()))[1:3]
        if _is_map(layer) and np.prod(place) > 1 and not (place in at and _weaker(layer, at[place])):
            at[place] = layer
    if not at:
        raise Failure("this network has no feature maps of several positions, whose attention could be compared")
    return sorted(at.values(), key=lambda layer: -np.prod(layer.output.shape[1:3]))[-MAPS:]


def _is_map(layer: Any) -> bool:
    import keras

    from benchmark.nn.layers.stacked_experts import StackedExperts

    kinds = (keras.layers.Add, keras.layers.Conv2D, StackedExperts)
    return isinstance(layer, kinds) and len(layer.output.shape) == 4  # noqa: PLR2004  (n, H, W, C)


def _weaker(layer: Any, than: Any) -> bool:
    """Tell whether a layer is a branch's convolution where another is a sum of branches."""
    import keras

    return isinstance(layer, keras.layers.Conv2D) and isinstance(than, keras.layers.Add)


def _looking(model: Any) -> Any:
    """Return the network from images to its logits and its chosen maps."""
    import keras

    from benchmark.nn.engines import common

    return keras.Model(model.inputs, [common.network(model).outputs[0], *(one.output for one in chosen_layers(model))])


def looks(teacher: Any) -> Callable[[np.ndarray], list[Any]]:
    """Return the function of images that gives a teacher's attention, of each map, in evaluation mode."""
    network = _looking(teacher)
    return engines.compiled(teacher, lambda images: [attention(one) for one in network(images, training=False)[1:]])


def distilled(student: Any, betas: tuple[float, ...]) -> Callable[..., Any]:
    """Return the student's loss of images, labels, and the teacher's attentions; `betas` of the last maps."""
    from benchmark.nn.engines import common

    network = _looking(student)

    def loss(images, labels, *wanted):
        logits, *maps = network(images, training=True)
        value = common.cross_entropy(labels, logits)
        for beta, ours, theirs in zip(betas[-len(maps) :], maps, wanted, strict=True):
            value = value + beta * distance(attention(ours), theirs)
        return value

    return loss


def distil(student: Any, teacher: Any, rows: Rows, plan: tuning.Plan, betas: tuple[float, ...]) -> list[float]:
    """Fine-tune a student on rows under a teacher, in place; the mean loss of each epoch."""
    from keras import ops

    look = looks(teacher)
    step = engines.stepped(student, plan.optimizer(len(rows)), distilled(student, betas))
    found = []
    for epoch in range(1, plan.epochs + 1):
        losses = []
        for images, labels in tuning.batches(rows, plan, epoch):
            wanted = [np.asarray(ops.convert_to_numpy(one)) for one in look(images)]
            losses.append((step(images, labels, *wanted), len(labels)))
        found.append(tuning.finite(tuning.mean_of(losses), f"epoch {epoch}"))
    return found


def _betas(text: str) -> str:
    """Return three weights in one spelling; `Usage` for others."""
    try:
        found = [numbers.real(part.strip()) for part in text.split(",")]
        if len(found) == MAPS and min(found) >= 0:
            return ",".join(f"{one:g}" for one in found)
    except ValueError:
        pass
    raise Usage(f"--option nad.betas: expected three numbers from 0, as 500,1000,1000, got {text!r:.60}")


def repair(
    context: DefenceContext, *, epochs: int, learning_rate: float, batch_size: int, teacher_epochs: int, betas: str
) -> Iterator[Stage]:
    """Yield the network that was distilled on all clean rows."""
    teacher, student = context.network(), context.network()
    plan = tuning.Plan.of(context, teacher_epochs, learning_rate, batch_size)
    taught = tuning.fine_tune(teacher, context.clean, replace(plan, purpose="teacher's epoch"))
    context.log(f"nad: teacher fine-tuned, loss {taught[-1]:.3f}")
    weights = tuple(float(one) for one in betas.split(","))
    losses = distil(student, teacher, context.clean, replace(plan, epochs=epochs), weights)
    maps = [layer.name for layer in chosen_layers(student)]
    yield Stage(student, "distilled", findings={"maps": maps, "losses": losses, "teacher_losses": taught})


def _work(size: Size, options: Mapping[str, Any]) -> Work:
    return Work(
        forward=size.clean * options["epochs"],
        trained=size.clean * (1.2 * options["epochs"] + options["teacher_epochs"]),
    )


register(
    RepairSpec(
        name="nad",
        title="NAD",
        source="Li et al. 2021, Neural attention distillation: erasing backdoor triggers from deep neural networks",
        summary="A copy fine-tuned on clean rows teaches the network, by the attention of its last three maps, where "
        "to look.",
        repair=repair,
        needs=(IMAGES, CLEAN_ROWS),
        options=(
            *tuning.TUNING,
            Option("teacher_epochs", "Epochs in which the teacher is fine-tuned.", int, 10, least=1,
                   source="BackdoorBench"),  # fmt: skip
            Option("betas", "Weights of the last three maps, from the first to the last.", str, "500,1000,1000",
                   parse=_betas, source="BackdoorBench"),  # fmt: skip
        ),
        work=_work,
        aliases=("neural-attention-distillation",),
        remarks=(
            Remark(
                CODE, "run",
                "on PreAct-ResNet18 the first of the three maps is pooled to one position, whose attention is 1 for "
                "every row: the term is 0 whatever its weight",
                "compares the last three maps of more than one position",
            ),
            Remark(
                CODE, "inferred",
                "on every other network the one map that is compared is pooled to one position, or is the resized "
                "image itself: the attention loss is 0, and NAD is plain fine-tuning for 10 epochs",
                "finds the maps by the network's own graph; of a transformer takes its tokens after each third of the "
                "blocks",
            ),
            Remark(
                CODE, "read",
                "the student passes each batch three more times in training mode, which moves its batch-norm "
                "statistics",
                "takes all maps from one pass",
            ),
            Remark(
                CODE, "read",
                "learning rates are written into the code; the schedule and the 100 epochs of its configuration are "
                "not read",
                "epochs and learning rate are options, and decide",
            ),
        ),
    )
)  # fmt: skip
