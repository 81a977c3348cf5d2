"""Pictures in and out: decoding a user's picture, writing PNGs, laying out the preview."""

from pathlib import Path

import cv2
import numpy as np

from poisonkit.core import images as image_file
from poisonkit.core import picture_files
from poisonkit.core.errors import Failure
from poisonkit.format import reader
from poisonkit.triggers.image.blend import resize

_LARGEST_SIDE = 1_000_000  # libpng's own limit
_CELL = 128
_MARGIN = 8
_TEXT = 22


def read(path: Path, channels: int = 3, alpha: bool = False) -> np.ndarray:
    """A picture file as (h, w, channels) uint8, RGB or grey, decoded as those of a source are; with `alpha`, a
    transparent one has its opacity (255: none of what is below shows) as a last channel more, else transparency is
    dropped."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: could not be read: {reader.reason(error)}") from None
    image_file.quiet()
    try:
        with picture_files.silent():
            picture = picture_files.decode(content, channels, alpha, _LARGEST_SIDE)
    except ValueError as error:
        raise Failure(f"{path}: {error}") from None
    return np.ascontiguousarray(picture)


def fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture in the data set's size, resized as the sources are."""
    return resize(picture, height, width)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write (h, w, 1 or 3) uint8 as PNG, atomically."""
    done, data = cv2.imencode(".png", picture[..., ::-1] if picture.shape[-1] == 3 else picture)
    if not done:
        raise Failure(f"{path}: OpenCV could not encode a picture of {picture.shape}")
    try:
        with reader.replacing(path) as temporary:
            temporary.write_bytes(data.tobytes())
    except OSError as error:
        raise Failure(f"{path}: could not be written: {reader.reason(error)}") from None


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
    text = text.encode("ascii", "replace").decode()
    scale = 0.5
    while scale > 0.25 and cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] > width:
        scale -= 0.05
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (40, 40, 40), 1, cv2.LINE_AA)
