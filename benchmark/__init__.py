"""Train a patch-level mixture of experts on a data set file of `poisonkit` and score the backdoor.

The file (data/FORMAT.md) is the only thing that the two packages share: nothing here imports `poisonkit`.
Importing `benchmark` loads neither Keras nor a backend; `benchmark.nn.engines.activate` does.
"""

import os

# Keras opens weights with locks, which not every file system has; nothing here relies on those of HDF5
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
