"""What a run, or a cell of runs, is called in titles: data set, attack and network in words, not the run's folder."""

from collections.abc import Mapping
from typing import Any

from benchmark.core import numbers
from benchmark.nn.networks import NETWORKS
from benchmark.training.settings import label, settings_of


def network(config: Mapping[str, Any]) -> str:
    """Return the network and how it was trained: `pMoE (small, epochs 2)`."""
    return f"{NETWORKS[config['model']['name']].title} ({label(settings_of(dict(config)))})"


def run(result: Mapping[str, Any]) -> str:
    """Return what a run is of: `sst2, word at 5 %, text encoder (minilm), seed 1`."""
    dataset, config = result["dataset"], result["config"]
    recipe = dataset.get("recipe") or {}
    triggers = "+".join(step["name"] for step in recipe.get("triggers", ()))
    attack = dataset["kind"]
    if triggers:
        attack = f"{triggers} at {100 * float(numbers.share(recipe['rate'])):g} %"
        attack += " on every patch" if recipe.get("application") == "patch" else ""
    return f"{dataset['source']}, {attack}, {network(config)}, seed {config['seed']}"
