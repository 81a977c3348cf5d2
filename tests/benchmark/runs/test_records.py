"""What a finished run has written is taken over to be shared, without the paths of this machine."""

import json

import fake_runs

from benchmark.runs import records


def test_a_run_is_taken_over_without_its_paths(tmp_path):
    run = fake_runs.write(tmp_path / "runs", history=[(1, 70, 40), (0.5, 80, 50)])
    before = json.loads((run / "result.json").read_text())
    before["dataset"] |= {"path": "/home/somebody/data/x.delta.h5", "base": "/home/somebody/data/x.h5"}
    (run / "result.json").write_text(json.dumps(before))
    records.take_over(run, tmp_path / "shared" / run.name)
    taken = {path.name: path for path in (tmp_path / "shared" / run.name).iterdir()}
    assert taken.keys() == {"result.json", "history.csv"}
    assert taken["history.csv"].read_bytes() == (run / "history.csv").read_bytes()
    after = json.loads(taken["result.json"].read_text())
    assert (after["dataset"].pop("path"), after["dataset"].pop("base")) == ("x.delta.h5", "x.h5")
    assert after == before | {"dataset": {k: v for k, v in before["dataset"].items() if k not in ("path", "base")}}
    assert records.read(taken["result.json"].parent) is not None
