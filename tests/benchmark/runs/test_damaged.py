"""Files of runs that were cut, emptied, edited or replaced: named, never left out of a mean in silence."""

import json
import os
import shutil

import click.testing
import fake_runs
import pytest
import writer
from made_heads import aligned, detected, put

from benchmark.cli import main
from benchmark.core import files
from benchmark.defences.results import Pruned
from benchmark.runs import records

SETTINGS = ("--width", "1", "--epochs", "2", "--top-k", "4", "--batch-size", "16")


def invoke(*words):
    """`benchmark WORDS` in this process."""
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in words])


def as_folder(path):
    path.unlink()
    path.mkdir()


def as_link(path):
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to("elsewhere.json")


def as_pipe(path):
    path.unlink()
    os.mkfifo(path)


def edited(**changes):
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "emptied": lambda path: path.write_bytes(b""),
    "a list": lambda path: path.write_text("[]"),
    "a number": lambda path: path.write_text("7"),
    "null": lambda path: path.write_text("null"),
    "no scores": edited(scores=None),
    "no text": lambda path: path.write_bytes(b"\xff\xfe{}"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "not a number": lambda path: path.write_text(path.read_text().replace('"seed": 1', '"seed": NaN')),
    "endless": lambda path: path.write_text(path.read_text().replace('"seed": 1', '"seed": 1e400')),
    "digits": lambda path: path.write_text(path.read_text().replace('"seed": 1', f'"seed": 1{"0" * 5000}')),
    "later": edited(result_version=2),
    "folder": as_folder,
    "link": as_link,
    "pipe": as_pipe,
}


@pytest.fixture
def runs(tmp_path):
    """Three seeds, clean and poisoned; without seed 1 the means are others."""
    folder = tmp_path / "runs"
    for seed, (clean, asr) in enumerate([(85, 50), (80, 0), (84, 50)]):
        fake_runs.write(folder, trigger=None, seed=seed, ba=clean)
        fake_runs.write(folder, seed=seed, ba=80, asr=asr, history=[(1, 70, asr), (0.5, 80, asr)])
    return folder


def of(runs, kind, seed=1):
    return next(one for one in sorted(runs.glob(f"cifar10-{kind}*")) if f"-t{seed}-" in one.name)


COMMANDS = {
    "table": ("table",),
    "paper": ("table", "--beside", "badpatches"),
    "markdown": ("table", "--format", "markdown"),
    "latex": ("table", "--format", "latex"),
    "csv": ("table", "--format", "csv"),
    "json": ("table", "--format", "json"),
    "show": ("show",),
    "show json": ("show", "--json"),
    "report": ("report",),
    "figures": ("figures",),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_result_is_named_and_the_table_is_written(damage, runs):
    broken = of(runs, "square") / "result.json"
    DAMAGE[damage](broken)
    done = invoke("table", runs, "--wide")
    assert done.exit_code == 1 and "2 poisoning and training seeds" in done.stdout, (done.output, done.exception)
    assert "50.0 ± 0.0" in done.stdout
    assert done.stderr.count(str(broken)) == 1 and done.stderr.count("\n") == 1
    assert done.stdout.splitlines()[-1] == f"omitted, could not be read: {broken.parent.name}/result.json"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["clean", "square"])
def test_every_command_that_gathers_names_it(command, kind, runs, tmp_path):
    if command in ("report", "figures"):
        pytest.importorskip("matplotlib")
    broken = of(runs, kind) / "result.json"
    DAMAGE["cut"](broken)
    more = ("-o", tmp_path / "out") if command in ("report", "figures") else ()
    done = invoke(*COMMANDS[command], runs, *more)
    assert done.exit_code == 1 and done.stdout, (done.output, done.exception)
    assert str(broken) in done.stderr and "cannot be read" in done.stderr
    said = f"{broken.parent.name}/result.json"
    if command in ("table", "paper", "markdown", "latex", "show"):
        assert said in done.stdout
    elif command == "report":
        page = (tmp_path / "out" / "report.html").read_text()
        assert page.count(said) >= 2 and "Files that could not be read" in page
    elif command == "figures":
        assert "omitted" in next((tmp_path / "out").glob("asr-*.svg")).read_text()
    if kind == "clean" and command == "table":
        assert "*" in done.stdout, "CAD of seed 1 is against the mean of other seeds"


def test_a_run_that_is_named_itself(runs):
    whole, broken = of(runs, "square", 0), of(runs, "square", 1)
    DAMAGE["emptied"](broken / "result.json")
    done = invoke("show", whole, broken)
    assert done.exit_code == 1 and whole.name in done.stdout and str(broken / "result.json") in done.stderr
    done = invoke("show", broken)
    assert done.exit_code == 1 and not done.stdout and done.stderr.count("\n") == 1


HEAD = "epoch,loss,ba,asr\n"


@pytest.mark.parametrize("text", ["", HEAD, "epoch,loss\n1,2\n", f"{HEAD}1,nan,3,4\n", f"{HEAD}1,1e999,3,4\n",
                                  f"{HEAD}1,0x1,3,4\n", f'{HEAD}1,"2', f"{HEAD}1,2,3,40"])  # fmt: skip
