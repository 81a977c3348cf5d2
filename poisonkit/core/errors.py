"""The errors that a user is meant to read: one line, and the exit code that goes with it."""


class Failure(Exception):
    """Something that was asked for could not be done. The message is one line: what was expected,
    what came, what to do."""

    exit_code = 1


class Usage(Failure):
    """Invalid usage: an unknown name, a value out of range."""

    exit_code = 2


class Unknown(Failure):
    """Nothing is wrong with a file, but its recipe is not known to this version of the tool."""

    exit_code = 4
