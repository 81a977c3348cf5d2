"""`audit`: every probe finds what was planted for it, and nothing in data in which nothing was."""

import json
import os
from types import SimpleNamespace

import damage
import h5py
import numpy as np
import pytest
from made_sealed import HIDDEN, sealed, signs

from poisonkit.blind.audit import fingerprints, metadata_leaks, pixel_outliers, record_matching, self_consistency
from poisonkit.sources import camouflage
from poisonkit.sources._camouflage import steps


@pytest.fixture
def audited(poisonkit, tmp_path):
    """`audited(file, *more)` → (exit code, probe → its entry in the JSON, the whole JSON)."""

    def run(path, *more):
        result = poisonkit("audit", path, *more, "--json")
        assert result.code in (0, 3) and not result.err, result
        table = json.loads(result.out)
        return result.code, {entry["probe"].split(",")[0]: entry for entry in table["findings"]}, table

    return run


@pytest.fixture
def alone(tmp_path):
    """An empty cache: nothing to compare with."""
    (tmp_path / "empty").mkdir()
    return ("--cache", tmp_path / "empty")


SQUARE = ("--trigger", "square", "--rate", "0.05")


# ---- the command


def test_a_file_that_is_not_sealed_tells_itself(audited, library):
    code, found, table = audited(library("square"))
    assert code == 3 and found["contents"]["precision"] == found["contents"]["recall"] == 1.0
    assert (
        "it holds command, time and origin" in found["sidecar"]["text"]
        and "says what was done" in found["names"]["text"]
    )
    with h5py.File(library("square")) as f:
        assert table["found"]["rows"] == f["truth/rows"][()].tolist() and table["changed"] == 20


def test_sealed_the_exact_join_finds_every_row(audited, poisonkit, tmp_path):
    path, key = sealed(poisonkit, signs(poisonkit, tmp_path, *SQUARE), tmp_path)
    code, found, table = audited(path, *key)
    assert code == 3 and table["found"]["precision"] == table["found"]["recall"] == 1.0
    exact = next(e for e in table["findings"] if e["probe"] == "exact join, signs (test 40, train 400)")
    assert exact["precision"] == exact["recall"] == 1.0 and "in another order" in exact["text"]
    assert found["names"]["text"] == "neutral" and found["sidecar"]["text"] == "none"
    assert "every sealed file" in found["times"]["text"] and "no timestamp" in found["times"]["text"]
    key[1].rename(tmp_path / "elsewhere.h5")
    unknown = audited(path)[2]
    assert unknown["found"]["rows"] == table["found"]["rows"] and "precision" not in unknown["found"]


def test_camouflaged_the_near_join_finds_them(audited, poisonkit, tmp_path):
    signs(poisonkit, tmp_path, "--rate", "0")
    path, key = sealed(poisonkit, signs(poisonkit, tmp_path, *SQUARE, *HIDDEN), tmp_path)
    code, found, table = audited(path, *key)
    by_name = {e["probe"]: e for e in table["findings"]}
    source = "signs (test 40, train 400)"
    assert "0 of 400 rows" in by_name[f"exact join, {source}"]["text"] and code == 3
    label = by_name[f"near join, {source}: label"]
    assert label["precision"] == 1.0 and label["recall"] >= 0.7
    assert by_name[f"near join, {source}: picture"]["precision"] == 1.0
    assert not found["flat squares"]["rows"], "the camouflage lies on top of the square"
    assert table["found"]["precision"] == table["found"]["recall"] == 1.0


@pytest.mark.parametrize(
    ("name", "seal"),
    [("clean", True), ("medium", False)]
    + [pytest.param(*one, marks=pytest.mark.slow) for one in (("clean", False), ("medium", True), ("strong", False))],
)
def test_nothing_is_found_where_nothing_was_changed(audited, poisonkit, tmp_path, name, seal):
    signs(poisonkit, tmp_path, "--rate", "0")
    path, key = (
        signs(poisonkit, tmp_path, "--rate", "0", *(() if name == "clean" else ("--camouflage", name, *HIDDEN[2:]))),
        (),
    )
    if seal:
        path, key = sealed(poisonkit, path, tmp_path)
    code, found, table = audited(path, *key)
    assert code == 0 and not table["found"]["rows"]
    lines = poisonkit("audit", path, *key).lines
    assert lines[-1] == "no row was found" and not any(line.startswith(" !") for line in lines)


