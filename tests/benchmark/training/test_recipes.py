"""Training recipes: rates step by step, settings that contradict each other, presets by source, names and options."""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.core import hashing
from benchmark.core.errors import Usage
from benchmark.training import schedule
from benchmark.training.choose import chosen_settings, settings_of_files
from benchmark.training.common import label
from benchmark.training.configuration import config_of, folder_name, options, settings_of
from benchmark.training.recipes import RECIPES, Recipe
from benchmark.training.recipes.registry import register
from benchmark.training.settings import PRESETS, PRESETS_OF, Settings

DIGEST = "sha256:" + "0" * 64


def rates(steps=3, **given):
    return schedule.rates(Settings(learning_rate=0.5, **given), steps)


def test_a_constant_rate_is_constant_and_the_warm_up_rises_in_every_step():
    assert rates(epochs=4).tolist() == [0.5] * 12
    warm = rates(epochs=4, warmup_epochs=2)
    np.testing.assert_allclose(warm, 0.5 * np.array([1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6]) / 6, rtol=1e-6)
    assert warm.dtype == np.float32


def test_the_cosine_falls_once_an_epoch_as_pytorch_s():
    """`CosineAnnealingLR(T_max=4)` by its recursive formula."""
    expected = [0.5]
    for epoch in range(1, 4):
        expected.append(expected[-1] * (1 + np.cos(np.pi * epoch / 4)) / (1 + np.cos(np.pi * (epoch - 1) / 4)))
    np.testing.assert_allclose(rates(epochs=4, schedule="cosine"), np.repeat(expected, 3), rtol=1e-6)
    longer = rates(epochs=4, schedule="cosine", schedule_epochs=8)[::3]
    np.testing.assert_allclose(longer, [0.25 * (1 + np.cos(np.pi * epoch / 8)) for epoch in range(4)], rtol=1e-6)


def test_the_cosine_begins_after_the_warm_up():
    found = rates(epochs=6, schedule="cosine", warmup_epochs=2)
    np.testing.assert_allclose(found[:6], 0.5 * np.arange(1, 7) / 6, rtol=1e-6)
    np.testing.assert_allclose(found[6::3], [0.25 * (1 + np.cos(np.pi * epoch / 4)) for epoch in range(4)], rtol=1e-6)


def test_gtsrb_of_backdoorbench_ends_at_half_the_rate():
    found = schedule.rates(PRESETS["backdoorbench-gtsrb"], 2)
    assert len(found) == 100 and found[0] == np.float32(0.01)
    np.testing.assert_allclose(found[-1], 0.005 * (1 + np.cos(np.pi * 49 / 100)), rtol=1e-6)
    assert schedule.rates(PRESETS["backdoorbench-cifar10"], 1)[-1] < 3e-6


@pytest.mark.parametrize("given, line", [
    ({"optimizer": "adamw", "momentum": 0.9}, r"--momentum 0\.9 needs --optimizer sgd; or add --momentum 0"),
    ({"decay_on": "all"}, "--decay-on all needs a --weight-decay above 0; or add --decay-on kernels"),
    ({"schedule_epochs": 30}, "--schedule-epochs 30 needs --schedule cosine"),
    ({"threads": 1025}, "--threads must be at most 1,024, got 1025"),
    ({"rotation": 181}, "--rotation 181 must be at most 180, half a turn either way"),
    ({"schedule": "cosine", "epochs": 2**62}, "--epochs 4611686018427387904 must be at most 100,000 where"),
    ({"warmup_epochs": 25}, "--warmup-epochs 25 must be less than --epochs 25"),
    ({"schedule": "cosine", "schedule_epochs": 24}, "--schedule-epochs 24 must be at least --epochs 25, or 0"),
    ({"momentum": 1.0}, "--momentum must be below 1, got 1.0"),
    ({"momentum": 0.99999999999}, "--momentum must be below 1, got 1.0"),
    ({"learning_rate": 1e-50}, "--learning-rate 1e-50 is 0 in float32, with which it is computed"),
    ({"learning_rate": 1e-40}, "--learning-rate 1e-40 is 0 in float32, with which it is computed"),
    ({"learning_rate": 1e39}, r"--learning-rate 1e\+39 is inf in float32, with which it is computed"),
    ({"learning_rate": 2**62 * 2.0**100}, "is inf in float32"),
    ({"weight_decay": 1e-300}, "--weight-decay 1e-300 is 0 in float32"),
    ({"backend": np.array(["jax", "torch"])}, "--backend: expected one of"),
    ({"epochs": np.array([1, 2])}, "--epochs must be a whole number"),
    ({"momentum": -0.1}, "--momentum must be at least 0, got -0.1"),
    ({"weight_decay": -1.0}, "--weight-decay must be at least 0"),
    ({"weight_decay": float("nan")}, "--weight-decay must be a number"),
    ({"optimizer": "adam"}, "--optimizer: expected one of sgd, adamw"),
    ({"flip": "vertical"}, "--flip: expected one of none, horizontal"),
    ({"normalisation": "mnist"}, "--normalisation: expected one of none, cifar10"),
    ({"crop_padding": -1}, "--crop-padding must not be negative"),
    ({"rotation": 1.5}, "--rotation must be a whole number"),
])  # fmt: skip
def test_settings_that_make_no_sense(given, line):
    with pytest.raises(Usage, match=line):
        Settings(**given)


