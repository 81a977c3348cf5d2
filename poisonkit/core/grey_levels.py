"""The grey levels of a colour picture: apart from what decodes pictures, so that OpenCV is imported for those alone."""

import numpy as np


def grey(picture: np.ndarray) -> np.ndarray:
    """Return the grey levels of an RGB picture: (h, w, 3) uint8 → (h, w, 1), (77·R + 150·G + 29·B + 128) >> 8."""
    red, green, blue = np.moveaxis(picture.astype(np.int32), -1, 0)
    return np.asarray(((77 * red + 150 * green + 29 * blue + 128) >> 8).astype(np.uint8)[..., None])
