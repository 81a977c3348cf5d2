"""A network that nobody here knows: one file with a `NetworkSpec`, and every command takes it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import writer

import benchmark as package

NEW = """
from benchmark.nn.networks import IMAGE, NetworkSetting, NetworkSpec, register


def build(image_shape, classes, depth, width, seed=0):
    import keras
    from keras import layers

    inputs = keras.Input(image_shape, dtype="uint8", name="images")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    for number in range(depth):
        first = keras.initializers.GlorotUniform(seed + number)
        x = layers.Dense(width, activation="relu", kernel_initializer=first)(x)
    x = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, layers.Softmax(dtype="float32")(x))


register(NetworkSpec(
    name="dense", title="dense network", plural="dense networks", modality=IMAGE, source="none", builder=build,
    settings=(NetworkSetting("depth", "hidden layers", 0), NetworkSetting("width", "units of each")),
    presets={
        "flat": {"depth": 0, "width": 1, "epochs": 3, "batch_size": 20, "learning_rate": 0.1, "hold_out": 0},
        "deep": {"depth": 2, "width": 8},
    },
    least_weights=lambda sizes: sizes["classes"],
    keras_classes=frozenset({"Functional", "InputLayer", "Rescaling", "Flatten", "Dense", "Softmax", "DTypePolicy",
                             "GlorotUniform", "Zeros", "__keras_tensor__"}),
))
"""


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """`benchmark` of a copy of the package with one more file."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(Path(package.__file__).parent, root / "benchmark", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "benchmark" / "nn" / "networks" / "dense.py").write_text(NEW)
    variables = os.environ | {"PYTHONPATH": str(root)}

    def run(*words):
        command = [sys.executable, "-m", "benchmark", *map(str, words)]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=variables)

    return run


def test_a_new_network_is_trained_scored_and_shown(benchmark, tmp_path):
    _, poisoned = writer.toy(tmp_path)
    where = ("--runs", tmp_path / "runs", "-q")
    done = benchmark(
        "train", poisoned, "--network", "dense", "--preset", "deep", "--depth", "1", "--epochs", "2", *where
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert "--dense-d1-w8-e2-tf-t0-" in folder.name
    config = json.loads((folder / "config.json").read_text())
    assert config["model"] == {"name": "dense", "depth": 1, "width": 8}
    assert config["training"] == {
        "optimizer": "sgd", "epochs": 2, "batch_size": 20, "learning_rate": 0.1, "hold_out": 0,
    }  # fmt: skip
    done = benchmark("score", folder, poisoned, "--json")
    scores = json.loads((folder / "result.json").read_text())["scores"]
    assert done.returncode == 0 and json.loads(done.stdout)["scores"] == scores, done.stderr
    done = benchmark("show", tmp_path / "runs")
    assert "--network dense --preset deep" in done.stdout and "--depth 1 --epochs 2" in done.stdout, (
        "the clean run's command"
    )
    done = benchmark(
        "sweep", poisoned, "--network", "dense", "--preset", "flat", "-n", "--json", "--runs", tmp_path / "s"
    )
    assert json.loads(done.stdout)[0]["run"].startswith("toy-square-0.1-s0--dense-flat-tf-t0-"), done.stderr


def test_its_options_are_the_table_s(benchmark, tmp_path):
    said = " ".join(benchmark("train", "--help").stdout.split())
    assert "--depth INTEGER RANGE" in said and "dense: hidden layers" in said
    assert "pmoe: channels; 10 in the paper, 1 suits a laptop; dense: units of each;" in said
    for network in (
        "pmoe: paper (width 10, 25 epochs, for a GPU), small (width 1, 8 epochs), tiny (width 1, 9 epochs, for signs);",
        "dense: flat (depth 0, width 1, 3 epochs), deep (depth 2, width 8, 3 epochs);",
    ):
        assert network in said
    assert "[default: the network's first]" in said
    _, poisoned = writer.toy(tmp_path)
    for words, line in {
        ("--depth", "1"): f"{poisoned} holds images: --depth is not for --network pmoe",
        ("--network", "dense", "--experts", "2"): "--experts is not for --network dense",
        ("--network", "dense", "--preset", "paper"): "--preset: expected one of flat, deep, got 'paper'",
    }.items():
        done = benchmark("train", poisoned, *words, "--runs", tmp_path / "runs")
        assert (done.returncode, done.stderr) == (2, f"benchmark: {line}\n")
