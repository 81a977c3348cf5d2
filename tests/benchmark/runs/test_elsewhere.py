"""Networks that were trained elsewhere: their predictions make a run, which stands beside ours and is marked."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
import writer
from in_process import invoke, train, within

from benchmark.runs import records

NAME = "our ResNet (v2)"


@pytest.fixture
def data(tmp_path):
    """A clean file and a poisoned one: 60 test rows of 4 classes, 45 triggered."""
    clean = writer.clean_arrays()
    for name, arrays in (("toy-clean", clean), ("toy-square", writer.poisoned_arrays(clean))):
        writer.write(tmp_path / f"{name}.h5", arrays, writer.manifest_of(arrays, clean, name))
    return tmp_path


LABELS = np.arange(60) % 4
TRIGGERED = LABELS[LABELS != 0]


def predictions():
    """Test rows right but for the first three; of the 45 triggered ones 30 as the target, 0, and 15 right."""
    test, triggered = LABELS.copy(), TRIGGERED.copy()
    test[:3] = 3
    triggered[:30] = 0
    return {"test": test, "triggered": triggered}


def scored(data, arrays, file="toy-square", code=0, name=NAME, more=()):
    path = data / "p.npz"
    np.savez(path, **arrays)
    return asked(data, path, file, code, name, more)


def asked(data, path, file="toy-square", code=0, name=NAME, more=()):
    words = ("--predictions", path, data / f"{file}.h5", "--runs", data / "runs", "--name", name, *more)
    with within(20):
        done = invoke("score", *words)
    assert done.exit_code == code, (done.output, done.exception)
    return done


def result(data, file="toy-square"):
    (folder,) = (data / "runs").glob(f"{file}--*")
    return json.loads((folder / "result.json").read_text())


def test_predictions_make_a_run_with_the_scores_of_ours(data):
    scored(data, {"test": LABELS}, "toy-clean")
    scored(data, predictions())
    found = result(data)
    assert found["name"].startswith("toy-square--our-ResNet-v2-predictions-t0-") and records.is_result(found)
    scores = found["scores"]
    assert scores["ba"] == {"count": 57, "of": 60, "percent": 95.0}
    assert scores["asr"] == {"count": 30, "of": 45, "percent": 100 * 30 / 45}
    assert scores["still_right"]["count"] == 15 + np.count_nonzero(TRIGGERED[:30] == 0)
    assert found["baseline"]["how"] == "same seed" and found["baseline"]["cad"] == pytest.approx(5)
    with np.load(data / "runs" / found["name"] / "predictions.npz") as kept:
        assert {name: kept[name].dtype for name in kept} == {"test": np.int64, "triggered": np.int64}


def as_scores(classes, dtype="f4"):
    """Logits whose largest is that class, others of them −∞ or tied lower down."""
    scores = np.full((len(classes), 4), -np.inf, dtype)
    scores[:, 0] = -5
    scores[np.arange(len(classes)), classes] = 2.5
    return scores


def as_csv(arrays, rows=None):
    lines = ["set,row," + ("class" if next(iter(arrays.values())).ndim == 1 else "0,1,2,3")]
    for name, array in arrays.items():
        for row, value in enumerate(array):
            lines.append(f"{name},{row},{','.join(map(str, np.atleast_1d(value)))}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "form", ["classes u1", "logits f2", "logits f8 fortran", "compressed", "csv", "csv scores", "bom"]
)
def test_every_form_of_the_same_predictions_gives_the_same_scores(data, form):
    """Given a second time in another form, they are the run that is there."""
    scored(data, predictions())
    before = result(data)
    path, arrays = data / "other", predictions()
    scores = {name: as_scores(array, "f8") for name, array in arrays.items()}
    if "csv" in form or form == "bom":
        chosen = {name: np.maximum(array, -9) for name, array in scores.items()} if form == "csv scores" else arrays
        path.write_text(as_csv(chosen), encoding="utf-8-sig" if form == "bom" else "utf-8")
    else:
        made = {
            "classes u1": {name: array.astype("u1") for name, array in arrays.items()},
            "logits f2": {name: array.astype("f2") for name, array in scores.items()},
            "logits f8 fortran": {name: np.asfortranarray(array) for name, array in scores.items()},
        }.get(form, scores)
        with open(path, "wb") as file:
            (np.savez_compressed if form == "compressed" else np.savez)(file, **made)
    asked(data, path)
    assert result(data) == before


def npz(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def archived(name, content, kind=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        archive.writestr(name, content)
        archive.writestr("triggered.npy", npy(np.array(TRIGGERED)))
    return out.getvalue()


def npy(array, version=(1, 0), cut=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=version)
    return out.getvalue()[:cut]


def header(shape, dtype="<i8"):
    """The head of an array that says so, and nothing after it."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue()


