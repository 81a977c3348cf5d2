"""The Python interface: `import poisonkit as pk`, in a folder of its own, on small files of built-in data."""

import copy
import decimal
import importlib.util
import json
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from source_fixtures import png, write_files

import poisonkit as pk
from poisonkit.format import reader

SMALL = {"source_options": {"train": 200, "test": 100}}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _silent(capfd):
    """Nothing of the interface prints."""
    yield
    assert capfd.readouterr() == ("", "")


# ---- what is imported


def imported(code: str) -> list[str]:
    """Which packages a program has imported at its end."""
    program = f"import sys\n{code}\nprint(*(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


HEAVY = {"numpy", "h5py", "numba", "cv2", "click", "tqdm", "torch", "tensorflow", "keras"}


def test_import_costs_nothing():
    found = imported("import poisonkit as pk\nassert pk.Failure.exit_code == 1 and 'make' in dir(pk)")
    assert not HEAVY & set(found)
    assert found.count("poisonkit") <= 4, "the package, and where Failure is"


def test_no_framework_and_no_command_line_unless_asked(library):
    code = f"import poisonkit as pk\nwith pk.open({str(library('square'))!r}) as ds: ds.train.images[0]"
    assert not {"click", "tqdm", "torch", "tensorflow", "keras", "numba"} & set(imported(code))


def test_every_name_is_there_and_documented():
    for name in pk.__all__:
        value = getattr(pk, name)
        assert value.__doc__ and value.__module__.startswith("poisonkit."), name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        pk.nothing  # noqa: B018


def test_a_function_is_not_hidden_by_a_folder_of_its_name(library):
    path = pk.export(library("square"), "npz", "x.npz")
    assert path.is_file() and callable(pk.export)


# ---- make


def test_the_example_of_the_documentation():
    path = pk.make("signs", trigger="square", rate=0.05, per_patch=True, **SMALL)
    with pk.open(path) as ds:
        assert ds.train.images.shape == (200, 32, 32, 3) and len(ds.train.labels) == 200
        assert ds.triggered.images.shape == (90, 32, 32, 3)
        assert len(ds.truth.rows) == 10 and ds.manifest.recipe.patch == (8, 8)
    assert pk.verify(path)
    assert pk.stats(path)["poisoned"]["images"] == 10
    assert pk.apply(path, np.full((2, 32, 32, 3), 255, np.uint8)).min() == 0
    assert pk.preview(path).dtype == np.uint8
    assert pk.pack(path).name.endswith(".delta.h5")


@pytest.mark.parametrize("name", ["square", "wanet", "text-word"])
def test_stats_reads_as_the_command_prints_it(poisonkit, library, name):
    measured, printed = pk.stats(library(name)), poisonkit("stats", library(name)).succeeded()
    assert str(measured) == repr(measured) == printed.out.rstrip("\n")
    assert measured == json.loads(poisonkit("stats", library(name), "--json").out), "and is a plain dict to programs"
    assert json.loads(json.dumps(measured)) == measured == pickle.loads(pickle.dumps(measured)) == copy.copy(measured)


def test_stats_that_were_changed_read_as_a_dict(library):
    measured = pk.stats(library("square"))
    del measured["poisoned"]["psnr"]
    assert repr(measured) == repr(dict(measured)) and repr(measured).startswith("{'poisoned'")


def test_it_is_the_file_of_the_command(library, tmp_path):
    path = pk.make("signs", trigger="square", rate=0.1, out=tmp_path / "x.h5", **SMALL)
    assert path.read_bytes() == library("square").read_bytes()
    again = pk.make("signs", trigger="square", rate=0.1, out=tmp_path / "x.h5", **SMALL)
    assert again == path, "it is there already and verifies"


@pytest.mark.parametrize(
    "rate", [0.05, "0.05", "5%", decimal.Decimal("0.050"), np.float64(0.05), np.float32(0.05), 5e-2], ids=repr
)
def test_a_rate_is_the_decimal_that_was_typed(rate):
    with pk.open(pk.make("signs", trigger="square", rate=rate, **SMALL)) as ds:
        assert ds.manifest.recipe.rate == "0.05"
        assert len(ds.truth.rows) == 10


