"""The pictures of what is found with heads: the name of each, and what makes its figure."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.analysis.heads import controls, plots, roc
from benchmark.analysis.heads.records import Ablated, Step
from benchmark.core import plotting
from benchmark.core.errors import Failure
from benchmark.runs import titles

Pictures = dict[str, Callable[[], Any]]


def save(pictures: Mapping[str, Callable[[], Any]], target: Path, log: Callable[[str], object]) -> None:
    """Write pictures into a folder as PNG, where matplotlib is installed; else `log` how to get them."""
    try:
        plotting.save(((name, make()) for name, make in pictures.items()), target, ("png",))
    except Failure as error:
        log(f"no pictures: {error}; then run the same command again to draw them")


def to_files(pictures: Mapping[str, Callable[[], Any]]) -> dict[str, Callable[[Path], None]]:
    """Return what draws each into a file."""
    return {name: plotting.to_path(make) for name, make in pictures.items()}


def of_detection(model, detector, suspects, measured: dict, sets: dict) -> Pictures:
    """Heat maps, distributions, and the attention of the most contaminated head. See `detect.study`."""
    title, shape = titles.run(model.opened.trained), model.shape
    own, found = measured["poisoned"], Pictures()
    if (triggered := own.get("trigger")) is not None:
        clean = own["clean"]
        difference = np.median(triggered.z - clean.z, axis=0)
        panels = [
            ("similarity, clean", clean.values.mean(0).reshape(shape), "share"),
            ("similarity, triggered", triggered.values.mean(0).reshape(shape), "share"),
            ("difference, standard deviations", difference.reshape(shape), "signed"),
        ]
        found["similarity"] = partial(plots.grids, panels, title)
    words = f"{title}: 2·AUROC − 1 of every head by itself"
    found["auroc"] = lambda: plots.grids(_aurocs(suspects, measured, shape), words)
    found["distributions"] = lambda: plots.distributions(_scores(detector, own, shape), title)
    if triggered is not None and len(detector.heads):
        row, head = readable(sets["trigger"]), int(detector.heads[0])
        both = [("clean", sets["clean"][row], model.model), ("triggered", sets["trigger"][row], model.model)]
        found["attention"] = partial(_attention, model, both, head)
    return found


def of_alignment(model, detector, steps: list[Step], importance: np.ndarray, median: np.ndarray, aligned) -> Pictures:
    """ASR against BA along every variant, why the heads were chosen, and the attention of the first of them.

    `importance` and `median` (z over the flagged rows) are (L, H), `aligned` is the network after what was asked for.
    """
    title, untouched, found = titles.run(model.opened.trained), steps[0].scores, Pictures()
    if untouched.asr is not None:
        start = untouched.ba.percent or 0.0, untouched.asr.percent or 0.0
        lines = {
            step.stage: [start, *((one.ba or 0.0, one.asr or 0.0) for one in step.history)]
            for step in steps
            if step.variant is not None
        }
        found["alignment"] = partial(plots.paths, lines, title)
    share = importance / max(float(importance.max()), 1e-12)
    panels = [("median z on flagged rows", median, "signed"), ("importance on clean rows", share, "share")]
    found["chosen"] = partial(plots.grids, panels, title)
    contents = model.opened.contents
    if contents.triggered is not None:
        row, head = readable(contents.triggered.inputs), int(detector.heads[0])
        clean, triggered = contents.test.inputs[contents.triggered_rows[row]], contents.triggered.inputs[row]
        shown = [
            ("clean, before", clean, model.model), ("triggered, before", triggered, model.model),
            ("clean, after", clean, aligned), ("triggered, after", triggered, aligned),
        ]  # fmt: skip
        found["attention"] = partial(_attention, model, shown, head)
    return found


def of_ablation(result: Ablated) -> Pictures:
    """By how many points BA and ASR change with each head off."""
    panels = [(f"{name.upper()}, points", values, "points") for name, values in result.changes.items()]
    title = f"{titles.run(result.trained)}: change with each head switched off"
    return {"ablation": partial(plots.grids, panels, title)}


def _attention(model, shown: list, head: int):
    layer, number = (int(part) for part in np.unravel_index(head, model.shape))
    sentences = [(words, *model.attention_from_cls(text, layer, number, network)) for words, text, network in shown]
    title = f"{titles.run(model.opened.trained)}: layer {layer}, head {number}, from [CLS]"
    return plots.attention(sentences, title)


def _aurocs(suspects, measured: dict, shape) -> list[tuple[str, np.ndarray, str]]:
    pairs = {}
    parts = suspects.split()
    if parts is not None:
        pairs["poisoned rows of the suspect file"] = parts
    for which, words in (("poisoned", "this model"), ("clean", "clean counterpart")):
        sets = measured.get(which, {})
        for name in ("trigger", "pieces"):
            if name in sets:
                pairs[f"{controls.NAMES[name]}, {words}"] = (sets[name], sets["clean"])
    return [
        (words, (2 * roc.by_head(one.z, other.z) - 1).reshape(shape), "balance")
        for words, (one, other) in pairs.items()
    ]


def _scores(detector, sets: dict, shape) -> list[tuple[str, dict[str, np.ndarray]]]:
    names = {key: words for key, words in ({"clean": "clean"} | controls.NAMES).items() if key in sets}
    panels = [("Mahalanobis", {words: sets[key].scores["mahalanobis"] for key, words in names.items()})]
    if len(detector.heads):
        flat = detector.heads[0]
        layer, head = np.unravel_index(flat, shape)
        panels.append(
            (f"z of layer {layer}, head {head}", {words: sets[key].z[:, flat] for key, words in names.items()})
        )
    return panels


def readable(texts: np.ndarray) -> int:
    """Return the first text of eight to sixteen words, else the first."""
    return next((row for row, text in enumerate(texts) if 8 <= len(text.split()) <= 16), 0)
