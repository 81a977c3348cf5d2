"""Contaminated heads realigned, and every alternative that this has to be better than.

Only the chosen heads' slices of query, key, value and output projection move. What is learned from are clean rows, with
their labels, and the rows that the detector flagged, without; neither is ever scored on.

`detect_heads` detects, `variants` lists what is to be compared, `train` and `run_variant` train, and score, each.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.analysis.heads import detect, detector, results
from benchmark.analysis.heads.detect import Log, Searched, Suspects
from benchmark.analysis.heads.detector import Detector, DetectorSettings
from benchmark.analysis.heads.evaluate import Scorer, predict, without
from benchmark.analysis.heads.model_similarity import ModelSimilarity
from benchmark.analysis.heads.records import Aligned, Head, Step, Tuned, Variant, percent
from benchmark.core import environment, files, random_streams
from benchmark.core.errors import Failure
from benchmark.format.dataset import Rows
from benchmark.runs.context import Opened
from benchmark.training.metrics import Json, Scores

if TYPE_CHECKING:
    from benchmark.analysis.heads import tuning

ALIGNED, FORGOTTEN = "aligned", "aligned, flat prediction"
ROWS_AND_ORDER = (
    "metric", "map", "min_words", "flag", "heads", "threshold", "rows", "one_target", "labelled_rows", "flat", "seed",
)  # fmt: skip
DEFAULTS = {"strength": (10.0, 1.0), "epochs": (6, 2), "learning_rate": (1e-3, 3e-4), "full_epochs": (3, 2)}
"""What is taken where nothing is asked for: without the flat prediction, and with it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignSettings(DetectorSettings):
    """What decides an alignment: the detector, which rows are learned from, and λ (`strength`), the weight of the flat
    prediction (`unlearn`, 0 without it), what is to be flat, how far it leans, how long and how fast; and whether the
    `baselines` are trained beside, and their models kept."""

    one_target: bool
    labelled_rows: int
    unlearn: float
    flat: str | None
    lean: float | None
    strength: float
    epochs: int
    learning_rate: float
    full_epochs: int
    full_rate: float
    keep_models: bool
    baselines: bool
    seed: int


