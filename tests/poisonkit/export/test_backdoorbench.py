"""`export --format backdoorbench`: its folders, and what its loader makes of the script's attack_result.pt."""

import json
import os
import subprocess
import sys

import cv2
import damage
import h5py
import numpy as np
import pytest

from poisonkit.exporters.formats import backdoorbench

CHECKOUT = {
    "utils/__init__.py": "",
    "utils/aggregate_block/__init__.py": "",
    "utils/aggregate_block/model_trainer_generate.py": """
class Model:
    def __init__(self, name, classes):
        self.weights = {"layer.weight": [name, classes]}
    def state_dict(self):
        return self.weights
def generate_cls_model(model_name, num_classes=10, image_size=32, **kwargs):
    return Model(model_name, num_classes)
""",
    "stub/torch.py": """
import pickle
def save(value, path):
    with open(path, "wb") as file:
        pickle.dump(value, file)
def load(path, map_location=None, weights_only=True):
    with open(path, "rb") as file:
        return pickle.load(file)
""",
}
"""A stand-in for a checkout of BackdoorBench: what the script calls, under the names and signatures it has there."""


@pytest.fixture
def known(monkeypatch):
    """As if BackdoorBench knew the small data set of these tests."""
    monkeypatch.setitem(backdoorbench.KNOWN, "signs", (200, 100))


@pytest.fixture
def checkout(tmp_path):
    for name, text in CHECKOUT.items():
        (tmp_path / "bench" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bench" / name).write_text(text)
    return tmp_path / "bench"


def exported(poisonkit, path, target):
    result = poisonkit("export", path, "--format", "backdoorbench", "-o", target).succeeded()
    assert result.lines == [f"wrote {target} (backdoorbench, 20 changed training rows, 90 triggered)"]
    return target


def script(folder, checkout, *arguments, stub=True):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if stub:
        environment["PYTHONPATH"] = str(checkout / "stub")
    command = [sys.executable, folder / "attack_result.py", *arguments]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


class Container:
    """How BackdoorBench reads a state: the semantics of `prepro_cls_DatasetBD_v2.__getitem__`."""

    def __init__(self, clean, state):
        self.clean, self.state = clean, state

    def __len__(self):
        return len(self.state["original_index_array"])

    def __getitem__(self, index):
        row = self.state["original_index_array"][index]
        if self.state["poison_indicator"][row] == 0:
            image, label = self.clean[0][row], self.clean[1][row]
            return image, label, row, 0, label
        entry = self.state["bd_data_container"]["data_dict"][row]
        label, original = entry["other_info"]
        return cv2.imread(entry["path"])[..., ::-1], label, row, 1, original


def check(result, path):
    """Its poisoned training set is the file's, row for row; its poisoned test set the triggered one."""
    with h5py.File(path) as f:
        truth = f["truth/rows"][:]
        images, labels = f["train/images"][:], f["train/labels"][:]
        images[truth], labels[truth] = f["truth/images"][:], f["truth/labels"][:]
        train = Container((images, labels), result["bd_train"])
        assert len(train) == 200
        for i, (image, label, row, poisoned, original) in enumerate(map(train.__getitem__, range(200))):
            assert np.array_equal(image, f["train/images"][i]) and label == f["train/labels"][i] and row == i
            assert poisoned == (i in truth) and original == labels[i]
        test = Container((f["test/images"][:], f["test/labels"][:]), result["bd_test"])
        assert len(test) == len(f["triggered/rows"])
        for i, (image, label, row, poisoned, original) in enumerate(map(test.__getitem__, range(len(test)))):
            assert np.array_equal(image, f["triggered/images"][i]) and poisoned == 1
            there = [f[f"triggered/{name}"][i] for name in ("wanted", "rows", "labels")]
            assert [label, row, original] == there


def test_what_its_loader_makes_of_it(poisonkit, library, checkout, known):
    folder = exported(poisonkit, library("two"), checkout / "record" / "two")
    done = script(folder, checkout, "--model", "vgg19")
    assert done.returncode == 0 and done.stdout == f"wrote {folder / 'attack_result.pt'}\n", done.stderr
    import pickle

    result = pickle.loads((folder / "attack_result.pt").read_bytes())
    assert set(result) == {
        *("model_name", "num_classes", "model", "data_path", "img_size", "clean_data", "bd_train", "bd_test")
    }
    assert result["model"] == {"layer.weight": ["vgg19", 10]} and result["data_path"] == "data/signs"
    assert (result["model_name"], result["num_classes"], result["clean_data"]) == ("vgg19", 10, "signs")
    assert result["img_size"] == [32, 32, 3]
    check(result, library("two"))


def test_with_torch_itself_and_weights_of_ones_own(poisonkit, library, checkout, known):
    torch = pytest.importorskip("torch", reason="torch is not installed: the script is tried with a stand-in alone")
    folder = exported(poisonkit, library("square"), checkout / "record" / "x")
    torch.save({"layer.weight": torch.ones(3)}, checkout / "w.pt")
    done = script(folder, checkout, "--weights", checkout / "w.pt", stub=False)
    assert done.returncode == 0, done.stderr
    result = torch.load(folder / "attack_result.pt", weights_only=False)
    assert torch.equal(result["model"]["layer.weight"], torch.ones(3))
    check(result, library("square"))


def test_the_folders(poisonkit, library, tmp_path, known):
    target = exported(poisonkit, library("square"), tmp_path / "x")
    with h5py.File(library("square")) as f:
        expected = {
            f"{folder}/{label}/{row}.png"
            for folder, part in (("bd_train_dataset", "truth"), ("bd_test_dataset", "triggered"))
            for row, label in zip(f[f"{part}/rows"], f[f"{part}/labels"], strict=True)
        }
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.png")} == expected
    assert not list(target.rglob("*.pt"))
    assert json.loads((target / "states.json").read_text("utf-8"))["notice"].startswith("Research data")


def test_a_cover_row_is_read_from_its_picture_with_its_own_label(poisonkit, library, checkout, known, tmp_path):
    path = damage.copy(library("two"), tmp_path)
    with h5py.File(path) as f:
        row, original = int(f["truth/rows"][0]), int(f["truth/labels"][0])
    damage.set_rows(path, "truth/role", {0: 2})
    damage.set_rows(path, "train/labels", {row: original})
    damage.reseal(path)
    folder = exported(poisonkit, path, checkout / "record" / "two")
    assert script(folder, checkout).returncode == 0
    import pickle

    result = pickle.loads((folder / "attack_result.pt").read_bytes())
    check(result, path)
    assert result["bd_train"]["poison_indicator"][row] == 2


def test_the_script_says_where_it_must_lie(poisonkit, library, checkout, known, tmp_path):
    folder = exported(poisonkit, library("square"), tmp_path / "elsewhere")
    if "record" in str(folder):
        pytest.skip("the tests' own folder has 'record' in its path")
    done = script(folder, checkout)
    assert done.returncode == 1 and "record/NAME" in done.stderr and done.stderr.count("\n") == 1


def test_what_it_has_no_place_for(poisonkit, library, tmp_path, monkeypatch):
    asked = ("--format", "backdoorbench", "-o", tmp_path / "x")
    poisonkit("export", library("clean"), *asked).failed(1, "clean file")
    poisonkit("export", library("two"), *asked).failed(1, "its own copy", "'signs'", "cifar10, gtsrb")
    monkeypatch.setitem(backdoorbench.KNOWN, "signs", (7500, 100))
    poisonkit("export", library("two"), *asked).failed(1, "has 200 + 100 rows", "7500")
    assert not list(tmp_path.iterdir())
