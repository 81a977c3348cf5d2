"""The training of a network on images: its first weights, and its batches."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmark.core import files
from benchmark.core.errors import Usage
from benchmark.format.dataset import Dataset
from benchmark.nn import augmentation, normalisation, own
from benchmark.nn.networks import NETWORKS
from benchmark.training import loop, schedule
from benchmark.training.image_training import check_images
from benchmark.training.own import OwnSettings
from benchmark.training.settings import ImageSettings
from benchmark.training.table import NO_FLIP

MOST = 1 << 20  # no network of a larger size is loaded again (`saved_weights.MOST`)
MIRRORED = ("gtsrb", "signs", "mnist", "svhn")
"""Sources whose classes change when they are mirrored: turn left and turn right, digits."""


class Images:
    """The training of a network for images on one data set. See `methods.Method`."""

    def __init__(self, data: Dataset, settings: ImageSettings, without: np.ndarray | None = None):
        self.data, self.settings = data, settings
        kept = data.kept(settings.hold_out)
        self.rows = kept if without is None else np.setdiff1d(kept, without)
        self.model = build(data, settings)
        sizes = {"image_shape": list(data.image_shape), "classes": len(data.classes)}
        self.record = {"network": sizes | settings.model()}  # `saved_weights` rebuilds the network from it
        self.optimizer = schedule.optimizer(settings, self.model, -(-len(self.rows) // settings.batch_size))
        if settings.flip != NO_FLIP and (source := data.manifest.source.name) in MIRRORED:
            logging.getLogger("benchmark").warning(
                "--flip %s: on %s the mirror image of a class is often of another: better --flip none",
                settings.flip, source,
            )  # fmt: skip

    def save(self, folder: Path) -> None:
        """See `methods.Method`: of a network of one's own a copy of its code, as data."""
        if isinstance(self.settings, OwnSettings):
            code = own.of_run(self.settings.digest, self.settings.function)
            files.write_bytes(folder / own.COPY, code.text)

    def blocks(self, epoch: int, steps: int) -> Iterator[tuple[np.ndarray, None, np.ndarray | None]]:
        """See `methods.Method`."""
        order = loop.epoch_rows(self.rows, self.settings.seed, epoch)
        draws = self._draws(epoch)
        for rows in loop.blocks(order, self.settings.batch_size, steps):
            yield rows, None, None if draws is None else draws[rows]

    def _draws(self, epoch: int) -> np.ndarray | None:
        """Return how each training row of the file is augmented in an epoch; None where nothing is."""
        wanted = self.settings
        flip = wanted.flip != NO_FLIP
        if not (wanted.crop_padding or flip or wanted.rotation):
            return None
        return augmentation.draws(wanted.seed, epoch, len(self.data.train), wanted.crop_padding, flip, wanted.rotation)


def build(data: Dataset, settings: ImageSettings):
    """Build the untrained network for a data set. The backend must have been activated.

    Raises `Usage` where the network cannot be built for images of this size, or they cannot be augmented as is asked;
    `Failure` as `own.build`.
    """
    check_images(settings, data.image_shape)
    if isinstance(settings, OwnSettings):
        source = own.of_run(settings.digest, settings.function)
        return own.build(source, data.image_shape, len(data.classes), settings.seed)
    spec = NETWORKS[settings.NETWORK]
    sizes = {"image_shape": data.image_shape, "classes": len(data.classes)} | settings.model()
    for name in spec.integers:
        if isinstance(size := sizes.get(name), int) and size > MOST:
            raise Usage(f"--{name.replace('_', '-')} {size} must be at most {MOST:,}")
    try:
        normalisation.check(settings.normalisation, data.image_shape)
        spec.check(sizes)
    except ValueError as error:
        height, width, _ = data.image_shape
        raise Usage(f"--network {spec.name} on images of {height}x{width}: {error}") from None
    return spec.build(sizes | {"seed": settings.seed})
