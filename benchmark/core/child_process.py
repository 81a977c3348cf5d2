"""Read a foreign file in a child process, with limits on the processor's time and on memory.

Libraries of C and Rust can crash, hang or eat memory on a crafted file, beyond the reach of a Python signal. A module
that reads such files is run as a script of its own: `call` starts it, `answer` is what it does inside. A check that
comes to its limits says nothing of the file: it could not be checked here.

All child processes of this package are started with `command` and `environment`, so that no file in the user's working
directory (a benchmark.py, a numpy.py) is imported by them.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmark.core import extras
from benchmark.core.errors import Failure

resource: ModuleType | None
try:
    import resource
except ImportError:  # no such limits on some systems
    resource = None

SECONDS = 20  # of the processor, and again after each step of a long check: a busy machine only makes it wait
WAIT = 600  # by the clock: a check that sleeps would never come to the limit above
BYTES = 8 << 30  # address space of the child, most of it reserved and never touched
LIMIT = "POISONKIT_CHECK_SECONDS"  # the environment variable in which a child is told of its time
REFUSED = 3  # exit status of the child for a file that is not as it should be; Python's own failures are 1
UNUSABLE = 4  # of one that found no library to read it with
NO_MEMORY = 5  # of one that ran out of it
NOT_HERE = "could not be checked here"
_WITHOUT_FOLDER = """import sys
if sys.path[:1] == [""]: del sys.path[0]
import runpy
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)"""
end = os._exit  # of this process, at once: also where a network's own code is kept from doing so
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)


def command(module: str, arguments: Sequence[str]) -> list[str]:
    """Make the command line that runs a module as `python -m` does, but without the working directory on its path.

    `python -m` and `python -c` put that first; `-P` would not, but Python 3.10 does not know it, and `-I` would leave
    out PYTHONPATH and the user's site as well.
    """
    return [sys.executable, "-c", _WITHOUT_FOLDER.format(module=module), *arguments]


def environment(**others: str) -> dict[str, str]:
    """Make the environment of a child process: this one's, with this package on PYTHONPATH, and `others`."""
    here = str(Path(__file__).resolve().parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])} | others


def call(module: str, arguments: Sequence[str], path: Path, what: str) -> dict[str, Any]:
    """Ask a module about a file, in a child process.

    Raises `Failure`, one line that names the file: what the module found wrong, or how its process ended, in which
    `what` says what the file should have been.
    """
    limits = {
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONIOENCODING": "utf-8",
        LIMIT: str(SECONDS),
    }
    words, variables = command(module, arguments), environment(**limits)
    try:
        done = subprocess.run(words, capture_output=True, timeout=WAIT, env=variables, check=False)
    except subprocess.TimeoutExpired:
        raise Failure(f"{path}: {NOT_HERE} (its check took over {WAIT} s)") from None
    except OSError as error:
        raise Failure(f"{path}: {NOT_HERE} ({error.strerror})") from None
    line = done.stdout.decode(errors="replace").strip()
    if done.returncode == REFUSED:
        raise Failure(f"{path}: {line}")
    if done.returncode == UNUSABLE:
        raise Failure(line)
    if done.returncode:
        raise Failure(f"{path}: {_ending(done.returncode, done.stderr.decode(errors='replace'), what)}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _ending(code: int, errors: str, what: str) -> str:
    """Return what it means that the child ended without an answer."""
    if -code in CRASHES and not _limited():
        return f"not {what} (the library that reads it crashed on it, signal {-code})"
    if -code == signal.SIGXCPU:
        return f"{NOT_HERE} (its check took over {SECONDS} s of processor time: damaged, or too much for it)"
    if code == NO_MEMORY:
        return f"{NOT_HERE} (its check ran out of memory)"
    if code < 0:
        return f"{NOT_HERE} (its check ended with signal {-code}: too little memory?)"
    detail = errors.strip().split("\n")[-1][:200]
    return f"{NOT_HERE} (its check ended with {code}: {detail or 'no word'})"


def _limited() -> bool:
    """Whether the user has limited the memory of this process, so that a crash may be for want of it."""
    return resource is not None and resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def answer(read: Callable[[], dict[str, Any]], what: str) -> int:
    """Print what `read` finds as JSON, or the one line of its `Failure`, in the child process; the exit status.

    `what` is what the file should have been, as in `call`.
    """
    if resource is not None:
        more_time()
        _limit(resource.RLIMIT_AS, BYTES)
        _limit(resource.RLIMIT_CORE, 0)
    try:
        print(json.dumps(read()))
    except Failure as error:
        print(str(error).encode(errors="backslashreplace").decode())
        return REFUSED
    except ImportError as error:
        print(extras.unusable(error))
        return UNUSABLE
    except MemoryError:
        return NO_MEMORY
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's, of a library for tokens
            raise
        print(f"not {what} (PanicException: {' '.join(str(error).split())[:120]})")
        return REFUSED
    return 0


def more_time() -> None:
    """Allow the child process as many seconds of the processor from now on as it was given for its first step."""
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + int(os.environ.get(LIMIT, SECONDS)))


def _limit(kind: int, most: int) -> None:
    """So much and no more, or what the user has limited it to."""
    assert resource is not None
    hard = resource.getrlimit(kind)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
