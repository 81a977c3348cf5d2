"""One part of a file as a PyTorch data set."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from poisonkit.inspection.dataset import Dataset, open_data_set


class Rows(torch.utils.data.Dataset):
    """The rows of one part. An open HDF5 file can be neither forked nor pickled into a worker, so each opens its own
    when it first reads."""

    def __init__(self, path: Path, part: str):
        self.path, self.part = path, part
        self._open: tuple[int, Dataset] | None = None
        with open_data_set(path) as data:
            self._rows = data.rows
            self.labels: np.ndarray = data[part].labels[:]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        row = self._data()[self.part][self._rows][int(index)]
        if isinstance(row, np.ndarray):
            row = torch.from_numpy(np.ascontiguousarray(row)).permute(2, 0, 1) / 255
        return row, int(self.labels[index])

    def _data(self) -> Dataset:
        """Return the file, opened by this very process."""
        import os

        if self._open is None or self._open[0] != os.getpid():
            self._open = os.getpid(), open_data_set(self.path)
        return self._open[1]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": None}