@pytest.mark.parametrize("network", ["vit", "moe-vit"])
def test_a_preset_s_warm_up_leaves_an_epoch_at_the_full_rate(network, caplog):
    whole = chosen_settings("image", network, preset="tiny")
    assert whole.warmup_epochs == 1 and not caplog.text
    one = chosen_settings("image", network, preset="tiny", epochs=1)
    assert (one.epochs, one.warmup_epochs) == (1, 0)
    said = "--warmup-epochs 0 instead of the preset's 1, so that one of --epochs 1 is left at the full rate"
    assert [record.getMessage() for record in caplog.records] == [said]
    assert "--epochs 1 --warmup-epochs 0" in " ".join(options(one))
    caplog.clear()
    sources = [SimpleNamespace(modality="image", source=SimpleNamespace(name=name)) for name in ("cifar10", "gtsrb")]
    files = {str(number): sources[number % 2] for number in range(5)}
    assert {one for _, one in settings_of_files(files, [network], ["tiny"], epochs=1)} == {one}
    assert [record.getMessage() for record in caplog.records] == [said], "once for all files"
    caplog.clear()
    paper = chosen_settings("image", network, preset="paper", epochs=3)
    assert paper.warmup_epochs == 2 and "--warmup-epochs 2 instead of the preset's 5" in caplog.text
    assert chosen_settings("image", network, preset="tiny", epochs=2).warmup_epochs == 1
    with pytest.raises(Usage, match="--warmup-epochs 1 must be less than --epochs 1"):
        chosen_settings("image", network, preset="tiny", epochs=1, warmup_epochs=1)


def test_backdoorbench_is_chosen_by_the_source_of_the_file():
    for source, epochs, flip, normalisation, length in (
        ("cifar10", 100, "horizontal", "cifar10", 0),
        ("cifar100", 100, "none", "cifar100", 0),
        ("gtsrb", 50, "none", "none", 100),
    ):
        chosen = chosen_settings("image", source=source, preset="backdoorbench")
        assert (chosen.epochs, chosen.flip, chosen.normalisation, chosen.schedule_epochs) == (
            epochs, flip, normalisation, length,
        )  # fmt: skip
        assert (chosen.optimizer, chosen.learning_rate, chosen.momentum, chosen.weight_decay) == (
            "sgd",
            0.01,
            0.9,
            5e-4,
        )
        assert (chosen.decay_on, chosen.batch_size, chosen.crop_padding, chosen.rotation) == ("all", 128, 4, 0)
        assert (chosen.width, chosen.top_k) == (PRESETS["paper"].width, PRESETS["paper"].top_k)
        assert chosen.preset == f"backdoorbench-{source}" == label(chosen)
        assert options(chosen) == ["--preset", f"backdoorbench-{source}"]
        assert chosen == chosen_settings("image", preset=f"backdoorbench-{source}")


