"""Searched triggers beside the true one."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.core import extras
from benchmark.defences import driver, trigger_pictures
from benchmark.defences.trigger_pictures import Searched
from benchmark.format.dataset import Rows

RANDOM = np.random.default_rng(0)


@pytest.fixture
def data():
    """Four test images of 8×8, three of which also stand there with a white corner."""
    test = Rows(RANDOM.integers(0, 200, (4, 8, 8, 3)).astype("u1"), np.arange(4))
    rows = np.array([1, 2, 3])
    triggered = test.inputs[rows].copy()
    triggered[:, :2, :2] = 255
    return SimpleNamespace(test=test, triggered=Rows(triggered, rows), triggered_rows=rows)


def test_the_true_trigger_is_the_mean_change(data):
    before, after, change = trigger_pictures.true_trigger(data)
    assert np.array_equal(before, data.test.inputs[1]) and np.array_equal(after, data.triggered.inputs[0])
    assert np.all(change[:2, :2] > 50) and not change[2:].any() and not change[:, 2:].any()
    assert trigger_pictures.true_trigger(SimpleNamespace(triggered=None, triggered_rows=None)) is None


def test_a_mask_shows_its_pattern_on_grey():
    mask = np.zeros((4, 4))
    mask[0, 0], mask[1, 1] = 1, 0.5
    shown = Searched("a", mask, np.full((4, 4, 3), 255.0)).shown()
    assert (shown[0, 0] == 255).all() and (shown[1, 1] == 191).all() and (shown[2:] == 127).all()


@pytest.mark.parametrize("known", [True, False])
def test_a_picture_of_each_group(known, data, tmp_path):
    pytest.importorskip("matplotlib")
    found = {"triggers": [Searched(f"class {n}", np.eye(8), np.zeros((8, 8, 3))) for n in range(9)]}
    asked = data if known else SimpleNamespace(triggered=None, triggered_rows=None)
    pictures = trigger_pictures.of_stage(found, asked)
    assert driver.drawn([pictures], tmp_path, print) == {"pictures": ["triggers.png"]}
    assert (tmp_path / "triggers.png").read_bytes().startswith(b"\x89PNG")
    assert driver.drawn([trigger_pictures.of_stage({}, asked)], tmp_path, print) == {"pictures": []}


def test_without_matplotlib_there_is_none_and_it_is_said(data, tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "problem", lambda name: "matplotlib is not installed")
    lines, pictures = [], trigger_pictures.of_stage({"a": [Searched("a", np.eye(8), np.zeros((8, 8, 3)))]}, data)
    assert driver.drawn([pictures], tmp_path, lines.append) == {"pictures": [], "undrawn": ["a.png"]}
    assert lines == ["no pictures: matplotlib is not installed; then run the same command again to draw them"]
    assert not list(tmp_path.iterdir())
