"""Write a file of the format in another one, whole or not at all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poisonkit.core import files, modality
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.progress import NullProgress
from poisonkit.exporters import base, marks
from poisonkit.exporters.base import ExportContext, ExportSpec
from poisonkit.exporters.registry import FORMATS
from poisonkit.format import reader
from poisonkit.format.reader import Reader
from poisonkit.poisoning import supported


@dataclass(frozen=True)
class Exported:
    """What was written: where, in which format, what it holds in words, and what should be known of the recipe."""

    target: Path
    form: str
    counts: str
    note: str = ""

    def line(self) -> str:
        """Say it in one line."""
        return f"wrote {self.target} ({self.form}, {self.counts}){self.note}"


def export_file(
    path: Path,
    form: str,
    output: Path | None = None,
    force: bool = False,
    options: Mapping[str, Any] | None = None,
    progress: Callable[..., Any] = NullProgress,
) -> Exported:
    """Write the file at `path` in another format.

    Parameters
    ----------
    form : str
        One of `registry.FORMATS`.
    output : Path, optional
        Where to; by default beside the file, under the format's own name. An existing folder will do for a format of
        one file.
    force : bool
        Replace an earlier export, or another file.
    options : mapping, optional
        Options of the format: ``truth`` False, ``creator``, ``url``.
    progress : callable, optional
        ``progress(total, label, unit)``: a progress bar.

    Raises
    ------
    Usage
        An unknown format, an option that it does not have, a name that does not fit it.
    Failure
        The target exists, the file does not fit the format, the disk is full.
    """
    form, options = FORMATS.find(form), options or {}
    spec = FORMATS[form]
    for option in options:
        if option not in spec.options:
            raise Usage(f"--{'no-truth' if option == 'truth' else option}: --format {form} has no such option")
    with reader.reading(path) as data:
        if spec.modality is not None:
            modality.expect(path, data.modality, spec.modality, f"--format {form}")
        data.check()
        spec.check(data)
        target = _target(spec, data, path, output)
        _refuse(spec, target, force)
        context = ExportContext(form, path, target, progress, **options)
        try:
            _write(spec, data, context, force)
        except OSError as error:
            raise Failure(f"{target}: could not be written: {files.reason(error)}") from error
        return Exported(target, form, spec.counts(data, context.truth), supported.note(data.manifest))


def _write(spec: ExportSpec, data: Reader, context: ExportContext, force: bool) -> None:
    """Write under a temporary name, then rename."""
    target = context.target
    if spec.suffix is None:
        files.check_space(target, base.size(data))
        with base.replacing_folder(target, spec.name, new=not force) as temporary:
            spec.write(data, temporary, context)
    else:
        with files.atomic_write(target, new=not force) as temporary:
            spec.write(data, temporary, context)


def _target(spec: ExportSpec, data: Reader, path: Path, output: Path | None) -> Path:
    """Where the result goes."""
    if output is None:
        return path.parent / spec.default_name(data.path)
    if spec.suffix is None:
        return output
    if output.is_dir():
        return output / spec.default_name(data.path)
    if output.suffix.lower() != spec.suffix:  # a slip of the finger must not replace a data set
        raise Usage(f"-o: expected a name that ends in {spec.suffix}, got {output}")
    return output


def _refuse(spec: ExportSpec, target: Path, force: bool) -> None:
    """Raise `Failure` where something exists at the target that may not be replaced."""
    files.refuse_link(target)
    if not target.exists():
        return
    if spec.suffix is not None:
        if not target.is_file():
            raise Failure(f"{target}: exists and is not a regular file; choose another -o")
    elif not marks.is_ours(target):
        raise Failure(f"{target}: exists and was not created by `poisonkit export`; delete it or choose another -o")
    if not force and (spec.suffix is not None or any(target.iterdir())):
        raise Failure(f"{target}: already exists; --force replaces it, or choose another -o")
    if spec.suffix is None:
        marks.refuse_others(target)
