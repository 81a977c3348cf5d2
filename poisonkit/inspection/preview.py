"""`poisonkit preview`: some changed rows beside their originals, as a picture or as marked text."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.core import files
from poisonkit.core.errors import Failure, Usage
from poisonkit.format import reader, structure
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

    The rows are those of `truth/`, covers among them; the difference is grey where nothing changed.
    """
    from poisonkit.inspection import pictures

    with reader.reading(path) as data:
        if data.clean:
            images = data.rows("train/images", 0, count)
            return pictures.sheet([("clean", images)], [""] * len(images))
        rows, labels, classes = data["truth/rows"], data["truth/labels"], data.manifest.source.classes
        given, role = data["train/labels"][rows], data["truth/role"]
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))
        originals = np.stack([data.rows("truth/images", i, i + 1)[0] for i in chosen])
        poisoned = np.stack([data.rows("train/images", int(rows[i]), int(rows[i]) + 1)[0] for i in chosen])
        change = poisoned.astype(np.int32) - originals
        captions = [
            f"{classes[labels[i]]} (cover)" if role[i] == COVER else f"{classes[labels[i]]} → {classes[given[i]]}"
            for i in chosen
        ]
        return pictures.sheet(
            [
                ("original", originals),
                ("poisoned", poisoned),
                (f"difference ×{amplify}", (128 + amplify * change).clip(0, 255).astype(np.uint8)),
            ],
            captions,
        )
