#!/usr/bin/env python3
"""`poisonkit make` of CIFAR-10 with each trigger of images from a warm cache, against the square in the same run.

    python tests/perf/perf_triggers.py --source cifar-10-batches-bin [--rate 0.05] [--runs 3] [TRIGGER …]

Whole processes, the square and the others in turn, after one of each that warms cache and compiled kernels. TRIGGER may
have options behind colons: `bpp:--bpp-dither:floyd-steinberg`. Prints medians, the ratio of each to the square (of the
time, and of the processor's time, which a busy machine disturbs less), and peak memory.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRIGGERS = (
    "batt",
    "blend",
    "bpp",
    "bpp:--bpp-dither:floyd-steinberg",
    "colour",
    "ctrl",
    "ftrojan",
    "jpeg",
    "label-consistent",
    "noise",
    "perlin",
    "sig",
    "sticker",
    "warped",
)


def run(command: list[str], env: dict) -> tuple[float, float, int]:
    """Seconds, seconds of the processor and peak memory in bytes of one process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


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
        table = {
            asked: [statistics.median(column) for column in zip(*rows, strict=True)] for asked, rows in found.items()
        }
        print(f"{'trigger':36} {'s':>6} {'× square':>9} {'CPU s':>6} {'× square':>9} {'MB':>5}")
        for asked, (seconds, cpu, peak) in table.items():
            ratios = seconds / table["square"][0], cpu / table["square"][1]
            print(f"{asked:36} {seconds:6.2f} {ratios[0]:9.2f} {cpu:6.2f} {ratios[1]:9.2f} {peak / 1e6:5.0f}")


if __name__ == "__main__":
    main()
