#!/usr/bin/env python3
"""The training step against the same network written plainly, one expert after the other (plain_pmoe.py).

    python tests/perf/perf_training.py [--widths 1 10] [--runs 7] [--threads 2]

Both take uint8 batches of 128 by row number from arrays on the device and run the same compiled step of the TensorFlow
engine, in turn, in one process; the median of the runs. A ratio above 1 means that ours is faster. JAX runs
ours beside it, in a process of its own.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from benchmark.nn import engines  # noqa: E402

BATCH = 128


def engine(build, width: int):
    """The active backend's engine on random CIFAR-sized data, with the network that `build` gives."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2048, 32, 32, 3), dtype=np.uint8)
    return engines.engine(build((32, 32, 3), 10, width=width), 0.1, images, random.integers(0, 10, 2048))


def seconds(engine, steps: int) -> float:
    """Time of some training steps."""
    rows = np.arange(BATCH, dtype=np.int32)[None]
    start = time.perf_counter()
    for _ in range(steps):
        np.asarray(engine.train(rows))
    return time.perf_counter() - start


def measure(builders: dict, width: int, runs: int) -> dict[str, float]:
    """Images a second of each network: the median of runs taken in turn, so that both meet the same disturbances."""
    found = {name: engine(build, width) for name, build in builders.items()}
    steps = 16 if width < 4 else 2
    times = {name: [] for name in found}
    for run in range(runs + 1):
        for name, candidate in found.items():
            spent = seconds(candidate, steps if run else 1)
            if run:  # the first compiles
                times[name].append(spent)
    return {name: steps * BATCH / statistics.median(spent) for name, spent in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backend", default="tensorflow", help=argparse.SUPPRESS)
    args = parser.parse_args()
    engines.activate(args.backend, threads=args.threads)
    from benchmark.nn.networks.pmoe import pmoe

    builders = {"stacked": pmoe}
    if args.backend == "tensorflow":
        from plain_pmoe import plain_pmoe

        builders["plain"] = plain_pmoe
    for width in args.widths:
        rates = measure(builders, width, args.runs)
        line = f"width {width:2}  {args.backend:10}  stacked {rates['stacked']:7.1f} images/s"
        if "plain" in rates:
            line += f"  plain {rates['plain']:7.1f}  ratio {rates['stacked'] / rates['plain']:.2f}"
        print(line, flush=True)
    if args.backend == "tensorflow":
        options = ["--runs", str(args.runs), "--threads", str(args.threads), "--widths", *map(str, args.widths)]
        subprocess.run([sys.executable, __file__, "--backend", "jax", *options], check=False)


if __name__ == "__main__":
    main()
