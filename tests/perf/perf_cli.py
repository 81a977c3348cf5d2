#!/usr/bin/env python3
"""How soon the command lines answer, as whole processes, and what they import to do so.

python tests/perf/perf_cli.py [--runs 9]
"""

import argparse
import statistics
import subprocess
import sys
import time

HEAVY = ("numba", "cv2", "h5py", "tensorflow", "keras", "jax", "torch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    for module, arguments in (("poisonkit", ["--help"]), ("poisonkit", ["make", "--help"]), ("benchmark", ["--help"])):
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
        name = " ".join((module, *arguments))
        print(f"{name:22} {statistics.median(times):.3f} s (median of {runs}), imports: {imported(module, arguments)}")
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    print(f"python -c pass         {time.perf_counter() - start:.3f} s")


def imported(module: str, arguments: list[str]) -> str:
    """Which of the heavy packages a command line imports."""
    command = [sys.executable, "-X", "importtime", "-m", module, *arguments]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    names = {line.rsplit("|", 1)[-1].strip() for line in listing.splitlines()}
    return ", ".join(name for name in HEAVY if name in names) or "none of " + ", ".join(HEAVY)


if __name__ == "__main__":
    main()
