#!/usr/bin/env python3
"""The kernels on 50,000 CIFAR-sized images and two threads, against memcpy and against a loop of `cv2.remap`.

    python tests/perf/perf_kernels.py [--images 50000] [--threads 2] [--runs 7]

All in one process, in turn; GB/s are those of the best of the runs, since what disturbs a run only makes it slower, and
the share of memcpy is the median over pairs of runs one after the other, so that it holds on a busy machine too. memcpy
is `np.copyto` on as many threads.
"""

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from poisonkit.core import kernels, modality
from poisonkit.core.stencil import Stencil
from poisonkit.poisoning import recipe
from poisonkit.triggers import registry as triggers
from poisonkit.triggers.image_base import ImageContext


def best(function, runs: int) -> float:
    """The shortest of some runs, in seconds, after one that is not counted."""
    function()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


assert kernels  # imported, so that it is them that are measured: little work is done without numba


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    shape = (32, 32, 3)
    images = np.random.default_rng(0).integers(0, 256, (args.images, *shape), dtype=np.uint8)
    out = np.zeros_like(images)
    parts = np.array_split(np.arange(args.images), args.threads)
    slices = [slice(part[0], part[-1] + 1) for part in parts]
    gigabytes = images.nbytes / 1e9

    with ThreadPoolExecutor(args.threads) as pool:

        def copy():
            list(pool.map(lambda s: np.copyto(out[s], images[s]), slices))

        memcpy = best(copy, args.runs)
        print(f"memcpy          {gigabytes / memcpy:6.2f} GB/s")
        built = {
            name: triggers.image_trigger(name).build(recipe.parameters(name, {}, None), shape, ImageContext(0)).train
            for name in triggers.names(modality.IMAGE)
            if not triggers.takes_file(name)
        }
        stencils = {name: one for name, one in built.items() if isinstance(one, Stencil)}
        for name, stencil in stencils.items():
            pairs = [(best(copy, 1), best(lambda: stencil.apply(images, args.threads, out), 1))  # noqa: B023
                     for _ in range(args.runs)]  # fmt: skip
            seconds, share = min(own for _, own in pairs), statistics.median(plain / own for plain, own in pairs)
            print(f"{name:15} {gigabytes / seconds:6.2f} GB/s, {share:.0%} of memcpy")
            if name == "warped":
                warped = seconds

    cv2.setNumThreads(args.threads)
    y, x = np.mgrid[:32, :32].astype(np.float32) + 0.3

    def loop():
        for image, result in zip(images, out, strict=True):
            cv2.remap(image, x, y, cv2.INTER_LINEAR, dst=result)

    seconds = best(loop, 3)
    print(f"cv2.remap loop  {gigabytes / seconds:6.2f} GB/s; the four-tap warp is {seconds / warped:.1f} × as fast")


if __name__ == "__main__":
    main()
