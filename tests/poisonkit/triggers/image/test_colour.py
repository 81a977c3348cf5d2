"""Saturation and hue against the matrices of the Filter Effects, and colours known beforehand."""

import math

import numpy as np
import pytest
from cheap_attacks import built, triggered
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.core.stencil import ONE
from poisonkit.poisoning.recipe import parameters

IMAGES = pictures(np.random.default_rng(0), 4, (16, 16, 3))


def saturate(s):
    """As the W3C's page has it."""
    return np.array(
        [
            [0.213 + 0.787 * s, 0.715 - 0.715 * s, 0.072 - 0.072 * s],
            [0.213 - 0.213 * s, 0.715 + 0.285 * s, 0.072 - 0.072 * s],
            [0.213 - 0.213 * s, 0.715 - 0.715 * s, 0.072 + 0.928 * s],
        ]
    )


def hue_rotate(degrees):
    """As the W3C's page has it."""
    luma = [[0.213, 0.715, 0.072]] * 3
    by_cos = [[0.787, -0.715, -0.072], [-0.213, 0.285, -0.072], [-0.213, -0.715, 0.928]]
    by_sin = [[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]]
    angle = math.radians(degrees)
    return np.array(luma) + math.cos(angle) * np.array(by_cos) + math.sin(angle) * np.array(by_sin)


@pytest.mark.parametrize(("saturation", "hue"), [("2", "0"), ("0", "0"), ("0.35", "30"), ("1", "-90"), ("10", "200")])
def test_within_half_a_level_of_the_filters(saturation, hue):
    found = triggered("colour", IMAGES, {"saturation": saturation, "hue": hue})
    exact = IMAGES @ (hue_rotate(float(hue)) @ saturate(float(saturation))).T
    assert np.abs(found - exact.clip(0, 255)).max() <= 0.513


def test_grey_stays_grey_and_every_tile_is_alike():
    grey = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    assert np.array_equal(triggered("colour", grey, {"saturation": "3.7", "hue": "77"}), grey)
    whole, patch = (triggered("colour", IMAGES, {"hue": "20"}, size) for size in (None, (8, 4)))
    assert np.array_equal(whole, patch)


def test_by_default_twice_the_saturation():
    one = built("colour", (4, 4, 3))
    assert one.stencil.taps.shape[-1] == 3 and (one.stencil.weights.sum(-1) == ONE).all()
    found = triggered("colour", np.full((1, 4, 4, 3), (100, 120, 140), np.uint8))
    assert (found == (83, 123, 163)).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(Usage, match="colour: changes colours, expected images of 3 channels"):
        built("colour", (16, 16, 1))
    for hue in ("0", "360"):
        with pytest.raises(Usage, match=f"saturation 1 with the hue turned by {hue}° changes nothing: another"):
            built("colour", (16, 16, 3), {"saturation": "1", "hue": hue})
    for key, text in (("saturation", "-0.1"), ("saturation", "11"), ("hue", "400"), ("hue", "red")):
        with pytest.raises(Usage, match=f"--colour-{key}: expected a decimal number from .*, got"):
            parameters("colour", {key: text}, None)


def test_its_files_verify(poisonkit, tmp_path):
    chosen = ("--trigger", "colour", "--colour-hue", "40", "--rate", "0.1")
    poisonkit("make", *poisonkit.small, *chosen, "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded().out == f"{tmp_path / 'x.h5'}: OK\n"
