"""Pictures in and out: decoding a user's picture, writing PNGs, laying out the preview."""

import cv2
import numpy as np

_CELL = 128
_MARGIN = 8
_TEXT = 22
UNICODE = int(cv2.__version__.split(".")[0]) >= 5
"""Whether OpenCV's font has more letters than ASCII's."""


def sheet(columns: list[tuple[str, np.ndarray]], captions: list[str]) -> np.ndarray:
    """Columns of pictures side by side, a title over each and a caption under each row. Returns (H, W, 3) uint8."""
    scale = max(1, _CELL // max(columns[0][1].shape[1:3]))
    height, width = (side * scale for side in columns[0][1].shape[1:3])
    row = height + _TEXT + _MARGIN
    canvas = np.full(
        (_TEXT + _MARGIN + len(captions) * row, _MARGIN + len(columns) * (width + _MARGIN), 3), 255, np.uint8
    )
    for c, (title, images) in enumerate(columns):
        x = _MARGIN + c * (width + _MARGIN)
        _text(canvas, title, x, _TEXT - 5, width)
        for r, image in enumerate(images):
            y = _TEXT + _MARGIN + r * row
            large = np.repeat(np.repeat(image, scale, 0), scale, 1)
            canvas[y : y + height, x : x + width] = large
    for r, caption in enumerate(captions):
        _text(canvas, caption, _MARGIN, (r + 1) * row + _MARGIN + _TEXT - 12, canvas.shape[1] - 2 * _MARGIN)
    return canvas


def _text(canvas: np.ndarray, text: str, x: int, y: int, width: int) -> None:
    """Dark text, made smaller until it fits the width."""
    text = drawable(text, UNICODE)
    scale = 0.5
    while scale > 0.25 and cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] > width:
        scale -= 0.05
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (40, 40, 40), 1, cv2.LINE_AA)


def drawable(text: str, unicode: bool) -> str:
    """Return a text as a font can draw it, in one line: without `unicode`, in ASCII."""
    if not unicode:
        text = text.replace("×", "x").replace("→", ">").encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in text)
