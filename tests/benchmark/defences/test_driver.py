"""The commands `defences`, `detect` and `repair`, by methods that the tests bring along."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
from in_process import invoke

from benchmark.core import files
from benchmark.core.errors import Failure
from benchmark.defences.catalogue import DETECTORS, REPAIRS
from benchmark.defences.context import Detection, Stage
from benchmark.defences.needs import CLEAN_ROWS, FEATURES, LOSSES, TEXTS, Need
from benchmark.defences.options import Option
from benchmark.defences.records import detected
from benchmark.defences.registry import DetectorSpec, RepairSpec, Work, register
from benchmark.format import dataset
from benchmark.runs import results

CALLS = []


def far(context, *, power):
    """Distance from the class's mean feature."""
    CALLS.append(context.run.folder.name)
    features, scores = context.features(), np.zeros(len(context.rows))
    for label in range(context.classes):
        of = context.labels == label
        scores[of] = (np.abs(features[of] - features[of].mean(0)) ** power).sum(1)
    return Detection(scores, scores > np.quantile(scores, 0.9), {"classes": context.classes})


def tuned(context, *, epochs):
    from benchmark.nn import engines

    CALLS.append(context.run.folder.name)
    model = context.network()
    engine = engines.engine(model, 0.05, context.clean.inputs, context.clean.labels)
    for epoch in range(1, epochs + 1):
        engine.train(np.arange(len(context.clean), dtype=np.int32)[None])
        yield Stage(model, "tuned", str(epoch), {"epoch": epoch})


@pytest.fixture
def far_method():
    spec = DetectorSpec(
        name="far", title="Far", source="a test", summary="Far from its class.", score=far, needs=(FEATURES,),
        options=(Option("power", "Of the distance.", float, 2.0, above=0),), aliases=("afar",),
    )  # fmt: skip
    register(spec)
    CALLS.clear()
    yield spec
    del DETECTORS["far"]


@pytest.fixture
def tuned_method():
    spec = RepairSpec(
        name="tuned", title="Tuned", source="a test", summary="Tunes.", repair=tuned, needs=(CLEAN_ROWS,),
        options=(Option("epochs", "How many.", int, 2, least=1),), work=lambda size, options: Work(trained=1e6),
    )  # fmt: skip
    register(spec)
    CALLS.clear()
    yield spec
    del REPAIRS["tuned"]


