"""`export --format backdoor-toolbox`: the layout that its loader reads, torch's files, its own test-time trigger."""

import collections
import io
import pickle
import pickletools
import zipfile

import cv2
import damage
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonkit.exporters import torch_file


class Plain(pickle.Unpickler):
    """Rebuilds what `torch_file` writes, and refuses any other global, as torch's `weights_only` does."""

    def __init__(self, file):
        self._zip = zipfile.ZipFile(file)
        assert self._zip.read("archive/byteorder") == b"little" and self._zip.read("archive/version") == b"3\n"
        super().__init__(io.BytesIO(self._zip.read("archive/data.pkl")))

    def find_class(self, module, name):
        known = {
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch.LongStorage": "<i8",
            "collections.OrderedDict": collections.OrderedDict,
        }
        return known[f"{module}.{name}"]

    def persistent_load(self, entry):
        kind, dtype, key, device, count = entry
        assert (kind, device) == ("storage", "cpu")
        values = np.frombuffer(self._zip.read(f"archive/data/{key}"), dtype)
        assert len(values) == count
        return values

    @staticmethod
    def _tensor(storage, offset, size, stride, requires_grad, hooks):
        assert not requires_grad and not hooks
        return np.lib.stride_tricks.as_strided(storage[offset:], size, [8 * step for step in stride])


def load(path):
    return Plain(path).load()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_torchs_files_by_their_own_rules(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("torch") / "x"
    torch_file.save_labels(path, np.array(numbers, np.int64))
    assert load(path).tolist() == numbers
    pickletools.dis(zipfile.ZipFile(path).read("archive/data.pkl"), out=io.StringIO())
    torch_file.save_rows(path, np.array(numbers, np.int64))
    assert load(path) == numbers


@pytest.mark.parametrize("count", [0, 1, 255, 256, 65536, 100_000])
def test_torch_itself_reads_them(tmp_path, count):
    torch = pytest.importorskip("torch", reason="torch is not installed: its own loader is not tried")
    values = np.arange(count) * 7 % 43
    torch_file.save_labels(tmp_path / "x", values)
    for safe in (True, False):
        found = torch.load(tmp_path / "x", weights_only=safe)
        assert found.dtype == torch.int64 and np.array_equal(found.numpy(), values)
    torch_file.save_rows(tmp_path / "x", values)
    assert torch.load(tmp_path / "x", weights_only=True) == values.tolist()


def exported(poisonkit, path, tmp_path):
    poisonkit("export", path, "--format", "backdoor-toolbox", "-o", tmp_path / "x").succeeded()
    return tmp_path / "x"


def pictures(folder):
    """As `IMG_Dataset` reads its older layout: data/0.png, data/1.png …"""
    paths = [folder / "data" / f"{i}.png" for i in range(len(list((folder / "data").iterdir())))]
    return np.stack([cv2.imread(str(path))[..., ::-1] for path in paths])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("square-patch", "badnet_0.100"), ("warped", "badnet_0.100"), ("two", "badnet_0.100"), ("blend", "blend_0.100")],
)
def test_everything_lies_where_the_toolbox_looks(poisonkit, library, tmp_path, name, kind):
    root = exported(poisonkit, library(name), tmp_path)
    (poisoned,) = (root / "poisoned_train_set" / "signs").iterdir()
    assert poisoned.name.startswith(kind) and poisoned.name.endswith("_poison_seed=0")
    with h5py.File(library(name)) as f:
        for folder, part in (
            (poisoned, "train"),
            (root / "clean_set" / "signs" / "test_split", "test"),
            (root / "triggered", "triggered"),
        ):
            assert np.array_equal(pictures(folder), f[f"{part}/images"][:])
            assert np.array_equal(load(folder / "labels"), f[f"{part}/labels"][:])
        assert load(poisoned / "poison_indices") == f["truth/rows"][:].tolist()
        assert np.array_equal(load(root / "triggered" / "wanted"), f["triggered/wanted"][:])
        assert load(root / "triggered" / "rows") == f["triggered/rows"][:].tolist()
    assert not (poisoned / "cover_indices").exists()
    assert f"-poison_type {kind.split('_')[0]} -poison_rate 0.100" in (root / "USE.txt").read_text("utf-8")


