#!/usr/bin/env python3
"""On a GPU machine: unpack, measure the speed of the pMoE's step, then make as many runs of plan.txt as there is time.

    python tests/perf/gpu/run.py PACKED OUT --seconds 500

PACKED holds the parts that `pack.py` made, copied into one folder. OUT gets `speed.json` (images a second by precision)
and `results.tar.gz`: result.json and history.csv of every finished run. Started again, it goes on where it stopped.
`--network` and `--preset` choose another network: `--network preact-resnet18 --preset backdoorbench`. Options that are
not its own go to `benchmark`: `--backend tensorflow --width 1 --epochs 1` tries it out on a CPU.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE))
PRECISIONS = ("float32", "tf32", "bfloat16")
NAMES = ("result.json", "history.csv")
MARGIN = 30.0  # seconds for what comes after the last run


@dataclass(frozen=True)
class Place:
    """Where things lie, the environment of the commands, and when the time is up (by `time.monotonic`)."""

    work: Path
    environment: dict[str, str]
    end: float

    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    def command(self, module: str, *words: object, limit: float | None = None) -> bool:
        """Run a command of ours and tell whether it succeeded; what it prints goes to a file and, of errors, here."""
        arguments = [sys.executable, "-m", module, *map(str, words)]
        with open(self.work / "log.txt", "a", encoding="utf-8") as log:
            try:
                done = subprocess.run(arguments, env=self.environment, stdout=log, stderr=subprocess.PIPE, text=True,
                                      timeout=limit, check=False)  # fmt: skip
            except subprocess.TimeoutExpired:
                print(f"{module} {words[0]}: not done within {limit:.0f} s", flush=True)
                return False
        if done.returncode:
            print(done.stderr.strip()[-500:], flush=True)
        return done.returncode == 0


def place(packed: Path, work: Path, seconds: float) -> Place:
    """Prepare the folders and the environment: our packages, and the wheels where Keras is missing."""
    work.mkdir(parents=True, exist_ok=True)
    paths = [str(ROOT)]
    wheels = sorted((packed / "wheels").glob("*.whl"))
    if wheels and subprocess.run([sys.executable, "-c", "import keras"], capture_output=True, check=False).returncode:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--upgrade",
                        "--target", work / "site", *wheels], check=True)  # fmt: skip
        paths.insert(0, str(work / "site"))
    environment = dict(os.environ) | {
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "POISONKIT_CACHE": str(work / "cache"),
        "JAX_COMPILATION_CACHE_DIR": str(work / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return Place(work, environment, time.monotonic() + seconds)


def make(where: Place, source: Path, arguments: Sequence[str]) -> list[Path]:
    """Make data sets, or find them made, and return their paths."""
    words = [sys.executable, "-m", "poisonkit", "make", "--dataset", "cifar10", "--source", str(source), *arguments,
             "-o", f"{where.work / 'data'}{os.sep}", "-q", "--json"]  # fmt: skip
    done = subprocess.run(words, env=where.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"poisonkit make {' '.join(arguments)}: {done.stderr.strip()[-500:]}")
    return [Path(one["path"]) for one in json.loads(done.stdout)]


def speed(where: Place, settings: Sequence[str]) -> dict[str, float]:
    """Measure images a second by precision, in the second of two epochs, without compiling."""
    found = {}
    for precision in PRECISIONS:
        runs = where.work / f"speed-{precision}"
        words = ("train", where.work / "data" / "cifar10-clean.h5", *settings, "--epochs", 2, "--precision", precision)
        if where.left() > 2 * MARGIN and where.command("benchmark", *words, "--runs", runs, "-q", limit=where.left()):
            (history,) = runs.glob("*/history.csv")
            head, *lines = history.read_text("utf-8").splitlines()
            last = dict(zip(head.split(","), map(str, lines[-1].split(",")), strict=True))
            found[precision] = round(float(last["images"]) / float(last["seconds"]), 1)
            print(f"{precision}: {found[precision]:.0f} images a second", flush=True)
    return found


def plan(path: Path) -> list[list[str]]:
    """Read a plan: the arguments of one file a line."""
    lines = path.read_text("utf-8").splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def sweep(where: Place, source: Path, wanted: list[list[str]], seed: int, jobs: int, settings: Sequence[str]) -> None:
    """Make the files of one seed and train on them, the most wanted first, as long as there is time."""
    files = make(where, source, ["--rate", "0"])
    for arguments in wanted:
        files += make(where, source, [*arguments, "--seed", str(seed)])
    seconds = max(1, int(where.left() - MARGIN))
    where.command("benchmark", "sweep", *files, *settings, "--jobs", jobs, "--stop-after", f"{seconds}s", "--runs",
                  where.work / "runs", limit=seconds + MARGIN)  # fmt: skip


def collect(where: Place, out: Path) -> int:
    """Put the results of all finished runs into OUT; how many there are."""
    out.mkdir(parents=True, exist_ok=True)
    finished = sorted((where.work / "runs").glob("*/result.json"))
    with tarfile.open(out / "results.tar.gz", "w:gz") as archive:
        for result in finished:
            for name in NAMES:
                archive.add(result.with_name(name), f"{result.parent.name}/{name}")
    return len(finished)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packed", type=Path, metavar="PACKED")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--work", type=Path, default=Path("/tmp/gpu-work"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=3, help="runs at a time on the GPU")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--backend", default="jax")
    parser.add_argument("--network", default="pmoe")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--plan", type=Path, default=HERE / "plan.txt")
    parser.add_argument("--skip-speed", action="store_true")
    chosen, more = parser.parse_known_args()
    from pack import unpack

    where = place(chosen.packed, chosen.work, chosen.seconds)
    settings = ["--network", chosen.network, "--preset", chosen.preset, "--backend", chosen.backend]
    settings += more
    source = where.work / "cifar"
    try:
        if not source.is_dir():
            unpack(chosen.packed / "cifar10", source)
        if (chosen.packed / "runs").is_dir():
            shutil.copytree(chosen.packed / "runs", where.work / "runs", dirs_exist_ok=True)
        make(where, source, ["--rate", "0"])  # that of the speed, too
        if not chosen.skip_speed:
            found = speed(where, settings)
            chosen.out.mkdir(parents=True, exist_ok=True)
            (chosen.out / "speed.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
        settings += ["--precision", chosen.precision]
        settings += [] if chosen.epochs is None else ["--epochs", str(chosen.epochs)]
        for seed in range(chosen.seeds):
            if where.left() > 2 * MARGIN:
                sweep(where, source, plan(chosen.plan), seed, chosen.jobs, settings)
    finally:
        print(f"{collect(where, chosen.out)} finished runs in {chosen.out / 'results.tar.gz'}", flush=True)


if __name__ == "__main__":
    main()
