"""What the commands on heads draw of what they found, as (name, figure) for `figures.save`."""

from collections.abc import Iterator

import numpy as np

from benchmark.heads import controls, drawing, ranking


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
        yield "similarity", drawing.grids(panels, name)
    yield "auroc", drawing.grids(_aurocs(suspects, measured, shape), f"{name}: 2·AUROC − 1 of every head by itself")
    yield "distributions", drawing.distributions(_scores(detector, own, shape), name)
    if triggered is not None and len(detector.heads):
        layer, head = np.unravel_index(detector.heads[0], shape)
        row = _readable(sets["trigger"])
        sentences = [
            (words, *watched.looks(texts[row], layer, head))
            for words, texts in (("clean", sets["clean"]), ("triggered", sets["trigger"]))
        ]
        yield "attention", drawing.looks(sentences, f"{name}: layer {layer}, head {head}, from [CLS]")


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
        (words, (2 * ranking.by_head(one.z, other.z) - 1).reshape(shape), "signed")
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


def _readable(texts: np.ndarray) -> int:
    """The first text of some eight to sixteen words, else the first."""
    return next((row for row, text in enumerate(texts) if 8 <= len(text.split()) <= 16), 0)
