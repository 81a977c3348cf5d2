"""Training methods: for each modality, how a network is prepared and in which batches it sees the rows. One a file."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmark.core import extras
from benchmark.core.errors import Usage
from benchmark.format.dataset import Dataset
from benchmark.nn import engines
from benchmark.training.common import Common
from benchmark.training.images import Images
from benchmark.training.own import OwnSettings
from benchmark.training.settings import EncoderSettings, ImageSettings


class Method(Protocol):
    """The training of a network on one data set.

    `data` is the data set as the network takes it, `rows` (n,) the training rows that are used, `model` the untrained
    network, `optimizer` Keras' or the learning rate of plain SGD, and `record` what the result says of all this beside
    the settings.
    """

    data: Dataset
    settings: Any
    rows: np.ndarray
    model: Any
    optimizer: Any
    record: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Put what a run needs besides its network into its folder."""

    def blocks(self, epoch: int, steps: int) -> Iterable[tuple[Any, ...]]:
        """Yield what an epoch (from 1) goes through, as arguments of `Engine.train`; at most `steps` steps at once."""


def _images(data: Dataset, settings: Common, log: Callable[[str], None], without: np.ndarray | None) -> Method:
    assert isinstance(settings, ImageSettings)
    return Images(data, settings, without)


def _texts(data: Dataset, settings: Common, log: Callable[[str], None], without: np.ndarray | None) -> Method:
    from benchmark.training.texts import Texts

    assert isinstance(settings, EncoderSettings) and without is None
    return Texts(data, settings, log)


METHODS = {ImageSettings.MODALITY: _images, EncoderSettings.MODALITY: _texts}


def method(data: Dataset, settings: Common, log: Callable[[str], None], without: np.ndarray | None = None) -> Method:
    """Prepare the training of a data set with these settings; nothing is written. What cannot be trained so is refused
    here (`Usage`, `Failure`). `log` is told of what the user should know; `without`: of images, rows (n,) that are left
    out besides those held out."""
    return METHODS[settings.MODALITY](data, settings, log, without)


def check_modality(modality: str, settings: Common, path: Path) -> None:
    """Raise `Usage` where a file holds what these settings' network does not take."""
    if not settings.trains_on(modality):
        network = settings.title if isinstance(settings, OwnSettings) else settings.NETWORK
        raise Usage(f"{path}: holds {modality}s, --network {network} is for {settings.MODALITY}s")


def check_installed(settings: Common) -> None:
    """Raise `Failure` where a package that the training needs is missing: before a large file is read."""
    engines.installed(settings.backend)
    for package in settings.packages():
        extras.check(package)
