"""An export that is read again as clean data is known as what it is, and the user is told in one line."""

import json
import zipfile

import pytest

from poisonkit.sources import exported


@pytest.mark.parametrize(
    ("name", "form", "dataset"), [("square", "npz", "npz"), ("square", "imagefolder", "folder"),
                                  ("text-word", "csv", "csv")]
)  # fmt: skip
def test_a_poisoned_export_is_named_when_it_is_read_as_clean_data(poisonkit, library, tmp_path, name, form, dataset):
    source = tmp_path / ("x.npz" if form == "npz" else "x")
    poisonkit("export", library(name), "--format", form, "-o", source).succeeded()
    asked = ("make", "--dataset", dataset, "--source", source, "--rate", "0", "-o", tmp_path / "made")
    done = poisonkit(*asked)
    told = json.loads(poisonkit("show", library(name), "--json").out)
    line = (
        f"{source} is an export of the poisoned data set {told['name']}: all of its training rows are taken as clean "
        "ones, changed images and labels among them"
    )
    assert done.code == 0 and sum(line in one for one in done.err.splitlines()) == 1, done
    again = poisonkit(*asked, "--force")
    assert again.code == 0 and line in again.err, "said each time, also from the cache"


def test_an_export_without_truth_says_that_it_does_not_know(poisonkit, library, tmp_path):
    poisonkit("export", library("square"), "--format", "imagefolder", "--no-truth", "-o", tmp_path / "x").succeeded()
    done = poisonkit("make", "--dataset", "folder", "--source", tmp_path / "x", "--rate", "0", "-o", tmp_path / "made")
    assert done.code == 0 and "does not say whether its data set was poisoned (--no-truth)" in done.err


@pytest.mark.parametrize("form", ["npz", "imagefolder"])
def test_a_clean_export_and_other_data_say_nothing(poisonkit, library, tmp_path, form):
    target = tmp_path / ("x.npz" if form == "npz" else "x")
    poisonkit("export", library("clean"), "--format", form, "-o", target).succeeded()
    assert exported.notices(target) == []


@pytest.mark.parametrize(
    "text", [b"", b"[", b"[1]", b"{}", b'{"kind": 1, "name": "x", "dataset_digest": 1}', b"\xff", b"[" * 100_000]
)
def test_a_stranger_s_manifest_is_passed_over(tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text)
    assert exported.notices(tmp_path) == []
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("manifest.json", text)
    assert exported.notices(tmp_path / "x.npz") == [] == exported.notices(tmp_path / "nothing")
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("x_train.npy", text)
    assert exported.notices(tmp_path / "y.npz") == []


def test_names_that_a_terminal_would_obey_are_printed_plainly(tmp_path):
    manifest = {"kind": "poisoned", "name": "a\x1b[31m\nb", "dataset_digest": "x"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (line,) = exported.notices(tmp_path)
    assert line.isprintable() and "poisoned data set a" in line
