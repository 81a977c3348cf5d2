"""What a run, or a cell of runs, is called in titles: data set, attack and network in words, not the run's folder."""

from benchmark.core import numbers
from benchmark.runs.result import RunConfig, RunResult


def network(config: RunConfig) -> str:
    """Return the network and how it was trained: `pMoE (small, epochs 2)`."""
    return config.settings.described


def run(result: RunResult) -> str:
    """Return what a run is of: `sst2, word at 5 %, text encoder (minilm), seed 1`.

    `result`: of a run, or of a command on one that has its `dataset` and `config`.
    """
    dataset, config = result.dataset, result.config
    recipe = dataset.recipe
    attack: str = dataset.kind
    if recipe.triggers:
        attack = f"{recipe.title} at {100 * float(numbers.share(recipe.rate)):g} %"
        attack += " on every patch" if recipe.application == "patch" else ""
    return f"{dataset.called}, {attack}, {network(config)}, seed {config.seed}"
