"""What a detector is given, made of arrays: no run, no network, no Keras."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

GOLDEN = Path(__file__).resolve().parents[1] / "golden/feature_detectors.npz"


def golden():
    """The reference's arrays of the detectors on features (the tests of each detector say which is what)."""
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def auc(scores, positive):
    """The area under the ROC curve, ties counting half."""
    scores, positive = np.asarray(scores), np.asarray(positive, bool)
    over = scores[positive][:, None] - scores[~positive]
    return (over > 0).mean() + (over == 0).mean() / 2


class MadeContext:
    """Features (n, d) of rows with given labels, and of clean rows with true ones."""

    def __init__(self, features, labels, clean=None, clean_labels=None, classes=None, seed=0, losses=None):
        self._features = {"train": features, "clean": clean}
        self.labels, self.seed, self._losses = np.asarray(labels, np.int64), seed, losses
        self.rows = np.arange(len(self.labels))
        self.logged: list[str] = []
        self.log = self.logged.append
        self.classes = int(self.labels.max()) + 1 if classes is None else classes
        self.class_names = [f"class {number}" for number in range(self.classes)]
        self.clean = SimpleNamespace(labels=None if clean is None else np.asarray(clean_labels, np.int64))

    def features(self, group="train"):
        return self._features[group]

    def losses(self):
        return self._losses


def scored(detector, context, **options):
    """A detector's answer with its default options but for those given, and that the driver would take it."""
    from benchmark.defences import options as settings
    from benchmark.defences.catalogue import DETECTORS
    from benchmark.defences.detect import checked

    spec = DETECTORS[detector]
    given = settings.complete(detector, spec.options, options)
    return checked(spec.score(context, **given), len(context.rows), detector)


def blobs(rows_each=60, classes=4, size=6, poisoned=12, seed=0, dead=1):
    """Features of classes around means of their own, ReLU-like with some dead ones, of which `poisoned` rows of class 0
    lie elsewhere; labels, which rows these are, and as many clean rows, with labels."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(1, 4, (classes, size))
    labels = np.repeat(np.arange(classes), rows_each)
    features = means[labels] + rng.normal(size=(len(labels), size)) * 0.3
    clean = means[labels] + rng.normal(size=(len(labels), size)) * 0.3
    bad = np.zeros(len(labels), bool)
    bad[rng.permutation(rows_each)[:poisoned]] = True
    features[bad] += np.linspace(1.5, 2.5, size)
    for one in (features, clean):
        one[:, size - dead :] = 0
    return np.maximum(features, 0).astype(np.float32), labels, bad, np.maximum(clean, 0).astype(np.float32), labels
