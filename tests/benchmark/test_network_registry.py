"""The registry of networks: what each has to say of itself, and that one more is one more file."""

import subprocess
import sys

import numpy as np
import pytest

from benchmark.nn import bert_weights
from benchmark.nn.networks import DEFAULT, IMAGE, NETWORKS, TEXT, registry


def test_every_network_says_where_it_comes_from_and_has_presets():
    assert {DEFAULT[IMAGE], DEFAULT[TEXT]} <= set(NETWORKS)
    for name, spec in NETWORKS.items():
        assert spec.name == name and spec.modality in (IMAGE, TEXT) and len(spec.source) > 20
        first, *_ = spec.presets.values()
        assert {"epochs", "batch_size", "learning_rate", "hold_out"} <= set(first)
        assert {setting.name for setting in spec.settings} <= set(first) & set(spec.integers)


def test_two_of_one_name_are_refused():
    with pytest.raises(ValueError, match="pmoe"):
        registry.register(NETWORKS["pmoe"])


def test_the_registry_is_read_without_keras():
    code = "import sys, benchmark.nn.networks; assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("top_k", [4, 5])
def test_sizes_that_contradict_each_other(top_k):
    sizes = {"image_shape": (8, 8, 3), "classes": 2, "width": 1, "experts": 2, "top_k": top_k}
    if top_k == 4:
        NETWORKS["pmoe"].check(sizes)
    else:
        with pytest.raises(ValueError, match="of 4 patches"):
            NETWORKS["pmoe"].check(sizes)


def test_least_weights_are_a_lower_bound():
    """Of small networks, counted by hand from the shapes of their weights."""
    sizes = {"image_shape": (32, 32, 3), "classes": 10, "width": 10, "experts": 4, "top_k": 16}
    assert 1_000_000 < NETWORKS["pmoe"].least_weights(sizes) <= 3_971_242  # the paper's, batch statistics included
    small = {"vocabulary": 30, "positions": 8, "classes": 2, "width": 4, "depth": 2, "heads": 2, "inner": 8}
    block = 4 * (4 * 4 + 4) + (4 * 8 + 8) + (8 * 4 + 4) + 2 * 2 * 4  # attention, two dense layers, two normalisations
    total = 30 * 4 + 8 * 4 + 2 * block + (4 * 2 + 2)
    assert np.prod((30, 4)) < NETWORKS["encoder"].least_weights(small) <= total
    assert "gelu" in bert_weights.ACTIVATIONS.values()
