"""Options that say what a command is about, and are given twice: refused, where click silently takes the last one."""

from collections import Counter

import click

from poisonkit.core.errors import Usage

NUMBERS = (click.types.IntParamType, click.types.FloatParamType)


def guard(command: click.Command) -> click.Command:
    """Let a command, or every one of a group, refuse such options.

    A file, a name, a choice or a seed that is given twice may be meant as two; of other numbers the last one counts, so
    that settings kept in a script can be overridden.
    """
    if isinstance(command, click.Group):
        for one in command.commands.values():
            guard(one)
        return command
    plain = command.make_parser

    def make_parser(context):
        parser = plain(context)
        parse = parser.parse_args

        def parse_args(args):
            found = parse(args)
            if not context.resilient_parsing:  # as where a shell asks what may come next
                check(found[2])
            return found

        parser.parse_args = parse_args
        return parser

    command.make_parser = make_parser  # type: ignore[method-assign]
    return command


def check(order: list[click.Parameter]) -> None:
    """`Usage` where an option that counts once is among these parameters, which are in the order of the command line,
    more often, or beside another that says the same otherwise."""
    for option, times in Counter(one for one in order if isinstance(one, click.Option)).items():
        if times > 1 and counts_once(option):
            raise Usage(f"{option.opts[0]}: given {times} times, expected once")
        others = [one for one in order if one is not option and one.name == option.name]
        if others:
            raise Usage(f"{option.opts[0]}: given beside {others[0].opts[0]}, expected one of them")


def counts_once(option: click.Option) -> bool:
    """Whether an option must not be given twice: not one that may be, no plain flag, and no number but a seed."""
    if option.multiple or (option.is_flag and not option.secondary_opts):
        return False
    return not isinstance(option.type, NUMBERS) or option.name.endswith("seed")