def only(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


def records(*arguments):
    done = invoke(*arguments, "--json", "-q")
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def test_a_registered_method_is_everywhere(far_method, tuned_method):
    assert "far" in invoke("defences").output and "tuned" in invoke("defences").output
    shown = invoke("defences", "--method", "afar").output
    assert "power" in shown and "a number above 0" in shown and "Of the distance." in shown
    listed = json.loads(invoke("defences", "--json").output)
    assert [one["kind"] for one in listed if one["name"] in ("far", "tuned")] == ["detector", "repair"]


def test_detect_scores_every_row_that_is_not_held_out(far_method, run, twin):
    done = invoke("detect", run, "--method", "afar", "--option", "power=3", "-q")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "far" in done.output and "90 training rows inspected" in done.output
    assert max(map(len, done.output.splitlines())) <= 100 + len(str(run))
    folder = only(run, "detect-far-*")
    with open(folder / "scores.csv") as file:
        lines = list(csv.reader(file))
    rows = [int(row) for row, _ in lines[1:]]
    assert lines[0] == ["row", "score"] and len(rows) == 90 and rows == sorted(rows)
    result = json.loads((folder / "result.json").read_text())
    assert result["settings"] == {"power": 3.0} and result["findings"] == {"classes": 4}
    assert result["rows"]["flagged"] == 9 and result["clean"]["are"] == "held out"
    assert result["clean"]["rows"] == 6  # 5 % of 120
    assert [run.name, twin.name] == CALLS and result["clean_run"] == twin.name
    assert json.loads((only(twin, "detect-far-*") / "result.json").read_text())["measures"] is None


def test_measures_are_those_of_the_scores(far_method, run):
    (found,) = records("detect", run, "--method", "far", "--no-twin")
    scores = np.genfromtxt(only(run, "detect-far-*") / "scores.csv", delimiter=",", skip_header=1)
    poisoned = np.isin(scores[:, 0], np.arange(1, 37, 3))
    assert found["rows"]["poisoned"] == poisoned.sum() > 0
    positive, negative = scores[poisoned, 1], scores[~poisoned, 1]
    auroc = np.mean([(p > negative).mean() + (p == negative).mean() / 2 for p in positive])
    assert found["measures"]["auroc"] == pytest.approx(auroc, abs=1e-6)


def test_what_is_there_is_only_read(far_method, run):
    first = records("detect", run, "--method", "far")
    assert CALLS and not CALLS.clear()
    assert records("detect", run, "--method", "far") == first and CALLS == []
    records("detect", run, "--method", "far", "--option", "power=1")
    assert len(CALLS) == 2 and len(list(run.glob("detect-far-*"))) == 2


def test_features_are_computed_once_and_renewed_with_the_network(far_method, run, twin):
    from benchmark.nn import model_files

    records("detect", run, "--method", "far", "--no-twin")
    kept = only(run, "evidence-*/outputs-train.npy")
    before = kept.stat().st_mtime_ns
    records("detect", run, "--method", "far", "--no-twin", "--option", "power=1")
    assert kept.stat().st_mtime_ns == before
    model = model_files.load(run)
    model.weights[0].assign(model.weights[0] * 1.0001)
    model_files.save(model, run / "model.keras")
    records("detect", run, "--method", "far", "--no-twin", "--option", "power=4")
    assert len(list(run.glob("evidence-*"))) == 2


@pytest.mark.parametrize("which", ["run", "twin"])
def test_another_network_of_the_same_architecture_is_one_line(far_method, tuned_method, run, twin, which):
    """Somebody has put it there: it would pass for the one that was trained."""
    from benchmark.nn import model_files

    first = run if which == "run" else twin
    model = model_files.load(first)
    for weight in model.get_layer("logits").weights:
        weight.assign(np.roll(weight.numpy(), 1, axis=-1))
    model_files.save(model, first / "model.keras")
    for command, method in (("detect", "far"), ("repair", "tuned")):
        done = invoke(command, run, "--method", method, "-q")
        assert done.exit_code == 1 and done.stderr.count("\n") == 1, (done.stderr, done.exception)
        assert done.stderr.startswith(f"benchmark: {first}/model.keras: is not the network that was trained here: of ")
        assert "rows it takes" in done.stderr and "benchmark train" in done.stderr
        assert not list(first.glob(f"{command}-*"))
    assert ([] if which == "run" else [run.name] * 2) == CALLS


@pytest.mark.parametrize("damage", ["gone", "cut", "others"])
def test_without_predictions_a_line_says_that_the_network_is_taken_as_it_is(far_method, run, damage):
    path = run / "predictions.npz"
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:200])
    if damage == "others":
        np.savez(path, test=np.arange(7))
    done = invoke("detect", run, "--method", "far", "--no-twin", "-q")
    assert done.exit_code == 0 and done.stderr.count("\n") == 1
    assert done.stderr.endswith("it cannot be told whether model.keras is the network that was trained here\n")