def test_other_sources_are_one_clear_line():
    with pytest.raises(Usage, match="--preset backdoorbench: it has no settings for the source 'mine': choose those "
                                    "for another, backdoorbench-cifar10, backdoorbench-cifar100, "):  # fmt: skip
        chosen_settings("image", source="mine", preset="backdoorbench")
    with pytest.raises(Usage, match="--preset backdoorbench: on Tiny ImageNet the rate is lowered where") as found:
        chosen_settings("image", source="tiny-imagenet", preset="backdoorbench")
    assert "\n" not in str(found.value)
    with pytest.raises(Usage, match="expected one of paper, small, tiny, backdoorbench, got"):
        chosen_settings("image", source="cifar10", preset="huge")


def test_files_of_several_sources_each_get_their_own():
    manifests = {
        name: SimpleNamespace(modality="image", source=SimpleNamespace(name=name)) for name in ("cifar10", "gtsrb")
    }
    found = settings_of_files(manifests, presets=["backdoorbench"], backend="jax")
    assert [one.preset for _, one in found] == ["backdoorbench-cifar10", "backdoorbench-gtsrb"]
    assert all(one.backend == "jax" for _, one in found)


def test_what_is_not_a_preset_s_is_in_the_name_the_options_and_the_label():
    changed = dataclasses.replace(
        PRESETS["small"], optimizer="adamw", weight_decay=0.05, schedule="cosine", warmup_epochs=1, crop_padding=4,
        flip="horizontal", rotation=10, normalisation="half",
    )  # fmt: skip
    assert changed.preset == "w1-e8-n-half-adamw-wd0.05-cosine-wu1-c4-horizontal-r10"
    assert settings_of(config_of(changed, DIGEST)) == changed
    words = options(changed)
    given = dict(zip([word[2:].replace("-", "_") for word in words[::2]], words[1::2], strict=True))
    assert given["optimizer"] == "adamw" and given["normalisation"] == "half" and given["rotation"] == "10"
    assert "optimizer adamw" in label(changed) and "momentum" not in label(changed)
    one = dataclasses.replace(PRESETS["small"], flip="horizontal")
    assert label(one) == "small, flip horizontal" and one.preset == "w1-e8-horizontal"


def test_settings_that_go_without_saying_are_left_out():
    config = config_of(PRESETS["small"], DIGEST)
    assert config["model"] == {"name": "pmoe", "width": 1, "experts": 4, "top_k": 16}
    assert config["training"] == {
        "optimizer": "sgd", "epochs": 8, "batch_size": 128, "learning_rate": 0.1, "hold_out": 0,
    }  # fmt: skip
    assert folder_name(PRESETS["small"], "x", DIGEST) == "x--small-tf-t0-b77d558f"
    assert (
        config_of(dataclasses.replace(PRESETS["small"], optimizer="adamw"), DIGEST)["training"]["optimizer"] == "adamw"
    )


def test_another_process_is_told_all_of_it():
    for settings in itertools.chain(*(presets.values() for presets in PRESETS_OF.values())):
        told = dict(word.removeprefix("--").split("=", 1) for word in settings.arguments() if "=" in word)
        for setting in settings.table():
            value = getattr(settings, setting.name)
            assert setting.type(told[setting.name.replace("_", "-")]) == value


def test_two_recipes_of_a_name():
    with pytest.raises(ValueError, match="two recipes named 'backdoorbench'"):
        register(Recipe("backdoorbench", "", "", {}, {}))
    assert list(RECIPES) == ["backdoorbench"]


@pytest.mark.parametrize(("name", "value"), [("learning_rate", 1), ("weight_decay", 2)])
def test_a_whole_number_is_the_same_run_as_its_fraction(name, value):
    """Python's 1 and 1.0 are equal, and the digests of their JSON are not: one run would have two folders."""
    whole, fraction = (chosen_settings("image", preset="small", **{name: kind(value)}) for kind in (int, float))
    assert folder_name(whole, "x", DIGEST) == folder_name(fraction, "x", DIGEST)
    assert hashing.same(config_of(whole, DIGEST), config_of(fraction, DIGEST))
