"""The script that tries each attack: its commands are those of the tool, and no trigger is left out."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("h5py")
from poisonkit.core import modality  # noqa: E402
from poisonkit.triggers import registry as triggers  # noqa: E402

DOCS = Path(__file__).resolve().parents[2] / "docs"
_SPEC = importlib.util.spec_from_file_location("attacks_at_work", DOCS / "attacks_at_work.py")
assert _SPEC is not None and _SPEC.loader is not None
made = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(made)

EARLIER = {"blend", "warped", "sig", "noise", "sticker"}
"""Those that the table, which is of the later ones, leaves out."""
OUTSIDE = {"pattern", "images"}
"""Those that are nothing without an array or pictures of somebody's."""


def test_every_later_trigger_is_tried():
    tried = {name for attack in made.ATTACKS for name in attack.triggers.replace("|", "+").split("+")}
    assert tried | EARLIER | OUTSIDE == set(triggers.names(modality.IMAGE)) | {"sig"}


def test_the_page_is_made_of_the_committed_runs():
    found = made.read()
    text = made.PAGE.read_text("utf-8")
    assert made.page(text, found) == text, "run docs/attacks_at_work.py"
    assert len({run.result.name for run in found}) == len(found)
    for run in found:  # none that the table leaves out
        clean = run.result.dataset.is_clean
        assert clean or sum(attack.is_of(run.result) for attack in made.ATTACKS) == 1, run.result.name


def test_the_commands_are_those_of_the_tool(root, poisonkit, tmp_path):
    """Each `make` is asked what it would write, on a small source; two of them would not write the same file."""
    done = subprocess.run([sys.executable, DOCS / "attacks_at_work.py", "commands", "signs"], cwd=root, check=True,
                          capture_output=True, text=True)  # fmt: skip
    *lines, sweep, detect = done.stdout.splitlines()
    assert all(f" --method {one}" in detect for one in made.DETECTORS)
    assert sweep.startswith("benchmark sweep attacks/signs --preset tiny")
    small = ("--source-option", "train=800", "--source-option", "test=50")
    names = []
    for line in lines:
        words = line.split()[1:]
        words[words.index("-o") + 1] = str(tmp_path)
        found = poisonkit(*words, *small, "--dry-run").succeeded()
        names += [word for word in found.out.split() if word.endswith(".h5")]
    assert len(set(names)) == len(lines) == len(made.ATTACKS) + 1