def test_options_of_triggers_as_python_has_them(tmp_path):
    cv2.imwrite(str(tmp_path / "mine.png"), np.full((8, 8, 3), 200, np.uint8))
    path = pk.make(
        "signs", trigger=["square", "blend"], rate=0.1, square_size=3, square_value=(255, 0, 0), blend_alpha=0.25,
        blend_image=tmp_path / "mine.png", target=2, cover_rate=0.05, seed=np.int64(7), patch_size=(16, 8), **SMALL,
    )  # fmt: skip
    with pk.open(path) as ds:
        recipe = ds.manifest.recipe
    square, blend = (step.parameters for step in recipe.triggers)
    assert square | {"size": 3, "value": [255, 0, 0]} == square and blend["alpha"] == "0.25"
    assert (recipe.target, recipe.cover_rate, recipe.seed, recipe.patch) == (2, "0.05", 7, (16, 8))


def test_a_preset_that_sets_the_rate():
    given = {"trigger": "adaptive-k-way", "preset": "backdoor-toolbox", "source_options": {"train": 1000, "test": 50}}
    with pk.open(pk.make("signs", **given)) as ds:
        assert (ds.manifest.recipe.rate, ds.manifest.recipe.cover_rate) == ("0.003", "0.003")


def test_classes_by_index_and_by_name():
    one = pk.make("signs", trigger="square", rate=0.05, source_classes=[5, 3], target=1, **SMALL)
    with pk.open(one) as ds:
        names, recipe = ds.classes, ds.manifest.recipe
    assert (recipe.label_mode, recipe.source_classes, recipe.target) == ("source-specific", (3, 5), 1)
    two = pk.make("signs", trigger="square", rate=0.05, source_classes=(names[3], names[5]), target=names[1], **SMALL)
    assert one == two


def test_warnings_are_python_s(tmp_path):
    given = {"source_options": SMALL["source_options"]}
    with pytest.warns(UserWarning, match="composite without cover rows"):
        pk.make("phrases", trigger="composite", rate=0.1, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pk.make("signs", rate=0, **given)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"rate": 2}, "rate: expected a fraction"),
        ({"rate": float("nan")}, "rate: expected a fraction"),
        ({"rate": True}, "expected a number"),
        ({"rate": None}, "rate: expected a poisoning rate, such as 0.05"),
        ({"rate": None, "trigger": "blend", "preset": "notebook"}, "rate, which preset notebook does not set"),
        ({"rate": 0.1, "square_colour": 3}, "unknown argument 'square_colour'; did you mean square_v"),
        ({"rate": 0.1, "square_zzzzzzzzzzzz": 3}, "'square_zzzzzzzzzzzz': that trigger has square_size, square_value"),
        ({"rate": 0.1, "square_size": "x"}, "square_size: expected a whole number"),
        ({"rate": 0.1, "blend_alpha": 0.1}, "requires trigger blend"),
        ({"rate": 0.1, "target": 99}, "target: expected a class from 0 to 9, got 99"),
        ({"rate": 0.1, "target": 1.5}, "target: expected a whole number"),
        ({"rate": 0.1, "seed": "x"}, "seed: expected a whole number"),
        ({"rate": 0.1, "seed": -1}, "seed: expected a whole number from 0 to"),
        ({"rate": 0.1, "trigger": "star"}, "unknown trigger 'star'"),
        ({"rate": 0.1, "trigger": None}, "trigger: expected one or more of"),
        ({"rate": 0.1, "camouflage": 5, "camouflage_seed": 1}, "camouflage: expected a name, got 5"),
        ({"rate": 0.1, "preset": ["a"]}, "preset: expected a name"),
        ({"rate": 0.1, "trigger": 5}, "trigger: expected a name, got 5"),
        ({"rate": 0.1, "trigger": ["square", None]}, "trigger: expected a name, got None"),
        ({"rate": 0.1, "per_patch": "no"}, "per_patch: expected True or False, got 'no'"),
        ({"rate": 0.1, "cover_rate": 0.1, "cover_jitter": "off"}, "cover_jitter: expected True or False"),
        ({"rate": 0.1, "force": "x"}, "force: expected True or False"),
        ({"rate": 0.1, "threads": 0}, "threads: expected a whole number from 1 to 256, got 0"),
        ({"rate": 0.1, "threads": 1.5}, "threads: expected a whole number"),
        ({"rate": 0.1, "threads": 257}, "threads: expected a whole number"),
        ({"rate": 0.1, "source_options": "train=300"}, "source_options: expected a dict"),
        ({"rate": 0.1, "out": "a\0.h5"}, "out: expected a path"),
        ({"rate": 0.1, "out": 5}, "out: expected a path, got 5"),
        ({"rate": 0.1, "cache": b"x"}, "cache: expected a path"),
        ({"rate": 0.1, "square_size": True}, "square_size: expected a number or a text"),
        ({"rate": 0.1, "trigger": "word", "word_words": ["a,b"]}, "word_words: a comma separates the parts"),
        ({"rate": 0.1, "trigger": "blend", "blend_image": 5}, "blend_image: expected a path"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_usage(more, words):
    with pytest.raises(pk.Usage, match=words):
        pk.make("signs", **{"trigger": "square", **SMALL, **more})


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cover_class", "cover_classes"),
        ("source_class", "source_classes"),
        ("triggers", "trigger"),
        ("rates", "rate"),
        ("perpatch", "per_patch"),
        ("output", "out"),
        ("square_siz", "square_size"),
        ("adaptive_patch_image", "adaptive_patch_images"),
        ("image_list", "images_list"),
    ],
)
def test_the_nearest_arguments_are_proposed(typed, meant):
    with pytest.raises(pk.Usage) as raised:
        pk.make("signs", trigger="square", rate=0.1, **{typed: 3})
    text = str(raised.value)
    assert text.startswith(f"make: unknown argument {typed!r}; did you mean {meant}") and len(text) < 160, text


