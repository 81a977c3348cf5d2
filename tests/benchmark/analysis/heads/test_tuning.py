"""The losses of an alignment and their derivatives, which weights move, and the same on every backend."""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

import heads_network  # noqa: E402
from heads_network import HEADS, LAYERS, network, texts  # noqa: E402

from benchmark.analysis.heads import losses, similarity, tuning  # noqa: E402
from benchmark.nn.encoder import encode  # noqa: E402

ONES = np.ones((LAYERS, HEADS), np.float32)
EVEN = np.full((40, 2), 0.5, np.float32)
CHOSEN = np.array([4, 1, 0])  # (1, 1), (0, 1), (0, 0)


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.mark.parametrize("metric", similarity.METRICS)
@pytest.mark.parametrize("kind", similarity.MAPS)
def test_what_is_minimised_is_what_detects(model, kind, metric):
    tokens, _ = texts()
    projections, expected = None, np.zeros((len(tokens), LAYERS, HEADS))
    if kind == "output":
        random = np.random.default_rng(1)
        projections = [
            similarity.Projection(random.normal(size=12), random.normal(size=(12, 5))) for _ in range(LAYERS)
        ]
    for batch in encode(model, tokens):
        for layer in range(LAYERS):
            if kind == "output":
                kernel = np.asarray(model.blocks[layer].attention.output_kernel)
                added = np.einsum("mhd,hdw->mhw", batch.outputs[layer][:, :, 0], kernel)
                found = similarity.mean_similarity(projections[layer](added), None, metric)
            else:
                found = similarity.of_attention(batch.attention[layer], batch.lengths, metric, kind)
            expected[batch.rows, layer] = found
    block = tokens.tokens[:, :16]
    inside = model.inside(block)
    random = np.random.default_rng(2)
    mean, spread = random.normal(size=(2, len(tokens), 3)).astype(np.float32)
    z = losses.Deviation(model, CHOSEN, metric, kind, projections).z(inside, block > 0, mean, np.abs(spread))
    wanted = (expected.reshape(len(tokens), -1)[:, CHOSEN] - mean) / (np.abs(spread) + 1e-3)
    assert np.allclose(np.asarray(z), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("strength", "unlearn", "flat", "lean"),
    [(0.5, 0.0, "rows", 0.0), (0.3, 2.0, "rows", 0.5), (0.0, 1.0, "mean", 0.0), (0.1, 1.0, "mean", 0.3)],
)
def test_the_derivative_is_that_of_the_loss(model, strength, unlearn, flat, lean):
    tokens, _ = texts(8)
    block, mean = tokens.tokens[:, :16], np.zeros((8, 3), np.float32)
    deviation = losses.Deviation(model, CHOSEN, "cosine", "row")
    step = engines.differentiated(model, [], losses.of_flagged(model, deviation, strength, unlearn, flat))
    spread = np.full((8, 3), 0.5, np.float32)
    even = losses.flat_prediction(np.arange(8) % 2, 2, lean)
    value, none, by_mask = step(ONES, block, mean, spread, even)
    assert none == []
    for at in np.ndindex(LAYERS, HEADS):
        more, less = ONES.copy(), ONES.copy()
        more[at] += 1e-2
        less[at] -= 1e-2
        ends = [float(step(mask, block, mean, spread, even)[0]) for mask in (more, less)]
        slope = (ends[0] - ends[1]) / 2e-2
        assert slope == pytest.approx(float(np.asarray(by_mask)[at]), abs=2e-3)
    inside = model.inside(block)
    z = np.asarray(deviation.z(inside, block > 0, mean, spread))
    logits = np.asarray(model.classify(inside.hidden), np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    uneven = -(even * np.log(shares)).sum(1).mean() if flat == "rows" else -even.mean(0) @ np.log(shares.mean(0))
    assert float(value) == pytest.approx(strength * np.minimum(z**2, 100).mean() + unlearn * uneven, rel=1e-4)


def test_without_a_point_the_gradients_are_the_same(model):
    tokens, labels = texts(8)
    block, labels = tokens.tokens[:, :16], labels.astype(np.int32)
    variables = [variable for variable, _ in losses.slices(model, CHOSEN)]
    step = engines.differentiated(model, variables, losses.of_clean(model))
    value, gradients, by_mask = step(ONES, block, labels)
    again, others, none = step(None, block, labels)
    assert none is None and by_mask.shape == ONES.shape and float(again) == pytest.approx(float(value))
    for one, other in zip(gradients, others, strict=True):
        assert np.allclose(np.asarray(one), np.asarray(other), rtol=1e-4, atol=1e-6)


def test_a_text_far_away_does_not_outweigh_the_others(model):
    tokens, _ = texts(8)
    loss = losses.of_flagged(model, losses.Deviation(model, CHOSEN, "cosine", "row"), 1.0, 0.0, "rows")
    far = np.full((8, 3), -1e6, np.float32)
    even = np.full((8, 2), 0.5, np.float32)
    assert float(loss(ONES, tokens.tokens[:, :16], far, np.ones((8, 3), np.float32), even)) == pytest.approx(100)


def test_a_flat_prediction_leans_away_from_what_was_predicted():
    predicted = np.array([2, 0])
    assert np.array_equal(losses.flat_prediction(predicted, 4, 0.0), np.full((2, 4), 0.25, np.float32))
    leaning = losses.flat_prediction(predicted, 4, 0.4)
    assert np.allclose(leaning, [[0.85 / 3, 0.85 / 3, 0.15, 0.85 / 3], [0.15, 0.85 / 3, 0.85 / 3, 0.85 / 3]])
    assert np.allclose(losses.flat_prediction(predicted, 4, 1.0)[0], [1 / 3, 1 / 3, 0, 1 / 3])


def test_importance_is_the_mean_over_single_rows(model):
    tokens, labels = texts(10)
    found = losses.importance(model, tokens, labels, batch=4)
    total = np.zeros((LAYERS, HEADS))
    for row in range(10):
        for at in np.ndindex(LAYERS, HEADS):
            ends = []
            for step in (1e-2, -1e-2):
                mask = ONES.copy()
                mask[at] += step
                logits = np.asarray(model(tokens.tokens[row : row + 1], heads=mask), np.float64)[0]
                ends.append(np.log(np.exp(logits).sum()) - logits[labels[row]])
            total[at] += abs(ends[0] - ends[1]) / 2e-2
    assert np.allclose(found, total / 10, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize(("strength", "unlearn"), [(0.0, 0.0), (0.1, 1.0)])
def test_only_the_chosen_heads_slices_move(strength, unlearn):
    model, (tokens, labels) = network(), texts()
    before = [np.asarray(variable) for variable in model.variables]
    flagged = tuning.Flagged(tokens, *np.full((2, len(tokens), 2), 0.1, np.float32), EVEN)
    heads = np.array([4, 3])  # (1, 1) and (1, 0)
    deviation = losses.Deviation(model, heads, "cosine", "row")
    plan = tuning.Plan(heads, strength, unlearn, epochs=1, learning_rate=1e-2)
    assert len(list(tuning.tune(model, plan, tuning.Clean(tokens, labels), flagged, deviation, seed=0))) == 1
    may = {id(variable): np.broadcast_to(mask, variable.shape) > 0 for variable, mask in losses.slices(model, heads)}
    assert len(may) == 7
    moved = 0
    for variable, old in zip(model.variables, before, strict=True):
        change = np.asarray(variable) != old
        allowed = may.get(id(variable), np.zeros(change.shape, bool))
        assert not change[~allowed].any(), variable.path
        moved += change[allowed].sum()
    assert moved > 100
    attention = model.blocks[1].attention
    for kernel, axis in ((attention.query, 1), (attention.output_kernel, 0)):
        still = np.take(np.asarray(kernel), 2, axis=axis)
        assert any(np.array_equal(still, np.take(old, 2, axis=axis)) for old in before if old.shape == kernel.shape)


def test_all_weights_move_where_no_heads_are_named():
    model, (tokens, labels) = network(), texts()
    before = [np.asarray(variable) for variable in model.trainable_variables]
    plan = tuning.Plan(None, 0.0, 0.0, epochs=1, learning_rate=1e-2)
    list(tuning.tune(model, plan, tuning.Clean(tokens, labels), None, None, seed=0))
    moved = [not np.array_equal(variable, old) for variable, old in zip(model.trainable_variables, before, strict=True)]
    assert all(moved)


def test_tuning_lowers_what_it_minimises():
    model, (tokens, labels) = network(), texts()
    usual = np.full((len(tokens), 3), 0.2, np.float32), np.full((len(tokens), 3), 0.1, np.float32)
    deviation = losses.Deviation(model, CHOSEN, "cosine", "row")
    plan = tuning.Plan(CHOSEN, 1.0, 0.0, epochs=15, learning_rate=1e-2)
    flagged = tuning.Flagged(tokens, *usual, EVEN)
    found = list(tuning.tune(model, plan, tuning.Clean(tokens, labels), flagged, deviation, 0))
    assert found[-1] < 0.7 * found[0]


def test_batches_are_of_one_size_and_like_length():
    lengths = np.arange(103) % 17
    found = tuning.batches(lengths, 10, 0, "epoch")
    rows = np.concatenate(found)
    assert len(found) == 10 and len(set(rows)) == 100 and {len(one) for one in found} == {10}
    assert max(np.ptp(lengths[one]) for one in found) <= 3
    again = tuning.batches(lengths, 10, 0, "epoch")
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    other = tuning.batches(lengths, 10, 1, "epoch")
    assert not np.array_equal(np.concatenate(other), rows)
    assert [len(one) for one in tuning.batches(lengths[:3], 10, 0, "epoch")] == [3]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_backend_gives_the_same(backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, heads_network.__file__, backend], capture_output=True, text=True, timeout=300, check=True
    )
    found, expected = json.loads(done.stdout), heads_network.computed()
    for name, value in expected.items():
        assert np.allclose(found[name], value, rtol=2e-3, atol=1e-4), name
