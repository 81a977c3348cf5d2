"""`benchmark heads align`: contaminated heads realigned, and every alternative that this has to be better than.

Only the chosen heads' slices of query, key, value and output projection move. What is learned from are clean held-out
rows, with their labels, and the rows that the detector flagged, without; neither is ever scored on.

`run` detects (`detect_heads`), lists what is to be compared (`variants`), and trains and scores each (`run_variant`).
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.analysis.heads import detect, detector, pictures, results
from benchmark.analysis.heads.detect import Log, Suspects
from benchmark.analysis.heads.detector import Detector, DetectorSettings
from benchmark.analysis.heads.evaluate import Scorer, predict, without
from benchmark.analysis.heads.model_similarity import ModelSimilarity
from benchmark.analysis.heads.records import ALIGN as NAME
from benchmark.analysis.heads.records import Aligned, Head, Step, Tuned, Variant, percent
from benchmark.core import environment, files, random_streams
from benchmark.core.errors import Failure
from benchmark.format.dataset import Rows
from benchmark.nn import engines
from benchmark.runs.context import Opened, configuration, making, open_run, target_of, written
from benchmark.training.metrics import Json

if TYPE_CHECKING:
    from benchmark.analysis.heads import tuning

ALIGNED, FORGOTTEN = "aligned", "aligned, flat prediction"
ROWS_AND_ORDER = (
    "metric", "map", "min_words", "flag", "heads", "threshold", "rows", "one_target", "clean_rows", "flat", "seed",
)  # fmt: skip
DEFAULTS = {"strength": (10.0, 1.0), "epochs": (6, 2), "learning_rate": (1e-3, 3e-4), "full_epochs": (3, 2)}
"""What is taken where nothing is asked for: without the flat prediction, and with it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignSettings(DetectorSettings):
    """What decides an alignment: the detector, which rows are learned from, and λ (`strength`), the weight of the flat
    prediction (`unlearn`, 0 without it), what is to be flat, how far it leans, how long and how fast."""

    one_target: bool
    clean_rows: int
    unlearn: float
    flat: str | None
    lean: float | None
    strength: float
    epochs: int
    learning_rate: float
    full_epochs: int
    full_rate: float
    keep_models: bool
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

    def pairs(self, heads: np.ndarray) -> tuple[Head, ...]:
        """Return flat numbers as (layer, head)."""
        return tuple((int(head) // self.model.shape[1], int(head) % self.model.shape[1]) for head in heads)

    def flat(self, heads: tuple[Head, ...]) -> np.ndarray:
        """Return (layer, head) as flat numbers, in the same order."""
        return np.array([layer * self.model.shape[1] + head for layer, head in heads], np.int64)


def complete(options: dict[str, Any]) -> AlignSettings:
    """Complete the command's options to settings; what was not asked for is as in DEFAULTS."""
    weight = options["unlearn_weight"] if options["unlearn"] else 0.0
    settings = {key: value for key, value in options.items() if key != "unlearn_weight"} | {"unlearn": weight}
    if not weight:
        settings |= {"flat": None, "lean": None}
    settings |= {key: pair[weight > 0] for key, pair in DEFAULTS.items() if settings[key] is None}
    return AlignSettings(**settings)


def run(folder: Path, file: Path | None, base: Path | None, settings: AlignSettings, log: Log) -> Aligned:
    """Align one run, unless the result exists already. For the parameters see `detect.run`."""
    job, config = configuration(folder, NAME, settings.json())
    target = target_of(job, config)
    if isinstance(result := written(target, results.of), Aligned):
        return result
    opened = open_run(job, file, base)
    with making(target, config):
        raw = align(detect_heads(opened, settings, log), target, log)
        result = results.of(raw | {"result_version": 1, "defence": NAME, "settings": settings.json()})
        assert isinstance(result, Aligned)
        files.write_json(target / "result.json", result.raw)
    return result


def detect_heads(opened: Opened, settings: AlignSettings, log: Log) -> Detection:
    """Find the contaminated heads and the rows to learn from.

    Raises `Failure` where no head's |median z| reaches the threshold.
    """
    from benchmark.analysis.heads import losses, tuning

    model = ModelSimilarity(opened, settings)
    found, suspects = detect.search(model, settings, log)
    if not len(found.heads):
        raise Failure(f"{opened.job.folder}: no head's |median z| reaches {settings.threshold} on flagged rows")
    held_out = clean_rows(opened.held_out, settings.clean_rows)
    clean = tuning.Clean(opened.tokens(held_out.inputs), held_out.labels)
    flagged = flagged_rows(model, suspects, settings)
    importance = losses.importance(model.model, clean.tokens, clean.labels)
    return Detection(opened, settings, model, found, suspects, flagged, clean, importance)


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


def align(detection: Detection, target: Path, log: Log) -> Json:
    """Run every variant, scored after each epoch, and return the result as JSON; the first one's model and the pictures
    go into the folder."""
    opened, settings, model = detection.opened, detection.settings, detection.model.model
    score = Scorer(opened, learned_from=detection.suspects.rows[detection.flagged])
    steps: list[Step] = []

    def add(step: Step) -> None:
        steps.append(step)
        log(_progress(opened.job.folder.name, step))

    add(Step("untouched", score(model)))
    add(Step("heads switched off", score(model, without(model, detection.detector.heads))))
    (asked, first), *others = variants(detection).items()
    step, aligned = run_variant(detection, asked, first, score, target)
    add(step)
    earlier = earlier_steps(detection, target)
    for name, variant in others:
        known = earlier.get(variant)
        if known is None:
            keep = target if settings.keep_models else None
            known, _ = run_variant(detection, name, variant, score, keep)
        add(dataclasses.replace(known, stage=name))
    shown = detection.median_z.reshape(detection.model.shape)
    drawn = pictures.of_alignment(detection.model, detection.detector, steps, detection.importance, shown, aligned)
    pictures.save(drawn, target, log)
    return _result(detection, steps)


def run_variant(
    detection: Detection, name: str, variant: Variant, score: Scorer, keep: Path | None
) -> tuple[Step, Any]:
    """Train a fresh copy of the network as a variant says, scored after each epoch.

    Returns its step of the result, and the network, which is saved in the folder `keep`, if one is given. Raises
    `Failure` where the loss is no longer a finite number.
    """
    from benchmark.analysis.heads import losses, tuning
    from benchmark.nn import model_files

    model, similarity = detection.opened.network(), detection.model
    moved = None if variant.heads is None else detection.flat(variant.heads)
    heads = detection.detector.heads if moved is None else moved
    deviation = losses.Deviation(model, heads, similarity.metric, similarity.kind, similarity.projections)
    plan = tuning.Plan(
        heads=moved, strength=variant.strength, unlearn=variant.unlearn, epochs=variant.epochs,
        learning_rate=variant.learning_rate, flat=detection.settings.flat or "rows",
    )  # fmt: skip
    flagged = _reference_statistics(detection, heads, variant.lean)
    history: list[Tuned] = []
    for loss in tuning.tune(model, plan, detection.clean, flagged, deviation, detection.settings.seed):
        if not np.isfinite(loss):
            raise Failure(f"{name}: the loss is {loss}; try a smaller --learning-rate")
        scores = score(model)
        history.append(Tuned(loss, percent(scores, "ba"), percent(scores, "asr")))
    file = None
    if keep is not None:
        file = f"{name.replace(',', '').replace(' ', '-')}.keras"
        model_files.save(model, keep / file)
    return Step(name, scores, variant, tuple(history), file), model


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
    for folder in files.folders(target.parent, f"{NAME}-*"):
        result = results.read(folder)
        if not isinstance(result, Aligned) or result.environment != environment.record():
            continue
        if all(result.settings.get(key) == getattr(detection.settings, key) for key in ROWS_AND_ORDER):
            steps |= {step.variant: dataclasses.replace(step, model=None) for step in result.steps if step.variant}
    return steps


def _result(detection: Detection, steps: list[Step]) -> Json:
    opened, suspects = detection.opened, detection.suspects
    return {
        "run": opened.trained.name,
        "dataset": opened.trained.dataset.raw,
        "config": opened.job.config.raw,
        "shape": list(detection.model.shape),
        "rows": {
            "clean": len(detection.clean.labels),
            "flagged": len(detection.flagged),
            "poisoned": suspects.count_poisoned(detection.flagged),
        },
        **_chosen(detection),
        "steps": [step.json() for step in steps],
        "device": engines.device(),
        "environment": environment.record(),
        "finished": environment.now(),
    }


def _chosen(detection: Detection) -> dict[str, Any]:
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


def _progress(run_name: str, step: Step) -> str:
    ba, asr = (percent(step.scores, name) for name in ("ba", "asr"))
    line = f"{run_name}: {step.stage:38} BA {ba:5.1f}"
    return line if asr is None else f"{line}  ASR {asr:5.1f}"


def clean_rows(held_out: Rows, count: int) -> Rows:
    """Draw that many of the held-out rows at random; all where there are fewer."""
    rows = random_streams.some(np.arange(len(held_out)), count, "clean rows")
    return Rows(held_out.inputs[rows], held_out.labels[rows])
