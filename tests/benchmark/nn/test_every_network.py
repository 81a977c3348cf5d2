"""Every network for images, whichever there are: trained, stopped and gone on with, saved, loaded, scored, pruned,
shown, and rebuilt from nothing but sizes."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import writer
from in_process import invoke, outcome, same

from benchmark.core import files
from benchmark.core.errors import Failure, Usage
from benchmark.format import dataset
from benchmark.nn import engines, saved_weights
from benchmark.nn.networks import IMAGE, NETWORKS
from benchmark.runs import experiment
from benchmark.runs.spec import RunSpec
from benchmark.runs.train import RunCallback
from benchmark.training.choose import chosen_settings

engines.activate("tensorflow", threads=2)

from benchmark.nn import model_files  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]

SMALL = {
    "pmoe": {"width": 1, "top_k": 4},
    "pmoe-dense": {"width": 1},
    "preact-resnet18": {"width": 4},
    "vit": {"width": 12},
    "moe-vit": {"width": 12, "experts": 4},
}
"""Network → settings with which it trains on 16×16 images in a moment."""
TRAINING = {"epochs": 2, "batch_size": 40, "learning_rate": 0.05, "hold_out": 20}
FOR_IMAGES = [name for name, spec in NETWORKS.items() if spec.modality == IMAGE]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A clean and a poisoned file of one source, 4 classes, 16×16 pixels."""
    return writer.toy(tmp_path_factory.mktemp("toy"))


def spec_of(file, runs, name, **changed):
    settings = chosen_settings(IMAGE, name, **SMALL[name] | TRAINING | changed)
    return RunSpec.of(file, settings, runs=runs)


FAST = ("preact-resnet18",)
"""Networks whose tests are fast ones; of the others, which are made of the same parts, they are slow ones."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in FOR_IMAGES],
)
def trained(request, toy, tmp_path_factory):
    """The name of a network, and the folder of its runs of both files. Copy what you change."""
    runs = tmp_path_factory.mktemp(request.param)
    for file in toy:
        experiment.run(spec_of(file, runs, request.param))
    return request.param, runs


@pytest.fixture
def run(trained, toy, tmp_path):
    """A copy of the run of the poisoned file."""
    name, runs = trained
    folder = spec_of(toy[1], runs, name).run.folder
    return shutil.copytree(folder, tmp_path / folder.name)


def test_it_learns_and_is_scored_again_with_the_same_numbers(trained, toy):
    name, runs = trained
    spec = spec_of(toy[1], runs, name)
    result = spec.run.finished()
    assert result.raw["network"] == {"image_shape": [16, 16, 3], "classes": 4} | spec.settings.model()
    assert result.baseline is not None and result.baseline.asr is not None, "the clean network was loaded again"
    done = invoke("score", spec.run.folder, toy[1], "--json")
    assert json.loads(done.stdout)["scores"] == result.raw["scores"]


def test_stopped_after_an_epoch_it_ends_with_the_same_numbers(trained, toy, tmp_path):
    class Kill(BaseException):
        pass

    class Killer(RunCallback):
        def on_epoch(self, entry, predicted):
            raise Kill

    name, runs = trained
    spec = spec_of(toy[1], tmp_path, name)
    with pytest.raises(Kill):
        experiment.run(spec, [Killer()])
    assert (spec.run.folder / "checkpoint.npz").is_file() and not (spec.run.folder / "result.json").exists()
    experiment.run(spec)
    same(outcome(spec.run.folder), outcome(spec_of(toy[1], runs, name).run.folder))


def test_odd_channels_and_an_odd_last_batch_do_not_kill_the_process(toy, tmp_path):
    """TensorFlow's oneDNN wrote beyond its memory in the gradient of a strided 1×1 convolution (in some 9 of 10
    processes), so that a run ended in "double free or corruption"."""
    rows = len(dataset.load(toy[0]).train)
    assert rows > 41
    words = ("--network", "preact-resnet18", "--width", "8", "--epochs", "3", "--batch-size", "32")
    command = [sys.executable, "-m", "benchmark", "train", toy[0], *words, "--hold-out", str(rows - 41), "--runs",
               tmp_path / "runs", "-q"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_the_saved_file_alone_says_its_sizes(trained, run):
    """A file outside a run is known again by the description in it."""
    name, _ = trained
    (alone := run.parent / "alone").mkdir()
    shutil.copy(run / "model.keras", alone)
    with saved_weights.weights_of(alone / "model.keras") as found:
        sizes = saved_weights.sizes(alone / "model.keras", found)
    assert (
        sizes
        == {"network": name, "image_shape": (16, 16, 3), "classes": 4}
        | chosen_settings(IMAGE, name, **SMALL[name]).model()
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype("u1")
    one, other = (np.asarray(model_files.load(path)(images, training=False)) for path in (alone, run))
    assert np.array_equal(one, other) and one.std() > 0


@pytest.mark.parametrize(
    "change",
    [
        {"width": 1 << 19},
        {"width": 10**30},
        {"width": "1"},
        {"width": 0},
        {"width": None},
        {"classes": 3},
        {"image_shape": [16, 16]},
        {"image_shape": [1 << 40, 16, 3]},
        {"image_shape": None},
        {"image_shape": [16, 16, 5000]},
    ],
    ids=str,
)
def test_hostile_sizes_are_one_line_and_nothing_is_built(change, run, monkeypatch):
    result = files.read_json(run / "result.json")
    result["network"] |= change
    _refused(run, result, monkeypatch)


@pytest.mark.parametrize("where", ["network", "config"])
def test_a_missing_or_hostile_setting_is_one_line(where, trained, run, monkeypatch):
    name, _ = trained
    for setting in NETWORKS[name].settings:
        for value in ("absent", None, -1, 1 << 60, 1.5, [1], {"a": 1}, "x" * 500):
            result = files.read_json(run / "result.json")
            config = files.read_json(run / "config.json")
            holder = result["network"] if where == "network" else config["model"]
            if value == "absent":
                del holder[setting.name]
            else:
                holder[setting.name] = value
            if where == "network" or value != "absent":  # the result says it too
                (run / "config.json").write_text(json.dumps(config))
                _refused(run, result, monkeypatch)


def _refused(run, result, monkeypatch):
    monkeypatch.setattr(NETWORKS[result["config"]["model"]["name"]].__class__, "build", _not_built)
    (run / "result.json").write_text(json.dumps(result))
    with pytest.raises(Failure) as error:
        model_files.load(run)
    line = str(error.value)
    assert "\n" not in line and len(line) < 900 and str(run) in line, line


def _not_built(spec, sizes):
    raise AssertionError(f"built {sizes}")


def test_the_weights_of_another_network_are_refused(trained, run):
    """A run that says it is of another network: its file is not taken for that one's."""
    name, _ = trained
    for other in FOR_IMAGES:
        if other == name:
            continue
        settings = chosen_settings(IMAGE, other, **SMALL[other]).model()
        sizes = {"image_shape": [16, 16, 3], "classes": 4} | settings
        config = files.read_json(run / "config.json") | {"model": {"name": other} | settings}
        result = files.read_json(run / "result.json") | {"config": config, "network": sizes}
        (run / "config.json").write_text(json.dumps(config))
        (run / "result.json").write_text(json.dumps(result))
        with pytest.raises(Failure, match="weights"):
            model_files.load(run)


