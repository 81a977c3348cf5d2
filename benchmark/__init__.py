"""Train a patch-level mixture of experts on a data set file of `poisonkit` and score the backdoor.

The file (data/FORMAT.md) is the only thing that the two packages share: nothing here imports `poisonkit`.
Importing `benchmark` loads neither Keras nor a backend; `benchmark.engines.activate` does.
"""
