"""`poisonkit grid`: every file of a table, each as a delta on one clean base, so that hundreds take megabytes.

A grid is a data set, and the product of triggers, applications, rates and seeds; some rates may be of one application
alone. Those of the paper's tables are here; one's own is a TOML file with the same keys.
"""

import codecs
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from poisonkit import labels, recipe, sources, triggers
from poisonkit.errors import Failure, Usage
from poisonkit.order import DEFAULT_PATCH, parse_patch

_BOTH = ["0.001", "0.005", "0.02", "0.06", "0.1"]
_SMALL = ["0.005", "0.02", "0.1"]
_TABLE = {
    "triggers": ["square", "blend", "warped"],
    "image": _BOTH,
    "patch": ["0.0001", "0.0005", *_BOTH],
}
PAPER = {
    "table1": {"dataset": "cifar10", **_TABLE},
    "table2": {"dataset": "gtsrb", **_TABLE},
    "table3": {"dataset": "cifar10", "triggers": ["square"], "image": ["0.02"], "patch": ["0.02"]},
    "small": {"dataset": "signs", "triggers": _TABLE["triggers"], "image": _SMALL, "patch": _SMALL},
}
"""The grids of BadPatches' Tables 1–3, and a few cells for a laptop: rates of the image-level attack and
of the one on every patch."""

MOST_SEEDS = 10_000

KEYS = {"dataset": str, "triggers": list, "image": list, "rates": list, "patch": list, "seeds": int,
        "patch_size": (int, str), "target": (int, str), "options": dict}  # fmt: skip


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

    def requests(self) -> list[recipe.Request]:
        """One request for each file, without the clean one: seed by seed, so that a whole table is there early."""
        found, target = [], labels.USUAL if self.target is None else str(self.target)
        for seed in range(self.seeds):
            for name in self.triggers:
                steps = ((name, recipe.parameters(name, self.options.get(name, {}), None)),)
                for rates, patch in ((self.image, None), (self.patch, self.patch_size)):
                    base = recipe.Request("0", steps, patch, target, seed)
                    found += [replace(base, rate=rate) for rate in rates]
        return found


def of_paper(name: str) -> Grid:
    """The grid of one of the paper's tables."""
    return parse(PAPER[name], f"--paper {name}")


