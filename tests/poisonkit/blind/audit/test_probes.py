"""The probes that make scores: each on what was planted for it, and on nothing."""

import json
import shutil

import numpy as np
import pytest
from made import some_images
from made_sealed import HIDDEN, sealed, signs

from poisonkit.blind.audit import (
    aligned,
    block_flow,
    class_contrast,
    finding,
    grids,
    learned_labels,
    probes,
    report,
    standalone,
    window_matching,
)
from poisonkit.core import roc
from poisonkit.sources import camouflage


def auroc(scores, truth):
    return roc.auroc(roc.curve(scores, truth))


def numbers(seed=0, classes=5, count=400, size=12):
    """Gaussian numbers of training and test rows, whose classes have means of their own."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(classes, size)) * 3
    labels, of = np.repeat(np.arange(classes), count), np.repeat(np.arange(classes), count // 2)
    values = means[labels] + rng.normal(size=(len(labels), size))
    return values.astype(np.float32), labels, (means[of] + rng.normal(size=(len(of), size))).astype(np.float32), of


def test_rows_moved_within_their_class_are_found():
    values, labels, reference, of = numbers()
    truth = np.zeros(len(labels), bool)
    truth[800:840] = True  # a tenth of class 2
    values[truth] += np.array([2, -2, 2, -2, 2, -2] + [0] * 6, np.float32)
    found = class_contrast.shifts(values, labels, reference, of)
    assert found.classes == [2] and auroc(found.scores, truth) > 0.98
    assert len(found.rows) >= 25 and truth[found.rows].mean() > 0.75


def test_nothing_is_named_in_rows_like_any_other():
    for seed in range(5):
        values, labels, reference, of = numbers(seed)
        found = class_contrast.shifts(values, labels, reference, of)
        assert not len(found.rows) and not found.classes
        truth = np.zeros(len(labels), bool)
        truth[800:840] = True
        assert abs(auroc(found.scores, truth) - 0.5) < 0.2


def test_classes_with_few_rows_are_not_tried():
    values, labels, reference, of = numbers(count=20)
    assert not class_contrast.shifts(values, labels, reference, of).scores.any()


def test_the_direction_of_outliers_needs_no_label():
    values, _, reference, _ = numbers(classes=1, count=3000)
    truth = np.arange(3000) % 100 == 0
    values[truth] += 3
    assert auroc(class_contrast.outliers(values, reference), truth) > 0.95


@pytest.mark.parametrize("probe", probes.TABLE, ids=lambda one: one.__name__.split(".")[-1])
@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (9, 70, 3), (40, 33, 1)])
def test_every_probe_describes_any_picture(probe, shape):
    said = probe.describe(some_images(4, shape))
    assert said.shape[0] == 4 and said.ndim == 2 and np.isfinite(said).all()
    flat = probe.describe(np.zeros((2, *shape), np.uint8))
    assert np.isfinite(flat).all() and np.array_equal(flat[0], flat[1])


PICTURE = np.random.default_rng(4).integers(0, 255, (8, 8, 3)).repeat(4, 0).repeat(4, 1)
PLANTED = {
    "grain": lambda images: images.astype(int) + np.random.default_rng(1).integers(-6, 7, images.shape),
    "detail": lambda images: images.astype(int) + 9 * (np.indices(images.shape[1:3]).sum(0) % 2)[..., None],
    "spectrum": lambda images: images + (20 * np.sin(2 * np.pi * 6 * np.arange(32) / 32))[:, None],
    "jpeg_grid": lambda images: np.where((np.arange(32) % 8 == 0)[:, None], images.astype(int) + 12, images),
    "colour": lambda images: images * 0.7 + 60,
    "pixels": lambda images: (
        images * 0.8 + 0.2 * np.random.default_rng(4).integers(0, 255, (8, 8, 3)).repeat(4, 0).repeat(4, 1)
    ),
}


@pytest.mark.parametrize("probe", probes.TABLE, ids=lambda one: one.__name__.split(".")[-1])
def test_every_probe_finds_what_was_planted_for_it(probe):
    images, test = some_images(600, seed=1), some_images(400, seed=2)
    truth = np.isin(np.arange(600), np.random.default_rng(3).permutation(600)[:60])
    images[truth] = PLANTED[probe.__name__.split(".")[-1]](images[truth]).clip(0, 255).astype(np.uint8)
    parts = [grids.gathered([(0, part)], probe.describe) for part in (images, test)]
    found = class_contrast.shifts(parts[0], np.zeros(600, np.int64), parts[1], np.zeros(400, np.int64))
    by_class, outliers = auroc(found.scores, truth), auroc(class_contrast.outliers(*parts), truth)
    assert (outliers if probe is probes.pixels else by_class) > 0.85


def test_a_class_with_more_rows_than_expected():
    test = np.repeat(np.arange(10), 100)
    labels = np.concatenate([np.repeat(np.arange(10), 498), np.zeros(60, np.int64)])
    found = standalone.sizes(labels, test)
    assert "class 0 has 558, 498 expected" in found.text and not len(found.rows)
    assert (found.scores[labels == 0] > found.scores[labels != 0].max()).all()
    even = standalone.sizes(np.repeat(np.arange(10), 498), test)
    assert even.text.startswith("no class is larger") and np.ptp(even.scores) == 0


class Held:
    """A data set in memory, as far as the probes ask."""

    def __init__(self, train, test):
        self.parts = {"train": train, "test": test}

    def split(self, part):
        return Part(self.parts[part])


class Part:
    def __init__(self, images):
        self.images, self.shape = images, images.shape

    def __len__(self):
        return len(self.images)

    def rows(self, index):
        return self.images[index]


def test_labels_that_a_model_of_the_test_rows_does_not_believe():
    rng = np.random.default_rng(0)
    waves = (40 * np.sin(np.arange(32) * np.array([0.5, 1.0, 1.6])[:, None]))[:, None, :, None]

    def drawn(labels, seed):
        return (some_images(len(labels), seed=seed) * 0.4 + 70 + waves[labels]).clip(0, 255).astype(np.uint8)

    labels, test = rng.integers(0, 3, 300), rng.integers(0, 3, 200)
    images, truth = drawn(labels, 1), np.arange(300) % 10 == 0
    labels[truth] = (labels[truth] + 1) % 3
    found = learned_labels.look(Held(images, drawn(test, 2)), labels, test)
    assert auroc(found.scores, truth) > 0.95 and found.team == finding.FILE


# ---- beside the source


def test_a_fit_gives_the_moves_back():
    images = grids.planes(some_images(20))[0]
    smooth = block_flow._smooth(block_flow._smooth(images))
    windows_ = np.tile(np.float32([0, 0, 1, 1]), (20, 1))
    wanted = np.random.default_rng(1).uniform(-0.8, 0.8, (20, 2, 4, 4)).astype(np.float32)
    moved_ = 0.8 * block_flow._moved(smooth, wanted, windows_, (block_flow._between(32),) * 2) + 30
    found, rest = block_flow.fit(moved_, smooth, windows_)
    assert np.abs(found - wanted.reshape(20, -1)).mean() < 0.25 and rest.std() < 0.4 * moved_.std()
    same, nothing = block_flow.fit(smooth, smooth, windows_)
    assert np.abs(same).max() < 0.01 and np.abs(nothing).max() < 0.5


@pytest.mark.parametrize("text", ["medium", "crop=8,colour=20,noise=4", "warp=1,jpeg=75"])
def test_windows_find_cropped_and_coloured_images_again(text):
    images = some_images(300)
    order = np.random.default_rng(1).permutation(300)[:100]
    hidden = camouflage.Transform(camouflage.parse(text, 2), "train", images.shape[1:])(images[order])
    found = window_matching.join(hidden, lambda rows: images[rows], lambda: [(0, images[:170]), (170, images[170:])])
    right = found.originals == order
    assert right.mean() > 0.7 and (right | (found.originals < 0)).mean() > 0.9


def test_windows_find_nothing_in_other_pictures():
    other = some_images(200, seed=8)
    found = window_matching.join(some_images(60), lambda rows: other[rows], lambda: [(0, other)])
    assert (found.originals >= 0).mean() < 0.1


def test_a_patch_is_the_mean_of_all_patches():
    rest = np.random.default_rng(0).normal(size=(3, 17, 32)).astype(np.float32)
    expected = np.mean([rest[:, y : y + 8, x : x + 8] for y in (0, 8) for x in (0, 8, 16, 24)], 0)
    assert np.allclose(aligned.tiled(rest), expected.reshape(3, -1), atol=1e-5)


# ---- the command


def table_of(poisonkit, path, *more):
    return json.loads(poisonkit("audit", path, *more, "--json").out)


def test_both_teams_have_a_verdict_with_figures(poisonkit, tmp_path):
    signs(poisonkit, tmp_path, "--rate", "0")
    path, key = sealed(
        poisonkit, signs(poisonkit, tmp_path, "--trigger", "square", "--rate", "0.05", *HIDDEN), tmp_path
    )
    table = table_of(poisonkit, path, *key)
    assert {one["team"] for one in table["findings"]} == {"file", "source"}
    assert table["verdict"]["file"]["verdict"] == table["verdict"]["source"]["verdict"] == "found"
    named = [one for one in table["findings"] if one["probe"].startswith("near join") and one["rows"]]
    assert named and all(one["auroc"] > 0.5 and one["tpr_at_1_percent_fpr"] > 0 for one in named)
    lines = poisonkit("audit", path, *key).lines
    assert any(line.startswith("with the sealed file alone: found; best of these probes") for line in lines)
    assert any(line.startswith("with the public source: found; best") for line in lines)


def test_every_entry_of_every_cache_is_tried_and_no_seed_is_printed(poisonkit, tmp_path, cache):
    """A camouflaged source that an earlier version cached is the clean set to the byte."""
    path, key = sealed(poisonkit, signs(poisonkit, tmp_path, "--trigger", "warped", "--rate", "0.05"), tmp_path)
    other = tmp_path / "other"
    shutil.copytree(cache, other)
    for record in (other / "origins").glob("signs*.json"):
        said = json.loads(record.read_text())
        said["fingerprint"]["camouflage"] = {"camouflage": "noise=1", "camouflage-seed": 123456789123}
        record.write_text(json.dumps(said))
    result = poisonkit("audit", path, *key, "--cache", tmp_path / "none", "--cache", other)
    assert result.code == 3 and "exact join, signs (test 40, train 400)" in result.out
    assert "123456789123" not in result.out


def test_a_verdict_without_a_key_says_what_the_probes_are_sure_of(poisonkit, tmp_path, library, monkeypatch):
    path, _ = sealed(poisonkit, library("square"), tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "of-somebody-else"))
    (tmp_path / "c.key.h5").unlink(missing_ok=True)
    found = table_of(poisonkit, path)["verdict"]
    assert found["file"]["best"] is None and found["file"]["verdict"] in ("holds", "found")


def test_what_a_ranking_is():
    named = finding.Finding("x", "", np.array([1, 3]))
    assert named.ranking(5)[0].tolist() == [0, 1, 0, 1, 0]
    scored = finding.Finding("x", "", scores=np.array([0.5, 2.0]), tried=np.array([0, 4]))
    audited = report.Audited(None, "n", 5, [scored], np.array([4]))
    assert report.ranked(scored, audited) == {"auroc": 1.0, "tpr_at_1_percent_fpr": 1.0}
    assert finding.Finding("x", "").ranking(5) is None
