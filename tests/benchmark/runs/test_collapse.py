"""Networks that predict one class whatever they see: marked wherever their scores stand."""

import json
import os

import click.testing
import fake_runs
import numpy as np
import pytest
import writer

from benchmark.cli import main
from benchmark.core import files
from benchmark.runs import collapse, groups, results
from benchmark.runs.result import RunResult
from benchmark.training.metrics import MostPredicted

CLASSES = [f"class {number}" for number in range(10)]


def invoke(*words):
    """`benchmark WORDS` in this process."""
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in words])


def edit(folder, most=None, **dataset):
    """Change a fake run: `most` is how many of its 10,000 test rows are predicted as one class (None: not recorded)."""
    path = folder / "result.json"
    result = json.loads(path.read_text())
    result["dataset"] |= {"classes": CLASSES} | dataset
    if most is not None:
        share = {"count": most, "of": 10_000, "percent": 100 * most / 10_000}
        result["scores"]["most_predicted"] = {"class": 3} | share
    path.write_text(json.dumps(result))
    return folder


@pytest.mark.parametrize(
    ("most", "ba", "mark"),
    [(9_900, 10, "†"), (10_000, 10, "†"), (9_899, 10, ""), (1_200, 85, ""), (None, 85, ""), (None, 10, "†?"),
     (None, 10.9, "†?"), (None, 9.1, "†?"), (None, 11.5, ""), (5_000, 10, "")],
)  # fmt: skip
def test_what_is_collapsed(most, ba, mark, tmp_path):
    folder = edit(fake_runs.write(tmp_path, trigger=None, ba=ba), most)
    assert collapse.mark(RunResult(json.loads((folder / "result.json").read_text()))) == mark


def test_class_sizes_of_an_old_result_that_are_not_alike(tmp_path):
    """GTSRB has 60 test rows of class 0, the target; the others' sizes stand in asr_by_class."""
    folder = fake_runs.write(tmp_path, source="gtsrb", ba=100 * 60 / 12_630, asr=100)
    result = json.loads((folder / "result.json").read_text())
    result["dataset"]["classes"] = CLASSES
    assert collapse.mark(RunResult(result)) == "†?"
    result["scores"]["ba"] = fake_runs.share(100 * 720 / 12_630, 12_630)
    assert collapse.mark(RunResult(result)) == ""
    result["scores"]["asr_by_class"] = [None, fake_runs.share(100, 720)]
    assert collapse.mark(RunResult(result)) == "†?"


def test_predictions_that_still_lie_there_say_it_for_sure(tmp_path):
    for seed, predicted in enumerate((np.full(10_000, 3), np.arange(10_000) % 10)):
        folder = edit(fake_runs.write(tmp_path / str(seed), trigger=None, ba=10))
        files.write_npz(folder / "predictions.npz", {"test": predicted})
        (run,) = results.gather([tmp_path / str(seed)])
        assert collapse.mark(run.result) == ("†", "")[seed]
        assert run.result.scores.most_predicted == MostPredicted.among(predicted)
    for content in (b"", b"PK\x05\x06" + bytes(18), b"PK\x03\x04"):
        (folder / "predictions.npz").write_bytes(content)
        assert collapse.mark(results.gather([folder])[0].result) == "†?"
    files.write_npz(folder / "predictions.npz", {"test": np.full(7, 3)})
    assert collapse.mark(results.gather([folder])[0].result) == "†?"


@pytest.fixture
def runs(tmp_path):
    """Two seeds, one of them collapsed; its clean run too."""
    folder = tmp_path / "runs"
    for seed, most in enumerate((1_100, 9_990)):
        edit(fake_runs.write(folder, trigger=None, seed=seed, ba=85 if seed == 0 else 10), most)
        edit(fake_runs.write(folder, seed=seed, ba=84 if seed == 0 else 10, asr=90 + 10 * seed), most)
    return folder


def test_tables_mark_it_and_name_the_run(runs):
    bad = next(one.name for one in runs.iterdir() if "square" in one.name and "-t1-" in one.name)
    done = invoke("table", runs, "--wide")
    row = next(line for line in done.stdout.splitlines() if " square " in line)
    assert done.exit_code == 0 and "47.0† ± 52.3" in row and "+0.5† ± 0.7" in row, done.stdout
    (legend,) = (line for line in done.stdout.splitlines() if line.startswith("† collapsed"))
    assert bad in legend and "cifar10-clean" in legend and "-t0-" not in legend
    assert "47.0$" not in invoke("table", runs, "--format", "latex").stdout
    assert "% † collapsed" in invoke("table", runs, "--format", "latex").stdout
    assert "†" in invoke("table", runs, "--beside", "badpatches").stdout
    record = json.loads(invoke("table", runs, "--format", "json").stdout)[1]
    assert record["collapsed"] == [bad] and record["scores"]["ba"]["mean"] == 47
    assert bad in invoke("table", runs, "--format", "csv").stdout
    shown = invoke("show", runs).stdout
    assert shown.count("10.0†") == 2 and "+0.0†" in shown and "† collapsed: one class" in shown


def test_pages_and_figures_mark_it(runs, tmp_path):
    pytest.importorskip("matplotlib")
    assert invoke("report", runs, "-o", tmp_path / "out").exit_code == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "47.0†" in page and "† collapsed: one class is predicted on 99 %" in page
    from benchmark.reporting import figures

    found = dict(figures.drawn(groups.group(results.gather([runs]))))
    labels = found["ba-cifar10-paper"].axes[0].get_legend_handles_labels()[1]
    assert "† collapsed" in labels and "clean model (†)" in labels
    assert "one class is predicted" in found["asr-cifar10-paper"].legends[0].get_title().get_text()


def test_a_sound_run_has_no_mark(tmp_path):
    fake_runs.write(tmp_path)
    for command in ("table", "show"):
        assert "†" not in invoke(command, tmp_path).stdout


def test_a_run_says_what_it_predicts_most(tmp_path):
    """The real thing."""
    _, poisoned = writer.toy(tmp_path)
    words = ("--width", "1", "--epochs", "1", "--top-k", "4", "--batch-size", "16", "--runs", tmp_path / "runs")
    done = invoke("train", poisoned, *words, "--learning-rate", "0.5")
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "runs").iterdir()
    scores = json.loads((folder / "result.json").read_text())["scores"]
    predicted = files.read_npz(folder / "predictions.npz")["test"]
    counts = np.bincount(predicted)
    assert scores["most_predicted"]["count"] == counts.max() and scores["most_predicted"]["of"] == 60
    assert ("†" in done.stdout) == (counts.max() >= 59.4)


@pytest.mark.parametrize(
    "predicted",
    [np.full(10_000, 10**15), np.full(10_000, 2**63 - 1), np.full(10_000, -1), np.full(10_000, 10),
     np.full(10_000, 0.0), np.full((10_000, 2), 1), np.full(10_000, 2**64 - 1, np.uint64), np.full(10_000, "3"),
     np.empty(0, np.int64)],
)  # fmt: skip
def test_classes_of_a_stranger_s_predictions_take_no_memory_and_say_nothing(tmp_path, predicted):
    folder = edit(fake_runs.write(tmp_path, trigger=None, ba=10))
    np.savez(folder / "predictions.npz", test=predicted)
    (found,) = results.gather([folder])
    assert found.result.scores.most_predicted is None and collapse.mark(found.result) == "†?"
