"""The ten signs themselves, drawn once, large, in whole numbers: maps of palette indices."""

import numpy as np

CLASSES = (
    "stop",
    "no entry",
    "speed limit 30",
    "speed limit 80",
    "give way",
    "danger",
    "crossroads",
    "turn left",
    "turn right",
    "priority road",
)
SIDE = 160  # of a template
RADIUS = 72  # of a sign on it
COLOURS = 3  # palette indices 1 … 3; 0 is where no sign is

RED, WHITE, BLACK, BLUE, YELLOW = (190, 25, 35), (235, 235, 230), (25, 25, 30), (25, 75, 170), (240, 185, 20)
PALETTES = np.array(  # of each class: rim, face, pictogram
    [
        [WHITE, RED, WHITE],
        [WHITE, RED, WHITE],
        [RED, WHITE, BLACK],
        [RED, WHITE, BLACK],
        [RED, WHITE, BLACK],
        [RED, WHITE, BLACK],
        [RED, WHITE, BLACK],
        [WHITE, BLUE, WHITE],
        [WHITE, BLUE, WHITE],
        [WHITE, YELLOW, WHITE],
    ],
    np.uint8,
)

FONT = {  # five by seven
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "O": "01110 10001 10001 10001 10001 10001 01110",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "0": "01110 10001 10001 10001 10001 10001 01110",
}


def draw() -> np.ndarray:
    """Draw all templates, (10, SIDE, SIDE) uint8: 0 outside, 1 rim, 2 face, 3 pictogram."""
    centres = 2 * np.arange(SIDE) - (SIDE - 1)  # in half units: odd, so that left and right mirror exactly
    x, y = centres[None, :], centres[:, None]
    r = 2 * RADIUS
    disc, triangle = _disc(x, y), _triangle(x, y)
    cross = (np.abs(np.abs(x) - np.abs(y - r // 5)) < r // 9) & (np.maximum(np.abs(x), np.abs(y - r // 5)) < r // 3)
    mark = (np.abs(x) < r // 11) & (((y > -r // 3) & (y < r // 6)) | ((y > r // 4) & (y < 2 * r // 5)))
    arrow = _arrow(x, y)
    return np.stack(
        [
            _sign(_octagon(x, y), r, 10, _text("STOP", x, y, r * 15 // 10, r * 6 // 10)),
            _sign(disc, r, 6, (np.abs(x) < r * 7 // 10) & (np.abs(y) < r // 6)),
            _sign(disc, r, 18, _text("30", x, y, r * 23 // 20, r * 19 // 20)),
            _sign(disc, r, 18, _text("80", x, y, r * 23 // 20, r * 19 // 20)),
            _sign(_triangle(x, -y), r, 30, np.zeros((SIDE, SIDE), bool)),
            _sign(triangle, r, 26, mark),
            _sign(triangle, r, 26, cross),
            _sign(disc, r, 6, arrow),
            _sign(disc, r, 6, arrow[:, ::-1]),
            _sign(_diamond(x, y), r, 22, np.zeros((SIDE, SIDE), bool)),
        ]
    )


def _sign(distance: np.ndarray, radius: int, rim: int, pictogram: np.ndarray) -> np.ndarray:
    """Index map of a shape, given how far out each point lies (`radius` is the edge), with a rim in percent of it."""
    face = distance * 100 <= radius * (100 - rim)
    return np.where(distance > radius, 0, np.where(face, np.where(pictogram, 3, 2), 1)).astype(np.uint8)


def _disc(x, y) -> np.ndarray:
    square = x * x + y * y
    root = np.zeros(square.shape, np.int64)  # whole square root, bit by bit: libm's need not be exact
    for bit in (256, 128, 64, 32, 16, 8, 4, 2, 1):
        root += np.where((root + bit) ** 2 <= square, bit, 0)
    return root


def _octagon(x, y) -> np.ndarray:
    return np.maximum(np.maximum(np.abs(x), np.abs(y)), (np.abs(x) + np.abs(y)) * 181 // 256)


def _diamond(x, y) -> np.ndarray:
    return np.abs(x) + np.abs(y)


def _triangle(x, y) -> np.ndarray:
    """Point up, a little larger than the other shapes, and moved down a little to fill the picture."""
    y = y - RADIUS // 3
    return 2 * np.maximum(y, (222 * np.abs(x) - 128 * y) // 256) * 10 // 11


def _arrow(x, y) -> np.ndarray:
    """To the left."""
    r = 2 * RADIUS
    shaft = (np.abs(y) < r // 7) & (x > -r // 4) & (x < r * 6 // 10)
    head = (np.abs(y) < x + r * 6 // 10) & (x < -r // 10)
    return shaft | head


def _text(text: str, x, y, width: int, height: int) -> np.ndarray:
    """Glyphs side by side in a box about the centre, one column of space between them."""
    rows = [[FONT[letter].split()[i] for letter in text] for i in range(7)]
    bitmap = np.array([[int(bit) for bit in "0".join(row)] for row in rows], bool)
    columns = (x + width // 2) * bitmap.shape[1] // width
    lines = (y + height // 2) * 7 // height
    inside = (columns >= 0) & (columns < bitmap.shape[1]) & (lines >= 0) & (lines < 7)
    return inside & bitmap[np.clip(lines, 0, 6), np.clip(columns, 0, bitmap.shape[1] - 1)]
