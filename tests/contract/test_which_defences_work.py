"""docs/which-defences-work.md is what its script makes of the committed results, and its commands are the tools'."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("h5py")
from benchmark.defences.catalogue import DETECTORS, REPAIRS  # noqa: E402
from poisonkit.core import modality  # noqa: E402
from poisonkit.triggers import registry as triggers  # noqa: E402

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS))
_SPEC = importlib.util.spec_from_file_location("which_defences_work", DOCS / "which_defences_work.py")
assert _SPEC is not None and _SPEC.loader is not None
made = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = made  # dataclasses look their module up
_SPEC.loader.exec_module(made)

OUTSIDE = {"pattern", "images"}
"""Triggers that are nothing without an array or pictures of somebody's."""


def commands(dataset: str) -> list[list[str]]:
    done = subprocess.run([sys.executable, DOCS / "which_defences_work.py", "commands", dataset], check=True,
                          capture_output=True, text=True)  # fmt: skip
    return [line.split() for line in done.stdout.splitlines()]


def test_the_page_is_made_of_the_committed_results():
    text = made.PAGE.read_text("utf-8")
    assert made.page(text, made.read()) == text, "run docs/which_defences_work.py"


def test_the_methods_that_are_named_exist():
    assert {*made.DETECTORS, *made.SAMPLED, *made.ONCE[0]} <= set(DETECTORS)
    assert {*made.REPAIRS, *made.ONCE[1]} <= set(REPAIRS)


def test_every_image_trigger_is_tried_on_signs():
    words = [word for line in commands("signs") for word in line]
    tried = {words[place + 1] for place, word in enumerate(words) if word == "--trigger"}
    assert tried == set(triggers.names(modality.IMAGE)) - OUTSIDE


@pytest.mark.parametrize("dataset", made.PLANS)
def test_the_commands_are_those_of_the_tools(dataset, poisonkit, tmp_path):
    """Each `make` is asked what it would write; no two would write the same file."""
    small = ("--source-option", "train=800", "--source-option", "test=50")
    names = []
    for line in commands(dataset):
        if line[0] != "poisonkit":
            continue
        words = line[1:]
        words[words.index("-o") + 1] = str(tmp_path)
        if dataset != "signs":
            words[words.index("--dataset") + 1] = "signs"
            del words[words.index("--source") : words.index("--source") + 2]
        found = poisonkit(*words, *small, "--dry-run").succeeded()
        names += [word for word in found.out.split() if word.endswith(".h5")]
    assert len(names) == len(set(names)) > len(made.PLANS[dataset].attacks)
