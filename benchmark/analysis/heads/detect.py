"""Which rows of a suspect file are poisoned, and which heads show it: the two passes, and what is measured beside.

The passes are given the model and clean rows, nothing else. Where the truth is known, their result is then measured
against it; and the controls, on the poisoned model and its clean counterpart, show what else raises the same alarm.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.analysis.heads import anomaly, controls, roc
from benchmark.analysis.heads import detector as scoring
from benchmark.analysis.heads.detector import Detector, DetectorSettings, Measured
from benchmark.analysis.heads.model_similarity import ModelSimilarity, long_enough
from benchmark.core import files, random_streams
from benchmark.core.errors import Failure
from benchmark.core.numbers import counted
from benchmark.nn import tokenizers
from benchmark.runs.context import Opened
from benchmark.runs.run import Run
from benchmark.training.metrics import Json

MOST_OF_SUSPECT = 500
PASSES = ("mahalanobis", "second_pass")
"""The scores that flag rows."""

Log = Callable[[str], object]
"""Takes one line of progress."""
Groups = dict[str, dict[str, dict[str, Measured]]]
"""Group of texts → model (`poisoned`, `clean`) → set of texts → what was measured."""


@dataclasses.dataclass(frozen=True)
class Controls:
    """The controls: group → set → the `texts` (n,), and what was `measured`."""

    texts: dict[str, dict[str, np.ndarray]]
    measured: Groups


@dataclasses.dataclass(frozen=True)
class Suspects:
    """The ranked rows of a suspect file.

    Parameters
    ----------
    rows : (n,) int
        Their numbers in the file.
    measured : Measured
        Their similarities and scores.
    poisoned : (n,) bool or None
        Which of them are poisoned; None where the truth is not known.
    too_short : int
        How many rows were too short to be ranked.
    clean : (n,) bool or None
        Which of them are as in the source, and so no covers either; None where that is not known.
    """

    rows: np.ndarray
    measured: Measured
    poisoned: np.ndarray | None
    too_short: int
    clean: np.ndarray | None = None

    @property
    def has_truth(self) -> bool:
        """Whether it is known which are poisoned, and there is one."""
        return self.poisoned is not None and bool(self.poisoned.any())

    def split(self) -> tuple[Measured, Measured] | None:
        """Return the poisoned rows and the clean ones, without covers, which are neither; None without truth, or where
        there are not both."""
        if self.poisoned is None or self.clean is None or not (self.poisoned.any() and self.clean.any()):
            return None
        return self.measured.of(self.poisoned), self.measured.of(self.clean)

    def count_poisoned(self, rows: np.ndarray | slice = slice(None)) -> int | None:
        """Return how many of some suspects (numbers among them) are poisoned; None where the truth is not known."""
        return None if self.poisoned is None else int(self.poisoned[rows].sum())

    def flagged(self, share: str) -> dict[str, np.ndarray]:
        """Return the suspects that each pass flags, by its score, highest first: that share of all."""
        count, scores = scoring.count_of(share, len(self.rows)), self.measured.scores
        return {name: anomaly.first(scores[name], count) for name in PASSES if name in scores}


@dataclasses.dataclass(frozen=True)
class Searched:
    """What both passes have found: the `model`'s similarities, the `detector` with the contaminated heads, and the
    `suspects`, ranked."""

    model: ModelSimilarity
    detector: Detector
    suspects: Suspects

    def beside(self, opened: Opened) -> "Searched":
        """Return the same of the run as it is opened with the truth."""
        rows = self.suspects.rows
        suspects = dataclasses.replace(self.suspects, poisoned=opened.poisoned(rows), clean=opened.unchanged(rows))
        return Searched(self.model.beside(opened), self.detector, suspects)


def study(
    found: Searched, settings: DetectorSettings, twin: Run | None, target: Path, log: Log
) -> tuple[Json, Controls]:
    """Measure what was found against the truth, and the controls; scores.npz goes into the folder `target`. `found`: as
    `Searched.beside` gives it."""
    model, detector, suspects = found.model, found.detector, found.suspects
    opened = model.opened
    speed = model.rows / model.seconds
    save_scores(target, {"": (suspects.rows, suspects.measured)} | measure_tests(model, detector, settings))
    sets = control_sets(opened, {"controls": test_texts(opened, settings)} | suspect_texts(opened, suspects))
    measured = measure_controls(model, detector, sets, opened, twin, settings, log)
    raw = {
        "settings": settings.json(),
        "shape": list(model.shape),
        **detection_sections(model, detector, suspects, settings.flag),
        **control_sections(measured, model.shape),
        "rows_per_second": speed,
    }
    return raw, Controls(sets, measured)


def search(opened: Opened, settings: DetectorSettings, log: Log) -> Searched:
    """Run both passes over the suspect rows that are long enough to be ranked."""
    model = ModelSimilarity(opened, settings)
    log(f"heads: reference statistics from {counted(len(model.reference.lengths), 'clean text')}")
    count = model.contaminated
    if settings.threshold is None and count < settings.heads:
        log(f"heads: {scoring.halved(count, model.shape, settings.heads)}")
    rows = random_streams.some(opened.suspect, settings.rows, "suspect rows")
    ranked = rows[long_enough(opened.contents.train.inputs[rows], settings.min_words)]
    if not len(ranked):
        raise Failure(f"{opened.contents.path}: no text of {settings.min_words} words or more to rank")
    values, lengths = model.read(opened.contents.train.inputs[ranked])

    def choose(z: np.ndarray) -> np.ndarray:
        return anomaly.contaminated(z, count, settings.threshold)

    detector, measured = scoring.find(values, lengths, model.reference, settings.flag, choose)
    left_out = len(rows) - len(ranked)
    suspects = Suspects(ranked, measured, opened.poisoned(ranked), left_out, opened.unchanged(ranked))
    log(f"heads: {counted(len(ranked), 'suspect text')}, {model.rows / model.seconds:,.0f} per second")
    return Searched(model, detector, suspects)


def control_sets(opened: Opened, groups: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """Add to each group its `clean` texts once more for each control but the random pieces."""
    seed, contents = opened.job.settings.seed, opened.contents
    phrases = controls.phrases(contents.train.inputs, contents.manifest.recipe, seed)
    return {name: sets | controls.of_texts(sets["clean"], phrases, seed) for name, sets in groups.items()}


def test_texts(opened: Opened, settings: DetectorSettings) -> dict[str, np.ndarray]:
    """Return clean test texts under `clean`, and the same with the trigger under `trigger`."""
    contents = opened.contents
    rows = np.arange(len(contents.test)) if contents.triggered_rows is None else contents.triggered_rows
    usable = long_enough(contents.test.inputs[rows], settings.min_words)
    if not usable.any():
        raise Failure(f"{contents.path}: no test text of {settings.min_words} words or more")
    clean = contents.test.inputs[rows[usable]]
    sets = {"clean": clean}
    if contents.triggered is not None:
        sets["trigger"] = contents.triggered.inputs[usable]
    return sets


def suspect_texts(opened: Opened, suspects: Suspects) -> dict[str, dict[str, np.ndarray]]:
    """Return ranked rows of the suspect file under `controls_suspect`, in two sets.

    `clean` rows by its truth, and poisoned ones as `trigger`, MOST_OF_SUSPECT of either at random: texts as long as
    those that are ranked, which test texts need not be. Empty where there are not both.
    """
    contents, rows = opened.contents, suspects.rows
    if not suspects.has_truth or contents.truth_rows is None:
        return {}
    parts = {"clean": rows[~np.isin(rows, contents.truth_rows)], "trigger": rows[suspects.poisoned]}
    if not len(parts["clean"]):
        return {}
    drawn = {name: random_streams.some(part, MOST_OF_SUSPECT, f"suspect rows, {name}") for name, part in parts.items()}
    return {"controls_suspect": {name: contents.train.inputs[part] for name, part in drawn.items()}}


def measure_controls(
    model: ModelSimilarity,
    detector: Detector,
    groups: dict[str, dict[str, np.ndarray]],
    opened: Opened,
    twin: Run | None,
    settings: DetectorSettings,
    log: Log,
) -> Groups:
    """Measure all controls on the model and, where there is one, on its clean counterpart, which has reference
    statistics of its own."""
    measured = {name: {"poisoned": measure_sets(model, detector, sets, opened)} for name, sets in groups.items()}
    if twin is not None:
        log("heads: the controls on the clean counterpart")
        counterpart = dataclasses.replace(opened, job=twin, tokenizer=tokenizers.load(twin.folder))
        clean_model = ModelSimilarity(counterpart, settings)
        clean_detector = Detector(clean_model.reference, detector.heads)
        for name, sets in groups.items():
            measured[name]["clean"] = measure_sets(clean_model, clean_detector, sets, counterpart)
    return measured


def measure_sets(
    model: ModelSimilarity, detector: Detector, sets: dict[str, np.ndarray], opened: Opened
) -> dict[str, Measured]:
    """Measure sets of texts by one model, with the random word pieces."""
    measured = {name: scoring.measured(detector, *model.read(texts)) for name, texts in sets.items()}
    pieces = model.read_pieces(sets["clean"], opened.job.settings.seed)
    return measured | {"pieces": scoring.measured(detector, *pieces)}


def control_sections(measured: Groups, shape: tuple[int, int]) -> dict[str, Any]:
    """Build the sections of the result on controls: each set beside the clean texts that it was made of."""
    return {
        group: {which: _beside_clean(sets, shape) for which, sets in models.items()}
        for group, models in measured.items()
    }


def _beside_clean(sets: dict[str, Measured], shape: tuple[int, int]) -> dict[str, Any]:
    clean = sets["clean"]
    return {
        name: scoring.compared(one, clean) | {"heads": scoring.by_head(one, clean, shape)}
        for name, one in sets.items()
        if name != "clean"
    }


def detection_sections(model: ModelSimilarity, detector: Detector, suspects: Suspects, share: str) -> dict[str, Any]:
    """Build the sections of the result on the suspect file and, where the truth is known, how right it is."""
    flagged = suspects.flagged(share)
    median = np.median(suspects.measured.z[flagged["mahalanobis"]], axis=0)
    return {
        "rows": row_section(model, suspects),
        "flagged": {
            name: {"count": len(rows), "poisoned": suspects.count_poisoned(rows)} for name, rows in flagged.items()
        },
        "contaminated": contaminated_section(detector, suspects, median, model.shape),
        "flagged_median_z": scoring.nested(median, model.shape),
        **truth_sections(suspects, model.shape),
    }


def row_section(model: ModelSimilarity, suspects: Suspects) -> dict[str, int | None]:
    """Build the counts of rows."""
    return {
        "held_out": len(model.reference.lengths),
        "suspect": len(suspects.rows),
        "too_short": suspects.too_short,
        "poisoned": suspects.count_poisoned(),
    }


def contaminated_section(
    detector: Detector, suspects: Suspects, median: np.ndarray, shape: tuple[int, int]
) -> list[dict[str, Any]]:
    """Build the list of contaminated heads: their median z over the flagged rows (F,), and each head's own AUROC."""
    parts = suspects.split()
    aurocs = [None] * len(median) if parts is None else roc.by_head(*(part.z for part in parts)).tolist()
    return [
        {"layer": int(flat) // shape[1], "head": int(flat) % shape[1], "median_z": float(median[flat]),
         "auroc": aurocs[flat]}
        for flat in detector.heads
    ]  # fmt: skip


