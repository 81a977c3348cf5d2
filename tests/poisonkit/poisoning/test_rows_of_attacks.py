"""One of several triggers a row, untargeted labels, cover classes by name, random places, and twins for test rows."""

import json

import h5py
import numpy as np
import pytest
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.core.random_streams import row_words
from poisonkit.poisoning.recipe import Recipe, build, parameters

TWO = ("--trigger", "square", "--trigger", "sig", "--one-of")


def built(name, given, tile=(16, 14, 3), patch=None):
    return build(Recipe("0.1", ((name, parameters(name, given, None)),), patch), tile)[0]


@pytest.fixture
def make(poisonkit, tmp_path):
    """`make(…)`: a small file of these options, which verifies; its arrays and its manifest."""

    def made(*asked, name="x.h5"):
        path = tmp_path / name
        poisonkit("make", *poisonkit.small, *asked, "-o", path).succeeded()
        assert poisonkit("verify", path).succeeded().lines == [f"{path}: OK"]
        with h5py.File(path) as f:
            arrays = {name: f[name][()] for name in json.loads(f.attrs["manifest"])["arrays"]}
            return arrays, json.loads(f.attrs["manifest"])

    return made


def below(seed, stream, rows, count):
    """⌊(raw >> 32) · count / 2³²⌋ of one word a row."""
    return ((row_words(seed, stream, rows, 1)[:, 0] >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)).astype(int)


def test_one_of_several(make):
    arrays, manifest = make(*TWO, "--rate", "0.1", "--cover-rate", "0.1", "--seed", "4")
    assert manifest["recipe"]["one_of"] is True and manifest["recipe"]["streams"] == ["cover", "one-of", "rows"]
    rows, before = arrays["truth/rows"], arrays["truth/images"]
    after, which = arrays["train/images"][rows], below(4, "one-of", rows, 2)
    square, sig = (built(name, {}, (32, 32, 3)).stencil for name in ("square", "sig"))
    assert set(which) == {0, 1}
    assert np.array_equal(after[which == 0], square.apply(before[which == 0]))
    assert np.array_equal(after[which == 1], sig.apply(before[which == 1]))
    tested = arrays["test/images"][arrays["triggered/rows"]]
    assert np.array_equal(arrays["triggered/images"], sig.apply(square.apply(tested)))


@pytest.mark.parametrize(
    "more", [(), ("--per-patch",), ("--camouflage", "noise=1", "--camouflage-seed", "31415926535")]
)
def test_a_delta_of_one_of_several(make, poisonkit, library, more, tmp_path):
    make(*TWO, "--rate", "0.1", *more)
    poisonkit("pack", tmp_path / "x.h5").succeeded()
    make("--rate", "0", *(more if "--camouflage" in more else ()), name="clean.h5")
    poisonkit("unpack", tmp_path / "x.delta.h5", "--base", tmp_path / "clean.h5", "-o", tmp_path / "y.h5").succeeded()
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "y.h5").read_bytes()


def test_one_of_several_in_noise_mode(make):
    warped = ("--trigger", "warped", "--trigger", "square", "--one-of", "--preset", "wanet")
    arrays, _ = make(*warped, "--rate", "0.1")
    rows, role = arrays["truth/rows"], arrays["truth/role"]
    squares = below(0, "one-of", rows, 2) == 1
    changed = arrays["train/images"][rows] != arrays["truth/images"]
    assert not changed[squares][:, 4:].any() and changed[~squares][:, 4:].any((1, 2, 3)).all() and (role == 2).any()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--trigger", "square", "--one-of"), "--one-of: needs two triggers or more"),
        (("--trigger", "square", "--cover-class", "1"), "--cover-class: there are no cover rows without --cover-rate"),
        (("--trigger", "square", "--cover-rate", "0.1", "--cover-class", "11"), "--cover-class: expected a class"),
        (
            ("--trigger", "square", "--source-class", "2", "--cover-rate", "0.1", "--cover-class", "2"),
            "is a source class, under source-specific its rows are no covers",
        ),
        (
            ("--trigger", "square", "--label-mode", "clean-label", "--cover-rate", "0.1", "--cover-class", "0"),
            "is the target, under clean-label its rows are no covers",
        ),
        (("--trigger", "square", "--label-mode", "untargeted", "--target", "1"), "--target: untargeted has none"),
        (("--trigger", "square", "--square-position", "anywhere"), "random, or ROW,COLUMN, got 'anywhere'"),
        (("--trigger", "square", "--square-position", "random", "--square-size", "40"), "does not fit a tile"),
        (("--trigger", "blend", "--blend-test-alpha", "2"), "from 0 to 1, got '2'; or same"),
    ],
)
def test_what_does_not_go_together(poisonkit, tmp_path, asked, words):
    poisonkit("make", *poisonkit.small, *asked, "--rate", "0.05", "-o", tmp_path / "x.h5").failed(2, words)
    assert not list(tmp_path.iterdir())


def test_one_of_is_for_images(poisonkit, tmp_path):
    asked = ("make", "--dataset", "phrases", "--trigger", "word", "--trigger", "sentence", "--one-of")
    poisonkit(*asked, "--rate", "0.05", "-o", tmp_path / "x.h5").failed(2, "--one-of: is for images")


