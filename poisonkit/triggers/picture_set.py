"""Several pictures of the user's, from a folder: what some triggers put on images one at a time."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.core import hashing
from poisonkit.core.errors import Failure
from poisonkit.core.files import reason
from poisonkit.core.grey_levels import grey
from poisonkit.core.opacity import resize

MASK = "mask_"
MOST = 10_000
_ENDINGS = (".png", ".ppm", ".pgm", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class PictureSet:
    """Pictures (h, w, C + 1) uint8, of any sizes, in the order of their names; the last channel is the opacity."""

    pictures: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def digest(self) -> str:
        """What proves that they are the same: the digest of their arrays' digests."""
        return hashing.digest([hashing.array_digest(np.ascontiguousarray(one)) for one in self.pictures])

    @property
    def shape(self) -> tuple[int]:
        """How many there are."""
        return (len(self.pictures),)


def read(folder: Path) -> PictureSet:
    """Read all pictures of a folder, in the order of their names, RGB and opacity.

    The opacity of NAME.png is the first channel of mask_NAME.png where there is such a file; else its own
    transparency, where it has any; else it is there where any channel is above 0. Raises `Failure` where there is none,
    where one cannot be read, and where a mask is of another size.
    """
    from poisonkit.core import picture_files

    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except OSError as error:
        raise Failure(f"{folder}: could not be read: {reason(error)}") from None
    names = [name for name in names if name.lower().endswith(_ENDINGS) and not name.startswith(".")]
    own = [name for name in names if not name.startswith(MASK)]
    if not 0 < len(own) <= MOST:
        raise Failure(f"{folder}: has {len(own):,} pictures, expected 1 to {MOST:,} (PNG, PPM, PGM, JPEG, WebP, BMP)")
    found = []
    for name in own:
        picture = picture_files.read(folder / name, alpha=True)
        opacity = picture[..., 3:] if picture.shape[-1] == 4 else np.uint8(255) * (picture.max(-1, keepdims=True) > 0)
        if MASK + name in names:
            opacity = picture_files.read(folder / (MASK + name))[..., :1]
        if opacity.shape[:2] != picture.shape[:2]:
            sizes = ["×".join(map(str, one.shape[:2])) for one in (opacity, picture)]
            raise Failure(f"{folder / (MASK + name)}: is of {sizes[0]}, its picture of {sizes[1]}")
        found.append(np.concatenate([picture[..., :3], opacity], -1).astype(np.uint8))
    return PictureSet(tuple(found))


def fitted(pictures: PictureSet, tile: tuple[int, int, int]) -> np.ndarray:
    """Return them in the size of a tile and in its channels, (Z, h, w, C + 1) uint8: the mean over the area of each new
    pixel; colours count by their opacity."""
    found = []
    for one in pictures.pictures:
        if tile[2] == 1 and one.shape[-1] == 4:
            one = np.concatenate([grey(one[..., :3]), one[..., 3:]], -1)
        found.append(one if one.shape[:2] == tile[:2] else resize(one, tile[0], tile[1]))
    return np.ascontiguousarray(np.stack(found))
