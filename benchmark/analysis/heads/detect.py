"""`benchmark heads detect`: which rows of a suspect file are poisoned, and which heads say so.

All that the detector is given is the model and its held-out rows. Where the truth is known, what it found is measured
against it; and the controls, on the poisoned model and its clean twin, say what else raises the same alarm.
"""

import dataclasses
from pathlib import Path

import numpy as np

from benchmark.analysis.heads import anomaly, controls, pictures, roc, tables
from benchmark.analysis.heads import detector as scoring
from benchmark.analysis.heads.detector import Detector, Measured
from benchmark.analysis.heads.model_similarity import Watched, long_enough
from benchmark.core import environment, files, plotting, random_streams
from benchmark.core.errors import Failure
from benchmark.nn import engines, tokenizers
from benchmark.runs.context import Opened, configuration, making, open_run, target_of, twin_of, written
from benchmark.runs.run import Run

NAME = "heads-detect"
MOST_OF_SUSPECT = 500


@dataclasses.dataclass(frozen=True)
class Suspects:
    """The ranked rows of a suspect file: their `rows` in it, what was `measured`, which are `poisoned` (None where
    nobody knows), and how many were `too_short` to be ranked."""

    rows: np.ndarray
    measured: Measured
    poisoned: np.ndarray | None
    too_short: int

    @property
    def told(self) -> bool:
        """Is it known which are poisoned, and is there one?"""
        return self.poisoned is not None and bool(self.poisoned.any())

    @property
    def parts(self) -> tuple[Measured, Measured]:
        """The poisoned rows and the others."""
        return self.measured.of(self.poisoned), self.measured.of(~self.poisoned)


def run(folder: Path, file, base, settings: dict, say) -> dict:
    """Detect on one run, unless the result is there already.

    Parameters
    ----------
    folder : path-like
        The run.
    file, base : path-like or None
        See `open_run`.
    settings : dict
        `metric`, `map`, `min_words`, `flag`, `heads`, `threshold`, `rows` (so many suspect rows; None: all).
    say : callable
        Hears what is going on, a line at a time.
    """
    job, config = configuration(folder, NAME, settings)
    twin = twin_of(job)
    config["clean_run"] = twin and twin.folder.name
    target = target_of(job, config)
    if (result := written(target, tables.can_be_shown)) is not None:
        return result
    opened = open_run(job, file, base)
    with making(target, config):
        result = detect(opened, settings, twin, target, say)
        files.write_json(target / "result.json", result)
    return result


def detect(opened: Opened, settings: dict, twin: Run | None, target: Path, say) -> dict:
    """The result; scores.npz and the pictures go into the folder `target`."""
    watched = Watched(opened, settings)
    say(f"{opened.job.folder.name}: {len(watched.reference.lengths):,} held-out texts say what is usual")
    detector, suspects = search(watched, settings, say)
    save_scores(target, {"": (suspects.rows, suspects.measured)} | of_tests(watched, detector, settings))
    speed = watched.rows / watched.seconds
    say(f"{opened.job.folder.name}: {len(suspects.rows):,} suspect texts, {speed:,.0f} a second")
    sets = control_sets(opened, {"controls": test_texts(opened, settings)} | suspect_texts(opened, suspects))
    measured = {name: {"poisoned": measure_sets(watched, detector, one, opened)} for name, one in sets.items()}
    if twin is not None:
        say(f"{twin.folder.name}: the controls on the clean twin")
        own = dataclasses.replace(opened, job=twin, tokenizer=tokenizers.load(twin.folder))
        other = Watched(own, settings)
        for name, one in sets.items():
            measured[name]["clean"] = measure_sets(other, Detector(other.reference, detector.heads), one, own)
    draw(watched, detector, suspects, measured["controls"], sets["controls"], target, say)
    return {
        "result_version": 1,
        "defence": NAME,
        "settings": settings,
        "run": opened.trained["name"],
        "dataset": opened.trained["dataset"],
        "config": opened.job.config.raw,
        "clean_run": twin and twin.folder.name,
        "shape": list(watched.shape),
        **found(watched, detector, suspects, settings),
        **{
            name: {which: compared(found, watched.shape) for which, found in models.items()}
            for name, models in measured.items()
        },
        "rows_per_second": speed,
        "device": engines.device(),
        "environment": environment.record(),
        "finished": environment.now(),
    }


def search(watched: Watched, settings: dict, say) -> tuple[Detector, Suspects]:
    """Both passes over the suspect rows that are long enough to be ranked."""
    opened, count = watched.opened, watched.contaminated
    if settings["threshold"] is None and count < settings["heads"]:
        say(f"{opened.job.folder.name}: {scoring.halved(count, watched.shape, settings['heads'])}")
    rows = random_streams.some(opened.suspect, settings["rows"], "suspect rows")
    ranked = rows[long_enough(opened.contents.train.inputs[rows], settings["min_words"])]
    if not len(ranked):
        raise Failure(f"{opened.contents.path}: no text of {settings['min_words']} words or more to rank")
    values, lengths = watched.read(opened.contents.train.inputs[ranked])
    detector, measured = scoring.find(values, lengths, watched.reference, settings["flag"], chooser(count, settings))
    return detector, Suspects(ranked, measured, opened.poisoned(ranked), len(rows) - len(ranked))


def chooser(count: int, settings: dict):
    """How the contaminated heads, `count` of them, are chosen from the flagged rows' z."""
    return lambda z: anomaly.contaminated(z, count, settings["threshold"])


