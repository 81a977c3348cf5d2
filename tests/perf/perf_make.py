#!/usr/bin/env python3
"""`poisonkit make` of a CIFAR-10 variant from a warm cache, against a ten-line h5py script that does the same by hand.

    python tests/perf/perf_make.py --source cifar-10-batches-bin [--runs 5]

Both are timed as whole processes, in turn, after one run that warms cache and compiled kernels. The script reads the
clean file, changes the same rows with NumPy and writes the same arrays; it takes no digest and checks nothing. Prints
the medians, the median of the ratios of runs one after the other, and the peak memory of `make` against the size of the
data.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BASELINE = """
import h5py, sys
with h5py.File(sys.argv[1]) as a, h5py.File(sys.argv[2]) as b, h5py.File(sys.argv[3], "w") as c:
    x, y, t, u = (a[k][:] for k in ("train/images", "train/labels", "test/images", "test/labels"))
    rows, tested = b["truth/rows"][:], b["triggered/rows"][:]
    c["truth/images"], c["truth/labels"], c["truth/rows"] = x[rows], y[rows], rows
    def trigger(z):
        z.reshape(-1, 4, 8, 4, 8, 3)[:, :, :4, :, :4] = 0
        return z
    x[rows] = trigger(x[rows]); y[rows] = 0
    c["train/images"], c["train/labels"], c["test/images"], c["test/labels"] = x, y, t, u
    c["triggered/images"], c["triggered/labels"], c["triggered/rows"] = trigger(t[tested]), u[tested], tested
"""


def run(command: list[str], env: dict) -> tuple[float, int]:
    """Seconds and peak memory in bytes of one process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return seconds, usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rate", default="0.0005")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}  # as installed ones are
        env = os.environ | {"POISONKIT_CACHE": f"{folder}/cache"} | compiled
        make = [sys.executable, "-m", "poisonkit", "make", "--dataset", "cifar10", "-o", folder, "--force"]
        square = [*make, "--trigger", "square", "--per-patch", "--rate", args.rate]
        run([*make, "--rate", "0", "--source", str(args.source)], env)
        run(square, env)
        clean, made = f"{folder}/cifar10-clean.h5", f"{folder}/cifar10-square-patch8-{args.rate}-s0.h5"
        by_hand = [sys.executable, "-c", BASELINE, clean, made, f"{folder}/by-hand.h5"]
        run(by_hand, env)
        ours, theirs = zip(*((run(square, env), run(by_hand, env)) for _ in range(args.runs)), strict=True)
        a, b = (statistics.median(seconds for seconds, _ in times) for times in (ours, theirs))
        size = Path(made).stat().st_size
        for name, median, times in (("make", a, ours), ("by hand", b, theirs)):
            low, high = min(t for t, _ in times), max(t for t, _ in times)
            print(f"{name:8} {median:.2f} s (median of {args.runs}, {low:.2f}–{high:.2f})")
        ratio = statistics.median(one[0] / other[0] for one, other in zip(ours, theirs, strict=True))
        print(f"ratio    {ratio:.2f}; allowed: 2.5 × by hand + 0.6 s = {2.5 * b + 0.6:.2f} s; aim: {1.5 * b:.2f} s")
        peak = max(memory for _, memory in ours)
        print(f"memory   {peak / 1e6:.0f} MB peak for {size / 1e6:.0f} MB of data: {peak / size:.2f} ×; allowed: 1.5 ×")


if __name__ == "__main__":
    main()
