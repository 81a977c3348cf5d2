"""Numbers that files spell: read strictly and bounded, by one reader, and never computed with before."""

import copy
import json
from decimal import Decimal
from fractions import Fraction

import fake_runs
import numpy as np
import pytest
import writer
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from in_process import invoke, within
from made_heads import aligned, detected, put

from benchmark.core import files, fractions, numbers
from benchmark.core.errors import Failure, Usage
from benchmark.format import dataset
from benchmark.runs import groups, records, results
from benchmark.training.settings import PRESETS

NASTY = ["1e-999999999", "1e999999999", "-1e-999999999", "1e400", "NaN", "nan", "Infinity", "-inf", "0x10", "1_000",
         "٠.٥", "0.5 ", " 0.5", "+0.5", "-0", "1/3", "9" * 5000, "0." + "0" * 5000 + "1", "", ".", "1.", ".5", "０.５",
         True, False, None, 1.5, 0.1, 10**400, 2**63, -1, [], {}, [0.1], {"a": 1}]  # fmt: skip


@pytest.mark.parametrize("text", ["0", "1", "0.5", "0.0005", "1.0", "0." + "0" * 30 + "1"])
def test_decimals_that_are_shares(text):
    assert numbers.share(text) == Fraction(text)


@pytest.mark.parametrize("value", [*NASTY, "1.0000001", "2"])
def test_no_share(value):
    with within(5), pytest.raises(ValueError, match="expected a decimal"):
        numbers.share(value)


@given(st.one_of(st.text(), st.from_regex(r"[0-9.eE+_-]*", fullmatch=True), st.sampled_from(NASTY)))
def test_what_a_reader_takes_is_the_number_that_everybody_reads(text):
    for read, exact in ((numbers.decimal, Fraction), (numbers.real, float)):
        try:
            value = read(text)
        except ValueError as error:
            assert "\n" not in str(error) and len(str(error)) < 120
        else:
            assert value == exact(text) and abs(value) < float("inf") and len(text) <= 52


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e400", "-1e999", "9" * 20, str(2**63), "9" * 5000, "0." + "1" * 60,
             '{"a": 1, "a": 2}', "[" * 100_000, "1e99999999999", "01", "+1", "0x1", "1_0"],
)  # fmt: skip
def test_json_that_is_refused(text):
    with pytest.raises((ValueError, RecursionError)):
        numbers.loads(text)


FINITE = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.recursive(
    st.none() | st.booleans() | st.text() | FINITE,
    lambda child: st.lists(child, max_size=4) | st.dictionaries(st.text(), child, max_size=4),
))  # fmt: skip
def test_everything_that_is_written_is_read_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "a.json"
    if b"\\ud" not in json.dumps(value).encode():
        files.write_json(path, value)
        assert files.read_json(path) == value


