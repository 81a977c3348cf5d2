"""Sine and cosine in whole numbers against libm's, and where they are rational."""

import math
from fractions import Fraction

import pytest

from poisonkit.core import sines


@pytest.mark.parametrize("degrees", range(-360, 361, 7))
def test_cosine_and_sine_of_an_angle(degrees):
    cos, sin = sines.of_degrees(Fraction(degrees), 40)
    assert abs(cos / 2**40 - math.cos(math.radians(degrees))) < 1e-12
    assert abs(sin / 2**40 - math.sin(math.radians(degrees))) < 1e-12


def test_what_is_rational_is_exact():
    half = 1 << 39
    assert [sines.of_degrees(Fraction(degrees), 40) for degrees in (0, 90, 180, 270)] == [
        (2 * half, 0),
        (0, 2 * half),
        (-2 * half, 0),
        (0, -2 * half),
    ]
    assert sines.of_degrees(Fraction(60), 40)[0] == sines.of_degrees(Fraction(30), 40)[1] == half
    assert sines.cosine(Fraction(0)) == 1 == sines.sine(Fraction(1, 4))
