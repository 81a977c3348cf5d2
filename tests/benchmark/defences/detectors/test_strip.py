"""STRIP against the reference's outputs, and on a run."""

from types import SimpleNamespace

import mini_network
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import invoke

from benchmark.defences.detectors import strip

ARRAYS = mini_network.golden()
BLACK = np.zeros(3, np.float32)


def test_entropies_and_cut_are_the_references():
    found = strip.entropy(mini_network.softmax(ARRAYS["strip_logits"])).mean(axis=1)
    np.testing.assert_allclose(found, ARRAYS["strip_entropy"][: len(found)], atol=2e-3)
    clean = strip.entropy(mini_network.softmax(ARRAYS["strip_logits_clean"])).mean(axis=1)
    np.testing.assert_allclose(clean, ARRAYS["strip_entropy_clean"][: len(clean)], atol=2e-3)
    limit = strip.cut(ARRAYS["strip_entropy_clean"], 0.1)
    assert limit == pytest.approx(float(ARRAYS["strip_threshold"]))
    np.testing.assert_array_equal(ARRAYS["strip_entropy"] < limit, ARRAYS["strip_flag"])


def test_superimposed_images_give_the_references_logits():
    images, drawn = ARRAYS["strip_first_img"], np.tile(ARRAYS["strip_first_overlays"], (16, 1))
    asked = []

    def predict(mixed):
        asked.append(len(mixed))
        return mini_network.softmax(mini_network.logits(ARRAYS, mixed))

    found = strip.mean_entropies(predict, images, ARRAYS["img_clean"], drawn, 1.0, BLACK, False)
    assert asked == [16 * 16]
    np.testing.assert_allclose(found, ARRAYS["strip_entropy"][:16], atol=2e-3)


def test_lower_entropy_is_more_suspicious_where_the_published_auc_is_inverted():
    scores, poisoned = -ARRAYS["strip_entropy"], ARRAYS["img_poisoned"]
    assert mini_network.auc(scores, poisoned) == pytest.approx(1 - float(ARRAYS["strip_auc_as_published"]), abs=1e-6)
    assert mini_network.auc(scores, poisoned) > 0.99


@given(st.integers(0, 2**31), st.integers(2, 60), st.data())
def test_a_row_gets_different_overlays_whatever_other_rows_are_inspected(seed, pool, data):
    count = data.draw(st.integers(1, pool))
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, 29), min_size=1))))
    every = strip.overlays_of(seed, "a test", np.arange(30), 30, pool, count)
    assert every.min() >= 0 and every.max() < pool
    assert all(len(set(row)) == count for row in every.tolist())
    np.testing.assert_array_equal(strip.overlays_of(seed, "a test", rows, 30, pool, count), every[rows])


def test_every_image_of_the_pool_is_drawn_about_as_often():
    drawn = strip.overlays_of(1, "a test", np.arange(4000), 4000, 51, 20)  # stretches of two and of three
    counts = np.bincount(drawn.reshape(-1), minlength=51)
    assert abs(counts / counts.mean() - 1).max() < 0.15
    assert not np.array_equal(drawn[0], drawn[1])


def test_a_clean_row_is_never_laid_over_itself_and_over_all_others():
    drawn = np.tile(np.arange(9), (10, 1))  # of the nine others
    others = strip.never_itself(drawn)
    for row, found in enumerate(others.tolist()):
        assert found == [number for number in range(10) if number != row]


def test_sums_are_those_of_the_networks_normalised_space():
    scale, offset = np.array([0.02, 0.01, 0.03]), np.array([-1.0, -2.0, 0.5])
    model = SimpleNamespace(layers=[SimpleNamespace(name="scale", scale=scale, offset=offset)])
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    overlays = images[::-1, None]
    mixed = strip.superimpose(images, overlays, 0.5, strip.centre_of(model), False)
    normalised = [one * scale + offset for one in (mixed[:, 0], images, overlays[:, 0])]
    np.testing.assert_allclose(normalised[0], normalised[1] + 0.5 * normalised[2], atol=1e-5)
    assert strip.centre_of(SimpleNamespace(layers=[])) == 0
    clamped = strip.superimpose(images, overlays, 1.0, BLACK, True)
    np.testing.assert_array_equal(clamped[:, 0], np.minimum(images.astype(int) + overlays[:, 0], 255))


def test_on_a_run(run):
    done = invoke("detect", run, "--method", "strip", "--option", "overlays=4", "--clean-rows", "30", "--no-twin")
    assert done.exit_code == 0, (done.output, done.exception)
    (folder,) = run.glob("detect-strip-*")
    assert len((folder / "scores.csv").read_text().splitlines()) == 91
    again = [float(line.split(",")[1]) for line in (folder / "scores.csv").read_text().splitlines()[1:]]
    assert len(set(again)) > 80 and max(again) < 0


def test_too_few_clean_rows_are_one_line(run):
    done = invoke("detect", run, "--method", "strip", "--clean-rows", "5", "--no-twin")
    assert (
        done.exit_code == 1
        and ": strip: needs 10 clean rows or more" in done.stderr
        and done.stderr.count("benchmark: ") == 1
    )
