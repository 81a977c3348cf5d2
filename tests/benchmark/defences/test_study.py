"""What a method measures beside its result: once that is settled, with the truth, on the run that was asked about."""

import json

import numpy as np
import pytest
from in_process import invoke

from benchmark.core import extras
from benchmark.core.errors import Failure
from benchmark.defences.catalogue import DETECTORS, REPAIRS
from benchmark.defences.context import Detection, Stage
from benchmark.defences.registry import DetectorSpec, RepairSpec, register
from benchmark.defences.study import Studied

CALLS = []


def score(context):
    CALLS.append(context.run.folder.name)
    drawn = {"own": lambda path: path.write_bytes(b"own")}
    return Detection(np.arange(len(context.rows), dtype=float), pictures=drawn, state="left for it")


def study(of):
    found = {
        "state": of.state, "poisoned": int((of.subject.truth.role == 1).sum()),
        "twin": of.subject.twin and of.subject.twin.folder.name, "triggered": of.subject.written.triggered is not None,
        "steps": [step.stage for step in of.steps],
    }  # fmt: skip
    return Studied(found, {"studied": lambda path: path.write_bytes(b"studied")})


def check(raw):
    if raw.get("study", {}).get("state") == "edited":
        raise Failure("not what it leaves")


def report(results):
    return "\n".join(f"{folder.parent.name}: {result.raw['study']['poisoned']} in truth" for folder, result in results)


@pytest.fixture
def studious():
    register(DetectorSpec(name="studious", title="S", source="a test", summary="Studies.", score=score, study=study,
                          check=check, report=report))  # fmt: skip
    CALLS.clear()
    yield
    del DETECTORS["studious"]


def detect(run, *more):
    done = invoke("detect", run, "--method", "studious", "-q", "--json", *more)
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)[0]


def only(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


def test_a_study_has_the_truth_and_the_twin_has_none(studious, run, twin):
    found = detect(run)
    poisoned = found["rows"]["poisoned"]
    assert poisoned > 0 and found["study"] == {
        "state": "left for it", "poisoned": poisoned, "twin": twin.name, "triggered": True, "steps": [],
    }  # fmt: skip
    assert found["pictures"] == ["own.png", "studied.png"] and only(run, "*/studied.png").read_bytes() == b"studied"
    beside = json.loads(only(twin, "detect-studious-*/result.json").read_text())
    assert "study" not in beside and beside["pictures"] == ["own.png"]


def test_what_more_can_be_had_is_made_and_otherwise_it_is_read(studious, run, twin):
    assert detect(run, "--no-twin")["study"]["twin"] is None and [run.name] == CALLS
    assert detect(run)["study"]["twin"] == twin.name and [run.name, run.name, twin.name] == CALLS
    assert detect(run, "--no-twin")["study"]["twin"] == twin.name
    assert "study" in detect(twin) and len(CALLS) == 4, "asked about itself, the twin is studied too"
    detect(run)
    assert len(CALLS) == 4 and len(list(run.glob("detect-*"))) == len(list(twin.glob("detect-*"))) == 1


def test_pictures_that_were_not_drawn_are_drawn_later(studious, run, monkeypatch):
    with monkeypatch.context() as without:
        without.setattr(extras, "problem", lambda name: f"{name} is not installed")
        found = detect(run, "--no-twin")
        assert found["pictures"] == [] and found["undrawn"] == ["own.png", "studied.png"]
        detect(run, "--no-twin")
        assert len(CALLS) == 1
    assert detect(run, "--no-twin")["pictures"] == ["own.png", "studied.png"] and len(CALLS) == 2


def test_a_method_shows_its_study_and_an_edited_one_is_made_anew(studious, run):
    found = detect(run, "--no-twin")
    shown = invoke("detect", run, "--method", "studious", "--no-twin", "-q")
    assert f"{run.name}: {found['study']['poisoned']} in truth" in shown.stdout.splitlines()
    path = only(run, "detect-studious-*/result.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"study": {"state": "edited"}}))
    again = invoke("detect", run, "--method", "studious", "--no-twin", "-q")
    assert again.exit_code == 0 and "not what it leaves: kept as result.json.damaged" in again.stderr
    assert again.stdout == shown.stdout


def test_a_repair_is_watched_on_its_way_and_learns_nothing_of_it(run):
    def repair(context):
        model = context.network()
        for share in (0.5, 0.0):
            assert context.watch(model) is None
            model.get_layer("logits").kernel.assign(share * np.asarray(model.get_layer("logits").kernel))
        yield Stage(model, "dimmed", state="of the last")
        assert context.watch(model) is None
        yield Stage(model, "same")

    register(RepairSpec(name="dim", title="D", source="a test", summary="Dims.", repair=repair, study=study))
    try:
        done = invoke("repair", run, "--method", "dim", "--no-twin", "-q", "--json")
    finally:
        del REPAIRS["dim"]
    found = next(one for one in json.loads(done.stdout) if one["defence"] == "dim")
    before, dimmed, same = found["steps"]
    assert dimmed["history"][0] == before["scores"], "nothing has changed yet"
    assert len(dimmed["history"]) == 2 and same["history"] == [same["scores"]] == [dimmed["scores"]]
    assert found["study"]["steps"] == ["before", "dimmed", "same"] and found["study"]["state"] is None
