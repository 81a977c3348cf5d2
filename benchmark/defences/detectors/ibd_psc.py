"""IBD-PSC (Hou et al. 2024): whose prediction stays sure while the last batch normalisations are amplified, is
suspicious."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core.errors import Failure
from benchmark.defences import evidence
from benchmark.defences.context import DefenceContext, Detection
from benchmark.defences.needs import BATCH_NORM, CLEAN_ROWS, IMAGES
from benchmark.defences.options import Option
from benchmark.defences.registry import READ, RUN, DetectorSpec, Remark, Size, Work, register

LEAST = 10
"""Clean rows that are needed."""


def score(context: DefenceContext, *, omega: float, xi: float, models: int, threshold: float) -> Detection:
    """Score each row by the mean probability that the amplified networks give to its original prediction
    (`sureness`)."""
    if len(context.clean) < LEAST:
        raise Failure(f"needs {LEAST} clean rows or more, to choose layers by, and there are {len(context.clean)}")
    amplified = Amplifier(context, omega)
    errors = errors_of(amplified, context.clean.inputs, context.clean.labels, amplified.layers)
    chosen = choose(errors, xi, models)
    if not chosen.reached:
        context.log(
            f"ibd-psc: no number of layers makes more than {xi:.0%} of the clean rows wrong ({max(errors):.0%} at "
            f"most, "
            f"with {chosen.counts[0]} of {amplified.layers}): that one is taken, a larger omega would disturb more"
        )
    found = sureness(doubts_of(amplified, context.images(), context.predicted(), chosen.counts))
    if np.ptp(found) == 0:
        raise Failure("every row keeps exactly the same probability, so nothing tells them apart")
    findings = {
        "layers": amplified.layers,
        "amplified": list(chosen.counts),
        "clean_errors": [round(float(error), 6) for error in errors],
        "xi_reached": chosen.reached,
    }
    return Detection(found, consistency(found) >= threshold, findings)


class Amplifier:
    """A network whose last batch normalisations are amplified: (count, images) → logits."""

    def __init__(self, context: DefenceContext, omega: float):
        model = context.network()
        self._forward, self._classes = evidence.forward(model), context.classes
        self._weights = [
            [(weight, _value(weight)) for weight in (layer.gamma, layer.beta) if weight is not None]
            for layer in context.batch_norms(model)
        ]
        self._omega, self.layers = omega, len(self._weights)
        if not any(self._weights):
            raise Failure("this network's batch normalisations have neither scale nor shift that could be amplified")

    def __call__(self, count: int, images: np.ndarray) -> np.ndarray:
        """Return the logits (n, C) with γ and β of the last `count` layers times ω. `Failure` for NaN."""
        for number, weights in enumerate(self._weights):
            factor = self._omega if number >= self.layers - count else 1
            for weight, value in weights:
                weight.assign(value * np.float32(factor))
        found = np.empty((len(images), self._classes), np.float32)
        for rows, block, size in evidence.blocks(images):
            found[rows] = self._forward(block)[-1][:size]
        if not np.isfinite(found).all():
            raise Failure(f"with its last {count} batch normalisations amplified the network predicts NaN: a smaller "
                          f"omega "
                          "is needed")  # fmt: skip
        return found


def _value(weight: Any) -> np.ndarray:
    from keras import ops

    return np.array(ops.convert_to_numpy(weight))


@dataclass(frozen=True)
class Amplified:
    """Which networks are asked: `counts`, how many of the last batch normalisations are amplified in each; `errors`
    (L,), the share of clean rows that is wrong with the last 1 … L amplified; `reached`: whether one exceeds ξ."""

    counts: tuple[int, ...]
    errors: np.ndarray
    reached: bool


def choose(errors: np.ndarray, xi: float, models: int) -> Amplified:
    """Choose the networks: from the smallest k whose error exceeds ξ, those with k, k + 1, … k + models − 1 amplified.

    Where no error exceeds ξ the k of the largest one is taken, the smallest such; there are fewer networks where k +
    models − 1 goes beyond the layers (the paper does not say what then; its code repeats the last network, or stops).

    Parameters
    ----------
    errors : (L,) float
        Share of clean rows classified wrongly with the last 1, 2, … L batch normalisations amplified.
    """
    over = np.flatnonzero(np.asarray(errors) > xi)
    first = int(over[0] if len(over) else np.argmax(errors)) + 1
    counts = tuple(range(first, min(first + models, len(errors) + 1)))
    return Amplified(counts, np.asarray(errors), bool(len(over)))


def errors_of(
    logits: Callable[[int, np.ndarray], np.ndarray], images: np.ndarray, labels: np.ndarray, layers: int
) -> np.ndarray:
    """Return the share of clean rows (m,) that is wrong with the last 1 … L layers amplified, (L,) float64.

    `logits(count, images)` gives the logits of the network whose last `count` layers are amplified.
    """
    wrong = [logits(count, images).argmax(axis=1) != labels for count in range(1, layers + 1)]
    return np.asarray([one.mean() for one in wrong])


def doubts_of(
    logits: Callable[[int, np.ndarray], np.ndarray], images: np.ndarray, classes: np.ndarray, counts: tuple[int, ...]
) -> np.ndarray:
    """Return ln(1 − p), p being the probability that each amplified network gives to the original prediction (n,):
    (n, networks) float64."""
    return np.stack([doubt(logits(count, images), classes) for count in counts], axis=1)


def doubt(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return ln(1 − softmax) of one class each, (n, C), (n,) → (n,) float64: finite where a probability rounds to 1."""
    every = np.asarray(logits, np.float64)
    others = every.copy()
    others[np.arange(len(every)), classes] = -np.inf
    return np.asarray(np.logaddexp.reduce(others, axis=1) - np.logaddexp.reduce(every, axis=1))


