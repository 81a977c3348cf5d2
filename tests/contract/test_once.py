"""An option that says what a command is about, given twice: refused by every command of both programs."""

import click
import click.testing
import pytest
import running

from benchmark.cli import once as benchmark_once
from benchmark.cli.main import main
from poisonkit.cli import once as poisonkit_once
from poisonkit.cli.main import cli


def leaves(group: click.Group, *before):
    for name, command in group.commands.items():
        yield from leaves(command, *before, name) if isinstance(command, click.Group) else [((*before, name), command)]


MAKING, TRAINING = list(leaves(cli)), list(leaves(main))


def typed(command: click.Command) -> list[str]:
    """What is given beside the options, so that a command line is whole."""
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    needed = [word for one in command.params if isinstance(one, click.Option) and one.required
              for word in (one.opts[0], "x")]  # fmt: skip
    return ["x"] * len(arguments) + needed


@pytest.mark.parametrize("name, command", MAKING, ids=lambda value: "-".join(value) if isinstance(value, tuple) else "")
def test_poisonkit(name, command):
    params = command.get_params(click.Context(command))
    for option in (one for one in params if isinstance(one, click.Option) and poisonkit_once.counts_once(one)):
        for spelled in option.opts:
            words = [*name, *typed(command), *(2 * [spelled, value(option)])]
            running.run(*words).failed(2, f"{option.opts[0]}: given", "times, expected once")


@pytest.mark.parametrize(
    "name, command", TRAINING, ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_benchmark(name, command):
    for option in (one for one in command.params if isinstance(one, click.Option) and benchmark_once.counts_once(one)):
        words = [
            *name,
            *typed(command),
            *(2 * ([option.opts[0]] if option.is_flag else [option.opts[0], value(option)])),
        ]
        done = click.testing.CliRunner().invoke(main, words)
        assert done.exit_code == 2 and done.stderr == f"benchmark: {option.opts[0]}: given 2 times, expected once\n", (
            words
        )


def value(option: click.Option) -> str:
    return option.type.choices[0] if isinstance(option.type, click.Choice) else "1"


def test_those_that_matter_are_among_them():
    for commands, once in ((MAKING, poisonkit_once), (TRAINING, benchmark_once)):
        found = {word for _, command in commands for one in command.get_params(click.Context(command))
                 if isinstance(one, click.Option) and once.counts_once(one) for word in one.opts}  # fmt: skip
        wanted = {
            poisonkit_once: "--key --source --dataset --target --preset --format -o --seed --from --cache "
            "--square-size --blend-image --patch-size --camouflage --secret-seed --base --rewrite-file",
            benchmark_once: "--data --base --baseline --encoder --network --preset --seed --runs --backend "
            "--scheduler -o --format",
        }[once]
        assert set(wanted.split()) <= found | {"--format"}


def test_two_ways_to_say_one_thing(library):
    running.run("stats", library("square"), "--json", "--csv").failed(2, "--json: given beside --csv")


def test_what_may_be_given_again(library):
    """Lists, plain flags, and numbers, of which the last counts."""
    running.run("preview", library("text-word"), "--rows", "5", "--rows", "1").succeeded()
    running.run("show", library("square"), "--json", "--json").succeeded()
    running.run("make", *running.SMALL, "--rate", "0", "--rate", "0", "--dry-run").succeeded()


def test_a_second_submission_is_graded_too(library, tmp_path):
    running.run("seal", library("square"), "-o", tmp_path / "c.h5").succeeded()
    (tmp_path / "s.csv").write_text("1\n")
    (tmp_path / "t.csv").write_text("2\n")
    asked = ("grade", tmp_path / "c.h5", "--submission", tmp_path / "s.csv", "--submission", tmp_path / "t.csv")
    ranked = [line.split() for line in running.run(*asked).succeeded().lines if "1 row: precision" in line]
    assert {"s", "t"} <= {word for line in ranked for word in line} and len(ranked) == 2
