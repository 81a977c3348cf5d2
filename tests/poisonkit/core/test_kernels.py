"""Every kernel against its plain twin."""

import subprocess
import sys

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import pictures, random_stencil

from poisonkit.core.stencil import ONE, Stencil

SHAPES = [(1, 1, 1), (5, 7, 1), (2, 3, 3), (8, 8, 3), (9, 4, 3)]


def pointwise_stencil(rng, shape, extreme=False):
    itself = np.arange(int(np.prod(shape))).reshape(*shape, 1)
    limit = (2**31 - ONE) // (255 * 2) if extreme else ONE
    low = -limit if extreme else 0
    weights, bias = rng.integers(low, limit + 1, (*shape, 1)), rng.integers(255 * low, 255 * limit + 1, shape)
    return Stencil.build(itself, weights, bias if extreme else bias // 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
@pytest.mark.parametrize("extreme", [False, True], ids=["sums to 1", "extreme"])
def test_pointwise_equals_its_twin(shape, count, extreme):
    rng = np.random.default_rng(count)
    stencil, images = pointwise_stencil(rng, shape, extreme), pictures(rng, count, shape)
    assert stencil.pointwise
    expected = naive.apply_stencil(stencil.taps, stencil.weights, stencil.bias, images)
    assert np.array_equal(stencil.apply(images), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
@pytest.mark.parametrize("taps", [1, 2, 3, 4])
@pytest.mark.parametrize("extreme", [False, True], ids=["sums to 1", "extreme"])
def test_gather_equals_its_twin(shape, count, taps, extreme):
    rng = np.random.default_rng(100 * taps + count)
    stencil, images = random_stencil(rng, shape, taps, extreme), pictures(rng, count, shape)
    expected = naive.apply_stencil(stencil.taps, stencil.weights, stencil.bias, images)
    assert np.array_equal(stencil.apply(images), expected)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])),
    count=st.integers(0, 140),
    taps=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    extreme=st.booleans(),
)
def test_any_stencil_equals_its_twin(shape, count, taps, seed, extreme):
    rng = np.random.default_rng(seed)
    stencil, images = random_stencil(rng, shape, taps, extreme), pictures(rng, count, shape)
    expected = naive.apply_stencil(stencil.taps, stencil.weights, stencil.bias, images)
    assert np.array_equal(stencil.apply(images), expected)


@pytest.mark.parametrize("shape", [(5, 7, 1), (8, 8, 3)])
@pytest.mark.parametrize("count", [1, 64, 65, 1025])
def test_the_gathering_kernel_gives_what_the_pointwise_one_gives(shape, count):
    rng = np.random.default_rng(count)
    stencil, images = pointwise_stencil(rng, shape), pictures(rng, count, shape)
    out = np.empty_like(images).reshape(count, -1)
    stencil._gather()(images.reshape(count, -1), out)
    assert np.array_equal(out.reshape(images.shape), stencil.apply(images))


@pytest.mark.parametrize("pointwise", [True, False])
@pytest.mark.parametrize("count", [1025, 4096 + 63])
def test_threads_change_no_byte(pointwise, count):
    rng = np.random.default_rng(3)
    shape = (5, 7, 1)
    stencil = pointwise_stencil(rng, shape) if pointwise else random_stencil(rng, shape, 4)
    images = pictures(rng, count, shape)
    alone = stencil.apply(images, threads=1)
    assert np.array_equal(alone, naive.apply_stencil(stencil.taps, stencil.weights, stencil.bias, images))
    for threads in (2, 3, 16):
        assert np.array_equal(stencil.apply(images, threads), alone)


def test_every_grey_level_rounds_half_up():
    """Weight 1/2 and odd grey levels are ties; they go up, negative sums clip to 0 and large ones to 255."""
    images = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    itself = np.zeros((1, 1, 1, 1))
    half = Stencil.build(itself, itself + ONE // 2, itself[0])
    assert half.apply(images).ravel().tolist() == [(v + 1) // 2 for v in range(256)]
    lowered = Stencil.build(itself, itself + ONE, itself[0] - 100 * ONE)
    assert lowered.apply(images).ravel().tolist() == [max(v - 100, 0) for v in range(256)]
    raised = Stencil.build(itself, itself + ONE, itself[0] + 100 * ONE)
    assert raised.apply(images).ravel().tolist() == [min(v + 100, 255) for v in range(256)]


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])),
    count=st.sampled_from([0, 1, 7, 300]),
    taps=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    extreme=st.booleans(),
)
def test_what_is_done_without_numba_is_the_same(shape, count, taps, seed, extreme):
    rng = np.random.default_rng(seed)
    stencil = random_stencil(rng, shape, taps, extreme)
    images = pictures(rng, count, shape)
    size = stencil.bias.size
    out = np.full((count, size), 77, np.uint8)
    stencil._plain(images.reshape(count, size), out)
    assert np.array_equal(out.reshape(images.shape), stencil.apply(images))


def test_little_is_done_without_numba_and_much_with_it():
    """In a process of its own: here numba is imported long since."""
    program = """if True:
        import sys
        import numpy as np
        from poisonkit.core.stencil import ONE, Stencil
        stencil = Stencil.identity((32, 32, 3))
        stencil.weights[:4, :4] = 0
        image = np.full((9000, 32, 32, 3), 9, np.uint8)
        for _ in range(20):  # what was done before does not count
            first = stencil.apply(image)
        assert np.array_equal(stencil.apply(image[:500], total=50_000), first[:500])
        assert "numba" not in sys.modules
        stencil = Stencil.build(stencil.taps, stencil.weights // 2, stencil.bias)
        assert (stencil.apply(image[:500], total=500)[:, 4:] == 5).all() and "numba" not in sys.modules
        assert (stencil.apply(image[:500], total=9000)[:, 4:] == 5).all() and "numba" not in sys.modules
        assert (stencil.apply(image[:500], total=30_000)[:, 4:] == 5).all() and "numba" in sys.modules
        second = stencil.apply(image)
        assert not first[:, :4, :4].any() and (first[:, 4:] == 9).all() and (second[:, 4:] == 5).all()
    """
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