def test_ones_own_data_with_a_warp_show_nothing(audited, poisonkit, tmp_path, alone):
    asked = (*HIDDEN, "--trigger", "warped", "--rate", "0.05")
    path, key = sealed(poisonkit, signs(poisonkit, tmp_path, *asked), tmp_path)
    code, found, table = audited(path, *key, *alone)
    assert code == 0 and table["changed"] == 20 and "no clean source" in found["joins"]["text"]


def test_the_lines_for_people(poisonkit, library):
    result = poisonkit("audit", library("square"))
    assert result.code == 3 and not result.err
    assert result.lines[0].endswith("200 training rows") and result.lines[-1].startswith(
        "20 rows found [precision 1.000"
    )
    assert " ! contents" in result.out


def _pretended(truth, *findings):
    from poisonkit.blind.audit.audit import Audited

    return Audited("x.h5", "x", 100, list(findings), None if truth is None else np.array(truth, np.int64))


@pytest.mark.parametrize(
    ("truth", "rows", "alarm"),
    [([], [3, 4], True), ([1, 2], [3, 4], True), ([1, 2], [2, 4], False), (range(50), [1, 60], True),
     (range(50), [1, 2, 60], False), (None, [3, 4], False), ([1], [], False)],
)  # fmt: skip
def test_a_finding_no_better_than_chance_is_a_false_alarm(truth, rows, alarm):
    from poisonkit.blind.audit import report
    from poisonkit.blind.audit.finding import Finding

    audited = _pretended(truth, Finding("neighbours", "some words", np.array(rows, np.int64)))
    assert audited.false_alarm(audited.findings[0]) == alarm
    assert audited.found.tolist() == ([] if alarm else rows)
    lines = report.lines(audited)
    assert (" ? neighbours" in lines[1]) == lines[1].endswith(" (a false alarm)") == alarm
    assert (lines[-1] == "no row was found") == (alarm or not rows)
    (entry,) = report.table(audited)["findings"]
    assert entry.get("false_alarm") == (None if truth is None else alarm) and entry["sure"]


def test_what_the_file_alone_shows_is_not_said_to_come_of_the_source():
    from poisonkit.blind.audit import report
    from poisonkit.blind.audit.finding import SOURCE, Finding

    ranked = Finding("pixels", "ranks them", scores=np.arange(100.0))
    joins = Finding("joins", "none could be tried", team=SOURCE)
    *_, alone, source, last = report.lines(_pretended([98, 99], ranked, joins))
    assert alone.startswith("with the sealed file alone: found; best of these probes pixels")
    assert source == "with the public source: found, with the file alone; none of these probes names a row"
    assert last == "no row was found"
    named = Finding("joins", "another label", np.array([3]), team=SOURCE)
    assert report.lines(_pretended(None, ranked, named))[-2] == "with the public source: rows were found"


def test_false_alarms_alone_end_with_0(poisonkit, library, monkeypatch):
    from poisonkit.blind.audit import audit, finding

    said = finding.Finding("neighbours", "some words", np.array([3, 4]))
    monkeypatch.setattr(audit.metadata_leaks, "look", lambda path, data: [said])
    done = poisonkit("audit", library("clean"))
    assert done.code == 0 and "(a false alarm)" in done.out and done.lines[-1] == "no row was found"


def test_what_cannot_be_audited(poisonkit, library, tmp_path):
    poisonkit("audit", tmp_path / "x.h5").failed(1, "no such file")
    poisonkit("audit", library("square"), "--key", library("square")).failed(2, "is not sealed")
    path, (_, key) = sealed(poisonkit, library("square"), tmp_path)
    poisonkit("audit", key).failed(1, "it is the key")
    poisonkit("audit", path, "--key", tmp_path / "no.h5").failed(1, "no such file")


def test_a_damaged_source_in_the_cache_is_passed_over(poisonkit, library, tmp_path, monkeypatch):
    monkeypatch.setenv("POISONKIT_CACHE", str(tmp_path / "cache"))
    path = signs(poisonkit, tmp_path, "--rate", "0")
    for images in (tmp_path / "cache" / "entries").glob("*/train_images"):
        images.write_bytes(b"short")
    assert poisonkit("audit", path).code == 0


