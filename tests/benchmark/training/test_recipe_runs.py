"""Runs with every setting of a training recipe: killed and gone on with, on every backend, scored after loading."""

import dataclasses
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import writer
from in_process import invoke, only, outcome, same, train

from benchmark.core import files
from benchmark.core.errors import Usage
from benchmark.format import dataset
from benchmark.nn import engines, normalisation
from benchmark.training.images import Images
from benchmark.training.settings import Settings

if __name__ != "__main__":
    engines.activate("tensorflow", threads=2)
HERE = Path(__file__).resolve()
PATHS = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (HERE.parents[1], HERE.parents[3])))}
SGD = ("--momentum", "0.9", "--weight-decay", "0.0005", "--decay-on", "all", "--learning-rate", "0.02")
ADAMW = ("--optimizer", "adamw", "--weight-decay", "0.05", "--learning-rate", "0.002")
REST = ("--schedule", "cosine", "--warmup-epochs", "1", "--crop-padding", "2", "--flip", "horizontal", "--rotation",
        "10", "--normalisation", "cifar10")  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return writer.toy(tmp_path_factory.mktemp("toy"))


class Killed(BaseException):
    """Stands for SIGKILL."""


def stopped_and_gone_on(*words):
    """A run killed before its second epoch's checkpoint is in place, then finished by the same command."""
    real, seen = os.replace, iter(range(100))

    def replace(source, target):
        if next(seen) == 5:
            raise Killed
        real(source, target)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", replace)
        train(*words)
    train(*words)


