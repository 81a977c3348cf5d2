"""Names as people type them: an exact one wins, a spelling or an alias counts where it leaves exactly one."""

import json

import pytest

from poisonkit.core import naming
from poisonkit.core.errors import Usage
from poisonkit.exporters.registry import FORMATS
from poisonkit.sources.registry import SOURCES
from poisonkit.triggers.registry import TRIGGERS, WAYS


@pytest.mark.parametrize("typed, name", [
    ("cifar10", "cifar10"), ("CIFAR10", "cifar10"), ("cifar-10", "cifar10"), ("CIFAR_10", "cifar10"),
    (" cifar 10 ", "cifar10"), ("GTSRB", "gtsrb"), ("SST-2", "sst2"), ("image_folder", "folder"),
])  # fmt: skip
def test_sources(typed, name):
    assert SOURCES.find(typed) == name


@pytest.mark.parametrize("typed, name", [
    ("BadNets", "square"), ("bad-nets", "square"), ("wanet", "warped"), ("WaNet", "warped"), ("Blended", "blend"),
    ("SIG", "sig"), ("AddSent", "sentence"), ("reflection", "refool"), ("ReflectionBackdoor", "refool"),
])  # fmt: skip
def test_triggers(typed, name):
    assert TRIGGERS.find(typed) == name


@pytest.mark.parametrize("typed, words", [
    ("SSBA", "its own code makes the pictures, which --trigger images takes (--images-list says of which rows"),
    ("isba", "--trigger images takes"), ("Sleeper Agent", "--trigger images takes"),
    ("label-consistent pictures", "--images-file FILE)"), ("LF", "--trigger pattern takes (--pattern-file"),
    ("narcissus", "the array that is added, which --trigger pattern"), ("StyleBkd", "--trigger rewrite takes"),
    ("TaCT", "--cover-class"), ("BadPatches", "--per-patch"), ("clean_label", "a label mode: --label-mode clean-label"),
])  # fmt: skip
def test_what_is_no_trigger_of_ours_leads_to_what_takes_it(poisonkit, tmp_path, typed, words):
    asked = ("make", "--dataset", "signs", "--rate", "0.1", "-o", tmp_path, "--trigger", typed)
    result = poisonkit(*asked).failed(2, f"unknown trigger {typed!r}: ", words)
    assert len(result.errors) == 1 and len(result.err) < 240


def test_no_spelling_is_of_two_things():
    for registry in (SOURCES, TRIGGERS, FORMATS):
        spellings = [(naming.folded(one), spec.name) for spec in registry for one in (spec.name, *spec.aliases)]
        if registry is TRIGGERS:
            doors = [spec for spec in registry if spec.file]
            spellings += [(naming.folded(one), spec.name) for spec in doors for one in spec.file.attacks]
            spellings += [(naming.folded(one), one) for one in WAYS]
        assert len({spelling for spelling, _ in spellings}) == len(spellings), spellings


def test_numbers_are_never_spelled_otherwise():
    for one, other in (("-1", "1"), ("1-2", "12"), ("1_2", "12"), ("1 2", "12"), ("a-", "a"), ("c++", "c")):
        assert naming.folded(one) != naming.folded(other)
    for one, other in (("a-1", "A1"), ("1_a", "1a"), ("Straße", "STRASSE"), ("e\u0301t\u00e9", "\u00c9TE\u0301")):
        assert naming.folded(one) == naming.folded(other)


def test_an_exact_name_wins_and_two_are_none():
    known = ("Stop", "STOP", "yield")
    assert [naming.understood(one, known) for one in ("Stop", "STOP", "stop", "Yield")] == [
        "Stop",
        "STOP",
        None,
        "yield",
    ]
    assert naming.hint("stop", known) == "; did you mean Stop or STOP?"
    assert naming.understood("halt", known, {"halt": "Stop"}) == "Stop"
    assert naming.understood("y-ield", known, {"yield": "Stop"}) is None, "an alias that is another's name"
    assert naming.hint("yeild", known) == "; did you mean yield?" and naming.hint("qqq", known) == ""


