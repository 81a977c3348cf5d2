"""A copy of the package with one more file in it: how somebody adds a network, or a section of the page."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def with_file(root: Path, target: Path, name: str, text: str) -> None:
    """Copy `benchmark` of the checkout `root` into the folder `target`, and write a file of that name into it."""
    shutil.copytree(root / "benchmark", target / "benchmark", ignore=shutil.ignore_patterns("__pycache__"))
    path = target / "benchmark" / name
    assert not path.exists()
    path.write_text(text)


def benchmark(target: Path, *words) -> subprocess.CompletedProcess:
    """Run `benchmark WORDS` of the copy."""
    command = [sys.executable, "-m", "benchmark", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(target)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=target)