def read(path: Path) -> Grid:
    """The grid that a TOML file describes. `Failure` or `Usage` in one line where it does not."""
    tomllib = _tomllib()
    try:
        content = path.read_bytes()
        said = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise Failure(f"{path}: could not be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        found = "is written in UTF-16" if wide else f"is no UTF-8, from its byte {error.start + 1} on"
        raise Usage(f"{path}: {found}: TOML is UTF-8, save it as such") from None
    except (ValueError, RecursionError) as error:  # (TOML's own error is a ValueError, and so is a number too long)
        raise Usage(f"{path}: is no TOML ({' '.join(str(error).split())[:200]})") from None
    return parse(said, str(path))


def _tomllib():
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib


def parse(said: dict, where: str) -> Grid:
    """A grid from its keys (see `Grid`); `where` is named in what is wrong with them."""
    for key, value in said.items():
        if key not in KEYS:
            raise Usage(f"{where}: unknown key {key!r:.60}: expected some of {', '.join(KEYS)}")
        if not isinstance(value, KEYS[key]) or isinstance(value, bool):
            raise Usage(f"{where}: {key} is {value!r:.60}, expected {_words(KEYS[key])}")
    for key in ("dataset", "triggers"):
        if not said.get(key):
            raise Usage(f"{where}: has no {key}")
    if "rates" in said and "image" in said:
        raise Usage(f"{where}: has both rates and image, which say the same")
    if "rates" in said:
        said = {key: value for key, value in said.items() if key != "rates"} | {"image": said["rates"]}
    if not said.get("image") and not said.get("patch"):
        raise Usage(f"{where}: has neither image nor patch, the lists of rates (of texts: rates)")
    if not 1 <= said.get("seeds", 1) <= MOST_SEEDS:
        raise Usage(f"{where}: seeds is {said['seeds']!r:.40}, expected a number from 1 to {MOST_SEEDS:,}")
    _check_options(said, where)
    rates = {key: tuple(_rate(value, where) for value in said.get(key, ())) for key in ("image", "patch")}
    options = {
        name: {key: _typed(value) for key, value in values.items()} for name, values in said.get("options", {}).items()
    }
    grid = Grid(said["dataset"], tuple(said["triggers"]), **rates, options=options)
    plain = {key: said[key] for key in ("seeds", "target") if key in said}
    size = {"patch_size": parse_patch(str(said["patch_size"]))} if "patch_size" in said else {}
    return replace(grid, **plain, **size)


def _check_options(said: dict, where: str) -> None:
    """Every trigger is one, and every option is of a trigger that is used."""
    for name in said["triggers"]:
        triggers.module(name if isinstance(name, str) else repr(name))
    for name, values in said.get("options", {}).items():
        if name not in said["triggers"] or not isinstance(values, dict):
            raise Usage(f"{where}: options has {name!r:.60}, expected a table for one of the triggers")
        known = [option.key for option in triggers.module(name).OPTIONS]
        for key in values:
            if key not in known:
                raise Usage(f"{where}: {name} has no option {key!r:.60}: it has {', '.join(known)}")


def _rate(value, where: str) -> str:
    rate = recipe.parse_rate(value if isinstance(value, str) else repr(value))
    if rate == "0":
        raise Usage(f"{where}: a rate of 0 is the clean file, which is made in any case")
    return rate


def _typed(value) -> str:
    """A trigger's parameter as it would be typed."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _words(kinds) -> str:
    names = {str: "a text", list: "a list", int: "a whole number", dict: "a table"}
    return " or ".join(names[kind] for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))


def carry_out(grid: Grid, source: Path | None, cache: Path | None, output: Path, how: dict):
    """Make the clean file and every delta that is not there yet; yields a line about the beginning and the end.

    `how` has `threads`, `dry_run`, `command`, `progress`, `say`, and maybe `fresh` (see `sources.open_source`). A delta
    that is there and of the same recipe is left.
    """
    from poisonkit import class_names, make, notices, order, produce, store
    from poisonkit.sources.base import processors

    requests = grid.requests()
    asked = {"source": source, "cache": cache, "fresh": how.get("fresh", False)}
    clean = sources.open_source(grid.dataset, **asked, progress=how["progress"], say=how["say"])
    said = dict.fromkeys(notices.of_source(clean))
    requests = [class_names.resolve(request, clean, said.setdefault) for request in requests]
    plans = [make.plan(clean, request) for request in requests]
    for line in dict.fromkeys([*said, *(line for plan in plans for line in notices.of(plan))]):
        how["say"](line)
    base = make.plan(clean, recipe.Request("0"))
    missing = [plan for plan in plans if not _there(plan, delta_path(output, plan))]
    aim = order.own_classes(clean.name, clean.classes) + order.aim(clean.classes, plans[0].facts["recipe"])
    aim = aim.removesuffix("; ")
    yield f"{len(plans)} files of {grid.dataset}, {len(missing)} to make, on {output / base.name}.h5; {aim}"
    if how["dry_run"]:
        return
    store.make_folder(output)
    threads = how["threads"] or processors()
    produce.produce(base, output / f"{base.name}.h5", how["command"], threads=threads)
    size = 0
    store.check_space(output / "grid", max((plan.size() for plan in missing), default=0) + produce.SPARE_BYTES)
    with how["progress"](len(missing), "grid", "files") as bar, store.scratch(output / "grid") as scratch:
        for plan in missing:
            make.write(plan, scratch / "whole.h5", threads)
            size += _pack(plan, scratch / "whole.h5", delta_path(output, plan))
            bar.update(1)
    if not missing:
        return
    saved = sum(plan.size() for plan in missing) / 1e9
    yield f"wrote {len(missing)} deltas: {size / 1e6:,.1f} MB, as whole files {saved:,.1f} GB"


def _pack(plan, whole: Path, target: Path) -> int:
    """Write a plan's delta unless another process has just done so; its size in bytes."""
    from poisonkit import delta, store

    try:
        return delta.pack(whole, target, checked=True)
    except store.Taken:
        _there(plan, target)
        return target.stat().st_size


def delta_path(output: Path, plan) -> Path:
    """Where a plan's delta goes."""
    from poisonkit import delta

    return output / f"{plan.name}{delta.SUFFIX}"


def _there(plan, path: Path) -> bool:
    """Whether the delta of that plan lies there already, sound. `Failure` where something else has its name."""
    from poisonkit import delta, make, manifest

    if not path.exists():
        return False
    found = delta.read(path)
    differences = list(manifest.describe(plan.identity(), make.identity(found.of)))
    if differences:
        raise Failure(f"{path}: is of another recipe ({'; '.join(differences[:3])}): name another folder with -o")
    return True
