"""`benchmark train` in child processes: command line, device, log; several at a time on this machine."""

import itertools
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.core import child_process, files
from benchmark.core.errors import Failure

LOG = "log.txt"  # in the run's folder: the output of its last process
PARENT = "BENCHMARK_PARENT"  # the process that a run ends with
TAIL = 5  # lines of a log that are shown of a failed run
JAX_MEMORY = {
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "XLA_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
    "XLA_PYTHON_CLIENT_ALLOCATOR",
}
_GRACE = 10  # seconds that a process has to end when it is told to


def process(words: Sequence[str], folder: Path, device: str | None = None, at_once: int = 1) -> subprocess.Popen[bytes]:
    """Start `benchmark WORDS`, its output into the log of the run's folder. It ends when this process does.

    `device` is what it gets as CUDA_VISIBLE_DEVICES; None leaves that as it is. `at_once`: how many such processes a
    device has at a time.
    """
    variables = {PARENT: str(os.getpid())}
    if device is not None:
        variables["CUDA_VISIBLE_DEVICES"] = device
        if at_once > 1 and not JAX_MEMORY & os.environ.keys():  # JAX takes three quarters of the memory otherwise
            variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 / at_once:.3f}"
    with files.create(folder / LOG) as log:
        return subprocess.Popen(
            child_process.command("benchmark", words),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=child_process.environment(**variables),
        )


def foreground(words: Sequence[str]) -> int:
    """Run `benchmark WORDS` to its end, its messages on this standard error; the exit status.

    Ctrl-C, which the terminal sends to the child too, ends with the child: 130.
    """
    command = child_process.command("benchmark", words)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=child_process.environment()) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.wait()
            return 128 + signal.SIGINT


def end_with_parent(every: float = 0.5) -> bool:
    """End this process, started by `process`, as soon as the one that started it is gone, however that ended.

    Returns whether it was so started.
    """
    parent = int(os.environ.pop(PARENT, 0))
    if not parent:
        return False

    def watch():
        while os.getppid() == parent:
            time.sleep(every)
        child_process.end(1)  # as hard as a kill: what is there is whole, and the next process goes on from it

    threading.Thread(target=watch, daemon=True).start()
    return True


def problem(code: int) -> str | None:
    """Say what went wrong with a process that ended with this code; None if nothing did."""
    if code < 0:
        return f"killed by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    return f"exit code {code}" if code else None


def tail(folder: Path, lines: int = TAIL) -> list[str]:
    """Read the last lines of a run's log, none where there is no log."""
    path = folder / LOG
    try:
        if not files.there(path):
            return []
        text = files.read_end(path, 20_000).decode("utf-8", "replace").replace("\r", "\n")
    except Failure as error:
        return [str(error)]
    return [line[:300] for line in text.splitlines() if line.strip()][-lines:]


def devices() -> list[str]:
    """List the GPUs that runs may use: those in CUDA_VISIBLE_DEVICES, else all that nvidia-smi knows."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        words = (word.strip() for word in named.split(","))
        return list(itertools.takewhile(lambda word: word not in ("", "-1", "NoDevFiles"), words))
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()


class Processes:
    """Runs on this machine: at most `jobs` at a time, or on GPUs as many on each. An engine of `sweep`.

    A device that is named twice among `gpus` counts as two.
    """

    def __init__(self, jobs: int | None, gpus: list[str]):
        devices: list[str | None] = [*gpus] or [None]
        self._free = devices * (jobs or 1)
        self._at_once = Counter(self._free)
        self._running: dict[Any, tuple[subprocess.Popen[bytes], str | None]] = {}

    @property
    def running(self) -> list:
        """The tasks that have been started and have not ended."""
        return list(self._running)

    def room(self) -> bool:
        """Can one more be started?"""
        return bool(self._free)

    def start(self, task) -> None:
        """Start a task, on the device where the fewest run."""
        busy = Counter(device for _, device in self._running.values())
        device = min(self._free, key=lambda free: busy[free])
        self._free.remove(device)
        try:
            self._running[task] = process(task.arguments, task.folder, device, self._at_once[device]), device
        except OSError:
            self._free.append(device)
            raise

    def ended(self) -> list[tuple]:
        """Return the tasks that ended since this was last asked, each with its problem (None: it did what it
        should)."""
        over = [(task, *pair) for task, pair in self._running.items() if pair[0].poll() is not None]
        for task, _, device in over:
            del self._running[task]
            self._free.append(device)
        return [(task, problem(child.returncode)) for task, child, _ in over]

    def stop(self) -> None:
        """End all that run, and wait until they have."""
        children = [child for child, _ in self._running.values()]
        for child in children:
            child.terminate()
        deadline = time.monotonic() + _GRACE
        for child in children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._running.clear()
