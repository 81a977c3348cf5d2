"""`poisonkit preview`: some changed rows beside their originals, as a picture or as marked text."""

from pathlib import Path

from poisonkit import guard, modality, store
from poisonkit.errors import Failure, Usage


def carry_out(file: Path, output: Path | None, rows: int, amplify: int):
    """Write the picture, or the texts if an `output` is named; yields the lines to print."""
    if modality.of(guard.inspect(file, guard.DATA_SETS)) == modality.TEXT:
        yield from _texts(file, output, rows)
        return
    if output is None or output.suffix.lower() != ".png":  # a slip of the finger must not replace a data set
        raise Usage(f"-o: expected a name that ends in .png, got {output or 'none'}")
    from poisonkit import pictures, summary

    pictures.write_png(output, summary.preview(file, rows, amplify))
    yield f"wrote {output}"


def _texts(file: Path, output: Path | None, rows: int):
    from poisonkit import text_preview

    if output is not None and output.suffix.lower() != ".txt":
        raise Usage(f"-o: {file} holds texts: expected a name that ends in .txt, got {output}")
    lines = text_preview.lines(file, rows)
    if output is None:
        yield from lines
        return
    try:
        with store.replacing(output) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise Failure(f"{output}: could not be written: {store.reason(error)}") from None
    yield f"wrote {output}"
