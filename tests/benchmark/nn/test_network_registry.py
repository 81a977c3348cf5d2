"""The registry of networks: what each has to say of itself, and that one more is one more file."""

import json
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
        assert {setting.name for setting in spec.settings} <= set(first) & {*spec.integers, *spec.words}


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
    name="dense", title="dense network", plural="dense networks", modality=IMAGE,
    source="nobody, for this test alone", builder=build,
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
def benchmark(tmp_path_factory, root):
    """`benchmark` of a copy of the package with one more file."""
    copy = tmp_path_factory.mktemp("copy")
    clone.with_file(root, copy, "nn/networks/dense.py", NEW)
    return lambda *words: clone.benchmark(copy, *words)


@pytest.mark.slow
def test_one_more_file_is_one_more_network(benchmark, tmp_path):
    """Trained, loaded again, scored, in tables and on the page."""
    files, runs = writer.toy(tmp_path), tmp_path / "runs"
    words = ("--network", "dense", "--preset", "deep", "--depth", "1", "--epochs", "2")
    done = benchmark("train", *files, *words, "--runs", runs, "-q")
    assert done.returncode == 0, done.stderr
    (folder,) = runs.glob("toy-square*")
    assert "--dense-d1-w8-e2-tf-t0-" in folder.name
    result = json.loads((folder / "result.json").read_text())
    assert result["config"]["model"] == {"name": "dense", "depth": 1, "width": 8} and result["network"]["width"] == 8
    assert result["config"]["training"] == {
        "optimizer": "sgd", "epochs": 2, "batch_size": 20, "learning_rate": 0.1, "hold_out": 0,
    }  # fmt: skip
    assert result["baseline"]["asr"] is not None, "the clean network was loaded again"
    done = benchmark("score", folder, files[1], "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["scores"] == result["scores"], done.stderr
    assert "settings: dense, depth 1, width 8, epochs 2, batch size 20" in benchmark("table", runs).stdout
    assert benchmark("report", runs, "-o", tmp_path / "page").returncode == 0
    assert "Backdoors in dense networks" in (tmp_path / "page" / "report.html").read_text()
    done = benchmark("sweep", files[1], "--network", "dense", "-n", "--json", "--runs", tmp_path / "s")
    assert json.loads(done.stdout)[0]["run"].startswith("toy-square-0.1-s0--dense-flat-tf-t0-"), done.stderr


def test_its_options_are_the_table_s(benchmark, tmp_path):
    shown = " ".join(benchmark("train", "--help").stdout.split())
    assert "--depth N" in shown and "dense: hidden layers" in shown
    assert "pmoe: channels; 10 in the paper, 1 suits a laptop; dense: units of each;" in shown
    for network in (
        "pmoe: paper (width 10, 25 epochs, for a GPU), small (width 1, 8 epochs), tiny (width 1, 9 epochs, for signs);",
        "dense: flat (depth 0, width 1, 3 epochs), deep (depth 2, width 8, 3 epochs);",
    ):
        assert network in shown
    assert "[default: the network's first]" in shown
    _, poisoned = writer.toy(tmp_path)
    for words, line in {
        ("--depth", "1"): f"{poisoned} holds images: --depth is not for --network pmoe",
        ("--network", "dense", "--experts", "2"): "--experts is not for --network dense",
        ("--network", "dense", "--preset", "paper"): "--preset: expected one of flat, deep, backdoorbench, got 'paper' "
        "(--network dense)",
    }.items():
        done = benchmark("train", poisoned, *words, "--runs", tmp_path / "runs")
        assert (done.returncode, done.stderr) == (2, f"benchmark: {line}\n")
