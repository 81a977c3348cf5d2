"""The detectors on features and losses, on a trained run through the command."""

import csv
import json
import shutil

import pytest
from in_process import invoke

METHODS = ("spectral", "activation-clustering", "scan", "spectre", "mahalanobis", "loss")


@pytest.fixture(scope="module")
def answers(trained, tmp_path_factory):
    """The output of all six on a copy of the poisoned run, and their folders."""
    runs = shutil.copytree(trained / "runs", tmp_path_factory.mktemp("detected") / "runs")
    run = next(folder for folder in runs.iterdir() if "clean" not in folder.name)
    named = [word for method in METHODS for word in ("--method", method)]
    options = ["--option", "expected=0.1", "--option", "activation-clustering.components=3"]
    done = invoke("detect", run, *named, *options, "--json")
    assert done.exit_code == 0, done.output
    return {path.name.removeprefix("detect-")[:-9]: path for path in run.glob("detect-*")}


@pytest.mark.parametrize("method", METHODS)
def test_a_run_gets_a_score_for_each_row_that_is_not_held_out_and_its_clean_twin_too(answers, method):
    result = json.loads((answers[method] / "result.json").read_text())
    rows = list(csv.DictReader((answers[method] / "scores.csv").open()))
    assert len(rows) == result["rows"]["inspected"] == 90
    assert result["rows"]["flagged"] is not None and result["measures"]["own_cut"] is not None
    assert result["findings"]
    twin = next(folder for folder in answers[method].parents[1].iterdir() if "clean" in folder.name)
    assert len(list(twin.glob(f"detect-{method}-*/scores.csv"))) == 1


def test_without_clean_rows_or_losses_the_others_go_on_and_the_command_with_hold_out_is_printed(runs, run):
    config = json.loads((run / "config.json").read_text())
    assert config["training"]["hold_out"] == 30
    (run / "losses.npz").unlink()
    done = invoke("detect", run, "--method", "loss", "--method", "spectral", "--no-twin")
    assert done.exit_code == 1 and "train it again" in done.output and "spectral" in done.output
    assert len(list(run.glob("detect-spectral-*/scores.csv"))) == 1


def test_options_are_data(run):
    done = invoke("detect", run, "--method", "loss", "--option", "epochs=soon")
    assert done.exit_code == 2 and "epochs are whole numbers from 1" in done.output
    done = invoke("detect", run, "--method", "scan", "--option", "threshold=0")
    assert done.exit_code == 2 and "--option scan.threshold: expected a number above 0, got '0'" in done.output
