"""Ctrl-C where it may come, and not in the middle of what cannot bear it."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Hold Ctrl-C and its like back until the block has ended.

    For C libraries that call Python back (libhdf5 with our own file, LLVM): an exception there is lost, or breaks them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}  # (not: ignored, default)
    for number in before:
        signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for came_number, frame in came:
        before[signal.Signals(came_number)](came_number, frame)
