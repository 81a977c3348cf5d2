"""Plots of heads: layers × heads, distributions of scores, attention, ASR against BA along an alignment."""

import numpy as np

_BLUE, _VERMILION, _GREY = "#0072B2", "#D55E00", "#555555"
_LINES = (
    (_VERMILION, "-"), (_BLUE, (0, (5, 2))), ("#009E73", (0, (1, 1.2))), ("#882255", (0, (5, 1, 1, 1))),
    ("#E69F00", (0, (8, 3))), ("#56B4E9", (0, (3, 1))), ("#CC79A7", (0, (1, 3))), (_GREY, (0, (2, 2))),
)  # fmt: skip
_MARKERS = "os^DvPX*"
SIGNED = "PuOr_r"
NEAREST = {"balance": 1.0, "points": 5.0, "signed": 1e-9}
"""Kind of heat map → the least value of the darkest shade: a difference of one test text must not look dark."""
ACROSS = 3


def grids(panels: list[tuple[str, np.ndarray, str]], title: str):
    """Draw heat maps, layers × heads, three a row: (words, values (L, H), kind), with the numbers in their cells.

    `kind` is `share` (0 … 1, one shade), `balance` (−1 … 1, two shades, white at 0), `signed` (the same two, as far as
    the values go) or `points` (of a percentage: signed, but 5 at least). Panels of shares and of balances can be
    compared by their shades, the others by their numbers.
    """
    from matplotlib.figure import Figure

    layers, heads = panels[0][1].shape
    columns = min(ACROSS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=((0.42 * heads + 1.5) * columns, (0.36 * layers + 1.2) * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, (words, values, kind) in zip(axes, panels, strict=False):
        far = 1.0 if kind == "share" else max(float(np.nanmax(np.abs(values))), NEAREST[kind])
        shades, low, high = ("cividis", 0, far) if kind == "share" else (SIGNED, -far, far)
        drawn = panel.imshow(values, aspect="auto", cmap=shades, vmin=low, vmax=high)
        _numbers(panel, values, drawn)
        panel.set(title=words, xlabel="head", ylabel="layer", xticks=range(heads), yticks=range(layers))
        panel.grid(False)
    for panel in axes[len(panels) :]:
        panel.set_axis_off()
    figure.suptitle(title, fontsize=9)
    return figure


def _numbers(panel, values: np.ndarray, drawn) -> None:
    for (layer, head), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = drawn.cmap(drawn.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            colour = "white" if dark else "black"
            panel.text(head, layer, _short(value), ha="center", va="center", fontsize=5.5, color=colour)


def _short(value: float) -> str:
    """In three digits at most: .07, -.52, 1.4, -23."""
    if abs(value) < 0.995:
        return f"{value:.2f}".replace("0.", ".", 1)
    return f"{value:.1f}" if abs(value) < 9.95 else f"{value:.0f}"


def distributions(panels: list[tuple[str, dict[str, np.ndarray]]], title: str):
    """Draw how scores are distributed: one panel for each (words, set → scores), cumulative."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * len(panels), 3.6), layout="constrained")
    for panel, (words, sets) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for number, (name, scores) in enumerate(sets.items()):
            colour, dashes = _LINES[number % len(_LINES)]
            shares = 100 * np.arange(1, len(scores) + 1) / len(scores)
            panel.step(np.sort(scores), shares, where="post", color=colour, linestyle=dashes, label=name)
        low, high = np.percentile(np.concatenate(list(sets.values())), (0.5, 99.5))
        panel.set(xlabel=words, ylabel="cumulative share of texts (%)", xlim=(low, max(high, low + 1e-6)))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), fontsize=8)
    figure.suptitle(title, fontsize=9)
    return figure


def attention(sentences: list[tuple[str, list[str], np.ndarray]], title: str):
    """Draw a head's attention from [CLS]: one panel for each (words, tokens, attention (tokens,))."""
    from matplotlib.figure import Figure

    widest = max(len(tokens) for _, tokens, _ in sentences)
    figure = Figure(figsize=(max(4, 0.42 * widest + 1), 2.1 * len(sentences)), layout="constrained")
    panels = figure.subplots(len(sentences), 1, squeeze=False, sharey=True)[:, 0]
    for panel, (words, tokens, weights) in zip(panels, sentences, strict=True):
        panel.bar(range(len(tokens)), weights, color=_BLUE)
        panel.set_xticks(range(len(tokens)), tokens, rotation=50, ha="right", fontsize=7)
        panel.set(ylabel="attention", xlim=(-0.6, widest - 0.4))
        panel.set_title(words, fontsize=8)
    figure.suptitle(title, fontsize=9)
    return figure


def paths(lines: dict[str, list[tuple[float, float]]], title: str):
    """Draw ASR against BA along each variant of an alignment: (BA, ASR) in percent, untouched and after each epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    panel = figure.subplots()
    for number, (name, points) in enumerate(lines.items()):
        colour, dashes = _LINES[number % len(_LINES)]
        ba, asr = zip(*points, strict=True)
        panel.plot(asr, ba, color=colour, linestyle=dashes, marker=_MARKERS[number % len(_MARKERS)], markersize=4,
                   markevery=slice(1, None) if len(points) > 1 else None, label=name)  # fmt: skip
    panel.set(xlabel="ASR (%)", ylabel="BA (%)", xlim=(-4, 104))
    panel.legend(fontsize=7)
    panel.set_title(title, fontsize=9)
    return figure
