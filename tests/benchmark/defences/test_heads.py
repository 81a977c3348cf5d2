"""The detector and the repair `heads`, and the ablation, on a tiny encoder that was trained on a toy set of texts."""

import dataclasses
import itertools
import json
import os
import re
import shutil

import click.testing
import numpy as np
import pytest
import text_writer
import writer

from benchmark.analysis.heads import controls, detect
from benchmark.analysis.heads.evaluate import Scorer
from benchmark.cli import main
from benchmark.core import random_streams
from benchmark.format import dataset
from benchmark.nn import model_files
from benchmark.runs import hints
from benchmark.runs.context import open_run
from benchmark.runs.result import RunResult
from benchmark.runs.run import Run

TINY = ("--network", "encoder", "--encoder", "tiny", "--hold-out", "80", "--epochs", "4", "--batch-size", "32")
FAST = {"labelled_rows": 64, "epochs": 2, "full_epochs": 1, "heads": 2}
HELD_OUT, TRAIN, TEST = 80, 320, 60
ON_THE_WAY = ("…", "clean texts", "per second", "neutral score", "the network's 8")


def invoke(*arguments):
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in arguments])


def done(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result


def method(command, *folders, as_json=False, **settings):
    """The words of `detect` or `repair` with the method heads, all held-out rows being clean ones."""
    words = [command, *folders, "--method", "heads", "--clean-rows", HELD_OUT]
    for name, value in settings.items():
        words += ["--option", f"heads.{name}={value}"]
    return [str(word) for word in words] + (["--json"] if as_json else [])


def found(command, *folders, **settings):
    """The results, each with its study's sections among its own."""
    results = json.loads(done(*method(command, *folders, as_json=True, **settings)).stdout)
    return [result | {"driver": result} | result["study"] for result in results if result["defence"] == "heads"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A clean and a poisoned file of texts."""
    return text_writer.toy(tmp_path_factory.mktemp("texts"), train=TRAIN, test=TEST)


@pytest.fixture(scope="module")
def runs(toy, tmp_path_factory):
    """The folder of the runs on both."""
    folder = tmp_path_factory.mktemp("runs")
    for file in toy:
        done("train", *TINY, file, "--runs", folder, "--quiet")
    return folder


@pytest.fixture(scope="module")
def poisoned(runs):
    (folder,) = runs.glob("toy-word-*")
    return folder


@pytest.fixture(scope="module")
def clean(runs):
    (folder,) = runs.glob("toy-clean-*")
    return folder


@pytest.fixture(scope="module")
def detected(poisoned):
    (result,) = found("detect", poisoned, heads=2, flag="0.1")
    return result


def test_detect_ranks_every_row_that_is_not_held_out_and_not_too_short(detected, poisoned, toy):
    contents = dataset.load(toy[1])
    (folder,) = poisoned.glob("detect-heads-*")
    with np.load(folder / "scores.npz", allow_pickle=False) as scores:
        rows, ranked = scores["rows"], {name: scores[name] for name in scores.files if "_rows" not in name}
        others = {name: (scores[f"{name}_rows"], scores[f"{name}_mahalanobis"]) for name in ("test", "triggered")}
    words = np.array([len(text.split()) for text in contents.train.inputs])
    kept = np.setdiff1d(np.arange(TRAIN), random_streams.held_out(TRAIN, HELD_OUT))
    assert rows.tolist() == kept[words[kept] >= 5].tolist()
    assert all(np.isfinite(score).all() for score in ranked.values())
    assert all(
        len(score) == len(rows) for name, score in ranked.items() if not name.startswith(("test_", "triggered_"))
    )
    for name, (own, distances) in others.items():
        texts = getattr(contents, name).inputs
        assert own.tolist() == [row for row, text in enumerate(texts) if len(text.split()) >= 5]
        assert len(distances) == len(own)
    assert detected["rows"]["suspect"] == len(rows) and detected["rows"]["too_short"] == len(kept) - len(rows)
    assert detected["rows"]["poisoned"] == np.isin(rows, contents.truth_rows).sum()
    flagged = np.argsort(-ranked["mahalanobis"], kind="stable")[: len(rows) // 10]
    assert detected["flagged"]["mahalanobis"] == {
        "count": len(rows) // 10,
        "poisoned": int(np.isin(rows[flagged], contents.truth_rows).sum()),
    }


def test_every_inspected_row_has_a_score_and_those_not_ranked_a_neutral_one(detected, poisoned):
    (folder,) = poisoned.glob("detect-heads-*")
    rows, scores = np.loadtxt(folder / "scores.csv", delimiter=",", skiprows=1, unpack=True)
    with np.load(folder / "scores.npz", allow_pickle=False) as ranked:
        there = np.isin(rows, ranked["rows"])
        assert np.allclose(scores[there], ranked["mahalanobis"], rtol=1e-6)
    neutral = detected["findings"]["neutral_score"]
    assert np.allclose(scores[~there], neutral, atol=1e-6) and scores.min() < neutral < np.quantile(scores, 0.95)
    assert np.count_nonzero(~there) == detected["findings"]["too_short"] == detected["rows"]["too_short"] > 0
    assert detected["driver"]["rows"]["flagged"] == np.count_nonzero(there) // 10


def test_detect_says_what_its_scores_are_worth(detected, poisoned, toy):
    (folder,) = poisoned.glob("detect-heads-*")
    with np.load(folder / "scores.npz", allow_pickle=False) as scores:
        truth = np.isin(scores["rows"], dataset.load(toy[1]).truth_rows)
        distance = scores["mahalanobis"].astype(float)
    pairs = distance[truth][:, None] - distance[~truth][None]
    assert detected["suspect"]["mahalanobis"]["auroc"] == pytest.approx((pairs > 0).mean(), abs=1e-4)
    assert np.array(detected["suspect_heads"]["auroc"]).shape == tuple(detected["shape"]) == (2, 4)
    assert len(detected["contaminated"]) == len(detected["findings"]["contaminated"]) == 2


def test_the_controls_run_on_the_model_and_its_clean_twin(detected, clean):
    assert detected["clean_run"] == clean.name
    for of, which in itertools.product(controls.MADE_OF, ("poisoned", "clean")):
        found = detected[of][which]
        assert list(found) == list(controls.NAMES)
        for figures in found.values():
            assert 0 <= figures["mahalanobis"]["auroc"] <= 1
            low, high = figures["mahalanobis"]["intervals"]["auroc"]
            assert low <= high


def test_controls_are_made_of_clean_suspect_texts_too(detected):
    """The trigger's are poisoned rows as they are; on both sides no more than so many."""
    for which in ("poisoned", "clean"):
        found = detected["controls_suspect"][which]
        poisoned, clean = detected["rows"]["poisoned"], detected["rows"]["suspect"] - detected["rows"]["poisoned"]
        assert found["trigger"]["rows"] == min(poisoned, detect.MOST_OF_SUSPECT)
        assert found["shuffled"]["rows"] == found["shuffled"]["against"] == min(clean, detect.MOST_OF_SUSPECT)
        assert found["trigger"]["against"] == found["shuffled"]["against"]


def test_suspect_texts_of_the_controls_are_clean_by_the_truth(poisoned, monkeypatch):
    opened = open_run(Run.at(poisoned))
    rows = opened.suspect
    truth = opened.poisoned(rows)

    def sets(rows, truth):
        return detect.control_sets(opened, detect.suspect_texts(opened, detect.Suspects(rows, None, truth, 0)))

    monkeypatch.setattr(detect, "MOST_OF_SUSPECT", 7)
    found = sets(rows, truth)["controls_suspect"]
    texts = opened.contents.train.inputs
    assert {*found, "pieces"} == {*controls.NAMES, "clean"} and {len(one) for one in found.values()} == {7}
    assert set(found["clean"]) <= set(texts[rows[~truth]]) and set(found["trigger"]) <= set(texts[rows[truth]])
    assert sets(rows, None) == sets(rows[truth], truth[truth]) == sets(rows[~truth], truth[~truth]) == {}


def test_detect_once_and_again_as_a_table_and_as_pictures(detected, poisoned):
    (folder,) = poisoned.glob("detect-heads-*")
    before = (folder / "result.json").read_bytes()
    again = done(*method("detect", poisoned, heads=2, flag="0.10"))
    assert not again.stderr and (folder / "result.json").read_bytes() == before
    direction = "falls" if "falls" in again.stdout else "rises"
    for words in ("suspect file", "random word pieces", "clean counterpart", direction):
        assert words in again.stdout
    assert {path.stem for path in folder.glob("*.png")} == {"similarity", "auroc", "distributions", "attention"}


OTHERS = ('{"defence": "heads-detect", "settings": {}}', "a study of another shape")
SLOW = [pytest.param(text, marks=pytest.mark.slow) for text in OTHERS]


@pytest.mark.parametrize("text", ["{}", *SLOW])
def test_what_an_earlier_detect_left_and_cannot_be_shown_is_made_anew(detected, poisoned, text):
    """An edited result of its own configuration was taken as it was, and ended in a traceback."""
    results = poisoned.glob("detect-heads-*/result.json")
    (path,) = (one for one in results if json.loads(one.read_text())["settings"] == detected["driver"]["settings"])
    before = path.read_text()
    if text.startswith("a study"):
        text = json.dumps(json.loads(before) | {"study": {"shape": [1, 2]}})
    path.write_text(text)
    again = done(*method("detect", poisoned, heads=2, flag="0.1"), "--quiet")
    assert re.search(f"{path}: not a result .*: kept as result.json.damaged, and made again", again.stderr)
    assert f"\n{poisoned.name}: " in again.stdout
    assert path.with_name("result.json.damaged").read_text() == text
    path.with_name("result.json.damaged").unlink()
    path.write_text(before)


def test_a_clean_run_has_no_truth_and_no_twin(clean):
    asked = {"rows": 100, "metric": "pearson", "map": "output"}
    (result,) = found("detect", clean, **asked)
    assert result["suspect"] is None and result["clean_run"] is None and "trigger" not in result["controls"]["poisoned"]
    assert not result["rows"]["poisoned"] and result["rows"]["suspect"] + result["rows"]["too_short"] == 100
    assert result["findings"]["not_drawn"] == TRAIN - HELD_OUT - 100
    assert "rare word" in result["controls"]["poisoned"]
    shown = done(*method("detect", clean, **asked)).stdout
    assert "Mahalanobis, this model" in shown and "TPR at" not in shown


def test_without_a_clean_twin_it_says_how_to_get_one(detected, clean):
    from benchmark.analysis.heads import results, tables

    alone = results.of(detected | {"clean_run": None})
    assert not tables.without_twin(results.of(detected), clean.parent)
    (said,) = tables.without_twin(alone, clean.parent)
    advised = hints.clean_run(RunResult(clean_result(clean)), clean.parent)
    assert said.startswith("no clean counterpart: ") and said.endswith(advised)
    without = dataclasses.replace(alone, raw=detected | {"dataset": clean_result(clean)["dataset"]})
    assert not tables.without_twin(without, clean.parent)


def clean_result(clean):
    return json.loads((clean / "result.json").read_text())


@pytest.mark.slow
def test_several_runs_are_summed_up(poisoned, toy, runs, tmp_path):
    done("train", *TINY, toy[1], "--runs", runs, "--quiet", "--seed", "1")
    (other,) = [folder for folder in runs.glob("toy-word-*") if folder != poisoned]
    shown = done(*method("detect", poisoned, other, heads=2, flag="0.1")).stdout
    alone, summed = shown.split("over 2 runs")
    first, second = alone.split(f"\n{other.name}: ")  # the headline of the second one's heads
    for part in (first, second, summed):
        assert "\n\ntexts of the suspect file" in part and "\n\ntest texts" in part and "clean counterpart" in part
    assert " of 2 " in summed and " of 2 " not in alone


@pytest.fixture(scope="module")
def aligned(poisoned):
    (result,) = found("repair", poisoned, **FAST, flag="0.1", keep_models="yes")
    return result


def test_align_stands_beside_its_controls(aligned, poisoned):
    assert [step["stage"] for step in aligned["steps"]] == [
        "untouched", "heads switched off", "aligned", "full fine-tuning", "heads alone, no alignment",
        "random heads, aligned",
    ]  # fmt: skip
    (folder,) = poisoned.glob("repair-heads-*")
    untouched = aligned["steps"][0]["scores"]
    result = json.loads((poisoned / "result.json").read_text())
    assert untouched["ba"] == result["scores"]["ba"] and untouched["asr"] == result["scores"]["asr"]
    before, last = aligned["driver"]["steps"]
    assert (last["stage"], last["label"]) == ("aligned", "") and last["scores"]["ba"] == aligned["steps"][2]["scores"][
        "ba"
    ]
    assert before["scores"] == result["scores"] and last["history"][-1] == last["scores"]
    for step in aligned["steps"][2:]:
        assert len(step["history"]) == (1 if step["stage"].startswith("full") else 2)
        assert step["history"][-1]["asr"] == step["scores"]["asr"]["percent"]
        assert (folder / step["model"]).is_file()
    assert {path.stem for path in folder.glob("*.png")} == {"alignment", "chosen", "attention"}
    assert not {tuple(head) for head in aligned["random"]} & {tuple(head) for head in aligned["contaminated"]}


def test_in_a_file_of_align_only_its_heads_have_moved(aligned, poisoned):
    (folder,) = poisoned.glob("repair-heads-*")
    before = model_files.load(poisoned)
    for step in aligned["steps"][2:]:
        after = model_files.load(folder / step["model"])
        moved = set()
        for old, new in zip(before.variables, after.variables, strict=True):
            changed = np.asarray(old) != np.asarray(new)
            if changed.any():
                moved.add(old.path.split("/")[-1])
        attention = {"query", "key", "value", "query_bias", "key_bias", "value_bias", "output"}
        if step["heads"] is None:
            assert moved > attention
        else:
            assert moved and moved <= attention
            heads = {tuple(head) for head in step["heads"]}
            for layer in range(2):
                old, new = (np.asarray(model.blocks[layer].attention.output_kernel) for model in (before, after))
                for head in range(4):
                    assert np.array_equal(old[head], new[head]) == ((layer, head) not in heads)


def test_at_most_half_of_the_heads_are_contaminated_and_it_is_said(poisoned):
    """The encoder has eight in all, as many as `--heads` is without being given."""
    asked = method("detect", poisoned, flag="0.1", rows=200)
    result = invoke(*asked)
    words = "4 heads are called contaminated, not 8: half of the network's 8"
    assert result.exit_code == 0 and words in result.stderr and words in " ".join(result.stdout.split())
    again = invoke(*asked)
    assert words in " ".join(again.stdout.split()) and not again.stderr, "of a result that is there already, too"


@pytest.mark.slow
def test_then_there_are_as_many_random_heads(poisoned):
    (result,) = found("repair", poisoned, **FAST | {"heads": 8})
    assert len(result["contaminated"]) == len(result["random"]) == 4
    assert not {tuple(pair) for pair in result["contaminated"]} & {tuple(pair) for pair in result["random"]}
    assert any(step["stage"].startswith("random heads") for step in result["steps"])


def test_one_head_a_layer_has_no_other_to_be_alike_to(tmp_path):
    from types import SimpleNamespace

    from benchmark.analysis.heads.detector import DetectorSettings
    from benchmark.analysis.heads.model_similarity import ModelSimilarity
    from benchmark.core.errors import Failure

    network = SimpleNamespace(depth=2, heads=1)
    opened = SimpleNamespace(network=lambda: network, job=SimpleNamespace(folder=tmp_path))
    with pytest.raises(Failure, match="one head a layer"):
        ModelSimilarity(opened, DetectorSettings())


@pytest.mark.slow
def test_of_the_flagged_rows_those_of_another_class_are_left_out(aligned, poisoned, toy):
    (every,) = found("repair", poisoned, **FAST, flag="0.1", one_target="no")
    contents = dataset.load(toy[1])
    words = np.array([len(text.split()) for text in contents.train.inputs])
    kept = np.setdiff1d(np.arange(TRAIN), random_streams.held_out(TRAIN, HELD_OUT))
    assert every["rows"]["flagged"] == (words[kept] >= 5).sum() // 10
    assert aligned["rows"]["flagged"] < every["rows"]["flagged"]
    assert aligned["rows"]["poisoned"] == every["rows"]["poisoned"]  # the backdoor works: none of them is left out


def test_align_learns_from_held_out_rows_alone_and_scores_on_none(aligned):
    assert aligned["rows"]["clean"] == 64
    for step in aligned["steps"]:
        assert step["scores"]["ba"]["of"] == TEST and step["scores"]["asr"]["of"] == TEST // 2


@pytest.mark.slow
@pytest.mark.parametrize("flat", ["rows", "mean"])
def test_align_with_a_flat_prediction_and_every_head(poisoned, flat):
    asked = FAST | {"unlearn": "yes", "flat": flat, "flag": "0.1", "threshold": "1e-6"}
    shown = done(*method("repair", poisoned, **asked)).stdout
    lines = [line.split("  ")[0] for line in shown.splitlines()]
    assert lines[lines.index("untouched") :] == [
        "untouched", "heads switched off", "aligned, flat prediction", "full fine-tuning", "heads alone, no alignment",
        "full fine-tuning, flat prediction", "heads alone, flat prediction", "aligned",
        "aligned, flat prediction, no lean",
    ]  # fmt: skip
    assert "most important on clean rows:" in shown
    assert "random heads: none" in shown and "random heads: no head beside the contaminated ones" in shown
    assert "target class" in shown
    kept = {len(list(folder.glob("*.keras"))) for folder in poisoned.glob("repair-heads-*")}
    assert kept <= {1, 4} and 1 in kept  # four of `aligned`, which keeps all of them


@pytest.mark.slow
def test_align_takes_from_earlier_results_what_is_the_same(poisoned):
    asked = FAST | {"flag": "0.2"}
    (first,) = (one["driver"] for one in found("repair", poisoned, **asked))
    (path,) = [
        path for path in poisoned.glob("repair-heads-*/result.json")
        if json.loads(path.read_text())["settings"] == first["settings"]
    ]  # fmt: skip
    for step in first["study"]["steps"]:
        for entry in step.get("history", []):
            entry["loss"] = 77.0
    path.write_text(json.dumps(first))
    (other,) = found("repair", poisoned, **asked, strength=3)
    taken = [step["stage"] for step in other["steps"] if "history" in step and step["history"][0]["loss"] == 77.0]
    assert taken == ["full fine-tuning", "heads alone, no alignment"]
    (kept,) = found("repair", poisoned, **asked, strength=3, keep_models="yes")
    assert all(entry["loss"] != 77.0 for step in kept["steps"] for entry in step.get("history", []))
    path.write_text(json.dumps(first | {"settings": 3}))
    (more,) = found("repair", poisoned, **asked, strength=4)  # takes from the one with 3
    assert [step["scores"] for step in more["steps"][3:5]] == [step["scores"] for step in other["steps"][3:5]]
    path.unlink()


def test_ablate_switches_each_off(poisoned):
    (result,) = json.loads(done("heads", "ablate", poisoned, "--head", "1,2", "--head", "0,0", "--json").stdout)
    off, before = np.array(result["off"]["asr"]), result["before"]["asr"]["percent"]
    assert off.shape == (2, 4) and result["together"]["ba"]["of"] == TEST
    model = model_files.load(poisoned)
    assert before == json.loads((poisoned / "result.json").read_text())["scores"]["asr"]["percent"]
    model.blocks[1].attention.output_kernel.assign(
        np.asarray(model.blocks[1].attention.output_kernel) * np.array([1, 1, 1, 0], "f4")[:, None, None]
    )

    assert Scorer(open_run(Run.at(poisoned)))(model).asr.percent == off[1, 3]
    (folder,) = poisoned.glob("heads-ablate-*")
    assert [path.name for path in folder.glob("*.png")] == ["ablation.png"]
    assert "(1, 2)" in done("heads", "ablate", poisoned, "--head", "1,2", "--head", "0,0").stdout


def test_another_encoder_than_the_one_that_was_trained_is_one_line(poisoned, tmp_path):
    other = shutil.copytree(poisoned, tmp_path / "runs" / poisoned.name)
    for path in other.glob("heads-ablate-*"):
        shutil.rmtree(path)
    model = model_files.load(other)
    for weight in model.logits.weights:
        weight.assign(np.roll(np.asarray(weight), 1, axis=-1))
    model_files.save(model, other / "model.keras")
    said = invoke("heads", "ablate", other, "-q")
    assert said.exit_code == 1 and said.stderr.count("\n") == 1, said.output
    assert "model.keras: is not the network that was trained here: of " in said.stderr
    assert not list(other.glob("heads-ablate-*"))


def test_the_report_has_it(aligned, detected, runs, tmp_path):
    done("report", runs, "-o", tmp_path)
    page = (tmp_path / "report.html").read_text()
    words = (
        "Attention heads",
        "random word pieces",
        "Settings: metric cosine, ",
        "heads switched off",
        'alt="distributions"',
    )
    assert all(one in page for one in words)


def test_bad_days(poisoned, toy, runs, tmp_path):
    def failed(code, words, *arguments):
        result = invoke(*arguments)
        lines = [line for line in result.stderr.splitlines() if line != f"{poisoned.name}:"]
        said = [line for line in lines if not line.endswith(ON_THE_WAY)]
        assert result.exit_code == code and words in said[0] and len(said) == 1, result.output

    failed(1, "not a run", *method("detect", tmp_path))
    failed(2, "--option heads.flag", *method("detect", poisoned, flag="1.5"))
    failed(2, "the heads of each 0 … 3", "heads", "ablate", poisoned, "--head", "0,4")
    failed(1, "the network has 8 heads", *method("detect", poisoned, heads=9))
    failed(2, "--head", "heads", "ablate", poisoned, "--head", "x")
    failed(2, "--head", "heads", "ablate", poisoned, "--head", "9" * 5000 + ",0")
    failed(1, "is not the data set", *method("detect", poisoned, metric="pearson"), "--data", toy[0])
    failed(1, "are too few to estimate normal behaviour", *method("detect", poisoned, min_words=40))
    failed(1, "are too few to estimate normal behaviour", "detect", poisoned, "--method", "heads")
    failed(1, "no head's |median z| reaches", *method("repair", poisoned, threshold="1e9"), "--no-twin", "--quiet")
    failed(1, "so there is no second pass", *method("detect", poisoned, threshold="1e9", score="second_pass"))
    assert not list(poisoned.glob("*heads-*/.part-*"))
    images = writer.toy(tmp_path)
    done("train", "--width", "1", "--epochs", "1", "--top-k", "4", images[0], "--runs", tmp_path / "runs", "--quiet")
    (other,) = (tmp_path / "runs").iterdir()
    failed(1, "has no attention heads", *method("detect", other))
    done("train", *TINY, "--hold-out", "0", "--epochs", "1", toy[0], "--runs", tmp_path / "more", "--quiet")
    (without,) = (tmp_path / "more").iterdir()
    failed(1, "--hold-out 100", *method("detect", without))
