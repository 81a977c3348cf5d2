"""poisonkit writes, benchmark reads: the same arrays, and each refuses what the page refuses."""

import json
import shutil

import h5py
import numpy as np
import pytest

data = pytest.importorskip("benchmark.format.dataset")
manifest = pytest.importorskip("benchmark.format.manifest")


@pytest.mark.parametrize(
    "name",
    ["clean", "two", "blend-patch", "notebook-warped", "all-to-all", "source-specific", "clean-label", "wanet"],
)
def test_benchmark_reads_what_poisonkit_wrote(library, name):
    path = library(name)
    found = data.load(path)
    with h5py.File(path) as f:
        assert found.manifest.raw == json.loads(f.attrs["manifest"])
        for part in ("train", "test"):
            assert np.array_equal(getattr(found, part).inputs, f[f"{part}/images"][:])
            assert np.array_equal(getattr(found, part).labels, f[f"{part}/labels"][:])
        if name == "clean":
            assert found.triggered is None and found.wanted is None and found.truth is None
            return
        assert np.array_equal(found.triggered.inputs, f["triggered/images"][:])
        assert np.array_equal(found.triggered.labels, f["triggered/labels"][:])
        assert np.array_equal(found.wanted, f["triggered/wanted"][:])
        assert np.array_equal(found.truth.inputs, f["truth/images"][:])
        assert np.array_equal(found.truth_rows, f["truth/rows"][:])
        assert (found.others is not None) == ("others" in f) == (name == "source-specific")
        assert found.target == {"all-to-all": None, "source-specific": 1, "clean-label": 2, "notebook-warped": 3}.get(
            name, 0
        )
        if found.others is not None:
            assert np.array_equal(found.others.inputs, f["others/images"][:])
            assert np.array_equal(found.others.labels, f["others/labels"][:])


def test_held_out_rows_are_the_clean_files(library):
    """Poisoned and cover rows alike, the jittered ones too."""
    clean = data.load(library("clean"))
    for name in ("source-specific", "wanet", "all-to-all"):
        found, expected = data.load(library(name)).held_out(150), clean.held_out(150)
        assert np.array_equal(found.inputs, expected.inputs) and np.array_equal(found.labels, expected.labels)


@pytest.mark.parametrize("name", ["clean", "two", "source-specific", "all-to-all"])
def test_benchmark_peeks_at_the_same_manifest(library, poisonkit, name):
    shown = json.loads(poisonkit("show", library(name), "--json").succeeded().out)
    assert data.peek(library(name)).raw == shown


@pytest.mark.parametrize(
    "array", ["train/images", "train/labels", "triggered/images", "truth/images", "trigger/0/weights"]
)
def test_both_notice_one_changed_byte(library, poisonkit, tmp_path, array):
    path = tmp_path / "changed.h5"
    path.write_bytes(library("square").read_bytes())
    with h5py.File(path, "r+") as f:
        value = f[array][()]
        value.flat[value.size // 2] ^= 1
        f[array][...] = value
    result = poisonkit("verify", path)
    assert result.code == 3 and array in result.out
    with pytest.raises(data.Failure, match=array):
        data.load(path)


def test_neither_package_imports_the_other(root):
    for package, other in (("poisonkit", "benchmark"), ("benchmark", "poisonkit")):
        for path in (root / package).rglob("*.py"):
            for line in path.read_text("utf-8").splitlines():
                words = line.split()
                assert not (words[:1] in (["import"], ["from"]) and words[1].split(".")[0] == other), (path, line)


@pytest.mark.parametrize(
    "change",
    [
        {"recipe_version": 7},
        {"recipe": {"triggers": [{"name": "glow", "strength": "0.5"}]}},
        {"recipe": {"label_mode": "all-to-some", "select": "odd"}},
    ],
    ids=str,
)
def test_a_file_of_a_recipe_that_nobody_knows_is_trained_on(library, tmp_path, change):
    """Its arrays say all that a training needs."""
    path = tmp_path / "x.h5"
    shutil.copy(library("square"), path)
    with h5py.File(path, "r+") as file:
        facts = json.loads(file.attrs["manifest"])
        change = {key: facts[key] | value if isinstance(value, dict) else value for key, value in change.items()}
        facts = {key: value for key, value in (facts | change).items() if key != "dataset_digest"}
        file.attrs["manifest"] = manifest.canonical(facts | {"dataset_digest": manifest.digest(facts)}).decode()
    assert len(data.load(path).triggered) == 90