@pytest.mark.parametrize("damage", ["cut", "empty", "pickle", "rows", "columns", "type", "link"])
def test_damaged_evidence_is_put_aside_and_made_again(far_method, run, damage, tmp_path):
    first = records("detect", run, "--method", "far", "--no-twin")
    kept = only(run, "evidence-*/outputs-train.npy")
    content = kept.read_bytes()
    if damage == "link":
        (tmp_path / "elsewhere.npy").write_bytes(content)
        kept.unlink()
        kept.symlink_to(tmp_path / "elsewhere.npy")
        done = invoke("detect", run, "--method", "far", "--no-twin", "--option", "power=1")
        assert done.exit_code == 1 and "outputs-train.npy" in done.stderr and done.stderr.count("\n") == 3
        assert done.stderr.startswith(f"{run.name}:\n  Far …\nbenchmark: ")
        return
    if damage == "pickle":
        np.save(kept, np.array([{}] * 120, object), allow_pickle=True)
    elif damage == "rows":
        np.save(kept, np.load(kept)[:7])
    elif damage in ("columns", "type"):
        np.save(kept, np.load(kept)[:, :-1] if damage == "columns" else np.load(kept).astype(np.float64))
    else:
        kept.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    shutil.rmtree(only(run, "detect-far-*"))
    done = invoke("detect", run, "--method", "far", "--no-twin", "--json", "-q")
    assert done.exit_code == 0 and "outputs-train.npy" in done.stderr
    assert json.loads(done.stdout)[0]["measures"] == first[0]["measures"]


def test_fewer_rows_hold_all_poisoned_ones_and_are_weighted(far_method, run):
    everything, some = (
        records("detect", run, "--method", "far", "--no-twin", *more)[0] for more in ((), ("--rows", "40"))
    )
    assert some["rows"]["inspected"] == 40 and some["rows"]["of"] == 90
    assert some["rows"]["poisoned"] == everything["rows"]["poisoned"]
    assert "all changed ones among them" in invoke("detect", run, "--method", "far", "--no-twin", "--rows", "40").output


def test_repair_scores_and_keeps_each_stage(tuned_method, run, twin):
    found = records("repair", run, "--method", "tuned")[-1]
    assert [(step["stage"], step["label"]) for step in found["steps"]] == [
        ("before", ""),
        ("tuned", "1"),
        ("tuned", "2"),
    ]
    assert found["steps"][0]["scores"] == json.loads((run / "result.json").read_text())["scores"]
    assert found["steps"][2]["findings"] == {"epoch": 2} and found["clean_twin"]["run"] == twin.name
    folder = only(run, "repair-tuned-*")
    assert (folder / "tuned-1.keras").is_file() and (folder / "tuned-2.keras").is_file()
    shown = invoke("repair", run, "--method", "tuned", "-q").output
    assert "tuned 2" in shown and "DER" in shown


def test_what_a_run_lacks_is_one_line_and_the_others_go_on(far_method, trained, tmp_path):
    import in_process

    poisoned = next(path for path in (trained / "data").glob("*.h5") if "clean" not in path.name)
    in_process.train(poisoned, "--runs", tmp_path / "runs", "-q", "--epochs", "1")
    run = in_process.only(tmp_path / "runs")
    lacking = DetectorSpec(name="lacking", title="L", source="", summary="", score=far, needs=(CLEAN_ROWS,))
    texts = DetectorSpec(name="texts", title="T", source="", summary="", score=far, needs=(TEXTS,))
    losses = DetectorSpec(name="early", title="E", source="", summary="", score=far, needs=(LOSSES,))
    (run / "losses.npz").unlink()
    for spec in (lacking, texts, losses):
        register(spec)
    try:
        done = invoke(
            "detect", run, "--method", "far", "--method", "lacking", "--method", "texts", "--method", "early", "-q"
        )
    finally:
        for spec in (lacking, texts, losses):
            del DETECTORS[spec.name]
    assert done.exit_code == 1 and "far" in done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 3 and all(line.startswith(f"benchmark: {run}: ") for line in lines)
    assert "lacking: the run was trained on every row" in lines[0] and "--hold-out" in lines[0]
    assert "texts: is for texts, and this run is on images" in lines[1] and "early:" in lines[2]
    assert not list(run.glob("detect-lacking*")) and not list(run.glob("detect-texts*"))


