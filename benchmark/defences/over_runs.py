"""Results of detectors and repairs of many runs: read from their folders, each with that of the clean twin and, of a
repair, that of plain fine-tuning on the same rows; and grouped, so that a group differs in its seeds alone."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmark.core import file_names
from benchmark.core.errors import Failure
from benchmark.core.hashing import canonical
from benchmark.defences import records
from benchmark.defences.catalogue import DETECTORS, REPAIRS
from benchmark.defences.records import DETECT, REPAIR, Detected, MethodResult, Repaired
from benchmark.defences.registry import MethodSpec, Registry
from benchmark.runs.groups import Cell
from benchmark.runs.results import Finished

R = TypeVar("R", bound=MethodResult)
_ASKED = ("settings", "asked", "code")


@dataclass(frozen=True)
class Entry(Generic[R]):
    """A result: the run that it is of, its folder, the same on that run's clean twin, and of a repair the control."""

    run: Finished
    folder: Path
    result: R
    twin: R | None = None
    control: R | None = None


@dataclass(frozen=True)
class Group(Generic[R]):
    """Results of one method with the same settings, on runs of one cell.

    Attributes
    ----------
    cell : Cell
        The runs, in the order of `entries`.
    whole : Cell
        All runs of the same attack, data set and network, also those without such a result.
    method : str
        The method's name.
    settings : str
        What of its settings is not the default, in words; and how many rows were asked for.
    """

    cell: Cell
    whole: Cell
    entries: tuple[Entry[R], ...]
    method: str
    settings: str

    @property
    def first(self) -> R:
        """The first result; all say the same of the method and its settings."""
        return self.entries[0].result

    @property
    def named(self) -> str:
        """The method, with its settings in brackets."""
        return f"{self.method} ({self.settings})" if self.settings else self.method

    @property
    def seconds(self) -> float:
        """What it took, the mean over the runs."""
        return sum(entry.result.seconds for entry in self.entries) / len(self.entries)


@dataclass(frozen=True)
class Defended:
    """All results of some runs, in the order of a table."""

    detected: list[Group[Detected]] = field(default_factory=list)
    repaired: list[Group[Repaired]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.detected or self.repaired)


def collect(cells: Iterable[Cell], errors: dict[Path, str] | None = None) -> Defended:
    """Collect the results in the folders of grouped runs. What cannot be read is put into `errors`: its path, and a
    line that says why.

    A result on a clean run is there where it is not already beside that of a poisoned one.
    """
    cells, reader = list(cells), _Reader({} if errors is None else errors)
    detected = _groups(cells, DETECT, records.detected, DETECTORS, reader)
    repaired = _groups(cells, REPAIR, records.repaired, REPAIRS, reader)
    return Defended(detected, repaired)


def entries(found: Iterable[Finished], errors: dict[Path, str]) -> tuple[list[Entry[Detected]], list[Entry[Repaired]]]:
    """Return all results of some runs, also of clean and sealed ones, each with what stands beside it."""
    found, reader = list(found), _Reader(errors)
    return (
        [one for run in found for one in _of_run(run, DETECT, records.detected, DETECTORS, reader)],
        [one for run in found for one in _of_run(run, REPAIR, records.repaired, REPAIRS, reader)],
    )


def described_result(result: MethodResult) -> str:
    """Return what of a result's settings is not the default (see `described`)."""
    registry: Registry[Any] = DETECTORS if isinstance(result, Detected) else REPAIRS
    return described(result, registry.get(result.method))


class _Reader:
    """Reads each run's results of a kind once; `joined` are those that stand beside others as the clean twin's."""

    def __init__(self, errors: dict[Path, str]):
        self.errors, self.joined = errors, set[tuple[Path, str]]()
        self._read: dict[tuple[Path, str], dict[str, tuple[Path, Any]]] = {}

    def of(self, folder: Path, kind: str, parse: Callable[[Any], R]) -> Mapping[str, tuple[Path, R]]:
        """Return the results in a run's folder by what was asked (`MethodResult.question`)."""
        if (folder, kind) not in self._read:
            found = records.in_run(folder, kind, parse, self.errors)
            self._read[folder, kind] = {result.question: (path, result) for path, result in reversed(found)}
        return self._read[folder, kind]

    def twin(self, run: Finished, kind: str, parse: Callable[[Any], R], result: R) -> R | None:
        """Return the same on the clean run that a result names; of one that was made before there was a clean run, on
        that which CAD is against. None where there is none beside."""
        against = run.result.baseline
        names = against.runs if result.clean_run is None and against is not None else (result.clean_run,)
        beside = [run.folder.with_name(name) for name in names if name is not None and file_names.plain(name)]
        found = (self._on(clean, kind, parse, result) for clean in beside)
        return next((one for one in found if one is not None), None)

    def _on(self, clean: Path, kind: str, parse: Callable[[Any], R], result: R) -> R | None:
        """Return the same on a clean run, None where it has none."""
        try:
            path, found = self.of(clean, kind, parse).get(result.question, (clean, None))
        except Failure as error:
            self.errors[clean] = str(error)
            return None
        if found is not None:
            self.joined.add((path, kind))
        return found


