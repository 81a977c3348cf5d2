"""ABL's isolation by the losses of the first epochs: the rows that the reference isolates, and the epochs asked for."""

import made_context
import numpy as np
import pytest

from benchmark.core.errors import Failure, Usage
from benchmark.defences.detectors import loss
from benchmark.runs.row_losses import RowLosses

ARRAYS = made_context.golden()


def same_up_to_ties(flagged, reference, losses):
    """Many rows have the very same loss; which of these are taken is nobody's choice."""
    edge = losses[reference].max()
    assert flagged.sum() == reference.sum()
    np.testing.assert_array_equal(flagged[losses != edge], reference[losses != edge])


@pytest.mark.parametrize(("share", "key"), [(0.01, "abl_isolated_1"), (0.05, "abl_isolated_5")])
def test_rows_isolated_are_the_references(share, key):
    losses = -np.log(np.maximum(ARRAYS["given_probability"], 1e-12))
    np.testing.assert_allclose(losses, ARRAYS["abl_row_loss"], atol=1e-4)
    scores, lacking = loss.scores(ARRAYS["abl_row_loss"][None])
    same_up_to_ties(loss.cut(scores, lacking, share), ARRAYS[key], ARRAYS["abl_row_loss"])


@pytest.mark.parametrize("training", ["lga", "flooding", "plain"])
def test_rows_isolated_after_a_real_training_are_the_references(training):
    losses = ARRAYS[f"abl_net_row_loss_{training}"]
    scores, lacking = loss.scores(losses[None])
    same_up_to_ties(loss.cut(scores, lacking, 0.01), ARRAYS[f"abl_net_isolated1_{training}"], losses)


def test_gradient_ascent_and_flooding_by_the_mean_of_a_batch_are_one_training():
    np.testing.assert_array_equal(ARRAYS["abl_net_row_loss_lga"], ARRAYS["abl_net_row_loss_flooding"])


@pytest.fixture
def context():
    losses = np.array([[3, 1, np.nan, 2, 5, 0.5], [2, 0.1, np.nan, 3, 4, 0.6], [1, 0.1, np.nan, 0.2, 3, 9]], np.float16)
    return made_context.MadeContext(np.zeros((6, 1)), np.zeros(6, int), losses=RowLosses(np.array([1, 2, 4]), losses))


def test_epochs_are_averaged_and_the_lowest_are_flagged(context):
    found = made_context.scored("loss", context, epochs="2,1", share=0.34)
    np.testing.assert_allclose(found.scores[[0, 1, 3]], [-2.5, -0.55, -2.5], atol=1e-3)
    assert np.flatnonzero(found.flagged).tolist() == [1, 5]
    assert found.findings["epochs"] == [1, 2]
    every = made_context.scored("loss", context)
    assert every.findings["epochs"] == [1, 2, 4] and every.scores[5] == pytest.approx(-10.1 / 3, abs=1e-2)


def test_a_row_that_was_not_trained_on_gets_the_median_and_is_never_flagged(context):
    found = made_context.scored("loss", context, epochs="4", share=0.99)
    assert found.scores[2] == np.median(found.scores[[0, 1, 3, 4, 5]])
    assert found.flagged.tolist() == [True, True, False, True, True, True]
    assert found.findings["rows_without_a_loss"] == 1


def test_epochs_that_were_not_recorded_are_one_line(context):
    with pytest.raises(Failure, match="not recorded the losses of epoch 3, 9: it has those of 1, 2, 4"):
        made_context.scored("loss", context, epochs="1,3,9")
    context._losses = RowLosses(np.empty(0, int), np.empty((0, 6), np.float16))
    with pytest.raises(Failure, match="no epoch: train it again"):
        made_context.scored("loss", context)
    context._losses = RowLosses(np.array([1]), np.full((1, 6), np.nan, np.float16))
    with pytest.raises(Failure, match="no row has a loss"):
        made_context.scored("loss", context)


@pytest.mark.parametrize("text", ["", "x", "0", "1.5", "-1", "1,,2"])
def test_epochs_spelled_otherwise_are_one_line(text):
    with pytest.raises(Usage, match="epochs are whole numbers from 1"):
        loss.parse_epochs(text)
    assert loss.parse_epochs("3, 1,3") == "1,3"