def truth_sections(suspects: Suspects, shape: tuple[int, int]) -> dict[str, Any]:
    """Build the figures of the scores and of every head on the suspect file; None without truth."""
    parts = suspects.split()
    if parts is None:
        return {"suspect": None, "suspect_heads": None}
    return {"suspect": scoring.compared(*parts), "suspect_heads": scoring.by_head(*parts, shape)}


def measure_tests(
    model: ModelSimilarity, detector: Detector, settings: DetectorSettings
) -> dict[str, tuple[np.ndarray, Measured]]:
    """Measure the test texts that are long enough, and the triggered ones: rows in their group, and scores."""
    groups = {}
    for name, texts in (("test", model.opened.contents.test), ("triggered", model.opened.contents.triggered)):
        if texts is not None:
            ranked = np.flatnonzero(long_enough(texts.inputs, settings.min_words))
            groups[f"{name}_"] = ranked, scoring.measured(detector, *model.read(texts.inputs[ranked]))
    return groups


def save_scores(target: Path, groups: dict[str, tuple[np.ndarray, Measured]]) -> None:
    """Write scores.npz: `rows` of the suspect file, ascending, and each of their scores.

    The same of the test texts, with `test_` before the names, and of the triggered ones, with `triggered_`.
    """
    arrays: dict[str, np.ndarray] = {}
    for prefix, (rows, measured) in groups.items():
        scores = {name: score.astype(np.float32) for name, score in measured.scores.items()}
        arrays |= {f"{prefix}{name}": values for name, values in ({"rows": rows} | scores).items()}
    files.write_npz(target / "scores.npz", arrays)
