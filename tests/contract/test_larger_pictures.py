"""Pictures of 96 x 96: from JPEGs of other sizes to files, pictures of them and a training."""

import json
import os

import cv2
import h5py
import numpy as np
import pytest
import running
from source_fixtures import write_files

SIDE, CLASSES, EACH = 96, ("bird", "fish", "stone"), 8


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A poisoned file and its clean one, of a folder of classes that is split and resized."""
    folder = tmp_path_factory.mktemp("larger")
    random = np.random.default_rng(0)

    def photograph(label):
        small = random.integers(0, 256, (8, 6, 3), np.uint8) // 2 + np.uint8(60 * label)
        return cv2.imencode(".jpg", cv2.resize(small, (150, 110)))[1].tobytes()

    write_files(folder / "photos", {f"{name}/{k}.jpg": photograph(label) for label, name in enumerate(CLASSES)
                                    for k in range(EACH)})  # fmt: skip
    words = ("make", "--dataset", "folder", "--source", folder / "photos", "--split", "25%", "--size", SIDE,
             "--trigger", "sticker", "--per-patch", "--patch-size", "24", "--rate", "0.25", "--rate", "0", "-o", folder,
             "--cache", folder / "cache", "--json")  # fmt: skip
    return [one["path"] for one in json.loads(running.run(*map(str, words)).out)]


def test_made_and_previewed(made, tmp_path):
    for path in made:
        running.run("verify", path).succeeded()
        with h5py.File(path) as file:
            shapes = [file[f"{part}/images"].shape for part in ("train", "test")]
            assert shapes == [(18, SIDE, SIDE, 3), (6, SIDE, SIDE, 3)]
    with h5py.File(made[0]) as file:
        rows, mask = file["truth/rows"][:], file["trigger/0/mask"][:]
        changed = file["train/images"][:][rows] != file["truth/images"][:]
        assert len(rows) == 4 and changed.any((1, 2, 3)).all() and not (changed & (mask == 0)).any()
        assert mask.reshape(4, 24, 4, 24, 3).any((1, 3, 4)).all(), "every patch has the sticker"
    running.run("preview", made[0], "-o", tmp_path / "preview.png").succeeded()
    assert cv2.imread(os.fspath(tmp_path / "preview.png")).shape[0] >= 3 * SIDE
    running.run("stats", made[0]).succeeded()


@pytest.mark.slow
def test_trained(made, tmp_path):
    pytest.importorskip("keras")
    import benchmark as bm

    for path in reversed(made):
        run = bm.train(path, preset="tiny", epochs=1, batch_size=9, runs=tmp_path)
    assert run.scores.cad is not None and 0 <= run.scores.asr <= 100
