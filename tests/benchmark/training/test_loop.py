"""What decides a training besides arithmetic: the order of rows, the batches, settings and names."""

import dataclasses

import numpy as np
import pytest

from benchmark.core import random_streams
from benchmark.core.errors import Usage
from benchmark.training import loop
from benchmark.training.configuration import config_of, folder_name, settings_of
from benchmark.training.settings import PRESETS, Settings

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize("rows, batch, steps", [(100, 8, 1), (100, 8, 5), (96, 8, 3), (5, 8, 2), (1, 1, 4)])
def test_blocks_hold_every_row_once_in_order(rows, batch, steps):
    order = np.random.default_rng(0).permutation(rows).astype("i4")
    cut = list(loop.blocks(order, batch, steps))
    assert np.array_equal(np.concatenate([block.reshape(-1) for block in cut]), order)
    assert len({block.shape for block in cut}) <= 3
    assert all(block.shape[1] == batch for block in cut[:-1])


def test_order_of_rows_depends_on_seed_and_epoch_alone():
    rows = np.arange(1000)
    first = loop.epoch_rows(rows, 3, 1)
    assert sorted(first) == list(rows) and first.dtype == np.int32
    assert np.array_equal(first, loop.epoch_rows(rows, 3, 1))
    assert not np.array_equal(first, loop.epoch_rows(rows, 3, 2))
    assert not np.array_equal(first, loop.epoch_rows(rows, 4, 1))


def test_streams_are_pinned():
    """A change here would change every run: the numbers are those of FORMAT.md's "Random numbers"."""
    assert random_streams.words(0, "hold-out", 2).tolist() == [14769365452071393240, 11002888823737319532]
    assert random_streams.held_out(39209, 3).tolist() == [12292, 26678, 37220]
    assert random_streams.permutation(7, "epoch 1", 6).tolist() == [5, 2, 1, 3, 4, 0]


def test_presets_are_those_of_the_design():
    paper, small = PRESETS["paper"], PRESETS["small"]
    assert (paper.width, paper.experts, paper.top_k, paper.epochs) == (10, 4, 16, 25)
    assert (paper.batch_size, paper.learning_rate, paper.hold_out) == (128, 0.1, 0)
    assert dataclasses.replace(small, width=10, epochs=25) == paper and (small.width, small.epochs) == (1, 8)
    assert all(preset.preset == name for name, preset in PRESETS.items())


def test_some_rows_are_the_first_of_a_permutation_in_ascending_order():
    rows = np.array([3, 5, 8, 13, 21, 34])
    order = random_streams.permutation(0, "purpose", 6)
    for count in range(8):
        assert random_streams.some(rows, count, "purpose").tolist() == sorted(rows[order[:count]])
    assert random_streams.some(rows, None, "purpose").tolist() == rows.tolist()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_is_in_the_configuration_and_the_name(field):
    words = {"backend": "jax", "precision": "tf32", "optimizer": "adamw", "decay_on": "all", "schedule": "cosine",
             "flip": "horizontal", "normalisation": "cifar10"}  # fmt: skip
    numbers = {"learning_rate": 0.2, "momentum": 0.5, "weight_decay": 0.25, "schedule_epochs": 70}
    needed = {"decay_on": {"weight_decay": 0.1}, "schedule_epochs": {"schedule": "cosine"}}.get(field, {})
    before = Settings(**needed)
    changed = dataclasses.replace(before, **{field: (words | numbers).get(field, 7)})
    config = config_of(changed, DIGEST)
    assert config != config_of(before, DIGEST)
    assert settings_of(config) == changed
    assert folder_name(changed, "x", DIGEST) != folder_name(before, "x", DIGEST)


def test_folder_names_can_be_read():
    name = folder_name(Settings(width=1, epochs=8, seed=3), "cifar10-square-patch8-0.0005-s0", DIGEST)
    assert name.startswith("cifar10-square-patch8-0.0005-s0--small-tf-t3-") and len(name.rsplit("-", 1)[1]) == 8
    assert "--w2-e25-jax-t0-" in folder_name(Settings(width=2, backend="jax"), "x", DIGEST)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"epochs": 0}, {"seed": -1}, {"learning_rate": 0.0}, {"hold_out": -1}])
def test_settings_out_of_range(wrong):
    with pytest.raises(Usage, match="--" + next(iter(wrong)).replace("_", "-")):
        Settings(**wrong)
