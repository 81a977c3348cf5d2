"""One part of a file as a TensorFlow data set."""

from pathlib import Path

import tensorflow as tf

from poisonkit.core.modality import KNOWN
from poisonkit.inspection.dataset import open_data_set


def dataset(path: Path, part: str, block: int) -> "tf.data.Dataset":
    """Make a data set that reads `block` rows at once, in their order."""
    with open_data_set(path) as data:
        rows = data.rows
        array = data[part][rows]
        shape, kind = array.shape[1:], KNOWN[data.modality].choose(image=tf.uint8, text=tf.string)
        count = len(array)

    def blocks():
        with open_data_set(path) as data:
            group = data[part]
            for start in range(0, count, block):
                yield group[rows][start : start + block], group.labels[start : start + block]

    signature = tf.TensorSpec((None, *shape), kind), tf.TensorSpec((None,), tf.int64)
    whole = tf.data.Dataset.from_generator(blocks, output_signature=signature).unbatch()
    return whole.apply(tf.data.experimental.assert_cardinality(count))
