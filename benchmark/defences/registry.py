"""The registries of defences: detectors score training rows, repairs change a trained network. One file a method.

Everything else is made of what stands here: the commands and their help, `benchmark defences`, tables, the report,
and the pages of the documentation. Nothing here imports Keras.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from benchmark.core import naming
from benchmark.core.errors import Usage
from benchmark.defences.needs import Need
from benchmark.defences.options import Option

ALONE, WHOLE, AMONG = JUDGING = ("alone", "whole", "among")
"""How a detector judges a row, see `DetectorSpec`."""
RUN, READ, INFERRED = WAYS = ("run", "read", "inferred")
"""How a remark on published code was found."""


@dataclass(frozen=True)
class Size:
    """What the cost of a method depends on: training rows that are inspected, clean rows, classes, and epochs of the
    run's own training."""

    rows: int
    clean: int
    classes: int
    epochs: int


@dataclass(frozen=True)
class Work:
    """A rough cost: images through the network forwards, images trained on, and seconds beside that."""

    forward: float = 0
    trained: float = 0
    seconds: float = 0


@dataclass(frozen=True)
class Remark:
    """What published code does and ours does not: in which file of which commit, how that was found (`run`, `read` or
    `inferred`), what it does, and what ours does instead."""

    where: str
    how: str
    does: str
    ours: str

    def __post_init__(self) -> None:
        if self.how not in WAYS:
            raise ValueError(f"a remark is {' or '.join(WAYS)}, not {self.how!r}")


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """What a detector and a repair have in common.

    Parameters
    ----------
    name, title : str
        As after `--method`, and as tables head it.
    source : str
        The publication.
    summary : str
        A sentence: what it does.
    needs : tuple of Need
        What it needs of a run.
    options : tuple of Option
        What can be set of it.
    work : callable
        `Size` and its settings → `Work`.
    aliases : tuple of str
        What others call it.
    by_name : bool
        `--method all` leaves it out: it takes far longer than the others.
    remarks : tuple of Remark
        Where published code departs from its paper, or from ours.
    extra : str
        The extra of the package that it needs, if it needs one, and `packages` which of that.
    ready : callable or None
        `ready(context, **options)` raises `Failure` where the run has not what these settings ask of it, before
        anything is computed.
    depends : callable or None
        `depends(run's folder, **options)` → JSON: on which results in the run's folder its own depends, such as a
        detector's: name → what was asked there (`MethodResult.asked`). Results that differ in it lie in folders of
        their own, and are not summed up together.
    study : callable or None
        What else is measured when it is done, with the truth at hand: `study.Study` → `study.Studied`. The scores and
        networks are settled by then.
    check : callable or None
        Reads what `study` and `report` take of a result, as JSON; raises where that cannot be shown.
    report : callable or None
        Results of the method on several runs, each after the path of its folder → text that the commands show below
        their tables.
    """

    name: str
    title: str
    source: str
    summary: str
    needs: tuple[Need, ...] = ()
    options: tuple[Option, ...] = ()
    work: Callable[[Size, Mapping[str, Any]], Work] = lambda size, options: Work(forward=size.rows)
    aliases: tuple[str, ...] = ()
    by_name: bool = False
    remarks: tuple[Remark, ...] = ()
    extra: str = ""
    packages: tuple[str, ...] = ()
    ready: Callable[..., Any] | None = None
    depends: Callable[..., dict[str, Any]] | None = None
    study: Callable[[Any], Any] | None = None
    check: Callable[[dict[str, Any]], Any] | None = None
    report: Callable[[Sequence[tuple[Any, Any]]], str] | None = None

    def __post_init__(self) -> None:
        names = [option.name for option in self.options]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name}: two options of one name")


@dataclass(frozen=True, kw_only=True)
class DetectorSpec(MethodSpec):
    """A detector: `score(context, **options)` → `context.Detection`.

    `judges`: `alone`, each row by itself. `whole`, by the other rows, as by means or groups of them: among drawn rows,
    which all poisoned ones are among, it would meet another share of poison than there is, so it inspects all, whatever
    is drawn. `among`, by the other rows too, but at such a cost for each that it takes those drawn; that is said.
    """

    score: Callable[..., Any]
    judges: str = ALONE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.judges not in JUDGING:
            raise ValueError(f"{self.name}: judges {self.judges!r}, expected one of {', '.join(JUDGING)}")


@dataclass(frozen=True, kw_only=True)
class RepairSpec(MethodSpec):
    """A repair: `repair(context, **options)` yields `context.Stage`, one after the other; the last is its result.

    `control`: is it plain fine-tuning, beside which all others are shown?
    """

    repair: Callable[..., Iterator[Any]]
    control: bool = False


S = TypeVar("S", bound=MethodSpec)


class Registry(dict[str, S], Generic[S]):
    """Methods of one kind, by name. `kind`: what one is called, `several`: several of them."""

    def __init__(self, kind: str, several: str):
        super().__init__()
        self.kind, self.several = kind, several

    def register(self, spec: S) -> S:
        """Add a method. `ValueError` where its name is taken."""
        if spec.name in self:
            raise ValueError(f"there are two {self.several} named {spec.name!r}")
        self[spec.name] = spec
        return spec

    @property
    def aliases(self) -> dict[str, str]:
        """What others call a method → its name."""
        return {alias: spec.name for spec in self.values() for alias in spec.aliases}

    def find(self, typed: str) -> S:
        """Return the method that is meant by a name; `Usage` where that is none, or could be several."""

        def wrong(words: str) -> Usage:
            other: Registry[Any] = REPAIRS if self.kind == DETECTORS.kind else DETECTORS
            name = naming.understood(typed, other, other.aliases)
            command = "repair" if other.kind == REPAIRS.kind else "detect"
            return Usage(f"--method: {words}" + (f"; {name} is a {other.kind}: benchmark {command}" if name else ""))

        return self[naming.one_of(typed, self, wrong, self.aliases)]

    def every(self) -> list[S]:
        """Return the methods that `--method all` stands for, by name."""
        return [spec for _, spec in sorted(self.items()) if not spec.by_name]


DETECTORS: Registry[DetectorSpec] = Registry("detector", "detectors")
REPAIRS: Registry[RepairSpec] = Registry("repair", "repairs")


def register(spec: MethodSpec) -> MethodSpec:
    """Add a detector or a repair. `ValueError` where its name is taken."""
    return DETECTORS.register(spec) if isinstance(spec, DetectorSpec) else REPAIRS.register(spec)  # type: ignore
