"""docs/challenge.md: both teams do what stands on the page, in two folders, each with a cache and a home of its own."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
import running

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "challenge.md").read_text(encoding="utf-8")
SCRIPTS = dict(re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.M | re.S))
BLOCKS = re.findall(r"^In `(\w+)`:\n\n```\n(.*?)^```$", PAGE, re.M | re.S)
LINES = [(team, line) for team, block in BLOCKS for line in re.sub(r" \\\n +", " ", block).splitlines()]
SMALL = "--source-option train=400 --source-option test=150"


def codes_of(line):
    """The exit codes that a line may have."""
    if line.startswith("benchmark detect"):
        return (0, 1)  # one is for texts
    return (0, 3) if line.startswith("poisonkit audit") else (0,)


class Teams:
    """Two folders; what is run there knows nothing of the other, and nothing of the one who runs the test."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "bin").mkdir()
        for name, program in (
            ("poisonkit", "-m poisonkit"),
            ("benchmark", "-m benchmark"),
            ("python3", ""),
        ):
            (folder / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {program} "$@"\n')
            (folder / "bin" / name).chmod(0o755)
        self.run("", "mkdir makers solvers")
        for name, text in SCRIPTS.items():
            for team in ("makers", "solvers"):
                (folder / team / name).write_text(text, encoding="utf-8")

    def variables(self, team):
        """The environment of a team."""
        own = self.folder / f"{team}-home"
        variables = {name: os.environ[name] for name in ("LANG", "LC_ALL", "KERAS_HOME") if name in os.environ}
        variables |= {"HOME": str(own), "POISONKIT_CACHE": str(own / "cache"), "PYTHONPATH": str(ROOT)}
        return variables | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "OMP_NUM_THREADS": "2"}

    def run(self, team, line):
        """Run a line in a team's folder, in a shell; what it prints."""
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=self.folder / team, env=self.variables(team),
                              capture_output=True, text=True, timeout=1800)  # fmt: skip
        assert done.returncode in codes_of(line), (line, done)
        return done.stdout

    def run_here(self, team, line, monkeypatch):
        """Do the same in this process, where the line is a command of poisonkit alone: the shell gives its words."""
        if not line.startswith("poisonkit ") or re.search(r" [|>] ", line):
            return self.run(team, line)
        words = self.run(team, f"printf '%s\\0' {line}").split("\0")[1:-1]
        with monkeypatch.context() as own:
            own.chdir(self.folder / team)
            for name, value in self.variables(team).items():
                own.setenv(name, value)
            own.delenv("XDG_DATA_HOME", raising=False)
            done = running.run(*words)
        assert done.code in codes_of(line) and not done.err, done
        return done.out

    def there(self, team, name):
        """The one file of such a name."""
        (path,) = (self.folder / team).glob(name)
        return path


def test_what_the_page_is_made_of():
    assert SCRIPTS.keys() == {"combine.py", "ranking.py"} and {team for team, _ in LINES} == {"makers", "solvers"}
    said = [line.split()[1] for _, line in LINES if line.startswith(("poisonkit", "benchmark"))]
    assert said == ["make", "seal", "show", "audit", "show", "verify", "train", "detect", "grade", "grade", "unseal",
                    "show", "grade", "make"]  # fmt: skip
    handed = [line for team, line in LINES if "../" in line]
    assert all(line.startswith("cp ") for line in handed) and len(handed) == 4, (
        "nothing else goes from one to the other"
    )
    assert "poisonkit" not in SCRIPTS["combine.py"] and "benchmark" not in SCRIPTS["combine.py"]


def stand_in_for_training(teams):
    """Scores of two detectors, one of which has looked into the makers' folder."""
    truth, rows = answer(teams)
    for name, shift in (("detect-spectral-01234567", 2), ("detect-strip-01234567", 0)):
        folder = teams.folder / "solvers" / "runs" / "challenge-tiny" / name
        folder.mkdir(parents=True)
        scores = np.random.default_rng(shift).normal(size=rows) + shift * truth
        lines = "".join(f"{row},{score!r}\n" for row, score in enumerate(scores.tolist()))
        (folder / "scores.csv").write_text(f"row,score\n{lines}")


def answer(teams):
    """Which rows of the challenge were changed, (n,) bool: by their pictures; and how many there are."""
    with h5py.File(teams.folder / "makers" / "mine.h5") as f, h5py.File(teams.folder / "makers" / "challenge.h5") as c:
        changed = {image.tobytes() for image in f["train/images"][()][f["truth/rows"][()]]}
        truth = np.array([image.tobytes() in changed for image in c["train/images"][()]])
    return truth, len(truth)


def test_all_but_the_training(tmp_path, monkeypatch):
    teams, said = Teams(tmp_path), {}
    for team, line in LINES:
        if line.startswith("poisonkit make --dataset"):
            line += f" {SMALL}"
        if line.startswith("benchmark train"):
            stand_in_for_training(teams)
        elif not line.startswith("benchmark"):
            said[line] = teams.run_here(team, line, monkeypatch)
    the_answer_is_theirs(teams, said)
    (ranked,) = (printed for line, printed in said.items() if "--baseline" in line)
    assert [name in ranked for name in ("detect-spectral-01234567 *", "Team B, 120 rows", "chance")] == [True] * 3
    best = next(line for line in ranked.splitlines() if line.lstrip().startswith("1  "))
    assert "detect-spectral" in best


def the_answer_is_theirs(teams, said):
    """The solvers end with the makers' file; both saw one commitment; and both grade alike."""
    original, back = teams.there("makers", "mine.h5"), teams.there("solvers", "answer.h5")
    assert original.read_bytes() == back.read_bytes()
    commitment = re.search(r"sha256:[0-9a-f]{64}", teams.there("makers", "published.txt").read_text())[0]
    assert commitment in next(printed for line, printed in said.items() if " seal " in line)
    both = [printed for line, printed in said.items() if line.endswith("--submission team-b.csv")]
    assert len(both) == 2 and both[0] == both[1] and "the key's answer is the one committed to" in both[0]
    assert "Team B" in said["python3 ranking.py"] and "trigger" in said["poisonkit show answer.h5"]
    truth, rows = answer(teams)
    assert f"{truth.sum():,} of {rows:,} rows were changed" in both[0]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("tensorflow") is None, reason="tensorflow is not installed")
def test_the_whole_page(tmp_path):
    teams, said = Teams(tmp_path), {}
    for team, line in LINES:
        said[line] = teams.run(team, line)
    the_answer_is_theirs(teams, said)
    scores = sorted((tmp_path / "makers").glob("detect-*/scores.csv"))
    (ranked,) = (line for line in said if "--baseline" in line)
    found = json.loads(teams.run("makers", f"{ranked} --json"))
    assert not found["failed"] and len(found["submissions"]) == len(scores) + 2 >= 7
    assert max(one["auroc"] for one in found["submissions"]) > 0.6, said[ranked]
    print(said[ranked])
