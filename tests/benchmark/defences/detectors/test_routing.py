"""The detector `routing`: each step against a plain twin, a planted trigger, gates of real networks, the command."""

import json
import types

import in_process
import numpy as np
import pytest

from benchmark.analysis.routing import measure
from benchmark.core.errors import Failure
from benchmark.defences.detectors import routing
from benchmark.nn import engines

CLASSES, EXPERTS, CELLS = 3, 2, 9


def made(rows, seed, planted=0):
    """Gates (n, cells · experts) whose places depend on the class, and the classes; the last `planted` rows have most
    of the first expert's gate in one corner."""
    random = np.random.default_rng(seed)
    of = random.integers(0, CLASSES, rows)
    logits = random.normal(0, 0.6, (rows, CELLS, EXPERTS))
    logits[np.arange(rows), of] += 2
    logits[rows - planted :, 8, 0] += 2.5
    gates = np.exp(logits)
    return (gates / gates.sum(1, keepdims=True)).reshape(rows, -1).astype(np.float32), of


def plain_scores(gates, of, clean, clean_of, common):
    """The same row by row, with the inverse of the covariance itself."""
    roots, own = np.sqrt(gates.astype(float)), np.sqrt(clean.astype(float))
    everyone = own.mean(0)
    means = [(own[clean_of == c].sum(0) + everyone) / (np.sum(clean_of == c) + 1) for c in range(CLASSES)]
    residuals = np.array([row - means[c] for row, c in zip(own, clean_of, strict=True)])
    deviation = residuals.std(0) + 1e-3
    z = residuals / deviation
    covariance = sum(np.outer(row, row) for row in z) / len(z)
    target = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    noise = sum(((np.outer(row, row) - covariance) ** 2).sum() for row in z) / len(z) ** 2
    share = min(noise / ((covariance - target) ** 2).sum(), 1)
    inverse = np.linalg.inv((1 - share) * covariance + share * target)
    found = np.array([(row - means[c]) / deviation for row, c in zip(roots, of, strict=True)])
    distances = np.array([np.sqrt(row @ inverse @ row) for row in found])
    first = np.argsort(-distances, kind="stable")[: int(common * len(distances))]
    values, vectors = np.linalg.eigh(inverse)
    white = found @ (vectors * np.sqrt(values)) @ vectors.T
    direction = white[first].mean(0)
    return distances, distances + white @ (direction / np.linalg.norm(direction)), share


def test_scores_against_the_plain_twin():
    gates, of = made(200, 0, planted=12)
    clean, clean_of = made(150, 1)
    distances, both, share = plain_scores(gates, of, clean, clean_of, 0.1)
    found = routing.rank(gates, of, clean, clean_of, CLASSES, common=0.1)
    alone = routing.rank(gates, of, clean, clean_of, CLASSES, second_pass=False)
    assert np.allclose(found.scores, both, atol=1e-6) and np.allclose(alone.scores, distances, atol=1e-6)
    assert found.usual.shrinkage == pytest.approx(share) and 0 < share < 1


def test_rows_are_read_block_by_block(monkeypatch):
    gates, of = made(100, 0, planted=5)
    clean, clean_of = made(60, 1)
    whole = routing.rank(gates, of, clean, clean_of, CLASSES).scores
    monkeypatch.setattr(routing, "BLOCK", 7)
    assert np.allclose(routing.rank(gates, of, clean, clean_of, CLASSES).scores, whole)


def test_what_turns_elsewhere_is_found_and_the_second_pass_finds_more():
    gates, of = made(3000, 0, planted=60)
    clean, clean_of = made(600, 1)
    poisoned = np.arange(3000) >= 2940
    found = routing.rank(gates, of, clean, clean_of, CLASSES)
    alone = routing.rank(gates, of, clean, clean_of, CLASSES, second_pass=False)
    rates = []
    for one in (alone, found):
        cut = np.quantile(one.scores[~poisoned], 0.99)
        rates.append(np.mean(one.scores[poisoned] > cut))
        assert 0.002 < np.mean(one.flagged[~poisoned]) < 0.03, "about as many as clean rows"
    assert rates[1] > rates[0] > 0.3 and rates[1] > 0.8
    assert set(found.suspicious) == set(np.flatnonzero(found.flagged))
    shift = found.usual.standardised(gates[poisoned], of[poisoned]).mean(0).reshape(CELLS, EXPERTS)
    assert np.unravel_index(shift.argmax(), shift.shape) == (8, 0)