def control_sets(opened: Opened, groups: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """Each group with its `clean` texts once more for each control but the random pieces."""
    seed, contents = opened.job.settings.seed, opened.contents
    put = controls.phrases(contents.train.inputs, contents.manifest.get("recipe", {}), seed)
    return {name: sets | controls.of_texts(sets["clean"], put, seed) for name, sets in groups.items()}


def test_texts(opened: Opened, settings: dict) -> dict[str, np.ndarray]:
    """Clean test texts under `clean`, and the same with the trigger under `trigger`."""
    contents = opened.contents
    rows = np.arange(len(contents.test)) if contents.triggered is None else contents.triggered_rows
    usable = long_enough(contents.test.inputs[rows], settings["min_words"])
    if not usable.any():
        raise Failure(f"{contents.path}: no test text of {settings['min_words']} words or more")
    clean = contents.test.inputs[rows[usable]]
    sets = {"clean": clean}
    if contents.triggered is not None:
        sets["trigger"] = contents.triggered.inputs[usable]
    return sets


def suspect_texts(opened: Opened, suspects: Suspects) -> dict[str, dict[str, np.ndarray]]:
    """Under `controls_suspect` the same of ranked rows of the suspect file: `clean` ones by its truth, and poisoned
    ones as `trigger`, MOST_OF_SUSPECT of either at random: texts as long as those that are looked at, which test texts
    need not be. Nothing where there are not both."""
    if not suspects.told:
        return {}
    contents, rows = opened.contents, suspects.rows
    parts = {"clean": rows[~np.isin(rows, contents.truth_rows)], "trigger": rows[suspects.poisoned]}
    if not len(parts["clean"]):
        return {}
    drawn = {name: random_streams.some(part, MOST_OF_SUSPECT, f"suspect rows, {name}") for name, part in parts.items()}
    return {"controls_suspect": {name: contents.train.inputs[part] for name, part in drawn.items()}}


def measure_sets(watched: Watched, detector: Detector, sets: dict, opened: Opened) -> dict[str, Measured]:
    """All of them by one model, with the random word pieces."""
    found = {name: scoring.measured(detector, *watched.read(texts)) for name, texts in sets.items()}
    pieces = watched.read_pieces(sets["clean"], opened.job.settings.seed)
    return found | {"pieces": scoring.measured(detector, *pieces)}


def compared(sets: dict[str, Measured], shape: tuple[int, int]) -> dict:
    """Each set beside the clean texts that it was made of: figures, and layers × heads."""
    clean = sets["clean"]
    return {
        name: scoring.compared(one, clean) | {"heads": scoring.by_head(one, clean, shape)}
        for name, one in sets.items()
        if name != "clean"
    }


def found(watched: Watched, detector: Detector, suspects: Suspects, settings: dict) -> dict:
    """What the detector says of the suspect file and, where the truth is there, how right it is."""
    scores, poisoned = suspects.measured.scores, suspects.poisoned
    count = scoring.count_of(settings["flag"], len(suspects.rows))
    flagged = {name: anomaly.first(scores[name], count) for name in ("mahalanobis", "second_pass") if name in scores}
    median = np.median(suspects.measured.z[flagged["mahalanobis"]], axis=0)
    aurocs = roc.by_head(*(part.z for part in suspects.parts)) if suspects.told else None
    layers_heads = [tuple(int(i) for i in np.unravel_index(head, watched.shape)) for head in detector.heads]
    return {
        "rows": {
            "held_out": len(watched.reference.lengths),
            "suspect": len(suspects.rows),
            "too_short": suspects.too_short,
            "poisoned": int(poisoned.sum()) if poisoned is not None else None,
        },
        "flagged": {
            name: {"count": count, "poisoned": int(poisoned[rows].sum()) if poisoned is not None else None}
            for name, rows in flagged.items()
        },
        "contaminated": [
            {"layer": layer, "head": head, "median_z": float(median[flat]),
             "auroc": float(aurocs[flat]) if suspects.told else None}
            for flat, (layer, head) in zip(detector.heads, layers_heads, strict=True)
        ],
        "flagged_median_z": scoring.nested(median, watched.shape),
        "suspect": scoring.compared(*suspects.parts) if suspects.told else None,
        "suspect_heads": scoring.by_head(*suspects.parts, watched.shape) if suspects.told else None,
    }  # fmt: skip


def of_tests(watched: Watched, detector: Detector, settings: dict) -> dict[str, tuple[np.ndarray, Measured]]:
    """The test texts that are long enough, and the triggered ones: their rows in their group, and what was measured."""
    found = {}
    for name, rows in (("test", watched.opened.contents.test), ("triggered", watched.opened.contents.triggered)):
        if rows is not None:
            ranked = np.flatnonzero(long_enough(rows.inputs, settings["min_words"]))
            found[f"{name}_"] = ranked, scoring.measured(detector, *watched.read(rows.inputs[ranked]))
    return found


def save_scores(target: Path, groups: dict[str, tuple[np.ndarray, Measured]]) -> None:
    """scores.npz: `rows` of the suspect file, ascending, and each of their scores; the same of the test texts, with
    `test_` before the names, and of the triggered ones, with `triggered_`."""
    found = {}
    for group, (rows, measured) in groups.items():
        scores = {name: score.astype(np.float32) for name, score in measured.scores.items()}
        found |= {f"{group}{name}": values for name, values in ({"rows": rows} | scores).items()}
    files.write_npz(target / "scores.npz", found)


def draw(watched, detector, suspects, measured, sets, target: Path, say) -> None:
    """The pictures, where matplotlib is installed."""
    try:
        plotting.save(pictures.of_detection(watched, detector, suspects, measured, sets), target, ("png",))
    except Failure as error:
        say(f"no pictures: {error}; then the same command again draws them")
