"""The sections of the page, one per file: every module here registers a `Section`."""

import importlib
import pkgutil

from benchmark.reporting.html.registry import SECTIONS, Content, Section, register

__all__ = ["SECTIONS", "Content", "Section", "register"]

for _module in sorted(one.name for one in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
