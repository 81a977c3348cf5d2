"""Row detectors, one per file: every module here registers itself. Keras is imported when one is run."""

import importlib
import pkgutil

for _module in sorted(one.name for one in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
