"""Beatrix against the reference's outputs (three of its ten classes), and on a run."""

import json
import tracemalloc
from types import SimpleNamespace

import mini_network
import numpy as np
import pytest
from in_process import invoke

from benchmark.core.errors import Failure
from benchmark.defences.detectors import beatrix

ARRAYS = mini_network.golden()
MAPS, CLEAN = (ARRAYS[name].reshape(-1, 8, 16) for name in ("maps", "maps_clean"))
OF, CLEAN_OF = ARRAYS["maps_pred"], ARRAYS["maps_clean_pred"]
CLASSES = np.unique(OF)


def measured(powers):
    """Deviation of each row, and the cuts of the classes at 95 and 99 %, with these powers."""
    found, cuts = np.zeros(len(MAPS)), {}
    for label in CLASSES:
        own = CLEAN[label == CLEAN_OF]
        found[label == OF] = beatrix.deviations(MAPS[label == OF], beatrix.bands_of(own, 10, powers), powers)
        cuts[label] = [beatrix.threshold(own, 10, share, powers) for share in (0.95, 0.99)]
    return found, cuts


def test_gram_matrices_are_the_references():
    for number, power in enumerate(beatrix.POWERS):
        full = np.zeros((8, 8))
        full[np.triu_indices(8)] = beatrix.gram(MAPS_OF_ALL[None], power)[0]
        np.testing.assert_allclose(full.reshape(-1), ARRAYS["beatrix_official_gram_first"][number, 0], rtol=1e-4)


MAPS_OF_ALL = ARRAYS["maps_first"].reshape(8, 16)


def test_deviations_cuts_and_flags_are_the_references():
    found, cuts = measured(beatrix.POWERS)
    np.testing.assert_allclose(found, ARRAYS["beatrix_official_deviation"], rtol=1e-3, atol=1e-9)
    for label in CLASSES:
        np.testing.assert_allclose(cuts[label], ARRAYS["beatrix_official_thresholds"][label], rtol=1e-3)
    limits = np.array([cuts[label][0] for label in OF])
    np.testing.assert_array_equal(found > limits, ARRAYS["beatrix_official_flag95"])


def test_the_published_codes_eight_orders_are_copies_of_one():
    """BackdoorBench takes no power of the maps, so each order is the first one's |G|^(1/p)."""
    powerless = [np.sign(g) * np.abs(g) ** (1 / p) for p in beatrix.POWERS for g in [beatrix.gram(MAPS[:1], 1)]]
    assert np.allclose(np.array(powerless) ** np.array(beatrix.POWERS)[:, None, None], powerless[0])
    found, _ = measured(beatrix.POWERS)
    assert not np.allclose(found, ARRAYS["beatrix_bb_deviation"], rtol=0.1)


def test_distances_of_classes_are_the_references():
    flagged, means = ARRAYS["beatrix_official_flag95"], MAPS.mean(axis=2)
    for label in CLASSES:
        rest, odd = means[(label == OF) & ~flagged], means[(label == OF) & flagged]
        assert beatrix.kernel_distance(rest, odd) == pytest.approx(ARRAYS["beatrix_official_kmmd"][label], rel=1e-4)
    found = beatrix.anomaly(ARRAYS["beatrix_official_kmmd"].astype(np.float64))
    np.testing.assert_allclose(found, ARRAYS["beatrix_official_index"], rtol=1e-4, atol=1e-6)


def test_nothing_is_decided_where_most_classes_have_no_flagged_row():
    assert ARRAYS["beatrix_official_index"].max() > 1e7  # what the published rule makes of it
    assert beatrix.decide(ARRAYS["beatrix_official_kmmd"].astype(np.float64)) is None
    assert (beatrix.decide(np.array([1.0, 2, 3, 50])) > np.e**2).tolist() == [False, False, False, True]


def test_a_sample_that_is_empty_or_all_one_is_no_distance_away():
    assert beatrix.kernel_distance(np.ones((3, 2)), np.ones((0, 2))) == 0
    assert beatrix.kernel_distance(np.ones((3, 2)), np.ones((4, 2))) == 0