def test_all_that_keras_names_of_it_is_known(trained, run):
    """`keras_classes` is exactly what the saved file names: one more is refused, one less would be ours."""
    name, _ = trained
    with zipfile.ZipFile(run / "model.keras") as archive:
        named = set(_named(json.loads(archive.read("config.json"))))
    assert named <= NETWORKS[name].keras_classes, named - NETWORKS[name].keras_classes


def _named(part):
    if isinstance(part, dict):
        if "class_name" in part:
            yield part["class_name"]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _named(one)


def test_least_weights_are_a_lower_bound(trained):
    name, _ = trained
    spec = NETWORKS[name]
    for shape in ((16, 16, 3), (32, 64, 1)):
        sizes = {"image_shape": shape, "classes": 7} | chosen_settings(IMAGE, name, **SMALL[name]).model()
        count = spec.build(sizes | {"seed": 0}).count_params()
        assert count / 20 < spec.least_weights(sizes) <= count


def test_it_is_fine_pruned(trained, toy, tmp_path):
    """Before, pruned, and fine-tuned with what was pruned at zero; with experts on patches also masked."""
    name, runs = trained
    shutil.copytree(runs, tmp_path / "runs")
    folder = spec_of(toy[1], tmp_path / "runs", name).run.folder
    settings = ("--option", "rates=0.3", "--option", "epochs=1", "--no-twin")
    done = invoke("repair", folder, "--method", "fine-pruning", *settings, "--json")
    assert done.exit_code == 0, done.output
    steps = files.read_json(next(folder.glob("repair-fine-pruning-*/result.json")))["steps"]
    masked = ["masked"] if name in ("pmoe", "pmoe-dense") else []
    assert [step["stage"] for step in steps] == ["before", "pruned", *masked, "fine-tuned"]
    again = model_files.load(next(folder.glob("repair-fine-pruning-*/fine-tuned-0.3.keras")))
    if masked:
        dead = np.asarray(again.get_layer("experts").kernel) == 0
        assert dead.all(1).sum() == 4 * steps[1]["findings"]["channels"]
    else:
        features = again.get_layer("logits").kernel.shape[0]
        assert steps[1]["findings"]["channels"] == int(0.3 * features)
        assert (np.asarray(again.get_layer("logits").kernel) == 0).all(1).sum() == steps[1]["findings"]["channels"]
    assert "fine-tuned" in invoke("table", tmp_path / "runs").output


def test_it_stands_in_show_table_and_page(trained, tmp_path):
    name, runs = trained
    assert invoke("show", runs).exit_code == 0
    table = invoke("table", runs, "--wide").output
    assert (name if name != "pmoe" else "width 1") in table and "square" in table
    done = invoke("report", runs, "-o", tmp_path / "page")
    assert done.exit_code == 0 and NETWORKS[name].plural in (tmp_path / "page" / "report.html").read_text()


def test_its_arguments_and_its_configuration_give_the_same_settings(trained, toy):
    from click.testing import CliRunner

    from benchmark.cli import main

    name, runs = trained
    spec = spec_of(toy[1], runs, name, learning_rate=0.125)
    assert spec.run.config.settings == spec.settings
    words = [word for word in spec.arguments()[1:] if not word.startswith("--seed=")]
    done = CliRunner().invoke(main.main, ["sweep", *words, "-n", "--json"])
    assert done.exit_code == 0, done.output
    assert [entry["run"] for entry in json.loads(done.stdout)] == [spec.run.folder.name]


def test_an_option_of_another_network_is_one_line():
    with pytest.raises(Usage, match="--top-k is not for --network pmoe-dense"):
        chosen_settings(IMAGE, "pmoe-dense", top_k=3)
    with pytest.raises(Usage, match="--experts is not for --network preact-resnet18"):
        chosen_settings(IMAGE, "preact-resnet18", experts=3)


def test_the_control_has_exactly_the_training_of_pmoe():
    for preset in ("paper", "small", "tiny"):
        routed, dense = (chosen_settings(IMAGE, name, preset=preset) for name in ("pmoe", "pmoe-dense"))
        assert routed.training() == dense.training()
        assert routed.model() == dense.model() | {"top_k": 16}
