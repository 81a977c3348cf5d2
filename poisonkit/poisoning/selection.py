"""Which rows an attack takes, what becomes of their labels, and which test rows measure it (data/FORMAT.md, "Rows and
labels")."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from poisonkit.core import class_names, random_streams
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.parsing import spell
from poisonkit.poisoning.recipe import Recipe, count_rows

POISONED, COVER = 1, 2


@dataclass(frozen=True)
class Choice:
    """What was drawn. `rows` (P,) are the changed training rows, `role` (P,) uint8 what each of them is, `eligible` how
    many could have been poisoned; `triggered` and `others` are test rows. All rows ascend and are int64."""

    rows: np.ndarray
    role: np.ndarray
    triggered: np.ndarray
    others: np.ndarray
    eligible: int

    @classmethod
    def none(cls) -> "Choice":
        """That of a clean file."""
        empty = np.empty(0, np.int64)
        return cls(empty, np.empty(0, np.uint8), empty, empty, 0)

    @property
    def poisoned(self) -> np.ndarray:
        """The rows that are poisoned and no cover."""
        return self.rows[self.role == POISONED]


def check_classes(request: Recipe, classes: int) -> None:
    """`Usage` where a class of the request is none of the source's."""
    for option, label in (("--target", request.target), *(("--source-class", one) for one in request.source_classes)):
        if label is not None and not 0 <= label < classes:
            raise Usage(f"{option}: expected a class from 0 to {classes - 1}, got {label}")


def target_labels(request: Recipe, labels: np.ndarray, classes: int) -> np.ndarray:
    """The class that the attacker wants for images of these true classes, (n,) int64."""
    if request.target is None:
        return (labels.astype(np.int64) + 1) % classes
    return np.full(len(labels), request.target, np.int64)


def choose(request: Recipe, train_labels: np.ndarray, test_labels: np.ndarray, classes=()) -> Choice:
    """Draw the rows. `classes` are their names, for messages.

    The poisoned ones are the first eligible ones of one permutation (stream `rows`), the covers the first of another
    (stream `cover`) that are not poisoned: at one seed, those of a lower rate are among those of a higher one.

    Raises
    ------
    Usage
        Where there are fewer than were asked for.
    Failure
        Where no test row is left to measure the attack on.
    """
    total = len(train_labels)
    may_be = eligible(request, train_labels)
    order = random_streams.permutation(request.seed, "rows", total)
    poisoned = _head("rate", request.rate, order, may_be, _which(request, classes))
    cover = poisoned[:0]
    if request.cover_rate != "0":
        free = ~np.isin(train_labels, _never_covers(request))
        free[poisoned] = False
        order = random_streams.permutation(request.seed, "cover", total)
        cover = _head("--cover-rate", request.cover_rate, order, free, "left that may be cover rows")
    rows = np.concatenate([poisoned, cover])
    role = np.repeat(np.array([POISONED, COVER], np.uint8), [len(poisoned), len(cover)])
    ascending = np.argsort(rows, kind="stable")
    return Choice(rows[ascending], role[ascending], *tested(request, test_labels), int(may_be.sum()))


def tested(request: Recipe, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The test rows that the attacker wants misclassified, and those of `others/`, both ascending int64."""
    rest = np.zeros(len(labels), bool)
    if request.label_mode == "source-specific":
        attacked = np.isin(labels, request.source_classes)
        rest = ~attacked & (labels != request.target)
    elif request.target is None:
        attacked = ~rest
    else:
        attacked = labels != request.target
    return np.flatnonzero(attacked).astype(np.int64), np.flatnonzero(rest).astype(np.int64)


def check_tested(request: Recipe, choice: Choice, source: str, classes=()) -> None:
    """`Failure` where the source has no test row to measure the attack on."""
    if not len(choice.triggered):
        which = f"no test row of {source} is of class {_names(request.source_classes, classes)}"
        if request.label_mode != "source-specific":
            which = f"every test row of {source} is of the target class"
        raise Failure(f"{which}: no attack success could be measured")


def eligible(request: Recipe, labels: np.ndarray) -> np.ndarray:
    """(N,) bool: which training rows may be poisoned."""
    if request.select == "class":
        return np.isin(labels, request.source_classes)
    if request.select == "all":
        return np.full(len(labels), True)
    return (labels == request.target) == (request.select == "target")


def _names(chosen: tuple[int, ...], classes) -> str:
    return ", ".join(class_names.spelled(classes, label) for label in chosen)


def _which(request: Recipe, classes) -> str:
    """What the eligible rows are, in words."""
    target = "" if request.target is None else _names((request.target,), classes)
    return {
        "all": "in all",
        "non-target": f"of other classes than {target}",
        "target": f"of class {target}",
        "class": f"of class {_names(request.source_classes, classes)}",
    }[request.select]


def _never_covers(request: Recipe) -> list[int]:
    """The classes whose rows are no covers: those of the target would be poisoned rows, those of a source class undo
    them."""
    if request.label_mode == "source-specific":
        return [*request.source_classes, request.target]
    return [request.target] if request.label_mode == "clean-label" else []


def _head(option: str, rate: str, order: np.ndarray, allowed: np.ndarray, which: str) -> np.ndarray:
    """The first ⌊rate · N⌋ rows of a permutation that are allowed."""
    total, there = len(allowed), int(allowed.sum())
    count = count_rows(rate, total, option)
    if count > there:
        digits = len(str(total)) + 1  # enough that rounding up gives no row more
        most = spell(Decimal(-(-there * 10**digits // total)).scaleb(-digits))
        raise Usage(
            f"{option}: {rate} of {total:,} training rows are {count:,}, but {there:,} are {which}: the most is {most}"
        )
    return order[allowed[order]][:count]
