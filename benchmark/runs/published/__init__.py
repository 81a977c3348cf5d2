"""Published figures, a source per file: every module here that has one registers a `PublishedSpec`."""

import importlib
import pkgutil

from benchmark.runs.published.choose import chosen
from benchmark.runs.published.registry import (
    PUBLISHED,
    Beside,
    DefendedKey,
    Figures,
    Key,
    PruningKey,
    PublishedSpec,
    register,
    verdict,
)

__all__ = [
    "PUBLISHED",
    "Beside",
    "DefendedKey",
    "Figures",
    "Key",
    "PruningKey",
    "PublishedSpec",
    "chosen",
    "register",
    "verdict",
]

for _module in sorted(one.name for one in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
