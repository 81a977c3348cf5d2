"""`benchmark heads ablate`: each head switched off, one after the other: what it costs, what it saves."""

from pathlib import Path

import numpy as np

from benchmark.analysis.heads import pictures, tables
from benchmark.analysis.heads.aggregate import changes, percent
from benchmark.analysis.heads.evaluate import Scorer, without
from benchmark.core import environment, files, plotting
from benchmark.core.errors import Failure, Usage
from benchmark.nn import engines
from benchmark.runs.context import Opened, configuration, making, open_run, target_of, written

NAME = "heads-ablate"


def run(folder: Path, file, base, settings: dict, say) -> dict:
    """Ablate one run, unless the result is there already.

    `settings` has `heads`: pairs [layer, head] to switch off together, beside each by itself; none perhaps. The other
    parameters are those of `detect.run`.
    """
    job, config = configuration(folder, NAME, settings)
    target = target_of(job, config)
    if (result := written(target, tables.can_be_shown)) is not None:
        return result
    opened = open_run(job, file, base)
    model = opened.network()
    together = flat(settings["heads"], model.depth, model.heads)
    with making(target, config):
        result = ablate(opened, model, together, say)
        result |= {"result_version": 1, "defence": NAME, "settings": settings}
        draw(result, target, say)
        files.write_json(target / "result.json", result)
    return result


def parse_head(text: str) -> list[int]:
    """``5,0`` as [layer, head]. `Usage` for anything else."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and len(part) < 10 for part in parts):
        raise Usage(f"--head: expected LAYER,HEAD, as 5,0, got {text[:80]!r}")
    return [int(part) for part in parts]


def flat(pairs: list, layers: int, heads: int) -> np.ndarray:
    """Pairs (layer, head) as flat numbers, ascending, each once. `Usage` where the network has no such head."""
    for layer, head in pairs:
        if not (0 <= layer < layers and 0 <= head < heads):
            raise Usage(f"no head {layer},{head}: the layers are 0 … {layers - 1}, the heads of each 0 … {heads - 1}")
    return np.unique(np.array([layer * heads + head for layer, head in pairs], np.int64))


def ablate(opened: Opened, model, together: np.ndarray, say) -> dict:
    """BA and ASR with no head off, with each off by itself, and with some off together."""
    score = Scorer(opened)
    before = score(model)
    single = score.each_off(model, say)
    return {
        "run": opened.trained["name"],
        "dataset": opened.trained["dataset"],
        "config": opened.job.config.raw,
        "shape": [model.depth, model.heads],
        "before": before,
        "off": {name: [[percent(scores, name) for scores in line] for line in single] for name in ("ba", "asr")},
        "together": score(model, without(model, together)) if len(together) else None,
        "device": engines.device(),
        "environment": environment.record(),
        "finished": environment.now(),
    }


def draw(result: dict, target: Path, say) -> None:
    """The heat maps, where matplotlib is installed."""
    try:
        plotting.save(pictures.of_ablation(result, changes(result)), target, ("png",))
    except Failure as error:
        say(f"no pictures: {error}; then the same command again draws them")
