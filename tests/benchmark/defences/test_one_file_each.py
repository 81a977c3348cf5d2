"""One more detector and one more repair are one more file each: command, table, page and documentation have them."""

import json
import subprocess
import sys

import clone
import fake_defences
import fake_runs
import pytest

DETECTOR = """
import numpy as np

from benchmark.defences.context import Detection
from benchmark.defences.options import Option
from benchmark.defences.registry import DetectorSpec, Remark, register


def score(context, *, sign):
    return Detection(sign * context.labels.astype(np.float64))


register(DetectorSpec(
    name="by-label", title="By label", source="Nobody 2026, A joke", summary="The label is the score.", score=score,
    options=(Option("sign", "Which way.", float, 1.0),),
    remarks=(Remark("Elsewhere 0123abc, joke.py", "inferred", "sorts by name", "sorts by label"),),
))
"""
REPAIR = """
from benchmark.defences.context import Stage
from benchmark.defences.registry import RepairSpec, register


def repair(context):
    yield Stage(context.network(), "unchanged")


register(RepairSpec(name="nothing", title="Nothing", source="Nobody 2026", summary="Changes nothing.", repair=repair))
"""


@pytest.fixture(scope="module")
def copy(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    clone.with_file(root, folder, "defences/detectors/by_label.py", DETECTOR)
    (folder / "benchmark" / "defences" / "repairs" / "nothing.py").write_text(REPAIR)
    (folder / "docs").mkdir()
    for name in ("generate_defences.py", "defences.md"):
        (folder / "docs" / name).write_bytes((root / "docs" / name).read_bytes())
    run = fake_runs.write(folder / "runs", asr=97)
    fake_defences.detected(run, "by-label", settings={"sign": 1.0}, tpr=0.25)
    fake_defences.repaired(run, "nothing", ((83.5, 97),), stages=[("unchanged", "")])
    return folder


def test_the_commands_know_both(copy):
    done = clone.benchmark(copy, "defences", "--json")
    assert done.returncode == 0, done.stderr
    found = {(one["kind"], one["name"]): one for one in json.loads(done.stdout)}
    assert found["detector", "by-label"]["options"][0]["name"] == "sign" and found["repair", "nothing"]["all"]


def test_table_and_page_show_both(copy):
    done = clone.benchmark(copy, "table", "runs", "--format", "json")
    rows = {row.get("defence"): row for row in json.loads(done.stdout)}
    assert rows["by-label"]["scores"]["tpr_at_1"]["mean"] == 25 and rows["by-label"]["described"] == ""
    assert rows["nothing"]["stage"] == "unchanged" and rows["nothing"]["scores"]["der"]["mean"] == 50
    done = clone.benchmark(copy, "report", "runs", "-o", "out")
    assert done.returncode == 0, done.stderr
    page = (copy / "out" / "report.html").read_text("utf-8")
    assert "The only repair that was tried brings no attack that worked to an ASR of at most" in page
    assert ">by-label</button>" in page and ">nothing</button>" in page and "--method by-label" in page


def test_the_documentation_has_both(copy):
    done = subprocess.run([sys.executable, "docs/generate_defences.py"], cwd=copy, env={"PYTHONPATH": str(copy)},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (copy / "docs" / "published-code.md").read_text("utf-8")
    assert "**inferred**, `Elsewhere 0123abc, joke.py`: sorts by name. **Ours** sorts by label." in page
    table = (copy / "docs" / "defences.md").read_text("utf-8")
    assert "| `by-label` | detector | - | The label is the score. | Nobody 2026 |" in table and "| `nothing` |" in table
