"""docs/outside-attacks.md: the whole way, from the list to a file that verifies, is gone as it stands on the page."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "outside-attacks.md").read_text(encoding="utf-8")
((NAME, SCRIPT),) = re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.M | re.S)
BLOCKS = re.findall(r"^```\n((?:(?:poisonkit|python) .*\n)+)^```$", PAGE, re.M)
COMMANDS = "".join(BLOCKS).splitlines()


def run(line, folder):
    """Run one line of the page in a folder, as a user would; what it prints."""
    first, *words = shlex.split(line)
    words = [str(one) for word in words for one in (sorted(folder.glob(word)) if "*" in word else [word])]
    program = [sys.executable] if first == "python" else [sys.executable, "-m", first]
    variables = os.environ | {"PYTHONPATH": str(ROOT), "POISONKIT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*program, *words], cwd=folder, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and not done.stderr, (line, done.stdout, done.stderr)
    return done.stdout


def test_the_page_goes_the_whole_way():
    assert [line.split()[0] for line in COMMANDS] == ["poisonkit", "poisonkit", "python", "poisonkit", "poisonkit"]
    assert f"python {NAME}" in COMMANDS and len(SCRIPT.splitlines()) < 60
    assert "poisonkit" not in SCRIPT.replace("data/signs-clean.h5", "")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_a_label_consistent_attack(tmp_path):
    (tmp_path / NAME).write_text(SCRIPT, encoding="utf-8")
    printed = [run(line, tmp_path) for line in COMMANDS]
    assert printed[-1].endswith(": OK\n")
    (path,) = tmp_path.glob("data/signs-images-*.h5")
    with h5py.File(path) as file:
        manifest = json.loads(file.attrs["manifest"])
        rows, before = file["truth/rows"][:], file["truth/images"][:].astype(int)
        after = file["train/images"][:][rows].astype(int)
        triggered, tests = file["triggered/images"][:], file["test/images"][:][file["triggered/rows"][:]]
    assert manifest["counts"]["unchanged"] == 0 and manifest["counts"]["poisoned"] == 300
    inside = (slice(None), slice(3, -3))
    assert 20 <= np.abs(after - before)[inside].max() <= 25 and np.abs(after - before)[inside].mean() > 5
    assert (triggered[:, 3:-3] == tests[:, 3:-3]).all() and (triggered[:, :3, :3] != tests[:, :3, :3]).any(
        (1, 2, 3)
    ).all()