def test_of_all_methods_those_that_a_run_cannot_serve_are_said_and_no_failure(far_method, run, monkeypatch):
    monkeypatch.setattr(DETECTORS, "every", lambda: [DETECTORS["texts"], far_method])
    register(DetectorSpec(name="texts", title="T", source="", summary="", score=far, needs=(TEXTS,)))
    try:
        done = invoke("detect", run, "--method", "all", "-q", "--no-twin")
        named = invoke("detect", run, "--method", "all", "--method", "texts", "-q", "--no-twin")
    finally:
        del DETECTORS["texts"]
    assert done.exit_code == 0 and "far" in done.stdout
    assert done.stderr == f"left out: {run}: texts: is for texts, and this run is on images\n"
    assert named.exit_code == 1 and named.stderr.startswith("benchmark: ")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda n: np.zeros(n + 1), "expected (90,): one for each row"),
        (lambda n: np.full(n, np.nan), "90 of 90 scores are not finite"),
        (lambda n: (np.zeros(n), np.zeros(n)), "returned flags float64"),
        (lambda n: "scores", "returned str"),
    ],
)
def test_what_a_method_of_ones_own_returns_is_checked(run, tmp_path, returned, said, monkeypatch):
    import benchmark.defences as package

    monkeypatch.setattr(package, "RETURNED", returned, raising=False)
    code = tmp_path / "mine.py"
    code.write_text("import benchmark.defences as d\ndef score(context):\n    return d.RETURNED(len(context.rows))\n")
    done = invoke("detect", run, "--method", f"{code}:score", "--no-twin", "-q")
    assert done.exit_code == 1 and said in done.stderr and done.stderr.count("\n") == 1
    assert not list(run.glob("detect-own*"))


def test_a_method_of_ones_own_is_named_again_to_be_executed(run, tmp_path):
    code = tmp_path / "mine.py"
    code.write_text(
        "import numpy as np\n"
        "def score(context, *, scale: float = 2.0, note='x'):\n"
        "    return scale * context.features().sum(1)\n"
        "def broken(context):\n    return 1 / 0\n"
        "def tune(context):\n    return context.network()\n"
    )
    (found,) = records("detect", run, "--method", f"{code}:score", "--option", "scale=3", "--no-twin")
    assert found["settings"] == {"scale": 3.0, "note": "x"} and found["code"]["function"] == "score"
    done = invoke("detect", run, "--method", f"{code}:broken", "-q", "--no-twin")
    assert done.exit_code == 1 and "mine.py:5: ZeroDivisionError" in done.stderr and done.stderr.count("\n") == 1
    for wrong, said in (
        (f"{code}:nothing", "has no function 'nothing'"),
        (f"{tmp_path}/no.py:score", "no such file"),
        ("mahalanobizz", "expected one of"),
    ):
        done = invoke("detect", run, "--method", wrong)
        assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1
    (found,) = [
        one for one in records("repair", run, "--method", f"{code}:tune", "--no-twin") if "own" in one["defence"]
    ]
    assert found["steps"][1]["scores"]["ba"] == found["steps"][0]["scores"]["ba"]


def test_estimate_computes_nothing(far_method, tuned_method, run):
    done = invoke("repair", run, "--method", "tuned", "--estimate")
    assert done.exit_code == 0 and "minutes" in done.output and CALLS == []
    assert not list(run.glob("repair-*")) and not list(run.glob("evidence-*"))
    (found,) = json.loads(invoke("detect", run, "--method", "far", "--estimate", "--json").output)
    assert found["rows"] == 90 and found["clean"] == 6 and found["seconds"] > 0


def test_an_estimate_leaves_out_what_the_run_cannot_serve(run):
    done = invoke("detect", run, "--method", "heads", "--method", "spectral", "--estimate")
    table, said = done.output.split("left out: ")
    assert done.exit_code == 0 and "heads" in said and "heads" not in table and "spectral" in table
    heads, spectral = json.loads(invoke("detect", run, "--method", "heads", "--method", "spectral", "--estimate",
                                        "--json").output)  # fmt: skip
    assert heads["lacks"].startswith("heads: ") and heads["seconds"] == 0 and spectral["lacks"] is None


def test_a_damaged_result_is_put_aside(far_method, run):
    records("detect", run, "--method", "far", "--no-twin")
    path = only(run, "detect-far-*") / "result.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps(raw | {"measures": {"auroc": "high"}}))
    done = invoke("detect", run, "--method", "far", "--no-twin", "--json", "-q")
    assert done.exit_code == 0 and "result.json" in done.stderr
    assert json.loads(done.stdout)[0]["measures"] == raw["measures"]
    assert files.there(path.with_name("result.json.damaged"))


