"""Both programs understand names alike."""

import click
import pytest

from benchmark.cli.main import main
from benchmark.core import naming as benchmark_naming
from benchmark.core.errors import Usage
from benchmark.nn.networks import ALIASES, NETWORKS
from benchmark.training.choose import chosen_settings
from poisonkit.cli.main import cli
from poisonkit.core import naming as poisonkit_naming


def leaves(group):
    for command in group.commands.values():
        yield from leaves(command) if isinstance(command, click.Group) else [command]


def test_both_have_one_rule():
    for typed in ("CIFAR-10", "a_b", "-1", "1-2", "e\u0301", "Straße", " x "):
        assert benchmark_naming.folded(typed) == poisonkit_naming.folded(typed)
    known, aliases = ("square", "blend"), {"badnets": "square"}
    for typed in ("Bad_Nets", "squar", "x", "blend"):
        for function in ("understood", "hint"):
            one, other = (getattr(module, function) for module in (benchmark_naming, poisonkit_naming))
            assert one(typed, known, aliases) == other(typed, known, aliases)


def test_every_choice_of_both_programs_is_understood_in_other_spellings():
    found = 0
    for command in (*leaves(cli), *leaves(main)):
        for option in command.get_params(click.Context(command)):
            if isinstance(option.type, click.Choice):
                for name in option.type.choices:
                    assert option.type.convert(name.upper().replace("-", "_"), option, None) == name
                    found += 1
    assert found > 50


@pytest.mark.parametrize("typed, wanted", [
    ({"backend": "TF"}, {"backend": "tensorflow"}), ({"backend": "PyTorch"}, {"backend": "torch"}),
    ({"precision": "bf16"}, {"precision": "bfloat16"}), ({"preset": "Tiny"}, {"epochs": 1}),
    ({"network": "PreActResNet18"}, {"NETWORK": "preact-resnet18"}), ({"network": "patch_moe"}, {"NETWORK": "pmoe"}),
    ({"network": "PMoE", "optimizer": "AdamW"}, {"optimizer": "adamw"}),
])  # fmt: skip
def test_settings(typed, wanted):
    chosen = chosen_settings("image", source="cifar10", **typed)
    if "preset" in typed:
        assert chosen == chosen_settings("image", source="cifar10", preset="tiny")
    else:
        assert {name: getattr(chosen, name) for name in wanted} == wanted


def test_what_is_near_is_proposed():
    for given, words in (
        ({"network": "pmo"}, "did you mean pmoe"),
        ({"backend": "tensorflw"}, "did you mean tensorflow"),
        ({"preset": "smal"}, "did you mean small"),
    ):
        with pytest.raises(Usage, match=words):
            chosen_settings("image", source="cifar10", **given)


def test_no_alias_is_another_network():
    folded = [benchmark_naming.folded(one) for one in (*NETWORKS, *ALIASES)]
    assert len(set(folded)) == len(folded)