def test_what_is_near_is_proposed():
    with pytest.raises(Usage, match=r"unknown trigger 'sqare': expected one of .*; did you mean square\?$"):
        TRIGGERS.find("sqare")
    with pytest.raises(Usage, match=r"unknown source 'cifar_1': .*; did you mean cifar10"):
        SOURCES.find("cifar_1")


def test_a_file_names_things_exactly():
    """Only people spell names otherwise: in a manifest such a name is one that is not known."""
    assert "Square" not in TRIGGERS and "CIFAR10" not in SOURCES
    with pytest.raises(Usage):
        TRIGGERS["Square"]


SPELLED = (
    ("--dataset", "Signs", "--trigger", "BadNets", "--square-position", "Upper_Left", "--label-mode", "all2one"),
    ("--dataset", "SIGNS", "--trigger", "SQUARE", "--select", "ALL", "--label-mode", "All_To_One"),
)


@pytest.mark.parametrize("words", SPELLED, ids=["aliases", "case"])
def test_bytes_do_not_depend_on_spelling(poisonkit, library, tmp_path, words):
    options = ("--source-option", "train=200", "--source-option", "test=100", "--rate", "0.1", "-o", tmp_path)
    (made,) = json.loads(poisonkit("make", *words, *options, "--json").succeeded().out)
    with open(made["path"], "rb") as one, open(library("square"), "rb") as other:
        assert one.read() == other.read()


def test_what_is_unknown_is_said_everywhere(poisonkit, library, tmp_path):
    small = ("--rate", "0.1", "-o", tmp_path)
    square = ("make", "--dataset", "signs", "--trigger", "square")
    poisonkit("make", "--dataset", "sings", *small, "--trigger", "square").failed(2, "did you mean signs?")
    poisonkit(*square, *small, "--label-mode", "al-to-all").failed(2, "--label-mode: ", "did you mean all-to-all")
    poisonkit(*square, *small, "--preset", "notbook").failed(2, "--preset: ", "did you mean notebook?")
    poisonkit(*square, *small, "--square-position", "uper-left").failed(2, "did you mean upper-left")
    poisonkit("export", library("square"), "--format", "imagfolder").failed(2, "did you mean imagefolder?")
    poisonkit("grid", "--paper", "tabel1", "--dry-run").failed(2, "did you mean table1")
    assert not list(tmp_path.iterdir())


def test_export_and_grid(poisonkit, library, tmp_path):
    poisonkit("export", library("square"), "--format", "Image_Folder", "-o", tmp_path / "x").succeeded()
    (tmp_path / "g.toml").write_text(
        'dataset = "Signs"\ntriggers = ["BadNets"]\nimage = [0.1]\n[options.badnets]\nsize = 3\n'
    )
    plan = json.loads(poisonkit("grid", tmp_path / "g.toml", "--dry-run", "--json", "-o", tmp_path).succeeded().out)
    assert plan["dataset"] == "signs" and "square" in json.dumps(plan)


def test_options_too(poisonkit, tmp_path):
    import poisonkit as pk

    (tmp_path / "g.toml").write_text('dataset = "signs"\ntrigers = ["square"]\nimage = [0.1]\n')
    poisonkit("grid", tmp_path / "g.toml", "--dry-run").failed(2, "did you mean triggers or target?")
    small = ("make", "--dataset", "signs", "--rate", "0", "-o", tmp_path)
    poisonkit(*small, "--source-option", "trian=200").failed(2, "no option 'trian'", "did you mean train?")
    poisonkit(*small, "--source-option", "Train=200", "--source-option", "TEST=100", "--dry-run").succeeded()
    with pytest.raises(Usage, match=r"did you mean square_size\?"):
        pk.make("signs", trigger="square", rate=0.1, squaresize=3)


def test_a_manifest_in_another_spelling_is_one_that_is_not_known(library):
    from poisonkit.format import reader
    from poisonkit.format.records import TriggerStep
    from poisonkit.poisoning import supported

    with reader.reading(library("square")) as data:
        step = data.manifest.recipe.triggers[0]
    assert supported._trigger(step) is None
    for key, value in (("position", "Upper_Left"), ("position", "top-left")):
        assert "position" in supported._trigger(TriggerStep("square", step.parameters | {key: value}))
    assert "trigger 'BadNets'" in supported._trigger(TriggerStep("BadNets", {}))
