"""Write figures in one look, the same bytes every time."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.core import extras, files

_LOOK = {
    "font.size": 9, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": "#dddddd", "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False,
    "lines.linewidth": 1.6, "lines.markersize": 5, "svg.hashsalt": "poisonkit", "savefig.dpi": 160,
    "pdf.fonttype": 42, "text.parse_math": False,  # names have dollars
}  # fmt: skip

METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Form → what is not written, so that the same figure is the same file."""


def to_path(make: Callable[[], Any]) -> Callable[[Path], None]:
    """Return what draws, into the file that it is given, the figure that `make` makes."""

    def draw(path: Path) -> None:
        save(_made(path.stem, make), path.parent, (path.suffix[1:],))

    return draw


def _made(name: str, make: Callable[[], Any]) -> Iterator[tuple[str, Any]]:
    """Make a figure when it is asked for: in our look."""
    yield name, make()


def save(drawn: Iterator[tuple[str, Any]], folder: Path, forms: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write figures, (name, figure), into a folder in each form, drawn in our look one at a time; the paths."""
    matplotlib = extras.need("matplotlib")
    files.make_output(folder)
    paths = []
    with matplotlib.rc_context(_LOOK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of names in other scripts: an empty box stands there
        for name, figure in drawn:
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once: a second time moves things in their last digits
            for form in forms:
                path = folder / f"{name}.{form}"
                files.refuse_link(path)
                with files.replacing(path) as temporary:
                    figure.savefig(temporary, format=form, metadata=METADATA[form], bbox_inches="tight")
                paths.append(path)
    return paths
