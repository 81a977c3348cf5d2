#!/usr/bin/env python3
"""Why JAX trains slower than TensorFlow on a CPU: the convolutions of the pMoE step, one by one.

    python tests/perf/perf_convolutions.py [--width 1] [--threads 2] [--batch 128]

Of each convolution that a step of pMoE has on 32×32 images (its experts are matrix products), the CPU time of forward,
gradient by the input and gradient by the weights, in a process for each backend; the least of three times eight calls.
CPU time is what all threads spend together, so a busy machine disturbs it little. A ratio above 1 means that JAX is
slower.
"""

import argparse
import json
import os
import resource
import subprocess
import sys


def shapes(width: int) -> list[tuple[int, int, int, int, int]]:
    """(side, channels in, channels out, kernel, stride) of the convolutions of a step, in their order."""
    a, b, c = 16 * width, 32 * width, 64 * width
    return [
        (32, 3, 16, 3, 1),
        (32, 16, a, 3, 1),
        (32, a, a, 3, 1),
        (32, 16, a, 1, 1),
        (32, a, b, 3, 2),
        (16, b, b, 3, 1),
        (32, a, b, 1, 2),
        (16, b, c, 3, 2),
    ]


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def least(call, wait) -> float:
    """Return milliseconds of CPU of a call: the least of three times eight calls, after one that compiles."""
    wait(call())
    found = []
    for _ in range(3):
        start = _cpu()
        for _ in range(8):
            wait(call())
        found.append((_cpu() - start) / 8)
    return 1000 * min(found)


def of_jax(shape, batch: int) -> list[float]:
    """Forward, by input, by weights."""
    import jax
    import numpy as np

    side, before, after, kernel, stride = shape
    random = np.random.default_rng(0)
    x = jax.numpy.asarray(random.normal(size=(batch, side, side, before)), "float32")
    w = jax.numpy.asarray(random.normal(size=(kernel, kernel, before, after)), "float32")

    def forward(x, w):
        return jax.lax.conv_general_dilated(x, w, (stride,) * 2, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    dy = jax.numpy.ones_like(forward(x, w))
    calls = [
        jax.jit(lambda x, w, dy: forward(x, w)),
        jax.jit(lambda x, w, dy: jax.vjp(lambda x: forward(x, w), x)[1](dy)),
        jax.jit(lambda x, w, dy: jax.vjp(lambda w: forward(x, w), w)[1](dy)),
    ]
    return [least(lambda call=call: call(x, w, dy), jax.block_until_ready) for call in calls]


def of_tensorflow(shape, batch: int) -> list[float]:
    """Forward, by input, by weights."""
    import numpy as np
    import tensorflow as tf

    side, before, after, kernel, stride = shape
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(batch, side, side, before)), tf.float32)
    w = tf.constant(random.normal(size=(kernel, kernel, before, after)), tf.float32)
    dy = tf.ones_like(tf.nn.conv2d(x, w, stride, "SAME"))
    how = {"out_backprop": dy, "strides": [1, stride, stride, 1], "padding": "SAME"}
    calls = [
        tf.function(lambda: tf.nn.conv2d(x, w, stride, "SAME")),
        tf.function(lambda: tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(x), filter=w, **how)),
        tf.function(lambda: tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=tf.shape(w), **how)),
    ]
    return [least(call, lambda result: result.numpy()) for call in calls]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--backend", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.backend:
        if args.backend == "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        one = of_jax if args.backend == "jax" else of_tensorflow
        print(json.dumps([one(shape, args.batch) for shape in shapes(args.width)]))
        return
    found = {}
    for backend in ("tensorflow", "jax"):
        options = [f"--{name}={getattr(args, name)}" for name in ("width", "threads", "batch")]
        command = [sys.executable, __file__, "--backend", backend, *options]
        environment = os.environ | {"NPROC": str(args.threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        found[backend] = json.loads(made.stdout)
    print("ms of CPU, TensorFlow → JAX        forward         by input        by weights")
    for shape, theirs, mine in zip(shapes(args.width), found["tensorflow"], found["jax"], strict=True):
        side, before, after, kernel, stride = shape
        pairs = "".join(f"{a:6.2f} →{b:6.2f}  " for a, b in zip(theirs, mine, strict=True))
        print(f"{side:2}×{side:<2} {before:4} →{after:4}  {kernel}×{kernel} /{stride}   {pairs}")
    sums = [sum(map(sum, found[backend])) for backend in ("tensorflow", "jax")]
    print(f"all of them  {sums[0]:.1f} → {sums[1]:.1f}  ratio {sums[1] / sums[0]:.2f}")


if __name__ == "__main__":
    main()
