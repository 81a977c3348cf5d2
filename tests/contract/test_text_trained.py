"""Files of texts that poisonkit made: read, trained on and shown by benchmark."""

import json
import os
import shutil

import click.testing
import h5py
import numpy as np
import pytest
from running import TEXT_RECIPES

pytest.importorskip("keras")
from benchmark.cli import main
from benchmark.format import dataset
from benchmark.nn import tokenizers
from benchmark.runs import records, train
from benchmark.runs.run import Run
from benchmark.training import truncation  # noqa: E402
from benchmark.training.callbacks import Epoch  # noqa: E402
from benchmark.training.settings import ENCODERS  # noqa: E402

SETTINGS = ("--encoder", "tiny", "--epochs", "1", "--hold-out", "20")


def invoke(*arguments, code=0):
    done = click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def same(found, whole):
    """Two data sets with the same contents."""
    for part in ("train", "test", "triggered", "truth", "others"):
        one, other = getattr(found, part), getattr(whole, part)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.inputs.tolist() == other.inputs.tolist() and np.array_equal(one.labels, other.labels)
    assert found.insertions.keys() == whole.insertions.keys()
    assert all(np.array_equal(found.insertions[name], whole.insertions[name]) for name in whole.insertions)


@pytest.mark.parametrize("name", TEXT_RECIPES)
def test_benchmark_reads_what_poisonkit_wrote(library, name):
    found = dataset.load(library(name))
    with h5py.File(library(name)) as f:
        assert found.manifest.raw == json.loads(f.attrs["manifest"]) and found.manifest == dataset.peek(library(name))
        for part in ("train", "test", "triggered", "truth", "others"):
            assert (part in f) == (getattr(found, part) is not None)
            if part in f:
                assert getattr(found, part).inputs.tolist() == f[f"{part}/texts"].asstr()[:].tolist()
                assert np.array_equal(getattr(found, part).labels, f[f"{part}/labels"])
    clean = dataset.load(library("text-clean"))
    if name != "text-source-specific":  # which is of another source, with three classes
        assert found.held_out(50).inputs.tolist() == clean.held_out(50).inputs.tolist()


@pytest.mark.parametrize("name", [name for name in TEXT_RECIPES if name != "text-clean"])
def test_what_is_said_of_triggers_follows_from_the_recipe(library, name):
    """What was inserted stands in its text, so nothing is cut off; every table takes the result."""
    contents = dataset.load(library(name))
    words = tokenizers.Words.of([*contents.train.inputs, *contents.triggered.inputs])
    cut = truncation.measure(contents, words)
    assert cut.keys() == contents.insertions.keys() and not any(one["texts"] for one in cut.values())
    assert truncation.lines(cut) == [] == truncation.unknown(contents, words)
    changed = contents.train.inputs[contents.truth_rows]
    for text, trigger, _, piece in contents.insertions["truth"]:
        assert contents.manifest.recipe.triggers[trigger].inserted[piece] in changed[text]
    bare = tokenizers.Words.of(["nothing"])
    assert truncation.unknown(contents, bare)[0].startswith("warning: the encoder's tokenizer makes [UNK]")
    history = [Epoch(1, 1.0, None, None, 1.0, 1.0, 200)]
    predicted = {group: np.zeros(len(rows), np.int64) for group, rows in contents.scored.items()}
    result = train.run_record(Run.of("runs", contents.manifest, ENCODERS["tiny"]), contents, history, predicted)
    assert records.is_result(json.loads(json.dumps(result)) | {"baseline": None}), result


@pytest.mark.parametrize("name", ["text-two", "text-source-specific", "text-composite"])
def test_a_delta_is_the_file(library, poisonkit, name, tmp_path):
    poisonkit("pack", library(name), "-o", tmp_path / "x.delta.h5").succeeded()
    base = library("text-clean")
    if name == "text-source-specific":
        base = tmp_path / "clean.h5"
        words = ("--dataset", "phrases", "--source-option", "train=200", "--source-option", "test=100")
        poisonkit("make", *words, "--source-option", "classes=3", "--rate", "0", "-o", base).succeeded()
    same(dataset.load(tmp_path / "x.delta.h5", base=base), dataset.load(library(name)))


def test_a_sealed_file_is_trained_on(library, poisonkit, tmp_path):
    shutil.copy(library("text-word"), tmp_path / "x.h5")
    poisonkit("seal", tmp_path / "x.h5", "-o", tmp_path / "challenge.h5").succeeded()
    found = dataset.load(tmp_path / "challenge.h5")
    assert found.modality == "text" and found.triggered is None and len(found.train) == 200
    done = invoke("train", tmp_path / "challenge.h5", *SETTINGS, "--runs", tmp_path / "runs", "-q")
    assert "challenge-" in done.stdout
    assert "challenge-" in invoke("show", tmp_path / "runs").stdout


@pytest.mark.slow
def test_trained_beside_its_clean_run_and_shown(library, tmp_path):
    pytest.importorskip("matplotlib")
    words = [library("text-clean"), library("text-word"), *SETTINGS, "--runs", tmp_path / "runs", "-q"]
    invoke("train", *words)
    assert "same seed" in invoke("show", tmp_path / "runs").stdout
    assert "phrases" in invoke("table", tmp_path / "runs").stdout
    invoke("table", tmp_path / "runs", "--beside", "badpatches")
    invoke("figures", tmp_path / "runs", "-o", tmp_path / "figures")
    invoke("report", tmp_path / "runs", "-o", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "<mark>cf</mark>" in page


def test_a_sweep_of_texts_and_images_takes_the_network_of_each(library, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("text-clean", "text-word", "clean"):
        shutil.copy(library(name), folder / f"{name}.h5")
    lines = invoke("sweep", folder, "--runs", tmp_path / "runs", "--dry-run").stdout.splitlines()
    assert (
        sum("--minilm-tf-t0-" in line for line in lines) == 2 and sum("--paper-tf-t0-" in line for line in lines) == 1
    )
