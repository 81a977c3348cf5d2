#!/usr/bin/env python3
"""`poisonkit make` of every trigger of images on CIFAR-10 from a warm cache, against that of the square.

    python tests/perf/perf_triggers.py --source cifar-10-batches-bin [--runs 3] [--rate 0.05] [TRIGGER…]

Whole processes, one after the other, after one run of each that warms cache and compiled kernels. Prints the median of
the ratios to the square of the same round: allowed are 2 for a stencil or a table, 6 where rows are drawn one by one.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from perf_make import run

from poisonkit.core.image_maps import Function
from poisonkit.core.modality import IMAGE
from poisonkit.poisoning.recipe import parameters
from poisonkit.triggers import registry as triggers
from poisonkit.triggers.image_base import ImageContext

NEED_FILES = ("pattern", "images")


def allowed(name: str) -> float:
    """Return how many times the square's time a trigger may take."""
    made = triggers.image_trigger(name).build(parameters(name, {}, None), (32, 32, 3), ImageContext(0))
    return 6 if isinstance(made.train, Function) or isinstance(made.test, Function) else 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", default="0.05")
    parser.add_argument("triggers", nargs="*", default=[])
    args = parser.parse_args()
    every = args.triggers or [name for name in triggers.names(IMAGE) if name not in NEED_FILES]
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"POISONKIT_CACHE": f"{folder}/cache"}
        make = [sys.executable, "-m", "poisonkit", "make", "--dataset", "cifar10", "-o", f"{folder}/x.h5", "--force"]
        run([*make, "--rate", "0", "--source", str(args.source)], env)

        def seconds(name: str) -> float:
            return run([*make, "--trigger", name, "--rate", args.rate], env)[0]

        seconds("square")
        for name in every:
            seconds(name)
            pairs = [(seconds("square"), seconds(name)) for _ in range(args.runs)]
            ratio = statistics.median(own / square for square, own in pairs)
            own, square = (statistics.median(one[i] for one in pairs) for i in (1, 0))
            print(f"{name:18}{own:6.2f} s, square {square:.2f} s: {ratio:.2f} ×; allowed: {allowed(name):.0f} ×")


if __name__ == "__main__":
    main()