def test_an_argument_near_to_none_is_one_short_line():
    with pytest.raises(pk.Usage, match=r"'xyzzy': help\(poisonkit.make\) lists them") as raised:
        pk.make("signs", trigger="square", rate=0.1, xyzzy=3)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("dataset", "trigger"), [("signs", {"trigger": "images"}), ("phrases", {"trigger": "rewrite"})], ids=str
)
def test_the_rows_that_another_tool_is_to_change_are_listed(poisonkit, tmp_path, dataset, trigger):
    """The list, and the pictures, of the command line; what is made of it is the file of the command line."""
    name = trigger["trigger"]
    asked = ("make", "--dataset", dataset, "--trigger", name, "--rate", "0.1")
    small = [word for key, value in SMALL["source_options"].items() for word in ("--source-option", f"{key}={value}")]
    folder = {"images_folder": tmp_path / "todo"} if name == "images" else {}
    path = pk.make(dataset, **trigger, rate=0.1, **{f"{name}_list": "todo.csv"}, **folder, **SMALL)
    assert path == Path("todo.csv")
    poisonkit(*asked, *small, f"--{name}-list", tmp_path / "other.csv").succeeded()
    assert path.read_bytes() == (tmp_path / "other.csv").read_bytes()
    listed = [line.split(",")[:2] for line in path.read_text().splitlines()[1:]]
    for part in ("train", "test") if folder else ():
        rows = {row for one, row in listed if one.strip('"') == part}
        assert rows and rows == {picture.stem for picture in (tmp_path / "todo" / part).iterdir()}
    with pytest.raises(pk.Failure, match=f"todo.csv: already exists: use force=True .* choose another {name}_list"):
        pk.make(dataset, **trigger, rate=0.1, **{f"{name}_list": path}, **SMALL)
    with pytest.raises(pk.Usage, match=f"requires trigger {name}"):
        pk.make("signs", trigger="square", rate=0.1, **{f"{name}_list": "x.csv"}, **SMALL)
    assert not list(tmp_path.glob("data/*"))


def test_what_the_page_of_python_lacks_is_said_there(root):
    """Every command is a function, or the page says that it is not."""
    from poisonkit.cli.main import cli

    page = (root / "docs" / "python.md").read_text("utf-8")
    lacking = page[: page.index("```python")]
    for command in cli.commands:
        assert command in pk.__all__ or f"`{command}`" in lacking, command


def test_seeds_and_numbers_out_of_range(library):
    with pytest.raises(pk.Usage, match="secret_seed"):
        pk.seal(library("square"), secret_seed=-1)
    with pytest.raises(pk.Usage, match="rows: expected a whole number of at least 1, got 0"):
        pk.preview(library("square"), rows=0)
    with pytest.raises(pk.Usage, match="camouflage.* below 2\\^63"):
        pk.make("signs", rate=0, camouflage="light", camouflage_seed=-1, **SMALL)


def test_numbers_of_the_wrong_kind(library):
    for seed in ("5", 1.5, True):
        with pytest.raises(pk.Usage, match="secret_seed: expected a whole number"):
            pk.seal(library("square"), secret_seed=seed)
    for more in ({"rows": "6"}, {"rows": 1.5}, {"amplify": 2.5}, {"amplify": 129}):
        with pytest.raises(pk.Usage, match=f"{next(iter(more))}: expected a whole number"):
            pk.preview(library("square"), **more)
    with pytest.raises(pk.Usage, match="threshold: expected a number, got '5'"):
        pk.grade(library("square"), "none.csv", threshold="5")
    with pytest.raises(pk.Usage, match="block: expected a whole number"):
        pk.tf_dataset(library("square"), block=0)


