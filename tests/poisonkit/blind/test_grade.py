"""Grading: the metrics against twins that count pairs, submissions that are wrong, the command."""

import json
import math

import damage
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonkit.blind.grade import measures
from poisonkit.blind.submissions import Submission, read
from poisonkit.core import roc
from poisonkit.core.errors import Failure
from poisonkit.format.manifest import SealedManifest

few = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0, 3.0])  # so that scores tie
scored = st.lists(st.tuples(st.one_of(few, st.floats(-1e6, 1e6)), st.booleans()), min_size=1, max_size=40)


def split(pairs):
    return np.array([score for score, _ in pairs]), np.array([right for _, right in pairs])


# ---- twins


def naive_auroc(scores, truth):
    """The share of pairs in the right order, ties half."""
    pairs = [(p, n) for p in scores[truth] for n in scores[~truth]]
    return sum((p > n) + 0.5 * (p == n) for p, n in pairs) / len(pairs) if pairs else None


def naive_cuts(scores, truth):
    """(threshold, true positives, false positives) for every distinct score, falling."""
    return [
        (t, int((truth & (scores >= t)).sum()), int((~truth & (scores >= t)).sum()))
        for t in sorted(set(scores.tolist()), reverse=True)
    ]


def naive_average_precision(scores, truth):
    total, before = 0.0, 0
    for _, hits, false in naive_cuts(scores, truth):
        total += (hits - before) / truth.sum() * hits / (hits + false)
        before = hits
    return total


@settings(max_examples=300, deadline=None)
@given(scored)
def test_every_measure_is_that_of_its_twin(pairs):
    scores, truth = split(pairs)
    steps, cuts = roc.curve(scores, truth), naive_cuts(scores, truth)
    p, n = int(truth.sum()), int((~truth).sum())
    assert [tuple(cut) for cut in zip(steps.thresholds, steps.hits, steps.false, strict=True)] == cuts
    expected = naive_auroc(scores, truth)
    assert roc.auroc(steps) == (None if expected is None else pytest.approx(expected))
    if not p:
        assert roc.average_precision(steps) is roc.best_f1(steps) is roc.tpr_at_fpr(steps, 1) is None
        return
    assert roc.average_precision(steps) == pytest.approx(naive_average_precision(scores, truth))
    best = roc.best_f1(steps)
    assert best["f1"] == pytest.approx(max(2 * hits / (hits + false + p) for _, hits, false in cuts))
    chosen = scores >= best["threshold"]
    assert (best["taken"], best["hits"]) == (chosen.sum(), (chosen & truth).sum())
    for percent in (1, 10, 50):
        reached = [hits / p for _, hits, false in cuts if n and false / n <= percent / 100 + 1e-12]
        assert roc.tpr_at_fpr(steps, percent) == (max(reached, default=0.0) if n else None)


@settings(max_examples=100, deadline=None)
@given(scored, st.randoms())
def test_the_order_of_rows_and_a_rising_map_of_scores_change_nothing(pairs, random):
    scores, truth = split(pairs)
    mixed = pairs[:]
    random.shuffle(mixed)
    for other in (split(mixed), (np.searchsorted(np.unique(scores), scores) * 3.0, truth)):
        for measure in (roc.auroc, roc.average_precision):
            a, b = measure(roc.curve(scores, truth)), measure(roc.curve(*other))
            assert a == b or a == pytest.approx(b)


def test_known_values():
    """The worked example of scikit-learn's documentation, and the ends of the scale."""
    steps = roc.curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    assert roc.auroc(steps) == 0.75 and roc.average_precision(steps) == pytest.approx(0.8333333333)
    truth = np.arange(1000) < 10
    for scores, auroc, tpr, f1 in (
        (truth.astype(float), 1.0, 1.0, 1.0),
        (-truth.astype(float), 0.0, 0.0, 2 * 10 / 1010),
        (np.zeros(1000), 0.5, 0.0, 2 * 10 / 1010),
    ):
        steps = roc.curve(scores, truth)
        assert roc.auroc(steps) == auroc and roc.tpr_at_fpr(steps, 1) == tpr
        assert roc.best_f1(steps)["f1"] == pytest.approx(f1)


