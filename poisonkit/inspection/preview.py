"""`poisonkit preview`: some changed rows beside their originals, as a picture or as marked text."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.core import files
from poisonkit.core.errors import Failure, Usage
from poisonkit.format import reader, structure
from poisonkit.format.manifest import Manifest
from poisonkit.poisoning import from_file
from poisonkit.poisoning.selection import COVER


@dataclass(frozen=True)
class Preview:
    """What was written to `path`; of texts that were not written, `lines` are what is to be shown."""

    path: Path | None
    lines: tuple[str, ...] = ()


def preview_file(file: Path, output: Path | None, rows: int, amplify: int, force: bool = False) -> Preview:
    """Write a picture of some changed rows to `output`, a name in .png (default: NAME.png beside the file); of texts,
    write marked lines to a name in .txt, or give them back where there is no `output`. `Failure` for a name that is
    taken, unless `force` is given."""
    write = structure.data_set(file).modality.choose(image=_picture, text=_texts)
    return write(file, output, rows, amplify, force)


def _picture(file: Path, output: Path | None, rows: int, amplify: int, force: bool) -> Preview:
    target = file.with_name(f"{file.name.removesuffix('.h5')}.png") if output is None else output
    if target.suffix.lower() != ".png":  # a slip of the finger must not replace a data set
        raise Usage(f"-o: expected a name that ends in .png, got {target}")
    files.refuse_existing(target, force)
    from poisonkit.core import picture_files

    picture_files.write_png(target, sheet_of(file, rows, amplify), new=not force)
    return Preview(target)


def _texts(file: Path, output: Path | None, rows: int, _amplify: int, force: bool) -> Preview:
    from poisonkit.inspection import text_preview

    if output is not None and output.suffix.lower() != ".txt":
        raise Usage(f"-o: {file} holds texts: expected a name that ends in .txt, got {output}")
    if output is not None:
        files.refuse_existing(output, force)
    lines = tuple(text_preview.lines(file, rows))
    if output is None:
        return Preview(None, lines)
    try:
        with files.atomic_write(output, new=not force) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise Failure(f"{output}: could not be written: {files.reason(error)}") from None
    return Preview(output)


def sheet_of(path: Path, count: int, amplify: int) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 RGB: columns of original, poisoned, and their difference, amplified.

    The rows are those of `truth/`, covers among them; where test rows do not get what training rows get, or what each
    row gets is drawn for it, as many of `triggered/` follow. The difference is grey where nothing changed.
    """
    from poisonkit.inspection import pictures

    with reader.reading(path) as data:
        if data.clean:
            images = data.rows("train/images", 0, count)
            return pictures.sheet([("clean", images)], [""] * len(images))
        parts = [_training_rows(data, count)]
        if not _alike(data):
            parts.append(_test_rows(data, count))
    captions = [caption for _, _, part in parts for caption in part]
    originals, poisoned = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    change = poisoned.astype(np.int32) - originals
    return pictures.sheet(
        [
            ("original", originals),
            ("poisoned", poisoned),
            (f"difference ×{amplify}", (128 + amplify * change).clip(0, 255).astype(np.uint8)),
        ],
        captions,
    )


Rows = tuple[np.ndarray, np.ndarray, list[str]]
"""Images (n, H, W, C) uint8 before and after, and the caption of each."""


def _spread(total: int, count: int) -> np.ndarray:
    """Return so many numbers below a total, spread over it, ascending."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))


def _training_rows(data: reader.Reader[Manifest], count: int) -> Rows:
    rows, labels, classes = data["truth/rows"], data["truth/labels"], data.manifest.source.classes
    given, role = data["train/labels"][rows], data["truth/role"]
    chosen = _spread(len(rows), count)
    captions = [
        f"{classes[labels[i]]} (cover)" if role[i] == COVER else f"{classes[labels[i]]} → {classes[given[i]]}"
        for i in chosen
    ]
    return data.pick("truth/images", chosen), data.pick("train/images", rows[chosen]), captions


def _test_rows(data: reader.Reader[Manifest], count: int) -> Rows:
    rows, labels, classes = data["triggered/rows"], data["triggered/labels"], data.manifest.source.classes
    chosen = _spread(len(rows), count)
    captions = [f"test row {rows[i]}: {classes[labels[i]]}" for i in chosen]
    return data.pick("test/images", rows[chosen]), data.pick("triggered/images", chosen), captions


def _alike(data: reader.Reader[Manifest]) -> bool:
    """Whether every row, training or test, gets the same, as far as the file's own arrays say so."""
    found = from_file.own(data)
    return found.known("train") and all(one.test is None for one in found.built)
