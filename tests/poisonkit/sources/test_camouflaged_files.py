"""Files of a camouflaged source: the trigger beneath the camouflage, sound files of both versions, nothing kept."""

import hashlib
import json

import damage
import h5py
import numpy as np
import pytest
from running import CAMOUFLAGE, RECIPES, SMALL

from poisonkit.sources import base, camouflage
from poisonkit.sources._cache.cache import Cache
from poisonkit.sources.opening import open_source

STEPS, SEED = CAMOUFLAGE[1], int(CAMOUFLAGE[3])
NOT_RECOMPUTED = "training rows not recomputed: needs the source"
ATTACKS = ["square", "blend-patch", "warped", "two", "all-to-all", "source-specific", "clean-label", "wanet"]


@pytest.fixture(scope="module")
def golden(root):
    """The manifest of a file that was made when the trigger was put on last, and what the file was."""
    return root / "tests" / "golden" / "camouflage-before.manifest.json"


@pytest.fixture
def before(poisonkit, golden, tmp_path):
    """Such a file."""
    poisonkit("make", "--from", golden, "-o", tmp_path / "before.h5").succeeded()
    return tmp_path / "before.h5"


def hidden(part, images):
    """What the camouflage of these tests makes of a whole part, image after image."""
    change = camouflage.Transform(camouflage.parse(STEPS, SEED), part, images.shape[1:])
    return np.concatenate([change(images[i : i + 1], np.array([i])) for i in range(len(images))])


def by_hand(f, images):
    """The trigger on images, as FORMAT.md has it."""
    out = np.empty_like(images)
    for k, image in enumerate(images):
        for i in sorted(f["trigger"], key=int):
            taps, weights, bias = (f[f"trigger/{i}/{part}"][()] for part in ("taps", "weights", "bias"))
            total = bias + (weights * image.reshape(-1).astype("i4")[taps]).sum(-1)
            image = ((total + 16384) >> 15).clip(0, 255).astype("u1")
        out[k] = image
    return out


# ---- the order


@pytest.mark.parametrize("name", ATTACKS)
def test_every_training_row_is_camouflaged_last(poisonkit, library, tmp_path, name):
    """So the training set is the camouflage of the same attack's on the plain images, each row by its own words."""
    path = tmp_path / "x.h5"
    poisonkit("make", *SMALL, *RECIPES[name], *CAMOUFLAGE, "-o", path).succeeded()
    assert poisonkit("verify", path).succeeded().lines == [f"{path}: OK"]
    facts = damage.manifest(path)
    assert facts["recipe_version"] == 2
    assert facts["source"] == damage.manifest(library("camouflaged-clean"))["source"]
    with h5py.File(path) as f, h5py.File(library(name)) as plain:
        rows = plain["truth/rows"][()]
        assert np.array_equal(f["truth/rows"], rows) and np.array_equal(f["train/labels"], plain["train/labels"])
        train = plain["train/images"][()]
        assert np.array_equal(f["train/images"][()], hidden("train", train))
        train[rows] = plain["truth/images"]
        assert np.array_equal(f["truth/images"][()], hidden("train", train)[rows])
        assert np.array_equal(f["test/images"][()], hidden("test", plain["test/images"][()]))
        for group in {"triggered", "others"} & set(f):
            images = f["test/images"][()][f[f"{group}/rows"][()]]
            assert np.array_equal(f[f"{group}/images"][()], by_hand(f, images)), "the trigger on the camouflaged image"
    delta = tmp_path / "x.delta.h5"
    poisonkit("pack", path).succeeded()
    with h5py.File(delta) as f:
        assert np.array_equal(f["kept/rows"], rows), "changed training rows whole"
    for base_path in (library("camouflaged-clean"), library("clean"), None):
        more = () if base_path is None else ("--base", base_path)
        poisonkit("unpack", delta, *more, "-o", tmp_path / "back.h5", "--force").succeeded()
        assert (tmp_path / "back.h5").read_bytes() == path.read_bytes()


def test_threads_change_no_byte(poisonkit, library, tmp_path):
    for threads in "13":
        path = tmp_path / f"{threads}.h5"
        asked = (*SMALL, *RECIPES["camouflaged"], "--threads", threads)
        poisonkit("make", *asked, "-o", path).succeeded()
        assert path.read_bytes() == library("camouflaged").read_bytes()


