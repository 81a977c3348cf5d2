"""The plan for a few minutes on a GPU (tests/perf/gpu), here on a CPU: packed, unpacked, made, trained, collected."""

import json
import subprocess
import sys
import tarfile

import numpy as np
import pytest

pytest.importorskip("keras")


def python(root, *words):
    done = subprocess.run([sys.executable, *map(str, words)], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def cifar(tmp_path):
    """CIFAR-10's layout: of each class its own grey with a little noise."""
    random = np.random.default_rng(0)
    (folder := tmp_path / "cifar-10-batches-bin").mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        labels = (np.arange(10_000) % 10).astype("u1")
        images = (labels[:, None] * 25 + random.integers(0, 3, (10_000, 3072))).astype("u1")
        (folder / f"{name}.bin").write_bytes(np.hstack([labels[:, None], images]).tobytes())
    return folder


@pytest.mark.slow
def test_the_plan_on_a_cpu(root, cifar, tmp_path):
    scripts = root / "tests" / "perf" / "gpu"
    python(root, scripts / "pack.py", cifar, tmp_path / "packed", "--wheels")
    (together := tmp_path / "together" / "cifar10").mkdir(parents=True)
    for path in sorted((tmp_path / "packed").glob("part-*/cifar10/*")):
        path.rename(together / path.name)
    first, second = (line for line in (scripts / "plan.txt").read_text().splitlines()[1:3])
    (tmp_path / "plan.txt").write_text(f"# two\n{first}\n{second}\n")
    words = ("--work", tmp_path / "work", "--seconds", "600", "--seeds", "1", "--jobs", "2", "--epochs", "1",
             "--precision", "float32", "--backend", "tensorflow", "--width", "1", "--hold-out", "49000", "--plan",
             tmp_path / "plan.txt")  # fmt: skip
    said = python(root, scripts / "run.py", tmp_path / "together", tmp_path / "out", *words)
    for path in cifar.iterdir():
        assert path.read_bytes() == (tmp_path / "work" / "cifar" / path.name).read_bytes()
    assert "3 finished runs" in said, said
    found = json.loads((tmp_path / "out" / "speed.json").read_text())
    assert set(found) == {"float32"} and found["float32"] > 0, "TensorFlow on a CPU has no tf32 nor bfloat16 to measure"
    with tarfile.open(tmp_path / "out" / "results.tar.gz") as archive:
        names = archive.getnames()
        results = [json.load(archive.extractfile(name)) for name in names if name.endswith("result.json")]
    assert len(names) == 6 and {one["config"]["training"]["epochs"] for one in results} == {1}
    assert {one["dataset"]["kind"] for one in results} == {"clean", "poisoned"}
    again = python(root, scripts / "run.py", tmp_path / "together", tmp_path / "out", *words, "--skip-speed")
    assert "3 finished runs" in again


@pytest.mark.slow
def test_every_line_of_the_plan_is_one_file(root, poisonkit):
    """The options of `make` may have been renamed since."""
    lines = (root / "tests" / "perf" / "gpu" / "plan.txt").read_text().splitlines()[1:]
    assert len(lines) > 10
    for line in lines:
        done = poisonkit(
            "make", "--dataset", "signs", "--source-option", "train=10000", *line.split(), "--dry-run", "--json"
        )
        assert done.code == 0, (line, done.err)
        assert len(json.loads(done.out)) == 1
