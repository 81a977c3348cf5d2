"""docs/elsewhere.md: the whole road, from the files to the table, is gone as it stands on the page."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "elsewhere.md").read_text(encoding="utf-8")
SCRIPTS = dict(re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.M | re.S))
BLOCKS = re.findall(r"^```\n((?:(?:poisonkit|benchmark|python) .*?)+)^```$", PAGE, re.M | re.S)
COMMANDS = "".join(BLOCKS).replace("\\\n", "").splitlines()


def commands(script):
    """The commands of the page, without those of the other scripts."""
    chosen = [line for line in COMMANDS if not line.startswith("python ") or line.split()[1] == script]
    assert [line.split()[0] for line in chosen] == ["poisonkit", "poisonkit", "python", *["benchmark"] * 3]
    return chosen


def run(line, folder):
    """Run one line of the page in a folder, as a user would; what it prints."""
    first, *words = shlex.split(line)
    program = [sys.executable] if first == "python" else [sys.executable, "-m", first]
    variables = os.environ | {"PYTHONPATH": str(ROOT), "POISONKIT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*program, *words], cwd=folder, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", ["train_torch.py", "train_keras.py"])
def test_the_road_leads_to_the_table(script, tmp_path):
    framework = script.removeprefix("train_").removesuffix(".py")
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    (tmp_path / script).write_text(SCRIPTS[script], encoding="utf-8")
    table = [run(line, tmp_path) for line in commands(script)][-1]
    clean, poisoned = json.loads(run("benchmark table --format json", tmp_path))
    scores = {name: score["mean"] for name, score in poisoned["scores"].items()}
    assert clean["scores"]["ba"]["mean"] > 65 and scores["ba"] > 65 and scores["asr"] > 80 and abs(scores["cad"]) < 10
    assert "settings: ours, predictions only" in table and "predictions only, trained elsewhere: " in table


def test_the_page_shows_a_road_for_both():
    assert SCRIPTS.keys() == {"train_torch.py", "train_keras.py"}
    for script, text in SCRIPTS.items():
        assert "poisonkit" not in text and "benchmark" not in text  # h5py alone
        assert f"python {script} " in "\n".join(COMMANDS)