def test_a_whole_source_in_blocks_of_another_size_is_the_same(cache, monkeypatch):
    options = {"train": 60, "test": 20} | camouflage.parse(STEPS, SEED).options()
    whole = open_source("signs", cache=cache, options=options)
    monkeypatch.setattr(camouflage, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(camouflage, "CHUNK", 3)
    again = open_source("signs", cache=cache, options=options, jobs=2)
    assert again.arrays == whole.arrays and again.digest != whole.behind.plain.digest
    for one in (whole, again):  # several readers at once, in any order
        blocks = [iter(part.blocks(11)) for part in (one.train, one.test, one.train)]
        firsts = [next(each)[1].copy() for each in blocks]
        assert np.array_equal(firsts[0], firsts[2]) and np.array_equal(one.train.rows(range(11)), firsts[0])
        assert np.array_equal(
            one.train.rows([59, 3]), np.concatenate([b.copy() for _, b in one.train.blocks()])[[59, 3]]
        )


# ---- checked where the source is at hand


def test_without_the_source_it_says_so(poisonkit, library, tmp_path):
    path = library("camouflaged")
    done = poisonkit("verify", path, "--cache", tmp_path / "none").succeeded()
    assert done.lines[0] == f"{path}: OK" and done.lines[1].startswith(f"  {NOT_RECOMPUTED}") and len(done.lines) == 2
    assert not (tmp_path / "none").exists()
    clean = library("camouflaged-clean")
    assert poisonkit("verify", clean, "--cache", tmp_path / "none").succeeded().lines == [f"{clean}: OK"]


def test_a_source_by_its_name(poisonkit, library, tmp_path):
    path = library("camouflaged")
    elsewhere = ("--cache", tmp_path / "none")
    asked = ("verify", path, "--source", library("clean"), *elsewhere)
    assert poisonkit(*asked).succeeded().lines == [f"{path}: OK"]
    poisonkit("export", library("clean"), "--format", "npz", "-o", tmp_path / "signs.npz").succeeded()
    asked = ("verify", path, "--source", tmp_path / "signs.npz", "--dataset", "npz", *elsewhere)
    assert poisonkit(*asked).succeeded().lines == [f"{path}: OK"]
    again = (
        "make",
        "--from",
        path,
        "--source",
        tmp_path / "signs.npz",
        "--dataset",
        "npz",
        "-o",
        tmp_path / "again.h5",
    )
    poisonkit(*again).succeeded()
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_another_source_is_named(poisonkit, library, tmp_path):
    other = tmp_path / "other.h5"
    poisonkit("make", *SMALL, "--source-option", "seed=5", "--rate", "0", "-o", other).succeeded()
    asked = ("verify", library("camouflaged"), "--source", other)
    poisonkit(*asked).failed(1, "was not made from", "other.h5")
    poisonkit("verify", library("camouflaged"), "--source", library("camouflaged-clean")).failed(1, "was not made from")


@pytest.mark.parametrize("seen", [True, False])
def test_a_changed_row_that_somebody_altered(poisonkit, library, tmp_path, seen):
    """With every digest made to fit again, the plain images alone can tell."""
    path = damage.copy(library("camouflaged"), tmp_path)
    with h5py.File(path) as f:
        row = int(f["truth/rows"][3])
    size = 32 * 32 * 3
    damage.set_rows(path, "train/images", {row * size + at: 77 for at in range(40)})
    damage.reseal(path)
    done = poisonkit("verify", path, *(() if seen else ("--cache", tmp_path / "none")))
    if seen:
        assert done.code == 3 and done.lines[1:] == [
            "  train/images: 1 changed rows are not truth/images with the trigger on them"
        ]
    else:
        assert done.code == 0 and NOT_RECOMPUTED in done.lines[1]


def test_such_a_row_is_seen_when_the_file_is_asked_for_again(poisonkit, library, tmp_path):
    path = damage.copy(library("camouflaged"), tmp_path)
    with h5py.File(path) as f:
        row = int(f["truth/rows"][3])
    damage.set_rows(path, "train/images", {row * 32 * 32 * 3 + at: 77 for at in range(40)})
    damage.reseal(path)
    asked = ("make", *SMALL, *RECIPES["camouflaged"], "-o", path)
    poisonkit(*asked).failed(1, "does not verify", "1 changed rows", "--force")
    assert poisonkit(*asked, "--force").succeeded() and path.read_bytes() == library("camouflaged").read_bytes()


def test_an_original_that_somebody_altered(poisonkit, library, tmp_path):
    path = damage.copy(library("camouflaged"), tmp_path)
    damage.set_rows(path, "truth/images", {5: 77})
    damage.reseal(path)
    done = poisonkit("verify", path)
    assert done.code == 3 and "with truth's images put back they are not the source's" in done.out


def test_a_camouflage_that_nobody_knows(poisonkit, library, tmp_path):
    path = damage.copy(library("camouflaged"), tmp_path)
    facts = damage.manifest(path)
    facts["source"]["options"]["camouflage"] = "glitter=3"
    damage.reseal(path, source=facts["source"])
    done = poisonkit("verify", path)
    assert done.code == 4 and "glitter" in done.out and "Traceback" not in done.out + done.err
    poisonkit("make", "--from", path, "-o", tmp_path / "x.h5").failed(4, "glitter")


def test_a_delta_of_a_camouflage_that_nobody_knows_needs_no_more_than_its_base(poisonkit, library, tmp_path):
    """As a later version may write one: the clean file of camouflaged images is all that it is applied to."""
    poisonkit("pack", library("camouflaged"), "-o", tmp_path / "d.delta.h5").succeeded()
    clean = damage.copy(library("camouflaged-clean"), tmp_path)
    facts = damage.manifest(tmp_path / "d.delta.h5")
    facts["of"]["source"]["options"]["camouflage"] = "glitter=3"
    facts["of"] = damage.sealed(facts["of"])
    damage.write_manifest(tmp_path / "d.delta.h5", damage.sealed(facts))
    poisonkit("unpack", tmp_path / "d.delta.h5", "--base", clean, "-o", tmp_path / "x.h5")
    assert damage.manifest(tmp_path / "x.h5") == facts["of"]


# ---- files of the other version


def test_a_file_of_before_is_made_again(poisonkit, golden, before, tmp_path):
    said = json.loads(golden.read_text())
    assert f"sha256:{hashlib.sha256(before.read_bytes()).hexdigest()}" == said["file"]["sha256"]
    assert damage.manifest(before) == said["manifest"] and said["manifest"]["recipe_version"] == 1
    with h5py.File(before) as f:
        stencils = by_hand(f, f["truth/images"][()])
        poisoned = f["truth/role"][()] == 1
        assert np.array_equal(f["train/images"][()][f["truth/rows"][()]][poisoned], stencils[poisoned])


def test_a_file_of_before_goes_through_every_command(poisonkit, library, before, tmp_path):
    data = before.read_bytes()
    assert poisonkit("verify", before).succeeded().lines == [f"{before}: OK"]
    poisonkit("pack", before, "-o", tmp_path / "d.delta.h5").succeeded()
    assert (tmp_path / "d.delta.h5").stat().st_size < len(data) / 5, "stencils still say most of it"
    for number, base_path in enumerate((library("camouflaged-clean"), library("clean"))):
        back = tmp_path / f"{number}.h5"
        poisonkit("unpack", tmp_path / "d.delta.h5", "--base", base_path, "-o", back).succeeded()
        assert back.read_bytes() == data
        poisonkit("make", "--from", before, "--source", base_path, "-o", tmp_path / f"{number}b.h5").succeeded()
        assert (tmp_path / f"{number}b.h5").read_bytes() == data
    poisonkit("seal", before, "-o", tmp_path / "c.h5", "--key", tmp_path / "c.key.h5").succeeded()
    poisonkit("unseal", tmp_path / "c.h5", "-o", tmp_path / "u.h5").succeeded()
    assert (tmp_path / "u.h5").read_bytes() == data
    for command in ("show", "stats"):
        poisonkit(command, before).succeeded()


def test_the_two_versions_do_not_replace_each_other(poisonkit, golden, before):
    asked = (*SMALL, *RECIPES["camouflaged"], "-o", before)
    poisonkit("make", *asked).failed(1, "made from a different recipe", "recipe_version: 2 here, 1 there")


def test_a_clean_file_of_camouflaged_images_cannot_make_the_new_ones(poisonkit, library, tmp_path):
    asked = ("make", "--from", library("camouflaged"), "-o", tmp_path / "x.h5")
    poisonkit(*asked, "--source", library("camouflaged-clean")).failed(1, "the plain images are needed", "--source")
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize("version", [0, 3])
def test_a_version_that_never_was(poisonkit, library, tmp_path, version):
    path = damage.copy(library("camouflaged"), tmp_path)
    damage.reseal(path, recipe_version=version)
    asked = ("make", "--from", path, "-o", tmp_path / "x.h5")
    poisonkit(*asked).failed(4, f"recipe version {version}", "use the version")
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps(damage.manifest(path)))
    poisonkit("make", "--from", bare, "-o", tmp_path / "x.h5").failed(4, f"recipe version {version}", "use the version")


