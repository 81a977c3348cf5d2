"""Runs that are planned and finished without a network: what the tests of sweeps are about."""

import re

from benchmark.core import files
from benchmark.format.manifest import Manifest
from benchmark.runs.spec import RunSpec
from benchmark.sweep import plan
from benchmark.training.settings import Settings


def manifest(name, kind="poisoned", seed=None, source="toy", rows=100):
    """As much of a manifest as planning asks for."""
    return Manifest.of({
        "name": name, "kind": kind, "modality": "image", "dataset_digest": f"sha256:{name}", "counts": {},
        "recipe": {"rate": "0"} if seed is None else {"rate": "0.1", "seed": seed},
        "source": {"name": source, "title": "", "classes": [], "digest": f"sha256:{source}"},
        "arrays": {"train/labels": {"digest": "", "dtype": "<i8", "shape": [rows]}},
    })  # fmt: skip


def planned(tmp_path, *manifests, seeds=None, epochs=2, ranks=None):
    found = {tmp_path / f"{number}.h5": one for number, one in enumerate(manifests)}
    settings, runs = Settings(width=1, epochs=epochs), tmp_path / "runs"
    return plan.plan([RunSpec(path, settings, one, runs) for path, one in found.items()], seeds, ranks)


def names(tasks):
    """`NAME tSEED` of each."""
    return [re.sub(r"--.*-tf-(t\d+)-.*", r" \1", task.name) for task in tasks]


def finish(task):
    """Write the result of a task that was never trained."""
    recipe = {"rate": "0"} if task.is_clean else {"rate": "0.1", "seed": 0, "triggers": [{"name": "square"}]}
    half = {"count": 5, "of": 10, "percent": 50.0}
    result = {
        "result_version": 1, "name": task.name, "config": task.run.config.raw, "baseline": None,
        "dataset": {
            "name": "toy", "kind": "clean" if task.is_clean else "poisoned", "source": "toy",
            "source_digest": "sha256:toy", "recipe": recipe,
            "counts": {},
        },
        "scores": {"ba": half, "asr": None if task.is_clean else half},
    }  # fmt: skip
    task.folder.mkdir(parents=True, exist_ok=True)
    files.write_json(task.folder / "result.json", result)
