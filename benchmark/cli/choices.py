"""Options whose value is one of a few names."""

from collections.abc import Iterable, Mapping
from typing import Any

import click

from benchmark.core import naming


class Choice(click.Choice):
    """One of a few names, in whatever spelling (`core.naming`); `aliases`: what others call them → the name here."""

    def __init__(self, choices: Iterable[str], aliases: Mapping[str, str] | None = None):
        super().__init__(list(choices))
        self._aliases = dict(aliases or {})

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        if isinstance(value, str):
            value = naming.understood(value, self.choices, self._aliases) or value
            if value not in self.choices and (near := naming.hint(value, self.choices, self._aliases)):
                self.fail(f"expected one of {', '.join(self.choices)}, got {value!r:.60}{near}", param, ctx)
        return super().convert(value, param, ctx)
