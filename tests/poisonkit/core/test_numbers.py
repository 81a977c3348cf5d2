"""Numbers that files and users spell, on the side of `poisonkit`: strict, bounded, and one line where they are none."""

import signal
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction

import damage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonkit.blind import submissions
from poisonkit.build import grid
from poisonkit.core import numbers
from poisonkit.core.errors import Failure, Usage
from poisonkit.format import structure
from poisonkit.poisoning import recipe
from poisonkit.triggers import registry as triggers

NASTY = ["1e-999999999", "1e999999999", "-1e-999999999", "0e999999999", "1e400", "nan", "NaN", "sNaN", "Infinity",
         "-inf", "1_0", "0x1", "9" * 5000, "0." + "0" * 5000 + "1", "", "%", "1e-999999999%", "--1", "1e",
         "1/3"]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(), st.from_regex(r"[-+0-9.eE_%x]*", fullmatch=True))


@contextmanager
def within(seconds):
    """Fails what takes longer: a number that never ends must not take the tests with it."""

    def over(*_):
        raise AssertionError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@given(TEXTS)
def test_rates(text):
    with within(5):
        try:
            rate = recipe.parse_rate(text)
        except Usage as error:
            assert "\n" not in str(error)
        else:
            assert 0 <= Fraction(rate) <= 1 and len(rate) <= 22 and "e" not in rate.lower()
        try:
            cover = recipe.parse_cover_rate(text + "x", "0.1")
        except Usage:
            pass
        else:
            assert 0 <= Fraction(cover) <= 1 and len(cover) <= 22


OPTIONS = [(trigger.name, option) for trigger in triggers.TRIGGERS for option in trigger.options]


@given(TEXTS)
def test_parameters_of_every_trigger(text):
    """What a manifest names for a parameter is read as what a user types."""
    with within(30):
        for _, option in OPTIONS:
            try:
                found = option.parse(text)
            except ValueError as error:
                assert len(str(error)) < 12_000
            else:
                assert len(str(found)) <= max(60, 2 * len(text) + 2)


@pytest.mark.parametrize("text", [text for text in NASTY if text not in ("0e999999999",)])
def test_scores_of_a_submission(text, tmp_path):
    (tmp_path / "a.csv").write_text(f"row,score\n0,{text}\n1,0.5\n")
    with within(5), pytest.raises(Failure, match="line 2"):
        submissions.read(tmp_path / "a.csv", 2)


@pytest.mark.parametrize("text", ["1", "-1", "+0.5", ".5", "1.", "1e-5", "1E10", "0", "123456789.123456789"])
def test_numbers_that_are_scores(text, tmp_path):
    assert numbers.real(text) == float(text)
    (tmp_path / "a.csv").write_text(f"0,{text}\n")
    assert submissions.read(tmp_path / "a.csv", 1).scores[0] == float(text)


@pytest.mark.parametrize(
    "line", ["seeds = 99999999999999", f"seeds = 1{'0' * 5000}", "seeds = 0", "seeds = true", "seeds = 1.5",
             "seeds = nan", "patch_size = 99999999", "patch_size = 1e400", "image = [1e-300]", "image = [nan]",
             "image = [inf]", 'image = ["1e-999999999"]', "image = [true]", "image = [1e400]", "image = [[0.1]]"],
)  # fmt: skip
def test_grids(line, tmp_path):
    rest = "" if line.startswith("image") else "image = [0.1]\n"
    (tmp_path / "a.toml").write_text(f'dataset = "signs"\ntriggers = ["square"]\n{rest}{line}\n')
    with within(10), pytest.raises((Usage, Failure)) as error:
        grid.read(tmp_path / "a.toml").recipes()
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "1e400", "9" * 20, "9" * 5000, str(2**63), "[" * 100_000, "0." + "1" * 60]
)
def test_json_that_is_refused(text):
    with pytest.raises((ValueError, RecursionError)):
        numbers.loads(text)


def test_json_that_is_read():
    assert numbers.loads('{"a": [1, -2.5, 9223372036854775807]}') == {"a": [1, -2.5, 2**63 - 1]}
    assert numbers.loads("2.50", parse_float=Decimal) == Decimal("2.50")


PLACES = [("recipe", "rate"), ("recipe", "seed"), ("recipe", "target"), ("counts", "train"), ("format_version",),
          ("recipe_version",), ("recipe", "triggers", 0, "alpha"), ("source", "options", "train")]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: str(place[-1]))
@pytest.mark.parametrize(
    "value", ["1e-999999999", True, 10**30, 1e300, float("nan"), "0.5" + "0" * 5000], ids=lambda v: f"{v!r:.12}"
)
def test_manifests(place, value, library, poisonkit, tmp_path):
    path = damage.copy(library("blend"), tmp_path)
    damage.write_manifest(path, damage.sealed(damage.changed(damage.manifest(path), place, value)))
    with within(60):
        try:
            structure.data_set(path)
        except Failure as error:
            assert "\n" not in str(error)
            return
        for words in (("show", path), ("verify", path), ("make", "--from", path, "-o", tmp_path / "out", "--dry-run")):
            done = poisonkit(*words)
            assert done.code in (0, 1, 2, 3, 4) and done.err.count("\n") <= 1 and "Traceback" not in done.err, done.err


@pytest.mark.parametrize(("count", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1200, "1,200 rows")])
def test_one_is_singular(count, said):
    assert numbers.counted(count, "row") == said
    assert numbers.counted(count, "was", "were").endswith(" was") == (count == 1)