def test_deviations_against_a_plain_loop():
    rng = np.random.default_rng(3)
    clean, maps = rng.normal(size=(12, 3, 4)), 2 * rng.normal(size=(5, 3, 4))

    def order(f, p):
        g = (f**p) @ (f**p).T
        return np.sign(g) * abs(g) ** (1 / p)

    total = np.zeros(5)
    for p in range(1, 9):
        grams = np.sort(np.array([order(f, p) for f in clean]), axis=0)
        middle = grams[5]
        spread = np.sort(abs(grams - middle), axis=0)[5]
        for row, f in enumerate(maps):
            g = order(f, p)
            for i in range(3):
                for j in range(i, 3):
                    low, high = middle[i, j] - 10 * spread[i, j], middle[i, j] + 10 * spread[i, j]
                    total[row] += max(low - g[i, j], 0) / abs(low + 1e-6) + max(g[i, j] - high, 0) / abs(high + 1e-6)
    found = beatrix.deviations(maps, beatrix.bands_of(clean, 10))
    np.testing.assert_allclose(found, total / 4.5 / 8, rtol=1e-4, atol=1e-9)


def test_memory_is_bounded_with_many_rows():
    maps = np.random.default_rng(0).random((1500, 64, 4), np.float32)
    bands = beatrix.bands_of(maps[:20], 10, (1,))
    tracemalloc.start()
    beatrix.deviations(maps, bands, (1,))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * beatrix.AT_ONCE * 8


class Features:
    """A context of features alone: 60 rows of two predicted classes, ten of them odd, and 40 clean rows."""

    seed, classes, class_names, is_of_images = 0, 2, ["a", "b"], False
    rows, model = np.arange(60), SimpleNamespace(layers=[])

    def __init__(self):
        rng = np.random.default_rng(0)
        self.made = {"train": 1 + rng.random((60, 9)), "clean": 1 + rng.random((40, 9))}
        self.made["train"][:10] *= np.array([1, 9, 1, 1, 1, 9, 1, 1, 1])
        self.clean = np.arange(40)

    def features(self, group):
        return self.made[group]

    def predicted(self, group="train"):
        return np.arange(len(self.made[group])) // (30 if group == "train" else 20)


def test_rows_that_correlate_otherwise_are_found():
    settings = {"layer": None, "width": 10.0, "share": 0.95, "index": np.e**2, "per_class": 100}
    found = beatrix.score(Features(), channels=None, **settings)
    assert found.findings["layer"] == "logits" and found.findings["channels"] == 9
    assert found.scores[:10].min() > found.scores[10:].max() and np.isfinite(found.scores).all()
    fewer = beatrix.score(Features(), channels=4, **settings)
    assert fewer.findings["channels"] == 4 and not np.array_equal(fewer.scores, found.scores)


def test_a_class_with_too_few_clean_rows_is_named_and_its_rows_neutral():
    context = Features()
    context.made["clean"] = context.made["clean"][:25]
    found = beatrix.score(context, layer=None, channels=None, width=10.0, share=0.95, index=7.4, per_class=100)
    assert found.findings["classes_with_too_few_clean_rows"] == ["b"] and not found.scores[30:].any()
    assert not found.findings["decided"]  # of one class alone
    context.made["clean"] = context.made["clean"][:5]
    with pytest.raises(Failure, match="no predicted class has 10 clean rows or more"):
        beatrix.score(context, layer=None, channels=None, width=10.0, share=0.95, index=7.4, per_class=100)


@pytest.mark.parametrize("layer", [(), ("--option", "layer=head_bn")])
def test_on_a_run(run, layer):
    done = invoke("detect", run, "--method", "beatrix", "--clean-rows", "30", "--no-twin", *layer)
    assert done.exit_code in (0, 1), (done.output, done.exception)
    found = list(run.glob("detect-beatrix-*/result.json"))
    if done.exit_code:  # the toy network predicts too few classes often enough
        assert "has 10 clean rows or more" in done.stderr and not found
    else:
        findings = json.loads(found[0].read_text())["findings"]
        assert findings["layer"] == (layer[1].removeprefix("layer=") if layer else "pool")


def test_a_layer_that_is_not_there_is_one_line(run):
    done = invoke("detect", run, "--method", "beatrix", "--option", "layer=nowhere", "--clean-rows", "30", "--no-twin")
    assert done.exit_code == 1 and "has no layer 'nowhere'; it has" in done.stderr
