#!/usr/bin/env python3
"""`poisonkit make` of CIFAR-10 with each trigger of images from a warm cache, against the square in the same run.

    python tests/perf/perf_triggers.py --source cifar-10-batches-bin [--rate 0.05] [--runs 3] [TRIGGER …]

Whole processes, the square and the others in turn, after one of each that warms cache and compiled kernels. TRIGGER may
have options behind colons: `colour:--colour-hue:30`. Prints medians, the ratio of each to the square, and
peak memory.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from perf_make import run

TRIGGERS = (
    "batt",
    "blend",
    "colour",
    "ctrl",
    "ftrojan",
    "label-consistent",
    "noise",
    "perlin",
    "sig",
    "sticker",
    "warped",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triggers", nargs="*", metavar="TRIGGER", default=TRIGGERS)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--rate", default="0.05")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"POISONKIT_CACHE": f"{folder}/cache"}
        make = [sys.executable, "-m", "poisonkit", "make", "--dataset", "cifar10", "-o", f"{folder}/x.h5", "--force"]
        run([*make, "--rate", "0", "--source", str(args.source)], env)
        commands = {}
        for asked in ("square", *args.triggers):
            name, *options = asked.split(":")
            commands[asked] = [*make, "--trigger", name, *options, "--rate", args.rate]
            run(commands[asked], env)
        found = {asked: [] for asked in commands}
        for _ in range(args.runs):
            for asked, command in commands.items():
                found[asked].append(run(command, env))
        square = statistics.median(seconds for seconds, _ in found["square"])
        print(f"{'trigger':36} median  least  × square  peak MB")
        for asked, times in found.items():
            seconds = [one for one, _ in times]
            median, peak = statistics.median(seconds), max(memory for _, memory in times)
            print(f"{asked:36} {median:6.2f} {min(seconds):6.2f} {median / square:9.2f} {peak / 1e6:8.0f}")


if __name__ == "__main__":
    main()
