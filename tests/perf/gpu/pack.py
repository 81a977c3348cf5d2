#!/usr/bin/env python3
"""Pack what a GPU machine without a network needs into folders that are each small enough to be carried there.

    python tests/perf/gpu/pack.py CIFAR DEST [--parts 2] [--wheels keras==3.15.1 …] [--done results/paper]

CIFAR is the folder of CIFAR-10's binary version (`data_batch_1.bin` … `test_batch.bin`). Its images travel as lossless
WebP, 500 in a file, some 90 MB in all. The first part also has the wheels (for Python 3.12 on Linux), the last the
results of `--done`, whose runs are not made again.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
ROWS = 500  # in a picture: WebP has at most 16,383 pixels a side
SIDE = 32
WHEELS = ("keras==3.15.1", "optree", "namex", "rich")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64",
             "manylinux1_x86_64")  # fmt: skip


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a batch: labels (n,) uint8 and images (n, 32, 32, 3) uint8."""
    rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 1 + 3 * SIDE * SIDE)
    return rows[:, 0], rows[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def pack(cifar: Path, parts: list[Path]) -> None:
    """Write each batch's labels, and its images as columns, into one part after the other."""
    number = 0
    for name in BATCHES:
        labels, images = read(cifar / f"{name}.bin")
        for start in range(0, len(labels), ROWS):
            target = parts[number % len(parts)] / "cifar10"
            target.mkdir(parents=True, exist_ok=True)
            column = images[start : start + ROWS].reshape(-1, SIDE, 3)[..., ::-1]
            stem = f"{name}-{start // ROWS:02d}"
            np.save(target / f"{stem}.npy", labels[start : start + ROWS])
            if not cv2.imwrite(str(target / f"{stem}.webp"), column, [cv2.IMWRITE_WEBP_QUALITY, 101]):
                raise SystemExit(f"{target / stem}.webp: this OpenCV cannot write WebP")
            number += 1


def unpack(packed: Path, target: Path) -> None:
    """Write the binary version again, byte for byte, from all parts that lie together in one folder."""
    target.mkdir(parents=True, exist_ok=True)
    for name in BATCHES:
        pictures = sorted(packed.glob(f"{name}-*.webp"))
        if not pictures:
            raise SystemExit(f"{packed}: {name} is missing: are all parts there?")
        with open(target / f"{name}.bin", "wb") as file:
            for picture in pictures:
                labels = np.load(picture.with_suffix(".npy"))
                images = cv2.imread(str(picture), cv2.IMREAD_COLOR)[..., ::-1].reshape(-1, SIDE, SIDE, 3)
                planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
                file.write(np.hstack([labels[:, None], planes]).astype(np.uint8).tobytes())


def download(wheels: list[str], target: Path) -> None:
    """Download wheels for the machine there."""
    platforms = [word for one in PLATFORMS for word in ("--platform", one)]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version",
               "3.12", "--implementation", "cp", *platforms, "-d", str(target), *wheels]  # fmt: skip
    subprocess.run(command, check=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar", type=Path, metavar="CIFAR")
    parser.add_argument("target", type=Path, metavar="DEST")
    parser.add_argument("--parts", type=int, default=2)
    parser.add_argument("--wheels", nargs="*", default=list(WHEELS))
    parser.add_argument("--done", type=Path, help="a folder of runs that are not to be made again")
    chosen = parser.parse_args()
    parts = [chosen.target / f"part-{number + 1}" for number in range(chosen.parts)]
    pack(chosen.cifar, parts)
    if chosen.wheels:
        download(chosen.wheels, parts[0] / "wheels")
    if chosen.done:
        shutil.copytree(chosen.done, parts[-1] / "runs")
    for part in parts:
        size = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
        print(f"{part}: {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
