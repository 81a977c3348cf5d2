"""Names in a stranger's results: none leads out of the runs folder, none is a command."""

import json

import fake_runs
import pytest

from benchmark.runs.records import is_result
from benchmark.runs.result import DatasetRecord

NAMES = ("../../x", "/etc/passwd", "-rf", "$(touch X)", "`touch X`", "x\u202ey", "a\nb", ".", "..", "", "x" * 300)


@pytest.mark.parametrize("name", NAMES, ids=repr)
@pytest.mark.parametrize(
    "place", [("name",), ("dataset", "name"), ("dataset", "source"), ("baseline", "runs", 0)], ids=str
)
def test_a_result_with_such_a_name_is_none(tmp_path, place, name):
    folder = fake_runs.write(tmp_path)
    whole = json.loads((folder / "result.json").read_text())
    whole["baseline"] = {"how": "given", "runs": ["x"], "ba": 1.0, "cad": 1.0, "asr": fake_runs.share(5, 100)}
    assert is_result(whole)
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = name
    assert not is_result(whole)


@pytest.mark.parametrize("label, called", [
    (None, "folder"), ("my photos", "my photos"), ("CIFAR-10", "folder CIFAR-10"), ("../x", "folder"), (3, "folder"),
])  # fmt: skip
def test_what_tables_call_a_folder(tmp_path, label, called):
    """A folder's data set has a name of its own, but never that of data which others have too."""
    folder = fake_runs.write(tmp_path)
    whole = json.loads((folder / "result.json").read_text())
    whole["dataset"]["source"] = "folder"
    if label is not None:
        whole["dataset"]["label"] = label
    record = DatasetRecord.of(whole["dataset"])
    assert record.called == called and record.source == "folder"


def test_others_are_called_as_they_are(tmp_path):
    whole = json.loads((fake_runs.write(tmp_path) / "result.json").read_text())
    record = DatasetRecord.of(whole["dataset"])
    assert record.called == record.label == record.source
