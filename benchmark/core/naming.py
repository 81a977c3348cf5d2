"""Names as people type them: which one of a list is meant by `CIFAR10`, `cifar-10` or `badnets`.

A name of the list itself always wins. Else upper and lower case, Unicode's normal forms and hyphens, underscores and
spaces between letters are overlooked, and other tools' names (aliases) taken, where all that leaves exactly one. What
is stored is always the name of the list.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_SEPARATORS = re.compile(r"[-_\s]+")
_BESIDE_A_LETTER = re.compile(r"(?<=[^\W\d_])-(?=\w)|(?<=\w)-(?=[^\W\d_])")
MOST_MEANT = 3
"""Names that a message proposes."""


def folded(text: str) -> str:
    """Return a name as it is compared: in one case and normal form, and without hyphens, underscores and spaces where
    they stand between a letter and a letter or digit. (`1-2` is not `12`, and `-1` is not `1`.)"""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.strip()).casefold())
    return _BESIDE_A_LETTER.sub("", _SEPARATORS.sub("-", plain))


def candidates(typed: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> list[str]:
    """Return the names that may be meant: those of the list that fold alike, and those that have such an alias
    (`aliases`: alias → name), each once."""
    wanted = folded(typed)
    alike = [name for name in known if folded(name) == wanted]
    alike += [name for alias, name in (aliases or {}).items() if folded(alias) == wanted]
    return list(dict.fromkeys(alike))


def understood(typed: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str | None:
    """Return the name of the list that is meant; None where that is none, or could be several."""
    known = list(known)
    if typed in known:
        return typed
    found = candidates(typed, known, aliases)
    return found[0] if len(found) == 1 else None


def hint(typed: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str:
    """Return the end of a message on a name that was not understood: ``; did you mean square?``, or nothing where none
    is near."""
    known = list(known)
    found = candidates(typed, known, aliases)
    if not found:
        import difflib  # late: nobody else needs it

        spellings = {folded(alias): name for alias, name in (aliases or {}).items()}
        spellings |= {folded(name): name for name in known}
        near = difflib.get_close_matches(folded(typed)[:60], spellings, MOST_MEANT)
        found = list(dict.fromkeys(spellings[one] for one in near))
    return f"; did you mean {' or '.join(found[:MOST_MEANT])}?" if found else ""


def one_of(
    typed: Any, known: Iterable[str], wrong: Callable[[str], Exception], aliases: Mapping[str, str] | None = None
) -> str:
    """Return the name of the list that is meant by what was typed.

    Where it is none, or could be several, `wrong` makes the exception that is raised, from the end of its message:
    ``expected one of …, got …; did you mean …?``.
    """
    names = list(known)
    found = understood(typed, names, aliases) if isinstance(typed, str) else None
    if found is None:
        near = hint(typed, names, aliases) if isinstance(typed, str) else ""
        raise wrong(f"expected one of {', '.join(names)}, got {typed!r:.60}{near}")
    return found


def distinct(names: Iterable[str]) -> list[str]:
    """Return names that tell things apart, such as classes by their numbers: `cat (0)` and `cat (1)` of two that are
    called the same, all others as they are."""
    names = list(names)
    counts = Counter(names)
    found = [name if counts[name] == 1 else f"{name} ({number})" for number, name in enumerate(names)]
    return found if len(set(found)) == len(found) else [f"{number}: {name}" for number, name in enumerate(names)]
