"""What the commands of `poisonkit` share: the group, common options, errors as one line and an exit code."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from poisonkit import __version__
from poisonkit.cli import once
from poisonkit.cli.printing import printable
from poisonkit.core import hints, interface, memory, naming
from poisonkit.core.errors import Failure

INTERRUPTED = 130
SIDECAR = ".manifest.json"
STOPPED = "interrupted; no partial files were left behind"
A_PATH = click.Path(path_type=Path, readable=False)  # what cannot be read is reported by whoever reads it


class Choice(click.Choice):
    """One of a few names, in whatever spelling (`core.naming`)."""

    def convert(self, value, param, ctx):
        """See `click.ParamType`."""
        if isinstance(value, str):
            value = naming.understood(value, self.choices) or value
            if value not in self.choices and (near := naming.hint(value, self.choices)):
                self.fail(f"expected one of {', '.join(self.choices)}, got {value!r:.60}{near}", param, ctx)
        return super().convert(value, param, ctx)


cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Folder of the decoded sources  [default: $POISONKIT_CACHE, else ~/.cache/poisonkit]",
)
fresh_option = click.option("--fresh", is_flag=True, help="Read the clean data again, whatever the cache holds.")
force_option = click.option("--force", is_flag=True, help="Overwrite existing files.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print nothing but warnings and errors.")
threads_option = click.option(
    "--threads", type=click.IntRange(1, 256), metavar="N", help="[default: one per processor; never changes a byte]"
)


def _name_own(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    """Let the code be executed that `FILE.py:FUNCTION` names."""
    if value is not None:
        from poisonkit.triggers import own

        own.named(value)


own_trigger_option = click.option(
    "--trigger",
    metavar="FILE.py:FUNCTION",
    callback=_name_own,
    expose_value=False,
    help="The trigger, where it is code of somebody's own: the same file, to the byte. It is executed: read it first.",
)


def json_option(text: str):
    """Add `--json`, the parameter `as_json`; `text` says what is printed."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def example(*lines: str) -> str:
    """Spell the example of a command for the end of its help, one command a line."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def skip_sidecars(command: click.Command) -> click.Command:
    """Let a command that takes a file ignore the sidecar of it, which a pattern such as `data/NAME*` names as well."""
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    if not arguments or any(one.nargs != 1 for one in arguments):
        return command
    plain = command.parse_args

    def parse_args(context: click.Context, args: list[str]) -> list[str]:
        sidecars = {one.removesuffix(".h5") + SIDECAR for one in args if one.endswith(".h5")}
        return plain(context, [one for one in args if one not in sidecars])

    command.parse_args = parse_args  # type: ignore[method-assign, assignment]
    return command


def documentation() -> Path:
    """Return the folder of the documentation: beside the code in an installation, in docs/ of a checkout."""
    package = Path(__file__).resolve().parents[1]
    return next((folder for folder in (package / "docs", package.parent / "docs") if folder.is_dir()), package)


class Warnings(logging.Handler):
    """Prints the log messages of the modules as the commands print theirs."""

    def emit(self, record):
        complain(record.getMessage())


@contextlib.contextmanager
def _warnings_printed() -> Iterator[None]:
    """Print what the modules warn of while a command runs. Whoever imports the package decides that for himself."""
    logger, handler = logging.getLogger("poisonkit"), Warnings()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


class Group(click.Group):
    """The group of all commands: turns errors that a user is meant to read into one line and an exit code."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where the pages are that the help of the commands names."""
        with formatter.section("Documentation"):
            formatter.write_text("The pages named docs/… are in this folder:")
            formatter.write(f"  {documentation()}\n")  # on a line of its own, however long: it can be copied

    def add_command(self, command: click.Command, name: str | None = None) -> None:
        super().add_command(once.guard(skip_sidecars(command)), name)

    def invoke(self, context: click.Context):
        try:
            memory.check(memory.LEAST_OF_NUMPY)
            with _warnings_printed():
                return interface.in_a_context(super().invoke, context)
        except Failure as error:
            complain(error)
            context.exit(error.exit_code)
        except MemoryError as error:
            complain(_out_of_memory(error))
            context.exit(1)
        except KeyboardInterrupt:
            complain(STOPPED)
            context.exit(INTERRUPTED)
        except BrokenPipeError:
            forget_output()
            context.exit(1)
        except (ImportError, RuntimeError) as error:
            if memory.came_of_it(error):
                complain(_out_of_memory(error))
            elif isinstance(error, ImportError):
                complain(hints.unusable(error))
            else:
                raise
            context.exit(1)
        except OSError as error:
            complain(f"{os.fspath(error.filename)}: {error.strerror}" if error.filename else error.strerror or error)
            forget_output()
            context.exit(1)


def _out_of_memory(error: BaseException) -> str:
    """Return the message where memory was not enough, with the limit where that is known."""
    allowed, reason = memory.limit(), str(error) if type(error) is MemoryError else ""
    if "ulimit" not in reason:
        reason = "" if allowed is None else f"{allowed >> 20} MB of address space are allowed (ulimit -v)"
    return f"out of memory{f', {reason}' if reason else ''}: fewer --threads, or a machine with more"


def complain(message) -> None:
    """Print one line on standard error, whatever file names and foreign files put into it."""
    text = printable(message)
    click.echo(f"poisonkit: {text if len(text) <= 800 else text[:800] + '…'}", err=True)


def in_one_line(error: click.ClickException) -> str:
    """Return what click says of wrong usage, which it would print in several lines, with the command whose help says
    more."""
    text = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    more = "" if context is None else f"; see {context.command_path} --help"
    return f"{text[:1].lower()}{text[1:]}{more}"


def forget_output() -> None:
    """Discard what could not be printed, so that Python does not try again at exit and complain in its own way."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="poisonkit")
def cli():
    """Make, inspect, verify and share poisoned data sets.

    They are files of images or of texts, for defensive research into backdoor attacks; `benchmark` trains on them.
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a check found differences, 4 all arrays agree, but the recipe is not
    known to this version.
    """


def progress_bar(total, label, unit):
    """Make a progress bar on standard error, if that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        from poisonkit.core.progress import NullProgress

        return NullProgress()
    from tqdm import tqdm

    return tqdm(total=total, desc=printable(label), unit=f" {unit}", leave=False)


def warn(line: str) -> None:
    """Print a warning on standard error."""
    complain(line)


def command_line() -> list[str]:
    """Return the words of this command, for the sidecar; what is no UTF-8 in them is spelled out."""
    from poisonkit.core import files

    return list(map(files.path_text, [Path(sys.argv[0]).name, *sys.argv[1:]]))