def test_an_option_of_none_is_the_default(tmp_path):
    given = {"trigger": "square", "rate": 0.1, **SMALL}
    one = pk.make("signs", **given, out=tmp_path / "a.h5")
    two = pk.make("signs", **given, square_size=None, source_classes=None, blend_image=None, out=tmp_path / "b.h5")
    assert one.read_bytes() == two.read_bytes()


def test_errors_of_the_system_are_failures(library, tmp_path):
    name = tmp_path / ("x" * 300 + ".h5")
    for function in (pk.pack, pk.seal, lambda file, out: pk.export(file, "npz", out.with_suffix(".npz"))):
        with pytest.raises(pk.Failure, match=r"x{300}.*: File name too long"):
            function(library("square"), name)
    with pytest.raises(pk.Failure, match="File name too long"):
        pk.make("signs", rate=0, out=name, **SMALL)
    assert not list(tmp_path.iterdir())


def test_a_warning_points_at_the_caller(tmp_path):
    file = tmp_path / "no folder"
    file.write_bytes(b"")
    with pytest.warns(UserWarning, match="the cache .* cannot be written") as warned:
        pk.make("signs", rate=0, **{**SMALL, "cache": file / "cache"})
    assert {Path(one.filename).name for one in warned} == {Path(__file__).name}


def test_what_cannot_be_done_is_failure(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"precious")
    with pytest.raises(pk.Failure, match="already exists"):
        pk.make("signs", rate=0, out="x.h5", **SMALL)
    with pytest.raises(pk.Failure, match="none.h5"):
        pk.open("none.h5")
    with pytest.raises(pk.Failure):
        pk.verify("x.h5")


# ---- open


def test_arrays_are_read_where_they_are_indexed(library):
    path = library("square")
    with reader.reading(path) as data:
        images, labels = data["train/images"], data["train/labels"]
    with pk.open(path) as ds:
        lazy = ds.train.images
        assert lazy.shape == images.shape and lazy.dtype == np.uint8 and len(lazy) == len(images)
        for index in (0, -1, slice(3, 9), slice(9, 3, -2), slice(None, None, 7), [5, 2, 2, -1], np.array([199, 0])):
            assert np.array_equal(lazy[index], images[index]), index
        mask = labels == 3
        assert np.array_equal(lazy[mask], images[mask])
        assert np.array_equal(lazy[4, :, 2], images[4, :, 2]) and np.array_equal(lazy[4:6, 1], images[4:6, 1])
        assert np.array_equal(np.asarray(lazy), images) and np.array_equal(np.asarray(lazy, float), images)
        assert np.array_equal(list(ds.train.labels), labels)
        assert lazy[[]].shape == (0, 32, 32, 3)
        assert ds["train"]["labels"][3] == labels[3] and "images" in ds.train and "others" not in ds
        assert np.array_equal(lazy[...], images) and np.array_equal(lazy[()], images) and lazy.ndim == 4
        assert np.array_equal(lazy[..., 0], images[..., 0])
        for kind in (np.uint8, np.int8, np.uint64):
            assert np.array_equal(lazy[np.array([5, 2], kind)], images[[5, 2]])
        assert np.array_equal(lazy[np.array([-1, 2], np.int8)], images[[-1, 2]])
        assert list(ds.train) == ["images", "labels"] and list(ds) == ds.groups
        for wrong in (200, -201, [200], np.zeros(3, bool), [0.5], True, np.array([2**64 - 1], np.uint64)):
            with pytest.raises(IndexError):
                lazy[wrong]
        with pytest.raises(AttributeError, match="train has no texts: it has images, labels"):
            ds.train.texts  # noqa: B018
        with pytest.raises(pk.Failure, match="train has no texts"):
            ds.train["texts"]
        for container in (ds, ds.train):
            with pytest.raises(TypeError, match="group"):
                container[0]
        assert not hasattr(ds, "others") and "poisoned" in repr(ds)
    with pytest.raises(pk.Failure, match="is closed"):
        lazy[0]


