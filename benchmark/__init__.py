"""Train networks on data sets of `poisonkit` and score the backdoor.

```python
import benchmark as bm

run = bm.train("data/signs-square-patch8-0.05-s0.h5", preset="tiny", seed=0)
run.scores.asr, run.scores.ba, run.scores.cad
bm.results("runs/").table()
```

The file (data/FORMAT.md) is the only thing that the two packages share: nothing here imports `poisonkit`. Importing
`benchmark` imports neither NumPy nor Keras; each name below is loaded when it is first used (PEP 562).
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Keras opens weights with locks, which not every file system has; nothing here relies on those of HDF5
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

if TYPE_CHECKING:
    from benchmark.reporting.api import (
        DetectorResult,
        DetectorResults,
        Failure,
        RepairResult,
        RepairResults,
        Results,
        Routing,
        Run,
        Scores,
        Usage,
        detect,
        load,
        methods,
        repair,
        results,
        routing,
        score,
        score_predictions,
        train,
    )

__all__ = [
    "DetectorResult",
    "DetectorResults",
    "Failure",
    "RepairResult",
    "RepairResults",
    "Results",
    "Routing",
    "Run",
    "Scores",
    "Usage",
    "detect",
    "load",
    "methods",
    "repair",
    "results",
    "routing",
    "score",
    "score_predictions",
    "train",
]


if not TYPE_CHECKING:  # a type checker would take any name for one of the package's

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module("benchmark.reporting.api"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
