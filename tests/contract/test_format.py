"""What poisonkit writes, against data/FORMAT.md, read by somebody who has only that page."""

import hashlib
import json
import re

import h5py
import numpy as np
import plain_reader
import pytest
from running import RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_every_file_is_what_the_page_says(library, name):
    manifest = plain_reader.check(library(name))
    assert manifest["kind"] == ("clean" if name.split("-")[-1] == "clean" else "poisoned")
    if name.split("-")[-1] == "clean":
        assert "unchanged" in manifest["notice"] and manifest["name"].startswith("signs-clean")
    else:
        for word in ("backdoor", "Do not train", "changed on purpose"):
            assert word in manifest["notice"]


@pytest.mark.parametrize("name", RECIPES)
def test_every_sidecar_is_what_the_page_says(library, name):
    path = library(name)
    said = json.loads(path.with_name(f"{path.stem}.manifest.json").read_text("utf-8"))
    assert said.keys() == {"manifest", "file", "created", "command", "tool", "origin", "environment"}
    with h5py.File(path) as f:
        assert said["manifest"] == json.loads(f.attrs["manifest"])
    data = path.read_bytes()
    assert said["file"] == {
        "name": path.name,
        "size": len(data),
        "sha256": f"sha256:{hashlib.sha256(data).hexdigest()}",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["created"])
    assert said["command"][:2] == ["poisonkit", "make"] and said["tool"]["name"] == "poisonkit"
    assert said["origin"]["official"] is None and said["origin"]["kind"]
    assert {"python", "numpy", "h5py", "hdf5"} <= said["environment"].keys()


def test_the_pages_own_code_runs_on_a_file(root, library):
    """Every Python block of the page, run as it stands."""
    page = (root / "data" / "FORMAT.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 4, "two of images, two of texts"
    names = {}
    exec(re.sub(r'"[^"]*\.h5"', repr(str(library("two"))), blocks[0]) + blocks[1], names)  # noqa: S102
    assert names["x"].shape == (200, 32, 32, 3) and len(names["t"]) == len(names["wanted"])
    with h5py.File(library("two")) as f:
        rows, originals = f["truth/rows"][:], f["truth/images"][:]
        made = np.stack([names["trigger"](f, image) for image in originals])
        assert np.array_equal(made, f["train/images"][:][rows]) and (made != originals).any()


def test_the_page_names_every_key_and_array(root, library):
    page = (root / "data" / "FORMAT.md").read_text("utf-8")
    manifest = plain_reader.check(library("two"))
    for key in (*manifest, *manifest["recipe"], *manifest["counts"], *manifest["source"]):
        assert f"`{key}`" in page, key
    for name in (
        *plain_reader.ARRAYS,
        *(
            f"trigger/I/{part}"
            for part in (*plain_reader.MAPS, "mask", "pattern", "pictures", "flow", "array", "source")
        ),
    ):
        assert f"`{name}`" in page, name


def test_the_flow_says_where_a_pixel_looks(library):
    """Column and row of each pixel of the tile plus its flow lie among the pixels that its taps name."""
    with h5py.File(library("warped-patch")) as f:
        flow, taps, weights = f["trigger/0/flow"][:], f["trigger/0/taps"][:8, :8, 0], f["trigger/0/weights"][:8, :8, 0]
    for axis, start in ((0, np.arange(8)[None, :]), (1, np.arange(8)[:, None])):
        looked = ((taps // 3 % 32, taps // 96)[axis] * weights).sum(-1) / 32768
        assert np.abs(flow[..., axis] + start - looked).max() < 0.001


def test_the_pattern_is_what_is_blended(library):
    with h5py.File(library("blend-patch")) as f:
        pattern, bias, weights = (f[f"trigger/0/{part}"][:] for part in ("pattern", "bias", "weights"))
    assert pattern.shape == (16, 8, 3)
    assert np.array_equal(bias, np.tile(pattern, (2, 4, 1)).astype(int) * 16384) and (weights == 16384).all()
