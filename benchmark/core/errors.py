"""The errors that a user is meant to read: one line, and the exit code that goes with it."""


class Failure(Exception):
    """Something that was asked for could not be done. The message is one line: what was expected, what came."""

    exit_code = 1


class Usage(Failure):
    """Invalid usage: a value out of range, settings that contradict each other."""

    exit_code = 2


class Damaged(Failure):
    """A file of a run is not what this program writes: cut, emptied, edited, a link, a folder in its place."""
