"""Whether a detector says how it judges a row: by itself, or by the others that are inspected."""

import numpy as np
import pytest
from made_context import MadeContext, blobs, scored

from benchmark.defences.catalogue import DETECTORS

ON_FEATURES = ("activation-clustering", "mahalanobis", "scan", "spectral", "spectre")


@pytest.mark.parametrize("detector", ON_FEATURES)
def test_scores_of_drawn_rows_are_those_of_all_rows_where_each_is_judged_alone(detector):
    features, labels, bad, clean, clean_labels = blobs()
    drawn = bad | (np.arange(len(bad)) % 3 == 0)
    every = scored(detector, MadeContext(features, labels, clean, clean_labels)).scores[drawn]
    some = scored(detector, MadeContext(features[drawn], labels[drawn], clean, clean_labels)).scores
    assert np.allclose(every, some) == (DETECTORS[detector].judges == "alone")