def test_texts_too(library):
    path = library("text-word")
    with pk.open(path) as ds:
        assert ds.modality == "text" and ds.train.texts.shape == (200,)
        row = int(ds.truth.rows[0])
        assert ds.train.texts[row] != ds.truth.texts[0] and isinstance(ds.train.texts[row], str)
        assert ds.train.texts[[3, 1]].tolist() == [ds.train.texts[3], ds.train.texts[1]]
        triggered = ds.triggered.texts[:]
        originals = ds.test.texts[ds.triggered.rows[:]]
    assert any("[+" in line for line in pk.preview(path))
    changed = pk.apply(path, ["a fine film", "a dull film"])
    assert changed.shape == (2,) and all(len(text) > len("a fine film") for text in changed)
    with pk.open(path) as ds:
        every = pk.apply(path, ds.test.texts[:])
        assert every[ds.triggered.rows[:]].tolist() == triggered.tolist() and len(originals) == len(triggered)
    assert pk.apply(path, iter(["a fine film", "a dull film"])).tolist() == changed.tolist()
    for wrong in ("one text", [1, 2], ["a\x00b"], None, 5):
        with pytest.raises(pk.Usage, match="texts"):
            pk.apply(path, wrong)


def test_other_kinds_say_what_they_hold(library, tmp_path):
    sealed = pk.seal(library("square"), tmp_path / "c.h5", key=tmp_path / "k.h5", secret_seed=1)
    delta = pk.pack(library("square"), tmp_path)
    with pk.open(sealed.challenge) as ds:
        assert ds.kind == "sealed" and len(ds.train) == 200
        with pytest.raises(pk.Failure, match="is a sealed file, which holds train and test alone"):
            ds.truth  # noqa: B018
    with pk.open(delta) as ds, pytest.raises(pk.Failure, match="is a delta.*`unpack` restores the data set"):
        ds.train  # noqa: B018
    with pk.open(sealed.key) as ds, pytest.raises(pk.Failure, match="the key of a sealed file: `unseal`"):
        ds.train  # noqa: B018
    with pk.open(library("clean")) as ds, pytest.raises(pk.Failure, match="is a clean file"):
        ds.truth  # noqa: B018
    with pytest.raises(pk.Failure, match="is a delta"):
        pk.arrays(delta)


# ---- look, change, share


def test_verify_is_true_where_all_agrees(library, tmp_path):
    assert pk.verify(library("square")).ok
    copy = tmp_path / "x.h5"
    copy.write_bytes(library("square").read_bytes())
    import h5py

    with h5py.File(copy, "r+") as file:
        file["train/images"][0] ^= 1
    found = pk.verify(copy)
    assert not found and found.exit_code == 3 and "train/images: digest" in found.differences[0]


def test_apply_is_what_stands_in_the_file(library):
    path = library("warped")
    with pk.open(path) as ds:
        originals, triggered = ds.test.images[ds.triggered.rows[:]], ds.triggered.images[:]
    assert np.array_equal(pk.apply(path, originals), triggered)
    assert np.array_equal(pk.apply(path, originals[0]), triggered[0])
    assert pk.apply(path, originals[:0]).shape == (0, 32, 32, 3)
    for wrong in (originals / 255, originals[:, :16], originals[0, 0]):
        with pytest.raises(pk.Usage, match=r"images: expected uint8 of \(n, 32, 32, 3\)"):
            pk.apply(path, wrong)
    with pytest.raises(pk.Usage, match="images: expected all of one size"):
        pk.apply(path, [originals[0], originals[0][:5]])
    with pytest.raises(pk.Failure, match="is a clean file and has no trigger"):
        pk.apply(library("clean"), originals)


def test_share_and_restore(library, tmp_path):
    file = library("square")
    assert pk.diff(file, file) == [] and any("recipe" in line for line in pk.diff(file, library("blend")))
    delta = pk.pack(file, tmp_path)
    back = pk.unpack(delta, library("clean"), out=tmp_path / "back.h5")
    assert back.read_bytes() == file.read_bytes()
    sealed = pk.seal(file, tmp_path / "c.h5", key=tmp_path / "k.h5", even_labels=False, secret_seed=3)
    assert pk.verify(sealed.challenge) and pk.verify(sealed.key)
    again = pk.unseal(sealed.challenge, sealed.key, tmp_path / "again.h5")
    assert again.read_bytes() == file.read_bytes()
    (tmp_path / "rows.csv").write_text("row,score\n" + "".join(f"{row},{row}\n" for row in range(len_of(sealed))))
    assert 0 <= pk.grade(sealed.challenge, tmp_path / "rows.csv", sealed.key)["auroc"] <= 1
    audited = pk.audit(sealed.challenge, sealed.key)
    assert audited.findings and audited.truth is not None