def test_a_class_without_clean_rows_stands_beside_the_mean_of_all():
    clean, clean_of = made(60, 1)
    some = clean_of != 2
    usual = routing.fit(clean[some], clean_of[some], CLASSES)
    assert np.allclose(usual.means[2], np.sqrt(clean[some].astype(float)).mean(0), atol=1e-6)
    assert np.isfinite(usual.whitened(clean, clean_of)).all()


def test_gates_that_are_no_numbers_are_counted():
    gates, _ = made(30, 0)
    routing.check_finite(gates)
    gates[[3, 4]] = np.nan
    with pytest.raises(Failure, match="the gates of 2 of 30 rows are not finite"):
        routing.check_finite(gates)


def test_constant_gates_say_nothing():
    with pytest.raises(Failure, match="do not tell images apart"):
        routing.fit(np.full((30, 18), 1 / 9, np.float32), np.zeros(30, int), CLASSES)


@pytest.mark.parametrize(
    ("grid", "expected"), [((8, 8), (8, 8)), ((3, 5), (3, 5)), ((16, 8), (8, 8)), ((19, 9), (8, 8))]
)
def test_patches_are_put_together_to_cells(grid, expected):
    pool, found = routing.cells(grid)
    assert found == expected and pool.shape == (grid[0] * grid[1], expected[0] * expected[1])
    assert (pool.sum(1) == 1).all() and (pool.sum(0) >= 1).all()
    rows = pool.reshape(*grid, *expected).any((1, 3))
    assert rows[0, 0] and rows[-1, -1] and (np.diff(rows.argmax(1)) >= 0).all()


@pytest.mark.parametrize("network", ["pmoe", "moe-vit"])
def test_gates_are_those_that_the_routing_measures(network):
    engines.activate("tensorflow")
    from benchmark.nn.networks.moe_vit import moe_vit
    from benchmark.nn.networks.pmoe import pmoe

    model = pmoe((16, 16, 3), 4, width=1, top_k=4, seed=1) if network == "pmoe" else moe_vit((16, 16, 3), 4, 48, seed=1)
    names = ["experts"] if network == "pmoe" else ["block4", "block6"]
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    layers, compute = routing._router(model, names)
    found = routing._split(compute(images), layers)
    for layer, part in zip(layers, found, strict=True):
        routes = measure.route(model, images, layer.name)
        assert layer.grid == routes.grid and part.shape == (5, layer.size)
        assert np.allclose(part, routes.gates.reshape(5, -1), atol=1e-5)


def test_the_command_gives_each_row_a_score_and_each_expert_a_line(run):
    asked = ("detect", run, "--method", "routing", "--clean-rows", "30")
    done = in_process.invoke(*asked)
    assert done.exit_code == 0, done.output
    (folder,) = run.glob("detect-routing-*")
    result = json.loads((folder / "result.json").read_text())
    experts = result["findings"]["experts"]
    assert sorted(one["expert"] for one in experts) == [1, 2, 3, 4] and {one["layer"] for one in experts} == {"experts"}
    excess = [one["deviation"] - one["deviation_of_others"] for one in experts]
    assert excess == sorted(excess, reverse=True) and all(0 <= one["overlap"] <= 1 for one in experts)
    rows = np.loadtxt(folder / "scores.csv", delimiter=",", skiprows=1)
    assert len(rows) == result["rows"]["inspected"] == 90 and np.isfinite(rows).all()
    assert [path.name for path in folder.glob("*.png")] == ["routing.png"] == result["pictures"]
    below = done.stdout.partition("routing of the")[2].splitlines()
    assert "more at" in below[1] and max(map(len, below)) <= 100
    assert in_process.invoke(*asked).stdout == done.stdout, "read, and shown the same"
    few = in_process.invoke("detect", run, "--method", "routing", "--no-twin")
    assert few.exit_code == 1 and "6 clean rows are too few to say which routing is usual" in few.stderr


def test_classes_without_clean_rows_are_named():
    context = types.SimpleNamespace(class_names=["a", "b", "c"], log=lambda line: lines.append(line))
    lines = []
    assert routing._unseen(context, np.array([0, 1, 2]), np.array([0, 0])) == ["b", "c"]
    assert lines == ["routing: no clean row of 2 classes: beside the mean of all others"]
