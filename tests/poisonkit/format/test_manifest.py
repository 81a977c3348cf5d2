"""Canonical JSON and digests."""

import hashlib
import json

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonkit.core import hashing
from poisonkit.format import manifest

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda child: st.lists(child, max_size=4) | st.dictionaries(text, child, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_canonical_json_has_one_spelling_and_comes_back(value):
    data = hashing.canonical(value)
    assert json.loads(data) == value
    assert hashing.canonical(json.loads(data)) == data
    assert data == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def test_canonical_json_by_hand():
    assert hashing.canonical({"b": [1, "ü"], "a": None}) == '{"a":null,"b":[1,"ü"]}'.encode()
    assert hashing.digest({}) == f"sha256:{hashlib.sha256(b'{}').hexdigest()}"


@pytest.mark.parametrize("value", [0.5, {"x": 1.0}, [[float("nan")]], {"a": {"b": (1, 2.0)}}])
def test_floats_are_refused(value):
    with pytest.raises(TypeError, match="no floats in a manifest"):
        hashing.canonical(value)


def test_array_digest_by_hand():
    array = np.arange(6, dtype="<i8").reshape(2, 3)
    expected = hashlib.sha256(b"<i8 2,3\n" + array.tobytes()).hexdigest()
    assert hashing.array_digest(array) == f"sha256:{expected}"
    zeros = hashlib.sha256(b"|u1 3\n" + bytes(3)).hexdigest()
    assert hashing.array_digest(np.zeros((3,), "u1")) == f"sha256:{zeros}"


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 3), st.integers(1, 3)),
    dtype=st.sampled_from(["|u1", "<i4", "<i8", "<f8"]),
    cuts=st.lists(st.integers(0, 40), max_size=4),
)
def test_a_digest_does_not_depend_on_the_blocks(shape, dtype, cuts):
    array = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    total = hashing.ArrayHash(dtype, shape)
    edges = sorted({0, shape[0], *(cut for cut in cuts if cut < shape[0])})
    for start, stop in zip(edges, edges[1:], strict=False):
        total.update(array[start:stop])
    assert str(total) == hashing.array_digest(array) == naive.array_digest(array)


def test_the_dataset_digest_covers_everything_but_itself():
    facts = {"a": 1, "arrays": {}}
    own = manifest.dataset_digest(facts)
    assert manifest.dataset_digest(facts | {"dataset_digest": own}) == own
    assert manifest.dataset_digest(facts | {"b": None}) != own
