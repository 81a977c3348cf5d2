"""Read a foreign file in a child process, with limits on its time and memory.

Libraries of C and Rust can crash, hang or eat memory on a crafted file, beyond the reach of a Python signal. A module
that reads such files is run as `python -m MODULE ARGUMENTS…`: `call` starts it, `answer` is what it does inside.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmark.errors import Failure

SECONDS = 20  # of CPU time: a loaded machine makes nothing look like a hang
WAIT_SECONDS = 300  # by the clock, for a child that sleeps
BYTES = 8 << 30  # address space of the child, most of it reserved and never touched
LIMIT = "POISONKIT_CHECK_SECONDS"  # the environment variable in which a child is told of its time
REFUSED = 3  # exit status of the child for a file that is not as it should be; Python's own failures are 1


def call(module: str, arguments: list[str], path: Path, what: str) -> dict:
    """What a module says of a file, from a child process.

    Raises `Failure`, one line that names the file: what the module found wrong, or how its process ended, in which
    `what` says what the file should have been.
    """
    here = str(Path(__file__).resolve().parents[1])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONIOENCODING": "utf-8",
        LIMIT: str(SECONDS),
    }
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=WAIT_SECONDS, env=environment, check=False)
    except subprocess.TimeoutExpired:
        raise Failure(f"{path}: could not be checked here: its check took over {WAIT_SECONDS} s") from None
    if done.returncode == REFUSED:
        raise Failure(f"{path}: {done.stdout.decode(errors='replace').strip()}")
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise Failure(f"{path}: not {what} (its check took over {SECONDS} s of computing, or was killed)")
    if done.returncode:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").split("\n") if line.strip()]
        telling = [line for line in lines if not line.startswith(("note:", "skipping", "fatal runtime"))]
        detail = telling[-1][:200] if telling else "without a word"
        raise Failure(f"{path}: not {what} (its check ended with {done.returncode}: {detail})")
    return json.loads(done.stdout)


def answer(read: Callable[[], dict]) -> int:
    """In the child process: print what `read` finds as JSON, or the one line of its `Failure`; the exit status."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # no such limits on some systems
        import resource

        seconds = int(os.environ.get(LIMIT, SECONDS))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        print(json.dumps(read()))
    except Failure as error:
        print(str(error).encode(errors="backslashreplace").decode())
        return REFUSED
    except MemoryError:
        print(f"needs over {BYTES >> 30} GB of memory to be read")
        return REFUSED
    return 0
