"""Helpers of the tests of `benchmark`: the writer of test files, and the plain network kept in tests/perf."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "perf"):
    sys.path.insert(0, str(folder))
