"""What tables of `benchmark` leave out as the default of a trigger is what `poisonkit make` gives it."""

import pytest

from benchmark.runs.trigger_defaults import DEFAULTS, unusual
from poisonkit.triggers.registry import TRIGGERS


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_the_defaults_are_those_of_the_triggers(name):
    spec = TRIGGERS[name]
    assert DEFAULTS[name] == {one.key: one.default for one in spec.options if not one.omit_if_default}


def test_every_trigger_with_parameters_has_them():
    assert {spec.name for spec in TRIGGERS if spec.options} == set(DEFAULTS)


def test_what_differs_is_named_and_all_of_a_trigger_that_nobody_here_knows():
    assert unusual({"name": "square", **DEFAULTS["square"]}) == {}
    assert unusual({"name": "square", **DEFAULTS["square"], "size": 1}) == {"size": 1}
    assert unusual({"name": "blend", "alpha": "0.5", "rounding": "truncate"}) == {"rounding": "truncate"}
    assert unusual({"name": "halo", "radius": 3}) == {"radius": 3}
