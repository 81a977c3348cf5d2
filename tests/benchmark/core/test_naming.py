"""Names that tell things apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.core import naming


@pytest.mark.parametrize(("names", "found"), [
    (["cat", "dog"], ["cat", "dog"]),
    (["cat", "dog", "cat"], ["cat (0)", "dog", "cat (2)"]),
    (["cat", "cat", "cat (1)"], ["0: cat", "1: cat", "2: cat (1)"]),
])  # fmt: skip
def test_equal_names_get_their_numbers(names, found):
    assert naming.distinct(names) == found


@given(st.lists(st.sampled_from(["a", "a (0)", "a (1)", "0: a", "1: a"])))
def test_no_two_are_the_same(names):
    assert len(set(naming.distinct(names))) == len(names)