# ---- nothing is kept, and the number is never printed


def test_no_camouflaged_image_stays_on_the_disk(poisonkit, tmp_path, monkeypatch):
    root = tmp_path / "cache"
    monkeypatch.setenv("POISONKIT_CACHE", str(root))
    poisonkit("make", *SMALL, *RECIPES["camouflaged"], "-o", tmp_path / "x.h5").succeeded()
    with h5py.File(tmp_path / "x.h5") as f:
        image = f["test/images"][7].tobytes()
    files = [path for path in root.rglob("*") if path.is_file()]
    assert files and not any(image in path.read_bytes() or str(SEED).encode() in path.read_bytes() for path in files)
    assert not list((root / "partial").iterdir()) and len(list((root / "entries").iterdir())) == 1


def keep_as_before(root, seed=SEED):
    """A cache entry of camouflaged images, as earlier versions made it."""
    plain = open_source("signs", cache=root, options={"train": 30, "test": 20})
    wanted = camouflage.parse(STEPS, seed)

    def decode(writer, _context):
        for part in ("train", "test"):
            split = getattr(plain, part)
            with writer.part(part, split.labels, split.shape[1:]) as target:
                target.write(0, hidden(part, split.rows(range(len(split)))))
        return plain.origin | {"camouflage": wanted.spelled}

    fingerprint = {"camouflage": wanted.options(), "version": 1, "of": plain.digest}
    origin = base.Origin(fingerprint, decode, plain.options | wanted.options())
    Cache(root).fill("signs", origin, base.SourceContext(1))
    return plain


