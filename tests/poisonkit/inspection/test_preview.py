"""`preview`: a picture of originals, poisoned images and the difference."""

import cv2
import damage
import h5py
import numpy as np
import pytest
from running import RECIPES

from poisonkit.inspection import pictures


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]


@pytest.mark.parametrize("name", RECIPES)
def test_every_file_has_one(poisonkit, library, tmp_path, name):
    result = poisonkit("preview", library(name), "-o", tmp_path / "new" / "p.png").succeeded()
    assert result.lines == [f"wrote {tmp_path / 'new' / 'p.png'}"]
    picture = read(tmp_path / "new" / "p.png")
    assert picture.dtype == np.uint8 and picture.ndim == 3 and (picture != 255).any()


def test_it_shows_original_poisoned_and_difference(poisonkit, library, tmp_path):
    """The three columns, four times as large, lie somewhere on the sheet, in this order."""
    poisonkit("preview", library("blend"), "-o", tmp_path / "p.png", "--rows", "2", "--amplify", "2").succeeded()
    sheet = read(tmp_path / "p.png")
    with h5py.File(library("blend")) as f:
        rows, originals = f["truth/rows"][()], f["truth/images"][()]
        poisoned = f["train/images"][()][rows]
    difference = (128 + 2 * (poisoned.astype(int) - originals)).clip(0, 255).astype(np.uint8)
    for i in (0, len(rows) - 1):
        found = []
        for image in (originals[i], poisoned[i], difference[i]):
            large = image.repeat(4, 0).repeat(4, 1)
            places = cv2.matchTemplate(sheet, large, cv2.TM_SQDIFF)
            y, x = np.unravel_index(places.argmin(), places.shape)
            assert np.array_equal(sheet[y : y + 128, x : x + 128], large)
            found.append((x, y))
        assert found[0][0] < found[1][0] < found[2][0] and len({y for _, y in found}) == 1


@pytest.mark.parametrize("name", ["adaptive-k-way", "one-of", "physical"])
def test_test_rows_are_shown_where_they_get_something_else(poisonkit, library, tmp_path, name):
    """After the training rows, as many of them; a trigger that is the same on all shows training rows alone."""
    sheets = {}
    for one in (name, "square"):
        target = tmp_path / f"{one}.png"
        poisonkit("preview", library(one), "-o", target, "--rows", "2").succeeded()
        sheets[one] = read(target)
    assert sheets[name].shape[0] > 1.8 * sheets["square"].shape[0]
    with h5py.File(library(name)) as f:
        first, last = f["triggered/images"][0], f["triggered/images"][-1]
    for image in (first, last):
        large = image.repeat(4, 0).repeat(4, 1)
        places = cv2.matchTemplate(sheets[name], large, cv2.TM_SQDIFF)
        y, x = np.unravel_index(places.argmin(), places.shape)
        assert np.array_equal(sheets[name][y : y + 128, x : x + 128], large)


def drawn(text: str) -> np.ndarray:
    """A text as the sheet's font has it."""
    canvas = np.full((40, 400, 3), 255, np.uint8)
    cv2.putText(canvas, text, (5, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    return canvas


def test_titles_and_captions_have_no_letter_that_the_font_has_not(poisonkit, library, tmp_path, monkeypatch):
    put, texts = cv2.putText, []
    monkeypatch.setattr(cv2, "putText", lambda canvas, text, *more: texts.append(text) or put(canvas, text, *more))
    poisonkit("preview", library("square"), "-o", tmp_path / "p.png", "--rows", "1").succeeded()
    arrow = "→" if cv2.__version__.split(".")[0] >= "5" else ">"
    assert texts[:3] == ["original", "poisoned", "difference ×4" if arrow == "→" else "difference x4"]
    assert f" {arrow} " in texts[3]
    for letter in set("".join(texts)) - set("?"):
        assert not np.array_equal(drawn(letter), drawn("?" * len(letter.encode()))), letter


def test_what_a_font_without_unicode_gets():
    assert pictures.drawable("straße ×4 → ↑\n", unicode=False) == "stra?e x4 > ??"
    assert pictures.drawable("straße ×4 → ↑\n\u202e", unicode=True) == "straße ×4 → ↑??"


def test_more_rows_are_a_taller_picture(poisonkit, library, tmp_path):
    heights = []
    for rows in ("1", "3", "20", "100"):
        poisonkit("preview", library("square"), "-o", tmp_path / "p.png", "--rows", rows, "--force").succeeded()
        heights.append(read(tmp_path / "p.png").shape[0])
    assert heights[0] < heights[1] < heights[2] == heights[3], "there are 20 poisoned rows"


def test_the_same_picture_twice(poisonkit, library, tmp_path):
    for name in ("a.png", "b.png"):
        poisonkit("preview", library("blend"), "-o", tmp_path / name).succeeded()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"truth/rows": {0: -1}},
        {"truth/rows": {19: 200}},
        {"truth/rows": {0: 2**63 - 1}},
        {"truth/labels": {0: -1}},
        {"truth/labels": {0: 10}},
        {"truth/labels": {19: -(2**63)}},
    ],
    ids=str,
)
def test_rows_and_labels_that_are_none(poisonkit, library, tmp_path, changes):
    path = damage.copy(library("square"), tmp_path)
    for array, values in changes.items():
        damage.set_rows(path, array, values)
    damage.reseal(path)
    poisonkit("preview", path, "-o", tmp_path / "p.png").failed(1, str(path), next(iter(changes)))
    assert not (tmp_path / "p.png").exists()


def test_outputs_that_cannot_be(poisonkit, library, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder.png").mkdir()
    path = damage.copy(library("square"), tmp_path)
    before = path.read_bytes()
    for where in (tmp_path / "file" / "p.png", tmp_path / "folder.png", tmp_path / ("x" * 300 + ".png")):
        poisonkit("preview", path, "-o", where).failed(1, "could not be written")
    for where in (tmp_path / "file", path, tmp_path):
        poisonkit("preview", path, "-o", where).failed(2, "-o: expected a name that ends in .png")
    assert path.read_bytes() == before and (tmp_path / "file").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["changed.h5", "file", "folder.png"]


@pytest.mark.parametrize(("name", "ending"), [("square", "png"), ("text-word", "txt")])
def test_nothing_is_overwritten_without_force(poisonkit, library, tmp_path, name, ending):
    target = tmp_path / f"p.{ending}"
    target.write_bytes(b"precious")
    asked = ("preview", library(name), "-o", target)
    poisonkit(*asked).failed(1, "already exists: use --force to overwrite it, or choose another -o")
    assert target.read_bytes() == b"precious"
    poisonkit(*asked, "--force").succeeded()
    assert target.read_bytes() != b"precious"
