"""`poisonkit stats`: the measures against their definitions, and the command on real files."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from poisonkit.cli.main import cli
from poisonkit.inspection import image_stats

SMALL = ["--dataset", "signs", "--source-option", "train=200", "--source-option", "test=100"]


def naive_ssim(a, b):
    """One channel pair by the definition, window by window (Wang et al. 2004, equations 13 and 14)."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = 2.55**2, 7.65**2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = (image[y : y + 11, x : x + 11].astype(float) for image in (a, b))
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return np.mean(values)


@given(st.integers(0, 2**32 - 1))
def test_ssim_is_its_definition(seed):
    random = np.random.default_rng(seed)
    a = random.integers(0, 256, (1, 16, 13, 1), dtype=np.uint8)
    b = np.clip(a.astype(int) + random.integers(-40, 41, a.shape), 0, 255).astype(np.uint8)
    assert image_stats.ssim(a, b)[0] == pytest.approx(naive_ssim(a[0, ..., 0], b[0, ..., 0]), abs=1e-9)


def test_equal_images():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    found = image_stats.measure(images, images)
    assert np.isinf(found["psnr"]).all()
    assert found["ssim"] == pytest.approx(1)
    assert not found["linf"].any() and not found["changed"].any()


def test_one_level_everywhere():
    images = np.full((2, 32, 32, 3), 100, np.uint8)
    found = image_stats.measure(images, images + 1)
    assert found["psnr"] == pytest.approx(20 * np.log10(255))
    assert (found["linf"] == 1).all() and (found["changed"] == 1).all()


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stats")
    done = CliRunner().invoke(
        cli, ["make", *SMALL, "--trigger", "square", "--rate", "0.1", "--rate", "0", "-o", str(folder)]
    )
    assert done.exit_code == 0, done.output
    return next(folder.glob("*-square-*.h5"))


def test_a_file_by_its_own_truth(square):
    done = CliRunner().invoke(cli, ["stats", str(square), "--json"])
    assert done.exit_code == 0
    summary = json.loads(done.output)
    assert summary["poisoned"]["images"] == 20 and summary["triggered"]["images"] == 90
    assert 0 < summary["poisoned"]["changed"]["max"] <= 48 / 3072
    assert 0 < summary["triggered"]["ssim"]["mean"] < 1
    table = CliRunner().invoke(cli, ["stats", str(square), "--csv"]).output.splitlines()
    assert table[0] == "part,row,psnr,ssim,linf,changed" and len(table) == 1 + 20 + 90
    assert "poisoned" in CliRunner().invoke(cli, ["stats", str(square)]).output


def test_a_clean_file_has_nothing_to_measure(square):
    clean = next(square.parent.glob("*-clean*.h5"))
    done = CliRunner().invoke(cli, ["stats", str(clean)])
    assert done.exit_code == 1 and "clean file" in done.output and done.output.count("\n") == 1
