#!/usr/bin/env python3
"""Damaged files through every command that reads one.

    python tests/fuzz/fuzz.py [--cases 10000] [--seed 0] [--jobs 2] [--real N] [--keep FOLDER]

Each case damages one sound file and gives it to one command, in a forked process: the exit code must be 0 to 4, there
must be one line on standard error where it is 1 or 2 and no traceback anywhere, it must take no more than 10 seconds of
the processor and 200 MB + twice the file, and nothing may be written but the output that was asked for. `--real` cases
go through `python -m poisonkit` instead. Prints each case that does not hold, keeps its file, and exits with 1.
"""

import argparse
import contextlib
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / part) for part in ("", "poisonkit", "fuzz"))]

import mutate  # noqa: E402
import targets  # noqa: E402

from poisonkit.core import child_process as checks  # noqa: E402

SECONDS = 10
MEMORY = 200 << 20
OUTPUTS = ("out.png", "out.h5", "out.manifest.json", "out.delta.h5", "out.npz", "out.json", "out", "out.key.h5")
OUTPUTS += ("out.txt",)


@dataclass(frozen=True)
class Ending:
    """How one case ended: exit code (negative: the signal), standard error, seconds, memory beyond the start's."""

    code: int
    errors: str
    seconds: float
    memory: int


def forked(asked: tuple[str, ...], folder: Path) -> Ending:
    """Run a command in a forked process whose working folder is `folder`."""
    start, before = time.monotonic(), _resident()
    child = os.fork()
    if child == 0:
        _child(asked, folder)
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - start > 10 * SECONDS:
            os.kill(child, 9)
        time.sleep(0.002)
    code = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - start if code == -9 else used.ru_utime + used.ru_stime
    return Ending(code, _errors(folder), seconds, used.ru_maxrss * 1024 - before)


def spawned(asked: tuple[str, ...], folder: Path) -> Ending:
    """Run a command as the user would."""
    start = time.monotonic()
    command = [sys.executable, "-m", "poisonkit", *asked]
    if asked[0] == "benchmark":
        base = ["--base", asked[2]] if asked[2:] else []
        command = [sys.executable, "-m", "benchmark", "score", "no-run", asked[1], *base]
    with open(folder / "stderr", "wb") as errors:
        try:
            code = subprocess.run(
                command, cwd=folder, stdout=subprocess.DEVNULL, stderr=errors, timeout=SECONDS + 20, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = -9
    return Ending(code, _errors(folder), max(0, time.monotonic() - start - 3), 0)


def _errors(folder: Path) -> str:
    return (folder / "stderr").read_text("utf-8", "replace")


def _resident() -> int:
    """Bytes of this process that lie in memory: a forked one starts with them."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _child(asked: tuple[str, ...], folder: Path) -> None:
    """The forked process: the command with its output in files."""
    code = 99
    try:
        os.chdir(folder)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
        sys.argv = ["poisonkit", *asked]
        try:
            code = _benchmark(*asked[1:]) if asked[0] == "benchmark" else _poisonkit()
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _poisonkit() -> int:
    from poisonkit.cli import main

    try:
        main.main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


def _benchmark(file: str, base: str | None = None) -> int:
    """The reader that `train` and `score` share, whose look at the structure is forked and not started anew."""
    from benchmark.core.errors import Failure
    from benchmark.format import dataset, sandbox

    def look(path):
        child = os.fork()
        if child == 0:
            with contextlib.suppress(Failure):
                sandbox.inspect(path)
            os._exit(0)
        end = time.monotonic() + SECONDS - 1
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if time.monotonic() > end:
                os.kill(child, 9)
                os.waitpid(child, 0)
                raise Failure(f"{path}: its check took over {SECONDS - 1} s")
            time.sleep(0.002)
        return sandbox.inspect(path)

    sandbox.in_child = look
    try:
        dataset.load(file, base=base)
    except Failure as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def complaint(ending: Ending, size: int) -> str | None:
    """What a case did that it must not."""
    lines = ending.errors.splitlines()
    if "Traceback" in ending.errors or ending.code == 99:
        return f"traceback: {lines[-1] if lines else ''}"
    if ending.seconds > SECONDS:
        return f"took {ending.seconds:.1f} s"
    if ending.code not in (0, 1, 2, 3, 4):
        return f"ended with {ending.code}"
    if ending.code in (1, 2) and len([line for line in lines if not line.startswith("poisonkit: warning")]) != 1:
        return f"exit code {ending.code} with {len(lines)} lines: {lines[:3]}"
    if ending.memory > MEMORY + 2 * size:
        return f"used {ending.memory >> 20} MB for a file of {size >> 10} kB"
    return None


def case(random: Random, sound: Path, folder: Path, execute) -> tuple[str, tuple[str, ...], int, str | None]:
    """One case: (name of the damaged file, command, exit code, what was wrong or None). `folder` is emptied first."""
    name = random.choice(list(targets.COMMANDS))
    asked = random.choice(targets.COMMANDS[name])
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    other = sound / random.choice(list(targets.COMMANDS))
    mutate.any_file(random, folder / name, other)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    around = set(folder.parent.iterdir())
    ending = execute(tuple(word.replace("FILE", name) for word in asked), folder)
    wrong = complaint(ending, len(before[name]))
    if wrong is None:
        after = {path.name for path in folder.iterdir()} - {"stdout", "stderr", "no-run"}
        changed = [kept for kept, data in before.items() if (folder / kept).read_bytes() != data]
        strange = sorted(after - before.keys() - set(OUTPUTS)) + sorted(map(str, set(folder.parent.iterdir()) - around))
        if changed or strange or (ending.code == 1 and after & set(OUTPUTS)):
            wrong = f"exit code {ending.code} and wrote {changed + strange + sorted(after & set(OUTPUTS))}"
    return name, asked, ending.code, wrong


def work(seed: int, numbers: range, sound: Path, real: int, keep: Path | None) -> tuple[int, Counter]:
    """Run some cases: the number of those that did not hold, and how often each exit code came."""
    bad, codes = 0, Counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        for number in numbers:
            execute = spawned if number < real else forked
            name, asked, code, wrong = case(Random(f"{seed} {number}"), sound, Path(scratch) / "case", execute)
            codes[code] += 1
            if wrong:
                bad += 1
                print(f"case {number}: {' '.join(asked)} with {name} damaged: {wrong}", flush=True)
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(Path(scratch) / "case" / name, keep / f"{number}-{name}")
    return bad, codes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--real", type=int, default=0, help="so many of the first go through the real command")
    parser.add_argument("--keep", type=Path, help="where the files of bad cases go")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-sound-") as folder:
        os.environ["POISONKIT_CACHE"] = str(Path(folder) / "cache")
        os.environ["PYTHONPATH"] = str(ROOT)
        sound = Path(folder) / "sound"
        sound.mkdir()
        targets.make(sound)
        checks.SECONDS = SECONDS / 2  # a check that hangs is to end before the case must
        start = time.monotonic()
        parts = [range(args.first + job, args.first + args.cases, args.jobs) for job in range(args.jobs)]
        with multiprocessing.get_context("fork").Pool(args.jobs) as pool:
            found = pool.starmap(work, [(args.seed, part, sound, args.real, args.keep) for part in parts])
    bad = sum(count for count, _ in found)
    codes = sum((codes for _, codes in found), Counter())
    told = ", ".join(f"{count:,} × {code}" for code, count in sorted(codes.items()))
    print(f"{args.cases:,} cases in {time.monotonic() - start:.0f} s, exit codes {told}: {bad} of them bad")
    sys.exit(bad != 0)


if __name__ == "__main__":
    main()
