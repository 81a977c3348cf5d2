"""Ctrl-C where it may come, and not in the middle of what cannot bear it."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def defer_signals():
    """Hold Ctrl-C and its like back until the block has ended.

    For C libraries that call Python back (libhdf5 with our own file, LLVM): an exception there is lost, or breaks them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if callable(handler)}  # (not: ignored, default)
    for number in before:
        signal.signal(number, lambda *what: came.append(what))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number, frame in came:
        before[number](number, frame)