def sureness(doubts: np.ndarray) -> np.ndarray:
    """Return −ln(1 − PSC), (n,) float64, PSC being the paper's: the mean probability over the networks (n, networks).

    It ranks rows as the PSC does, and keeps apart those whose PSC rounds to 1, as on an overfitted network most do.
    """
    return np.asarray(np.log(doubts.shape[1]) - np.logaddexp.reduce(doubts, axis=1))


def consistency(sure: np.ndarray) -> np.ndarray:
    """Return the paper's PSC of what `sureness` has returned, (n,) from 0 to 1."""
    return np.asarray(-np.expm1(-sure))


def work(size: Size, options: Mapping[str, Any]) -> Work:
    """Every row is predicted by each network; the clean rows by as many as there are layers, say 16."""
    return Work(forward=size.rows * (1 + options["models"]) + 16 * size.clean)


WHERE = (
    "BackdoorBox af3afd1, core/defenses/IBD_PSC.py, and backdoor-toolbox 9d4d909, other_defenses_tool_box/IBD_PSC.py"
)

register(
    DetectorSpec(
        name="ibd-psc",
        title="IBD-PSC",
        source="Hou et al. 2024, IBD-PSC: input-level backdoor detection via parameter-oriented scaling consistency",
        summary="Amplifies the last batch normalisations: a backdoor's prediction stays as sure as it is.",
        score=score,
        needs=(IMAGES, BATCH_NORM, CLEAN_ROWS),
        options=(
            Option("omega", "What γ and β are multiplied by.", float, 1.5, above=1, most=100, source="paper: ω"),
            Option(
                "xi",
                "Share of wrong clean rows from which on a number of layers is large enough.",
                float,
                0.6,
                above=0,
                below=1,
                source="paper: ξ",
            ),
            Option(
                "models",
                "Networks that are asked, each with one layer more amplified.",
                int,
                5,
                least=1,
                most=1000,
                source="paper: n",
            ),
            Option(
                "threshold",
                "A row whose mean probability is this or more is flagged.",
                float,
                0.9,
                above=0,
                most=1,
                source="paper: T",
            ),
        ),
        work=work,
        aliases=("ibdpsc",),
        remarks=(
            Remark(
                WHERE,
                RUN,
                "finds k with the last k layers amplified and then amplifies k + 1 … k + n: one more than intended",
                "amplifies k … k + n − 1",
            ),
            Remark(
                WHERE,
                RUN,
                "looks for k up to L − 1 only, and stops with a TypeError where no error reaches ξ, as on small or "
                "robust networks",
                "looks at all L layers, takes the k of the largest error and says so",
            ),
            Remark(
                WHERE,
                READ,
                "beyond the last layer asks the same network again without saying so",
                "asks fewer networks, and the findings list which",
            ),
            Remark(WHERE, READ, "detect() returns the first batch only", "scores every row"),
        ),
    )
)
