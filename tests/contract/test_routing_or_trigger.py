"""docs/is-it-the-routing.md is what its script makes of the committed runs, and the rule is the one that it states."""

import importlib.util
import random
from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("h5py")
from benchmark.core import intervals  # noqa: E402

DOCS = Path(__file__).resolve().parents[2] / "docs"
_SPEC = importlib.util.spec_from_file_location("routing_or_trigger", DOCS / "routing_or_trigger.py")
assert _SPEC is not None and _SPEC.loader is not None
made = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(made)

RATE = Fraction("0.0005")


def runs(network, place, *asrs):
    return [made.Point("gtsrb", network, RATE, place, seed, 90.0, asr) for seed, asr in enumerate(asrs)]


def decided(routed, control):
    """The last cell of the table for gains of both networks over a square in one place that has ASR 0."""
    points = [*runs("pmoe", made.REPEATED, *routed), *runs("pmoe-dense", made.REPEATED, *control)]
    for network, gains in (("pmoe", routed), ("pmoe-dense", control)):
        points += runs(network, made.ALONE, *[0.0] * len(gains))
    random.Random(0).shuffle(points)
    return made.answers(points)[-1].split(" | ")[-1].removesuffix(" |")


def test_the_page_is_made_of_the_committed_runs():
    points = made.read()
    text = made.PAGE.read_text("utf-8")
    assert points and made.page(text, points) == text, "run docs/routing_or_trigger.py"
    assert all(f"--square-size {side}" in text for _, side in made.PLACES.values() if side != 4)


@pytest.mark.parametrize(
    ("routed", "control", "answer"),
    [
        ([90, 91, 92], [10, 12, 11], "it is the routing"),
        ([50, 51, 52], [50, 51, 52], "only more trigger"),
        ([53, 58, 55], [50, 51, 52], "undecided"),
        ([90, 10, 50], [10, 12, 11], "undecided"),
        ([10, 12, 11], [90, 91, 92], "undecided"),
        ([90], [10], "not yet: fewer than two pairs of seeds"),
        ([90, 91], [10], "not yet: fewer than two pairs of seeds"),
    ],
)
def test_the_rule(routed, control, answer):
    difference = [left - right for left, right in zip(routed, control, strict=False)]
    if len(difference) > 1:  # the cases are what they are named for
        summary = intervals.summary(difference, least=-200)
        low, high = summary.mean - summary.half, summary.mean + summary.half
        assert (low > 0) == (answer == "it is the routing")
        assert (low <= 0 and low >= -10 and high <= 10) == (answer == "only more trigger")
    assert decided(routed, control) == answer


def test_seeds_are_paired_and_not_only_averaged():
    """Gains that go up and down together differ by the same in every pair."""
    assert decided([10, 50, 90], [5, 45, 85.1]) == "it is the routing"


def test_a_run_in_none_of_the_places_is_refused():
    run = next(run for run in made.results.gather([made.RUNS]) if not run.result.dataset.is_clean)
    assert made.point(run.result).place in made.PLACES
    trigger = run.result.dataset.recipe.triggers[0]
    trigger.parameters["size"] = 5
    with pytest.raises(StopIteration):
        made.point(run.result)


def test_grids_are_compared_seed_by_seed():
    """A seed without the other run stands in no difference, and a constant lead has an interval of no width."""
    points = [
        *runs("pmoe", made.FINER, 30.0, 60.0, 90.0),
        *runs("pmoe", made.REPEATED, 20.0, 50.0, 80.0),
        *runs("pmoe", made.COARSER, 5.0),
    ]
    random.Random(0).shuffle(points)
    assert made.grids(points)[2:] == ["| gtsrb | pmoe | 0.05 % | 10.0 [10.0, 10.0] | 15.0 (one seed) | - |"]
