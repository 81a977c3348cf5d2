"""IBD-PSC against the reference's outputs, and on a run."""

import json

import mini_network
import numpy as np
import pytest
from in_process import invoke

from benchmark.defences.detectors import ibd_psc

ARRAYS = mini_network.golden()


def amplified(omega):
    return lambda count, images: mini_network.logits(ARRAYS, images, [1] * (8 - count) + [omega] * count)


@pytest.mark.parametrize(("omega", "ending"), [(1.5, ""), (2.5, "_scale2_5")])
def test_errors_and_probabilities_are_the_references(omega, ending):
    errors = ibd_psc.errors_of(amplified(omega), ARRAYS["img_clean"], ARRAYS["img_clean_labels"], 8)
    np.testing.assert_allclose(errors[:7], ARRAYS["ibdpsc_errors" + ending], rtol=1e-5)  # the code looks at 7 of the 8
    start = int(ARRAYS["ibdpsc_start_used"])
    # the published code amplifies one layer more than it has chosen: 3 to 7 of them for a start of 2
    counts = tuple(range(start + 1, start + 6))
    doubts = ibd_psc.doubts_of(amplified(omega), ARRAYS["img"], ARRAYS["net_logits"].argmax(1), counts)
    np.testing.assert_allclose(1 - np.exp(doubts), ARRAYS["ibdpsc_prob" + ending], rtol=1e-3, atol=1e-6)
    found = ibd_psc.consistency(ibd_psc.sureness(doubts))
    np.testing.assert_allclose(found, ARRAYS["ibdpsc_psc" + ending], rtol=1e-4)
    if not ending:
        np.testing.assert_array_equal(found >= 0.9, ARRAYS["ibdpsc_flag"])


def test_the_paper_amplifies_k_to_k_plus_n_less_one_layers():
    found = ibd_psc.choose(np.array([0.1, 0.2, 0.7, 0.5, 0.9, 0.9, 0.9, 0.9]), 0.6, 5)
    assert found.counts == (3, 4, 5, 6, 7) and found.reached


def test_beyond_the_last_layer_there_are_fewer_networks():
    assert ibd_psc.choose(np.array([0.1, 0.2, 0.7]), 0.6, 5).counts == (3,)


def test_where_no_error_is_large_enough_the_largest_is_taken():
    found = ibd_psc.choose(np.array([0.1, 0.4, 0.2, 0.4]), 0.6, 2)
    assert found.counts == (2, 3) and not found.reached


def test_what_rounds_to_one_is_still_told_apart():
    logits = np.array([[100.0, 0, 0], [110.0, 0, 0], [1e4, 0, 0], [0, 1, 0]])
    doubts = ibd_psc.doubt(logits, np.array([0, 0, 0, 1]))[:, None]
    sure = ibd_psc.sureness(doubts)
    assert np.isfinite(sure).all() and list(np.argsort(sure)) == [3, 0, 1, 2]
    assert ibd_psc.consistency(sure)[3] == pytest.approx(mini_network.softmax(logits)[3, 1])
    mean = ibd_psc.consistency(ibd_psc.sureness(np.log([[0.5, 0.1]])))
    assert mean == pytest.approx(0.7)


def test_on_a_run(run):
    settings = ("--option", "models=3", "--option", "xi=0.05", "--clean-rows", "30", "--no-twin")
    done = invoke("detect", run, "--method", "ibd-psc", *settings)
    assert done.exit_code == 0, (done.output, done.exception)
    (folder,) = run.glob("detect-ibd-psc-*")
    findings = json.loads((folder / "result.json").read_text())["findings"]
    assert findings["layers"] == 7  # of pmoe, the experts' own being one
    errors = findings["clean_errors"]
    assert findings["amplified"][0] == next(k for k, error in enumerate(errors, 1) if error > 0.05)


def test_where_xi_is_not_reached_it_says_so(run):
    done = invoke("detect", run, "--method", "ibd-psc", "--option", "xi=0.999", "--clean-rows", "30", "--no-twin")
    assert done.exit_code == 0 and "no number of layers makes more than 100% of the clean rows wrong" in done.stderr
