"""The training of a network on images: its first weights, and its batches."""

from collections.abc import Iterator

import numpy as np

from benchmark.core.errors import Usage
from benchmark.format.dataset import Dataset
from benchmark.nn import own
from benchmark.nn.networks import NETWORKS
from benchmark.training import loop
from benchmark.training.own import OwnSettings
from benchmark.training.settings import ImageSettings


class Images:
    """The training of a network for images on one data set. See `methods.Method`."""

    def __init__(self, data: Dataset, settings: ImageSettings):
        self.data, self.settings = data, settings
        self.rows = data.kept(settings.hold_out)
        self.model = build(data, settings)
        sizes = {"image_shape": list(data.image_shape), "classes": len(data.classes)}
        self.record = {"network": sizes | settings.model()}  # `saved_weights` rebuilds the network from it
        self.optimizer = settings.learning_rate

    def blocks(self, epoch: int, steps: int) -> Iterator[tuple[np.ndarray, None]]:
        """See `methods.Method`."""
        order = loop.epoch_rows(self.rows, self.settings.seed, epoch)
        for rows in loop.blocks(order, self.settings.batch_size, steps):
            yield rows, None


def build(data: Dataset, settings: ImageSettings):
    """Build the untrained network for a data set. The backend must have been activated.

    Raises `Usage` where the network cannot be built for images of this size, `Failure` as `own.build`.
    """
    if isinstance(settings, OwnSettings):
        source = own.of_run(settings.digest, settings.function)
        return own.build(source, data.image_shape, len(data.classes), settings.seed)
    spec = NETWORKS[settings.NETWORK]
    sizes = {"image_shape": data.image_shape, "classes": len(data.classes)} | settings.model()
    try:
        spec.check(sizes)
    except ValueError as error:
        height, width, _ = data.image_shape
        raise Usage(f"--network {spec.name} on images of {height}x{width}: {error}") from None
    return spec.build(sizes | {"seed": settings.seed})
