"""`benchmark heads ablate`: the effect of each head on BA and ASR, by switching it off."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.analysis.heads import pictures, results
from benchmark.analysis.heads.detect import Log
from benchmark.analysis.heads.evaluate import Scorer, probabilities, without
from benchmark.analysis.heads.records import ABLATE as NAME
from benchmark.analysis.heads.records import Ablated, Head, percent
from benchmark.core import environment, files
from benchmark.core.errors import Usage
from benchmark.nn import engines
from benchmark.runs import agreement
from benchmark.runs.context import Opened, configuration, making, open_run, target_of, written
from benchmark.training.metrics import Json


def run(folder: Path, file: Path | None, base: Path | None, heads: Sequence[Head], log: Log) -> Ablated:
    """Ablate one run, unless the result exists already.

    Parameters
    ----------
    folder : path-like
        The run.
    file, base : path-like or None
        See `open_run`.
    heads : sequence of (layer, head)
        Switched off together, besides each by itself; there may be none.
    log : callable
        Takes a line of progress.
    """
    settings = {"heads": [list(head) for head in heads]}
    job, config = configuration(folder, NAME, settings)
    target = target_of(job, config)
    if isinstance(result := written(target, results.of), Ablated):
        return result
    opened = open_run(job, file, base)
    model = opened.network()
    agreement.check(job, opened.contents.scored, lambda texts: probabilities(model, opened.tokens(texts)))
    together = flat(heads, model.depth, model.heads)
    with making(target, config):
        raw = ablate(opened, model, together, log)
        result = results.of(raw | {"result_version": 1, "defence": NAME, "settings": settings})
        assert isinstance(result, Ablated)
        pictures.save(pictures.of_ablation(result), target, log)
        files.write_json(target / "result.json", result.raw)
    return result


def parse_head(text: str) -> Head:
    """Parse ``5,0`` to (layer, head). `Usage` for anything else."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and len(part) < 10 for part in parts):
        raise Usage(f"--head: expected LAYER,HEAD, as 5,0, got {text[:80]!r}")
    layer, head = map(int, parts)
    return layer, head


def flat(pairs: Sequence[Head], layers: int, heads: int) -> np.ndarray:
    """Return pairs (layer, head) as flat numbers, ascending, each once. `Usage` where the network has no such head."""
    for layer, head in pairs:
        if not (0 <= layer < layers and 0 <= head < heads):
            raise Usage(f"no head {layer},{head}: the layers are 0 … {layers - 1}, the heads of each 0 … {heads - 1}")
    return np.unique(np.array([layer * heads + head for layer, head in pairs], np.int64))


def ablate(opened: Opened, model, together: np.ndarray, log: Log) -> Json:
    """Measure, as JSON, BA and ASR with no head off, with each off by itself, and with some off together."""
    score = Scorer(opened)
    before = score(model)
    single = score.each_off(model, log)
    return {
        "run": opened.trained.name,
        "dataset": opened.trained.dataset.raw,
        "config": opened.job.config.raw,
        "shape": [model.depth, model.heads],
        "before": before.json(),
        "off": {name: [[percent(scores, name) for scores in line] for line in single] for name in ("ba", "asr")},
        "together": score(model, without(model, together)).json() if len(together) else None,
        "device": engines.device(),
        "environment": environment.record(),
        "finished": environment.now(),
    }
