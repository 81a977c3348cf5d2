"""FLARE against the reference's outputs: the likelihoods of the mini network, and what is made of HDBSCAN's trees."""

import mini_network
import numpy as np
import pytest
from in_process import invoke

from benchmark.core import extras
from benchmark.core.errors import Failure
from benchmark.defences.detectors import flare
from benchmark.nn import engines

ARRAYS = mini_network.golden()
POISONED = ARRAYS["img_poisoned"]
INSTALLED = extras.problem("umap-learn") is None and extras.problem("hdbscan") is None


def tree(without):
    """HDBSCAN's tree (hdbscan 0.8.44) of the reference's embedding without the last so many layers."""
    nodes, density = ARRAYS[f"flare_tree_{without}_nodes"], ARRAYS[f"flare_tree_{without}_density"]
    names = [("parent", int), ("child", int), ("lambda_val", float), ("child_size", int)]
    condensed = np.array(list(zip(*nodes[:2], density, nodes[2], strict=True)), names)
    asked = []

    def groups_at(distance):
        asked.append(distance)
        return ARRAYS[f"flare_groups_{without}"].astype(np.int64)

    found = flare.Tree(1200, condensed, ARRAYS["flare_tree_1_merges"].astype(np.float64), groups_at)
    return found, asked


def test_likelihoods_are_the_references():
    engines.activate("tensorflow")
    inputs = []
    mini_network.logits(ARRAYS, ARRAYS["img"], inputs=inputs)
    found = []
    for number, values in enumerate(inputs):
        _, _, mean, variance = mini_network.norm(ARRAYS, number)
        flat = values.reshape(len(values), -1, values.shape[-1])
        found.append(np.asarray(flare.least_log_density(flat, mean, variance)))
    np.testing.assert_allclose(np.stack(found, axis=1), ARRAYS["flare_likelihood"], rtol=1e-3)


@pytest.mark.parametrize("without", [0, 1, 3])
def test_stability_is_the_references(without):
    found, asked = tree(without)
    divided = flare.split(found, 0.02)
    np.testing.assert_allclose(divided.stability[-1:], ARRAYS[f"flare_difference_{without}"], rtol=1e-5)
    assert divided.density is not None and asked == [pytest.approx(1 / (divided.density - 1e-4))]


def test_flags_are_the_references_where_there_are_two_groups():
    divided = flare.split(tree(1)[0], 0.02)
    assert divided.divides
    np.testing.assert_array_equal(divided.flagged, ARRAYS["flare_flag_1"])
    assert POISONED[divided.flagged].sum() == 106 and divided.flagged.sum() == 109


def test_the_published_code_stops_at_all_layers_with_every_flag_wrong():
    """Noise outnumbers the only group there, so the published rule takes noise for benign and flags that group."""
    divided = flare.split(tree(0)[0], 0.02)
    published = ARRAYS["flare_flag_0"]
    np.testing.assert_array_equal(published, divided.groups == 0)
    assert np.count_nonzero(divided.groups < 0) > published.sum() == 446 and not POISONED[published].any()
    assert not divided.divides and not divided.flagged.any()


def test_the_search_goes_on_until_the_rows_divide():
    without, _, found, tried = flare.search(lambda w: tree(w)[0], 8, 2, 0.02)
    assert without == 1 and found.divides and len(tried) == 2


def test_where_nothing_divides_all_subspaces_are_tried_and_nothing_is_flagged():
    asked = []

    def embedded(without):
        asked.append(without)
        return tree(0)[0]

    without, one, found, tried = flare.search(embedded, 8, 5, 0.02)
    assert asked == [0, 1, 2, 3] and without == 0 and len(tried) == 4 and not found.divides
    scores = flare.scores(one, found)
    assert np.isfinite(scores).all() and scores.max() < 1


def test_a_higher_xi_finds_nothing_stable():
    divided = flare.split(tree(1)[0], 10.0)
    assert divided.density is None and not divided.divides and not divided.flagged.any()


