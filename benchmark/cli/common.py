"""What the commands of `benchmark` share: the group, and how errors become one line and an exit code."""

import contextlib
import errno
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from benchmark.cli import once
from benchmark.cli.printing import complain
from benchmark.core import extras
from benchmark.core.errors import Failure, Usage

INTERRUPTED = 130
SIDECAR = ".manifest.json"
WHOLE_HELP = getattr(click.exceptions, "NoArgsIsHelpError", ())  # (before click 8.2 that is no error)


class Warnings(logging.Handler):
    """Shows what the modules warn of as the commands show everything."""

    def emit(self, record):
        complain(record.getMessage())


@contextlib.contextmanager
def _warnings_printed() -> Iterator[None]:
    """Print what the modules warn of while a command runs. Whoever imports the package decides that for himself."""
    logger, handler = logging.getLogger("benchmark"), Warnings()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


@contextlib.contextmanager
def _usage_in_one_line() -> Iterator[None]:
    """Print what click says of wrong usage, which it would print in several lines, and end with its exit code."""
    try:
        yield
    except WHOLE_HELP:
        raise
    except click.ClickException as error:
        text = " ".join(error.format_message().split()).rstrip(".")
        context = getattr(error, "ctx", None)
        more = f"; see {context.command_path} --help" if context else ""
        complain(f"{text[:1].lower()}{text[1:]}{more}")
        raise click.exceptions.Exit(error.exit_code) from None


class Commands(click.Group):
    """Turns the errors that a user can cause into one line on stderr and an exit code."""

    def add_command(self, cmd, name=None):
        super().add_command(once.guard(cmd), name)

    def make_context(self, *args, **kwargs):
        with _usage_in_one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx):
        try:
            with _usage_in_one_line(), _warnings_printed():
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


def without_sidecars(paths: Iterable[Path]) -> list[Path]:
    """Leave out the sidecars (NAME.manifest.json) that a glob has met, with a note.

    Raises `Usage` where nothing else is left.
    """
    paths = list(paths)
    kept = [path for path in paths if not path.name.endswith(SIDECAR)]
    if not kept:
        raise Usage(f"{paths[0]}: a sidecar, expected the data set file beside it (.h5)")
    if len(kept) < len(paths):
        complain(f"skipped {len(paths) - len(kept)} sidecar{'s' * (len(paths) - len(kept) > 1)} (*{SIDECAR})")
    return kept


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="poisonkit", prog_name="benchmark")
def main():
    """Train networks on poisonkit data sets and score the backdoor.

    \b
    Example:
      poisonkit make --dataset signs --rate 0
      poisonkit make --dataset signs --trigger square --rate 0.05 --per-patch
      benchmark sweep data/ --preset tiny
      benchmark table

    Shell completion: eval "$(_BENCHMARK_COMPLETE=bash_source benchmark)" (or zsh_source, fish_source).
    """