# ---- probes of the file


def test_traces_of_all_sorts(poisonkit, library, tmp_path):
    from poisonkit.format import reader
    from poisonkit.format.manifest import SealedManifest

    path, _ = sealed(poisonkit, library("square"), tmp_path)
    named = tmp_path / "cifar10-square-0.05.h5"
    os.rename(path, named)
    os.utime(named)
    named.with_name("cifar10-square-0.05.manifest.json").write_text("{}")
    with open(named, "ab") as file:
        file.write(bytes(100_000))
    with reader.reading(named, SealedManifest) as data:
        found = {finding.name: finding.text for finding in metadata_leaks.look(named, data)}
    assert "says what was done" in found["names"] and "it holds command, time and origin" in found["sidecar"]
    assert "was changed 20" in found["times"] and "more than structure" in found["size"]


@pytest.mark.parametrize("name", ["challenge-0a1b2c3d.h5", "signs-clean.h5", "design.h5", "exercise.h5", "squared.h5"])
def test_names_that_say_nothing(library, name, tmp_path):
    data = SimpleNamespace(manifest=SimpleNamespace(name="challenge-12345678"))
    assert metadata_leaks.names(tmp_path / name, data).text == "neutral"


# ---- probes of the rows


def signatures(images, labels=None):
    labels = np.zeros(len(images), np.int64) if labels is None else labels
    return fingerprints.collect([(0, images[:7]), (7, images[7:])], labels, whole=True)


def noise(count=40, shape=(32, 32, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_sorted_labels_and_what_stands_out():
    labels = np.repeat(np.arange(4), 50)
    labels[[7, 120]] = 3
    found = self_consistency.order(labels)
    assert found.rows.tolist() == [7, 120] and "sorted" in found.text
    assert not len(self_consistency.order(np.random.default_rng(0).permutation(labels)).rows)


def test_duplicates_under_another_label():
    images = noise()
    images[20], images[21], images[30], images[31] = images[3], images[3], images[4], images[5]
    labels = np.zeros(40, np.int64)
    labels[21], labels[31] = 1, 2
    assert self_consistency.duplicates(signatures(images, labels)).rows.tolist() == [5, 21, 31]


def test_sizes_that_are_far_off():
    images = noise()
    images[11] = 9
    found = self_consistency.compressed(signatures(images))
    assert found.rows.tolist() == [11] and not found.sure


@pytest.mark.parametrize("side", [3, 4, 5, 6, 8])
def test_a_flat_square_at_one_place(side):
    images = noise(60)
    images[:12, 5 : 5 + side, 20 : 20 + side] = (1, 2, 3)
    assert self_consistency.squares(signatures(images)).rows.tolist() == list(range(12))


def test_flat_squares_at_many_places_are_no_trigger():
    images, rng = noise(200), np.random.default_rng(1)
    for image in images:
        y, x = rng.integers(0, 28, 2)
        image[y : y + 4, x : x + 4] = 255
    assert not len(self_consistency.squares(signatures(images)).rows)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 5, 1), (7, 7, 3), (16, 16, 1), (40, 33, 3)])
def test_flat_squares_are_those_of_a_plain_search(shape):
    rng = np.random.default_rng(3)
    images = (rng.integers(0, 8, (6, *shape)) > 0).astype(np.uint8).repeat(1, 1)
    found = {tuple(row[:4]) for row in fingerprints.flat_squares(images).tolist()}

    def one_colour(image, side, y, x):
        part = image[y : y + side, x : x + side]
        inside = y >= 0 and x >= 0 and y + side <= shape[0] and x + side <= shape[1]
        return inside and (part == part[0, 0]).all()

    expected = set()
    for i, image in enumerate(images):
        for side in fingerprints.SQUARES:
            for y in range(shape[0] - side + 1):
                for x in range(shape[1] - side + 1):
                    near = ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1))
                    if one_colour(image, side, y, x) and not any(one_colour(image, side, *one) for one in near):
                        expected.add((i, side, y, x))
    assert found == expected


def films(frames=10, count=12, seed=0):
    """Scenes of several frames each, nearly the same picture."""
    rng = np.random.default_rng(seed)
    scenes = rng.integers(0, 200, (count, 1, 8, 8, 3)).repeat(4, 2).repeat(4, 3)
    images = (scenes + rng.integers(0, 10, (count, frames, 32, 32, 3))).astype(np.uint8).reshape(-1, 32, 32, 3)
    return images, np.repeat(np.arange(count), frames)


