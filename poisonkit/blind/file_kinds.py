"""What `show` and `verify` do with each kind of file: a row a kind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poisonkit.blind import unseal
from poisonkit.build import delta
from poisonkit.format import structure
from poisonkit.format.manifest import EVERY, AnyManifest, Header
from poisonkit.inspection import show
from poisonkit.inspection.verify import verify
from poisonkit.poisoning import supported


@dataclass(frozen=True)
class FileKind:
    """One kind of file.

    Attributes
    ----------
    lines : callable
        Path and manifest → a summary for people.
    differences : callable
        Path, and where plain images may be found → what differs from what the file claims, one line each.
    names_unknown : bool
        Whether the summary itself names what of the manifest is unknown to this version.
    """

    lines: Callable[[Path, Any], list[str]]
    differences: Callable[[Path, verify.Look | None], list[str]]
    names_unknown: bool = False


def _without_look(check: Callable[[Path], list[str]]) -> Callable[[Path, verify.Look | None], list[str]]:
    return lambda path, _look: check(path)


KINDS = {
    "clean": FileKind(show.lines, verify.verify, names_unknown=True),
    "poisoned": FileKind(show.lines, verify.verify, names_unknown=True),
    "delta": FileKind(delta.lines, _without_look(delta.verify)),
    "sealed": FileKind(unseal.lines, _without_look(unseal.verify)),
    "key": FileKind(unseal.key_lines, _without_look(unseal.verify)),
}
"""Kind of file, as its manifest says → what is done with it."""


def manifest(path: Path) -> AnyManifest:
    """Read the manifest of a file of any kind."""
    return structure.inspect(path, EVERY)


def lines(path: Path, manifest: Header) -> list[str]:
    """Summarise a file for people."""
    kind = KINDS[manifest.kind]
    unknown = None if kind.names_unknown else supported.unknown_key(manifest)
    more = [f"{unknown}: unknown here: made by a newer poisonkit, or custom"] if unknown else []
    return kind.lines(path, manifest) + more


def differences(path: Path, look: verify.Look | None = None) -> list[str]:
    """List what differs from what the file claims; empty where all is well. `Failure` where it cannot be read at all.

    `look` says where the plain images behind a camouflaged file may be found.
    """
    return KINDS[manifest(path).kind].differences(path, look)


def unknown(path: Path) -> str | None:
    """Say what of a file's recipe is not known to this version of the tool; None where all of it is."""
    return supported.problem(manifest(path))
