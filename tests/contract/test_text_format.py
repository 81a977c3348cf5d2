"""What poisonkit writes of texts, against data/FORMAT.md, "Text", read by somebody who has only that page."""

import re

import h5py
import plain_text_reader
import pytest
from running import TEXT_RECIPES


@pytest.mark.parametrize("name", TEXT_RECIPES)
def test_every_file_is_what_the_page_says(library, name):
    manifest = plain_text_reader.check(library(name))
    assert manifest["kind"] == ("clean" if name == "text-clean" else "poisoned")
    assert manifest["name"].startswith("phrases-") and "image" not in manifest["notice"]


def test_the_pages_own_code_runs_on_a_file(root, library):
    page = (root / "data" / "FORMAT.md").read_text("utf-8").partition("\n## Text\n")[2].partition("\n## The man")[0]
    first, second = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {"h5py": h5py}
    exec(re.sub(r'"[^"]*\.h5"', repr(str(library("text-words"))), first) + second, names)  # noqa: S102
    assert len(names["x"]) == len(names["y"]) == 200 and isinstance(names["x"][0], str)
    with h5py.File(library("text-words")) as f:
        texts, found = f["truth/texts"].asstr()[:], f["truth/insertions"][:]
        for number, _, place, piece in found.tolist():
            texts[number] = names["insert"](texts[number], place, ("cf", "mn")[piece])
        assert (texts == f["train/texts"].asstr()[:][f["truth/rows"][:]]).all()


def test_the_page_names_every_array(root):
    page = (root / "data" / "FORMAT.md").read_text("utf-8")
    for group in plain_text_reader.GROUPS:
        assert f"`{group}/texts`" in page
        assert group in ("train", "test") or f"`{group}/insertions`" in page
