"""Plans of fine-tuning: learning rates, batches, augmentation; clean rows that are set apart."""

import numpy as np
import pytest

from benchmark.core.errors import Failure
from benchmark.defences import tuning
from benchmark.format.dataset import Rows
from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

IMAGES = np.arange(10 * 4 * 4 * 3).reshape(10, 4, 4, 3).astype("u1")
ROWS = Rows(IMAGES, np.arange(10))


def test_the_cosine_is_that_of_pytorch():
    assert tuning.cosine(1).tolist() == [1]
    np.testing.assert_allclose(tuning.cosine(4), [1, 0.8535534, 0.5, 0.1464466], rtol=1e-6)


@pytest.mark.parametrize(("rows", "batch", "steps"), [(10, 4, 3), (10, 5, 2), (3, 128, 1), (129, 128, 2)])
def test_steps_of_an_epoch_and_a_rate_for_each(rows, batch, steps):
    plan = tuning.Plan(3, 0.1, batch, seed=0)
    assert plan.steps(rows) == steps
    rates = plan.optimizer(rows)._learning_rate
    found = [float(rates(step)) for step in range(3 * steps)]
    np.testing.assert_allclose(found, np.repeat(0.1 * tuning.cosine(3), steps), rtol=1e-6)


def test_batches_have_each_row_once_in_an_order_of_the_seed():
    plan = tuning.Plan(2, 0.1, 4, seed=3)
    epochs = [list(tuning.batches(ROWS, plan, epoch)) for epoch in (1, 1, 2)]
    labels = [np.concatenate([labels for _, labels in batches]) for batches in epochs]
    assert all(sorted(one) == list(range(10)) for one in labels)
    assert np.array_equal(labels[0], labels[1]) and not np.array_equal(labels[0], labels[2])
    assert [len(one) for _, one in epochs[0]] == [4, 4, 2] and epochs[0][0][1].dtype == np.int32
    assert all(np.array_equal(images, IMAGES[labels]) for batches in epochs for images, labels in batches)


def test_batches_are_augmented_as_in_training():
    plan = tuning.Plan(1, 0.1, 10, seed=3, flip=True)
    ((images, labels),) = tuning.batches(ROWS, plan, 1)
    flipped = plan.draws(10, 1)[labels, 2].astype(bool)
    assert flipped.any() and not flipped.all()
    expected = np.where(flipped[:, None, None, None], IMAGES[labels][:, :, ::-1], IMAGES[labels])
    assert np.array_equal(images, expected)
    assert tuning.Plan(1, 0.1, 10, seed=3).draws(10, 1) is None


def test_rows_drawn_with_replacement():
    images, labels = tuning.with_replacement(ROWS, 50, 0, "a test")
    assert len(set(labels)) > 5 and np.array_equal(images, IMAGES[labels])
    assert np.array_equal(tuning.with_replacement(ROWS, 50, 0, "a test")[1], labels)
    assert not np.array_equal(tuning.with_replacement(ROWS, 50, 0, "another")[1], labels)


def test_a_loss_that_is_no_number():
    assert tuning.finite(1.5, "epoch 1") == 1.5
    for loss in (float("nan"), float("inf")):
        with pytest.raises(Failure, match="in epoch 2: try a smaller learning rate"):
            tuning.finite(loss, "epoch 2")


def test_the_mean_loss_is_of_rows_not_of_batches():
    assert tuning.mean_of([(1.0, 9), (11.0, 1)]) == 2
