"""Training recipes, one per file: every module here registers a `Recipe`."""

import importlib
import pkgutil

from benchmark.training.recipes.registry import RECIPES, Recipe, register

__all__ = ["RECIPES", "Recipe", "register"]

for _module in sorted(one.name for one in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
