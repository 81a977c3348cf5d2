"""What a defence is given of a trained run: the training rows as they are labelled, clean rows, the network.

There is no truth in it, and no triggered row: a detector cannot peek. What several methods need is computed once a run
and kept (`evidence`).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import naming, random_streams
from benchmark.defences import evidence
from benchmark.defences.trigger_pictures import Searched
from benchmark.format.dataset import Dataset, Rows
from benchmark.runs import row_losses
from benchmark.runs.row_losses import RowLosses
from benchmark.runs.run import Run
from benchmark.training.common import Common
from benchmark.training.metrics import Json, softmax

TRAIN, CLEAN = "train", "clean"


@dataclass(frozen=True)
class Detection:
    """What a detector says.

    Parameters
    ----------
    scores : (n,) float64
        One for each of `context.rows`; higher is more suspicious.
    flagged : (n,) bool or None
        The method's own cut; None where it has none.
    findings : dict
        What else it found, as small JSON: of each class, layer or expert.
    pictures : mapping
        Name of a PNG → what draws it to a path.
    state : object
        What the method's `study` goes on with; it is not stored.
    """

    scores: np.ndarray
    flagged: np.ndarray | None = None
    findings: Json = field(default_factory=dict)
    pictures: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    state: Any = None


@dataclass(frozen=True)
class Stage:
    """One point of a repair: the network as it is now, a name, what tells it from others of that name (`label`), and
    what was done to it, as small JSON. `triggers`: name of a PNG → those that it takes for triggers, `Searched`; they
    are drawn beside the true one where that is known. `pictures` and `state` as in `Detection`."""

    model: Any
    name: str
    label: str = ""
    findings: Json = field(default_factory=dict)
    pictures: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    triggers: Mapping[str, Sequence[Searched]] = field(default_factory=dict)
    state: Any = None


class DefenceContext:
    """See the module.

    Attributes
    ----------
    run : Run
        The run.
    train : Rows
        All training rows as they are in the file: inputs (images (N, H, W, C) uint8, or `Tokens`), given labels (N,).
    rows : (n,) int64
        Those that are inspected, ascending.
    clean : Rows
        Rows that are known to be clean, with their true labels; never inspected, and nothing is scored on them. Empty
        where the run held none out.
    written, clean_written : Dataset, Rows
        Data set and clean rows as they are in the file: texts as text. For images nothing else than `train`, `clean`.
    log : callable
        Takes a line of progress.
    watch : callable
        Takes a network in the midst of a repair, as after an epoch: it is scored for the record, and the repair learns
        nothing of it.
    """

    def __init__(
        self,
        run: Run,
        data: Dataset,
        rows: np.ndarray,
        clean: Rows,
        clean_name: str,
        log: Callable[[str], None],
        written: tuple[Dataset, Rows] | None = None,
    ):
        self.run, self.rows, self.clean, self.log = run, rows, clean, log
        self.data_set = data
        self.written, self.clean_written = written or (data, clean)
        self.watch: Callable[[Any], None] = lambda model: None
        self.train = data.train
        self._clean_name = clean_name  # tells clean rows from others in the evidence
        self._store: evidence.Store | None = None
        self._model: Any = None
        self._forward: Callable[[Any], list[np.ndarray]] | None = None

    @property
    def settings(self) -> Common:
        """The settings that the network was trained with."""
        return self.run.settings

    @property
    def seed(self) -> int:
        """The run's."""
        return self.settings.seed

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.data_set.classes)

    @property
    def class_names(self) -> list[str]:
        """Their names, by label, told apart where two are called the same: findings are by name."""
        return naming.distinct(self.data_set.classes)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width, channels; empty for texts."""
        return tuple(self.train.inputs.shape[1:]) if self.is_of_images else ()

    @property
    def is_of_images(self) -> bool:
        """Does the network classify images, not texts?"""
        return self.settings.MODALITY == "image"

    @property
    def training_rows(self) -> int:
        """How many training rows the file has."""
        return len(self.train)

    @property
    def labels(self) -> np.ndarray:
        """The given labels of the inspected rows, (n,) int64."""
        return self.train.labels[self.rows]

    def images(self) -> np.ndarray:
        """Return the inputs of the inspected rows."""
        return self.train.inputs[self.rows]

    # ------------------------------------------------------------ the network

    def network(self) -> Any:
        """Return a fresh copy of the trained network."""
        from benchmark.nn import model_files

        return model_files.load(self.run.folder)

    @property
    def model(self) -> Any:
        """The trained network, shared: never to be changed."""
        if self._model is None:
            self._model = self.network()
        return self._model

    def weights_digest(self) -> str:
        """Return the digest of the shared network's weights."""
        found = hashlib.sha256()
        for array in self.model.get_weights():
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def forget(self) -> None:
        """Forget the shared network, which somebody has changed, and everything that is kept of it in the folder."""
        self._evidence.clear()
        self._model = self._forward = None

    @property
    def has_features(self) -> bool:
        """Has the network a dense last layer?"""
        return evidence.has_features(self.model)

    def batch_norms(self, model: Any = None) -> list[Any]:
        """Return the layers of a network (None: the trained one) that normalise by running statistics, in order."""
        from benchmark.nn.layers import batch_norms

        return batch_norms(self.model if model is None else model)

    def predictor(self, model: Any = None) -> Callable[[np.ndarray], np.ndarray]:
        """Return a function of images (m, H, W, C), uint8, or float32 in bytes (then also between and beyond 0 to 255),
        or of texts: their probabilities, (m, C) float32. `model`: another than the trained one, as it then is."""
        steps: dict[bool, Callable[[Any], list[np.ndarray]]] = {}

        def predict(inputs: Any) -> np.ndarray:
            floats = getattr(inputs, "dtype", None) == np.float32
            if floats not in steps:
                trained = model is None and not floats
                steps[floats] = self._steps() if trained else evidence.forward(model or self.model, floats)
            forward = steps[floats]
            found = np.empty((len(inputs), self.classes), np.float32)
            for rows, block, count in evidence.blocks(inputs):
                found[rows] = softmax(forward(block)[-1][:count])
            return found

        return predict

    # ------------------------------------------------------------ evidence

    def features(self, group: str = TRAIN) -> np.ndarray:
        """Return the inputs of the last layer, (n, d) float32; of texts the vector of [CLS]. `group`: `train`, the
        inspected rows, or `clean`."""
        if not self.has_features:
            raise ValueError("a method that takes features must say that it needs them")
        return self._outputs(group)[:, : -self.classes]

    def logits(self, group: str = TRAIN) -> np.ndarray:
        """Return the logits, (n, C) float32."""
        return self._outputs(group)[:, -self.classes :]

    def probabilities(self, group: str = TRAIN) -> np.ndarray:
        """Return the probabilities, (n, C) float32."""
        return softmax(self.logits(group))

    def predicted(self, group: str = TRAIN) -> np.ndarray:
        """Return the most probable classes, (n,) int64."""
        return np.asarray(self.logits(group).argmax(axis=1), np.int64)

    def losses(self) -> RowLosses:
        """Return the losses of the inspected rows after the first epochs; NaN where a row was not trained on. Raises as
        `row_losses.read`."""
        found = row_losses.read(self.run.folder, self.training_rows)
        return RowLosses(found.epochs, found.losses[:, self.rows])

    def kept(self, name: str, group: str, compute: evidence.Compute, width: int | None = None) -> np.ndarray:
        """Return what a method computes row by row, and keep it: `compute` makes of a block of inputs (m, …), always of
        one size, an array (m, …). Of `train` for all training rows, and cut to those inspected. `width`: it is (m,
        width) float32, and what is kept of another kind is computed again."""
        inputs = self._inputs(group)
        which = TRAIN if group == TRAIN else self._clean_name
        found = self._evidence.array(
            f"{name}-{which}", len(inputs), lambda path: evidence.by_block(path, inputs, compute), width
        )
        return self._inspected(found) if group == TRAIN else np.asarray(found)

    def blocks(self, group: str = TRAIN, size: int | None = None) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield the rows of a group in blocks: (positions (m,) among them, their inputs (m, …))."""
        inputs = self.images() if group == TRAIN else self.clean.inputs
        for rows, block, count in evidence.blocks(inputs, size):
            yield rows, block[:count]

    def split_clean(self, share: float) -> tuple[Rows, Rows]:
        """Split the clean rows at random into those to learn from and a share to choose by; at least one of each."""
        order = random_streams.permutation(self.seed, "clean rows to choose by", len(self.clean))
        held = min(max(1, round(share * len(order))), len(order) - 1)
        parts = (np.sort(order[held:]), np.sort(order[:held]))
        learn, choose = (Rows(self.clean.inputs[part], self.clean.labels[part]) for part in parts)
        return learn, choose

    @property
    def _evidence(self) -> evidence.Store:
        if self._store is None:
            self._store = evidence.Store(self.run.folder)
        return self._store

    def _steps(self) -> Callable[[Any], list[np.ndarray]]:
        if self._forward is None:
            self._forward = evidence.forward(self.model)
        return self._forward

    def _inputs(self, group: str) -> Any:
        return self.train.inputs if group == TRAIN else self.clean.inputs

    def _outputs(self, group: str) -> np.ndarray:
        """Return features and logits side by side, (n, d + C) float32: one pass computes both."""
        width = evidence.features(self.model) + self.classes
        return self.kept("outputs", group, lambda block: np.concatenate(self._steps()(block), axis=1), width)

    def _inspected(self, found: np.ndarray) -> np.ndarray:
        return np.asarray(found) if len(self.rows) == len(found) else np.asarray(found[self.rows])
