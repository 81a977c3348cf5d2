"""Runs on a Dask cluster: the same commands, each a task. Data and runs are in folders that all machines share."""

import contextlib
import logging
import os
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from benchmark.core import extras, files
from benchmark.core.errors import Failure
from benchmark.sweep import processes

CONNECT_SECONDS = 30
STOP_SECONDS = 15


def work(words: list[str], folder: str, stop: str) -> str | None:
    """Make one run as a process on a worker; its problem in words, None if there was none.

    Waits while another process has the run: after a worker's death its process may live for a moment longer.
    """
    from distributed import Event

    stopped = Event(stop)
    while files.busy(Path(folder)):  # without locks it is not known, and not waited for
        if stopped.is_set():
            return "stopped"
        time.sleep(0.2)
    with processes.process(words, Path(folder)) as child:
        while True:
            try:
                return processes.problem(child.wait(2))
            except subprocess.TimeoutExpired:
                if stopped.is_set():
                    child.terminate()


class Cluster:
    """The engine of `sweep` on a Dask cluster: at most `jobs` tasks are sent at a time, None: all."""

    def __init__(self, address: str, jobs: int | None):
        distributed = extras.need("distributed")
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        where = {"scheduler_file": address} if os.path.isfile(address) else {"address": address}
        try:
            self._client = distributed.Client(**where, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise Failure(f"no Dask scheduler answers at {address} ({type(error).__name__})") from None
        self._stop = f"stop-{uuid.uuid4()}"
        self._jobs = jobs
        self._running: dict[Any, Any] = {}

    @property
    def running(self) -> list:
        """The tasks that have been sent and have not ended."""
        return list(self._running)

    def workers(self) -> int:
        """How many workers are there now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def room(self) -> bool:
        """Can one more be sent?"""
        return self._jobs is None or len(self._running) < self._jobs

    def start(self, task) -> None:
        """Send a task. If its worker dies, the scheduler gives it to another."""
        key = f"{task.name}-{uuid.uuid4()}"
        words = (task.arguments, str(task.folder), self._stop)
        self._running[task] = self._client.submit(work, *words, key=key, pure=False)

    def ended(self) -> list[tuple]:
        """Return the tasks that ended since this was last asked, each with its problem (None: it did what it
        should)."""
        over = [(task, future) for task, future in self._running.items() if future.status != "pending"]
        for task, _ in over:
            del self._running[task]
        return [(task, _problem(future)) for task, future in over]

    def stop(self) -> None:
        """End all that run, as far as the cluster can still be reached."""
        import distributed

        with contextlib.suppress(Exception):
            if self._running:
                distributed.Event(self._stop, client=self._client).set()
                self._wait(STOP_SECONDS)
        self._running.clear()
        with contextlib.suppress(Exception):
            self._client.close(timeout=5)

    def _wait(self, seconds: float) -> None:
        """Until nothing runs, at most so long. (`distributed.wait` asks for a default client, which there is not.)"""
        deadline = time.monotonic() + seconds
        while any(future.status == "pending" for future in self._running.values()) and time.monotonic() < deadline:
            time.sleep(0.1)


def _problem(future) -> str | None:
    if future.status == "finished":
        return future.result()
    if future.status == "error":
        error = future.exception()
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return "the scheduler is gone"
