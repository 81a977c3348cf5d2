"""What the commands of `benchmark` share: the group, and how errors become one line and an exit code."""

import errno
import logging

import click

from benchmark.cli import once
from benchmark.cli.printing import complain
from benchmark.core import extras
from benchmark.core.errors import Failure

INTERRUPTED = 130


class Commands(click.Group):
    """Turns the errors that a user can cause into one line on stderr and an exit code."""

    def add_command(self, cmd, name=None):
        super().add_command(once.guard(cmd), name)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except Failure as error:
            line, code = str(error), error.exit_code
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            line, code = ": ".join(filter(None, [error.filename, error.strerror or str(error)])), 1
            if error.errno == errno.ENOSPC:
                line += " (make room, and the same command goes on from its last epoch)"
        except ImportError as error:
            line, code = extras.unusable(error), 1
        except MemoryError:
            line, code = "out of memory", 1
        except KeyboardInterrupt:
            line, code = "stopped", INTERRUPTED
        except Exception as error:  # the backends' own, known by name alone: none is imported here
            if "RESOURCE_EXHAUSTED" not in str(error) and type(error).__name__ != "ResourceExhaustedError":
                raise
            line, code = "the device ran out of memory: a smaller --batch-size or --width may help", 1
        complain(line)
        ctx.exit(code)


class Warnings(logging.Handler):
    """Says what the modules warn of as the commands say everything."""

    def emit(self, record):
        complain(record.getMessage())


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="poisonkit", prog_name="benchmark")
def main():
    """Train the patch-level mixture of experts, or a text encoder, on files of poisonkit, and score the backdoor."""
