"""Files of other attacks than all-to-one: what is read of them, what is scored and shown."""

import json

import numpy as np
import pytest
import writer
from in_process import invoke, refused, train

from benchmark.core import random_streams
from benchmark.format import dataset
from benchmark.training import loop
from benchmark.training.metrics import Share

SOURCE, TARGET = 2, 0


@pytest.fixture(scope="module")
def specific(tmp_path_factory):
    """A source-specific file with cover rows."""
    path = tmp_path_factory.mktemp("specific") / "toy.h5"
    clean = writer.clean_arrays()
    arrays = writer.source_specific_arrays(clean, source=SOURCE, target=TARGET)
    writer.write(path, arrays, writer.manifest_of(arrays, clean, "toy-specific"))
    return path


def test_others_are_read(specific):
    found = dataset.load(specific)
    assert set(found.triggered.labels) == {SOURCE} and set(found.others.labels) == {1, 3}
    assert len(found.others) == 30 and found.target == TARGET and (found.wanted == TARGET).all()
    assert np.array_equal(found.others.inputs, writer.put_trigger(found.test.inputs[found.test.labels % 2 == 1]))


def test_held_out_cover_rows_come_back_clean_too(specific):
    found, clean = dataset.load(specific), writer.clean_arrays()
    for count in (30, 100):
        rows = random_streams.held_out(len(found.train), count)
        held = found.held_out(count)
        assert np.array_equal(held.inputs, clean["train/images"][rows])
        assert np.array_equal(held.labels, clean["train/labels"][rows])
    covers = found.truth_rows[found.train.labels[found.truth_rows] != TARGET]
    assert np.isin(covers, rows).any() and (found.train.inputs[covers][:, :4, :4] == 0).all()


def test_scores_of_given_predictions(specific):
    found = dataset.load(specific)
    predicted = {
        "test": found.test.labels.copy(),
        "triggered": np.full(15, TARGET),
        "others": found.others.labels.copy(),
    }
    predicted["triggered"][:3] = SOURCE
    predicted["others"][:6] = TARGET
    scores = loop.scores(found, predicted)
    assert scores.asr == Share(12, 15)
    assert scores.asr_others == Share(6, 30)
    assert scores.robust_accuracy.count == 3 and scores.ba.percent == 100


def test_of_an_all_to_all_file_every_image_has_its_own_wanted_class(tmp_path):
    clean = writer.clean_arrays()
    arrays = writer.all_to_all_arrays(clean)
    writer.write(tmp_path / "all.h5", arrays, writer.manifest_of(arrays, clean, "toy-all", target=None))
    found = dataset.load(tmp_path / "all.h5")
    assert found.target is None and found.others is None and len(found.triggered) == len(found.test)
    scores = loop.scores(found, {"test": found.test.labels, "triggered": (found.triggered.labels + 1) % 4})
    assert scores.asr.percent == 100 and scores.robust_accuracy.percent == 0 and scores.asr_others is None
    assert all(share.percent == 100 for share in scores.asr_by_class)


def test_trained_scored_and_shown(specific, tmp_path):
    done = train(specific, "--runs", tmp_path, "--quiet", "--epochs", "1")
    assert sum("ASR, non-source" in line for line in done.stdout.splitlines()[:3]) == 1, "the heading of the table"
    (folder,) = tmp_path.glob("toy-specific*")
    result = json.loads((folder / "result.json").read_text())
    assert result["scores"]["asr"]["of"] == 15 and result["scores"]["asr_others"]["of"] == 30
    assert json.loads(invoke("score", folder, specific, "--json").stdout)["scores"] == result["scores"]
    share = result["scores"]["asr_others"]
    line = f"ASR, non-source       {share['percent']:.1f} ({share['count']} of 30)"
    assert line in invoke("score", folder, specific).stdout.splitlines()
    lines = invoke("show", folder).stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if "ASR, non-source" in line)
    head, row = lines[at : at + 2]
    start = head.index("ASR, non-source")
    assert float(row[start : start + len("ASR, non-source")]) == round(share["percent"], 1)


SPOILT = {
    "others/rows is not ascending": ("others/rows", 1, 1),
    "others/rows holds row 60, there are 60": ("others/rows", -1, 60),
    "others/labels are not the labels of their rows in test/": ("others/labels", 0, 3),
    "others/labels holds 4, the classes are 0 … 3": ("others/labels", 0, 4),
}


@pytest.mark.parametrize("line", SPOILT)
def test_others_that_cannot_be(line, tmp_path):
    clean = writer.clean_arrays()
    arrays = writer.source_specific_arrays(clean, SOURCE, TARGET)
    name, row, value = SPOILT[line]
    arrays[name][row] = value
    writer.write(tmp_path / "x.h5", arrays, writer.manifest_of(arrays, clean, "toy"))
    assert line in refused(tmp_path / "x.h5", tmp_path)


@pytest.mark.parametrize("missing", ["images", "labels", "rows"])
def test_a_part_of_others_that_is_missing(missing, tmp_path):
    clean = writer.clean_arrays()
    arrays = writer.source_specific_arrays(clean, SOURCE, TARGET)
    manifest = writer.manifest_of(arrays, clean, "toy")
    del arrays[f"others/{missing}"], manifest["arrays"][f"others/{missing}"]
    writer.write(tmp_path / "x.h5", arrays, writer.sealed(manifest))
    assert f"its manifest names no array others/{missing}" in refused(tmp_path / "x.h5", tmp_path)


def test_others_of_no_rows(tmp_path):
    clean = writer.clean_arrays()
    arrays = writer.source_specific_arrays(clean, SOURCE, TARGET)
    arrays |= {name: array[:0] for name, array in arrays.items() if name.startswith("others/")}
    writer.write(tmp_path / "x.h5", arrays, writer.manifest_of(arrays, clean, "toy"))
    assert "counts.others is 0: expected a whole number above 0" in refused(tmp_path / "x.h5", tmp_path)


@pytest.mark.parametrize(
    ("target", "line"),
    [(None, "its recipe's target is None, under source-specific"), (4, "target is 4"), (True, "target is True")]
    + [(-1, "target is -1"), ("0", "target is '0'")],
)
def test_a_target_that_is_none(target, line, tmp_path):
    clean = writer.clean_arrays()
    arrays = writer.source_specific_arrays(clean, SOURCE, TARGET)
    writer.write(tmp_path / "x.h5", arrays, writer.manifest_of(arrays, clean, "toy", target=target))
    assert line in refused(tmp_path / "x.h5", tmp_path)