def test_a_method_that_fails_leaves_nothing(run, monkeypatch):
    def fails(context):
        raise KeyboardInterrupt

    register(DetectorSpec(name="fails", title="F", source="", summary="", score=fails))
    try:
        invoke("detect", run, "--method", "fails", "-q")
    finally:
        del DETECTORS["fails"]
    assert not list(run.glob("detect-*"))


def test_from_python_code_of_ones_own_is_executed_once(run, tmp_path):
    import benchmark as bm

    code = tmp_path / "mine.py"
    code.write_text(
        f"with open({str(tmp_path / 'times')!r}, 'a') as file:\n    file.write('x')\n"
        "def score(context):\n    return context.features().sum(1)\n"
    )
    assert bm.detect(run, f"{code}:score", twin=False).method == "own-mine-score"
    assert (tmp_path / "times").read_text() == "x"


def test_methods_that_judge_rows_by_one_another_inspect_all_whatever_is_drawn(far_method, run):
    """All poisoned rows are among those drawn: means and groups would be of another share of poison."""
    (alone,) = records("detect", run, "--method", "far", "--no-twin")
    DETECTORS["far"] = dataclasses.replace(far_method, judges="whole")
    assert records("detect", run, "--method", "far", "--no-twin", "--rows", "40") == [alone]
    shown = invoke("detect", run, "--method", "far", "--method", "loss", "--no-twin", "--rows", "40")
    assert "90 training rows inspected," in shown.output
    (estimate,) = records("detect", run, "--method", "far", "--rows", "40", "--estimate")
    assert estimate["rows"] == 90


def test_where_drawn_rows_are_judged_by_one_another_a_line_says_so(far_method, run):
    DETECTORS["far"] = dataclasses.replace(far_method, judges="among")
    shown = invoke("detect", run, "--method", "far", "--method", "spectral", "--no-twin", "--rows", "40").output
    assert "40 training rows inspected of 90" in shown
    assert "far: rows are judged by one another" in shown and "spectral: all rows were inspected" in shown
    whole = invoke("detect", run, "--method", "far", "--no-twin").output
    assert "judged by one another" not in whole