def header_of(text):
    """The head of an array with something else in it."""
    return b"\x93NUMPY\x01\x00" + len(str(text)).to_bytes(2, "little") + str(text).encode()


def csv(lines):
    """A CSV of the right predictions but for these lines, by number (from 1)."""
    text = as_csv(predictions()).splitlines()
    for number, line in lines.items():
        text[number - 1] = line
    return "\n".join(text).encode()


def changed(name, row, value, dtype=None):
    arrays = predictions()
    if dtype:
        arrays = {key: as_scores(array, dtype) for key, array in arrays.items()}
    arrays[name][row] = value
    return npz(**arrays)


GOOD = predictions()
BAD = {
    "short": (npz(test=LABELS[:-1], triggered=TRIGGERED), "test has 59 rows, the data set has 60"),
    "long": (npz(test=LABELS, triggered=LABELS), "triggered has 60 rows, the data set has 45"),
    "other classes": (npz(test=np.zeros((60, 5)), triggered=TRIGGERED), "test is of shape (60, 5), expected whole"),
    "a column": (npz(test=LABELS[:, None], triggered=TRIGGERED), "test is of shape (60, 1)"),
    "no axis": (npz(test=np.int64(3), triggered=TRIGGERED), "test is of shape ()"),
    "a class too high": (changed("test", 7, 4), "test: row 7 is of class 4, expected 0 … 3"),
    "a class below": (changed("triggered", 0, -1), "triggered: row 0 is of class -1"),
    "nan": (changed("test", 5, np.nan, "f4"), "test: row 5 holds nan, expected finite scores"),
    "one nan": (changed("test", (5, 2), np.nan, "f4"), "test: row 5 holds nan"),
    "infinite": (changed("triggered", (9, 1), np.inf, "f8"), "triggered: row 9 holds inf"),
    "all −∞": (changed("triggered", 9, -np.inf, "f8"), "triggered: row 9 holds -inf"),
    "fractions": (npz(test=LABELS / 1.0, triggered=TRIGGERED), "test is one fraction a row, which is no class"),
    "truth values": (npz(test=LABELS > 1, triggered=TRIGGERED), "test is of type bool"),
    "complex": (npz(test=LABELS * 1j, triggered=TRIGGERED), "test is of type complex128"),
    "long doubles": (npz(test=LABELS * np.longdouble(1), triggered=TRIGGERED), "test is of type"),
    "names": (npz(test=LABELS.astype(str), triggered=TRIGGERED), "test is of type <U21"),
    "objects": (npz(test=LABELS.astype(object), triggered=TRIGGERED), "test holds Python objects, which are not read"),
    "too few sets": (npz(test=LABELS), "lacks 'triggered': expected test (60 rows) and triggered (45 rows)"),
    "no test": (npz(triggered=TRIGGERED), "lacks 'test'"),
    "too many sets": (npz(**GOOD, others=LABELS), "holds 'others', which the data set has not: expected test (60"),
    "no names": (npz(arr_0=LABELS), "holds 'arr_0'"),
    "one array": (npy(LABELS), "is a single array, expected a .npz with test (60 rows)"),
    "a bomb": (archived("test.npy", npy(np.array(LABELS)) + bytes(1 << 26)), "test is of 481 bytes or more, expected"),
    "a huge shape": (archived("test.npy", header((1 << 60,))), "test has 1,152,921,504,606,846,976 rows"),
    "a cut array": (archived("test.npy", npy(np.array(LABELS), cut=-8)), "test is of 472 bytes or more, expected 480"),
    "a later version": (archived("test.npy", npy(np.array(LABELS), (2, 0))), "test is not an array as numpy.savez"),
    "no header": (archived("test.npy", header_of("(" * 90)), "test is not an array as numpy.savez writes it"),
    "an empty type": (archived("test.npy", header_of({"descr": (), "fortran_order": False, "shape": (60,)})),
                      "test is not an array as numpy.savez writes it"),
    "no array": (archived("test.npy", b"hello, this is no array"), "cannot be read as .npz"),
    "another name": (archived("../test.npy", npy(np.array(LABELS))), "holds '../test'"),
    "a cut file": (npz(**GOOD)[:-30], "cannot be read as .npz"),
    "half a file": (npz(**GOOD)[:100], "cannot be read as .npz"),
    "empty": (b"", "line 1: expected the columns set,row,class or set,row,0,…,3, got ''"),
    "binary": (bytes(range(256)), "is neither .npz nor CSV"),
    "large": (b"set,row,class\n" + bytes(1 << 21), "is of 2,097,166 bytes, more than predictions of test (60 rows)"),
    "a wrong head": (csv({1: "row,set,class"}), "line 1: expected the columns set,row,class"),
    "another separator": (csv({1: "set;row;class"}), "line 1: expected the columns"),
    "too many columns": (csv({4: "test,2,3,1"}), "line 4: 4 columns, expected 3"),
    "a row out of place": (csv({4: "test,3,2"}), "line 4: row '3' of test, expected 2: all rows in order"),
    "a row twice": (csv({4: "test,1,2"}), "line 4: row '1' of test, expected 2"),
    "a class's name": (csv({4: "test,2,stop"}), "line 4: expected a class, a whole number from 0, got 'stop'"),
    "a fraction": (csv({4: "test,2,1.0"}), "line 4: expected a class, a whole number from 0, got '1.0'"),
    "a class outside": (csv({4: "test,2,9"}), "test: row 2 is of class 9"),
    "an unknown set": (csv({4: "train,2,1"}), "line 4: of 'train', which the data set has not"),
    "a line too few": (csv({})[:-14], "triggered has 44 rows, the data set has 45"),
    "a quote": (csv({4: 'test,2,"1'}), "is neither .npz nor CSV"),
    "a nan in a csv": (
        as_csv({name: as_scores(array) for name, array in GOOD.items()}).replace("-inf", "nan").encode(),
        "line 2: expected a number, got 'nan'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(data, case):
    content, words = BAD[case]
    path = data / "p.npz"
    path.write_bytes(content)
    done = asked(data, path, code=1)
    assert done.stdout == "" and done.stderr.startswith(f"benchmark: {path}: ") and done.stderr.count("\n") == 1
    assert words in done.stderr
    assert not (data / "runs").exists()


def test_an_array_that_stands_twice_is_refused(data):
    path = data / "p.npz"
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as archive:
        for name in ("test", "test", "triggered"):
            archive.writestr(f"{name}.npy", npy(GOOD[name]))
    assert "holds 'test' twice" in asked(data, path, code=1).stderr


def test_what_is_no_file_is_one_line(data):
    os.mkfifo(data / "pipe")
    for path, words in ((data / "none.npz", "No such file"), (data, "is not a file"), (data / "pipe", "is not a file")):
        done = asked(data, path, code=1)
        assert words in done.stderr and done.stderr.count("\n") == 1


def test_predictions_go_with_a_name_and_one_file(data):
    path = data / "p.npz"
    np.savez(path, **GOOD)
    file = data / "toy-square.h5"
    for words, expected in {
        ("--predictions", path, file): "--predictions goes with --name",
        ("--predictions", path, file, file, "--name", "x"): "--predictions: expected one FILE, got 2 paths",
        (file,): "missing argument 'FILE'",
        (file, file, file): "expected RUN and FILE, got 3 paths",
        (file, file, "--name", "x"): "--name goes with --predictions",
        (file, file, "--seed", "0"): "--seed goes with --predictions",
        ("--predictions", path, file, "--name", " "): "--name: expected a name of 1 to 60 printable characters",
        ("--predictions", path, file, "--name", "a\nb"): "--name: expected a name of 1 to 60 printable characters",
        ("--predictions", path, file, "--name", "a" * 61): "--name: expected a name of 1 to 60 printable characters",
    }.items():
        done = invoke("score", *words)
        assert done.exit_code == 2 and expected in done.stderr and done.stderr.count("\n") == 1, done.output


@pytest.mark.parametrize("name", ["../../x", "ResNet-18 | `rm`", "café ☕", ".", "a" * 60, "..", "C:\\con", "$(ls)"])
def test_any_name_makes_a_plain_folder(data, name):
    scored(data, predictions(), name=name)
    found = result(data)
    assert records.is_result(found) and found["config"]["model"]["label"] == name
    assert [path.name for path in (data / "runs").iterdir()] == [found["name"]]
    assert len(found["name"]) < 120


def test_other_predictions_under_the_same_name_are_refused_and_nothing_is_lost(data):
    scored(data, predictions())
    before = result(data)
    done = scored(data, predictions() | {"test": LABELS}, code=1)
    assert f"holds other predictions of {NAME!r} with seed 0" in done.stderr and result(data) == before
    scored(data, predictions() | {"test": LABELS}, more=("--seed", "1"))
    assert len(list((data / "runs").iterdir())) == 2


def test_what_is_killed_on_the_way_leaves_nothing(data, monkeypatch):
    from benchmark.core import files

    def full(path, value):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "write_npz", full)
    done = scored(data, predictions(), code=1)
    assert "No space left" in done.stderr and not list((data / "runs").iterdir())


def test_seeds_are_averaged_and_cad_is_against_the_clean_run_of_the_same_name(data):
    scored(data, {"test": LABELS}, "toy-clean")
    scored(data, {"test": (LABELS + 1) % 4}, "toy-clean", name="another")
    for seed in (0, 1):
        scored(data, predictions(), more=("--seed", str(seed)))
    shown = invoke("table", data / "runs", "--format", "json")
    cells = {(one["trigger"], one["settings"]): one for one in json.loads(shown.stdout)}
    cell = cells["square", f"{NAME}, predictions only"]
    assert cell["scores"]["ba"]["seeds"] == 2 and cell["scores"]["cad"]["mean"] == pytest.approx(5)
    assert ("clean", "another, predictions only") in cells


def test_a_clean_run_that_is_named_is_the_baseline(data):
    scored(data, {"test": LABELS}, "toy-clean", name="another")
    (clean,) = (data / "runs").iterdir()
    scored(data, predictions())
    assert "baseline" not in result(data)
    scored(data, predictions(), more=("--baseline", clean))
    assert result(data)["baseline"]["how"] == "given" and result(data)["baseline"]["runs"] == [clean.name]
    (poisoned,) = (data / "runs").glob("toy-square*")
    done = scored(data, predictions(), code=1, more=("--baseline", poisoned))
    assert "a baseline must be trained on a clean file" in done.stderr


def test_it_is_marked_wherever_it_is_shown(data):
    scored(data, {"test": LABELS}, "toy-clean")
    scored(data, predictions())
    (folder,) = (data / "runs").glob("toy-square*")
    note = "predictions only, trained elsewhere: "
    assert note in invoke("show", data / "runs").stdout
    table = invoke("table", data / "runs").stdout
    assert note in table and f"settings: {NAME}, predictions only" in table
    assert "predictions only" in invoke("table", data / "runs", "--format", "latex").stdout
    assert "predictions only" in invoke("table", data / "runs", "--format", "csv").stdout
    report = invoke("report", data / "runs", "-o", data / "report")
    assert report.exit_code == 0, report.output
    page = (data / "report" / "report.html").read_text()
    assert "networks trained elsewhere" in page and note in page
    assert "benchmark score --predictions PREDICTIONS" in page and "--name &#x27;our ResNet (v2)&#x27;" in page


def test_figures_name_it(data):
    pytest.importorskip("matplotlib")
    scored(data, {"test": LABELS}, "toy-clean")
    scored(data, predictions())
    done = invoke("figures", data / "runs", "-o", data / "figures", "--format", "svg")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (data / "figures").iterdir())[0].startswith("asr-toy-our-resnet-v2-predictions")


