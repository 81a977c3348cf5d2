"""A table for programs that a person can read too, where pandas is not installed."""

from typing import Any

from benchmark.core import text_tables


class Rows(list[dict[str, Any]]):
    """Rows of a table, a dictionary each with the same keys; they print as a table."""

    def __repr__(self) -> str:
        if not self:
            return "[]"
        cells = [[_shown(value) for value in row.values()] for row in self]
        words = {name for row in self for name, value in row.items() if isinstance(value, str)}
        return text_tables.render("text", list(self[0]), cells, words)


def _shown(value: Any) -> str:
    """Return a value as a cell of a table; a number in few digits."""
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
