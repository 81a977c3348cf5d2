"""`poisonkit grid`: every file of a table, each as a delta on one clean base, so that hundreds take megabytes.

A grid is a data set, and the product of triggers, applications, rates and seeds; some rates may be of one application
alone. Those of the paper's tables are here; a custom one is a TOML file with the same keys.
"""

import codecs
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from poisonkit.build import build, delta, produce
from poisonkit.build.request import BuildRequest, SourceRequest
from poisonkit.build.runtime import Runtime
from poisonkit.core import files, label_modes, naming
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.parsing import DEFAULT_PATCH, parse_patch
from poisonkit.format.manifest import describe
from poisonkit.format.records import FileRecord
from poisonkit.poisoning import plan as plans
from poisonkit.poisoning import recipe as recipes
from poisonkit.poisoning import write
from poisonkit.poisoning.plan import Plan
from poisonkit.poisoning.recipe import Recipe
from poisonkit.sources.registry import SOURCES
from poisonkit.triggers import registry as triggers

_BOTH = ["0.001", "0.005", "0.02", "0.06", "0.1"]
_SMALL = ["0.005", "0.02", "0.1"]
_TABLE = {
    "triggers": ["square", "blend", "warped"],
    "image": _BOTH,
    "patch": ["0.0001", "0.0005", *_BOTH],
}
PAPER: dict[str, dict[str, Any]] = {
    "table1": {"dataset": "cifar10", **_TABLE},
    "table2": {"dataset": "gtsrb", **_TABLE},
    "table3": {"dataset": "cifar10", "triggers": ["square"], "image": ["0.02"], "patch": ["0.02"]},
    "small": {"dataset": "signs", "triggers": _TABLE["triggers"], "image": _SMALL, "patch": _SMALL},
}
"""The grids of BadPatches' Tables 1–3, and a few cells for a laptop: rates of the image-level attack and
of the one on every patch."""

MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Key:
    """One key of a grid's TOML: the types that its value may have, what they are called, and how it is parsed.

    `parse` takes the value and the other keys; it raises `Usage`, or ValueError with what was expected.
    """

    types: tuple[type, ...]
    expected: str
    parse: Callable[[Any, dict[str, Any]], Any]
    required: bool = False


@dataclass(frozen=True)
class Grid:
    """What is to be made: `image` and `patch` are the rates of either application, in one spelling (texts have the
    former alone); `options` are the triggers' parameters as they would be typed, by trigger; `target` is a class as
    it would be typed (a whole number of TOML is read like its text), None the data set's usual one."""

    dataset: str
    triggers: tuple[str, ...]
    image: tuple[str, ...] = ()
    patch: tuple[str, ...] = ()
    seeds: int = 1
    patch_size: tuple[int, int] = (DEFAULT_PATCH, DEFAULT_PATCH)
    target: int | str | None = None
    options: dict[str, dict[str, str]] = field(default_factory=dict)

    def recipes(self) -> list[Recipe]:
        """Return a recipe for each file, without the clean one: seed by seed, so that a whole table is there early."""
        cells, target = [], label_modes.USUAL if self.target is None else self.target
        for seed in range(self.seeds):
            for name in self.triggers:
                steps = ((name, recipes.parameters(name, self.options.get(name, {}), None)),)
                for rates, patch in ((self.image, None), (self.patch, self.patch_size)):
                    base = Recipe("0", steps, patch, target, seed)
                    covers = triggers.spec(name).make_defaults.get("cover_rate", "0")
                    for rate in rates:
                        cells.append(replace(base, rate=rate, cover_rate=recipes.parse_cover_rate(covers, rate)))
        return cells


def of_paper(name: str) -> Grid:
    """Return the grid of one of the paper's tables."""
    return parse(PAPER[name], f"--paper {name}")