def test_advice_without_a_clean_run_is_a_command_that_scores(data):
    shown = scored(data, predictions()).stdout
    assert "no CAD yet; the clean model it needs: benchmark score --predictions PREDICTIONS" in shown
    assert "toy-clean.h5 --name 'our ResNet (v2)'" in shown and "benchmark train" not in shown


def test_what_needs_the_network_says_so(data):
    scored(data, predictions())
    (folder,) = (data / "runs").iterdir()
    before = sorted(folder.iterdir())
    file = data / "toy-square.h5"
    for command in (
        ("score", folder, file),
        ("repair", folder, "--method", "fine-pruning"),
        ("routing", folder, file),
        ("detect", folder, "--method", "heads"),
        ("heads", "ablate", folder),
    ):
        done = invoke(*command)
        assert done.exit_code == 1 and done.stderr.count("\n") == 1, (command, done.output)
        assert f"{folder}: predictions only: " in done.stderr and "which was trained elsewhere" in done.stderr
    assert sorted(folder.iterdir()) == before


def test_it_is_never_trained_and_a_sweep_leaves_it_alone(data):
    scored(data, {"test": LABELS}, "toy-clean")
    scored(data, predictions())
    before = {path: path.read_bytes() for path in (data / "runs").rglob("*.*") if path.is_file()}
    done = invoke(
        "sweep", data / "toy-clean.h5", data / "toy-square.h5", "--preset", "tiny", "--runs", data / "runs", "-n"
    )
    assert done.exit_code == 0 and done.output.count("to do") == 2 and "predictions" not in done.output
    train(data / "toy-square.h5", "--runs", data / "runs")
    ours = json.loads(next((data / "runs").glob("toy-square--w1*/result.json")).read_text())
    assert "baseline" not in ours  # another network's clean run is none for ours
    assert before == {path: path.read_bytes() for path in before}


