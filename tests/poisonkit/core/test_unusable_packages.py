"""What is said of a package that is not installed, and of one that is and cannot be imported."""

import subprocess
import sys

import pytest

import poisonkit as pk
from poisonkit.core import hints

READ = """
import sys
sys.path.insert(0, sys.argv[1])
import poisonkit as pk
try:
    pk.torch_dataset(sys.argv[2])
except pk.Failure as error:
    print(error)
"""


@pytest.mark.parametrize(("function", "package"), [("torch_dataset", "torch"), ("tf_dataset", "tensorflow")])
def test_an_absent_package_is_to_be_installed(library, monkeypatch, function, package):
    monkeypatch.setitem(sys.modules, package, None)  # `import` then says that there is none
    monkeypatch.delitem(sys.modules, f"poisonkit.inspection.{function}", raising=False)
    with pytest.raises(pk.Failure) as raised:
        getattr(pk, function)(library("square"))
    assert str(raised.value) == f"{package} is not installed: pip install {package}"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("raise ImportError('libtorch.so: cannot open')", "libtorch.so: cannot open"),
        ("import a_package_that_is_not_there", "No module named 'a_package_that_is_not_there'"),
        ("import torch.part_that_is_not_there", "No module named 'torch.part_that_is_not_there'"),
    ],
)
def test_a_broken_package_is_to_be_installed_again(library, tmp_path, content, why):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(content)
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path, library("square")], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"torch is installed but cannot be imported ({why}): pip install --force-reinstall torch\n"


def test_a_package_without_one_of_its_parts_is_to_be_installed_again():
    error = ModuleNotFoundError("No module named 'cv2.part'", name="cv2.part")
    assert hints.unusable(error).endswith(": pip install --force-reinstall opencv-python-headless")


def test_faults_of_our_own_go_on():
    with pytest.raises(ModuleNotFoundError):
        hints.unusable(ModuleNotFoundError("No module named 'poisonkit.gone'", name="poisonkit.gone"))