def test_cover_rows_have_a_list_of_their_own(poisonkit, library, tmp_path):
    path = damage.copy(library("two"), tmp_path)
    damage.set_rows(path, "truth/role", {0: 2, 5: 2})
    damage.reseal(path)
    root = exported(poisonkit, path, tmp_path)
    (poisoned,) = (root / "poisoned_train_set" / "signs").iterdir()
    with h5py.File(path) as f:
        rows, role = f["truth/rows"][:], f["truth/role"][:]
    assert load(poisoned / "cover_indices") == rows[role == 2].tolist() and (role == 2).sum() == 2
    assert load(poisoned / "poison_indices") == rows[role == 1].tolist()


@pytest.mark.parametrize("name", ["square", "square-patch", "notebook-square", "blend", "blend-patch"])
def test_its_own_trigger_at_test_time_is_this_one(poisonkit, library, tmp_path, name):
    """badnet: x + mask·(trigger − x); blend: (1 − α)·x + α·trigger, on floats from 0 to 1."""
    root = exported(poisonkit, library(name), tmp_path)
    (poisoned,) = (root / "poisoned_train_set" / "signs").iterdir()
    found = {path.name: cv2.imread(str(path))[..., ::-1] / 255 for path in (root / "triggers").iterdir()}
    with h5py.File(library(name)) as f:
        clean, wanted = f["test/images"][:][f["triggered/rows"][:]] / 255, f["triggered/images"][:]
    (trigger,) = (image for key, image in found.items() if not key.startswith("mask_"))
    if "blend" in name:
        alpha = float(poisoned.name.split("alpha=")[1].split("_")[0])
        made, tolerance = (1 - alpha) * clean + alpha * trigger, 1
    else:
        (mask,) = (image[..., :1] for key, image in found.items() if key.startswith("mask_"))
        made, tolerance = clean + mask * (trigger - clean), 1e-9
    assert np.abs(255 * made - wanted).max() <= tolerance
    assert "which is this file's" in (root / "USE.txt").read_text("utf-8")


def test_the_stencil_decides_what_is_a_blend_and_not_the_triggers_name(poisonkit, tmp_path):
    """An opaque sticker over the whole image, at a quarter of its opacity, is a blend of α 0.25."""
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    size = ("--source-option", "train=40", "--source-option", "test=20", "--sticker-size", "32")
    asked = ("--trigger", "sticker", "--sticker-image", tmp_path / "p.png", "--sticker-opacity", "0.25", *size)
    poisonkit("make", "--dataset", "signs", *asked, "--rate", "0.1", "-o", tmp_path / "x.h5").succeeded()
    root = exported(poisonkit, tmp_path / "x.h5", tmp_path)
    (poisoned,) = (root / "poisoned_train_set" / "signs").iterdir()
    assert poisoned.name.startswith("blend_0.100_alpha=0.250_trigger=")
    (trigger,) = (cv2.imread(str(path)).astype(int) for path in (root / "triggers").iterdir())
    assert np.abs(trigger - picture).max() <= 2  # the rounding of a quarter of it


@pytest.mark.parametrize("name", ["warped", "two"])
def test_a_trigger_that_it_cannot_make_is_said_to_be_none_of_its_own(poisonkit, library, tmp_path, name):
    root = exported(poisonkit, library(name), tmp_path)
    assert not (root / "triggers").exists()
    assert "the ASR that it prints is another attack's" in (root / "USE.txt").read_text("utf-8")


def test_what_it_has_no_place_for(poisonkit, library, tmp_path):
    poisonkit("export", library("clean"), "--format", "backdoor-toolbox", "-o", tmp_path / "x").failed(1, "clean file")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (30, 16, 16, 1), dtype="u1"), np.arange(30) % 3
    np.savez(tmp_path / "grey.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    asked = ("--dataset", "npz", "--source", tmp_path / "grey.npz", "--trigger", "square", "--rate", "0.1")
    poisonkit("make", *asked, "-o", tmp_path / "grey.h5").succeeded()
    poisonkit("export", tmp_path / "grey.h5", "--format", "backdoor-toolbox").failed(1, "grey")


@pytest.mark.parametrize("source", ["../../outside", "/etc", "CON", ""])
def test_the_sources_name_is_no_path(poisonkit, library, tmp_path, source):
    path = damage.copy(library("square"), tmp_path)
    damage.reseal(path, source=damage.manifest(path)["source"] | {"name": source})
    asked = ("export", path, "--format", "backdoor-toolbox", "-o", tmp_path / "x")
    poisonkit(*asked).failed(1, "source.name is", "expected a plain name")
    assert {path.name for path in tmp_path.iterdir()} == {"changed.h5"}
