"""Which rows an attack takes, what becomes of their labels, and which test rows measure it (data/FORMAT.md, "Rows and
labels")."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from poisonkit.core import class_names, label_modes, random_streams
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.parsing import spell
from poisonkit.poisoning.recipe import Recipe, count_rows

POISONED, COVER = 1, 2

TestedRows = dict[str, dict[str, np.ndarray]]
"""For each set of triggered test rows, by its group in the file: their `rows` in the test set, ascending, and what else
the group says of each, (n,) int64 by name."""


@dataclass(frozen=True)
class Changed:
    """The training rows that will be changed, ascending: `rows` (P,) int64, their `role` (P,) uint8, and the label that
    each is given, (P,) int64."""

    rows: np.ndarray
    role: np.ndarray
    given: np.ndarray

    @classmethod
    def none(cls) -> "Changed":
        """Nothing is changed: a clean file."""
        return cls(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int64))


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
        """Return the choice for a clean file: no row."""
        empty = np.empty(0, np.int64)
        return cls(empty, np.empty(0, np.uint8), empty, empty, 0)

    @property
    def poisoned(self) -> np.ndarray:
        """The rows that are poisoned and no cover."""
        return self.rows[self.role == POISONED]


def check_classes(recipe: Recipe, classes: int) -> None:
    """`Usage` where a class of the recipe is none of the source's."""
    for option, label in (
        ("--target", recipe.target_label),
        *(("--source-class", one) for one in recipe.source_labels),
        *(("--cover-class", one) for one in recipe.cover_labels),
    ):
        if label is not None and not 0 <= label < classes:
            raise Usage(f"{option}: expected a class from 0 to {classes - 1}, got {label}")


UNTARGETED = "untargeted"
"""The label mode, and its stream."""


def target_labels(
    recipe: Recipe, labels: np.ndarray, classes: int, rows: np.ndarray | None = None, part: str = "train"
) -> np.ndarray:
    """Return the target label of rows of these true classes and numbers in `train` or `test`, (n,) int64; where there
    is no target, another class than the true one, drawn by the row."""
    if recipe.label_mode == UNTARGETED:
        if rows is None:
            raise TypeError("untargeted labels are drawn by the row: its number is needed")
        stream = UNTARGETED if part == "train" else f"{UNTARGETED}-test"
        words = random_streams.row_words(recipe.seed, stream, rows, 1)[:, 0]
        other = random_streams.between(words, 0, classes - 2).astype(np.int64)
        return other + (other >= labels)
    if recipe.target_label is None:
        return (labels.astype(np.int64) + 1) % classes
    return np.full(len(labels), recipe.target_label, np.int64)


def choose(recipe: Recipe, train_labels: np.ndarray, test_labels: np.ndarray, classes=()) -> Choice:
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
    may_be = eligible(recipe, train_labels)
    order = random_streams.permutation(recipe.seed, "rows", total)
    poisoned = _head(recipe.rate_option, recipe.rate, order, may_be, _which(recipe, classes))
    cover = poisoned[:0]
    if recipe.cover_rate != "0":
        never = label_modes.never_covers(recipe.label_mode, recipe.target_label, recipe.source_labels)
        free = ~np.isin(train_labels, never)
        if recipe.cover_labels:
            free &= np.isin(train_labels, recipe.cover_labels)
        free[poisoned] = False
        order = random_streams.permutation(recipe.seed, "cover", total)
        which = f"of class {_names(recipe.cover_labels, classes)}" if recipe.cover_labels else "left"
        cover = _head(recipe.cover_option, recipe.cover_rate, order, free, f"{which} that may be cover rows")
    rows = np.concatenate([poisoned, cover])
    role = np.repeat(np.array([POISONED, COVER], np.uint8), [len(poisoned), len(cover)])
    ascending = np.argsort(rows, kind="stable")
    return Choice(rows[ascending], role[ascending], *tested(recipe, test_labels), int(may_be.sum()))


def tested(recipe: Recipe, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The test rows to be misclassified, and those of non-source classes (`others/`), both ascending int64."""
    rest = np.zeros(len(labels), bool)
    if recipe.label_mode == "source-specific":
        attacked = np.isin(labels, recipe.source_labels)
        rest = ~attacked & (labels != recipe.target_label)
    elif recipe.target_label is None:
        attacked = ~rest
    else:
        attacked = labels != recipe.target_label
    return np.flatnonzero(attacked).astype(np.int64), np.flatnonzero(rest).astype(np.int64)


def check_tested(recipe: Recipe, choice: Choice, source: str, classes=()) -> None:
    """`Failure` where the source has no test row to measure the attack on."""
    if not len(choice.triggered):
        which = f"no test row of {source} is of class {_names(recipe.source_labels, classes)}"
        if recipe.label_mode != "source-specific":
            which = f"every test row of {source} is of the target class"
        raise Failure(f"{which}: no attack success could be measured")


def eligible(recipe: Recipe, labels: np.ndarray) -> np.ndarray:
    """(N,) bool: which training rows may be poisoned."""
    if recipe.select == "class":
        return np.isin(labels, recipe.source_labels)
    if recipe.select == "all":
        return np.full(len(labels), True)
    return (labels == recipe.target_label) == (recipe.select == "target")


def _names(chosen: tuple[int, ...], classes) -> str:
    return ", ".join(class_names.spelled(classes, label) for label in chosen)


def _which(recipe: Recipe, classes) -> str:
    """Return what the eligible rows are, in words."""
    target = "" if recipe.target_label is None else _names((recipe.target_label,), classes)
    return {
        "all": "in all",
        "non-target": f"of other classes than {target}",
        "target": f"of class {target}",
        "class": f"of class {_names(recipe.source_labels, classes)}",
    }[recipe.select]


def _head(option: str, rate: str, order: np.ndarray, allowed: np.ndarray, which: str) -> np.ndarray:
    """Return the first ⌊rate · N⌋ rows of a permutation that are allowed."""
    total, eligible_count = len(allowed), int(allowed.sum())
    count = count_rows(rate, total, option)
    if count > eligible_count:
        digits = len(str(total)) + 1  # enough that rounding up gives no row more
        most = spell(Decimal(-(-eligible_count * 10**digits // total)).scaleb(-digits))
        raise Usage(
            f"{option}: {rate} of {total:,} training rows are {count:,}, but {eligible_count:,} are {which}: the most "
            f"is {most}"
        )
    return order[allowed[order]][:count]
