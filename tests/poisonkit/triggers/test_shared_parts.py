"""What several triggers share: matrices of colours, the frequencies of a tile."""

import numpy as np
import pytest
from cheap_attacks import two_frequencies

from poisonkit.core.stencil import ONE
from poisonkit.triggers import colours, frequency


def test_an_inverse_is_exact():
    matrix = colours.exact("0.299 0.587 0.114", "-0.147 -0.289 0.436", "0.615 -0.515 -0.100")
    assert ((matrix @ colours.inverse(matrix)) == np.eye(3, dtype=int)).all()


def test_rows_in_fixed_point_sum_to_1():
    weights = colours.fixed_point(colours.exact("0.3333 0.3333 0.3334", "-0.7 1.2 0.5", "0 0 1"))
    assert (weights.sum(1) == ONE).all() and weights[2].tolist() == [0, 0, ONE]
    assert weights[0].tolist()[1:] == [10922, 10925]  # its own channel takes the remainder


@pytest.mark.parametrize("shape", [(32, 32), (8, 8), (4, 16), (2, 2), (224, 96)])
def test_the_pattern_is_two_of_the_orthonormal_basis(shape):
    found = frequency.pattern(*shape)
    assert np.abs(found - two_frequencies(*shape)).max() < 1e-12
    assert abs((found**2).sum() - 2) < 1e-9


def test_a_hair_below_a_whole_number_counts_as_it():
    assert frequency.floored(np.array([2.9999999999, 2.999, -1e-12, 3.0])).tolist() == [3, 2, 0, 3]
