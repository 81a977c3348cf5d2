"""A few hundred of `make fuzz`'s damaged files; other ones than it begins with."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("first", "cases", "real"),
    [pytest.param(1_000_000, 300, 0, marks=pytest.mark.slow), (2_000_000, 8, 2_000_008)],
    ids=["forked", "real"],
)
def test_damaged_files_end_in_one_line(root, tmp_path, first, cases, real):
    pytest.importorskip("benchmark.format.dataset")
    script = [sys.executable, root / "tests" / "fuzz" / "fuzz.py", "--first", first, "--cases", cases, "--real", real]
    done = subprocess.run(
        [*map(str, script), "--keep", str(tmp_path)], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{cases} cases in" in done.stdout and "× 1" in done.stdout