def _groups(
    cells: list[Cell], kind: str, parse: Callable[[Any], R], registry: Registry[Any], reader: _Reader
) -> list[Group[R]]:
    groups: list[tuple[int, Group[R]]] = []
    for place, cell in sorted(enumerate(cells), key=lambda item: item[1].clean):  # poisoned ones say which are twins
        by_question: dict[str, list[Entry[R]]] = {}
        for run in cell.runs:
            for entry in _of_run(run, kind, parse, registry, reader):
                if (entry.folder, kind) not in reader.joined:
                    by_question.setdefault(entry.result.question, []).append(entry)
        groups += [(place, group) for group in _told_apart([
            _group(cell, entries, registry) for entries in by_question.values()
        ])]  # fmt: skip
    ranks = {name: number for number, name in enumerate(_names(registry))}
    groups.sort(key=lambda item: (item[0], ranks.get(item[1].method, len(ranks)), item[1].named))
    return [group for _, group in groups]


def _told_apart(groups: list[Group[R]]) -> list[Group[R]]:
    """Let groups that would be called the same, as of two versions of a method, also name the settings in which they
    differ."""
    alike: dict[str, list[Group[R]]] = {}
    for group in groups:
        alike.setdefault(group.named, []).append(group)

    def named(group: Group[R]) -> Group[R]:
        settings = [other.first.settings for other in alike[group.named]]
        words = [
            f"{name.replace('_', ' ')} {_word(group.first.settings[name])}" if name in group.first.settings
            else f"{name.replace('_', ' ')} not recorded"
            for name in dict.fromkeys(name for one in settings for name in one)
            if len({canonical([one[name]] if name in one else []) for one in settings}) > 1
        ]  # fmt: skip
        return replace(group, settings=", ".join(filter(None, [group.settings, *words])))

    return [named(group) for group in groups]


def _of_run(
    run: Finished, kind: str, parse: Callable[[Any], R], registry: Registry[Any], reader: _Reader
) -> list[Entry[R]]:
    """Return the results in a run's folder, in the order of its folders, each with what stands beside it."""
    found = reader.of(run.folder, kind, parse)
    results = [one for _, one in found.values()]
    return [
        Entry(run, path, result, reader.twin(run, kind, parse, result), _control(result, results, registry))
        for path, result in sorted(found.values(), key=lambda item: item[0].name)
    ]


def _names(registry: Registry[Any]) -> list[str]:
    """Return the methods in the order of a table: controls first."""
    return sorted(registry, key=lambda name: (not getattr(registry[name], "control", False), name))


def _group(cell: Cell, entries: list[Entry[R]], registry: Registry[Any]) -> Group[R]:
    first = entries[0].result
    runs = tuple(entry.run for entry in entries)
    return Group(
        Cell(runs, cell.note), cell, tuple(entries), first.method, described(first, registry.get(first.method))
    )


def _control(result: R, beside: list[R], registry: Registry[Any]) -> R | None:
    """Return plain fine-tuning on as many rows of the same run, with its usual settings if it was done with them."""
    found = [one for one in beside if _is_control(one, registry) and one.clean_rows == result.clean_rows]
    return min(found, key=lambda one: described(one, registry.get(one.method)) != "", default=None)


def _is_control(result: MethodResult, registry: Registry[Any]) -> bool:
    return bool(getattr(registry.get(result.method), "control", False))


def described(result: MethodResult, spec: MethodSpec | None) -> str:
    """Return what of a result's settings is not the method's default, in words, which rows were asked for, and whose
    code it is: `expected 0.02, 5000 rows`; and the same of a result that it depends on: `detector spectral, spectral
    expected 0.02`."""
    words, depends = _words(result.asked, spec), result.asked["depends"]
    for other in depends.values() if isinstance(depends, dict) else ():
        if isinstance(other, dict):
            name = str(other.get("defence"))
            words += [f"{name} {word}" for word in _words(other, DETECTORS.get(name))]
    return ", ".join(words)


def _words(of: Mapping[str, Any], spec: MethodSpec | None) -> list[str]:
    """Return the words of what was asked of one method, as `MethodResult.asked` has it."""
    defaults = {option.name: option.default for option in spec.options} if spec else {}
    settings, asked, code = (one if isinstance(one := of.get(name), dict) else {} for name in _ASKED)
    words = [
        f"{name.replace('_', ' ')} {_word(value)}"
        for name, value in settings.items()
        if name not in defaults or defaults[name] != value
    ]
    limits = {"rows": "rows", "clean_rows": "clean rows"}
    words += [f"{asked[name]} {title}" for name, title in limits.items() if name in asked]
    return words + ([f"code {str(code.get('digest')).removeprefix('sha256:')[:8]}"] if code else [])


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:g}" if isinstance(value, (int, float)) else str(value)
