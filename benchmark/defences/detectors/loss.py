"""The isolation step of ABL (Li et al. 2021): suspicious are the rows that are learnt first, that is those with the
lowest loss after the first epochs of the run's own training."""

import numpy as np

from benchmark.core.errors import Failure, Usage


def parse_epochs(text: str) -> tuple[int, ...]:
    """Return the epochs that a text such as 1,2,5 names, ascending. `Usage` for anything else."""
    try:
        epochs = sorted({int(one) for one in text.split(",")})
    except ValueError:
        epochs = []
    if not epochs or epochs[0] < 1:
        raise Usage(f"epochs are whole numbers from 1 with commas between them, such as 1,2,3: not {text!r}")
    return tuple(epochs)


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
