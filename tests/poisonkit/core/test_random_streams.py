"""Random numbers: pinned, nested, independent."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonkit.core import random_streams

seeds = st.integers(0, 2**63 - 1)


def test_raw_words_are_pinned():
    """What these are must never change, on any machine and with any NumPy: files would be other files."""
    assert random_streams.raw_words(0, "rows", 4).tolist() == [
        13024511643482567350,
        6483688145596498937,
        15155489981304562783,
        11340278125192740550,
    ]
    assert random_streams.raw_words(2**63 - 1, "rows", 2).tolist() == [13252748956029898090, 5503791194325050866]
    assert random_streams.raw_words(0, "flow", 2).tolist() == [12439134032475785591, 17711675061450157965]


def test_rows_are_pinned():
    assert np.sort(random_streams.permutation(0, "rows", 50_000)[:5]).tolist() == [19298, 24955, 36942, 40998, 44754]
    assert np.sort(random_streams.permutation(0, "rows", 39_209)[:3]).tolist() == [19298, 24955, 36942]


def test_noise_is_pinned():
    assert random_streams.signed_noise(0, "flow", (2, 1, 1)).ravel().tolist() == [
        0.34865361418486196,
        0.9203036579981589,
    ]


@settings(max_examples=50, deadline=None)
@given(seed=seeds, purpose=st.text(max_size=20), count=st.integers(0, 50))
def test_words_are_those_of_the_format_page(seed, purpose, count):
    assert np.array_equal(random_streams.raw_words(seed, purpose, count), naive.stream(seed, purpose).random_raw(count))


@settings(max_examples=50, deadline=None)
@given(seed=seeds, total=st.integers(1, 300), data=st.data())
def test_fewer_rows_are_among_more_rows(seed, total, data):
    more = data.draw(st.integers(0, total))
    fewer = data.draw(st.integers(0, more))
    order = random_streams.permutation(seed, "rows", total)
    assert sorted(order) == list(range(total)) and order.dtype == np.int64
    assert naive.chosen_rows(seed, more, total) == sorted(order[:more])
    assert set(order[:fewer]) <= set(order[:more])


def test_ties_go_to_the_lower_row(monkeypatch):
    monkeypatch.setattr(
        random_streams, "raw_words", lambda seed, stream_name, count: np.array([5, 1, 5, 1, 0], np.uint64)
    )
    assert random_streams.permutation(0, "rows", 5).tolist() == [4, 1, 3, 0, 2]


@settings(max_examples=30, deadline=None)
@given(seed=seeds, first=st.text(max_size=8), second=st.text(max_size=8))
def test_streams_of_different_purposes_share_nothing(seed, first, second):
    one, other = (set(random_streams.raw_words(seed, name, 20).tolist()) for name in (first, second))
    assert one == other if first == second else not one & other


@given(seed=seeds, other=seeds)
@settings(max_examples=30, deadline=None)
def test_seeds_share_nothing(seed, other):
    one, two = (set(random_streams.raw_words(number, "rows", 20).tolist()) for number in (seed, other))
    assert one == two if seed == other else not one & two


def test_one_stream_is_read_in_order():
    assert np.array_equal(random_streams.raw_words(1, "rows", 9)[:4], random_streams.raw_words(1, "rows", 4))
    noise = random_streams.signed_noise(1, "flow", (2, 3, 3))
    assert np.array_equal(noise.ravel(), naive.stream(1, "flow").random_raw(18).astype(object) // 2**11 * 2.0**-52 - 1)


@pytest.mark.parametrize(
    ("raw", "expected"), [(0, 0.0), (2**11 - 1, 0.0), (2**11, 2.0**-53), (2**63, 0.5), (2**64 - 1, 1 - 2.0**-53)]
)
def test_uniform_numbers_are_the_upper_53_bits(raw, expected):
    assert random_streams.uniform(np.array([raw], np.uint64)).tolist() == [expected]


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_noise_lies_in_its_range(seed):
    noise = random_streams.signed_noise(seed, "flow", (2, 8, 8))
    assert noise.shape == (2, 8, 8) and noise.dtype == np.float64
    assert noise.min() >= -1 and noise.max() < 1 and noise.min() < 0 < noise.max()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 384])
def test_the_words_of_a_row_are_those_at_its_place_in_the_stream(count):
    whole = random_streams.raw_words(3, "a", 40 * count).reshape(40, count)
    for rows in (np.arange(40), np.array([5]), np.array([38, 39, 0, 1, 2, 17, 17]), np.empty(0, np.int64)):
        assert np.array_equal(random_streams.row_words(3, "a", rows, count), whole[rows])
    assert random_streams.row_words(3, "a", np.arange(5), 0).shape == (5, 0)
