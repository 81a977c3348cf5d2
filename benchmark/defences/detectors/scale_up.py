"""SCALE-UP (Guo et al. 2023): whose predicted class survives its pixels being multiplied, is suspicious."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core.errors import Failure, Usage
from benchmark.defences.context import CLEAN, DefenceContext, Detection
from benchmark.defences.needs import CLEAN_ROWS, IMAGES
from benchmark.defences.options import Option
from benchmark.defences.registry import READ, RUN, DetectorSpec, Remark, Size, Work, register

LEAST = 10
"""Clean rows that a class needs for a mean and a standard deviation of its own."""
AT_ONCE = 4096
"""Scaled images that are held at a time."""
FREE, LIMITED = "data-free", "data-limited"


def score(context: DefenceContext, *, mode: str, factors: str, threshold: float) -> Detection:
    """Score each row by the share of factors under which its predicted class stays, or by how unusual that share is."""
    if mode == LIMITED:
        CLEAN_ROWS.check(context)
    numbers, predict = tuple(map(int, factors.split(","))), context.predictor()

    def consistent(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        return consistency(classes, scaled_classes(predict, images, numbers))

    classes = context.predicted()
    found = consistent(context.images(), classes)
    findings: dict[str, Any] = {"mean_consistency": {"inspected": float(found.mean())}}
    if mode == LIMITED:
        own = context.predicted(CLEAN)
        clean = consistent(context.clean.inputs, own)
        findings["mean_consistency"]["clean"] = float(clean.mean())
        try:
            compared = usual(clean, own, context.classes)
        except ValueError as error:
            raise Failure(f"{error}: there is nothing to compare with; data-free, --option scale-up.mode={FREE}, does "
                          "without") from None  # fmt: skip
        found = compared.standardised(found, classes)
        findings["classes_without_own_mean"] = [context.class_names[label] for label in compared.shared]
    elif np.ptp(found) == 0:
        raise Failure(f"every row is equally consistent ({found[0]:g}), so nothing tells them apart")
    return Detection(found, found > threshold, findings)


def scaled(images: np.ndarray, factor: int) -> np.ndarray:
    """Multiply images (…) uint8 by a whole number and cut them to 255: exactly what is displayed of them, uint8."""
    return np.minimum(images.astype(np.uint16) * factor, 255).astype(np.uint8)


def scaled_classes(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, factors: tuple[int, ...]
) -> np.ndarray:
    """Return the predicted class of each image (n, H, W, C) uint8 under each factor, (n, factors) int64."""
    found = np.empty((len(images), len(factors)), np.int64)
    for start in range(0, len(images), AT_ONCE):
        block = slice(start, start + AT_ONCE)
        for number, factor in enumerate(factors):
            found[block, number] = np.asarray(predict(scaled(images[block], factor))).argmax(axis=1)
    return found


def consistency(classes: np.ndarray, under_factors: np.ndarray) -> np.ndarray:
    """Return the share of factors under which an image's class (n,) stays what it is, (n,) float64: the paper's SPC.

    `under_factors` (n, factors) are the classes of its scaled copies.
    """
    return np.asarray((under_factors == classes[:, None]).mean(axis=1))


@dataclass(frozen=True)
class Usual:
    """Mean and standard deviation of the clean rows' consistency, per class; `shared`: the classes that had too few
    clean rows of their own, or all alike, and take those of all clean rows."""

    mean: np.ndarray
    deviation: np.ndarray
    shared: tuple[int, ...]

    def standardised(self, values: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return how many standard deviations each value (n,) lies above the mean of its class."""
        return np.asarray((values - self.mean[classes]) / self.deviation[classes])


def usual(values: np.ndarray, classes: np.ndarray, count: int, least: int | None = LEAST) -> Usual:
    """Measure the clean rows' consistency (m,) by their class (m,) of `count`, as the paper has it.

    `least` is how many rows a class needs; with None all classes share one mean, as in the published code. Standard
    deviations divide by m − 1. `ValueError` where all rows are alike, so that nothing can be compared with them.
    """
    if len(values) < 2 or values.std(ddof=1) == 0:
        raise ValueError("all clean rows are equally consistent")
    mean, deviation = np.full(count, values.mean()), np.full(count, values.std(ddof=1))
    shared = []
    for label in range(count):
        own = values[classes == label]
        if least is None or len(own) < least or own.std(ddof=1) == 0:
            shared.append(label)
        else:
            mean[label], deviation[label] = own.mean(), own.std(ddof=1)
    return Usual(mean, deviation, tuple(shared))


def parse_factors(text: str) -> str:
    """Parse ``3,5,7`` to one spelling. `Usage` where one is no whole number from 2 to 255, or there is none."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(2 <= number <= 255 for number in numbers):
        raise Usage(f"factors: expected whole numbers from 2 to 255, as 3,5,7,9,11, got {text!r:.60}")
    return ",".join(str(number) for number in dict.fromkeys(numbers))


def work(size: Size, options: Mapping[str, Any]) -> Work:
    """Every row is predicted as it is and under each factor, and so are clean ones in `data-limited`."""
    rows = size.rows + (size.clean if options["mode"] == LIMITED else 0)
    return Work(forward=rows * (1 + len(options["factors"].split(","))))


WHERE = "BackdoorBox af3afd1, core/defenses/SCALE_UP.py"

register(
    DetectorSpec(
        name="scale-up",
        title="SCALE-UP",
        source="Guo et al. 2023, SCALE-UP: an efficient black-box input-level backdoor detection via analyzing scaled "
        "prediction consistency",
        summary="Multiplies a row's pixels: a backdoor's prediction stays what it is.",
        score=score,
        needs=(IMAGES,),
        options=(
            Option(
                "mode",
                "data-limited compares with clean rows of the same predicted class, and needs some.",
                str,
                FREE,
                choices=(FREE, LIMITED),
                source="paper",
            ),
            Option(
                "factors",
                "Whole numbers that pixels are multiplied by.",
                str,
                "3,5,7,9,11",
                parse=parse_factors,
                source="BackdoorBox",
            ),
            Option(
                "threshold",
                "A row above it is flagged: a share of the factors, or standard deviations (data-limited).",
                float,
                0.5,
                source="BackdoorBox",
            ),
        ),
        work=work,
        aliases=("scaleup",),
        remarks=(
            Remark(WHERE, READ, "stops with an AttributeError where a threshold is given", "takes it as an option"),
            Remark(WHERE, READ, "detect() returns the first batch of 128 rows only", "scores every row"),
            Remark(
                WHERE,
                READ,
                "cuts scaled pixels to 0 … 1 of the network's input, which is wrong where that is normalised",
                "cuts bytes to 255; a network normalises inside",
            ),
            Remark(
                WHERE,
                RUN,
                "compares with one mean of all clean rows, against their true labels",
                "compares, data-limited, with the clean rows of the same predicted class, as the paper has it, where "
                f"there are {LEAST} or more; findings name the classes where there are not",
            ),
            Remark(
                WHERE,
                RUN,
                "flags a row whose share equals the threshold",
                "flags only one above it, as the paper has it; with five factors no share is 0.5",
            ),
        ),
    )
)
