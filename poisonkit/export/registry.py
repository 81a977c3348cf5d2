"""Writing a file of ours in others' formats. A new one is a file beside these and a line in the table.

A format's module has

- `SUMMARY`: what is written, in a few words;
- `MODALITY`: what rows it takes, "image" where it says nothing, None for any;
- `FOLDER`: whether the result is a folder; else `SUFFIX`, how its name ends;
- `OPTIONS`: which of `truth`, `creator`, `url` it knows;
- `default(data)`: the result's name where none was asked for;
- `check(data)`: raises `Failure` where the file cannot be had in this format, before anything is written;
- `write(data, target, context)`: writes it, block by block, under the temporary name `target`;
- maybe `counts(data)`: what was written, in words, where it is not everything.
"""

import importlib
from pathlib import Path

from poisonkit.core.errors import Failure, Usage

TABLE = {
    "npz": "poisonkit.export.npz",
    "imagefolder": "poisonkit.export.imagefolder",
    "backdoorbench": "poisonkit.export.backdoorbench",
    "backdoor-toolbox": "poisonkit.export.backdoor_toolbox",
    "croissant": "poisonkit.export.croissant",
    "csv": "poisonkit.export.csv",
    "jsonl": "poisonkit.export.jsonl",
}


def module(name: str):
    """The module of a format by its name; `Usage` for a name that is not in the table."""
    if name not in TABLE:
        raise Usage(f"--format: unknown format {name!r:.60}, expected one of {', '.join(TABLE)}")
    return importlib.import_module(TABLE[name])


def carry_out(path: Path, name: str, output: Path | None, force: bool, asked: dict, progress) -> str:
    """Write the file at `path` in the format `name`; a line for people.

    Parameters
    ----------
    output
        Where to; None: beside the file, under the format's own name. An existing folder will do for a single file.
    asked
        The options that were given: ``truth`` False, ``creator``, ``url``; those that the format has not are refused.
    progress
        ``progress(total, label, unit)``: a progress bar.

    Raises
    ------
    Usage
        An unknown format, an option that it does not have, a name that does not fit it.
    Failure
        Something lies there, the file does not fit the format, the disk is full.
    """
    form = module(name)
    for option in asked:
        if option not in form.OPTIONS:
            raise Usage(f"--{'no-truth' if option == 'truth' else option}: --format {name} has no such option")
    from poisonkit.core import files, modality
    from poisonkit.export import base
    from poisonkit.format import reader
    from poisonkit.poisoning import supported

    with reader.reading(path) as data:
        if getattr(form, "MODALITY", modality.IMAGE.name) is not None:
            modality.expect(path, data.manifest, modality.of_module(form), f"--format {name}")
        base.check_labels(data)
        form.check(data)
        target = _target(form, data, path, output)
        _refuse(form, path, target, force)
        context = base.Context(name, path, target, progress, **asked)
        try:
            if form.FOLDER:
                files.check_space(target, base.size(data))
                with base.replacing_folder(target, name, new=not force) as temporary:
                    form.write(data, temporary, context)
            else:
                with files.atomic_write(target, new=not force) as temporary:
                    form.write(data, temporary, context)
        except OSError as error:
            raise Failure(f"{target}: could not be written: {files.reason(error)}") from error
        return f"wrote {target} ({name}, {getattr(form, 'counts', base.counts)(data)})" + supported.note(data.manifest)


def _target(form, data, path: Path, output: Path | None) -> Path:
    if output is None:
        return path.parent / form.default(data)
    if form.FOLDER:
        return output
    if output.is_dir():
        return output / form.default(data)
    if output.suffix.lower() != form.SUFFIX:  # a slip of the finger must not replace a data set
        raise Usage(f"-o: expected a name that ends in {form.SUFFIX}, got {output}")
    return output


def _refuse(form, path: Path, target: Path, force: bool) -> None:
    """`Failure` where something lies at the target that may not be replaced."""
    from poisonkit.core import files
    from poisonkit.export import marks

    files.refuse_link(target)
    if not target.exists():
        return
    if form.FOLDER:
        if not marks.is_ours(target):
            raise Failure(f"{target}: lies there and is no export of poisonkit's: remove it yourself, or another -o")
    elif not target.is_file():
        raise Failure(f"{target}: lies there and is no file: another -o")
    if not force and not (form.FOLDER and not any(target.iterdir())):
        raise Failure(f"{target}: lies there already: --force replaces it, -o names another place")
    if form.FOLDER:
        marks.refuse_others(target)
