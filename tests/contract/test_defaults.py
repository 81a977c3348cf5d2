"""What tables of `benchmark` leave out as the default of a trigger is what `poisonkit make` gives it."""

import pytest

from benchmark.format.manifest import Trigger
from benchmark.runs.trigger_defaults import DEFAULTS, unusual
from poisonkit.triggers.registry import TRIGGERS


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_the_defaults_are_those_of_the_triggers(name):
    spec = TRIGGERS[name]
    assert DEFAULTS[name] == {one.key: one.default for one in spec.options if not one.omit_if_default}


@pytest.mark.parametrize(
    ("name", "parameters", "differing"),
    [
        ("square", DEFAULTS["square"], {}),
        ("square", DEFAULTS["square"] | {"size": 1}, {"size": 1}),
        ("blend", {"alpha": "0.5", "rounding": "truncate"}, {"rounding": "truncate"}),
        (
            "own",
            {"file": "my.py", "function": "build", "digest": "sha256:0123456789abcdef", "level": "7"},
            {"code": "my.py:build 01234567", "level": "7"},
        ),
        ("halo", {"radius": 3}, {"radius": 3}),
    ],
)
def test_what_differs_is_named_and_all_of_a_trigger_that_nobody_here_knows(name, parameters, differing):
    assert unusual(Trigger(name, parameters)) == differing
