"""Write a file in another format, in Python."""

from pathlib import Path
from typing import Any

from poisonkit.core import interface
from poisonkit.core.interface import AnyPath
from poisonkit.exporters.run import export_file


@interface.public
def export(
    path: AnyPath,
    format: str,  # noqa: A002
    out: AnyPath | None = None,
    *,
    force: bool = False,
    **options: Any,
) -> Path:
    """Write a file in another format, for other tools; return the path of what was written.

    `format` is one that ``poisonkit export --help`` lists; `out` is where to (default: beside the file, under the
    format's own name); `options` are the format's: ``truth=False``, ``creator``, ``url``. Raises `Usage` for an unknown
    format or option, `Failure` where the file does not fit the format or something has the name.
    """
    file, target = interface.path(path), interface.optional_path(out, "out")
    if "truth" in options:
        options["truth"] = interface.flag(options["truth"], "truth")
    return export_file(file, interface.name(format, "format"), target, interface.flag(force, "force"), options).target