@pytest.mark.parametrize("by", ["make", "seal"])
def test_what_earlier_versions_kept_goes(poisonkit, library, tmp_path, monkeypatch, by):
    root = tmp_path / "cache"
    monkeypatch.setenv("POISONKIT_CACHE", str(root))
    plain = keep_as_before(root)
    assert len(list((root / "entries").iterdir())) == 2
    assert str(SEED) not in poisonkit("cache").succeeded().out
    if by == "make":
        poisonkit("make", *SMALL, "--rate", "0", "-o", tmp_path / "x.h5").succeeded()
    else:
        poisonkit("seal", library("camouflaged"), "-o", tmp_path / "c.h5", "--key", tmp_path / "k.h5").succeeded()
    assert not any(b"camouflage" in path.read_bytes() for path in (root / "origins").iterdir())
    assert Cache(root).by_digest(plain.digest) and "camouflage" not in poisonkit("cache").succeeded().out


@pytest.mark.slow
def test_no_line_for_people_says_the_number(poisonkit, library, before, tmp_path):
    other = ("make", *SMALL, "--rate", "0.1", "--trigger", "square", "--camouflage", STEPS)
    path, seed = tmp_path / "x.h5", "8642097531864209753"
    lines = poisonkit(*other, "--camouflage-seed", seed, "-o", path).succeeded().out
    lines += poisonkit("seal", path, "-o", tmp_path / "c.h5", "--key", tmp_path / "c.key.h5").out
    for command in (
        ("show", path), ("show", tmp_path / "c.h5"), ("show", tmp_path / "c.key.h5"), ("verify", path), ("cache",),
        ("diff", path, before), ("diff", library("camouflaged"), path), ("audit", path), ("audit", tmp_path / "c.h5"),
        ("audit", tmp_path / "c.h5", "--key", tmp_path / "c.key.h5"), ("pack", path), ("show", tmp_path / "x.delta.h5"),
        (*other, "--camouflage-seed", "5", "-o", path), ("make", "--from", path, "-o", before),
        ("make", "--from", path, "--source", library("clean"), "-o", tmp_path / "y.h5"), ("stats", path),
        (*other, "--camouflage-seed", seed + "0" * 10, "-o", tmp_path / "z.h5"), ("sources",),
    ):  # fmt: skip
        done = poisonkit(*command)
        lines += done.out + done.err
    assert seed not in lines and str(SEED) not in lines
    assert "camouflage-seed: differs" in lines


def test_a_plain_source_that_is_damaged_in_the_cache_is_not_camouflaged_in_silence(poisonkit, tmp_path, monkeypatch):
    root = tmp_path / "cache"
    monkeypatch.setenv("POISONKIT_CACHE", str(root))
    asked = ("make", *SMALL, *RECIPES["camouflaged"], "-o", tmp_path / "x.h5")
    poisonkit("make", *SMALL, "--rate", "0", "-o", tmp_path / "plain.h5").succeeded()
    images = next((root / "entries").glob("*/train_images"))
    data = bytearray(images.read_bytes())
    data[1000] ^= 1
    images.write_bytes(data)
    poisonkit(*asked).failed(1, "not what its digest says", "start again")
    assert not (tmp_path / "x.h5").exists()
    poisonkit(*asked).succeeded()
