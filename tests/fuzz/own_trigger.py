"""A trigger of one's own, for the files that are damaged."""

import numpy as np


def build(tile, *, most=3):
    """Each image shifted sideways, by another distance for each row."""

    def apply(images, rows, random):
        by = random.between(rows, 1, most)[:, 0]
        return np.stack([np.roll(image, shift, axis=1) for image, shift in zip(images, by, strict=True)])

    return apply