@pytest.mark.parametrize(
    "text", ["1e-999999999", "1e-30", "nan", "inf", "-0.1", "0", "1", "1e5", "x", "0." + "0" * 50 + "1"]
)
def test_shares_that_a_user_types(text):
    with within(5), pytest.raises(Usage):
        fractions.parse(text, "expected shares")
    assert (
        fractions.parse("1e-3", "") == "0.001"
        and fractions.count("0.3", 160) == 48
        and Decimal("0.3") == Decimal("0.30")
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Runs with everything that is read from results: a fine-pruning, what the commands on heads left."""
    runs = tmp_path_factory.mktemp("whole")
    fake_runs.write(runs, trigger=None, ba=85)
    for seed in (0, 1):
        run = fake_runs.write(runs, seed=seed, cover_rate="0.1", history=[(1, 70, 40), (0.5, 80, 50)])
    fake_runs.pruned(run, {("", "before"): (80, 50), ("0.1", "pruned"): (70, 10)})
    put(run, "heads-detect-1", detected(0.9))
    put(run, "heads-align-1", aligned(("untouched", 80, 100, None)))
    return run


def places(value, at=()):
    """Every place in nested JSON."""
    yield at
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in pairs:
        yield from places(child, (*at, key))


def changed(value, place, new):
    value = copy.deepcopy(value)
    inside = value
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = new
    return value


def spell(value) -> str:
    """JSON with numbers of any size."""
    return json.dumps(value)


FILES = ["result.json", "prune-held-out-5/result.json", "heads-detect-1/result.json", "heads-align-1/result.json"]


@examples(max_examples=120)
@given(file=st.sampled_from(FILES), at=st.integers(0, 10**6), new=st.sampled_from(NASTY))
def test_a_nasty_number_anywhere_ends_no_command_badly(whole, file, at, new):
    """In this process: what the commands do is what they are made of."""
    path = whole / file
    text = path.read_text()
    value = json.loads(text)
    found = [place for place in places(value) if place]
    path.write_text(
        spell(changed(value, found[at % len(found)], new)) if new != 10**400 else text.replace("0", "9" * 5000, 1)
    )
    try:
        with within(20):
            for words in (
                ("table",),
                ("show",),
                ("heads", "table"),
                ("table", "--beside", "badpatches", "--format", "csv"),
            ):
                done = invoke(*words, whole.parent)
                assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
                assert done.exit_code in (0, 1), (words, done.output)
                assert done.exit_code == 0 or done.stderr, words
    finally:
        path.write_text(text)


@pytest.mark.parametrize("new", NASTY, ids=lambda value: f"{value!r:.20}")
def test_a_rate_that_is_none_hangs_nothing(new, tmp_path):
    fake_runs.write(tmp_path, seed=1)
    path = fake_runs.write(tmp_path) / "result.json"
    result = json.loads(path.read_text())
    result["dataset"]["recipe"]["rate"] = new
    path.write_text(json.dumps(result))
    with within(20):
        for command in ("show", "table"):
            done = invoke(command, tmp_path)
            assert done.exit_code == 1 and str(path) in done.stderr and done.stderr.count("\n") <= 2
            assert done.stdout
    with pytest.raises(Failure):
        records.read(path.parent)


@pytest.mark.parametrize("key", ["width", "epochs", "seed", "hold_out", "threads", "learning_rate"])
@pytest.mark.parametrize("new", [True, "1", 1.5, 10**400, -1, None], ids=str)
def test_settings_are_of_their_types(key, new, tmp_path):
    path = fake_runs.write(tmp_path, settings=PRESETS["small"]) / "result.json"
    result = json.loads(path.read_text())
    part = next(
        part for part in (result["config"], *(result["config"][name] for name in ("model", "training"))) if key in part
    )
    part[key] = new
    if key == "learning_rate" and new == 1.5:
        return  # which is one
    path.write_text(json.dumps(result))
    done = invoke("table", tmp_path)
    assert done.exit_code == 1 and done.stderr.count("\n") == 1 and str(path) in done.stderr


@pytest.mark.parametrize("place", [("recipe", "rate"), ("recipe", "seed"), ("recipe", "target"), ("counts", "train")])
@pytest.mark.parametrize("new", ["1e-999999999", True, 1.5, 10**400, -1, None], ids=lambda value: f"{value!r:.14}")
def test_a_manifest_is_read_as_strictly(place, new, tmp_path):
    arrays = writer.poisoned_arrays(writer.clean_arrays())
    manifest = writer.manifest_of(arrays, writer.clean_arrays(), "toy-square-0.1-s0")
    manifest[place[0]][place[1]] = new
    writer.write(tmp_path / "a.h5", arrays, writer.sealed(manifest))
    if place == ("recipe", "target") and new is None:
        return
    with within(20), pytest.raises(Failure) as error:
        dataset.peek(tmp_path / "a.h5")
    assert "\n" not in str(error.value)


def test_no_seed_beyond_64_bits_is_written_that_could_not_be_read(tmp_path):
    _, poisoned = writer.toy(tmp_path)
    done = invoke("train", poisoned, "--preset", "tiny", "--seed", str(2**63), "--runs", tmp_path / "runs")
    assert done.exit_code == 2 and "--seed" in done.stderr and not (tmp_path / "runs").exists()


def test_the_rate_of_a_cell_is_exact(tmp_path):
    fake_runs.write(tmp_path, rate="0.0005")
    (cell,) = groups.group(results.gather([tmp_path]))
    assert cell.rate == Fraction(1, 2000)


PRUNE = ("repair", "--method", "fine-pruning", "--option")
DETECT, REPAIR = ((command, "--method", "heads", "--option") for command in ("detect", "repair"))


@pytest.mark.parametrize(
    "words", [(*DETECT, "threshold=nan"), (*DETECT, "threshold=inf"),
              (*REPAIR, "heads.strength=nan"), (*REPAIR, "heads.learning_rate=inf"),
              (*REPAIR, "heads.learning_rate=1e-50"), (*REPAIR, "full_rate=1e39"),
              (*REPAIR, f"heads.seed={2**63}"), (*PRUNE, "fine-pruning.epochs=1" + 30 * "0"),
              (*PRUNE, "rates=1e-999999999"), (*PRUNE, "rates=nan")],
)  # fmt: skip
def test_options_that_could_not_be_read_back(words, tmp_path):
    with within(20):
        done = invoke(*words, fake_runs.write(tmp_path))
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and words[-2] in done.stderr, done.output


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (1, 1), (0.1, 0.10000000149011612), (-1e39, -np.inf), (2.0**-126, 2.0**-126), (2.0**-127, 0), (1e-60, 0)],
)
def test_a_number_in_float32(value, expected):
    assert numbers.single(value) == expected
    assert expected in (0, -np.inf) or numbers.single(value) == float(np.float32(value))
