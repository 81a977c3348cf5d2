"""What `show` and `verify` do with each kind of file. One line a kind."""

from collections.abc import Callable
from pathlib import Path

from poisonkit.blind import unseal
from poisonkit.build import delta
from poisonkit.format import structure
from poisonkit.inspection import show
from poisonkit.inspection.verify import verify
from poisonkit.poisoning import supported

KINDS: dict[str, tuple[Callable[[Path, dict], list[str]], Callable[[Path, verify.Look | None], list[str]]]] = {
    "clean": (show.lines, verify.verify),
    "poisoned": (show.lines, verify.verify),
    "delta": (delta.lines, lambda path, _look: delta.verify(path)),
    "sealed": (unseal.lines, lambda path, _look: unseal.verify(path)),
    "key": (unseal.key_lines, lambda path, _look: unseal.verify(path)),
}
"""Kind → (a person's summary of a manifest, what differs from what the file claims), both one line each."""


def facts(path: Path) -> dict:
    """Return the manifest of a file of any kind."""
    return structure.inspect(path, tuple(KINDS))


def lines(path: Path, said: dict) -> list[str]:
    """Summarise a file for people."""
    found = KINDS[said["kind"]][0](path, said)
    if said["kind"] not in ("clean", "poisoned") and (
        strange := supported.strange_key(said)
    ):  # theirs say it themselves
        found.append(f"{strange}: unknown here: a newer poisonkit made it, or somebody's own")
    return found


def differences(path: Path, look: verify.Look | None = None) -> list[str]:
    """What differs from what the file claims; empty where all is well. `Failure` where it cannot be read at all.

    `look` says where the plain images behind a camouflaged file may be found.
    """
    return KINDS[facts(path)["kind"]][1](path, look)


def unknown(path: Path) -> str | None:
    """What of a file's recipe is not known to this version of the tool; None where all of it is."""
    return supported.problem(facts(path))
