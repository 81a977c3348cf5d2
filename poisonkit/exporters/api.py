"""Write a file in another format, in Python."""

from os import PathLike
from pathlib import Path
from typing import Any

from poisonkit.exporters.run import export_file


def export(
    path: str | PathLike[str],
    format: str,  # noqa: A002
    out: str | PathLike[str] | None = None,
    *,
    force: bool = False,
    **options: Any,
) -> Path:
    """Write a file in another format, for other tools; return the path of what was written.

    `format` is one that ``poisonkit export --help`` lists; `out` is where to (default: beside the file, under the
    format's own name); `options` are the format's: ``truth=False``, ``creator``, ``url``. Raises `Usage` for an unknown
    format or option, `Failure` where the file does not fit the format or something has the name.
    """
    return export_file(Path(path), format, None if out is None else Path(out), force, options).target
