"""The command line: parse, call, print. Nothing else in the package prints or exits.

Everything heavy is imported inside the commands, so that `poisonkit --help` answers at once.
"""

import io
import signal
import sys

import click

from poisonkit.cli import blind, inspect, listings, make
from poisonkit.cli.common import INTERRUPTED, STOPPED, cli, complain, in_one_line
from poisonkit.core.errors import Usage

WHOLE_HELP = getattr(click.exceptions, "NoArgsIsHelpError", ())  # (before click 8.2 that is no error)

for command in (*make.COMMANDS, *inspect.COMMANDS, *listings.COMMANDS, *blind.COMMANDS):
    cli.add_command(command)


def main() -> None:
    """Run the command line; Ctrl-C and SIGTERM end it in one line, and no partial files are left behind."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # (where it is ignored, as under nohup, it stays so)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a file name or a class name that this terminal cannot show is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(prog_name="poisonkit", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        complain(STOPPED)
        code = INTERRUPTED
    except click.exceptions.Exit as error:
        code = error.exit_code
    except Usage as error:
        complain(error)
        code = error.exit_code
    except WHOLE_HELP as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        complain(in_one_line(error))
        code = error.exit_code
    sys.exit(code or 0)
