"""Is the network in a run's folder the one that the run was scored with? Another of the same architecture fits as well.

Of some rows its outputs are compared with the predicted classes that training left. On another machine, or in another
precision, two classes that are about as probable may change places. So a row counts as another only where the class of
then is clearly less probable now, and a few such rows are let through. (bfloat16 instead of float32 changes none of
1,024 rows of GTSRB; of networks that differ in their seed alone 40 to 160 rows differ, signs at 98 % accuracy and GTSRB
at 85 %.)
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import archives, files
from benchmark.core.errors import Failure
from benchmark.format.dataset import Rows
from benchmark.runs import hints
from benchmark.runs.run import Run
from benchmark.training.metrics import softmax

ROWS = 512
"""How many rows of each set are compared at most."""
MARGIN, SPREAD = 0.5, 0.1
"""How much larger the logarithm of the most probable class's probability must be than that of the class of then: at
most so much, and of a network that is sure of nothing this part of the standard deviation over the classes."""
SHARE = 0.005
"""The share of rows that may differ; one may in any case."""
TINY = 1e-30
"""What stands for a probability of 0."""
SETS = ("test", "triggered")


def check(
    job: Run,
    scored: Mapping[str, Rows],
    probabilities: Callable[[Any], np.ndarray],
    tested: np.ndarray | None = None,
) -> None:
    """Compare a finished run's network with what it has predicted.

    Parameters
    ----------
    job : Run
        Its folder has predictions.npz; where there are none of these rows, that is warned of.
    scored : mapping of str to Rows
        The rows of each set, as the network takes them.
    probabilities : callable
        Inputs (m, …) → what the network makes of them, (m, C), rows that sum to 1.
    tested : (n,) int64, optional
        Which of the file's test rows those in `scored` are; None: all.

    Raises
    ------
    Failure
        If it is another network.
    """
    path = job.folder / "predictions.npz"
    recorded = _recorded(path)
    for name in SETS if recorded else ():
        if name not in scored:
            continue
        then, rows = recorded.get(name, np.empty(0)), scored[name]
        if tested is not None and name == "test" and tested.max(initial=-1) < len(then):
            then = then[tested]
        if then.shape != (len(rows),):
            _unknown(path, f"has none of the {name} rows")
            return
        wrong, of = _differing(then, rows, probabilities)
        if wrong > max(1, SHARE * of):
            raise Failure(
                f"{job.folder}/model.keras: is not the network that was trained here: of {of:,} {name} rows it takes "
                f"{wrong:,} for another class than predictions.npz has: put the right one back, or move the folder "
                f"away and train again: {hints.go_on(job.folder, job.config.raw)}"
            )


def of_images(model: Any) -> Callable[[Any], np.ndarray]:
    """Return what `check` asks of a loaded network of images: images (m, H, W, C) uint8 → (m, C) float32."""
    from keras import ops

    from benchmark.nn.engines.common import network

    logits = network(model)
    return lambda images: softmax(ops.convert_to_numpy(ops.cast(logits([images], training=False), "float32")))


def _recorded(path: Path) -> dict[str, np.ndarray]:
    """Return the predicted classes in a file, by the name of their set; nothing, and a warning, where it has none."""
    try:
        found = files.read_npz(path, files.MOST)
    except (*archives.BROKEN, Failure, MemoryError):
        _unknown(path, "cannot be read")
        return {}
    return {name: array for name, array in found.items() if array.ndim == 1 and array.dtype.kind in "iu"}


def _unknown(path: Path, why: str) -> None:
    words = "%s: %s, so it cannot be told whether model.keras is the network that was trained here"
    logging.getLogger("benchmark").warning(words, path, why)


def _differing(then: np.ndarray, rows: Rows, probabilities: Callable[[Any], np.ndarray]) -> tuple[int, int]:
    """Return of how many rows the class is clearly another than `then`, and of how many that were compared."""
    some = np.unique(np.linspace(0, len(rows) - 1, ROWS).astype(np.int64)) if len(rows) else np.arange(0)
    found = np.log(np.maximum(probabilities(rows.inputs[some]), TINY, dtype=np.float64))
    expected = then[some].astype(np.int64)
    known = (expected >= 0) & (expected < found.shape[1])
    now = found[np.arange(len(some)), np.where(known, expected, 0)]
    margin = min(MARGIN, SPREAD * float(found.std(axis=1).mean())) if len(some) else MARGIN
    clearly = found.max(axis=1) - now > margin
    return int(np.count_nonzero(~known | clearly)), len(some)
