"""What a shell is told when somebody presses Tab: names of the registries, through the real entry point."""

import pytest

from poisonkit.core import label_modes
from poisonkit.exporters.registry import FORMATS
from poisonkit.sources import camouflage
from poisonkit.sources.registry import SOURCES
from poisonkit.triggers import registry as triggers


@pytest.fixture
def completed(poisonkit, monkeypatch):
    """`completed(words)`: the values, without their types, that the last word may become."""

    def complete(words: str) -> list[str]:
        monkeypatch.setenv("_POISONKIT_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", f"poisonkit {words}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
        return [line.split(",", 1)[1] for line in poisonkit().succeeded().lines if line]

    return complete


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("make --trigger ", triggers.names()),
        ("make --trigger square --trigger ", triggers.names()),
        ("make --trigger s", [name for name in triggers.names() if name.startswith("s")]),
        ("make --dataset ", SOURCES.names()),
        ("make --dataset sig", ["signs"]),
        ("make --dataset signs --trigger square --label-mode ", list(label_modes.SELECTIONS)),
        ("make --label-mode cl", ["clean-label"]),
        ("make --select ", list(label_modes.CHOICES)),
        ("make --preset ", triggers.presets()),
        ("make --camouflage ", list(camouflage.LEVELS)),
        ("export x.h5 --format ", FORMATS.names()),
        ("export --format back", ["backdoor-toolbox", "backdoorbench"]),
        ("grid --dataset ", SOURCES.names()),
        ("grid --paper t", ["table1", "table2", "table3"]),
        ("unpack --dataset ", SOURCES.names()),
        ("verify --dataset ", SOURCES.names()),
        ("make --trigger nothing-like-it", []),
        ("make --dataset signs --dataset ", SOURCES.names()),
        ("make --dataset signs --dataset phrases --trigger bl", ["blend"]),
    ],
)
def test_values_are_completed(completed, words, values):
    assert completed(words) == values


def test_in_a_process_of_its_own(poisonkit, monkeypatch):
    for name, value in (
        ("_POISONKIT_COMPLETE", "bash_complete"),
        ("COMP_WORDS", "poisonkit make --trigger bl"),
        ("COMP_CWORD", "3"),
    ):
        monkeypatch.setenv(name, value)
    assert poisonkit.spawn().succeeded().lines == ["plain,blend"]


def test_options_and_files_are_still_completed(completed):
    assert "--square-size" in completed("make --square-")
    assert completed("show ") == [""], "the shell's own file names"
