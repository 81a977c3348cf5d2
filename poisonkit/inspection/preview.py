"""`poisonkit preview`: some changed rows beside their originals, as a picture or as marked text."""

from pathlib import Path

from poisonkit.core import modality
from poisonkit.core.errors import Failure, Usage
from poisonkit.format import reader, structure


def carry_out(file: Path, output: Path | None, rows: int, amplify: int):
    """Write the picture, or the texts if an `output` is named; yields the lines to print."""
    if modality.of(structure.inspect(file, structure.DATA_SETS)) == modality.TEXT:
        yield from _texts(file, output, rows)
        return
    if output is None or output.suffix.lower() != ".png":  # a slip of the finger must not replace a data set
        raise Usage(f"-o: expected a name that ends in .png, got {output or 'none'}")
    from poisonkit.inspection import pictures, show

    pictures.write_png(output, show.preview(file, rows, amplify))
    yield f"wrote {output}"


def _texts(file: Path, output: Path | None, rows: int):
    from poisonkit.inspection import text_preview

    if output is not None and output.suffix.lower() != ".txt":
        raise Usage(f"-o: {file} holds texts: expected a name that ends in .txt, got {output}")
    lines = text_preview.lines(file, rows)
    if output is None:
        yield from lines
        return
    try:
        with reader.replacing(output) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise Failure(f"{output}: could not be written: {reader.reason(error)}") from None
    yield f"wrote {output}"