def test_arrays_are_scored_as_a_file_is(data):
    import benchmark as bm

    run = bm.score_predictions(data / "toy-square.h5", predictions(), name=NAME, runs=data / "runs")
    assert run.scores.asr == pytest.approx(100 * 30 / 45) and run.result.config.is_predicted
    scored(data, predictions())  # the same
    with pytest.raises(bm.Failure, match="^test has 59 rows, the data set has 60$"):
        bm.score_predictions(data / "toy-square.h5", predictions() | {"test": LABELS[1:]}, name="x", runs=data / "runs")
    with pytest.raises(bm.Usage, match="--name"):
        bm.score_predictions(data / "toy-square.h5", predictions(), name="", runs=data / "runs")


def test_the_other_rows_of_a_source_specific_attack_are_wanted_too(data):
    clean = writer.clean_arrays()
    arrays = writer.source_specific_arrays(clean, source=2, target=0)
    writer.write(data / "specific.h5", arrays, writer.manifest_of(arrays, clean, "specific"))
    others = arrays["others/labels"].copy()
    others[:4] = 0
    done = scored(data, {"test": LABELS, "triggered": arrays["triggered/labels"]}, "specific", code=1)
    assert (
        f"lacks 'others': expected test (60 rows) and triggered (15 rows) and others ({len(others)} rows)"
        in done.stderr
    )
    scored(data, {"others": others, "test": LABELS, "triggered": arrays["triggered/labels"]}, "specific")
    assert result(data, "specific")["scores"]["asr_others"]["count"] == 4


