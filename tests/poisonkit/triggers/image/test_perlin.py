"""Perlin noise against a plain loop."""

import hashlib
import math

import naive
import numpy as np
import pytest
from cheap_attacks import built

from poisonkit.core.errors import Usage
from poisonkit.core.stencil import ONE
from poisonkit.poisoning.recipe import Recipe, build, parameters
from poisonkit.triggers.image import perlin

SHAPE = (32, 24, 3)


def plain(raw, cells, octaves, height, width):
    """Pixel by pixel: the dot products of four corners' directions, blended by 6t⁵ − 15t⁴ + 10t³."""
    out, first = np.zeros((height, width)), 0
    fade = lambda t: 6 * t**5 - 15 * t**4 + 10 * t**3  # noqa: E731
    for octave in range(octaves):
        side = cells * 2**octave
        for i in range(height):
            for j in range(width):
                y, x = (i + 0.5) * side / height, (j + 0.5) * side / width
                row, column = math.floor(y), math.floor(x)
                total = 0
                for r, c in ((row, column), (row, column + 1), (row + 1, column), (row + 1, column + 1)):
                    angle = (int(raw[first + r * (side + 1) + c]) >> 61) * math.pi / 4
                    dot = math.sin(angle) * (y - r) + math.cos(angle) * (x - c)
                    total += dot * fade(1 - abs(y - r)) * fade(1 - abs(x - c))
                out[i, j] += total / 2**octave
        first += (side + 1) ** 2
    return out


def levels(one):
    return one.stencil.bias[..., 0] // ONE


@pytest.mark.parametrize(("cells", "octaves"), [(4, 3), (3, 1), (1, 2)])
def test_it_is_the_formula_on_the_recipe_s_words(cells, octaves):
    one = built("perlin", SHAPE, {"cells": str(cells), "octaves": str(octaves), "linf": "40"}, seed=5)
    raw = naive.stream(5, "perlin").random_raw(perlin.words(cells, octaves))
    exact = plain(raw, cells, octaves, *SHAPE[:2])
    assert np.abs(levels(one) - exact / np.abs(exact).max() * 40).max() <= 0.5 + 1e-9
    assert np.abs(levels(one)).max() == 40 and one.streams == ("perlin",)
    assert (one.stencil.bias == one.stencil.bias[..., :1]).all() and (one.stencil.weights == ONE).all()


def test_one_octave_is_0_on_the_grid_and_smooth():
    raw = naive.stream(1, "perlin").random_raw(25)
    found = perlin.octave(raw.reshape(5, 5), 80, 80)
    assert np.abs(np.diff(found, axis=0)).max() < 0.15 and np.abs(np.diff(found, axis=1)).max() < 0.15
    assert np.abs(found).max() <= 1 and found.std() > 0.1


def test_another_seed_another_noise_and_two_in_one_recipe_differ():
    assert (levels(built("perlin", SHAPE)) != levels(built("perlin", SHAPE, seed=1))).any()
    first, second = build(Recipe("0.1", (("perlin", parameters("perlin", {}, None)),) * 2), SHAPE)
    assert (levels(first) != levels(second)).any() and second.streams == ("perlin-1",)


def test_the_same_arrays_on_every_machine():
    total = hashlib.sha256()
    for shape, given, patch in ((SHAPE, {}, None), ((28, 28, 1), {"octaves": "6", "cells": "64"}, (7, 14))):
        total.update(built("perlin", shape, given, patch, seed=3).stencil.bias.tobytes())
    assert total.hexdigest() == "89d9505cbbfe91b74526c78ca0f0784454785e3cd4c4ee4aa656015478ef298f"


def test_stronger_on_test_rows():
    made = built("perlin", SHAPE, {"linf": "10", "test-linf": "30"})
    assert np.array_equal(made.test.bias, built("perlin", SHAPE, {"linf": "30"}).train.bias)
    assert np.abs(levels(made)).max() == 10


def test_what_cannot_be_is_refused():
    with pytest.raises(Usage, match="perlin: 32 cells over 8×8 pixels add 0 everywhere: another --perlin-cells"):
        built("perlin", SHAPE, {"cells": "32"}, (8, 8))
    for key, text in (("linf", "0"), ("linf", "256"), ("cells", "0"), ("cells", "65"), ("octaves", "7")):
        with pytest.raises(Usage, match=f"--perlin-{key}: expected a whole number from .*, got"):
            parameters("perlin", {key: text}, None)


def test_its_files_verify(poisonkit, tmp_path):
    chosen = ("--trigger", "perlin", "--perlin-linf", "12", "--rate", "0.1", "--per-patch")
    poisonkit("make", *poisonkit.small, *chosen, "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded().out == f"{tmp_path / 'x.h5'}: OK\n"
