#!/usr/bin/env python3
"""The training step on a CPU against the same network written plainly in PyTorch (eager, `channels_last`).

    python tests/perf/perf_pytorch.py [--networks pmoe preact-resnet18] [--width 1] [--runs 7] [--threads 2]

Each side is a process of its own, which waits while the other works; batches of 128 random uint8 images of 32×32 by
row number, SGD without momentum, cross entropy; the median of the runs. A ratio above 1 means that ours, on the backend
that is named, is faster. Needs the extra `torch`.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
BATCH, IMAGES, CLASSES = 128, 2048, 10
Epoch = Callable[[], object]


def data() -> tuple[np.ndarray, np.ndarray]:
    """The same images and labels on both sides."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8), random.integers(0, CLASSES, IMAGES)


def ours(args: argparse.Namespace) -> Epoch:
    """Return a function that trains some steps with the engine of a backend."""
    sys.path.insert(0, str(ROOT))
    from benchmark.nn import engines
    from benchmark.nn.networks import NETWORKS

    engines.activate(args.backend, threads=args.threads)
    spec = NETWORKS[args.network]
    settings = {setting.name for setting in spec.settings}
    sizes = {name: value for name, value in next(iter(spec.presets.values())).items() if name in settings}
    sizes |= {"image_shape": (32, 32, 3), "classes": CLASSES, "width": args.width, "seed": 0}
    engine = engines.engine(spec.build(sizes), 0.01, *data())
    rows = np.arange(IMAGES, dtype=np.int32).reshape(-1, BATCH)

    def epoch() -> None:
        for first in range(0, args.steps, engine.steps):
            loss = engine.train(rows[first : min(first + engine.steps, args.steps)])
        np.asarray(loss)

    return epoch


def theirs(args: argparse.Namespace) -> Epoch:
    """Return a function that trains as many steps in PyTorch."""
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    network = PLAIN[args.network](torch.nn, args.width)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer, loss_of = torch.optim.SGD(network.parameters(), 0.01), torch.nn.CrossEntropyLoss()
    images, labels = (torch.from_numpy(array) for array in data())

    def epoch() -> None:
        for first in range(0, args.steps * BATCH, BATCH):
            batch = images[first : first + BATCH].permute(0, 3, 1, 2).float() / 255  # a view: channels stay last
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(network(batch), labels[first : first + BATCH])
            loss.backward()
            optimizer.step()
        loss.item()

    return epoch


def preact_resnet18(nn, width: int):
    """PreAct-ResNet18 (He et al. 2016), `width` channels in the first stage."""

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int):
            super().__init__()
            self.norms = nn.ModuleList([nn.BatchNorm2d(before), nn.BatchNorm2d(after)])
            self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.short = nn.Conv2d(before, after, 1, stride, bias=False) if stride > 1 or before != after else None

        def forward(self, x):
            y = self.norms[0](x).relu()
            short = x if self.short is None else self.short(y)
            return self.second(self.norms[1](self.first(y)).relu()) + short

    stages = [(width * 2 ** max(0, i - 1), width * 2**i, 1 + (i > 0)) for i in range(4)]
    blocks = [
        block for before, after, stride in stages for block in (Block(before, after, stride), Block(after, after, 1))
    ]
    first = nn.Conv2d(3, width, 3, 1, 1, bias=False)
    return nn.Sequential(first, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, CLASSES))


def pmoe(nn, width: int, experts: int = 4, top_k: int = 16):
    """The paper's network, one expert after the other."""

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int):
            super().__init__()
            self.norms = nn.ModuleList([nn.BatchNorm2d(before), nn.BatchNorm2d(after)])
            self.first, self.second = nn.Conv2d(before, after, 3, stride, 1), nn.Conv2d(after, after, 3, 1, 1)
            self.short = nn.Conv2d(before, after, 1, stride)

        def forward(self, x):
            return self.second(self.norms[1](self.first(self.norms[0](x).relu())).relu()) + self.short(x)

    class Expert(nn.Module):
        def __init__(self, channels: int, after: int):
            super().__init__()
            self.router, self.norm = nn.Conv2d(channels, 1, 1, bias=False), nn.BatchNorm2d(channels)
            self.last = nn.Conv2d(channels, after, 1)

        def forward(self, x):
            gates = self.router(x).flatten(1).softmax(1)
            best, index = gates.topk(top_k, dim=1)
            kept = gates.new_zeros(gates.shape).scatter(1, index, best)
            return self.last(self.norm(x * kept.view(len(x), 1, *x.shape[2:])).relu())

    class Mixture(nn.Module):
        def __init__(self, channels: int, after: int):
            super().__init__()
            self.experts = nn.ModuleList([Expert(channels, after) for _ in range(experts)])

        def forward(self, x):
            import torch

            return torch.cat([expert(x) for expert in self.experts], 1)

    def activated(channels: int):
        return [nn.BatchNorm2d(channels), nn.ReLU()]

    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1), Block(16, 16 * width, 1), Block(16 * width, 32 * width, 2),
        *activated(32 * width), nn.Conv2d(32 * width, 64 * width, 3, 2, 1), Mixture(64 * width, 16 * width),
        *activated(16 * width * experts), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16 * width * experts, CLASSES),
    )  # fmt: skip


PLAIN = {"pmoe": pmoe, "preact-resnet18": preact_resnet18}


class Side:
    """A process that trains some steps whenever it is told to."""

    def __init__(self, side: str, network: str, args: argparse.Namespace):
        options = ["--backend", args.backend, "--threads", str(args.threads), "--steps", str(args.steps)]
        command = [sys.executable, __file__, "--side", side, "--network", network, "--width", str(args.width)]
        self._process = subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def seconds(self) -> float:
        """Time of one go."""
        print(file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        return float(line) if line else sys.exit("a side failed")

    def end(self) -> None:
        """Let the process end."""
        self._process.stdin.close()
        self._process.wait()


def serve(epoch: Epoch) -> None:
    """Train and answer with the seconds, once a line that comes in."""
    for _ in sys.stdin:
        start = time.perf_counter()
        epoch()
        print(time.perf_counter() - start, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(PLAIN), choices=list(PLAIN))
    parser.add_argument("--width", type=int, default=None, help="default: the preset `small`'s: 1, and 16")
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    parser.add_argument("--network", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        serve((ours if args.side == "ours" else theirs)(args))
        return
    given = args.width
    for network in args.networks:
        args.width = given or (1 if network == "pmoe" else 16)
        sides = [Side(side, network, args) for side in ("ours", "theirs")]
        for side in sides:
            side.seconds()  # compiles
        times = [[side.seconds() for side in sides] for _ in range(args.runs)]
        mine, torch = (args.steps * BATCH / statistics.median(found) for found in zip(*times, strict=True))
        for side in sides:
            side.end()
        print(f"{network:16} width {args.width:3}  {args.backend} {mine:7.1f} images/s  PyTorch {torch:7.1f}"
              f"  ratio {mine / torch:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
