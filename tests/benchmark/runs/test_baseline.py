"""CAD is decided in one place: what is shown follows from the runs that are there, and what is stored agrees."""

import dataclasses
import json

import click.testing
import fake_runs
import pytest
import writer

from benchmark.cli import main
from benchmark.format import dataset, sandbox
from benchmark.runs import baseline, records
from benchmark.runs.results import gather
from benchmark.training.metrics import Share

SETTINGS = ("--width", "1", "--epochs", "1", "--top-k", "4", "--batch-size", "40")


def invoke(*words):
    done = click.testing.CliRunner().invoke(main.main, list(map(str, words)))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def shown(folder):
    (run,) = (run for run in gather([folder.parent]) if run.folder == folder)
    return run.result.baseline


def store(folder, comparison):
    raw = json.loads((folder / "result.json").read_text()) | {"baseline": comparison}
    (folder / "result.json").write_text(json.dumps(raw))


def test_what_is_stored_of_other_runs_is_not_believed(tmp_path):
    """A stored CAD is of the time when it was stored; the scores are what counts."""
    clean = fake_runs.write(tmp_path, trigger=None, ba=85)
    poisoned = fake_runs.write(tmp_path, ba=80, asr=90)
    share = fake_runs.share(9, 100)
    store(poisoned, {"how": "same seed", "runs": [clean.name], "ba": 99.0, "cad": -7.0, "asr": share})
    assert (shown(poisoned).cad, shown(poisoned).ba, shown(poisoned).asr) == (5.0, 85.0, Share(9, 100))


@pytest.mark.parametrize("how", ["given", "same seed"])
def test_a_baseline_that_is_not_there_stays_and_its_cad_follows_from_the_scores(how, tmp_path):
    poisoned = fake_runs.write(tmp_path, ba=80, asr=90)
    store(poisoned, {"how": how, "runs": ["elsewhere"], "ba": 85.5, "cad": -7.0, "asr": None})
    assert shown(poisoned).runs == ("elsewhere",) and shown(poisoned).cad == 5.5


def test_a_clean_run_with_other_threads_is_no_further_seed(tmp_path):
    two, four = (dataclasses.replace(fake_runs.PRESETS["paper"], threads=threads) for threads in (2, 4))
    for settings, seed, ba in ((two, 1, 80), (four, 1, 82), (two, 2, 90)):
        fake_runs.write(tmp_path, trigger=None, settings=settings, training_seed=seed, ba=ba)
    few = fake_runs.write(tmp_path, settings=two, ba=70)
    assert (shown(few).how, shown(few).cad, len(shown(few).runs)) == ("mean of 2 other seeds", 15.0, 2)
    for settings, threads, cad in ((two, 2, 10.0), (four, 4, 12.0)):
        poisoned = fake_runs.write(tmp_path, settings=settings, training_seed=1, rate="0.01", ba=70)
        assert (shown(poisoned).how, shown(poisoned).cad) == ("same seed", cad), threads


def test_the_same_seed_comes_before_the_mean_of_others(tmp_path):
    for seed, ba in ((1, 84), (2, 86)):
        fake_runs.write(tmp_path, trigger=None, seed=seed, ba=ba)
    poisoned = fake_runs.write(tmp_path, seed=0, ba=80, asr=90)
    assert (shown(poisoned).how, shown(poisoned).cad) == ("mean of 2 other seeds", 5.0)
    fake_runs.write(tmp_path, trigger=None, seed=0, ba=83)
    assert (shown(poisoned).how, shown(poisoned).cad) == ("same seed", 3.0)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return writer.toy(tmp_path_factory.mktemp("toy"))


def test_what_train_stores_is_what_is_shown(toy, tmp_path):
    """In whichever order the two were trained, and again after the same command."""
    clean, poisoned = toy
    for path in (poisoned, clean, poisoned):
        invoke("train", path, *SETTINGS, "--runs", tmp_path, "-q")
        for folder in tmp_path.iterdir():
            stored, now = records.read(folder).baseline, shown(folder)
            if path is not clean:  # which may be the clean run that was missing
                assert stored == now, folder
    (folder,) = (folder for folder in tmp_path.iterdir() if "square" in folder.name)
    assert shown(folder).how == "same seed" and shown(folder).asr.of == 45
    assert (
        json.loads(invoke("show", folder, "--json"))[0]["baseline"]
        == json.loads((folder / "result.json").read_text())["baseline"]
    )


def test_one_function_decides(toy, tmp_path, monkeypatch):
    """Nothing else does: with another decision, what is stored and what is shown change alike."""
    invoke("train", toy[0], *SETTINGS, "--runs", tmp_path, "-q")
    real = baseline.compare

    def other(result, candidates, named=None):
        comparison = real(result, candidates, named)
        return comparison and dataclasses.replace(comparison, cad=12.5)

    monkeypatch.setattr(baseline, "compare", other)
    invoke("train", toy[1], *SETTINGS, "--runs", tmp_path, "-q")
    (folder,) = (folder for folder in tmp_path.iterdir() if "square" in folder.name)
    assert records.read(folder).baseline.cad == 12.5 == shown(folder).cad


def test_a_manifest_is_read_once_for_a_run(toy, tmp_path, monkeypatch):
    """A check is a process with a library to import: one for each file in whoever trains it."""
    checked, real = [], sandbox.in_child

    def counted(path):
        checked.append(path)
        return real(path)

    monkeypatch.setattr(sandbox, "in_child", counted)
    dataset._checked.cache_clear()
    for path in toy:
        invoke("train", path, *SETTINGS, "--runs", tmp_path, "-q")
    assert checked == list(toy)
    checked.clear()
    dataset._checked.cache_clear()
    invoke("sweep", *toy, *SETTINGS, "--runs", tmp_path, "-q", "--seeds", "3", "-n")
    assert sorted(checked) == sorted(toy), "planning: once a file, not once a seed"


def test_the_command_that_repeats_a_run_names_the_clean_run_that_was_given(tmp_path):
    import json

    import fake_runs

    from benchmark.runs import hints, results

    clean = fake_runs.write(tmp_path / "runs", trigger=None, seed=3)
    folder = fake_runs.write(tmp_path / "runs", seed=1)
    path = folder / "result.json"
    plain = json.loads(path.read_text())
    for how, option in (("given", f" --baseline runs/{clean.name}"), ("same seed", "")):
        baseline = {"how": how, "runs": [clean.name], "ba": 85.0, "cad": 1.5, "asr": None}
        path.write_text(json.dumps(plain | {"baseline": baseline}))
        found = [one.result for one in results.gather([clean, folder])]
        (line,) = [line for line in hints.repeat(found) if "--seed 1" in line]
        assert line == f"benchmark train data/{plain['dataset']['name']}.h5 --seed 1{option}"
        alone = [one.result for one in results.gather([folder])]
        (line,) = hints.repeat(alone)
        assert (" --baseline RUN (RUN: the folder of the clean run " in line) == (how == "given")
