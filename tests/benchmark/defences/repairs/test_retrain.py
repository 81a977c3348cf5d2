"""Retraining: which rows go, by which result of a detector, and what the network is trained on then."""

import json
import shutil

import numpy as np
import pytest
from in_process import invoke

from benchmark.defences import score_files
from benchmark.defences.context import Detection
from benchmark.defences.options import Option
from benchmark.defences.registry import DETECTORS, DetectorSpec, register

KEPT = 20


def score(context, *, cut, below):
    """Suspect the rows of low numbers."""
    scores = -context.rows.astype(np.float64)
    return Detection(scores, context.rows < below if cut else None)


@pytest.fixture
def low():
    options = (
        Option("cut", "Whether it has a cut of its own.", bool, True),
        Option("below", "Where that is.", int, KEPT),
    )
    yield register(
        DetectorSpec(
            name="low-numbers",
            title="Low numbers",
            source="a test",
            summary="The first rows.",
            score=score,
            options=options,
            aliases=("low",),
        )  # fmt: skip
    )
    del DETECTORS["low-numbers"]


def detected(run, *options):
    done = invoke("detect", run, "--method", "low-numbers", *options, "--no-twin", "-q")
    assert done.exit_code == 0, done.output


def retrained(run, *words):
    return invoke(
        "repair", run, "--method", "retrain", "--option", "fine-tuning.epochs=1", "--no-twin", "-q", "--json", *words
    )


def test_it_trains_on_the_rows_that_are_not_flagged(low, run):
    detected(run)
    done = retrained(run, "--detector", "low")
    assert done.exit_code == 0, done.output
    step = json.loads(done.stdout)[-1]["steps"][-1]
    (folder,) = run.glob("detect-low-numbers-*")
    flagged = score_files.read_flagged(folder / "flagged.csv", 120)
    assert flagged.max() < KEPT and step["findings"]["left_out"] == len(flagged)
    assert step["findings"]["trained_on"] == 120 - 30 - len(flagged)
    assert step["findings"]["result"] == folder.name and step["label"] == "low-numbers"
    assert (next(run.glob("repair-retrain-*")) / step["model"]).is_file()


def test_an_estimate_names_a_detector_that_has_not_scored_the_rows(run):
    found = json.loads(retrained(run, "--method", "clp", "--detector", "nosuch", "--estimate").stdout)
    lacks = {one["method"]: one["lacks"] for one in found}
    assert lacks["retrain"].startswith("retrain: 'nosuch' has not scored this run's rows") and lacks["clp"] is None


@pytest.mark.slow
def test_a_share_of_the_highest_scores_where_it_has_no_cut(low, run):
    detected(run, "--option", "cut=no")
    done = retrained(run, "--detector", "low-numbers")
    assert done.exit_code == 1 and "has no cut of its own: say with --option retrain.share" in done.stderr
    done = retrained(run, "--detector", "low-numbers", "--option", "share=10%")
    assert json.loads(done.stdout)[-1]["steps"][-1]["findings"]["left_out"] == 9


def test_where_nothing_is_flagged_nothing_is_trained(low, run):
    detected(run, "--option", "below=0")
    done = retrained(run, "--detector", "low-numbers")
    before, step = json.loads(done.stdout)[-1]["steps"]
    assert step["stage"] == "untouched" and step["findings"]["left_out"] == 0
    assert step["scores"]["ba"] == before["scores"]["ba"]


def test_another_result_of_the_detector_is_another_retraining(low, run):
    """Under the name of the detector alone, what was left out is not what that result flags now."""
    detected(run, "--option", "below=0")
    first = json.loads(retrained(run, "--detector", "low-numbers").stdout)[-1]
    for folder in run.glob("detect-low-numbers-*"):
        shutil.rmtree(folder)
    detected(run, "--option", "below=-1")
    second = json.loads(retrained(run, "--detector", "low-numbers").stdout)[-1]
    assert first["folder"] != second["folder"] and first["depends"] != second["depends"]
    assert second["depends"]["detector"]["settings"]["below"] == -1
    (folder,) = run.glob("detect-low-numbers-*")
    assert second["steps"][-1]["findings"]["result"] == folder.name


def test_what_it_cannot_go_by_is_one_line(low, run):
    def line(*words):
        done = retrained(run, *words)
        assert done.exit_code == 1 and done.stderr.count("\n") == 1, done.output
        return done.stderr

    first = line()
    assert "needs --detector NAME, one that has scored this run's rows: none yet; first benchmark detect " in first
    assert first.endswith(f"{run} --method spectral\n")
    assert f"benchmark detect {run} --method low-numbers" in line("--detector", "low")
    detected(run)
    detected(run, "--option", "cut=no")
    assert "several results of low-numbers" in line("--detector", "low")
    for folder in run.glob("detect-low-numbers-*"):
        shutil.rmtree(folder)
    detected(run, "--rows", "40")
    assert "has scored 40 of 90 rows only" in line("--detector", "low")


@pytest.mark.parametrize(
    "text", ["row\n1\n1\n", "row\n120\n", "row\n-1\n", "row\n0.5\n", "rows\n1\n", "", "row\nnan\n"]
)
def test_a_damaged_list_of_rows_is_named(text, tmp_path):
    (tmp_path / "flagged.csv").write_text(text)
    with pytest.raises(score_files.Damaged, match=r"flagged\.csv"):
        score_files.read_flagged(tmp_path / "flagged.csv", 120)


def test_scores_and_rows_are_read_back(tmp_path):
    rows, scores = np.array([3, 5, 119]), np.array([0.1, -2.5e300, 1 / 3])
    score_files.write_scores(tmp_path / "s.csv", rows, scores)
    found = score_files.read_scores(tmp_path / "s.csv", 120)
    assert np.array_equal(found[0], rows) and np.array_equal(found[1], scores)
    score_files.write_flagged(tmp_path / "f.csv", rows[:0])
    assert len(score_files.read_flagged(tmp_path / "f.csv", 120)) == 0
