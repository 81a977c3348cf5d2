"""Figures of detectors: against a naive count over all pairs and all cuts, weights and ties included."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.defences.measures import Measures, measure


def naive(scores, positive, negative, flagged, weights):
    """The same by definition: pairs for AUROC, every cut for the rest."""
    pos, neg = np.flatnonzero(positive), np.flatnonzero(negative)
    many, clean = weights[pos].sum(), weights[neg].sum()
    wins = sum(
        weights[p] * weights[n] * (1.0 if scores[p] > scores[n] else 0.5 if scores[p] == scores[n] else 0.0)
        for p in pos
        for n in neg
    )
    cuts = sorted({*scores[pos], *scores[neg]}, reverse=True)
    true = [weights[pos][scores[pos] >= cut].sum() for cut in cuts]
    false = [weights[neg][scores[neg] >= cut].sum() for cut in cuts]
    precision, before = 0.0, 0.0
    for t, f in zip(true, false, strict=True):
        precision += (t - before) / many * t / (t + f)
        before = t
    tpr = {r: max([0.0, *(t / many for t, f in zip(true, false, strict=True) if f / clean <= float(r) + 1e-12)])
           for r in ("0.01", "0.05")}  # fmt: skip
    both = np.flatnonzero(positive | negative)
    cut = flagged[both]
    chosen = weights[both][cut].sum()
    right = weights[both][cut & positive[both]].sum()
    return wins / many / clean, precision, tpr, (chosen, right, right / many, (chosen - right) / clean)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 6), st.booleans())
def test_by_definition(seed, rows, values, weighted):
    random = np.random.default_rng(seed)
    scores = random.integers(0, values, rows) / 3.0
    kind = random.integers(0, 3, rows)  # of the third kind nothing is counted
    flagged, weights = random.random(rows) < 0.4, random.integers(1, 5, rows) * 1.0 if weighted else np.ones(rows)
    found = measure(scores, kind == 1, kind == 0, flagged, weights)
    if not (kind == 1).any() or not (kind == 0).any():
        assert found is None
        return
    auroc, precision, tpr, (chosen, right, recall, false) = naive(scores, kind == 1, kind == 0, flagged, weights)
    assert found.auroc == pytest.approx(auroc) and found.average_precision == pytest.approx(precision)
    assert found.tpr == pytest.approx(tpr)
    assert (found.own_cut.flagged, found.own_cut.poisoned) == pytest.approx((chosen, right))
    assert (found.own_cut.recall, found.own_cut.false_positives) == pytest.approx((recall, false))
    assert found.own_cut.precision == (pytest.approx(right / chosen) if chosen else None)


def test_as_many_as_are_poisoned_shares_ties():
    scores, poisoned = np.array([3.0, 2, 2, 2, 1]), np.array([True, True, False, False, False])
    found = measure(scores, poisoned, ~poisoned, None, np.ones(5))
    assert found.as_many.flagged == 2 and found.as_many.poisoned == pytest.approx(1 + 1 / 3)
    assert found.as_many.precision == found.as_many.recall == pytest.approx(2 / 3)
    assert found.own_cut is None


def test_a_perfect_and_a_useless_score():
    poisoned = np.arange(1000) < 50
    best = measure(poisoned * 1.0, poisoned, ~poisoned, poisoned, np.ones(1000))
    assert (best.auroc, best.average_precision, best.tpr["0.01"]) == (1.0, 1.0, 1.0)
    assert (best.own_cut.precision, best.own_cut.recall, best.own_cut.false_positives) == (1.0, 1.0, 0.0)
    none = measure(np.zeros(1000), poisoned, ~poisoned, np.zeros(1000, bool), np.ones(1000))
    assert (none.auroc, none.average_precision, none.tpr["0.05"]) == (0.5, pytest.approx(0.05), 0.0)
    assert none.own_cut.precision is None


def test_weights_are_repetitions():
    random = np.random.default_rng(3)
    scores, poisoned, times = random.integers(0, 9, 60) * 1.0, random.random(60) < 0.3, random.integers(1, 4, 60)
    flagged = scores > 6
    once = measure(scores, poisoned, ~poisoned, flagged, times * 1.0)
    rows = np.repeat(np.arange(60), times)
    assert (
        once.json() == measure(scores[rows], poisoned[rows], ~poisoned[rows], flagged[rows], np.ones(len(rows))).json()
    )


def test_json_and_back():
    poisoned = np.arange(40) < 4
    found = measure(np.arange(40)[::-1] % 7 * 1.0, poisoned, ~poisoned, poisoned, np.ones(40))
    raw = json.loads(json.dumps(found.json()))
    assert Measures.of(raw).json() == raw
    for key in raw:
        with pytest.raises((KeyError, TypeError, ValueError)):
            Measures.of({name: value for name, value in raw.items() if name != key})
    for wrong in (-0.1, "1", True, [1]):
        with pytest.raises(ValueError):
            Measures.of(raw | {"auroc": wrong})
