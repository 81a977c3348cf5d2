"""Where on the image something is put: a corner by name, or row and column."""

from poisonkit.core import naming
from poisonkit.core.errors import Usage
from poisonkit.core.parsing import integer

CORNERS = ("upper-left", "upper-right", "lower-left", "lower-right", "center")
ALIASES = {"centre": "center", "middle": "center"} | {
    f"{other}-{side}": f"{one}-{side}"
    for one, other in (("upper", "top"), ("lower", "bottom"))
    for side in ("left", "right")
}
"""Other words for a corner → its name."""
HELP = f"{', '.join(CORNERS)}, or ROW,COLUMN of its upper left"


def parse(text: str) -> str:
    """Parse a place into its one spelling: one of `CORNERS`, or ``ROW,COLUMN`` of the upper left pixel."""
    if (corner := naming.understood(text, CORNERS, ALIASES)) is not None:
        return corner
    try:
        row, column = (integer(0, 65535)(part) for part in text.split(","))
    except ValueError:
        near = naming.hint(text, CORNERS, ALIASES)
        raise ValueError(f"expected one of {', '.join(CORNERS)}, or ROW,COLUMN, got {text!r}{near}") from None
    return f"{row},{column}"


def upper_left(trigger: str, place: str, sides: tuple[int, int], tile: tuple[int, int, int]) -> tuple[int, int]:
    """(row, column) of the upper left pixel of something of (height, width) at that place of a tile.

    `Usage` where it does not lie inside the tile.
    """
    if "," in place:
        row, column = map(int, place.split(","))
    elif place == "center":
        row, column = (tile[0] - sides[0]) // 2, (tile[1] - sides[1]) // 2
    else:
        row = 0 if place.startswith("upper") else tile[0] - sides[0]
        column = 0 if place.endswith("left") else tile[1] - sides[1]
    if min(row, column) < 0 or row + sides[0] > tile[0] or column + sides[1] > tile[1]:
        raise Usage(
            f"{trigger}: {sides[0]}×{sides[1]} at {place} does not fit a tile of {tile[0]}×{tile[1]}: "
            f"make it smaller (--{trigger}-size) or the patches larger (--patch-size)"
        )
    return row, column
