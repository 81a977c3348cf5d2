"""What the commands on heads draw of what they found, as (name, figure) for `figures.save`."""

from collections.abc import Iterator

import numpy as np

from benchmark.analysis.heads import controls, plots, roc


def of_detection(watched, detector, suspects, measured: dict, sets: dict) -> Iterator[tuple[str, object]]:
    """Heat maps, distributions, and what the most contaminated head looks at. See `detect.detect`."""
    name, shape = watched.opened.trained["name"], watched.shape
    own = measured["poisoned"]
    triggered = own.get("trigger")
    if triggered is not None:
        clean = own["clean"]
        panels = [("similarity, clean", clean.values.mean(0)), ("similarity, triggered", triggered.values.mean(0))]
        panels = [(words, values.reshape(shape), "share") for words, values in panels]
        difference = np.median(triggered.z - clean.z, axis=0)
        panels.append(("difference, standard deviations", difference.reshape(shape), "signed"))
        yield "similarity", plots.grids(panels, name)
    yield "auroc", plots.grids(_aurocs(suspects, measured, shape), f"{name}: 2·AUROC − 1 of every head by itself")
    yield "distributions", plots.distributions(_scores(detector, own, shape), name)
    if triggered is not None and len(detector.heads):
        row, head = readable(sets["trigger"]), int(detector.heads[0])
        both = [("clean", sets["clean"][row], watched.model), ("triggered", sets["trigger"][row], watched.model)]
        yield "attention", _looks(watched, both, head)


def of_alignment(watched, detector, steps: list[dict], importance: np.ndarray, median: np.ndarray, aligned):
    """ASR against BA along every variant, why the heads were chosen, and what the first of them looks at.

    `importance` and `median` (z over the flagged rows) are (L, H), `aligned` is the network after what was asked for.
    """
    name, untouched = watched.opened.trained["name"], steps[0]["scores"]
    if untouched["asr"] is not None:
        start = untouched["ba"]["percent"], untouched["asr"]["percent"]
        lines = {
            step["stage"]: [start, *((entry["ba"], entry["asr"]) for entry in step["history"])]
            for step in steps
            if "history" in step
        }
        yield "alignment", plots.paths(lines, name)
    share = importance / max(float(importance.max()), 1e-12)
    panels = [("median z on flagged rows", median, "signed"), ("importance on clean rows", share, "share")]
    yield "chosen", plots.grids(panels, name)
    contents = watched.opened.contents
    if contents.triggered is not None:
        row, head = readable(contents.triggered.inputs), int(detector.heads[0])
        clean, triggered = contents.test.inputs[contents.triggered_rows[row]], contents.triggered.inputs[row]
        shown = [
            ("clean, before", clean, watched.model), ("triggered, before", triggered, watched.model),
            ("clean, after", clean, aligned), ("triggered, after", triggered, aligned),
        ]  # fmt: skip
        yield "attention", _looks(watched, shown, head)


def of_ablation(result: dict, changes: dict[str, np.ndarray]):
    """By how many points BA and ASR change with each head off."""
    panels = [(f"{name.upper()}, points", values, "points") for name, values in changes.items()]
    yield "ablation", plots.grids(panels, f"{result['run']}: what switching a head off changes")


def _looks(watched, shown: list, head: int):
    layer, number = (int(part) for part in np.unravel_index(head, watched.shape))
    sentences = [(words, *watched.looks(text, layer, number, model)) for words, text, model in shown]
    title = f"{watched.opened.trained['name']}: layer {layer}, head {number}, from [CLS]"
    return plots.looks(sentences, title)


def _aurocs(suspects, measured: dict, shape) -> list[tuple[str, np.ndarray, str]]:
    pairs = {}
    if suspects.told:
        pairs["poisoned rows of the suspect file"] = suspects.parts
    for which, words in (("poisoned", "this model"), ("clean", "clean twin")):
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
    """The first text of some eight to sixteen words, else the first."""
    return next((row for row, text in enumerate(texts) if 8 <= len(text.split()) <= 16), 0)
