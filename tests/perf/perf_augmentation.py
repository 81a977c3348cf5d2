#!/usr/bin/env python3
"""What augmentation and the loss of rows cost, beside the plain training step, in turn in one process.

    python tests/perf/perf_augmentation.py [--network pmoe] [--width 1] [--steps 120] [--threads 2] [--backend NAME]

Step by step: a plain one, one with crops and flips, one with rotations too, and the losses of as many rows, so that a
busy machine disturbs all alike. Printed are ratios to the plain step, of the medians and of the fastest tenth. Drawing
on the host is timed apart. The aim: augmentation costs at most 5 % of a step.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmark.nn import augmentation, engines  # noqa: E402
from benchmark.nn.networks import NETWORKS  # noqa: E402

BATCH, ROWS = 128, 50_000
ON_DEVICE = 2048
WAYS = {"plain": None, "crop and flip": (4, True, 0), "crop, flip, rotation": (4, True, 15)}
LOSSES = "losses of rows"


def timed(work) -> float:
    """Time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def works(engine, step: int) -> dict:
    """What is done in turn, each on a batch of rows."""
    rows = np.arange(step * BATCH, (step + 1) * BATCH, dtype=np.int32)[None] % ON_DEVICE
    found = {}
    for name, how in WAYS.items():
        draws = None if how is None else augmentation.draws(0, 1, ON_DEVICE, *how)[rows]
        found[name] = lambda draws=draws: np.asarray(engine.train(rows, None, draws))
    found[LOSSES] = lambda: engine.losses(np.concatenate([rows[0], rows[0]]))  # a batch of theirs is of 256
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="pmoe")
    parser.add_argument("--width", type=int, default=1)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backend", default="tensorflow")
    args = parser.parse_args()
    engines.activate(args.backend, threads=args.threads)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (ON_DEVICE, 32, 32, 3), dtype=np.uint8)
    model = NETWORKS[args.network].build({"image_shape": (32, 32, 3), "classes": 10, "width": args.width, "seed": 0})
    engine = engines.engine(model, 0.01, images, random.integers(0, 10, ON_DEVICE))
    seconds: dict[str, list[float]] = {name: [] for name in (*WAYS, LOSSES)}
    for step in range(args.steps + 2):
        for name, work in list(works(engine, step).items())[:: 1 if step % 2 else -1]:
            spent = timed(work) / (2 if name == LOSSES else 1)
            seconds[name] += [spent] if step > 1 else []  # the first compile
    drawn = timed(lambda: augmentation.draws(0, 1, ROWS, 4, True, 15))
    plain = seconds["plain"]
    print(f"{args.backend}, {args.network}, width {args.width}: {BATCH / np.median(plain):.0f} images/s")
    for name in list(seconds)[1:]:
        ratios = [np.quantile(seconds[name], share) / np.quantile(plain, share) for share in (0.5, 0.1)]
        print(f"  {name:22} {ratios[0]:.3f} of a plain step (fastest tenth: {ratios[1]:.3f})", flush=True)
    print(f"  drawing on the host    {drawn / (np.median(plain) * ROWS / BATCH):.4f} of a plain epoch of {ROWS:,} rows")


if __name__ == "__main__":
    main()