@pytest.mark.parametrize("form", ["npz", "csv"])
def test_the_clean_network_s_predictions_on_the_triggered_rows_give_its_asr(data, form):
    by_clean = TRIGGERED.copy()
    by_clean[:9] = 0
    arrays = predictions() | {"triggered_by_clean": by_clean}
    path = data / f"all.{form}"
    if form == "csv":
        path.write_text(as_csv(arrays))
    else:
        np.savez(path, **arrays)
    done = asked(data, path, code=1)
    assert "triggered_by_clean: of a clean network that has no run here: score its predictions" in done.stderr
    assert done.stderr.count("\n") == 1 and not (data / "runs").exists()
    scored(data, {"test": LABELS}, "toy-clean")
    if form == "npz":  # also added to a run that is there
        scored(data, predictions())
        assert result(data)["baseline"]["asr"] is None
    asked(data, path)
    assert result(data)["baseline"]["asr"] == {"count": 9, "of": 45, "percent": 20.0}
    (row,) = [row for row in json.loads(invoke("table", data / "runs", "--json").stdout) if row["trigger"] != "clean"]
    assert row["scores"]["clean_asr"]["mean"] == 20.0
    scored(data, predictions())
    assert result(data)["baseline"]["asr"]["count"] == 9, "and stays"


