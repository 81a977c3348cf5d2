"""signs: the same pictures on every machine, whatever the counts; balanced, and different from each other."""

import numpy as np
import pytest

from poisonkit.core.errors import Usage
from poisonkit.sources._data import sign_templates
from poisonkit.sources.image import signs
from poisonkit.sources.opening import open_source

SMALL = {
    "train/images": "sha256:587421c3e080f929b56046fa033885a660e95be768277d055a2008e205732059",
    "train/labels": "sha256:319be369db7b44b3d7daf4efbde485ffc2070e93ded86382c5d8eb81972051af",
    "test/images": "sha256:ac9db3dbc34abe64824bd609d3054e9a4314fc42edc00a78657430e06daa6b5d",
    "test/labels": "sha256:48b718ba150ae4dbd99149681525affb27f9c80c39154e433431241effb87a6a",
}
DEFAULT = "sha256:30d9f93a5569b189b33daf3c6866b56a836f65f09fc4344c3662e705e9116db5"


def drawn(part: str, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    labels = signs.draw_labels(part, count, seed)
    return np.concatenate([images for _, images in signs.draw(part, labels, seed)]), labels


def test_golden_digests_of_a_small_set(tmp_path):
    source = open_source("signs", cache=tmp_path, options={"train": 150, "test": 70})
    assert source.arrays == SMALL
    assert source.options == {"test": 70, "train": 150}


def test_golden_digest_of_the_default_set(tmp_path):
    source = open_source("signs", cache=tmp_path)
    assert source.digest == DEFAULT
    assert source.options == {} and (len(source.train), len(source.test)) == signs.COUNTS
    assert np.bincount(source.train.labels).tolist() == [600] * 10
    assert np.bincount(source.test.labels).tolist() == [150] * 10


@pytest.mark.parametrize("count", (1, 9, 64, 100))
def test_the_first_pictures_do_not_depend_on_the_count(count):
    images, labels = drawn("train", 130)
    fewer, their_labels = drawn("train", count)
    assert (fewer == images[:count]).all() and (their_labels == labels[:count]).all()


def test_batches_do_not_show(monkeypatch):
    images, _ = drawn("test", 40)
    monkeypatch.setattr(signs, "BATCH", 7)
    assert (drawn("test", 40)[0] == images).all()


def test_parts_and_seeds_are_different_streams():
    one, other, seeded = drawn("train", 50), drawn("test", 50), drawn("train", 50, seed=1)
    for images, labels in (other, seeded):
        assert (images != one[0]).any(axis=(1, 2, 3)).all()
        assert (labels != one[1]).any()


def test_every_ten_rows_hold_each_class_once_in_random_order():
    labels = signs.draw_labels("train", 200, 0).reshape(20, 10)
    assert (np.sort(labels, axis=1) == np.arange(10)).all()
    assert len({tuple(row) for row in labels.tolist()}) > 10


def test_pictures_use_the_whole_range_and_none_is_flat():
    images, _ = drawn("train", 500)
    assert images.dtype == np.uint8 and images.shape == (500, 32, 32, 3)
    assert images.min() == 0 and images.max() == 255
    assert images.reshape(500, -1).std(axis=1).min() > 5
    assert len(np.unique(images.reshape(500, -1), axis=0)) == 500


def test_classes_can_be_told_apart_but_not_by_a_single_pixel():
    """The mean picture of each class classifies far above chance and far below 100 %."""
    images, labels = drawn("train", 2000)
    others, truth = drawn("test", 500)
    means = np.stack([images[labels == c].mean(axis=0) for c in range(10)])
    distance = ((others[:, None].astype(float) - means[None]) ** 2).sum(axis=(2, 3, 4))
    assert 0.15 < (distance.argmin(axis=1) == truth).mean() < 0.75


def test_templates_have_their_colours_and_mirror():
    templates = sign_templates.draw()
    assert templates.shape == (10, sign_templates.SIDE, sign_templates.SIDE) and templates.dtype == np.uint8
    assert not templates[:, [0, -1]].any() and not templates[:, :, [0, -1]].any(), "the border is empty"
    left, right = (signs.CLASSES.index(f"turn {side}") for side in ("left", "right"))
    assert (templates[left] == templates[right][:, ::-1]).all()
    for name, template in zip(signs.CLASSES, templates, strict=True):
        colours = {0, 1, 2} if name in ("give way", "priority road") else {0, 1, 2, 3}
        assert set(np.unique(template)) == colours, name
        assert 0.2 < (template > 0).mean() < 0.7, name
    assert len({template.tobytes() for template in templates}) == 10


def test_the_whole_square_root_is_exact():
    x = np.arange(-2 * sign_templates.SIDE, 2 * sign_templates.SIDE) // 2
    root = sign_templates._disc(x[None], x[:, None])
    square = x[None] ** 2 + x[:, None] ** 2
    assert (root**2 <= square).all() and ((root + 1) ** 2 > square).all()


def test_options(tmp_path):
    plain = open_source("signs", cache=tmp_path, options={"train": 20, "test": 10})
    other = open_source("signs", cache=tmp_path, options={"train": 20, "test": 10, "seed": 5})
    same = open_source("signs", cache=tmp_path, options={"train": 20, "test": 10, "seed": 0})
    assert other.digest != plain.digest == same.digest
    assert other.options == {"seed": 5, "test": 10, "train": 20} and same.options == plain.options
    assert open_source("signs", cache=tmp_path, options={"train": 21, "test": 10}).digest != plain.digest


@pytest.mark.parametrize(
    "options", ({"train": 0}, {"test": -1}, {"train": "5"}, {"train": 5.0}, {"seed": True}, {"colour": 1}, {"seed": -1})
)
def test_options_that_make_no_sense_are_one_line(options, tmp_path):
    with pytest.raises(Usage) as caught:
        open_source("signs", cache=tmp_path, options=options)
    assert next(iter(options)) in str(caught.value) and "\n" not in str(caught.value)


def test_there_is_nothing_to_read_from(tmp_path):
    with pytest.raises(Usage, match="drawn by code"):
        open_source("signs", source=tmp_path, cache=tmp_path)
