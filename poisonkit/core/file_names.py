"""The one rule for a name that comes out of a file and becomes part of a path, of a command or of a line of output."""

from poisonkit.core.errors import Failure

LONGEST = 200  # bytes of UTF-8: with suffix, host and process a temporary name still fits into the usual 255
MARKS = "-_.+,=@ "
EXPECTED = f"a plain name: at most {LONGEST} bytes of letters, digits, spaces and {' '.join(MARKS.strip())}"
_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
_DEVICES |= {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}


def problem(name: object) -> str | None:
    """Return what is wrong with a name that comes out of a file, in a few words; None where it is a plain one.

    A plain name stays in the folder that it is put into, on every system, and means nothing to a shell: it begins with
    a letter or a digit, ends in neither dot nor space, has neither separators nor ``..``, control characters, quotes
    or characters that turn the direction of writing, and is no device's.
    """
    if not isinstance(name, str):
        return "is not a text"
    if not name:
        return "is empty"
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    if not name[0].isalnum():
        return f"begins with {name[0]!r}"
    for character in name:
        if not (character.isalnum() or character in MARKS):
            return f"holds {character!r}"
    if ".." in name or name[-1] in ". ":
        return f"ends in {name[-1]!r}" if name[-1] in ". " else "holds '..'"
    if name.split(".")[0].rstrip(" ").lower() in _DEVICES:
        return "is a device's on some systems"
    return None


def plain(name: object) -> bool:
    """Whether a name is a plain one."""
    return problem(name) is None


def checked(name: str, where: object) -> str:
    """Return the name, where it is a plain one; `Failure` names the file `where` it comes from."""
    if wrong := problem(name):
        raise Failure(f"{where}: its name {name!r:.60} {wrong}: expected {EXPECTED}")
    return name