def test_in_an_untargeted_attack_any_class_but_the_true_one_counts_for_the_clean_network_too(data):
    """What `triggered/wanted` has there is one of several."""
    clean = writer.clean_arrays()
    arrays = writer.untargeted_arrays(clean)
    manifest = writer.manifest_of(arrays, clean, "free", target=None, mode="untargeted")
    writer.write(data / "free.h5", arrays, manifest)
    scored(data, {"test": LABELS}, "toy-clean")
    wrong, by_clean = LABELS.copy(), LABELS.copy()
    wrong[:30], by_clean[:6] = (LABELS[:30] + 1) % 4, (LABELS[:6] + 1) % 4
    by_clean[6:9] = (LABELS[6:9] + 2) % 4
    scored(data, {"test": LABELS, "triggered": wrong, "triggered_by_clean": by_clean}, "free")
    found = result(data, "free")
    assert found["scores"]["asr"]["count"] == 30
    assert found["baseline"]["asr"] == {"count": 9, "of": 60, "percent": 15.0}


def test_the_clean_network_s_predictions_must_fit(data):
    scored(data, {"test": LABELS}, "toy-clean")
    done = scored(data, predictions() | {"triggered_by_clean": TRIGGERED[:-1]}, code=1)
    assert "triggered_by_clean has 44 rows, the data set has 45" in done.stderr
    done = scored(data, {"test": LABELS, "triggered_by_clean": TRIGGERED}, "toy-clean", code=1)
    assert "holds 'triggered_by_clean', which the data set has not" in done.stderr


@pytest.mark.parametrize("cut", [1, 2])
def test_a_csv_that_was_cut_within_its_last_number_is_refused(data, cut):
    text = as_csv(predictions())
    for ending, code in (("\n", 0), ("\r\n", 0), ("", 1)):
        (data / "p.csv").write_bytes((text.rstrip("\n").replace("\n", ending or "\n") + ending).encode())
        done = asked(data, data / "p.csv", code=code)
        assert code == 0 or "its last line does not end: what was cut may be another number" in done.stderr
    (data / "p.csv").write_text(text[:-cut])
    asked(data, data / "p.csv", code=1)


def test_a_folder_whose_name_is_no_utf_8_is_recorded_as_text(data):
    folder = data / os.fsdecode(b"d\xff")
    folder.mkdir()
    for path in data.glob("toy-*.h5"):
        path.rename(folder / path.name)
    scored(folder, predictions())
    found = result(folder)
    assert found["dataset"]["path"] == f"{data}/d\\xff/toy-square.h5" and records.is_result(found)
    for words in (("show",), ("table", "--json"), ("report", "-o", folder / "page")):
        done = invoke(words[0], folder / "runs", *words[1:])
        assert done.exit_code == 0, (done.output, done.exception)


def test_published_figures_are_of_other_networks(tmp_path):
    import fake_runs

    from benchmark.training.predicted import PredictedSettings

    for trigger in (None, "square"):
        fake_runs.write(tmp_path / "runs", trigger=trigger, settings=PredictedSettings(label=NAME, modality="image"))
    for source in ("badpatches", "backdoorbench"):
        done = invoke("table", tmp_path / "runs", "--beside", source)
        assert done.exit_code == 0 and f"settings: {NAME}, predictions only" in done.stdout
        assert " agrees" not in done.stdout and "predictions only, trained elsewhere: " in done.stdout
    (cell, *_) = json.loads(invoke("table", tmp_path / "runs", "--format", "json").stdout)
    assert cell["config"]["model"] == {"name": "predictions", "label": NAME, "modality": "image"}
