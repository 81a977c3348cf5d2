"""A new trigger, source or export format is one file: each is added to a copy of the package, and seen everywhere."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from poisonkit.core.errors import Usage
from poisonkit.core.registry import Registry

NAMESPACE = "from types import SimpleNamespace\nSPEC = SimpleNamespace(name='another')"
ROOT = Path(__file__).resolve().parents[3]
NEW = {
    "triggers/image/stripe_pair.py": '''
"""Two rows of the image in one grey level."""
from poisonkit.core.parsing import integer
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import Option
from poisonkit.triggers.image_base import BuiltTrigger, ImageTrigger

def build(parameters, tile, context):
    stencil = Stencil.identity(tile)
    stencil.weights[:2] = 0
    stencil.bias[:2] = parameters["level"] * ONE
    return BuiltTrigger(stencil)

SPEC = ImageTrigger(
    name="stripe-pair",
    summary="two grey rows",
    options=(Option("level", integer(0, 255), 200, "their grey level", "LEVEL"),),
    presets={"bright": {"level": 255}},
    build=build,
)
''',
    "triggers/text/bang.py": '''
"""An exclamation mark at the end."""
from poisonkit.core import texts as strings
from poisonkit.triggers.text_base import TextTrigger, insertions

def insert(parameters, texts, rows, context):
    changed, made = texts.copy(), []
    for number, text in enumerate(texts):
        made.append((number, len(strings.split_words(text)), 0))
        changed[number] = strings.insert(text, made[-1][1], "!")
    return changed, insertions(made)

SPEC = TextTrigger(name="bang", summary="an exclamation mark", phrases=lambda parameters: ["!"], insert=insert)
''',
    "sources/image/dots.py": '''
"""One white dot on black, by its column."""
import numpy as np
from poisonkit.core.modality import IMAGE
from poisonkit.sources import base

def locate(path, options):
    def decode(writer, context):
        for part, count in (("train", 60), ("test", 30)):
            labels = np.arange(count) % 3
            images = np.zeros((count, 8, 8, 3), np.uint8)
            images[np.arange(count), np.arange(count) % 8, labels] = 255
            with writer.part(part, labels, (8, 8, 3)) as target:
                target.write(0, images)
        return {"kind": "built in", "official": None}
    return base.Origin({"drawn": "dots"}, decode, options)

SPEC = base.SourceSpec(
    name="dots", title="dots: 90 dots in three classes", licence="Apache-2.0", url="", how="drawn on first use",
    modality=IMAGE, classes=("left", "middle", "right"), counts=(60, 30), shape=(8, 8, 3), locate=locate,
)
''',
    "exporters/formats/labels_only.py": '''
"""The labels, one per line."""
from poisonkit.exporters import base

def write(data, target, context):
    target.write_text("\\n".join(map(str, data["train/labels"].tolist())) + "\\n")

SPEC = base.ExportSpec(
    name="labels-only", help="the training labels, one per line", modality=None, suffix=".txt", options=("truth",),
    write=write,
)
''',
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A folder with a copy of the package, one file more for each."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "poisonkit", folder / "poisonkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in NEW.items():
        (folder / "poisonkit" / name).write_text(code)
    return folder


@pytest.fixture
def run(copy, tmp_path):
    """Run a command of the copy in an empty folder; its output."""

    def command(*words, program=("-m", "poisonkit")) -> str:
        more = {"PYTHONPATH": f"{copy}{os.pathsep}{ROOT}", "POISONKIT_CACHE": str(copy / "cache")}
        done = subprocess.run(
            [sys.executable, *program, *map(str, words)], cwd=tmp_path, env=os.environ | more, capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


def test_a_trigger_of_images_is_one_file(run, tmp_path):
    listed = run("triggers")
    assert "stripe-pair: two grey rows" in listed and "--stripe-pair-level LEVEL: their grey level" in listed
    assert "--preset bright: level 255" in listed
    assert "--stripe-pair-level" in run("make", "--help")
    size = ("--source-option", "train=40", "--source-option", "test=20")
    made = ("make", "--dataset", "signs", "--trigger", "stripe-pair", "--rate", "0.1", *size, "-o", "x.h5")
    run(*made, "--preset", "bright")
    assert run("verify", "x.h5") == "x.h5: OK\n"
    with h5py.File(tmp_path / "x.h5") as f:
        rows = f["truth/rows"][:]
        assert len(rows) == 4 and (f["train/images"][rows[0]][:2] == 255).all()
        assert (f["train/images"][rows[0]][2:] == f["truth/images"][0][2:]).all()
        assert json.loads(f.attrs["manifest"])["recipe"]["triggers"] == [{"name": "stripe-pair", "level": 255}]


def test_a_trigger_of_texts_is_one_file(run, tmp_path):
    assert "bang: an exclamation mark; for texts" in run("triggers")
    size = ("--source-option", "train=40", "--source-option", "test=20")
    run("make", "--dataset", "phrases", "--trigger", "bang", "--rate", "0.1", *size, "-o", "x.h5")
    assert run("verify", "x.h5") == "x.h5: OK\n"
    with h5py.File(tmp_path / "x.h5") as f:
        rows = f["truth/rows"][:]
        assert len(rows) == 4 and all(text.endswith(" !") for text in f["train/texts"].asstr()[rows])


def test_a_source_is_one_file(run, tmp_path):
    assert "dots: 90 dots in three classes" in run("sources")
    run("make", "--dataset", "dots", "--rate", "0", "-o", "x.h5")
    with h5py.File(tmp_path / "x.h5") as f:
        assert f["train/images"].shape == (60, 8, 8, 3) and np.array_equal(f["train/labels"][:], np.arange(60) % 3)
    assert run("verify", "x.h5") == "x.h5: OK\n"


def test_an_export_format_is_one_file(run, tmp_path):
    shown = " ".join(run("export", "--help").split())
    assert "labels-only: the training labels, one per line" in shown
    assert "imagefolder, jsonl, labels-only, npz: what a victim gets" in shown
    run("make", "--dataset", "dots", "--rate", "0", "-o", "x.h5")
    assert run("export", "x.h5", "--format", "labels-only").startswith(f"wrote {Path('x.txt')} (labels-only, 60 train")
    assert (tmp_path / "x.txt").read_text().split() == [str(label % 3) for label in range(60)]


def test_the_reference_of_commands_has_them(run):
    script = ROOT / "docs" / "generate_cli.py"
    page = run("-c", f"import runpy; print(runpy.run_path({os.fspath(script)!r})['text']())", program=())
    plain = runpy.run_path(os.fspath(script))["text"]()
    for words in ("`--stripe-pair-level LEVEL`", "labels-only: the training labels, one per line"):
        assert words in page and words not in plain


def test_a_file_without_a_fitting_spec_is_named(tmp_path, monkeypatch):
    """Whoever adds one is told what is missing, and where."""
    (tmp_path / "invented").mkdir()
    for name, code in (("__init__", ""), ("empty", ""), ("other_name", NAMESPACE), ("_helper", "1 / 0")):
        (tmp_path / "invented" / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    things = Registry("unknown thing", SimpleNamespace, "invented")
    assert things.names() == ["empty", "other-name"] and "empty" in things and "_helper" not in things
    with pytest.raises(Usage, match="unknown thing 'third': expected one of empty, other-name"):
        things["third"]
    with pytest.raises(TypeError, match="invented.empty: expected SPEC = SimpleNamespace"):
        things["empty"]
    with pytest.raises(TypeError, match="invented.other_name"):
        things["other-name"]
