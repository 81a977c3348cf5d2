"""From what was typed to the recipe: rates, counts, names, patches, presets."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonkit.build import request as build_request
from poisonkit.core import file_names
from poisonkit.core.errors import Usage
from poisonkit.poisoning import recipe
from poisonkit.poisoning.recipe import Recipe, parameters
from poisonkit.triggers import registry as triggers


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("0.0005", "0.0005"),
        (".0005", "0.0005"),
        ("5e-4", "0.0005"),
        ("0.00050", "0.0005"),
        ("0.05%", "0.0005"),
        ("0.05 %", "0.0005"),
        (" 5E-2%", "0.0005"),
        ("1", "1"),
        ("100%", "1"),
        ("1.000", "1"),
        ("50%", "0.5"),
        ("0", "0"),
        ("-0", "0"),
        ("0%", "0"),
        ("0.000", "0"),
        ("0.1", "0.1"),
        ("10%", "0.1"),
        ("0.123456789012345678", "0.123456789012345678"),
    ],
)
def test_a_rate_has_one_spelling(text, spelling):
    assert recipe.parse_rate(text) == spelling


@pytest.mark.parametrize(
    "text",
    ["-0.1", "1.0001", "101%", "2", "nan", "sNaN", "inf", "-inf%", "", "%", "5%%", "%5", "0,1", "half", "1/2", "0x1"]
    + ["1e-400", "1e-999999999", "1e999999999", "0." + "1" * 19, "0.0000000000000000001", "\x00", "١٢"],
)
def test_rates_that_make_no_sense_are_refused(text):
    with pytest.raises(Usage, match=r"rate: expected a fraction from 0 to 1 \(0.0005\) or a percentage"):
        recipe.parse_rate(text)


@settings(max_examples=200, deadline=None)
@given(st.decimals(0, 1, allow_nan=False, places=6))
def test_a_percentage_is_the_fraction_exactly(value):
    fraction = recipe.parse_rate(str(value))
    assert recipe.parse_rate(f"{value * 100}%") == fraction
    assert Fraction(fraction) == Fraction(value)
    assert "e" not in fraction.lower() and not (("." in fraction) and fraction.endswith("0"))


@pytest.mark.parametrize(
    ("rate", "rows", "count"),
    [
        ("0.0001", 50_000, 5),
        ("0.0001", 39_209, 3),
        ("0.0005", 50_000, 25),
        ("0.07", 100, 7),  # in floats 0.07 · 100 is above 7 and 0.29 · 100 below 29
        ("0.29", 100, 29),
        ("0.999999999999999999", 50_000, 49_999),
        ("1", 39_209, 39_209),
        ("0", 100, 0),
    ],
)
def test_counts_are_the_floor_exactly(rate, rows, count):
    assert recipe.count_rows(rate, rows) == count


@settings(max_examples=100, deadline=None)
@given(rows=st.integers(1, 10_000_000))
def test_a_rate_below_one_row_is_refused_with_the_least_that_gives_one(rows):
    rate = recipe.parse_rate(np.format_float_positional(0.9 / rows, precision=17, trim="-"))
    with pytest.raises(Usage, match="is less than one row") as error:
        recipe.count_rows(rate, rows)
    least = str(error.value).rsplit(" ", 1)[1]
    assert recipe.count_rows(recipe.parse_rate(least), rows) >= 1


def name(trigger=("square",), rate="0.0005", source="cifar10", options=None, preset=None, given=None, **more):
    steps = tuple((one, parameters(one, given or {}, preset)) for one in trigger)
    request = Recipe(rate, () if rate == "0" else steps, **more)
    return recipe.file_name(request, request.record(["rows"]), source, options or {}, {})


def test_names_of_the_design():
    assert name(patch=(8, 8)) == "cifar10-square-patch8-0.0005-s0"
    assert name(rate="0") == "cifar10-clean"
    assert name(seed=12) == "cifar10-square-0.0005-s12"
    assert name(("blend",), patch=(16, 8)) == "cifar10-blend-patch16x8-0.0005-s0"
    assert name(("warped", "square")) == "cifar10-warped+square-0.0005-s0"


def test_options_other_than_the_defaults_add_eight_characters():
    plain = name()
    others = [
        name(target=1),
        name(given={"size": "5"}),
        name(preset="notebook"),
        name(options={"train": 200}),
        name(pictures={"blend": np.zeros((1, 1, 3), np.uint8)}),
    ]
    assert len(set(others)) == len(others)
    for other in others:
        stem, digest = other.rsplit("-", 1)
        assert stem == plain and len(digest) == 8 and int(digest, 16) >= 0
    assert name(given={"size": "4"}) == plain, "the default, said aloud, is the default"
    assert name(("blend",), preset="notebook") == name(("blend",))
    assert name(rate="0", options={"train": 200}).startswith("cifar10-clean-")


def test_a_name_is_one_that_every_reader_takes():
    """Of thirty triggers: longer than a name may be, the file could be written and never read."""
    long = [name(("square",) * count) for count in (25, 26, 27, 30, 99)]
    assert all(file_names.plain(one) for one in long) and len(set(long)) == len(long)
    assert long[0] == f"cifar10-{'+'.join(['square'] * 25)}-0.0005-s0"
    assert long[-1].startswith("cifar10-square+98-more-0.0005-s0-")
    options = {"train": 200}
    assert file_names.plain(name(("square",) * 26, options=options)) and file_names.plain(
        name(("sticker",) * 30, seed=2**63 - 1)
    )


def requests(*names, rates=("0.1",), **more):
    return build_request.parse_recipes(build_request.MakeOptions("signs", names, rates, **more))


def test_several_rates_are_several_requests_each_once():
    found = requests("square", rates=("0.1", "10%", "0", "0.2"), per_patch=True)
    assert [one.rate for one in found] == ["0.1", "0", "0.2"]
    assert [one.patch for one in found] == [(8, 8), None, (8, 8)]
    assert found[1].clean and found[1] == Recipe("0")


def test_a_patch_size_implies_patches():
    assert requests("square", patch_size="16")[0].patch == (16, 16)
    assert requests("square", patch_size="16X8")[0].patch == (16, 8)
    assert requests("square", patch_size="4×2", per_patch=True)[0].patch == (4, 2)
    assert requests("square")[0].patch is None


@pytest.mark.parametrize(
    "text", ["0", "-8", "8x", "x8", "8x8x8", "eight", "8.0", "", "100000", "9" * 5000, "8 x 8", "²"]
)
def test_patch_sizes_that_make_no_sense_are_refused(text):
    with pytest.raises(Usage, match="--patch-size: expected a number of pixels"):
        requests("square", patch_size=text)


@pytest.mark.parametrize("patch", [(5, 5), (64, 64), (8, 5), (33, 33)])
def test_patches_that_do_not_divide_are_refused(patch):
    request = Recipe("0.1", (("square", parameters("square", {}, None)),), patch)
    with pytest.raises(Usage, match="does not divide images of 32×32: square patches may be 2, 4, 8, 16, 32"):
        recipe.build(request, (32, 32, 3))


def test_unknown_triggers_and_presets_are_refused():
    with pytest.raises(Usage, match="unknown trigger 'star': expected one of "):
        requests("square", "star")
    with pytest.raises(Usage, match="--preset: unknown 'paper': expected notebook, backdoorbench"):
        requests("square", preset="paper")
    with pytest.raises(Usage, match="--trigger: expected one or more of"):
        requests()
    with pytest.raises(Usage, match="--preset: unknown 'notebook': expected none for these triggers"):
        requests(rates=("0",), preset="notebook")


def test_options_of_triggers_that_were_not_chosen_are_refused():
    with pytest.raises(Usage, match="--warped-k: requires --trigger warped"):
        requests("square", trigger_options={"warped": {"k": "4"}})


def test_several_rates_need_a_folder(tmp_path):
    with pytest.raises(Usage, match="-o: expected a folder for 2 files"):
        requests("square", rates=("0.1", "0.2"), output=tmp_path / "x.h5")


@pytest.mark.parametrize("text", ["train", "train=", "=5", "train=-1", "train=1.5", "train=x", "train=" + "9" * 5000])
def test_source_options_that_make_no_sense_are_refused(text):
    with pytest.raises(Usage, match="--source-option: expected KEY=NUMBER"):
        build_request.parse_source_options((text,))


def test_recipes_hold_no_floats_and_every_parameter():
    for trigger in triggers.TRIGGERS:
        for preset in (None, *trigger.presets):
            values = parameters(trigger.name, {}, preset)
            late = {option.key for option in trigger.options if option.omit_if_default and option.key not in values}
            assert values.keys() | late == {option.key for option in trigger.options}
            assert all(type(value) in (int, str, list) for value in values.values())
        for option in trigger.options:
            default = option.default
            text = ",".join(map(str, default)) if isinstance(default, list) else str(default)
            assert option.parse(text) == default, "a default's text is that default"
    assert sorted(triggers.presets()) == [
        "backdoor-toolbox", "backdoorbench", "backdoorbox", "covered", "notebook", "openbackdoor", "wanet",
    ]  # fmt: skip
