"""Scores against the plainest way to count them."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.training import metrics
from benchmark.training.metrics import MostPredicted, Scores, Share

ROWS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=60)


@given(ROWS)
@settings(deadline=None, max_examples=100)
def test_attack_counts_what_a_loop_counts(rows):
    predicted, labels, wanted = np.array(rows, int).reshape(-1, 3).T
    hit = predicted == wanted
    hits = [row for row in rows if row[0] == row[2]]
    assert Share.where(hit) == Share(len(hits), len(rows))
    assert Share.where(predicted == labels).count == sum(row[0] == row[1] for row in rows)
    for label, entry in enumerate(metrics.by_class(hit, labels, 5)):
        of = sum(row[1] == label for row in rows)
        if of:
            assert entry == Share(sum(row[1] == label for row in hits), of)
        else:
            assert entry is None


def test_shares_are_plain_numbers_in_percent():
    share = Share.where(np.array([1, 2, 2]) == np.array([1, 2, 3]))
    assert share.json() == {"count": 2, "of": 3, "percent": 200 / 3} and type(share.count) is int
    assert Share(0, 0).json() == {"count": 0, "of": 0, "percent": None}
    assert MostPredicted.among(np.array([3, 1, 3])).json() == {"class": 3, "count": 2, "of": 3, "percent": 200 / 3}


SCORES = {
    "ba": {"count": 2, "of": 3, "percent": 200 / 3},
    "asr": {"count": 1, "of": 4, "percent": 25.0},
    "most_predicted": {"class": 1, "count": 2, "of": 3, "percent": 200 / 3},
    "still_right": {"count": 0, "of": 4, "percent": 0.0},
    "asr_by_class": [None, {"count": 1, "of": 4, "percent": 25.0}],
    "asr_others": {"count": 0, "of": 0, "percent": None},
}


def test_scores_are_written_as_they_were_read_in_the_same_order():
    clean = {"ba": SCORES["ba"], "asr": None}
    for raw in (SCORES, clean, SCORES | {"target_class": SCORES["asr"]}):
        assert json.dumps(Scores.of(raw).json()) == json.dumps(raw)
    assert Scores.of(SCORES).robust_accuracy == Share(0, 4) and Scores.of(clean).most_predicted is None
