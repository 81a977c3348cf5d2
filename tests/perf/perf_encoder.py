#!/usr/bin/env python3
"""Fine-tuning and looking into MiniLM, against the same model in `transformers` with PyTorch.

    python tests/perf/perf_encoder.py [--reference PYTHON] [--backend tensorflow] [--runs 5] [--threads 2]

Both go through the same batches of 64 texts, as long as those of SST-2: steps of AdamW with dropout and clipping;
and the forward pass with the attention maps of all heads brought to NumPy (ours brings each head's output as well). The
reference runs in a process of its own, by the Python that has `torch` and `transformers`, in turn with ours; the median
of the runs. A ratio above 1 means that ours is faster; the CPU's time says so on a busy machine too.
Needs MiniLM (`make minilm`).
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
BATCH, BATCHES = 64, 12


def batches() -> tuple[np.ndarray, np.ndarray]:
    """Random tokens (BATCHES · BATCH, 64) and their lengths, sorted: 4 to 64, half of them at most 10."""
    random = np.random.default_rng(0)
    lengths = np.sort(np.clip(np.exp(random.normal(2.35, 0.72, BATCHES * BATCH)).round(), 4, 64).astype(int))
    there = np.arange(64) < lengths[:, None]
    return np.where(there, random.integers(1000, 29000, there.shape), 0).astype("i4"), lengths


class Ours:
    """The engine and `encode` of `benchmark`."""

    def __init__(self, folder, tokens, lengths, widths, threads, backend):
        sys.path.insert(0, str(ROOT))
        from benchmark.nn import engines
        from benchmark.nn.tokenizers import Tokens
        from benchmark.training import encoders

        engines.activate(backend, threads=threads)
        from benchmark.nn.encoder import encode
        from benchmark.nn.engines import common

        self.model = encoders.build(encoders.Origin(Path(folder), "folder"), 2, 30522, 0)
        self.texts, self.widths, self._encode = Tokens(tokens, lengths), widths, encode
        optimizer = common.adamw(self.model, 1e-4, 100_000)
        self.engine = engines.engine(self.model, optimizer, self.texts, np.arange(len(lengths)) % 2)

    def train(self):
        for number, width in enumerate(self.widths):
            rows = np.arange(number * BATCH, (number + 1) * BATCH, dtype=np.int32)
            np.asarray(self.engine.train(rows[None], int(width)))

    def forward(self):
        for _ in self._encode(self.model, self.texts, batch=BATCH):
            pass


class Reference:
    """`BertModel` of `transformers`, a linear head on [CLS]."""

    def __init__(self, folder, tokens, lengths, widths, threads, _):
        import torch
        import transformers

        torch.set_num_threads(threads)
        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self.torch = torch
        kinds = ("sdpa", "eager")  # how attention is computed; maps need the latter
        load = transformers.BertModel.from_pretrained
        self.models = [load(folder, add_pooling_layer=False, attn_implementation=kind) for kind in kinds]
        self.head = torch.nn.Linear(384, 2)
        parameters = [*self.models[0].parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, 1e-4, weight_decay=0.01, fused=True)
        self.parameters, labels = parameters, torch.arange(len(lengths)) % 2
        self.batches = []
        for number, width in enumerate(widths):
            part = slice(number * BATCH, (number + 1) * BATCH)
            block = torch.from_numpy(tokens[part, :width]).long()
            self.batches.append((block, (block != 0).long(), labels[part]))

    def train(self):
        model, functional = self.models[0].train(), self.torch.nn.functional
        for tokens, there, labels in self.batches:
            hidden = model(input_ids=tokens, attention_mask=there).last_hidden_state[:, 0]
            loss = functional.cross_entropy(self.head(functional.dropout(hidden, 0.1)), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            loss.item()

    def forward(self):
        model = self.models[1].eval()
        with self.torch.no_grad():
            for tokens, there, _ in self.batches:
                found = model(input_ids=tokens, attention_mask=there, output_attentions=True)
                [one.numpy() for one in found.attentions]


def timed(work) -> tuple[float, float]:
    """Seconds that pass, and of the CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def serve(data: str, threads: int) -> None:
    """The reference's process: a line in is what to do, a line out the seconds."""
    with np.load(data, allow_pickle=False) as found:
        candidate = Reference(
            str(found["folder"]), *(found[name] for name in ("tokens", "lengths", "widths")), threads, 0
        )
    print("ready", flush=True)
    for line in sys.stdin:
        print(*timed(getattr(candidate, line.strip())), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax", "torch"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.threads)
        return
    sys.path.insert(0, str(ROOT))
    from benchmark.nn import tokenizers
    from benchmark.training import encoders
    from benchmark.training.settings import EncoderSettings

    folder = encoders.find(EncoderSettings(), print).folder
    rows, lengths = batches()
    widths = [tokenizers.width(lengths[(number + 1) * BATCH - 1]) for number in range(BATCHES)]
    ours = Ours(folder, rows, lengths, widths, args.threads, args.backend)
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data.npz"
        np.savez(data, folder=str(folder), tokens=rows, lengths=lengths, widths=widths)
        command = [args.reference, __file__, "--serve", str(data), "--threads", str(args.threads)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            if child.stdout.readline() != "ready\n":
                raise SystemExit(f"{args.reference} cannot run the reference: pip install torch transformers")
            for what in ("train", "forward"):
                compare(what, ours, child, args.runs)
            child.stdin.close()


def compare(what: str, ours, child, runs: int) -> None:
    """Both in turn, and a line about it."""
    times = {"ours": [], "reference": []}
    for run in range(runs + 1):
        own = timed(getattr(ours, what))
        child.stdin.write(f"{what}\n")
        child.stdin.flush()
        other = tuple(map(float, child.stdout.readline().split()))
        if run:  # the first compiles
            times["ours"].append(own)
            times["reference"].append(other)
    rates = {
        name: [BATCH * BATCHES / statistics.median(one) for one in zip(*spent, strict=True)]
        for name, spent in times.items()
    }
    for number, unit in enumerate(("s", "CPU second")):
        own, other = (rates[name][number] for name in ("ours", "reference"))
        print(f"{what:8} ours {own:7.1f} texts/{unit}  reference {other:7.1f}  ratio {own / other:.2f}", flush=True)


if __name__ == "__main__":
    main()
