"""Scores against the plainest way to count them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.training import metrics

ROWS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=60)


@given(ROWS)
@settings(deadline=None, max_examples=100)
def test_attack_counts_what_a_loop_counts(rows):
    predicted, labels, wanted = np.array(rows, int).reshape(-1, 3).T
    found = metrics.attack(predicted, labels, wanted, 5)
    hits = [row for row in rows if row[0] == row[2]]
    assert (found["asr"]["count"], found["asr"]["of"]) == (len(hits), len(rows))
    assert found["still_right"]["count"] == sum(row[0] == row[1] for row in rows)
    for label, entry in enumerate(found["asr_by_class"]):
        of = sum(row[1] == label for row in rows)
        if of:
            assert (entry["count"], entry["of"]) == (sum(row[1] == label for row in hits), of)
        else:
            assert entry is None


def test_shares_are_plain_numbers_in_percent():
    assert metrics.accuracy(np.array([1, 2, 2]), np.array([1, 2, 3])) == {"count": 2, "of": 3, "percent": 200 / 3}
    assert metrics.share(0, 0) == {"count": 0, "of": 0, "percent": None}
    assert type(metrics.share(np.int64(1), np.int64(2))["count"]) is int