OWN = """
import numpy as np
from benchmark.defences.context import Detection, Stage

def zeros(context): return np.zeros(len(context.rows))
def imaginary(context): return zeros(context) + 1j
def text(context): return Detection("abc")
def nan(context): return Detection(zeros(context), None, {"value": float("nan")})
def array(context): return Detection(zeros(context), None, {"value": np.zeros(3)})
def place(context): return Detection(zeros(context), None, {}, {"../out": lambda path: path.write_text("")})
def picture(context): return Detection(zeros(context), None, {}, {"map": lambda path: 1 / 0})
def rows(context): context.rows[:] = context.rows[::-1].copy(); return zeros(context)
def labels(context): context.train.labels[:] = 0; return zeros(context)
def inputs(context): context.train.inputs[:] = 0; return zeros(context)
def clean(context): context.clean.labels[:] = 0; return zeros(context)

def network(context):
    for weight in context.model.weights:
        weight.assign(weight * 0)
    return context.features().sum(1)

def nothing(context): return None
def number(context): return [Stage(3, "x")]
def outside(context): return Stage(context.network(), "../../out")
def slash(context): return Stage(context.network(), "tuned", "1/2")
def before(context): return Stage(context.network(), "before")
def twice(context): return [Stage(context.network(), "tuned", "1")] * 2
def finding(context): return Stage(context.network(), "tuned", "", {"value": float("nan")})

def diverged(context):
    network = context.network()
    for weight in network.weights:
        weight.assign(weight * np.nan)
    return network

def classes(context):
    import keras
    images = keras.Input(context.image_shape, dtype="uint8")
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(keras.layers.Rescaling(1.0)(images)))
    return keras.Model(images, outputs)
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(
    "command, function, said",
    [
        ("detect", "imaginary", "expected an array of a score"),
        ("detect", "text", "expected numbers"),
        ("detect", "nan", "findings cannot be kept as JSON"),
        ("detect", "array", "findings cannot be kept as JSON"),
        ("detect", "place", "the name '../out' begins with '.'"),
        ("detect", "picture", "mine.py:11: ZeroDivisionError"),
        ("detect", "rows", "mine.py:12: ValueError: assignment destination is read-only"),
        ("detect", "labels", "mine.py:13: ValueError: assignment destination is read-only"),
        ("detect", "inputs", "mine.py:14: ValueError: assignment destination is read-only"),
        ("detect", "clean", "mine.py:15: ValueError: assignment destination is read-only"),
        ("detect", "network", "has changed context.model"),
        ("repair", "nothing", "returned NoneType, expected a keras.Model"),
        ("repair", "number", "yielded int, expected a keras.Model"),
        ("repair", "outside", "begins with '.'"),
        ("repair", "slash", "holds '/'"),
        ("repair", "before", "there is a stage 'before' already"),
        ("repair", "twice", "there is a stage 'tuned-1' already"),
        ("repair", "finding", "findings cannot be kept as JSON"),
        ("repair", "diverged", "its network diverged"),
        ("repair", "classes", "whose output_shape is (None, 2), expected (None, 4)"),
    ],
)
def test_code_of_ones_own_changes_nothing_and_what_it_returns_can_be_kept(run, own, tuned_method, command, function,
                                                                          said, monkeypatch):  # fmt: skip
    monkeypatch.setattr("benchmark.defences.repair.REPAIRS", {})  # no control beside
    done = invoke(command, run, "--method", f"{own}:{function}", "--no-twin", "-q")
    assert done.exit_code == 1 and said in done.stderr, (done.stderr, done.exception)
    assert not list(run.glob("*-own-*")) and not list(run.parent.glob("**/*out*")) and done.stderr.count("\n") == 1


def test_what_a_changed_network_computed_is_not_kept(far_method, run, own):
    (right,) = records("detect", run, "--method", "far", "--no-twin")
    shutil.rmtree(only(run, "detect-far-*"))
    shutil.rmtree(only(run, "evidence-*"))
    done = invoke("detect", run, "--method", f"{own}:network", "--method", "far", "--no-twin", "-q")
    assert done.exit_code == 1 and "has changed context.model" in done.stderr
    assert records("detect", run, "--method", "far", "--no-twin")[0]["measures"] == right["measures"]


@pytest.mark.parametrize("lost", ["scores.csv", "flagged.csv"])
def test_a_result_without_its_files_is_made_again(far_method, run, lost):
    first = records("detect", run, "--method", "far", "--no-twin")
    folder = only(run, "detect-far-*")
    before = (folder / lost).read_bytes()
    (folder / lost).unlink()
    assert records("detect", run, "--method", "far", "--no-twin")[0]["measures"] == first[0]["measures"]
    assert (folder / lost).read_bytes() == before


def test_a_share_above_1_is_no_result(far_method, run):
    records("detect", run, "--method", "far", "--no-twin")
    path = only(run, "detect-far-*") / "result.json"
    raw = json.loads(path.read_text())
    for place in (raw["measures"], raw["measures"]["tpr_at_fpr"], raw["measures"]["own_cut"]):
        name = next(name for name in ("auroc", "0.01", "recall") if name in place)
        right, place[name] = place[name], 7.5
        path.write_text(json.dumps(raw))
        with pytest.raises(Exception, match="7.5 is no share|that can be shown"):
            detected(json.loads(path.read_text()))
        place[name] = right


def test_of_drawn_rows_without_truth_it_is_said_that_they_are_a_part(far_method, run, monkeypatch):
    """As of a sealed file: such scores are no submission, and nothing can be retrained by them."""
    monkeypatch.setattr("benchmark.defences.subject._truth", lambda contents: None)
    (found,) = records("detect", run, "--method", "far", "--no-twin", "--rows", "40")
    assert found["rows"]["inspected"] == 40 and found["rows"]["of"] == 90 and found["measures"] is None
    shown = invoke("detect", run, "--method", "far", "--no-twin", "--rows", "40", "-q").output
    assert "40 training rows inspected of 90 (drawn at random)" in shown and "are no submission" in shown
    done = invoke("repair", run, "--method", "retrain", "--detector", "far", "--no-twin", "-q")
    assert done.exit_code == 1 and "has scored 40 of 90 rows only" in done.stderr


def test_folders_stay_in_order_under_their_first_spelling(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    assert results.each_once([first, second, tmp_path / "b" / ".." / "a"]) == [first, second]


def test_a_run_that_is_named_twice_is_there_once(far_method, tuned_method, run, monkeypatch):
    monkeypatch.chdir(run.parent)
    again = f"./{run.name}/."
    assert len(records("detect", run, again, "--method", "far", "--no-twin")) == 1 and [run.name] == CALLS
    assert invoke("detect", run, again, "--method", "far", "--no-twin").output.count("inspected") == 1
    assert len(records("repair", again, run, "--method", "tuned", "--estimate")) == 2, "and fine-tuning beside"


def test_what_is_explained_is_what_is_shown(far_method, tuned_method, run):
    detected = [invoke("detect", run, "--method", "far", *more, "-q").output for more in ((), ("--no-twin",))]
    assert ["clean twin" in text for text in detected] == [True, False] and "cut: what" in detected[1]
    repaired = [invoke("repair", run, "--method", "tuned", *more, "-q").output for more in ((), ("--no-twin",))]
    assert ["clean twin" in text for text in repaired] == [True, False]
    assert all("RA: the share of triggered rows that still get their true label." in text for text in repaired)


@pytest.mark.parametrize("command, method", [("detect", "far"), ("repair", "tuned")])
def test_lines_fit_a_window(far_method, tuned_method, run, twin, command, method):
    """Also where the names of runs are long; a path alone may be longer, for it is to be copied."""
    long = [path.rename(path.with_name(f"{path.name[:30]}{'x' * 50}")) for path in (run, twin)]
    done = invoke(command, long[0], "--method", method)
    assert done.exit_code == 0 and f"{long[0].name}:\n" in done.stderr and f"{long[1].name}:\n" in done.stderr
    for line in (done.stdout + done.stderr).splitlines():
        assert len(line) <= 100 or len(line.split()) <= 2, line


@pytest.mark.parametrize("command, method", [("detect", "spectral"), ("repair", "clp")])
def test_of_a_network_that_was_trained_elsewhere_nothing_can_be_estimated_either(trained, tmp_path, command, method):
    file = next(path for path in (trained / "data").glob("*.h5") if "clean" not in path.name)
    scored = dataset.load(file).scored
    np.savez(tmp_path / "p.npz", **{name: rows.labels for name, rows in scored.items()})
    words = ("--predictions", tmp_path / "p.npz", "--name", "theirs", "--runs", tmp_path / "runs")
    assert invoke("score", file, *words).exit_code == 0
    (run,) = (tmp_path / "runs").iterdir()
    lines = [invoke(command, run, "--method", method, *more) for more in ((), ("--estimate",))]
    assert [done.exit_code for done in lines] == [1, 1] and lines[0].stderr == lines[1].stderr
    assert f"{command} needs the network itself, which was trained elsewhere" in lines[1].stderr


def test_a_run_is_named_once_in_a_line(far_method, run, monkeypatch):
    """Also where what a method needs is looked for by whoever names the run already."""

    def check(context):
        raise Failure(f"{context.run.folder}: has none")

    register(DetectorSpec(name="lacking", title="L", source="", summary="", score=far, needs=(Need("x", "x", check),)))
    try:
        done = invoke("detect", run, "--method", "lacking", "-q", "--no-twin")
    finally:
        del DETECTORS["lacking"]
    assert done.stderr == f"benchmark: {run}: lacking: has none\n"
