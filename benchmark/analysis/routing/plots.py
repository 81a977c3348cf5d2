"""Pictures of the routing: which patches the experts take of one image, and over a whole test set."""

import numpy as np

from benchmark.analysis.routing import measure
from benchmark.analysis.routing.measure import Measured, Routes

SHADES = "cividis"  # read alike in greyscale and by everybody's eyes
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#882255", "#555555", "#E69F00", "#56B4E9", "#CC79A7")
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1, 1, 1)))


def image(pictures: list[tuple[str, np.ndarray, Routes]], title: str):
    """One row for each (words, image (H, W, C) uint8, its routes): the image, then what each expert takes of it.

    Each patch is drawn where its receptive field is centred, which is not its nominal cell; a frame shows how far the
    first one taken sees.
    """
    from matplotlib.figure import Figure

    experts = pictures[0][2].taken.shape[2]
    size = (1.6 * (experts + 1), 1.75 * len(pictures) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(pictures), experts + 1, squeeze=False)
    for row, (words, picture, routes) in zip(panels, pictures, strict=True):
        for number, panel in enumerate(row):
            panel.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
            if number:
                _shade(panel, picture.shape, routes, number - 1)
        row[0].set_ylabel(words)
    panels[0][0].set_title("image")
    for number in range(experts):
        panels[0][number + 1].set_title(f"expert {number + 1}")
    figure.suptitle(title, fontsize=9)
    return figure


def _shade(panel, shape, routes: Routes, expert: int) -> None:
    """Darken what the expert does not take, frame what it takes, and show how far the first of them sees."""
    from matplotlib.patches import Rectangle

    (height, width), (rows, columns) = shape[:2], routes.grid
    down, across = -(-height // rows), -(-width // columns)
    veil = np.full((height, width, 4), (0, 0, 0, 0.62))
    reach, first = measure.FIELD, not routes.tokens
    for patch in np.flatnonzero(routes.taken[0, :, expert]):
        y, x = measure.centre(patch // columns, height, rows), measure.centre(patch % columns, width, columns)
        top, left = y - down // 2, x - across // 2
        if routes.tokens:  # a token stands where it was cut out
            top, left = patch // columns * down, patch % columns * across
        veil[max(0, top) : top + down, max(0, left) : left + across] = 0
        frame = Rectangle((left - 0.5, top - 0.5), across, down, fill=False, edgecolor="white", linewidth=0.7)
        panel.add_patch(frame)
        if first:
            corner = (x - reach // 2 - 0.5, y - reach // 2 - 0.5)
            panel.add_patch(
                Rectangle(corner, reach, reach, fill=False, edgecolor=_COLOURS[1], linewidth=1, linestyle="--")
            )
            first = False
    panel.imshow(veil)
    panel.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def overview(found: Measured, title: str):
    """Over the test set: how often each expert takes each patch, without and with the trigger, and the difference."""
    from matplotlib.figure import Figure

    grid, experts = found.grid, found.experts
    rows = [("clean", np.array(found.frequency), 0, 1, SHADES)]
    if found.triggered is not None:
        triggered = np.array(found.triggered.frequency)
        rows += [("triggered", triggered, 0, 1, SHADES), ("difference", triggered - rows[0][1], -1, 1, "PuOr")]
    figure = Figure(figsize=(1.7 * experts + 1.1, 1.75 * len(rows) + 0.5), layout="constrained")
    panels = figure.subplots(len(rows), experts, squeeze=False)
    for line, (words, values, low, high, shades) in zip(panels, rows, strict=True):
        for expert, panel in enumerate(line):
            drawn = panel.imshow(values[expert].reshape(grid), cmap=shades, vmin=low, vmax=high)
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
        line[0].set_ylabel(words)
        figure.colorbar(drawn, ax=line.tolist(), shrink=0.85, format="{x:+.0%}" if low else "{x:.0%}")
    for expert, panel in enumerate(panels[0]):
        panel.set_title(f"expert {expert + 1}")
    figure.suptitle(title, fontsize=9)
    return figure


def values(found: Measured, title: str):
    """How bright the patches are that each expert takes (Figure 7), and how their rank goes with the gate's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    shares, edges = found.brightness, np.array(found.brightness.edges)
    left.stairs(100 * np.array(shares.all), edges, fill=True, color="#dddddd", label="all patches")
    for expert, taken in enumerate(shares.taken):
        style = {"color": _COLOURS[expert % len(_COLOURS)], "linestyle": _DASHES[expert % len(_DASHES)]}
        left.stairs(100 * np.array(taken), edges, label=f"expert {expert + 1}", linewidth=1.4, **style)
    left.set(xlabel="mean grey level of a patch", ylabel="share of patches (%)", xlim=(0, 256))
    left.legend(fontsize=7)
    for number, name in enumerate(measure.FEATURES):
        for expert, one in enumerate(found.correlation[name]):
            if one.mean is None or one.low is None or one.high is None:
                continue
            x = number + 0.12 * (expert - (found.experts - 1) / 2)
            bar = [[one.mean - one.low], [one.high - one.mean]]
            colour = _COLOURS[expert % len(_COLOURS)]
            right.errorbar(x, one.mean, bar, fmt="osD^v"[expert % 5], color=colour, markersize=4, capsize=2)
    right.axhline(0, color="#888888", linewidth=0.8)
    right.set(xticks=range(len(measure.FEATURES)), xticklabels=measure.FEATURES, ylim=(-1, 1))
    right.set_ylabel("rank correlation with the gate")
    figure.suptitle(title, fontsize=9)
    return figure


def shifts(layers: list[tuple[str, np.ndarray]], title: str):
    """Where suspicious rows are routed: of each layer a line of heat maps, an expert each, of values (rows, columns,
    E): how many standard deviations more, or less, a cell's gate is than usual."""
    from matplotlib.figure import Figure

    experts = max(values.shape[2] for _, values in layers)
    figure = Figure(figsize=(1.7 * experts + 1.1, 1.75 * len(layers) + 0.6), layout="constrained")
    panels = figure.subplots(len(layers), experts, squeeze=False)
    far = max(1.0, *(float(np.abs(values).max()) for _, values in layers))
    for line, (words, values) in zip(panels, layers, strict=True):
        for expert, panel in enumerate(line):
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
            if expert >= values.shape[2]:
                panel.set_axis_off()
                continue
            drawn = panel.imshow(values[..., expert], cmap="PuOr_r", vmin=-far, vmax=far)
            panel.set_title(f"expert {expert + 1}")
        line[0].set_ylabel(words)
    figure.colorbar(drawn, ax=panels.ravel().tolist(), shrink=0.85, format="{x:+.1f}", label="deviations")
    figure.suptitle(f"{title}: gates of suspicious rows less what is usual", fontsize=9)
    return figure
