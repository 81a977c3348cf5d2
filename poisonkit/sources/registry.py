"""The sources of clean data by name, one file each in `image/` and `text/`. Opening one is `opening.open_source`."""

from collections.abc import Mapping
from typing import Any

from poisonkit.core import file_names
from poisonkit.core.registry import Registry
from poisonkit.sources.base import SourceSpec

PACKAGES = ("poisonkit.sources.image", "poisonkit.sources.text")
SOURCES: Registry[SourceSpec] = Registry("unknown source", SourceSpec, *PACKAGES)


def data_set_name(source: str, options: Mapping[str, Any]) -> str:
    """Return what a data set is called in names of files and in tables: the source, but a folder's is its own."""
    named = options.get("name") if source == "folder" else None
    return named if isinstance(named, str) and file_names.plain(named) else source


def default_target(name: str) -> int:
    """Return the class that an attacker of this source wants unless told otherwise; 0 for an unknown source."""
    return SOURCES[name].target if name in SOURCES else 0


def is_user_data(name: str) -> bool:
    """Whether a source is known here and its data, class names included, are the user's own."""
    return name in SOURCES and SOURCES[name].user_data