def test_untargeted(make):
    arrays, manifest = make("--trigger", "square", "--label-mode", "untargeted", "--rate", "0.5", "--seed", "2")
    assert manifest["recipe"]["target"] is None and manifest["counts"]["already_target"] == 0
    assert manifest["recipe"]["streams"] == ["rows", "untargeted", "untargeted-test"]
    rows, true = arrays["truth/rows"], arrays["truth/labels"]
    drawn = below(2, "untargeted", rows, 9)
    assert np.array_equal(arrays["train/labels"][rows], drawn + (drawn >= true))
    assert len(set(arrays["train/labels"][rows])) == 10
    assert np.array_equal(arrays["triggered/rows"], np.arange(100))
    drawn = below(2, "untargeted-test", np.arange(100), 9)
    assert np.array_equal(arrays["triggered/wanted"], drawn + (drawn >= arrays["test/labels"]))
    few, _ = make("--trigger", "square", "--label-mode", "untargeted", "--rate", "0.1", "--seed", "2", name="y.h5")
    assert np.array_equal(few["train/labels"][few["truth/rows"]], arrays["train/labels"][few["truth/rows"]])


@pytest.mark.parametrize("classes", [("3",), ("3", "1")])
def test_cover_classes(make, classes):
    """TaCT's: the cover rows are of classes that are named."""
    named = [word for one in classes for word in ("--cover-class", one)]
    specific = ("--source-class", "2", "--target", "0", "--trigger", "square")
    arrays, manifest = make(*specific, "--rate", "0.05", "--cover-rate", "0.05", *named)
    covers = arrays["truth/labels"][arrays["truth/role"] == 2]
    assert manifest["recipe"]["cover_classes"] == sorted(map(int, classes)) and len(covers) == 10
    assert set(covers) == set(map(int, classes))


def test_more_covers_than_there_are(poisonkit, tmp_path):
    asked = ("--trigger", "square", "--rate", "0.05", "--cover-rate", "0.5", "--cover-class", "3")
    poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path).failed(
        2, "--cover-rate", "(index 3) that may be cover rows"
    )


@pytest.mark.parametrize("name", ["square", "sticker"])
def test_a_place_for_each_row(name):
    images, rows = pictures(np.random.default_rng(0), 400, (16, 14, 3)), np.arange(400) * 7
    given = {"position": "random", "size": "3"}
    one = built(name, given)
    assert one.streams == (f"{name}-place", f"{name}-place-test")
    words = row_words(0, f"{name}-place", rows, 2)
    left = np.array([14, 12], np.uint64)
    place = ((words >> np.uint64(32)) * left >> np.uint64(32)).astype(int).T
    expected = images.copy()
    for number, (row, column) in enumerate(zip(*place, strict=True)):
        at = built(name, {"position": f"{row},{column}", "size": "3"})
        expected[number] = at.stencil.apply(images[number : number + 1])[0]
    assert np.array_equal(one.train.put(images, rows), expected)
    assert {*place[0]} == set(range(14)) and {*place[1]} == set(range(12))
    assert (one.test.put(images, rows) != expected).any()
    assert one.mask().all()


@pytest.mark.parametrize("name", ["square", "sticker"])
@pytest.mark.parametrize("more", [(), ("--per-patch",)])
def test_files_with_a_place_for_each_row(make, name, more):
    size = (f"--{name}-size", "3", f"--{name}-position", "random")
    arrays, _ = make("--trigger", name, "--rate", "0.1", *size, *more)
    assert set(path.split("/")[2] for path in arrays if path.startswith("trigger/")) == {"mask"}


TWINS = {
    "blend": ("alpha", "0.1", "0.3"),
    "sticker": ("opacity", "0.5", "0.9"),
    "sig": ("delta", "10", "40"),
    "noise": ("linf", "4", "16"),
}


@pytest.mark.parametrize("name", TWINS)
def test_twins_for_test_rows(make, name):
    key, weak, strong = TWINS[name]
    images, rows = pictures(np.random.default_rng(0), 5, (16, 14, 3)), np.arange(5)
    one = built(name, {key: weak, f"test-{key}": strong})
    for work, value in ((one.train, weak), (one.test, strong)):
        assert np.array_equal(work.put(images, rows), built(name, {key: value}).train.put(images, rows))
    assert built(name, {key: weak, f"test-{key}": weak}).test is None
    assert parameters(name, {f"test-{key}": "same"}, None) == parameters(name, {}, None)  # recipes stay as they were
    arrays, manifest = make("--trigger", name, "--rate", "0.1", f"--{name}-{key}", weak, f"--{name}-test-{key}", strong)
    assert str(manifest["recipe"]["triggers"][0][f"test-{key}"]) == strong and "trigger/0/test_bias" in arrays


def test_a_wave_that_is_none_on_test_rows():
    with pytest.raises(Usage, match=r"amplitude 0.1 with"):
        built("sig", {"test-delta": "0.1"}, (16, 16, 3))
