"""`import benchmark as bm`: the Python API."""

import decimal
import json
import subprocess
import sys
from pathlib import Path

import click.testing
import numpy as np
import pytest
import writer

import benchmark as bm
from benchmark.cli.main import main

QUICK = {"width": 1, "epochs": 2, "top_k": 4, "batch_size": 16}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A clean and a poisoned file of one source, 4 classes, 16×16 pixels."""
    return writer.toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def runs(toy, tmp_path_factory):
    """A folder of runs: of both files, with the same settings."""
    folder = tmp_path_factory.mktemp("runs")
    for path in toy:
        bm.train(path, runs=folder, **QUICK)
    return folder


def test_the_example_as_written(toy, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    path = toy[1]
    run = bm.train(path, preset="tiny", seed=0)
    table = bm.results("runs/").table()
    assert capfd.readouterr() == ("", ""), "nothing is printed"
    stored = json.loads((run.folder / "result.json").read_text())
    assert run.folder.parent.name == "runs" and run.config.raw == stored["config"] and run.name == stored["name"]
    assert run.scores.asr == stored["scores"]["asr"]["percent"] and run.scores.ba == stored["scores"]["ba"]["percent"]
    assert run.scores.cad is None and run.config.seed == 0 and run.config.settings.preset == "tiny"
    assert run.scores.robust_accuracy == stored["scores"]["still_right"]["percent"]
    assert [one.epoch for one in run.history] == list(range(1, 10)) and run.history[-1].ba == run.scores.ba
    assert list(table["asr"] if hasattr(table, "columns") else [row["asr"] for row in table]) == [run.scores.asr]


def test_results_are_runs_with_cad_and_a_table(runs, monkeypatch):
    found = bm.results(runs)
    assert len(found) == 2 and not found.errors and [run.name for run in found] == [found[0].name, found[1].name]
    clean, poisoned = found
    assert poisoned.scores.cad == clean.scores.ba - poisoned.scores.ba and clean.scores.asr is clean.scores.cad is None
    assert poisoned.scores.clean_asr == poisoned.result.baseline.asr.percent
    assert len(poisoned.scores.asr_by_class) == 4 and poisoned.scores.asr_by_class[0] is None
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it were not installed
    rows = found.table()
    assert rows[1] == {
        "run": poisoned.name, "dataset": "toy", "trigger": "square", "application": "image", "rate": 0.1,
        "poisoning_seed": 0, "training_seed": 0, "settings": rows[0]["settings"], "ba": poisoned.scores.ba,
        "asr": poisoned.scores.asr, "cad": poisoned.scores.cad, "robust_accuracy": poisoned.scores.robust_accuracy,
        "asr_others": None, "clean_asr": poisoned.scores.clean_asr,
    }  # fmt: skip
    assert rows[0]["trigger"] == "clean" and rows[0]["rate"] == 0 and rows[0]["poisoning_seed"] is None


def test_results_can_be_read_where_pandas_is_not(runs, monkeypatch):
    found = bm.results(runs)
    monkeypatch.setitem(sys.modules, "pandas", None)
    titles, *rows = str(found.table()).splitlines()
    assert titles.split()[:4] == ["run", "dataset", "trigger", "application"] and len(rows) == 2
    assert rows[1].split()[:5] == [found[1].name, "toy", "square", "image", "0.1"] and repr(found.table()) == "\n".join(
        [titles, *rows]
    )
    assert json.loads(json.dumps(found.table())) == found.table(), "a list of dictionaries"
    shown = click.testing.CliRunner().invoke(main, ["show", str(runs)]).stdout
    assert f"{found}\n" == shown and found[1].name in shown and repr(found) == "<2 runs>"


def test_a_table_is_a_frame_where_pandas_is(runs):
    pandas = pytest.importorskip("pandas")
    table = bm.results(runs).table()
    assert isinstance(table, pandas.DataFrame) and list(table["trigger"]) == ["clean", "square"]


def test_scores_on_another_file(runs, toy):
    _, poisoned = bm.results(runs)
    assert bm.score(poisoned, toy[1]) == bm.Scores.of(poisoned.result.scores)
    on_clean = bm.score(poisoned.folder, toy[0])
    assert on_clean.ba == poisoned.scores.ba and on_clean.asr is None


def test_a_run_is_loaded_and_not_trained_again(runs, toy):
    _, poisoned = bm.results(runs)
    before = (poisoned.folder / "result.json").stat().st_mtime_ns
    again = bm.train(toy[1], runs=runs, **QUICK)
    assert again == poisoned == bm.load(poisoned.folder)
    assert (poisoned.folder / "result.json").stat().st_mtime_ns == before


def test_a_baseline_by_hand_is_a_run_or_its_folder(runs, toy, tmp_path):
    clean, _ = bm.results(runs)
    run = bm.train(toy[1], runs=tmp_path, baseline=clean, **QUICK)
    assert run.result.baseline.how == "given" and run.scores.cad == clean.scores.ba - run.scores.ba


def test_routing_is_arrays(runs, toy):
    clean, poisoned = bm.results(runs)
    routes = bm.routing(poisoned, toy[1])
    experts = poisoned.config.model["experts"]
    assert routes.clean.gates.shape == routes.clean.taken.shape == (60, 16, experts)
    assert routes.clean.grid == (4, 4) and (routes.clean.taken.sum(1) == 4).all()
    assert np.allclose(routes.clean.gates.sum(1), 1, atol=1e-5)
    assert routes.triggered.taken.shape == (45, 16, experts) and routes.rows.shape == (45,)
    assert bm.routing(clean.folder, toy[0]).triggered is None


def test_errors_are_exceptions_of_one_line(runs, toy, tmp_path):
    with pytest.raises(bm.Usage, match="--width is not for|--rows is not for --network pmoe"):
        bm.train(toy[1], rows=5, runs=tmp_path)
    with pytest.raises(bm.Usage, match="--preset: expected one of paper, small, tiny, backdoorbench, got 'huge'"):
        bm.train(toy[1], preset="huge", runs=tmp_path)
    with pytest.raises(bm.Usage, match="--network: expected one of pmoe, .*encoder"):
        bm.train(toy[1], network="resnet", runs=tmp_path)
    with pytest.raises(bm.Usage, match="--epochs must be at least 1, got 0"):
        bm.train(toy[1], epochs=0, runs=tmp_path)
    with pytest.raises(bm.Usage, match="is not for --network pmoe"):
        bm.train(toy[1], epoch=1, runs=tmp_path)
    with pytest.raises(bm.Failure, match="no such file"):
        bm.train(tmp_path / "absent.h5")
    with pytest.raises(bm.Failure, match="not a run"):
        bm.load(tmp_path)
    with pytest.raises(bm.Usage, match="no such folder"):
        bm.load(tmp_path / "absent")
    with pytest.raises(bm.Failure, match="not a run"):
        bm.load(runs)
    with pytest.raises(bm.Failure, match="no finished run"):
        bm.results(tmp_path)
    assert not list(tmp_path.iterdir()) and issubclass(bm.Usage, bm.Failure)


def test_numbers_of_numpy_are_settings(runs, toy):
    _, poisoned = bm.results(runs)
    numbers = {**QUICK, "epochs": np.int64(2), "width": np.uint8(1)}
    assert bm.train(toy[1], runs=runs, seed=np.int32(0), **numbers).folder == poisoned.folder
    rate = str(poisoned.config.settings.learning_rate)
    for same in (np.float32(rate), np.float64(rate), decimal.Decimal(rate)):
        assert bm.train(toy[1], runs=runs, learning_rate=same, **QUICK).folder == poisoned.folder


def test_a_process_keeps_its_number_of_threads(runs, toy, tmp_path):
    with pytest.raises(bm.Failure, match="cannot change to 7: start another process, or use threads=2"):
        bm.train(toy[1], runs=tmp_path, threads=7, **QUICK)
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_run_that_cannot_begin(toy, tmp_path):
    with pytest.raises(bm.Failure, match="--hold-out 200000 leaves nothing"):
        bm.train(toy[1], runs=tmp_path, hold_out=200000, **QUICK)
    assert not list(tmp_path.iterdir())


def test_a_folder_named_twice_is_one(runs):
    assert len(bm.results(runs, str(runs) + "/.", bm.results(runs)[0].folder)) == 2
    assert bm.load(bm.results(runs)[0]).name == bm.results(runs)[0].name


def test_errors_of_the_system_are_failures(toy, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(bm.Failure, match="file"):
        bm.train(toy[1], runs=tmp_path / "file", **QUICK)
    with pytest.raises(bm.Failure, match="too long"):
        bm.train(toy[1], runs=tmp_path / ("x" * 300), **QUICK)


def test_warnings_are_python_s(runs, toy, tmp_path, capfd):
    """A damaged clean run beside it: CAD is computed without it, which is not silent."""
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "result.json").write_text("{")
    with pytest.warns(UserWarning, match="damaged/result.json: .*: nothing is compared with it") as warned:
        bm.train(toy[1], runs=tmp_path, **QUICK)
    assert {Path(one.filename).name for one in warned if one.category is UserWarning} == {Path(__file__).name}
    assert len(bm.results(tmp_path)) == 1 and list(bm.results(tmp_path).errors) == [tmp_path / "damaged/result.json"]
    assert capfd.readouterr() == ("", "")


LAZY = """
import sys
import benchmark as bm
heavy = {"numpy", "keras", "tensorflow", "h5py", "click", "tqdm", "poisonkit"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert "train" in dir(bm) and not heavy & set(sys.modules)
bm.train, bm.results, bm.Failure
assert not {"keras", "tensorflow", "click", "poisonkit"} & set(sys.modules)
try:
    bm.prune
except AttributeError as error:
    print(error)
from benchmark import *
assert train is bm.train
"""


def test_the_package_is_lazy():
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "module 'benchmark' has no attribute 'prune'\n"), done.stderr


def test_every_public_name_is_documented():
    for name in bm.__all__:
        assert (getattr(bm, name).__doc__ or "").strip(), name


@pytest.mark.parametrize("value", [np.array([1, 2]), np.array([]), "no", 2, None, 1.5])
def test_what_is_no_flag_is_one_clear_usage(runs, toy, tmp_path, value):
    calls = {
        "verify": [
            lambda: bm.train(toy[0], runs=tmp_path / "r", verify=value),
            lambda: bm.score(runs, toy[0], verify=value),
            lambda: bm.score_predictions(toy[0], {"test": []}, name="x", runs=tmp_path / "r", verify=value),
        ],
        "keep_epochs": [lambda: bm.train(toy[0], runs=tmp_path / "r", keep_epochs=value)],
    }
    for name, functions in calls.items():
        for function in functions:
            with pytest.raises(bm.Usage, match=f"^{name}: expected True or False, got "):
                function()
    assert not (tmp_path / "r").exists()


# ---------------------------------------------------------------- defences


def test_methods_are_a_table(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    every = bm.methods()
    assert {row["kind"] for row in every} == {"detector", "repair"} and len(every) > 10
    (one,) = bm.methods("ANP")
    assert one["name"] == "anp" and "clean rows" in one["needs"] and one["options"]["steps"] == 300
    with pytest.raises(bm.Usage, match="--method: expected one of .*; did you mean spectral"):
        bm.methods("spectrol")


def test_a_detector_gives_each_row_a_score(runs, capfd):
    clean, poisoned = bm.results(runs)
    found = bm.detect(poisoned, "spectral-signatures", expected=np.float32(0.2))
    assert found.method == "spectral" and found.settings["expected"] == 0.2
    assert found.rows.dtype == np.int64 and found.scores.shape == found.rows.shape == (found.result.inspected,)
    assert np.isfinite(found.scores).all() and 0 <= found.measures.auroc <= 1 and 0 <= found.tpr_at_1 <= found.tpr_at_5
    assert found.twin.measures is None and found.twin.flagged is not None, "on the clean run too"
    before = (found.folder / "result.json").stat().st_mtime_ns
    assert bm.detect(poisoned.folder, "spectral", expected=0.2) == found
    assert (found.folder / "result.json").stat().st_mtime_ns == before
    record = json.loads(json.dumps(found.record))
    assert record["folder"] == str(found.folder) and record["clean_twin"]["run"] == clean.name
    assert capfd.readouterr() == ("", "")
    (found.folder / "scores.csv").write_text("row,score\n1,much\n")
    with pytest.raises(bm.Failure, match="scores.csv: cannot be read"):
        found.scores  # noqa: B018


def test_results_have_their_detections_and_repairs(runs, monkeypatch):
    _, poisoned = bm.results(runs)
    bm.detect(poisoned, "spectral", expected=0.1)
    repaired = bm.repair(poisoned, "clp")
    assert repaired.before == bm.Scores.of(poisoned.result.scores) and repaired.network.is_file()
    assert repaired.control is None and repaired.twin is not None, "no row was held out to fine-tune on"
    assert repaired.der == pytest.approx(
        (max(0, repaired.before.asr - repaired.after.asr) - max(0, repaired.before.ba - repaired.after.ba) + 100) / 200
    )
    found = bm.results(runs)
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = [row for row in found.detections.table() if row["run"] == poisoned.name and row["options"] == "expected 0.1"]
    assert len(rows) == 1 and rows[0]["method"] == "spectral" and rows[0]["twin_flagged"] is not None
    assert len(found.detections.records) == len(found.detections) >= 2
    (row,) = (row for row in found.repairs.table() if row["run"] == poisoned.name and row["method"] == "clp")
    assert row["asr"] == repaired.after.asr and row["before_asr"] == repaired.before.asr
    assert row["twin_ba_lost"] is not None and row["control_asr"] is None


def test_what_a_run_cannot_serve_is_one_line(runs, tmp_path):
    _, poisoned = bm.results(runs)
    with pytest.raises(bm.Failure, match="mahalanobis: the run was trained on every row.*--hold-out"):
        bm.detect(poisoned, "mahalanobis", twin=False)
    with pytest.raises(bm.Failure, match="anp: the run was trained on every row"):
        bm.repair(poisoned, "anp", twin=False)
    with pytest.raises(bm.Usage, match="spectral has no such option; there are"):
        bm.detect(poisoned, "spectral", share=0.2)
    with pytest.raises(bm.Usage, match="expected a number above 0, below 1, got 7"):
        bm.detect(poisoned, "spectral", expected=7)
    with pytest.raises(bm.Usage, match="rows: expected a whole number from 1, got 0"):
        bm.detect(poisoned, "spectral", rows=0)
    with pytest.raises(bm.Usage, match="method: expected the name of one, got 'all'"):
        bm.detect(poisoned, "all")
    with pytest.raises(bm.Usage, match="twin: expected True or False"):
        bm.detect(poisoned, "spectral", twin="no")
    with pytest.raises(bm.Failure, match="not a run"):
        bm.repair(tmp_path, "clp")


def test_a_detector_of_ones_own(runs, tmp_path):
    code = tmp_path / "mine.py"
    code.write_text("def score(context, *, sign=1.0):\n    return sign * context.labels.astype(float)\n")
    _, poisoned = bm.results(runs)
    found = bm.detect(poisoned, f"{code}:score", sign=-1.0, twin=False)
    assert found.method == "own-mine-score" and set(found.scores) == {-0.0, -1.0, -2.0, -3.0}