def test_one_percent_is_exactly_that():
    """Of 200 negatives two may be taken, and not a third."""
    truth = np.arange(210) < 10
    scores = np.where(truth, np.arange(210) % 10, -1.0)
    scores[10:13] = [8.5, 7.5, 6.5]
    assert roc.tpr_at_fpr(roc.curve(scores, truth), 1) == 0.3


def test_a_list_of_rows_is_its_own_answer():
    truth = np.zeros(100, bool)
    truth[:10] = True
    found = measures(Submission(np.array([0, 1, 2, 50]), None), truth)
    assert found["listed"] == {"taken": 4, "hits": 3, "precision": 0.75, "recall": 0.3, "f1": pytest.approx(6 / 14)}
    assert found["best_f1"] is found["at_threshold"] is None
    assert found["auroc"] == pytest.approx((0.3 * (1 - 1 / 90)) + 0.5 * (0.3 / 90 + 0.7 * (1 - 1 / 90)))
    nothing = measures(Submission(np.empty(0, np.int64), None), truth)
    assert nothing["auroc"] == 0.5 and nothing["listed"]["precision"] is None and nothing["listed"]["recall"] == 0


def test_where_nothing_was_changed():
    found = measures(Submission(np.arange(5), np.arange(5.0)), np.zeros(5, bool), 3.0)
    assert found["auroc"] is found["average_precision"] is found["tpr_at_1_percent_fpr"] is found["best_f1"] is None
    assert found["at_threshold"] == {"threshold": 3.0, "taken": 2, "hits": 0, "precision": 0.0, "recall": None, "f1": 0}


# ---- submissions


def parsed(tmp_path, text, count=3, encoding="utf-8"):
    path = tmp_path / "rows.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return read(path, count)


@pytest.mark.parametrize(
    "text",
    [
        "row,score\n0,1\n1,2\n2,3\n", "0,1\n1,2\n2,3", "2,3\r\n1,2\r\n0,1\r\n",
        '"Row","Score"\n 0 , 1.0\n1,2e0\n\n2,+3\n',
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_spellings_of_one_submission(tmp_path, text, encoding):
    found = parsed(tmp_path, text, encoding=encoding)
    assert dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True)) == {0: 1, 1: 2, 2: 3}


