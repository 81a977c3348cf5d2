"""What a run is called in titles: words, not the name of its folder."""

import json

import fake_runs
import pytest

from benchmark.runs import titles
from benchmark.runs.result import RunResult
from benchmark.training.settings import ENCODERS, PRESETS


def result(tmp_path, **more):
    return json.loads((fake_runs.write(tmp_path, **more) / "result.json").read_text())


@pytest.mark.parametrize(
    ("run", "title"),
    [
        ({"trigger": None, "seed": 3}, "cifar10, clean, pMoE (paper), seed 3"),
        ({"rate": "0.0005"}, "cifar10, square at 0.05 %, pMoE (paper), seed 0"),
        ({"application": "patch", "settings": PRESETS["small"]},
         "cifar10, square at 0.5 % on every patch, pMoE (small), seed 0"),
        ({"application": "text", "settings": ENCODERS["minilm"]},
         "cifar10, square at 0.5 %, text encoder (minilm), seed 0"),
    ],
)  # fmt: skip
def test_a_run_is_its_data_attack_network_and_seed(run, title, tmp_path):
    assert titles.run(RunResult(result(tmp_path, **run))) == title


def test_of_a_sealed_file_nobody_knows_the_attack(tmp_path):
    sealed = result(tmp_path)
    sealed["dataset"] |= {"kind": "sealed", "recipe": {}}
    assert titles.run(RunResult(sealed)) == "cifar10, sealed, pMoE (paper), seed 0"
