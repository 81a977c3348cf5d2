"""What a method needs of a run: asked before anything is computed, and said in one line where a run lacks it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.core.errors import Failure
from benchmark.runs import hints, row_losses
from benchmark.training.settings import EncoderSettings

if TYPE_CHECKING:
    from benchmark.defences.context import DefenceContext


@dataclass(frozen=True)
class Need:
    """One thing that a method needs: in a word, in a sentence, and what raises `Failure` where a run lacks it."""

    name: str
    words: str
    check: Callable[["DefenceContext"], None]


def _features(context: "DefenceContext") -> None:
    if not context.has_features:
        raise Failure("this network's last layer is not a keras.layers.Dense, so it has no features")


def _clean_rows(context: "DefenceContext") -> None:
    if not len(context.clean):
        again = hints.hold_out(context.run.folder, context.data_set, context.settings)
        raise Failure(f"the run was trained on every row, and this needs clean ones that it never saw: {again}")


def _losses(context: "DefenceContext") -> None:
    row_losses.read(context.run.folder, context.training_rows)


def _batch_norm(context: "DefenceContext") -> None:
    if not context.batch_norms():
        raise Failure(f"needs a network with batch normalisation, and {context.settings.title} has none")


def _experts(context: "DefenceContext") -> None:
    context.run.routed_layers()


def _heads(context: "DefenceContext") -> None:
    if context.run.config.network != EncoderSettings.NETWORK:
        raise Failure("this run's model has no attention heads; a text encoder's has (a run on texts)")


def _modality(wanted: str) -> Callable[["DefenceContext"], None]:
    def check(context: "DefenceContext") -> None:
        if wanted != context.settings.MODALITY:
            raise Failure(f"is for {wanted}s, and this run is on {context.settings.MODALITY}s")

    return check


def _nothing(context: "DefenceContext") -> None:
    """Every run has it."""


FEATURES = Need("features", "the inputs of the last layer", _features)
CLEAN_ROWS = Need("clean rows", "rows that are known to be clean, and were not trained on", _clean_rows)
LOSSES = Need("losses", "each row's loss after the first epochs, which training records", _losses)
BATCH_NORM = Need("batch norm", "a network with batch normalisation", _batch_norm)
EXPERTS = Need("experts", "a network whose experts choose patches", _experts)
HEADS = Need("heads", "a text encoder, whose attention heads can be inspected", _heads)
IMAGES = Need("images", "a data set of images", _modality("image"))
TEXTS = Need("texts", "a data set of texts", _modality("text"))
TRAINING = Need("training", "time: it trains networks", _nothing)
