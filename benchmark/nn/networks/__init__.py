"""Networks, one per file: every module here registers a `NetworkSpec`. Keras is imported when one is built."""

import importlib
import pkgutil

from benchmark.nn.networks.registry import (
    ALIASES,
    DEFAULT,
    IMAGE,
    NETWORKS,
    TEXT,
    NetworkSetting,
    NetworkSpec,
    Sizes,
    register,
)

__all__ = ["ALIASES", "DEFAULT", "IMAGE", "NETWORKS", "TEXT", "NetworkSetting", "NetworkSpec", "Sizes", "register"]

for _module in sorted(one.name for one in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
