"""The isolation step of ABL (Li et al. 2021): suspicious are the rows that are learnt first, that is those with the
lowest loss after the first epochs of the run's own training."""

import numpy as np

from benchmark.core.errors import Failure, Usage
from benchmark.defences.context import DefenceContext, Detection
from benchmark.defences.needs import LOSSES
from benchmark.defences.options import Option
from benchmark.defences.registry import READ, RUN, WHOLE, DetectorSpec, Remark, Work, register


def parse_epochs(text: str) -> str:
    """Return the one spelling of epochs such as 1,2,5: ascending, each once. `Usage` for anything else."""
    try:
        epochs = sorted({int(one) for one in text.split(",")})
    except ValueError:
        epochs = []
    if not epochs or epochs[0] < 1:
        raise Usage(f"epochs are whole numbers from 1 with commas between them, such as 1,2,3: not {text!r}")
    return ",".join(map(str, epochs))


def chosen(recorded: np.ndarray, losses: np.ndarray, epochs: tuple[int, ...] | None) -> np.ndarray:
    """Return the losses of the epochs asked for, (k, n) float64, None: all that are recorded.

    Raises `Failure` if one is not among the `recorded` (m,), of which `losses` (m, n) are.
    """
    if not len(recorded):
        raise Failure("the run has recorded the losses of no epoch: train it again")
    wanted = tuple(recorded.tolist()) if epochs is None else epochs
    if lacking := [str(epoch) for epoch in wanted if epoch not in recorded]:
        there = ", ".join(map(str, recorded.tolist()))
        raise Failure(f"the run has not recorded the losses of epoch {', '.join(lacking)}: it has those of {there}")
    return losses[np.isin(recorded, wanted)].astype(np.float64)


def scores(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return minus the mean loss over the epochs of losses (k, n), (n,) float64, and which rows have none, (n,) bool.

    A row without a loss (NaN in any epoch: it was not trained on) gets the median of the others.
    """
    lacking = np.isnan(losses).any(0)
    if lacking.all():
        raise Failure("no row has a loss in every epoch asked for")
    result = -losses.mean(0)
    result[lacking] = np.median(result[~lacking])
    return result, lacking


def cut(scores: np.ndarray, lacking: np.ndarray, share: float) -> np.ndarray:
    """Tell which rows are isolated, (n,) bool: `share` of all rows, rounded down, those of lowest loss (of equal ones
    the first); never one without a loss."""
    order = np.argsort(-scores, kind="stable")
    order = order[~lacking[order]]
    flagged = np.zeros(len(scores), bool)
    flagged[order[: int(share * len(scores))]] = True
    return flagged


def score(context: DefenceContext, *, epochs: str | None, share: float) -> Detection:
    """Score the inspected rows of a run by `scores`, and cut by `cut`."""
    recorded = context.losses()
    wanted = None if epochs is None else tuple(map(int, epochs.split(",")))
    found, lacking = scores(chosen(recorded.epochs, recorded.losses, wanted))
    findings = {
        "epochs": list(wanted or recorded.epochs.tolist()),
        "rows_without_a_loss": int(lacking.sum()),
        "median_loss": round(float(-np.median(found)), 6),
    }
    return Detection(found, cut(found, lacking, share), findings)


register(
    DetectorSpec(
        name="loss",
        title="Low loss (ABL's isolation)",
        source="Li et al. 2021, Anti-backdoor learning: training clean models on poisoned data",
        summary="How low a row's loss is after the first epochs of the run's own training: a backdoor is learnt fast.",
        score=score,
        judges=WHOLE,
        needs=(LOSSES,),
        options=(
            Option(
                "epochs",
                "The epochs whose losses are averaged, with commas between them; by default all that are recorded.",
                str,
                None,
                parse=parse_epochs,
            ),
            Option(
                "share",
                "Share of all rows that is isolated: those of lowest loss.",
                float,
                0.01,
                above=0,
                below=1,
                source="paper, and every published code",
            ),
        ),
        work=lambda size, options: Work(seconds=1e-5 * size.rows),
        aliases=("abl-isolation", "low-loss"),
        remarks=(
            Remark(
                "BackdoorBench f02e353, detection_pretrain/abl.py, and all other published code",
                RUN,
                "offers gradient ascent (LGA) and flooding as alternatives, but takes the sign from the mean loss of "
                "the batch, and then the two have the same gradient: runs of both are equal row for row (the paper "
                "takes it row by row)",
                "isolates by the losses of the run's own, ordinary training, so that one training serves every method",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/abl.py",
                READ,
                "trains by flooding at a constant learning rate of 0.01 and isolates without augmentation",
                "trains nothing; losses are recorded in evaluation mode, without augmentation",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/abl.py",
                READ,
                "says in a comment that losses are sorted descending; they are sorted ascending, which is right",
                "isolates the lowest losses",
            ),
        ),
    )
)
