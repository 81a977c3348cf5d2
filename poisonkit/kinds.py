"""What `show` and `verify` do with each kind of file. One line a kind."""

from collections.abc import Callable
from pathlib import Path

from poisonkit import delta, guard, known, summary, unseal, verify

KINDS: dict[str, tuple[Callable[[Path, dict], list[str]], Callable[[Path], list[str]]]] = {
    "clean": (summary.lines, verify.verify),
    "poisoned": (summary.lines, verify.verify),
    "delta": (delta.lines, delta.verify),
    "sealed": (unseal.lines, unseal.verify),
    "key": (unseal.key_lines, unseal.verify),
}
"""Kind → (a person's summary of a manifest, what differs from what the file claims), both one line each."""


def facts(path: Path) -> dict:
    """The manifest of a file of any kind."""
    return guard.inspect(path, tuple(KINDS))


def lines(path: Path, said: dict) -> list[str]:
    """A person's summary."""
    return KINDS[said["kind"]][0](path, said)


def differences(path: Path) -> list[str]:
    """What differs from what the file claims; empty where all is well. `Failure` where it cannot be read at all."""
    return KINDS[facts(path)["kind"]][1](path)


def unknown(path: Path) -> str | None:
    """What of a file's recipe is not known to this version of the tool; None where all of it is."""
    return known.problem(facts(path))
