"""Installations that lack a package, simulated: processes whose Python finds it nowhere, half installed, or old."""

import os
import subprocess
import sys
from pathlib import Path

HIDE = """
import importlib.machinery, os
_hidden = set(os.environ["HIDDEN_PACKAGES"].split(","))
_find = importlib.machinery.PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.split(".")[0] in _hidden else _find(name, path, target)
importlib.machinery.PathFinder.find_spec = staticmethod(find_spec)
"""
EXTRAS = (
    *("keras", "tensorflow", "jax", "torch", "matplotlib", "tokenizers", "safetensors", "dask", "distributed"),
    *("umap", "hdbscan"),
)


def environment(folder: Path, *hidden: str, **more) -> dict[str, str]:
    """The environment of a process in which these packages are not installed: nothing finds them, as on a machine that
    never had them, neither `import` nor `find_spec`. `folder` is one to write to."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(HIDE)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HIDDEN_PACKAGES": ",".join(hidden)} | more


def half_installed(folder: Path, name: str, body: str) -> dict[str, str]:
    """The environment of a process whose package of that name runs `body` when it is imported."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(body)
    return environment(folder)


def old(folder: Path, name: str, version: str, module: str = "") -> dict[str, str]:
    """The environment of a process whose package of that name is of another version, by its metadata; `module` is what
    is imported of it where that has another name."""
    where = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    where.mkdir(parents=True)
    (where / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / (module or name)).mkdir()
    (folder / (module or name) / "__init__.py").write_text(f"__version__ = {version!r}\n")
    return environment(folder)


def run(program: str, *arguments, env: dict, **options) -> subprocess.CompletedProcess:
    """`poisonkit` or `benchmark` with these arguments, as a process of its own."""
    command = [sys.executable, "-m", program, *map(os.fspath, arguments)]
    options = {"capture_output": True, "text": True, "timeout": 300, "check": False} | options
    return subprocess.run(command, env=env, **options)