def test_a_damaged_history_is_named_and_the_rest_is_drawn(text, runs, tmp_path):
    pytest.importorskip("matplotlib")
    path = of(runs, "square") / "history.csv"
    path.write_text(text)
    done = invoke("figures", runs, "-o", tmp_path / "out", "--format", "svg")
    assert done.exit_code == 1 and done.stderr.count("\n") == 1 and str(path) in done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_damaged_results_of_defences_and_heads_are_named(runs, tmp_path):
    one, other = of(runs, "square", 0), of(runs, "square", 1)
    for run in (one, other):
        fake_runs.pruned(run, {("", "before"): (80, 50), ("0.1", "pruned"): (70, 10)})
        put(run, "heads-detect-1", detected(0.9))
        put(run, "heads-align-1", aligned(("untouched", 80, 100, None)))
    pruned, found = other / "prune-held-out-5" / "result.json", other / "heads-detect-1" / "result.json"
    DAMAGE["cut"](pruned)
    edited(flagged=3)(found)
    done = invoke("table", runs)
    assert done.exit_code == 1 and str(pruned) in done.stderr and "Fine-pruning" in done.stdout
    done = invoke("heads", "table", runs)
    assert done.exit_code == 1 and str(found) in done.stderr and "0.900" in done.stdout and ", 1 run" in done.stdout
    DAMAGE["emptied"](found)
    done = invoke("heads", "table", runs, "--format", "latex")
    assert done.exit_code == 1 and f"% omitted, could not be read: {other.name}/heads-detect-1" in done.stdout
    pytest.importorskip("matplotlib")
    done = invoke("report", runs, "-o", tmp_path / "out")
    assert done.exit_code == 1 and str(found) in done.stderr and str(pruned) in done.stderr
    assert f"{other.name}/heads-detect-1/result.json" in (tmp_path / "out" / "report.html").read_text()


SLOW = [pytest.param(damage, marks=pytest.mark.slow) for damage in ("cut", "folder", "link", "later")]


@pytest.mark.parametrize("damage", SLOW)
def test_sweep_says_what_it_does_about_a_damaged_result_and_does_it(damage, tmp_path):
    writer.toy(tmp_path)
    words = ("sweep", *SETTINGS, tmp_path, "--runs", tmp_path / "runs", "-q")
    assert invoke(*words).exit_code == 0
    (folder,) = (tmp_path / "runs").glob("toy-square*")
    before = json.loads((folder / "result.json").read_text())
    DAMAGE[damage](folder / "result.json")
    listed = invoke(*words, "-n")
    states = dict(line.split("  ", 1) for line in listed.stdout.splitlines())
    if damage == "later":
        assert states.pop(folder.name).startswith("to fail: ") and set(states.values()) == {"finished"}
        done = invoke(*words)
        assert done.exit_code == 1 and "of version 2" in done.stderr
        return
    assert "to be kept as result.json.damaged and made again" in states.pop(folder.name)
    assert set(states.values()) == {"finished"} and listed.exit_code == 0
    done = invoke(*words)
    assert done.exit_code == 0 and done.stdout == "2 runs: 1 existed, 1 made\n", done.output
    assert files.there(folder / "result.json.damaged")
    after = json.loads((folder / "result.json").read_text())
    assert after["scores"] == before["scores"] and after["baseline"]["how"] == "same seed"
    assert set(line.split("  ", 1)[1] for line in invoke(*words, "-n").stdout.splitlines()) == {"finished"}


def test_train_makes_a_damaged_run_anew_and_says_so(tmp_path):
    _, poisoned = writer.toy(tmp_path)
    words = ("train", *SETTINGS, poisoned, "--runs", tmp_path / "runs")
    assert invoke(*words, "-q").exit_code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    for number, name in enumerate(("result.json.damaged", "result.json.damaged-2")):
        (folder / "result.json").write_text("{" * (number + 1))
        done = invoke(*words, "-q")
        assert done.exit_code == 0 and f"kept as {name}" in done.stderr and done.stderr.count("\n") == 1
        assert (folder / name).read_text() == "{" * (number + 1), "nothing is lost"


def test_train_says_which_clean_run_it_could_not_compare_with(tmp_path):
    clean, poisoned = writer.toy(tmp_path)
    words = (*SETTINGS, "--runs", tmp_path / "runs")
    assert invoke("train", clean, *words, "-q").exit_code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    DAMAGE["cut"](folder / "result.json")
    done = invoke("train", poisoned, *words)
    assert done.exit_code == 0
    assert f"{folder}/result.json" in done.stderr and "nothing is compared with it" in done.stderr
    shutil.rmtree(next((tmp_path / "runs").glob("toy-square*")))
    done = invoke("sweep", poisoned, *words, "-n")
    assert f"{folder}/result.json" in done.stderr and done.exit_code == 0


def mapping(value):
    """Return a JSON object as it is. TypeError for anything else."""
    return value | {}


@pytest.mark.parametrize("damage", ["cut", "emptied", "a list", "folder", "link", "pipe"])
def test_what_a_command_left_and_is_damaged_is_kept_aside_and_made_anew(damage, tmp_path, caplog):
    path = tmp_path / "result.json"
    assert records.kept(path, mapping) is None and not list(tmp_path.iterdir())
    path.write_text('{"settings": {"seed": 1}}' + " " * 300)
    assert records.kept(path, mapping) == {"settings": {"seed": 1}}
    DAMAGE[damage](path) if damage != "cut" else path.write_text('{"settings')
    assert records.kept(path, mapping) is None and not files.there(path)
    assert files.there(tmp_path / "result.json.damaged")
    assert "kept as result.json.damaged" in caplog.text


def test_what_a_command_left_without_what_is_shown_of_it_is_made_anew_too(tmp_path, caplog):
    path = tmp_path / "result.json"
    path.write_text('{"defence": "prune"}')
    assert records.kept(path, Pruned.of_former) is None and "kept as result.json.damaged" in caplog.text
    assert not files.there(path)
