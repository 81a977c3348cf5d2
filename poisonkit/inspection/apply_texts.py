"""`poisonkit apply` for texts: a file's triggers on any texts, one a line."""

from pathlib import Path

import numpy as np

from poisonkit.core import files, modality
from poisonkit.core import texts as rows_of_text
from poisonkit.core.errors import Failure, Usage
from poisonkit.format.manifest import Manifest
from poisonkit.poisoning import apply, recipe, supported
from poisonkit.triggers import registry as triggers


def apply_to_file(file: Path, manifest: Manifest, path: Path, output: Path, force: bool = False) -> int:
    """Write the texts of `path`, one a line, with the triggers of a file with that `manifest`; return how many.

    Line 1 is given what test row 0 is given, and so on. Raises `Usage` where the names do not fit, `Failure` where a
    line is no text, the texts were rewritten with another tool, or the name is taken and `force` is not given.
    """
    if output.suffix.lower() != ".txt":  # a slip of the finger must not replace a data set
        raise Usage(f"-o: expected a name that ends in .txt, got {output}")
    if output.exists() and path.exists() and output.samefile(path):
        raise Usage(f"-o: {output} is the texts' own file: name another")
    files.refuse_existing(output, force)
    texts = read(path)
    changed = apply_to_texts(file, manifest, texts)
    try:
        with files.atomic_write(output, new=not force) as temporary:
            temporary.write_bytes("".join(f"{text}\n" for text in changed).encode())
    except OSError as error:
        raise Failure(f"{output}: could not be written: {files.reason(error)}") from None
    return len(texts)


def apply_to_texts(file: Path, manifest: Manifest, texts: np.ndarray) -> np.ndarray:
    """Apply the triggers of a file to texts (n,) object: text i is given what test row i is given.

    Raises `Failure` where the recipe is not known here, or the file's texts were rewritten with another tool.
    """
    supported.demand(file, manifest, "so its trigger cannot be applied to other texts")
    try:
        steps = recipe.recipe_of(manifest.recipe)
        prepared = apply.prepare(modality.TEXT, steps, ())
    except Usage as error:
        raise Failure(f"{file}: its recipe cannot be followed: {error}") from None
    if any(triggers.gives_rows(name) for name, _ in steps.steps):
        raise Failure(f"{file}: its texts were rewritten with another tool: its trigger cannot be applied to others")
    return prepared.put(texts, np.arange(len(texts)), "test")[0]


def read(path: Path) -> np.ndarray:
    """Return the texts of a file, one a line, stripped: (n,) object. `Failure` names the line that is none.

    Lines end in LF or CR LF; in CR where the file has no LF.
    """
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise Failure(f"{path}: could not be read: {files.reason(error)}") from None
    lines = content.split(b"\n" if b"\n" in content else b"\r")
    lines = lines[:-1] if not lines[-1] else lines
    if not lines:
        raise Failure(f"{path}: is empty: expected one text per line")
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError as error:
            raise Failure(f"{path}: line {number} is not UTF-8, from byte {error.start + 1} on") from None
        if wrong := rows_of_text.problem(text):
            raise Failure(f"{path}: line {number} {wrong}")
        texts.append(text)
    return rows_of_text.array(texts)
