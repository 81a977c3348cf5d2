"""Options of methods: parsed once, in one spelling, refused in one line."""

import pytest

from benchmark.core.errors import Usage
from benchmark.core.fractions import parse as share
from benchmark.defences import options
from benchmark.defences.options import Option

EXPECTED = Option("expected", "A share.", float, 0.01, above=0, below=1)
STEPS = Option("steps", "A count.", int, 5, least=1, most=100)
MODE = Option("mode", "A word.", str, "mean", choices=("mean", "max-row"))
CENTRED = Option("centred", "A truth.", bool, True)
RATE = Option("rate", "A share in its one spelling.", str, "0.1", parse=lambda text: share(text, "a share"))
SEED = Option("seed", "Chosen where it is not given.", int, None)
METHODS = {"spectral": (EXPECTED, CENTRED), "scan": (EXPECTED, STEPS, MODE), "prune": (RATE, SEED)}


def test_defaults_are_complete():
    assert options.parse([], METHODS) == {
        "spectral": {"expected": 0.01, "centred": True},
        "scan": {"expected": 0.01, "steps": 5, "mode": "mean"},
        "prune": {"rate": "0.1", "seed": None},
    }


def test_one_without_a_method_is_for_all_that_have_it():
    found = options.parse(["expected=2%", "scan.steps=7", "Spectral.centred=no", "mode=MAX_ROW", "rate=20%"], METHODS)
    assert found["spectral"] == {"expected": 0.02, "centred": False}
    assert found["scan"] == {"expected": 0.02, "steps": 7, "mode": "max-row"}
    assert found["prune"]["rate"] == "0.2"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["expected"], "expected NAME=VALUE or METHOD.NAME=VALUE, got 'expected'"),
        (["=3"], "expected NAME=VALUE"),
        (["stepz=3"], "no --method named has such an option; did you mean steps?"),
        (["zzz=3"], "there are expected, centred, steps, mode, rate, seed"),
        (["strip.steps=3"], "'strip' is not a --method that was named: spectral, scan, prune"),
        (["spectral.steps=3"], "spectral has no such option"),
        (["steps=0"], "scan.steps: expected a whole number from 1, at most 100, got '0'"),
        (["steps=1e1"], "a whole number"),
        (["steps=2.0"], "a whole number"),
        (["steps=1" + 400 * "0"], "a whole number"),
        (["expected=nan"], "a number above 0, below 1, got 'nan'"),
        (["expected=1"], "a number above 0, below 1"),
        (["expected=1e400"], "a number above 0"),
        (["mode=median"], "expected one of mean, max-row, got 'median'"),
        (["centred=perhaps"], "expected yes or no, got 'perhaps'"),
        (["rate=2"], "a share"),
        (["steps=3", "scan.steps=4"], "scan.steps: given twice, '3' and '4'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(given, said):
    with pytest.raises(Usage) as error:
        options.parse(given, METHODS)
    assert said in str(error.value) and "\n" not in str(error.value) and str(error.value).startswith("--option")


def test_values_of_the_python_interface_are_checked_alike():
    assert options.complete("scan", METHODS["scan"], {"expected": 1e-3, "steps": 3})["steps"] == 3
    for wrong in ({"steps": True}, {"steps": 2.5}, {"expected": "x"}, {"mode": 3}, {"unknown": 1}):
        with pytest.raises(Usage):
            options.complete("scan", METHODS["scan"], wrong)
