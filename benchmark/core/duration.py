"""Spell a duration."""


def duration(seconds: float) -> str:
    """`50 s`, `8 min`, `14 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
