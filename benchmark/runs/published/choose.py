"""The sources of published figures that a command is asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.core import naming
from benchmark.core.errors import Usage
from benchmark.runs.published.registry import PUBLISHED, PublishedSpec

NONE = "none"


def chosen(names: Sequence[str], usual: Mapping[str, PublishedSpec] | None = None) -> tuple[PublishedSpec, ...]:
    """Return the sources of the values of `--beside`: a name, or a CSV file of the user's; `none` alone stands for
    none, and without any it is the `usual` ones.

    Raises
    ------
    Usage
        If there is no such source, or one twice.
    Failure
        If a file cannot be read, or is no table of published figures.
    """
    if not names:
        return tuple((usual or {}).values())
    names = [naming.understood(name, [*PUBLISHED, NONE]) or name for name in names]
    if NONE in names:
        if len(names) > 1:
            raise Usage("--beside none: expected nothing else beside it")
        return ()
    found: dict[str, PublishedSpec] = {}
    for name in names:
        spec = _source(name)
        if spec.name in found:
            raise Usage(f"--beside: {spec.name!r:.60} stands twice")
        found[spec.name] = spec
    return tuple(found.values())


def _source(name: str) -> PublishedSpec:
    if name in PUBLISHED:
        return PUBLISHED[name]
    if not name.lower().endswith(".csv"):
        near = naming.hint(name, PUBLISHED)
        raise Usage(
            f"--beside: expected {', '.join(PUBLISHED)}, {NONE} or a file that ends in .csv, got {name!r:.60}{near}"
        )
    from benchmark.runs.published import backdoorbench

    return backdoorbench.of_file(Path(name))
