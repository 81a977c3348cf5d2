"""`benchmark heads align`: contaminated heads made usual again, and beside it everything that it has to be better than.

Only the chosen heads' slices of query, key, value and output projection move. What is learned from are clean held-out
rows, with their labels, and the rows that the detector flagged, without; neither is ever scored on.
"""

import dataclasses
from pathlib import Path

import numpy as np

from benchmark.analysis.heads import ablate, aggregate, anomaly, detect, detector, pictures, tables
from benchmark.analysis.heads.evaluate import Scorer, predict, without
from benchmark.analysis.heads.model_similarity import Watched
from benchmark.core import environment, files, plotting, random_streams
from benchmark.core.errors import Failure
from benchmark.format.dataset import Rows
from benchmark.format.manifest import canonical
from benchmark.nn import engines
from benchmark.runs.context import Opened, configuration, making, open_run, target_of, written

NAME = "heads-align"
ALIGNED, FORGOTTEN = "aligned", "aligned, flat prediction"
ROWS_AND_ORDER = (
    "metric", "map", "min_words", "flag", "heads", "threshold", "rows", "one_target", "clean_rows", "flat", "seed",
)  # fmt: skip
USUAL = {"strength": (10.0, 1.0), "epochs": (6, 2), "learning_rate": (1e-3, 3e-4), "full_epochs": (3, 2)}
"""What is taken where nothing is asked for: without the flat prediction, and with it."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to treat the model: its name, which `heads` move (flat numbers; None: all weights), λ, the weight of the
    flat prediction, how long and how fast, and how far the flat prediction leans."""

    name: str
    heads: np.ndarray | None
    strength: float
    unlearn: float
    epochs: int
    learning_rate: float
    lean: float = 0.0


def completed(options: dict) -> dict:
    """The command's options as settings: `unlearn` is the flat prediction's weight, 0 without it; what was not asked
    for is as in USUAL."""
    weight = options["unlearn_weight"] if options["unlearn"] else 0.0
    found = {key: value for key, value in options.items() if key != "unlearn_weight"} | {"unlearn": weight}
    if not weight:
        found |= {"flat": None, "lean": None}
    return found | {key: pair[weight > 0] for key, pair in USUAL.items() if found[key] is None}


def run(folder: Path, file, base, settings: dict, say) -> dict:
    """Align one run, unless the result is there already.

    `settings` are the detector's (see `detect.run`) and `one_target`, `clean_rows`, `strength` (λ), `unlearn`, `flat`,
    `lean`, `epochs`, `learning_rate`, `full_epochs`, `full_rate`, `keep_models` and `seed`: all that `completed` gives.
    The other parameters are those of `detect.run`.
    """
    job, config = configuration(folder, NAME, settings)
    target = target_of(job, config)
    if (result := written(target, tables.can_be_shown)) is not None:
        return result
    opened = open_run(job, file, base)
    with making(target, config):
        result = Alignment(opened, settings, target, say).carry_out()
        result |= {"result_version": 1, "defence": NAME, "settings": settings}
        files.write_json(target / "result.json", result)
    return result