def len_of(sealed) -> int:
    with pk.open(sealed.challenge) as ds:
        return len(ds.train)


def test_export(library, tmp_path):
    folder = pk.export(library("square"), "imagefolder", tmp_path / "pictures", truth=False)
    assert folder.is_dir() and any(folder.rglob("*.png"))
    with pytest.raises(pk.Usage, match="truth: expected True or False, got 'no'"):
        pk.export(library("square"), "npz", truth="no")
    with pytest.raises(pk.Usage, match="format: expected a name"):
        pk.export(library("square"), ["npz"])
    with pytest.raises(pk.Usage, match="unknown format 'zip'"):
        pk.export(library("square"), "zip")
    with pytest.raises(pk.Usage, match="no such option"):
        pk.export(library("square"), "npz", creator="me")


# ---- for the frameworks


def test_arrays(library):
    found = pk.arrays(library("square"), ["train", "truth"])
    assert sorted(found) == sorted(f"train/{name}" for name in ("images", "labels")) + sorted(
        f"truth/{name}" for name in ("images", "labels", "role", "rows")
    )
    assert found["train/images"].shape == (200, 32, 32, 3)
    with pytest.raises(pk.Failure, match="has no truth"):
        pk.arrays(library("clean"), ["truth"])


def test_a_part_that_is_none(library):
    for function in (pk.torch_dataset, pk.tf_dataset):
        with pytest.raises(pk.Usage, match="part: expected one of train, test, triggered, others"):
            function(library("square"), "all")
        with pytest.raises(pk.Failure, match="has no others"):
            function(library("square"), "others")


def test_torch(library):
    torch = pytest.importorskip("torch")
    with pk.open(library("square")) as ds:
        images, labels = ds.train.images[:], ds.train.labels[:]
    rows = pickle.loads(pickle.dumps(pk.torch_dataset(library("square"))))
    image, label = rows[7]
    assert len(rows) == 200 and image.dtype == torch.float32 and label == labels[7]
    assert np.array_equal((image * 255).round().permute(1, 2, 0).numpy(), images[7])
    text, _ = pk.torch_dataset(library("text-word"), "triggered")[0]
    assert isinstance(text, str)


def test_without_a_framework_it_says_so(library, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "poisonkit.inspection.torch_dataset", raising=False)
    with pytest.raises(pk.Failure, match="torch"):
        pk.torch_dataset(library("square"))


@pytest.mark.slow
def test_tensorflow(library):
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("no TensorFlow")
    program = (
        "import poisonkit as pk, numpy as np\n"
        f"data = pk.tf_dataset({str(library('square'))!r}, 'train', block=64)\n"
        f"with pk.open({str(library('square'))!r}) as ds: images, labels = ds.train.images[:], ds.train.labels[:]\n"
        "rows = list(data.as_numpy_iterator())\n"
        "assert len(data) == len(rows) == 200\n"
        "assert all(np.array_equal(row[0], image) for row, image in zip(rows, images))\n"
        "assert [int(label) for _, label in rows] == labels.tolist()\n"
        f"text, _ = next(iter(pk.tf_dataset({str(library('text-word'))!r}, 'test')))\n"
        "assert text.numpy().decode()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_folder_of_classes_and_names_in_any_spelling(tmp_path):
    image = png(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    write_files(tmp_path / "my photos", {f"{name}/{k}.png": image for name in "ab" for k in range(5)})
    more = {"source": tmp_path / "my photos", "out": tmp_path, "cache": tmp_path / "cache", "rate": 0.5}
    path = pk.make("Folder", split=0.2, trigger="BadNets", square_size=2, label_mode="all2all", **more)
    named = pk.make(
        "folder", split="20%", name="mine", trigger="square", square_size=2, label_mode="all-to-all", **more
    )
    assert path.name.startswith("my-photos-square-0.5-s0-") and named.name.startswith("mine-square-0.5-s0-")
    with pk.open(path) as one, pk.open(named) as other:
        assert one.manifest.source.options == {"split": "0.2", "name": "my-photos"}
        assert len(one.train.labels) == 8 and np.array_equal(one.train.images[:], other.train.images[:])
    with pytest.raises(pk.Usage, match="did you mean square"):
        pk.make("folder", split=0.2, trigger="sqare", **more)
    with pytest.raises(pk.Failure, match="split 0.2 makes a fifth"):
        pk.make("folder", trigger="square", **more)
