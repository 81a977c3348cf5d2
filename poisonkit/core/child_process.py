"""Run a check in a child process, with limits on processor time and memory.

A child that reaches its limits says nothing about the file that it checks: that could not be checked here.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 10  # of the processor, for each step: a busy machine only makes it wait
WAIT = 300  # seconds without a sign of life: a child that sleeps would never come to the limit above
MEMORY = 1 << 30
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
NOT_HERE = "could not be checked here"

Look = Callable[[Callable[[], object]], Any]
"""What is to be tried: it is given `alive`, and returns what JSON can hold."""


def ask(look: Look, wrong: type[Exception]) -> dict[str, Any]:
    """Return what `look(alive)` returns, as JSON has it, {"value": …}, or why it failed, {"error": …} in one line.

    `look` must call `alive()` after each step, which gives the next one the same time. `wrong` is what it raises where
    something is wrong with the file.
    """
    reader, writer = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(reader)
        os.close(writer)
        return {"error": f"{NOT_HERE} ({error.strerror or error})"}
    if pid == 0:  # pragma: no cover (no coverage in the child)
        os.close(reader)
        _answer(look, wrong, writer)
    os.close(writer)
    data, status = None, 0
    try:
        data = _read_all(reader)
    finally:
        os.close(reader)
        if data is None:  # it sleeps, or Ctrl-C: it has not ended by itself
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # where this process was started with SIGCHLD ignored
            _, status = os.waitpid(pid, 0)
    if data is None:
        return {"error": f"{NOT_HERE} (its check gave no sign of life for {WAIT} s)"}
    try:
        answer: dict[str, Any] = json.loads(data)
        return answer
    except ValueError:
        return {"error": _ending(status)}


def _read_all(reader: int) -> bytes | None:
    """Read everything that the child writes until it ends; None where it writes nothing for too long. A space for each
    step shows that it is alive."""
    data = bytearray()
    while select.select([reader], [], [], WAIT)[0]:
        chunk = os.read(reader, 1 << 20)
        if not chunk:
            return bytes(data)
        data += chunk
    return None


def _ending(status: int) -> str:
    """Explain why a check ended without an answer."""
    how = -os.waitstatus_to_exitcode(status)
    if how in CRASHES and resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return "is damaged: the HDF5 library crashed on it"
    if how == signal.SIGXCPU:
        return f"{NOT_HERE} (its check took over {SECONDS} s of processor time: damaged, or too much for this machine)"
    if how in (signal.SIGKILL, *CRASHES):
        return f"{NOT_HERE} (its check ended with signal {how}: too little memory?)"
    return f"{NOT_HERE} (its check ended with {-how})"


def _answer(look: Look, wrong: type[Exception], writer: int) -> None:
    """Check, answer, and exit without running the parent's exit handlers."""
    gc.disable()  # a collection would touch, and so copy, every page of the parent's objects
    status = 1
    try:
        _limit_memory()
        _more_time()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        answer = _checked(look, wrong, writer)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(answer).encode())
        status = 0
    finally:
        os._exit(status)


def _checked(look: Look, wrong: type[Exception], writer: int) -> dict[str, Any]:
    """Return the child's answer. Running out of memory is blamed on the machine, anything else on the file."""

    def alive() -> None:
        _more_time()
        os.write(writer, b" ")

    try:
        return {"value": look(alive)}
    except wrong as error:
        return {"error": str(error)}
    except MemoryError:
        pass
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "alloc" not in line:
            return {"error": f"is damaged: {line}"}
    return {"error": f"{NOT_HERE} (out of memory)"}


def _limit_memory() -> None:
    """Allow `MEMORY` more than is in use; a limit of the user's stays in force."""
    if not os.path.exists("/proc/self/statm"):  # no Linux
        return
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    existing = resource.getrlimit(resource.RLIMIT_AS)
    least = min(value for value in (used + MEMORY, *existing) if value != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (least, existing[1]))


def _more_time() -> None:
    """Allow `SECONDS` of processor time from now on."""
    used, most = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit = int(used + SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