class Alignment:
    """What a defender has after the detection: the flagged rows, the contaminated heads, some clean rows."""

    def __init__(self, opened: Opened, settings: dict, target: Path, say):
        from benchmark.analysis.heads import losses, tuning

        self.opened, self.settings, self.target, self.say = opened, settings, target, say
        self.watched = Watched(opened, settings)
        self.detector, self.suspects = detect.search(self.watched, settings, say)
        if not len(self.detector.heads):
            raise Failure(f"{opened.job.folder}: no head's |median z| reaches {settings['threshold']} on flagged rows")
        clean = clean_rows(opened.held_out, settings["clean_rows"])
        self.clean = tuning.Clean(opened.tokens(clean.inputs), clean.labels)
        self.flagged_rows = self._flagged_rows()
        self.importance = losses.importance(self.watched.model, self.clean.tokens, self.clean.labels)
        self.score = Scorer(opened, learned_from=self.suspects.rows[self.flagged_rows])

    def _flagged_rows(self) -> np.ndarray:
        """Those that the second pass flags, as numbers among the suspects.

        With `one_target` only those that the model gives the class which most of them are given: a working backdoor
        gives all its rows the attacker's class, so that the others were flagged by mistake.
        """
        flagged = self._first("second_pass")
        if not self.settings["one_target"]:
            return flagged
        predicted = predict(self.watched.model, self.opened.tokens(self._texts(flagged)))
        return flagged[predicted == np.bincount(predicted).argmax()]

    def _first(self, score: str) -> np.ndarray:
        """The suspects that are first by a score, so many as one pass flags."""
        scores = self.suspects.measured.scores[score]
        return anomaly.first(scores, detector.count_of(self.settings["flag"], len(scores)))

    def _texts(self, suspects: np.ndarray) -> np.ndarray:
        return self.opened.contents.train.inputs[self.suspects.rows[suspects]]

    def variants(self) -> list[Variant]:
        """The alignment that was asked for, and all that it is compared with."""
        asked, heads = self.settings, self.detector.heads
        long, full = (asked["epochs"], asked["learning_rate"]), (asked["full_epochs"], asked["full_rate"])
        strength, unlearn, lean = asked["strength"], asked["unlearn"], asked["lean"] or 0.0
        name = FORGOTTEN if unlearn else ALIGNED
        found = [
            Variant(name, heads, strength, unlearn, *long, lean),
            Variant("full fine-tuning", None, 0.0, 0.0, *full),
            Variant("heads alone, no alignment", heads, 0.0, 0.0, *long),
        ]
        if unlearn:
            found += [
                Variant("full fine-tuning, flat prediction", None, 0.0, unlearn, *full, lean),
                Variant("heads alone, flat prediction", heads, 0.0, unlearn, *long, lean),
                Variant(ALIGNED, heads, strength, 0.0, *long),
            ]
        if lean:
            found.append(Variant(f"{name}, no lean", heads, strength, unlearn, *long))
        random = self._random_heads()
        if len(random):
            found.append(Variant(f"random heads, {name}", random, strength, unlearn, *long, lean))
        return found

    def _random_heads(self) -> np.ndarray:
        """As many of the others as there are contaminated ones, or all of the others."""
        layers, heads = self.watched.shape
        others = np.setdiff1d(np.arange(layers * heads), self.detector.heads)
        order = random_streams.permutation(self.settings["seed"], "random heads", len(others))
        return others[order[: len(self.detector.heads)]]

    def carry_out(self) -> dict:
        """Every variant, scored after each epoch; the first one's model and the pictures go into the folder."""
        model = self.watched.model
        steps = [self._heard({"stage": "untouched", "scores": self.score(model)})]
        off = without(model, self.detector.heads)
        steps.append(self._heard({"stage": "heads switched off", "scores": self.score(model, off)}))
        asked, *others = self.variants()
        step, tuned = self._carried_out(asked, keep=True)
        steps.append(self._heard(step))
        earlier = self._earlier()
        for variant in others:
            known = earlier.get(_identity(dataclasses.asdict(variant) | {"heads": self._pairs(variant.heads)}))
            step = known and known | {"stage": variant.name}
            steps.append(self._heard(step or self._carried_out(variant, self.settings["keep_models"])[0]))
        self._draw(steps, tuned)
        return {
            "run": self.opened.trained["name"],
            "dataset": self.opened.trained["dataset"],
            "config": self.opened.job.config.raw,
            "shape": list(self.watched.shape),
            "rows": {
                "clean": len(self.clean.labels),
                "flagged": len(self.flagged_rows),
                "poisoned": self._poisoned_among_flagged(),
            },
            **self.chosen(),
            "steps": steps,
            "device": engines.device(),
            "environment": environment.record(),
            "finished": environment.now(),
        }

    @property
    def median_z(self) -> np.ndarray:
        """Of each head over the rows that the first pass flagged, (F,): what the contaminated heads are chosen by."""
        return np.median(self.suspects.measured.z[self._first("mahalanobis")], axis=0)

    def chosen(self) -> dict:
        """The contaminated heads by anomaly, and the most important ones on clean rows, as [layer, head]."""
        shape, count = self.watched.shape, len(self.detector.heads)
        important = np.argsort(-self.importance.reshape(-1), kind="stable")[:count]
        return {
            "contaminated": pairs(self.detector.heads, shape),
            "important": pairs(important, shape),
            "random": pairs(self._random_heads(), shape),
            "median_z": detector.nested(self.median_z, shape),
            "importance": detector.nested(self.importance, shape),
        }

    def _poisoned_among_flagged(self) -> int | None:
        poisoned = self.suspects.poisoned
        return None if poisoned is None else int(poisoned[self.flagged_rows].sum())

    def _earlier(self) -> dict[bytes, dict]:
        """What this run's other alignments have already, learned from the same rows in the same order: steps by what
        their variant was. Nothing where the networks are to be kept."""
        if self.settings["keep_models"]:
            return {}
        found = {}
        for folder in files.folders(self.target.parent, f"{NAME}-*"):
            result = aggregate.read(folder) or {"settings": {}}
            same = all(result["settings"].get(key) == self.settings[key] for key in ROWS_AND_ORDER)
            if same and result["environment"] == environment.record():
                found |= {_identity(step): step for step in result["steps"] if "history" in step}
        return found

    def _pairs(self, heads: np.ndarray | None) -> list[list[int]] | None:
        return None if heads is None else pairs(heads, self.watched.shape)

    def _carried_out(self, variant: Variant, keep: bool) -> tuple[dict, object]:
        from benchmark.analysis.heads import losses, tuning
        from benchmark.nn import models

        model = self.opened.network()
        heads = self.detector.heads if variant.heads is None else variant.heads
        deviation = losses.Deviation(model, heads, self.watched.metric, self.watched.kind, self.watched.projections)
        said = dataclasses.asdict(variant)
        asked = {key: value for key, value in said.items() if key not in ("name", "lean")}
        plan = tuning.Plan(**asked, flat=self.settings["flat"])
        history = []
        flagged = self._usual(heads, variant.lean)
        for loss in tuning.tune(model, plan, self.clean, flagged, deviation, self.settings["seed"]):
            if not np.isfinite(loss):
                raise Failure(f"{variant.name}: the loss is {loss}: a smaller --learning-rate may help")
            scores = self.score(model)
            history.append({"loss": loss, "ba": ablate.percent(scores, "ba"), "asr": ablate.percent(scores, "asr")})
        said["heads"] = self._pairs(variant.heads)
        step = {"stage": said.pop("name"), **said, "history": history, "scores": scores}
        if keep:
            step["model"] = f"{variant.name.replace(',', '').replace(' ', '-')}.keras"
            models.save(model, self.target / step["model"])
        return step, model

    def _usual(self, heads: np.ndarray, lean: float):
        """The flagged rows as `tuning` takes them, for some heads."""
        from benchmark.analysis.heads import losses, tuning

        tokens = self.opened.tokens(self._texts(self.flagged_rows))
        usual = {length: self.watched.reference.usual(length) for length in np.unique(tokens.lengths)}
        both = np.array([[part[heads] for part in usual[length]] for length in tokens.lengths], np.float32)
        predicted = predict(self.watched.model, tokens)
        even = losses.flat_prediction(predicted, len(self.opened.contents.classes), lean)
        return tuning.Flagged(tokens, both[:, 0], both[:, 1], even)

    def _heard(self, step: dict) -> dict:
        ba, asr = (ablate.percent(step["scores"], name) for name in ("ba", "asr"))
        said = f"{self.opened.job.folder.name}: {step['stage']:38} BA {ba:5.1f}"
        self.say(said if asr is None else f"{said}  ASR {asr:5.1f}")
        return step

    def _draw(self, steps: list[dict], aligned) -> None:
        median = self.median_z.reshape(self.watched.shape)
        drawn = pictures.of_alignment(self.watched, self.detector, steps, self.importance, median, aligned)
        try:
            plotting.save(drawn, self.target, ("png",))
        except Failure as error:
            self.say(f"no pictures: {error}; then the same command again draws them")


def _identity(step: dict) -> bytes:
    """Everything of a variant but its name, of a step or a variant as a dictionary."""
    return canonical(
        {field.name: step.get(field.name) for field in dataclasses.fields(Variant) if field.name != "name"}
    )


def clean_rows(held_out: Rows, count: int) -> Rows:
    """So many of the held-out rows, drawn at random; all where there are fewer."""
    rows = random_streams.some(np.arange(len(held_out)), count, "clean rows")
    return Rows(held_out.inputs[rows], held_out.labels[rows])


def pairs(heads: np.ndarray, shape: tuple[int, int]) -> list[list[int]]:
    """Flat numbers as [layer, head]."""
    return [[int(head) // shape[1], int(head) % shape[1]] for head in heads]
