"""What poisonkit makes, trained and shown: whatever the trigger, a finished run is one that every table takes."""

import json
import os

import click.testing
import numpy as np
import pytest
from running import RECIPES

pytest.importorskip("keras")
from benchmark.cli import main
from benchmark.format import dataset
from benchmark.runs import records, train
from benchmark.runs.run import Run
from benchmark.training import loop  # noqa: E402
from benchmark.training.callbacks import Epoch  # noqa: E402
from benchmark.training.settings import PRESETS  # noqa: E402

SETTINGS = ("--width", "1", "--epochs", "1", "--batch-size", "50", "--learning-rate", "0.01")


def invoke(*arguments):
    done = click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_s_result_is_one(name, library, tmp_path):
    contents = dataset.load(library(name))
    history = [Epoch(1, 1.0, None, None, 1.0, 1.0, 200)]
    predicted = {group: np.zeros(len(rows), np.int64) for group, rows in contents.scored.items()}
    job = Run.of(tmp_path, contents.manifest, PRESETS["tiny"])
    result = train.run_record(job, contents, history, predicted)
    assert records.is_result(json.loads(json.dumps(result)) | {"baseline": None}), result
    assert loop.scores(contents, predicted).ba.of == 100


@pytest.mark.parametrize(
    "name", ["blend-patch", *(pytest.param(name, marks=pytest.mark.slow) for name in RECIPES if name != "blend-patch")]
)
def test_trained_beside_its_clean_run_and_shown(name, library, tmp_path):
    pytest.importorskip("matplotlib")
    where, clean = tmp_path / "runs", "camouflaged-clean" if "camouflaged" in name else "clean"
    for file in dict.fromkeys((library(clean), library(name))):
        invoke("train", *SETTINGS, file, "--runs", where, "-q")
    shown = invoke("table", where)
    triggers = dataset.peek(library(name)).recipe.triggers
    assert "+".join(step.name for step in triggers) in shown and len(list(where.iterdir())) == 1 + (name != clean)
    invoke("show", where)
    invoke("sweep", library(name), *SETTINGS, "--runs", where, "-q")
    assert "finished" in invoke("sweep", library(name), *SETTINGS, "--runs", where, "--dry-run")
    invoke("report", where, "-o", tmp_path / "report")
    assert all(run.name in (tmp_path / "report" / "report.html").read_text("utf-8") for run in where.iterdir())