def read(path: Path) -> Grid:
    """Read the grid that a TOML file describes. Raises `Failure` or `Usage` in one line where it does not."""
    tomllib = _tomllib()
    try:
        content = path.read_bytes()
        values = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise Failure(f"{path}: could not be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        actual = "is written in UTF-16" if wide else f"is not UTF-8, from byte {error.start + 1} on"
        raise Usage(f"{path}: {actual}: TOML is UTF-8, save it as such") from None
    except (ValueError, RecursionError) as error:  # (TOML's own error is a ValueError, and so is a number too long)
        raise Usage(f"{path}: is not valid TOML ({' '.join(str(error).split())[:200]})") from None
    return parse(values, str(path))


def _tomllib():
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib


def parse(values: dict[str, Any], where: str) -> Grid:
    """Parse a grid from its keys (see `KEYS`); `where` is named in error messages."""
    try:
        return Grid(**_parsed(values))
    except ValueError as error:
        raise Usage(f"{where}: {error}") from None


def _parsed(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `Grid`, by `KEYS`. ValueError where a key is unknown, missing, or not of its type."""
    for key, value in values.items():
        if key not in KEYS:
            raise ValueError(f"unknown key {key!r:.60}: expected some of {', '.join(KEYS)}{naming.hint(key, KEYS)}")
        if not isinstance(value, KEYS[key].types) or isinstance(value, bool):
            raise ValueError(f"{key} is {value!r:.60}, expected {KEYS[key].expected}")
    for key, declared in KEYS.items():
        if declared.required and not values.get(key):
            raise ValueError(f"has no {key}")
    if "rates" in values and "image" in values:
        raise ValueError("has both rates and image, which mean the same")
    if not any(values.get(key) for key in ("image", "rates", "patch")):
        raise ValueError("has neither image nor patch, the lists of rates (of texts: rates)")
    return {FIELDS.get(key, key): KEYS[key].parse(value, values) for key, value in values.items()}


def _trigger_names(names: list, _values: dict[str, Any]) -> tuple[str, ...]:
    return tuple(triggers.find(name if isinstance(name, str) else repr(name)) for name in names)


def _rates(rates: list, _values: dict[str, Any]) -> tuple[str, ...]:
    parsed = tuple(recipes.parse_rate(rate if isinstance(rate, str) else repr(rate)) for rate in rates)
    if "0" in parsed:
        raise ValueError("a rate of 0 is the clean file, which is made in any case")
    return parsed


def _seeds(count: int, _values: dict[str, Any]) -> int:
    if not 1 <= count <= MOST_SEEDS:
        raise ValueError(f"seeds is {count!r:.40}, expected a number from 1 to {MOST_SEEDS:,}")
    return count


def _trigger_options(tables: dict, values: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the triggers' parameters as they would be typed; every option must be of a trigger that is used."""
    used = _trigger_names(values["triggers"], values)
    tables = {naming.understood(name, used, dict(zip(values["triggers"], used, strict=True))) or name: table
              for name, table in tables.items()}  # fmt: skip
    for name, table in tables.items():
        if name not in used or not isinstance(table, dict):
            raise ValueError(f"options has {name!r:.60}, expected a table for one of the triggers")
        known = [option.key for option in triggers.spec(name).options]
        if unknown := [key for key in table if key not in known]:
            near = naming.hint(unknown[0], known)
            raise ValueError(f"{name} has no option {unknown[0]!r:.60}: it has {', '.join(known)}{near}")
    return {name: {key: _typed(value) for key, value in table.items()} for name, table in tables.items()}


def _typed(value: Any) -> str:
    """Return a trigger's parameter as it would be typed."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _same(value: Any, _values: dict[str, Any]) -> Any:
    return value


KEYS = {
    "dataset": Key((str,), "a text", lambda name, _: SOURCES.find(name), required=True),
    "triggers": Key((list,), "a list", _trigger_names, required=True),
    "image": Key((list,), "a list", _rates),
    "rates": Key((list,), "a list", _rates),
    "patch": Key((list,), "a list", _rates),
    "seeds": Key((int,), "a whole number", _seeds),
    "patch_size": Key((int, str), "a whole number or a text", lambda size, _: parse_patch(str(size))),
    "target": Key((int, str), "a whole number or a text", lambda target, _: str(target)),
    "options": Key((dict,), "a table", _trigger_options),
}
"""Every key of a grid."""
FIELDS = {"rates": "image"}
"""Keys whose field of `Grid` has another name: the rates of texts are those of the whole row."""


# ---------------------------------------------------------------- making the files


@dataclass(frozen=True)
class GridPlan:
    """The files of a grid on one clean file: all `plans`, those that are `missing`, and what they are based on."""

    dataset: str
    output: Path
    base: Plan
    plans: list[Plan]
    missing: list[Plan]

    @property
    def base_path(self) -> Path:
        """Where the clean file is, or goes."""
        return self.output / f"{self.base.name}.h5"


@dataclass(frozen=True)
class GridResult:
    """The deltas that were written, their size in bytes, and that of the whole files that they stand for."""

    paths: list[Path]
    size: int
    whole_size: int


def plan_grid(grid: Grid, source: SourceRequest, output: Path, runtime: Runtime) -> GridPlan:
    """Open the clean data and plan every file of a grid. Deltas that exist already, of the same recipe, are kept."""
    clean = build.open_source(source, runtime)
    planned = build.plan(BuildRequest(source, tuple(grid.recipes())), clean, runtime)
    every = [one for one, _ in planned]
    missing = [one for one in every if not _exists(one, delta_path(output, one))]
    return GridPlan(grid.dataset, output, plans.plan(clean, Recipe("0")), every, missing)


def make_grid(planned: GridPlan, runtime: Runtime) -> GridResult:
    """Write the clean file and every delta that is missing."""
    output, missing, size = planned.output, planned.missing, 0
    files.make_folder(output)
    produce.produce(planned.base, planned.base_path, runtime.command, threads=runtime.threads)
    files.check_space(output / "grid", max((one.size() for one in missing), default=0) + produce.SPARE_BYTES)
    with runtime.progress(len(missing), "grid", "files") as bar, files.scratch(output / "grid") as scratch:
        for one in missing:
            written = write.write(one, scratch / "whole.h5", runtime.threads)
            size += _pack(one, scratch / "whole.h5", written.file, delta_path(output, one))
            bar.update(1)
    return GridResult([delta_path(output, one) for one in missing], size, sum(one.size() for one in missing))


def _pack(plan: Plan, whole: Path, file: FileRecord, target: Path) -> int:
    """Write a plan's delta unless another process has just done so; its size in bytes."""
    try:
        return delta.pack(whole, target, checked=file)
    except files.Taken:
        _exists(plan, target)
        return target.stat().st_size


def delta_path(output: Path, plan: Plan) -> Path:
    """Where a plan's delta goes."""
    return output / f"{plan.name}{delta.SUFFIX}"


def _exists(plan: Plan, path: Path) -> bool:
    """Whether the delta of that plan exists already, sound. `Failure` where another recipe's has its name."""
    if not path.exists():
        return False
    existing = delta.read(path)
    differences = list(describe(plan.manifest.identity, existing.original.identity))
    if differences:
        raise Failure(
            f"{path}: was made from a different recipe ({'; '.join(differences[:3])}): choose another folder with -o"
        )
    return True