def test_rows_alone(tmp_path):
    assert parsed(tmp_path, "row\n2\n0\n").rows.tolist() == [2, 0] and parsed(tmp_path, "1\n").scores is None
    assert not len(parsed(tmp_path, "row\n").rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("is empty",)),
        ("\n\n", ("is empty",)),
        ("row,score\n0,1\n3,1\n", ("line 3", "no row 3", "0 … 2")),
        ("-1\n", ("line 1", "'-1' is not a row number")),
        ("1.0\n", ("line 1", "is not a row number")),
        ("٣\n", ("line 1", "is not a row number")),
        ("9" * 30 + "\n", ("line 1", "is not a row number")),
        ("0,1\n1,2\n0,3\n2,1\n", ("line 3", "row 0 was on line 1")),
        ("1\n2\n1\n", ("line 3", "row 1 was on line 1")),
        ("0,1\n2,1\n", ("1 of 3 rows", "row 1 first")),
        ("row,score\n", ("3 of 3 rows", "row 0 first")),
        ("0,nan\n", ("line 1", "'nan' is not a score")),
        ("0,inf\n", ("line 1", "is not a score")),
        ("0,1e999\n", ("line 1", "is not a score")),
        ("0,high\n", ("line 1", "'high' is not a score")),
        ("0,\n", ("line 1", "'' is not a score")),
        ("0,1\n1\n", ("line 2", "1 field", "row,score")),
        ("0\n1,2\n", ("line 2", "2 field", "expected row")),
        ("0,1,2\n", ("line 1", "3 field")),
        ("0;1\n", ("line 1", "is not a row number")),
        ("row,score\nrow,score\n", ("line 2", "is not a row number")),
        (b"\xff\xfe0\x00", ("line 1", "is not a row number")),
        ("x" * 5000, ("line 1", "is not a row number")),
    ],
)
def test_submissions_that_are_wrong(tmp_path, text, words):
    with pytest.raises(Failure) as caught:
        parsed(tmp_path, text)
    for word in words:
        assert word in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_submission_or_one_line(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(data)
    try:
        found = read(path, 5)
        assert ((found.rows >= 0) & (found.rows < 5)).all() and len(set(found.rows.tolist())) == len(found.rows)
    except Failure as error:
        assert "\n" not in repr(str(error))[1:-1].replace("\\n", "")


# ---- the command


@pytest.fixture
def challenge(poisonkit, library, tmp_path):
    poisonkit("seal", library("square"), "-o", tmp_path / "c.h5", "--key", tmp_path, "--secret-seed", "3").succeeded()
    return tmp_path / "c.h5"


def test_a_perfect_answer_and_a_poor_one(poisonkit, challenge, tmp_path):
    from poisonkit.blind import unseal
    from poisonkit.format import reader
    from poisonkit.format.manifest import KeyManifest

    with reader.reading(next(tmp_path.glob("*.key.h5")), KeyManifest) as key:
        answer = unseal.check(SealedManifest.of(damage.manifest(challenge)), key).rows
    truth = np.isin(np.arange(200), answer)
    path = tmp_path / "s.csv"
    path.write_text("".join(f"{row},{int(right)}\n" for row, right in enumerate(truth)))
    graded = json.loads(poisonkit("grade", challenge, "--submission", path, "--json").succeeded().out)
    assert (graded["rows"], graded["changed"], graded["poisoned"], graded["cover"]) == (200, 20, 20, 0)
    for key in ("auroc", "average_precision", "tpr_at_1_percent_fpr"):
        assert graded[key] == 1.0
    assert graded["best_f1"]["f1"] == 1.0 and graded["best_f1"]["threshold"] == 1.0
    out = poisonkit("grade", challenge, "--submission", path, "--threshold", "0").succeeded().lines
    assert any(line.startswith("AUROC") and line.endswith("1.0000") for line in out)
    assert any(line.startswith("F1, at threshold") and "20 of 200 rows right" in line for line in out)
    path.write_text("\n".join(map(str, answer[:5])))
    assert "recall 0.2500; 5 of 5 rows right" in poisonkit("grade", challenge, "--submission", path).succeeded().out


def test_a_clean_challenge_is_graded_too(poisonkit, library, tmp_path):
    poisonkit("seal", library("clean"), "-o", tmp_path / "c.h5").succeeded()
    (tmp_path / "s.csv").write_text("row\n")
    graded = json.loads(
        poisonkit("grade", tmp_path / "c.h5", "--submission", tmp_path / "s.csv", "--json").succeeded().out
    )
    assert graded["changed"] == 0 and graded["auroc"] is None and graded["listed"]["taken"] == 0


def test_what_cannot_be_graded(poisonkit, library, challenge, tmp_path):
    path = tmp_path / "s.csv"
    poisonkit("grade", challenge, "--submission", path).failed(1, "s.csv", "No such file")
    poisonkit("grade", challenge, "--submission", tmp_path).failed(1, "Is a directory")
    path.write_text("1\n")
    poisonkit("grade", challenge, "--submission", path, "--threshold", "0.5").failed(2, "--threshold")
    poisonkit("grade", challenge, "--submission", path, "--threshold", "nan").failed(2, "--threshold")
    poisonkit("grade", library("square"), "--submission", path).failed(1, "expected 'sealed'")
    assert math.isfinite(json.loads(poisonkit("grade", challenge, "--submission", path, "--json").out)["auroc"])
