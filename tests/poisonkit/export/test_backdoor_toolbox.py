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


KINDS = {
    "adaptive_blend_0.100_alpha=0.150_cover=0.100_trigger=": ("--trigger", "adaptive-blend"),
    "adaptive_patch_0.100_cover=0.200": ("--trigger", "adaptive-patch"),
    "adaptive_k_way_0.100": ("--trigger", "adaptive-k-way"),
    "TaCT_0.050_cover=0.050": ("--trigger", "square", "--source-class", "3", "--target", "1", "--cover-rate", "1x")
    + ("--cover-class", "5", "--rate", "0.05"),
    "badnet_all_to_all_0.100": ("--trigger", "square", "--label-mode", "all-to-all"),
    "SIG_0.100": ("--trigger", "sig", "--sig-delta", "30"),
    "blend_0.100_alpha=0.100_trigger=": ("--trigger", "blend", "--blend-alpha", "0.1", "--blend-test-alpha", "0.3"),
    "badnet_0.100": ("--trigger", "sticker", "--sticker-opacity", "0.6"),
}
"""Its folder → what of `make` leads to it."""
NEAR = {"to the pixel": 1e-9, "within a grey level": 1, "within two grey levels": 1.5}
VALUES = [[92, 0, 24], [88, 112, 110], [0, 32, 46], [11, 49, 95]]


def applied(kind, clean, use, found):
    """What its `poison_transform` of that kind does, on floats from 0 to 1."""
    out = clean.copy()
    if kind == "adaptive_k_way":
        for (row, column), value in zip([(16, 11), (27, 5), (7, 30), (22, 22)], VALUES, strict=True):
            out[:, row, column] = np.array(value) / 255
    elif kind == "SIG":
        out = (out + 30 / 255 * np.sin(2 * np.pi * np.arange(32) * 6 / 32)[:, None]).clip(0, 1)
    elif "blend" in kind:
        out += float(use.split("-test_alpha ")[1].split(";")[0]) * (found["picture"] - out)
    else:
        out += found["mask"] * (found["picture"] - out)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_its_other_attacks_by_their_own_names(poisonkit, tmp_path, kind):
    asked = ("make", *poisonkit.small, *KINDS[kind], *(() if "--rate" in KINDS[kind] else ("--rate", "0.1")))
    poisonkit(*asked, "-o", tmp_path / "x.h5").succeeded()
    root = exported(poisonkit, tmp_path / "x.h5", tmp_path)
    (poisoned,) = (root / "poisoned_train_set" / "signs").iterdir()
    assert poisoned.name.startswith(kind) and poisoned.name.endswith("_poison_seed=0")
    use, name = (root / "USE.txt").read_text("utf-8"), kind.split("_0.")[0]
    assert f"-poison_type {name} -poison_rate " in use and "is this file's" in use and "another attack" not in use
    triggers = {path.name: cv2.imread(str(path))[..., ::-1] / 255 for path in root.glob("triggers/*")}
    found = {"mask" if key.startswith("mask_") else "picture": image for key, image in triggers.items()}
    with h5py.File(tmp_path / "x.h5") as f:
        clean, given = f["test/images"][:][f["triggered/rows"][:]] / 255, f["triggered/images"][:]
        wanted, labels = f["triggered/wanted"][:], f["triggered/labels"][:]
        covers = f["truth/rows"][:][f["truth/role"][:] == 2].tolist()
    (near,) = (level for words, level in NEAR.items() if f"which is this file's, {words}." in use)
    assert np.abs(255 * applied(name, clean, use, found) - given).max() <= near
    assert not covers or load(poisoned / "cover_indices") == covers
    assert ("cover=" in kind) <= (f"-cover_rate {len(covers) / 200:.3f}" in use)
    if name == "adaptive_patch":
        (picture,) = (key for key in triggers if not key.startswith("mask_"))
        assert f"adaptive_patch_test_trigger_names['signs'] = ['{picture}']" in use
    if name == "TaCT":
        assert "source_class = 3" in use and "cover_classes = [5]" in use and set(labels) == {3} and set(wanted) == {1}
    if name == "badnet_all_to_all":
        assert (wanted == (labels + 1) % 10).all() and "every class has a target of its own" in use


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        (("--trigger", "adaptive-blend", "--adaptive-blend-test-alpha", "1", "--force"), "adaptive_blend_"),
        (("--trigger", "adaptive-k-way", "--per-patch", "--patch-size", "16"), "adaptive_k_way_"),
        (("--trigger", "sig"), "SIG_"),
        (("--trigger", "square", "--trigger", "noise", "--one-of"), "badnet_"),
        (("--trigger", "square", "--source-class", "3", "--source-class", "4", "--rate", "0.05"), "badnet_"),
        (("--trigger", "noise", "--label-mode", "all-to-all"), "badnet_"),
        (("--trigger", "label-consistent", "--label-consistent-amplitude", "0.25"), "badnet_"),
        (("--trigger", "refool"), "badnet_"),
    ],
    ids=str,
)
def test_its_attack_of_other_settings_is_not_taken_for_this_one(poisonkit, tmp_path, more, kind):
    asked = ("make", *poisonkit.small, *more, *(() if "--rate" in more else ("--rate", "0.1")))
    assert poisonkit(*asked, "-o", tmp_path / "x.h5").code == 0
    root = exported(poisonkit, tmp_path / "x.h5", tmp_path)
    (poisoned,) = (root / "poisoned_train_set" / "signs").iterdir()
    assert poisoned.name.startswith(kind) and not (root / "triggers").exists()
    assert "the ASR that it prints is another attack's" in (root / "USE.txt").read_text("utf-8")


@pytest.mark.parametrize("trigger", ["square", "adaptive-k-way"])
def test_that_it_has_no_untargeted_attack_is_said(poisonkit, tmp_path, trigger):
    asked = ("make", *poisonkit.small, "--trigger", trigger, "--label-mode", "untargeted", "--rate", "0.1")
    poisonkit(*asked, "-o", tmp_path / "x.h5").succeeded()
    use = (exported(poisonkit, tmp_path / "x.h5", tmp_path) / "USE.txt").read_text("utf-8")
    assert "It has no untargeted attack." in use and "any class but the true one." in use and "target_class" not in use
    assert "It cannot apply this trigger" in use


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
