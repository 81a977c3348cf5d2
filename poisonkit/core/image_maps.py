"""What a trigger does to images: one of three kinds. A `Stencil` and a `Table` are the same on every row, and a file
holds them; a `Function` is what is neither, such as a JPEG's loss, or a rotation that is drawn for each row."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from poisonkit.core.errors import Failure
from poisonkit.core.stencil import Stencil
from poisonkit.core.table import Table

Shape = tuple[int, int, int]
Run = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(n, h, w, C) uint8 and the numbers of these rows, (n,) int64 → the same images with the trigger."""


class ImageMap(Protocol):
    """What `Stencil`, `Table` and `Function` have in common."""

    @property
    def shape(self) -> Shape:
        """(H, W, C) of the images that it maps."""
        ...

    def put(self, images: np.ndarray, rows: np.ndarray, threads: int = 1, total: int | None = None) -> np.ndarray:
        """Map images (n, H, W, C) uint8, which are the rows of these numbers, (n,) int64, of their part. `total` is the
        number of images that this and all further calls will map, if it is known."""
        ...

    def mask(self) -> np.ndarray:
        """(H, W, C) uint8: 1 where the output can differ from the input."""
        ...

    def constant(self) -> np.ndarray:
        """(H, W, C) bool: where the output does not depend on the image at all."""
        ...

    def tile(self, height: int, width: int) -> "ImageMap":
        """Repeat it on every tile of a larger image."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what a file has of it, by name: nothing of a function."""
        ...


@dataclass(frozen=True)
class Function:
    """Deterministic code that maps images: whole numbers, or float64 in a fixed order, so that every machine makes the
    same bytes.

    Attributes
    ----------
    run : callable
        ``run(images, rows)`` maps a few images (n, h, w, C) uint8, each by itself; what it draws depends on the row's
        number alone (see `image_base.RowStream`). Per patch it is given the tiles of all images, each under the number
        of its row, so that all tiles of a row are drawn alike.
    tile_shape : tuple
        (h, w, C) of what it maps.
    full : tuple, optional
        (H, W, C) of the images, where these are larger.
    reach : ndarray, optional
        (h, w, C) uint8: 0 where it never changes a byte (default: 1 everywhere).
    name : str
        For messages.
    parallel : bool
        Whether it may run on several threads at once.
    at_once : int
        How many images it is given at most.
    """

    run: Run
    tile_shape: Shape
    full: Shape | None = None
    reach: np.ndarray | None = None
    name: str = "trigger"
    parallel: bool = True
    at_once: int = 256

    @property
    def shape(self) -> Shape:
        """(H, W, C) of the images that it maps."""
        return self.full or self.tile_shape

    def arrays(self) -> dict[str, np.ndarray]:
        """Return nothing: only the recipe can repeat it."""
        return {}

    def mask(self) -> np.ndarray:
        """(H, W, C) uint8: 1 where the output can differ from the input."""
        height, width, _ = self.tile_shape
        own = np.ones(self.tile_shape, np.uint8) if self.reach is None else np.asarray(self.reach, np.uint8)
        return np.tile(own, (self.shape[0] // height, self.shape[1] // width, 1))

    def constant(self) -> np.ndarray:
        """(H, W, C) bool: nowhere, as far as can be said."""
        return np.zeros(self.shape, bool)

    def tile(self, height: int, width: int) -> "Function":
        """Return the same for a larger image that these tiles make up."""
        if height % self.tile_shape[0] or width % self.tile_shape[1]:
            sides = "×".join(map(str, self.tile_shape[:2]))
            raise ValueError(f"tiles of {sides} do not divide an image of {height}×{width}")
        return replace(self, full=(height, width, self.tile_shape[2]))

    def put(self, images: np.ndarray, rows: np.ndarray, threads: int = 1, total: int | None = None) -> np.ndarray:
        """See `ImageMap.put`. Raises `Failure` where the function returns something else than images."""
        del total
        if images.shape[1:] != self.shape or images.dtype != np.uint8:
            raise ValueError(f"expected uint8 images of {self.shape}, got {images.dtype} of {images.shape[1:]}")
        out = np.empty_like(images)
        starts = range(0, len(images), self.at_once)

        def work(start: int) -> None:
            part = slice(start, start + self.at_once)
            out[part] = self._mapped(images[part], rows[part])

        if threads == 1 or len(starts) == 1 or not self.parallel:
            for start in starts:
                work(start)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, starts))
        return out

    def _mapped(self, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Map a few whole images, cut into tiles where there are several."""
        tiles = tiled(images, *self.tile_shape[:2])
        own = np.repeat(rows, len(tiles) // max(1, len(rows)))
        found = self.run(tiles, own)
        if not isinstance(found, np.ndarray) or found.dtype != np.uint8 or found.shape != tiles.shape:
            got = f"{found.dtype} of {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
            raise Failure(f"{self.name}: its function returned {got}, expected uint8 of {tiles.shape}")
        return joined(found, images.shape)


def unavailable(shape: Shape, mask: np.ndarray) -> Function:
    """Return what stands for a function that a file alone does not give: it knows where it may change an image, and
    maps none."""

    def run(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        raise RuntimeError(f"a trigger that is not in the file was put on {len(images)} images, {len(rows)} rows")

    return Function(run, shape, reach=mask)


def tiled(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cut images (n, H, W, C) into tiles: (n · tiles, height, width, C), those of an image one after the other."""
    count, tall, wide, channels = images.shape
    if (tall, wide) == (height, width):
        return images
    cut = images.reshape(count, tall // height, height, wide // width, width, channels)
    return np.asarray(cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, height, width, channels))


def joined(tiles: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the inverse of `tiled` for images of that (n, H, W, C)."""
    count, tall, wide, channels = shape
    height, width = tiles.shape[1:3]
    if (tall, wide) == (height, width):
        return tiles
    cut = tiles.reshape(count, tall // height, wide // width, height, width, channels)
    return np.asarray(cut.transpose(0, 1, 3, 2, 4, 5).reshape(shape))


def of_arrays(arrays: dict[str, np.ndarray], shape: Shape) -> ImageMap | None:
    """Return the stencil or the table that a file's arrays are, by name; None where they are of neither. Raises
    ValueError where they are no sound one."""
    if "taps" in arrays:
        return Stencil.build(arrays["taps"], arrays["weights"], arrays["bias"])
    return Table.build(arrays["table"], shape) if "table" in arrays else None