def test_scores_are_those_flagged_first_and_then_by_distance():
    one, _ = tree(1)
    divided = flare.split(one, 0.02)
    scores = flare.scores(one, divided)
    assert scores[divided.flagged].min() >= 1 > scores[~divided.flagged].max()
    assert scores[divided.groups < 0].min() > np.median(scores[divided.groups == divided.benign])
    assert mini_network.auc(scores, POISONED) > 0.97


def test_distances_of_single_linkage_against_the_paths_of_a_minimum_spanning_tree():
    points = np.random.default_rng(2).random(12)
    order = np.argsort(points)
    gaps = sorted((points[order[i + 1]] - points[order[i]], i) for i in range(11))
    node, size, merges = {i: order[i] for i in range(12)}, {}, []
    for number, (gap, i) in enumerate(gaps):
        left, right = node[i], node[i + 1]
        merged = 12 + number
        size[merged] = size.get(left, 1) + size.get(right, 1)
        merges.append((left, right, gap, size[merged]))
        node = {k: merged if v in (left, right) else v for k, v in node.items()}
    found = flare.distances(flare.Tree(12, np.empty(0), np.array(merges), lambda distance: np.empty(0)), 5)
    for row in range(12):
        between = np.sort(points[(points >= min(points[row], points[5])) & (points <= max(points[row], points[5]))])
        assert found[row] == pytest.approx(np.diff(between).max(initial=0))


@pytest.mark.skipif(INSTALLED, reason="the extra is installed")
def test_without_the_extra_it_is_one_line(run):
    done = invoke("detect", run, "--method", "flare", "--no-twin")
    assert done.exit_code == 1 and "umap-learn is not installed: pip install" in done.stderr
    assert "poisonkit[defences]" in done.stderr and not list(run.glob("detect-*"))


@pytest.mark.skipif(not INSTALLED, reason="the extra defences is not installed")
def test_hdbscans_tree_is_the_stored_one():
    found = flare.tree_of(ARRAYS["flare_plane_1"], 100)
    np.testing.assert_array_equal(flare.split(found, 0.02).flagged, ARRAYS["flare_flag_1"])


def test_too_few_rows_are_refused():
    class Context:
        rows = np.arange(150)

    with pytest.raises(Failure, match="needs 200 rows or more, for groups of 100, and there are 150"):
        flare.score(Context(), xi=0.02, group=100)


def test_likelihoods_of_a_run(run):
    """Of a network with experts: one column a batch normalisation, and of the experts the patches that they take."""
    import keras

    from benchmark.defences.subject import Asked, open_subject
    from benchmark.runs.run import Run

    context = open_subject(Run.at(run), Asked(), print).context
    images = context.images()[:5]
    found = flare.likelihoods(context)(images)
    assert found.shape == (5, 7) and found.dtype == np.float32
    layers = context.batch_norms()
    inside = keras.Model(context.model.inputs, [layer.input for layer in layers])(images)
    for number, (layer, values) in enumerate(zip(layers, map(np.asarray, inside), strict=True)):
        mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance) + layer.epsilon
        if layer.name == "experts":
            values = np.asarray(layer.standardised_inputs(values)).transpose(0, 2, 1, 3)
            scores, taken = map(np.asarray, layer.route(inside[number]))
            patches = np.asarray(inside[number]).reshape(5, -1, values.shape[-1])
            gated = patches[0][taken[0, :, 2] > 0] * scores[0][taken[0, :, 2] > 0][:, 2:3]
            np.testing.assert_allclose(np.sort(values[0, :, 2], axis=0), np.sort(gated, axis=0), rtol=1e-4, atol=1e-6)
        density = -0.5 * ((values - mean) ** 2 / variance + np.log(2 * np.pi * variance))
        np.testing.assert_allclose(found[:, number], density.reshape(5, -1).min(axis=1), rtol=1e-3)
