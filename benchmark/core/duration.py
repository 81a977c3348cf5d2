"""Spell a duration, and read one."""

import re

_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_PARTS = re.compile(r"(\d+(?:\.\d+)?)([dhms])", re.ASCII)
_PLAIN = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
LONGEST = 366 * 86_400  # seconds that can be asked for


def duration(seconds: float) -> str:
    """`50 s`, `8 min`, `14 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def parsed(text: str) -> float:
    """Return the seconds of a duration as people type it: `90` or `90s`, `8m`, `1h30m`, `1.5h`, `2d`.

    Raises ValueError where it is none, where a unit is given twice or after a smaller one, and where it is not above 0
    or longer than a year.
    """
    word = text.strip().lower()
    if _PLAIN.fullmatch(word):
        seconds = float(word)
    else:
        parts = _PARTS.findall(word)
        units = [unit for _, unit in parts]
        if not parts or "".join(map("".join, parts)) != word or units != [unit for unit in _UNITS if unit in units]:
            raise ValueError("expected a duration such as 8m, 1h30m, 90s or 90 (seconds)")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < seconds <= LONGEST:
        raise ValueError("expected a duration above 0 and of at most a year")
    return seconds
