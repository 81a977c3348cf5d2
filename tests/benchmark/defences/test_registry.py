"""Methods by name."""

import pytest

from benchmark.core.errors import Usage
from benchmark.defences.catalogue import DETECTORS, REPAIRS


@pytest.mark.parametrize(("registry", "typed", "said"), [
    (REPAIRS, "Spectral", "; spectral is a detector: benchmark detect"),
    (DETECTORS, "anp", "; anp is a repair: benchmark repair"),
])  # fmt: skip
def test_a_method_of_the_other_kind_is_said_to_be_one(registry, typed, said):
    with pytest.raises(Usage) as error:
        registry.find(typed)
    assert str(error.value).endswith(f"got '{typed}'{said}")


def test_a_name_of_both_kinds_is_each_of_them():
    assert DETECTORS.find("heads") is not REPAIRS.find("heads")
