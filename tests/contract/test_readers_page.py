"""docs/readers.md: every piece of code on the page is run, as it stands, on a real file."""

import multiprocessing
import os
import re
import sys
import textwrap
import types
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "readers.md"


def code(title: str) -> list[str]:
    """The pieces of code under a heading."""
    section = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.M)
    (text,) = (part for part in section if part.startswith(title + "\n"))
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def run(title: str, path: Path, **names) -> dict:
    """The names that are there after all pieces of a section have run, one after the other."""
    names |= {"path": path}
    for piece in code(title):
        exec(compile(piece, f"{PAGE.name}: {title}", "exec"), names)
    return names


@pytest.fixture
def arrays(library):
    with h5py.File(library("two")) as f:
        return {name: f[name][:] for name in ("train/images", "train/labels", "triggered/images", "truth/rows")}


def test_every_piece_is_run_and_shorter_than_ten_lines():
    pieces = {title: code(title) for title in ("h5py alone", "TensorFlow", "PyTorch", "JAX")}
    assert sum(map(len, pieces.values())) == PAGE.read_text("utf-8").count("```python")
    for title, found in pieces.items():
        assert found, title
        for piece in found:
            lines = [line for line in piece.splitlines() if line.strip() and not line.startswith("import ")]
            assert len(lines) < 10 and max(map(len, lines)) <= 120
            assert "poisonkit" not in piece


def test_h5py(library, arrays):
    found = run("h5py alone", library("two"))
    assert np.array_equal(found["x"], arrays["train/images"]) and np.array_equal(found["y"], arrays["train/labels"])
    assert np.array_equal(found["t"], arrays["triggered/images"]) and len(found["wanted"]) == len(found["t"])
    assert np.array_equal(found["poisoned"], arrays["truth/rows"]) and found["classes"][0] == "stop"
    assert len(found["x_test"]) == len(found["y_test"]) == 100


def same(batches, arrays, scale=1):
    """Whether batches hold each row of the training set once, in any order, with its label."""
    images, labels = (np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*batches, strict=True))
    images = np.rint(images * np.float64(scale)).astype("u1")
    order = np.lexsort(np.c_[images.reshape(len(images), -1), labels].T)
    expected = arrays["train/images"].reshape(len(images), -1)
    there = np.lexsort(np.c_[expected, arrays["train/labels"]].T)
    assert np.array_equal(images.reshape(len(images), -1)[order], expected[there])
    assert np.array_equal(labels[order], arrays["train/labels"][there])


def apart(function, *arguments):
    """The result of a function in a process of its own: TensorFlow's and JAX's threads are none for one that forks."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _tensorflow(path):
    found = run("TensorFlow", path)
    return [[(x.numpy(), y.numpy()) for x, y in found[name]] for name in ("data", "streamed")]


def _jax(path):
    import jax

    return [(np.asarray(x), np.asarray(y)) for x, y in run("JAX", path)["batches"](jax.random.key(0), 64)]


@pytest.mark.skipif(not find_spec("tensorflow"), reason="TensorFlow is not installed")
def test_tensorflow(library, arrays):
    data, streamed = apart(_tensorflow, library("two"))
    same(data, arrays, 255)
    same(streamed, arrays)


@pytest.mark.skipif(not find_spec("jax"), reason="JAX is not installed")
@pytest.mark.slow
def test_jax(library, arrays):
    same(apart(_jax, library("two")), arrays, 255)


WORKER = """
import sys
sys.path.insert(0, {folder!r})
path = {path!r}
{stub}
{piece}
"""


def module(tmp_path, path, stub=""):
    """The page's class in a module that a spawned worker can import."""
    text = WORKER.format(folder=str(tmp_path), path=str(path), stub=stub, piece=code("PyTorch")[0])
    (tmp_path / "readers_page_torch.py").write_text(text, encoding="utf-8")
    return "readers_page_torch"


def test_torch_with_spawned_workers(library, arrays, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is not installed: its class is tried with a stand-in")
    name = module(tmp_path, library("two"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    Poisoned = __import__(name).Poisoned
    names = {"torch": torch, "Poisoned": Poisoned, "path": library("two")}
    exec(compile(code("PyTorch")[1], PAGE.name, "exec"), names)
    batches = [(x.permute(0, 2, 3, 1).numpy(), y.numpy()) for x, y in names["loader"]]
    same(batches, arrays, 255)
    data = Poisoned(library("two"), "triggered")
    assert len(data) == len(arrays["triggered/images"]) and data[3][0].shape == (3, 32, 32)


STUB = """
import types, numpy as np
class Tensor(np.ndarray):
    def permute(self, *axes):
        return self.transpose(axes)
def from_numpy(array):
    return np.asarray(array).view(Tensor)
class Dataset:
    pass
torch = types.ModuleType("torch")
torch.from_numpy, torch.utils = from_numpy, types.SimpleNamespace(data=types.SimpleNamespace(Dataset=Dataset))
sys.modules["torch"] = torch
"""


def _one(data, rows):
    return [(np.asarray(data[i][0]).transpose(1, 2, 0), int(data[i][1])) for i in rows]


def test_the_torch_class_in_spawned_processes_without_torch(library, arrays, tmp_path, monkeypatch):
    """The class alone, on a stand-in for `torch.utils.data.Dataset`: pickled to spawned processes, it opens the file in
    each."""
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    name = module(tmp_path, library("two"), textwrap.dedent(STUB))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    data = __import__(name).Poisoned(str(library("two")))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        parts = pool.starmap(_one, [(data, range(start, 200, 4)) for start in range(4)])
    assert data.rows is None
    for start, part in enumerate(parts):
        for i, (image, label) in zip(range(start, 200, 4), part, strict=True):
            assert np.array_equal(np.rint(image * 255), arrays["train/images"][i])
            assert label == arrays["train/labels"][i]