@dataclasses.dataclass(frozen=True)
class Detection:
    """What a defender has after the detection.

    Parameters
    ----------
    opened : Opened
        The run.
    settings : AlignSettings
    model : ModelSimilarity
        The untouched model.
    detector : Detector
        With the contaminated heads.
    suspects : Suspects
        The ranked rows of the suspect file.
    flagged : (n,) int
        The suspects to learn from without labels, as numbers among them.
    clean : tuning.Clean
        Held-out rows to learn from with labels.
    importance : (L, H) float64
        Of every head on the clean rows.
    """

    opened: Opened
    settings: AlignSettings
    model: ModelSimilarity
    detector: Detector
    suspects: Suspects
    flagged: np.ndarray
    clean: "tuning.Clean"
    importance: np.ndarray

    @property
    def median_z(self) -> np.ndarray:
        """Of each head over the rows that the first pass flags, (F,): what the contaminated heads are chosen by."""
        first = self.suspects.flagged(self.settings.flag)["mahalanobis"]
        return np.median(self.suspects.measured.z[first], axis=0)

    @property
    def random_heads(self) -> np.ndarray:
        """As many of the other heads as there are contaminated ones, or all of the others, at random."""
        layers, heads = self.model.shape
        others = np.setdiff1d(np.arange(layers * heads), self.detector.heads)
        order = random_streams.permutation(self.settings.seed, "random heads", len(others))
        return others[order[: len(self.detector.heads)]]

    def beside(self, opened: Opened) -> "Detection":
        """Return the same of the run as it is opened with the truth."""
        found = Searched(self.model, self.detector, self.suspects).beside(opened)
        return dataclasses.replace(self, opened=opened, model=found.model, suspects=found.suspects)

    def pairs(self, heads: np.ndarray) -> tuple[Head, ...]:
        """Return flat numbers as (layer, head)."""
        return tuple((int(head) // self.model.shape[1], int(head) % self.model.shape[1]) for head in heads)

    def flat(self, heads: tuple[Head, ...]) -> np.ndarray:
        """Return (layer, head) as flat numbers, in the same order."""
        return np.array([layer * self.model.shape[1] + head for layer, head in heads], np.int64)


def complete(options: dict[str, Any]) -> AlignSettings:
    """Complete the repair's options to settings; what was not asked for is as in DEFAULTS."""
    weight = options["unlearn_weight"] if options["unlearn"] else 0.0
    settings = {key: value for key, value in options.items() if key != "unlearn_weight"} | {"unlearn": weight}
    if not weight:
        settings |= {"flat": None, "lean": None}
    settings |= {key: pair[weight > 0] for key, pair in DEFAULTS.items() if settings[key] is None}
    return AlignSettings(**settings)


def detect_heads(opened: Opened, settings: AlignSettings, log: Log) -> Detection:
    """Find the contaminated heads and the rows to learn from.

    Raises `Failure` where no head's |median z| reaches the threshold.
    """
    from benchmark.analysis.heads import losses, tuning

    found = detect.search(opened, settings, log)
    model = found.model
    if not len(found.detector.heads):
        raise Failure(f"{opened.job.folder}: no head's |median z| reaches {settings.threshold} on flagged rows")
    held_out = clean_rows(opened.held_out, settings.labelled_rows)
    clean = tuning.Clean(opened.tokens(held_out.inputs), held_out.labels)
    flagged = flagged_rows(model, found.suspects, settings)
    importance = losses.importance(model.model, clean.tokens, clean.labels)
    return Detection(opened, settings, model, found.detector, found.suspects, flagged, clean, importance)


def flagged_rows(model: ModelSimilarity, suspects: Suspects, settings: AlignSettings) -> np.ndarray:
    """Return those that the second pass flags, as numbers among the suspects.

    With `one_target` only those that the model gives the class which most of them are given: a working backdoor
    gives all its rows the attacker's class, so that the others were flagged by mistake.
    """
    flagged = suspects.flagged(settings.flag)["second_pass"]
    if not settings.one_target:
        return flagged
    opened = model.opened
    texts = opened.contents.train.inputs[suspects.rows[flagged]]
    predicted = predict(model.model, opened.tokens(texts))
    return flagged[predicted == np.bincount(predicted).argmax()]


def variants(detection: Detection) -> dict[str, Variant]:
    """List the alignment that was asked for, and all that it is compared with, by name."""
    asked, pairs = detection.settings, detection.pairs
    heads, random = pairs(detection.detector.heads), pairs(detection.random_heads)
    long, full = (asked.epochs, asked.learning_rate), (asked.full_epochs, asked.full_rate)
    strength, unlearn, lean = asked.strength, asked.unlearn, asked.lean or 0.0
    name = FORGOTTEN if unlearn else ALIGNED
    listed = {
        name: Variant(heads, strength, unlearn, *long, lean),
        "full fine-tuning": Variant(None, 0.0, 0.0, *full),
        "heads alone, no alignment": Variant(heads, 0.0, 0.0, *long),
    }
    if unlearn:
        listed |= {
            "full fine-tuning, flat prediction": Variant(None, 0.0, unlearn, *full, lean),
            "heads alone, flat prediction": Variant(heads, 0.0, unlearn, *long, lean),
            ALIGNED: Variant(heads, strength, 0.0, *long),
        }
    if lean:
        listed[f"{name}, no lean"] = Variant(heads, strength, unlearn, *long)
    if random:
        listed[f"random heads, {name}"] = Variant(random, strength, unlearn, *long, lean)
    return listed


@dataclasses.dataclass(frozen=True)
class Asked:
    """The alignment that was asked for, done: its name, what it is, the network, and the mean loss of each epoch."""

    name: str
    variant: Variant
    model: Any
    losses: tuple[float, ...]


def align(detection: Detection, on_epoch: Callable[[Any], None]) -> Asked:
    """Do the alignment that was asked for; `on_epoch` takes the network after each epoch."""
    name, variant = next(iter(variants(detection).items()))
    model, found = detection.opened.network(), []
    for loss in train(detection, name, variant, model):
        found.append(loss)
        on_epoch(model)
    return Asked(name, variant, model, tuple(found))


def train(detection: Detection, name: str, variant: Variant, model: Any) -> Iterator[float]:
    """Train a network in place as a variant says; yield the mean loss after each epoch. `Failure` where that is no
    longer a finite number."""
    from benchmark.analysis.heads import losses, tuning

    similarity = detection.model
    moved = None if variant.heads is None else detection.flat(variant.heads)
    heads = detection.detector.heads if moved is None else moved
    deviation = losses.Deviation(model, heads, similarity.metric, similarity.kind, similarity.projections)
    plan = tuning.Plan(
        heads=moved, strength=variant.strength, unlearn=variant.unlearn, epochs=variant.epochs,
        learning_rate=variant.learning_rate, flat=detection.settings.flat or "rows",
    )  # fmt: skip
    flagged = _reference_statistics(detection, heads, variant.lean)
    for loss in tuning.tune(model, plan, detection.clean, flagged, deviation, detection.settings.seed):
        if not np.isfinite(loss):
            raise Failure(f"{name}: the loss is {loss}; try a smaller --option heads.learning_rate")
        yield loss


def study(
    detection: Detection, asked: Asked, history: Sequence[Scores], file: str | None, target: Path, log: Log
) -> tuple[Json, list[Step]]:
    """Put an alignment beside the network as it was and all baselines; each is scored after each epoch.

    Parameters
    ----------
    detection : Detection
        As `Detection.beside` gives it.
    asked : Asked
        Done already; `history` are its scores after each epoch, `file` where its network is.
    target : path-like
        The folder of the result, where the baselines' networks go, if they are to be kept.

    Returns
    -------
    The section of the result, and the steps in it
    """
    opened, settings, model = detection.opened, detection.settings, detection.model.model
    score = Scorer(opened, learned_from=detection.suspects.rows[detection.flagged])
    steps: list[Step] = []

    def add(step: Step) -> None:
        steps.append(step)
        log(_progress(step))

    add(Step("untouched", score(model)))
    add(Step("heads switched off", score(model, without(model, detection.detector.heads))))
    tuned = tuple(_tuned(loss, scores) for loss, scores in zip(asked.losses, history, strict=True))
    add(Step(asked.name, score(asked.model), asked.variant, tuned, file))
    earlier = earlier_steps(detection, target)
    for name, variant in list(variants(detection).items())[1:] if settings.baselines else ():
        known = earlier.get(variant)
        if known is None:
            known = run_variant(detection, name, variant, score, target if settings.keep_models else None)
        add(dataclasses.replace(known, stage=name))
    return _section(detection, steps), steps


def run_variant(detection: Detection, name: str, variant: Variant, score: Scorer, keep: Path | None) -> Step:
    """Train a fresh copy of the network as a variant says, scored after each epoch, and return its step of the result;
    the network is saved in the folder `keep`, if one is given. Raises as `train`."""
    from benchmark.nn import model_files

    model = detection.opened.network()
    history: list[Tuned] = []
    for loss in train(detection, name, variant, model):
        scores = score(model)
        history.append(_tuned(loss, scores))
    file = None
    if keep is not None:
        file = f"{name.replace(',', '').replace(' ', '-')}.keras"
        model_files.save(model, keep / file)
    return Step(name, scores, variant, tuple(history), file)


def _tuned(loss: float, scores: Scores) -> Tuned:
    return Tuned(loss, percent(scores, "ba"), percent(scores, "asr"))


def _reference_statistics(detection: Detection, heads: np.ndarray, lean: float) -> "tuning.Flagged":
    """Return the flagged rows with the reference statistics of some heads at each row's length."""
    from benchmark.analysis.heads import losses, tuning

    opened, model = detection.opened, detection.model
    tokens = opened.tokens(opened.contents.train.inputs[detection.suspects.rows[detection.flagged]])
    by_length = {length: model.reference.statistics(length) for length in np.unique(tokens.lengths)}
    both = np.array([[part[heads] for part in by_length[length]] for length in tokens.lengths], np.float32)
    predicted = predict(model.model, tokens)
    even = losses.flat_prediction(predicted, len(opened.contents.classes), lean)
    return tuning.Flagged(tokens, both[:, 0], both[:, 1], even)


def earlier_steps(detection: Detection, target: Path) -> dict[Variant | None, Step]:
    """Return the steps of this run's other alignments that learned from the same rows in the same order, by variant.

    None where the networks are to be kept.
    """
    if detection.settings.keep_models:
        return {}
    steps: dict[Variant | None, Step] = {}
    for folder in files.folders(target.parent, results.REPAIRS):
        result = results.read(folder)
        if not isinstance(result, Aligned) or result.environment != environment.record():
            continue
        if result.raw["clean"]["rows"] != len(detection.opened.held_out):
            continue
        if all(result.settings.get(key) == getattr(detection.settings, key) for key in ROWS_AND_ORDER):
            steps |= {step.variant: dataclasses.replace(step, model=None) for step in result.steps if step.variant}
    return steps


def _section(detection: Detection, steps: list[Step]) -> Json:
    suspects = detection.suspects
    return {
        "settings": detection.settings.json(),
        "shape": list(detection.model.shape),
        "rows": {
            "clean": len(detection.clean.labels),
            "flagged": len(detection.flagged),
            "poisoned": suspects.count_poisoned(detection.flagged),
        },
        **chosen(detection),
        "steps": [step.json() for step in steps],
    }


def chosen(detection: Detection) -> dict[str, Any]:
    """Return the contaminated heads by anomaly, the most important on clean rows, and random ones, by [layer, head]."""
    shape, heads, pairs = detection.model.shape, detection.detector.heads, detection.pairs
    important = np.argsort(-detection.importance.reshape(-1), kind="stable")[: len(heads)]
    return {
        "contaminated": pairs(heads),
        "important": pairs(important),
        "random": pairs(detection.random_heads),
        "median_z": detector.nested(detection.median_z, shape),
        "importance": detector.nested(detection.importance, shape),
    }


def _progress(step: Step) -> str:
    ba, asr = (percent(step.scores, name) for name in ("ba", "asr"))
    line = f"  {step.stage:38} BA {ba:5.1f}"
    return line if asr is None else f"{line}  ASR {asr:5.1f}"


def clean_rows(held_out: Rows, count: int) -> Rows:
    """Draw that many of the held-out rows at random; all where there are fewer."""
    rows = random_streams.some(np.arange(len(held_out)), count, "clean rows")
    return Rows(held_out.inputs[rows], held_out.labels[rows])
