"""Where keys of sealed files are: by default in a folder that only the user can read.

    $XDG_DATA_HOME/poisonkit/keys/challenge-XXXXXXXX.key.h5        (else ~/.local/share/poisonkit/keys/)

They go by the name that the sealed file says of itself, whatever it is called on this disk.
"""

import os
import pwd
import re
from pathlib import Path

from poisonkit.core.errors import Failure
from poisonkit.format import structure
from poisonkit.format.manifest import Manifest, SealedManifest

SUFFIX = ".key.h5"
NAME = re.compile(r"challenge-[0-9a-f]{8}")
MODE, FOLDER_MODE = 0o600, 0o700


def folder() -> Path:
    """Return the folder for keys. Raises `Failure` where this user has no home.

    (`platformdirs` would choose another folder on macOS, where keys of earlier versions would not be found.)
    """
    chosen = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(chosen):  # others are to be ignored, says the XDG Base Directory Specification
        return Path(chosen) / "poisonkit" / "keys"
    try:
        home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise Failure("no home folder is known for the key: choose a place with --key") from None
    return Path(home).absolute() / ".local" / "share" / "poisonkit" / "keys"


def target(name: str, chosen: Path | None) -> Path:
    """Where a new key goes: `chosen` itself where it ends in .h5, else under its name in that folder (default: the
    folder for keys)."""
    if chosen is not None and chosen.suffix == ".h5":
        return chosen
    return (folder() if chosen is None else chosen) / f"{name}{SUFFIX}"


def make_folder(path: Path) -> None:
    """Make the folder that a key goes to, for this user alone, where it is not there yet. `Failure` where it cannot."""
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise Failure(
            f"{path.parent}: could not be created for the key ({error.strerror}): choose another --key"
        ) from None


def places(challenge: Path, name: str) -> list[Path]:
    """List the paths where the key of a sealed file may be: in the folder for keys, then next to the file. `name` is in
    its manifest; one that no sealed file can have is not looked for."""
    beside = [challenge.with_name(challenge.name.removesuffix(".h5") + SUFFIX)]
    if not NAME.fullmatch(name):
        return beside
    return list(dict.fromkeys([folder() / f"{name}{SUFFIX}", *beside, challenge.with_name(f"{name}{SUFFIX}")]))


def find(challenge: Path) -> Path | None:
    """Find the key of a sealed file; None where there is none, or where the file is not a sealed one."""
    manifest = structure.inspect(challenge, (Manifest, SealedManifest))
    if not isinstance(manifest, SealedManifest):
        return None
    return next((path for path in places(challenge, manifest.name) if path.is_file()), None)


def find_or_fail(challenge: Path, name: str) -> Path:
    """Find the key of a sealed file of that name. Raises `Failure` with the paths that were tried."""
    tried = places(challenge, name)
    for path in tried:
        if path.is_file():
            return path
    raise Failure(f"{challenge}: no key found at {' or '.join(map(str, tried))}: give its path with --key")