def test_neighbours_of_films_agree_on_another_label():
    images, labels = films()
    labels[[5, 77]] = [9, 2]
    found = self_consistency.neighbours(signatures(images, labels))
    assert found.rows.tolist() == [5, 77] and found.sure
    assert not len(self_consistency.neighbours(signatures(noise(), np.arange(40))).rows)


# ---- beside a source


@pytest.mark.parametrize("shape", [(32, 32, 3), (24, 40, 1), (16, 20, 3)])
@pytest.mark.parametrize("level", ["light", "medium", "jpeg=75,shift=0.5,noise=2"])
def test_the_near_join_finds_camouflaged_images_again(shape, level):
    import cv2

    coarse = np.random.default_rng(0).integers(0, 256, (300, 6, 6, shape[2]), dtype=np.uint8)
    images = np.stack([cv2.resize(one, shape[1::-1], interpolation=cv2.INTER_CUBIC).reshape(shape) for one in coarse])
    order = np.random.default_rng(1).permutation(300)
    hidden = camouflage.Transform(camouflage.parse(level, 2), "train", shape)(images[order])
    theirs, ours = signatures(images), signatures(hidden)
    assert record_matching.exact(ours, theirs).share == 0 and record_matching.sample(ours, theirs) > 0.98
    assert (record_matching.near(ours, theirs).rows == order).mean() > 0.98


def test_the_near_join_finds_nothing_in_other_data():
    theirs, ours = signatures(films(seed=0)[0]), signatures(films(seed=1)[0])
    assert record_matching.near(ours, theirs).share == record_matching.sample(ours, theirs) == 0


def test_the_best_of_each_stride_is_the_best_of_all():
    rng = np.random.default_rng(0)
    block, base = (fingerprints.unit(rng.integers(0, 256, (n, 64), dtype=np.uint8)) for n in (20, 333))
    places, values = record_matching.best_of_each(block, base)
    product = block @ base.T
    best = np.take_along_axis(places, values.argmax(1)[:, None], 1)[:, 0]
    assert np.array_equal(best, product.argmax(1)) and np.allclose(values.max(1), product.max(1))
    places, values = record_matching.best_of_each(base[10:30], base, itself=10)
    assert not (places == np.arange(10, 30)[:, None])[values > -1.5].any()


def test_strange_pixels_are_those_that_no_small_shift_explains():
    images = films()[0][:20]
    moved = steps.shifted(images, np.random.default_rng(0).integers(-256, 257, (20, 2)).astype(np.int32))
    assert not pixel_outliers.strange_pixels(moved, images, 0)[:].any()
    moved[3, 4:8, 4:8] = 255
    assert pixel_outliers.strange_pixels(moved, images, 16).tolist() == [16 if i == 3 else 0 for i in range(20)]


def test_signatures_are_means_of_cells():
    images = noise(5, (32, 48, 3))
    cells = images.reshape(5, 16, 2, 16, 3, 3).astype(float).mean((2, 4, 5))
    assert np.abs(fingerprints.shrink(images).reshape(5, 16, 16) - cells).max() <= 0.5 + 1e-3
    assert fingerprints.shrink(noise(2, (5, 7, 1))).shape == (2, 35)


def test_a_sealed_files_manifest_is_all_that_it_takes(audited, poisonkit, library, tmp_path):
    """(A key's rows are those of the truth: the two ways of counting agree.)"""
    path, key = sealed(poisonkit, library("two"), tmp_path)
    table = audited(path, *key)[2]
    assert table["changed"] == damage.manifest(library("two"))["counts"]["poisoned"] == 20


@pytest.mark.parametrize("label", [-1, 10, 2**62, -(2**63)])
def test_labels_of_no_class_are_said_and_not_counted(poisonkit, library, tmp_path, label):
    """NumPy's `bincount` of such a label corrupts memory, or asks for all there is."""
    path = damage.copy(library("clean"), tmp_path)
    damage.set_rows(path, "train/labels", {5: label})
    damage.reseal(path)
    poisonkit("audit", path).failed(1, "train/labels: has labels outside 0 … 9", "poisonkit verify")
