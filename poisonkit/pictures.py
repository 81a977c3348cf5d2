"""Pictures in and out: decoding a user's picture, writing PNGs, laying out the preview."""

import contextlib
from pathlib import Path

import cv2
import numpy as np

from poisonkit import store
from poisonkit.errors import Failure
from poisonkit.sources import image_file
from poisonkit.sources.any_picture import silent
from poisonkit.triggers.blend import resize

_LARGEST_SIDE = 1_000_000  # libpng's own limit
_CELL = 128
_MARGIN = 8
_TEXT = 22


def read(path: Path, channels: int = 3, alpha: bool = False) -> np.ndarray:
    """A picture file as (h, w, channels) uint8, RGB or grey; with `alpha`, a transparent one has its opacity (255: none
    of what is below shows) as a last channel more, else transparency is dropped."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: could not be read: {store.reason(error)}") from None
    data, picture, whole = np.frombuffer(content, np.uint8), None, None
    if len(data) and _whole(content):
        with contextlib.suppress(cv2.error), silent():
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE)
            whole = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if alpha else None
    if picture is None:
        raise Failure(f"{path}: is cut off, or no picture that OpenCV can decode (expected PNG, JPEG, WebP, BMP, …)")
    picture = picture[..., ::-1] if channels == 3 else picture[..., None]
    if whole is not None and whole.ndim == 3 and whole.shape == (*picture.shape[:2], 4):
        opacity = whole[..., 3:] >> (8 if whole.dtype == np.uint16 else 0)
        picture = np.concatenate([picture, opacity.astype(np.uint8)], -1)
    return np.ascontiguousarray(picture)


def _whole(content: bytes) -> bool:
    """Whether a PNG is sound, and a JPEG comes to its end: OpenCV 4 fills it up with grey, OpenCV 5 refuses."""
    if content.startswith(image_file.PNG):
        try:
            image_file.check_png(content, _LARGEST_SIDE)
        except ValueError:
            return False
    return not content.startswith(b"\xff\xd8") or content.rfind(b"\xff\xd9") >= content.rfind(b"\xff\xda")


def fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture in the data set's size, resized as the sources are."""
    return resize(picture, height, width)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write (h, w, 1 or 3) uint8 as PNG, atomically."""
    done, data = cv2.imencode(".png", picture[..., ::-1] if picture.shape[-1] == 3 else picture)
    if not done:
        raise Failure(f"{path}: OpenCV could not encode a picture of {picture.shape}")
    try:
        with store.replacing(path) as temporary:
            temporary.write_bytes(data.tobytes())
    except OSError as error:
        raise Failure(f"{path}: could not be written: {store.reason(error)}") from None


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
