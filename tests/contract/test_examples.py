"""The notebooks of examples/ are run from beginning to end, in an empty folder, and are stored without outputs."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")

ROOT = Path(__file__).resolve().parents[2]
BOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def test_there_are_two_and_both_are_linked():
    assert [path.stem for path in BOOKS] == ["poison_and_look", "train_and_compare"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"(examples/{path.name})" in readme for path in BOOKS)


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_outputs(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None)


@pytest.mark.slow
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    book = nbformat.read(path, as_version=4)
    done = nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    streams = [out for cell in done.cells if cell.cell_type == "code" for out in cell.outputs]
    assert streams and not [out for out in streams if out.get("name") == "stderr" and "Traceback" in out.text]
    assert list(tmp_path.glob("data/*.h5"))
