"""The entry point of `poisonkit` and of `python -m poisonkit`."""

import signal
import sys


def main() -> None:
    """Run the command line. Ctrl-C while that is still being imported ends it at once, without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from poisonkit.core import memory

    memory.prepare(multiplies="audit" in sys.argv)  # no other command does
    from poisonkit.cli import main

    main.main()


if __name__ == "__main__":
    main()
