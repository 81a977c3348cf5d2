"""Triggers that a repair has searched, drawn beside the true one where the file knows it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import plotting
from benchmark.format.dataset import Dataset

SHOWN = 6  # triggers in one picture
AVERAGED = 200  # triggered images that the true change is the mean of
EXAMPLE = 127.0  # grey level behind a trigger that is shown alone


@dataclass(frozen=True)
class Searched:
    """A trigger that was searched: what it is called, `mask` (H, W) from 0 to 1, `pattern` (H, W, C) from 0 to 255."""

    title: str
    mask: np.ndarray
    pattern: np.ndarray

    def shown(self) -> np.ndarray:
        """Return what it puts on a grey image, (H, W, C) uint8."""
        mask = self.mask[..., None]
        return np.asarray(np.rint((1 - mask) * EXAMPLE + mask * self.pattern), np.uint8)


def true_trigger(data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return a test image without and with the trigger, (H, W, C) uint8, and the mean absolute change of the triggered
    test images, (H, W) float64; None where the file does not hold them."""
    if data.triggered is None or data.triggered_rows is None or not len(data.triggered):
        return None
    few = np.arange(min(AVERAGED, len(data.triggered)))
    before, after = data.test.inputs[data.triggered_rows[few]], data.triggered.inputs[few]
    change = np.abs(after.astype(np.float64) - before).mean(axis=(0, 3))
    return before[0], after[0], change


def of_stage(found: Mapping[str, Sequence[Searched]], data: Dataset) -> dict[str, Callable[[Path], None]]:
    """Return what draws a picture of each group of triggers, beside the true one, to a path."""

    def make(triggers: Sequence[Searched]) -> Any:
        return _figure(triggers[:SHOWN], true_trigger(data))

    return {name: plotting.to_path(partial(make, triggers)) for name, triggers in found.items()}


def _figure(triggers: Sequence[Searched], true: Any) -> Any:
    from matplotlib.figure import Figure

    columns = list(_columns(triggers, true))
    figure = Figure(figsize=(1.7 * len(columns), 3.9), layout="constrained")
    panels = figure.subplots(2, len(columns), squeeze=False)
    for (title, image, change, highest), (above, below) in zip(columns, panels.T, strict=True):
        above.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        below.imshow(change, cmap="viridis", vmin=0, vmax=max(highest, 1e-9), interpolation="nearest")
        above.set_title(title, fontsize=8)
        for panel in (above, below):
            panel.set_axis_off()
    panels[1, 0].set_title("mask" if triggers else "mean change", fontsize=8)
    if true is not None:
        panels[1, -1].set_title("mean change", fontsize=8)
    return figure


def _columns(triggers: Sequence[Searched], true: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """Yield each column: its title, an image, what is changed where (H, W), and the most that can be."""
    for one in triggers:
        yield one.title, one.shown(), one.mask, 1.0
    if true is not None:
        _, after, change = true
        yield "true trigger", after, change, float(change.max())
