#!/usr/bin/env python3
"""A set larger than memory should be: peak memory and time of every command, on images of 224×224.

    python tests/perf/perf_large.py [--gigabytes 10] [--folder FOLDER]

Writes an .npz of that size, then runs `make` (which decodes it into a cache), `make` again from the cache, `verify`,
`stats`, `pack` and `unpack`, each in a process of its own whose peak memory the system tells. Beside each: its time
in units of that which `cp` needs for the same bytes in the same run. Needs four times as much disk.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SIDE = 224


def write_npz(path: Path, rows: int) -> None:
    """Random pictures, the same 64 again and again but for a counter in their first bytes; an eleventh for testing."""
    block = np.random.default_rng(0).integers(0, 256, (64, SIDE, SIDE, 3), np.uint8)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for part, count in (("train", rows - rows // 11), ("test", rows // 11)):
            with archive.open(f"x_{part}.npy", "w", force_zip64=True) as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, SIDE, SIDE, 3)}
                np.lib.format.write_array_header_1_0(file, header)
                for start in range(0, count, len(block)):
                    block[:, 0, 0] = np.arange(start, start + len(block))[:, None] // (1, 256, 65536) % 256
                    file.write(block[: count - start].data)
            with archive.open(f"y_{part}.npy", "w") as file:
                np.lib.format.write_array(file, np.arange(count) % 10)


def timed(*command) -> tuple[float, float]:
    """Seconds and peak megabytes of a command."""
    start = time.perf_counter()
    child = subprocess.Popen(list(map(os.fspath, command)), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, command))}: ended with {status}")
    return time.perf_counter() - start, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--folder", type=Path, help="where there is room")
    parser.add_argument("--skip", nargs="*", default=[], help="commands to leave out, as they are printed")
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        os.environ["POISONKIT_CACHE"] = str(folder / "cache")
        write_npz(folder / "large.npz", int(args.gigabytes * 1e9 / SIDE / SIDE / 3))
        size = (folder / "large.npz").stat().st_size / 1e9
        copying, _ = timed("cp", folder / "large.npz", folder / "copy")
        (folder / "copy").unlink()
        print(f"{size:.1f} GB; cp {copying:.1f} s = {size / copying:.2f} GB/s")
        source = ("--dataset", "npz", "--source", folder / "large.npz")
        asked = ("make", *source, "--trigger", "square", "--rate", "0.01")
        file = folder / "a.h5"
        commands = {
            "make, decoding": (*asked, "-o", file),
            "make, from the cache": (*asked, "-o", file, "--force"),
            "verify": ("verify", file),
            "stats": ("stats", file),
            "pack": ("pack", file),
            "unpack": ("unpack", folder / "a.delta.h5", "-o", file, "--force"),
        }
        for label, command in commands.items():
            if label in args.skip:
                continue
            seconds, peak = timed(sys.executable, "-m", "poisonkit", *command)
            print(f"{label:22} {seconds:6.1f} s = {seconds / copying:4.1f} × cp   peak {peak:5.0f} MB", flush=True)


if __name__ == "__main__":
    main()
