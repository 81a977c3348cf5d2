"""The tests of repairs against golden numbers, on the other backends, each in a process of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

METHODS = ("anp", "clp", "ft_sam", "nad", "i_bau", "nc")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_repairs_agree_with_the_references_on_another_backend(backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    files = [str(Path(__file__).with_name(f"test_{name}.py")) for name in METHODS]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    environment = os.environ | {"REPAIRS_TESTED_ON": backend}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
