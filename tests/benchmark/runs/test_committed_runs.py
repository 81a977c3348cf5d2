"""The identity of the runs in results/: whatever changes in the program, their configurations and names stay."""

import json
from pathlib import Path

import pytest

from benchmark.core.hashing import digest
from benchmark.format.manifest import Manifest
from benchmark.runs import records
from benchmark.runs.run import Run
from benchmark.training.configuration import config_of, folder_name, settings_of

RESULTS = Path(__file__).parents[3] / "results"
RUNS = sorted(path.parent for path in RESULTS.rglob("result.json") if "defence" not in json.loads(path.read_text()))
LATER = sorted(path.parent for path in RESULTS.rglob("result.json") if "defence" in json.loads(path.read_text()))


def test_there_are_results():
    growing = {"routing-or-trigger", "defences"}  # which are still being made
    settled = [[one for one in some if not growing & {parent.name for parent in one.parents}] for some in (RUNS, LATER)]
    assert [len(one) for one in settled] == [109, 77] and len(RUNS) > 109 and len(LATER) > 77


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_a_run_s_configuration_and_folder_follow_from_its_settings(folder):
    raw = json.loads((folder / "result.json").read_text())
    settings, digest_ = settings_of(raw["config"]), raw["config"]["dataset_digest"]
    assert json.dumps(config_of(settings, digest_)) == json.dumps(raw["config"]), "keys and their order"
    assert folder_name(settings, raw["dataset"]["name"], digest_) == folder.name == raw["name"]
    rest = {"kind": "clean", "modality": "image", "source": {"name": "", "title": "", "classes": []}, "counts": {}}
    names = {"name": raw["dataset"]["name"], "dataset_digest": raw["dataset"]["digest"], "arrays": {}}
    assert Run.of(folder.parent, Manifest.of(rest | names), settings) == Run(folder, records.read(folder).config)
    assert settings.preset == raw["preset"]


@pytest.mark.parametrize(
    "folder", [one for one in LATER if not one.name.startswith("heads-detect")], ids=lambda folder: folder.name
)
def test_a_command_s_folder_follows_from_its_settings_and_the_run(folder):
    """Not of `heads detect`, which records more than it is named by."""
    raw, run = (json.loads((path / "result.json").read_text()) for path in (folder, folder.parent))
    config = {"config_version": 1, "defence": raw["defence"], "settings": raw["settings"], "run": run["config"]}
    name = raw["defence"]
    if "kind" in raw:  # not of a former command
        config |= {"kind": raw["kind"], "asked": raw["asked"]}
        name = f"{raw['kind']}-{name}"
    assert folder.name == f"{name}-{digest(config).removeprefix('sha256:')[:8]}"


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_a_result_is_read_as_it_was_written(folder):
    raw, result = json.loads((folder / "result.json").read_text()), records.read(folder)
    assert result.raw == raw and result.scores.json() == raw["scores"]
    assert (result.baseline and result.baseline.json()) == raw.get("baseline")
    assert (result.name, result.preset, result.config.seed) == (raw["name"], raw["preset"], raw["config"]["seed"])
    assert result.scores.ba.percent == raw["scores"]["ba"]["percent"]
    assert result.dataset.is_clean == (result.scores.asr is None) == (result.baseline is None)
    if result.baseline is not None:
        assert result.scores.asr.count == raw["scores"]["asr"]["count"]
        assert result.scores.robust_accuracy.percent == raw["scores"]["still_right"]["percent"]
        assert abs(result.baseline.ba - result.scores.ba.percent - result.baseline.cad) < 1e-9
