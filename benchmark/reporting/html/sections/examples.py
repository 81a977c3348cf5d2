"""Examples of every attack: images before and after, texts with what was inserted."""

import io
from typing import Any

from benchmark.core.errors import Failure
from benchmark.format import dataset
from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Content, Section, register
from benchmark.runs.groups import Cell
from benchmark.runs.result import DatasetRecord

EXAMPLES = 4
"""Images or texts of each attack."""


def build(content: Content) -> str:
    """Build the section: an example of each attack whose data set is still there."""
    shown: set[tuple[str, ...]] = set()
    pictures: list[str] = []
    texts: list[str] = []
    for cell in content.cells:
        key = (cell.dataset, cell.trigger, cell.application, cell.variant)
        source = cell.first.dataset
        if cell.clean or key in shown or not source.path or not source.digest:
            continue
        try:
            if cell.application == "text":
                texts += _texts(cell, source)
            elif not content.no_pictures:
                pictures.append(_images(cell, source))
        except Failure:
            continue
        shown.add(key)
    words = "Images of the training set: above as in the source, below with the trigger."
    above = page.paragraphs([words]) + page.row(pictures, sharp=True)
    return (above if pictures else "") + "".join(texts)


def _texts(cell: Cell, source: DatasetRecord) -> list[str]:
    pairs = dataset.sample_texts(source.path or "", source.digest or "", source.base, EXAMPLES)
    return [page.heading(_name(cell)), *(page.change(*pair) for pair in pairs)]


def _images(cell: Cell, source: DatasetRecord) -> str:
    where = "every patch" if cell.application == "patch" else "the whole image"
    words = f"{cell.trigger} on {where} of {cell.dataset}" + (f" ({cell.variant})" if cell.variant else "") + "."
    drawn = _png(dataset.sample(source.path or "", source.digest or "", source.base, EXAMPLES))
    return page.figure(page.png(drawn, words), words)


def _name(cell: Cell) -> str:
    return f"{cell.dataset}, {cell.trigger}" + (f"; {cell.variant}" if cell.variant else "")


def _png(pictures: Any) -> bytes:
    from matplotlib import image

    out = io.BytesIO()
    image.imsave(out, pictures.squeeze(-1) if pictures.shape[-1] == 1 else pictures, cmap="gray", format="png")
    return out.getvalue()


ATTACKS = register(Section(60, "Attack examples", build))