@pytest.mark.parametrize("optimizer", [SGD, pytest.param(ADAMW, marks=pytest.mark.slow)])
def test_gone_on_with_it_ends_with_the_same_weights(optimizer, toy, tmp_path):
    words = (toy[1], *optimizer, *REST, "-q", "--epochs", "3")
    train(*words, "--runs", tmp_path / "once")
    stopped_and_gone_on(*words, "--runs", tmp_path / "twice")
    same(outcome(only(tmp_path / "once")), outcome(only(tmp_path / "twice")))
    done = invoke("score", only(tmp_path / "once"), toy[1], "--json")  # the loaded network normalises as the trained
    scores = json.loads((only(tmp_path / "once") / "result.json").read_text())["scores"]
    assert json.loads(done.stdout)["scores"] == scores
    network = json.loads((only(tmp_path / "once") / "result.json").read_text())["network"]
    assert network["normalisation"] == "cifar10"
    alone = tmp_path / "alone.keras"  # of no run: its own description says how it normalises
    alone.write_bytes((only(tmp_path / "once") / "model.keras").read_bytes())
    from benchmark.nn import model_files

    images = dataset.load(toy[1]).test.inputs
    expected = np.asarray(model_files.load(only(tmp_path / "once"))(images))
    assert np.array_equal(np.asarray(model_files.load(alone)(images)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("optimizer", [SGD, ADAMW])
def test_other_backends_go_on_alike(backend, optimizer, toy, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    words = (toy[1], *optimizer, *REST, "-q", "--epochs", "3", "--backend", backend)
    command = [sys.executable, __file__, *map(os.fspath, words)]
    for how in ("once", "twice"):
        subprocess.run([*command, "--runs", tmp_path / how], check=True, env=PATHS | {"HOW": how})
    same(outcome(only(tmp_path / "once")), outcome(only(tmp_path / "twice")))


def test_the_network_sees_normalised_images_and_the_training_ones_augmented(toy):
    data = dataset.load(toy[1])
    settings = Settings(width=1, top_k=4, batch_size=50, crop_padding=2, flip="horizontal", normalisation="cifar10")
    method = Images(data, settings)
    blocks = list(method.blocks(1, 1))
    assert [rows.shape for rows, _, _ in blocks] == [(1, 50), (1, 50), (1, 20)]
    drawn = np.concatenate([draws[0] for _, _, draws in blocks])
    rows = np.concatenate([one[0] for one, _, _ in blocks])
    again = np.concatenate([draws.reshape(-1, 3) for _, _, draws in Images(data, settings).blocks(1, 2)])
    assert np.array_equal(drawn, again) and drawn.shape == (120, 3)
    assert not np.array_equal(drawn[np.argsort(rows)], np.concatenate([d[0] for _, _, d in method.blocks(2, 1)]))
    scaled = np.asarray(method.model.get_layer("scale")(data.test.inputs[:2]))
    expected = (data.test.inputs[:2] / 255 - [0.4914, 0.4822, 0.4465]) / [0.247, 0.243, 0.261]
    np.testing.assert_allclose(scaled, expected, atol=1e-5)
    plain = Images(data, Settings(width=1, top_k=4))
    assert {draws for *_, draws in plain.blocks(1, 1)} == {None} and plain.optimizer == 0.1


def test_a_normalisation_that_a_run_does_not_say_is_refused(toy, tmp_path):
    train(toy[1], "--epochs", "1", "-q", "--normalisation", "half", "--runs", tmp_path)
    path = only(tmp_path) / "result.json"
    result = json.loads(path.read_text())
    for wrong, said in (("cifar10", "is a network of normalisation cifar10, its run is of 'half'"),
                        (["half"], "its normalisation is ['half'], expected one of none, cifar10")):  # fmt: skip
        files.write_json(path, result | {"network": result["network"] | {"normalisation": wrong}})
        done = invoke("score", only(tmp_path), toy[1])
        assert done.exit_code == 1 and said in done.stderr and done.stderr.count("\n") == 1


def test_a_flip_where_mirrored_classes_differ_is_warned_of(toy, caplog):
    data = dataset.load(toy[1])
    for name, warned in (("gtsrb", True), ("cifar10", False)):
        caplog.clear()
        source = dataclasses.replace(data.manifest.source, name=name)
        data = dataclasses.replace(data, manifest=dataclasses.replace(data.manifest, source=source))
        Images(data, Settings(width=1, top_k=4, flip="horizontal"))
        assert ("--flip horizontal: on gtsrb the mirror image" in caplog.text) == warned
        Images(data, Settings(width=1, top_k=4))
        assert caplog.text.count("mirror") == warned


@pytest.mark.parametrize("padding", [16, 2**32, 2**63 - 1])
def test_a_crop_that_could_hold_nothing_of_an_image_is_wrong_usage(padding, toy, tmp_path):
    done = invoke("train", toy[1], *REST[:5], str(padding), "--runs", tmp_path / "runs", "-q")
    assert done.exit_code == 2 and done.stderr == (
        f"benchmark: --crop-padding {padding} must be less than the side of an image, which are of 16x16: a crop could "
        "hold nothing of it\n"
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", ["--width", "--experts"])
def test_a_size_that_no_network_has_is_wrong_usage(option, toy, tmp_path):
    done = invoke("train", toy[1], option, str(2**63 - 1), "--runs", tmp_path / "runs", "-q")
    assert done.exit_code == 2, done.output
    assert done.stderr == f"benchmark: {option} {2**63 - 1} must be at most 1,048,576\n"
    assert not (tmp_path / "runs").exists()


def test_a_network_that_scales_its_images_itself_is_not_normalised():
    model = SimpleNamespace(layers=[SimpleNamespace(name="images"), SimpleNamespace(name="rescaled")])
    normalisation.apply(model, "none")
    with pytest.raises(Usage, match="--normalisation half is not for this network, which scales its images itself"):
        normalisation.apply(model, "half")


def test_grey_images_are_not_normalised_as_colour(toy, tmp_path):
    clean = writer.clean_arrays()
    clean = {name: array[..., :1].copy() if "images" in name else array for name, array in clean.items()}
    path = tmp_path / "grey.h5"
    writer.write(path, clean, writer.manifest_of(clean, clean, "grey"))
    done = train(path, "--runs", tmp_path / "runs", "-q", "--normalisation", "cifar10", code=2)
    assert "normalisation cifar10 is for 3 channels, the images have 1" in done.stderr and done.stderr.count("\n") == 1


if __name__ == "__main__":
    (stopped_and_gone_on if os.environ["HOW"] == "twice" else train)(*sys.argv[1:])
