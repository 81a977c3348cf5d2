"""The registry of networks: what each has to say of itself, and that one more is one more file."""

import json
import re
import subprocess
import sys

import clone
import numpy as np
import pytest
import writer

from benchmark.nn import bert_weights
from benchmark.nn.networks import DEFAULT, IMAGE, NETWORKS, TEXT, registry


def test_every_network_says_where_it_comes_from_and_has_presets():
    assert {DEFAULT[IMAGE], DEFAULT[TEXT]} <= set(NETWORKS)
    for name, spec in NETWORKS.items():
        assert spec.name == name and spec.modality in (IMAGE, TEXT) and len(spec.source) > 20
        first, *_ = spec.presets.values()
        assert {"epochs", "batch_size", "learning_rate", "hold_out"} <= set(first)
        assert {setting.name for setting in spec.settings} <= set(first) & set(spec.integers)


def test_two_of_one_name_are_refused():
    with pytest.raises(ValueError, match="pmoe"):
        registry.register(NETWORKS["pmoe"])


def test_the_registry_is_read_without_keras():
    code = "import sys, benchmark.nn.networks; assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("top_k", [4, 5])
def test_sizes_that_contradict_each_other(top_k):
    sizes = {"image_shape": (8, 8, 3), "classes": 2, "width": 1, "experts": 2, "top_k": top_k}
    if top_k == 4:
        NETWORKS["pmoe"].check(sizes)
    else:
        with pytest.raises(ValueError, match="of 4 patches"):
            NETWORKS["pmoe"].check(sizes)


def test_least_weights_are_a_lower_bound():
    """Of small networks, counted by hand from the shapes of their weights."""
    sizes = {"image_shape": (32, 32, 3), "classes": 10, "width": 10, "experts": 4, "top_k": 16}
    assert 1_000_000 < NETWORKS["pmoe"].least_weights(sizes) <= 3_971_242  # the paper's, batch statistics included
    small = {"vocabulary": 30, "positions": 8, "classes": 2, "width": 4, "depth": 2, "heads": 2, "inner": 8}
    block = 4 * (4 * 4 + 4) + (4 * 8 + 8) + (8 * 4 + 4) + 2 * 2 * 4  # attention, two dense layers, two normalisations
    total = 30 * 4 + 8 * 4 + 2 * block + (4 * 2 + 2)
    assert np.prod((30, 4)) < NETWORKS["encoder"].least_weights(small) <= total
    assert "gelu" in bert_weights.ACTIVATIONS.values()


LINEAR = '''
"""A linear classifier, for comparison."""

from benchmark.nn.networks.registry import IMAGE, NetworkSetting, NetworkSpec, register


def build(image_shape, classes, blocks=1, seed=0):
    import keras

    inputs = keras.Input(image_shape, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    for number in range(blocks):
        x = keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(seed=seed + number))(x)
    last = keras.initializers.GlorotUniform(seed=seed + blocks)
    logits = keras.layers.Dense(classes, kernel_initializer=last, name="logits")(x)
    return keras.Model(inputs, keras.layers.Softmax()(logits))


LINEAR = register(
    NetworkSpec(
        name="linear",
        title="linear classifier",
        plural="linear classifiers",
        modality=IMAGE,
        source="Rosenblatt 1958, The perceptron: A probabilistic model for information storage",
        builder=build,
        settings=(NetworkSetting("blocks", "number of linear layers"),),
        presets={
            "short": {"blocks": 1, "epochs": 1, "batch_size": 16, "learning_rate": 0.01, "hold_out": 0},
            "small": {"blocks": 2},
        },
        least_weights=lambda sizes: 4 * sizes["classes"],
        keras_classes=frozenset("Functional InputLayer Rescaling Flatten Dense Softmax GlorotUniform Zeros".split()),
    )
)
'''


@pytest.mark.slow
def test_one_more_file_is_one_more_network(tmp_path, root):
    """In a copy of the package: in the help, trained, loaded again, in table and page."""
    clone.with_file(root, tmp_path, "nn/networks/linear.py", LINEAR)

    def invoke(*words, code=0):
        done = clone.benchmark(tmp_path, *words)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    shown = " ".join(invoke("train", "--help").split())
    assert re.search(r"--network \[[a-z|]*\blinear\b", shown) and "linear: number of linear layers" in shown
    files, runs = writer.toy(tmp_path), tmp_path / "runs"
    for file in files:
        invoke("train", file, "--network", "linear", "--runs", runs, "--quiet")
    (run,) = (
        one for one in runs.iterdir() if json.loads((one / "result.json").read_text())["dataset"]["kind"] != "clean"
    )
    assert "--linear-short-tf-t0-" in run.name
    result = json.loads((run / "result.json").read_text())
    assert result["config"]["model"] == {"name": "linear", "blocks": 1} and result["network"]["blocks"] == 1
    assert result["baseline"]["asr"] is not None, "the clean network was loaded again"
    scored = json.loads(invoke("score", run, files[1], "--json"))
    assert scored["scores"]["ba"] == result["scores"]["ba"]
    assert "settings: linear short" in invoke("table", runs)
    invoke("report", runs, "-o", tmp_path / "page")
    assert "Backdoors in linear classifiers" in (tmp_path / "page" / "report.html").read_text()
