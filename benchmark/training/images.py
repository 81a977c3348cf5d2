"""The training of a patch-level mixture of experts on images: its first weights, and its batches."""

from collections.abc import Iterator

import numpy as np

from benchmark.core.errors import Usage
from benchmark.format.dataset import Dataset
from benchmark.training import loop
from benchmark.training.settings import Settings


class Images:
    """The training of a pMoE on one data set. See `methods.Method`."""

    def __init__(self, data: Dataset, settings: Settings):
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


def build(data: Dataset, settings: Settings):
    """Build the untrained network for a data set. The backend must have been activated."""
    from benchmark.nn.networks.pmoe import pmoe

    height, width, _ = data.image_shape
    patches = -(-height // 4) * -(-width // 4)
    if settings.top_k > patches:
        raise Usage(f"--top-k {settings.top_k} of {patches} patches: images of {height}x{width} have no more")
    return pmoe(data.image_shape, len(data.classes), **settings.model(), seed=settings.seed)
