"""A ranking for people: a table of at most 100 columns, and what its signs mean."""

import unicodedata
from collections.abc import Iterator

from poisonkit.blind.grade import head
from poisonkit.blind.ranking import Chance, Ranked, Ranking
from poisonkit.core.intervals import Interval
from poisonkit.core.numbers import counted

NAME, CELLS = 26, (21, 20, 20)
NOISE, BASELINE = "≈", "*"
NONE = "–"


def lines(ranking: Ranking) -> list[str]:
    """Lay out the table."""
    first = [f"{name:20}{text}" for name, text in head(ranking.record())]
    if ranking.cover:
        first.append(f"{'':20}both kinds count as found: they were changed")
    if not ranking.submissions:
        return first
    titles = _line("", "", "name", "AUROC [95 %]", "TPR at 1 % FPR", "TPR at 5 % FPR")
    return [*first, "", titles, *_rows(ranking), "", *_legend(ranking)]


def _rows(ranking: Ranking) -> Iterator[str]:
    """Yield a line for each submission, and one for chance where it belongs."""
    chance = ranking.chance
    for one in ranking:
        if chance and one.auroc is not None and one.auroc < chance.auroc:
            yield _chance(chance)
            chance = None
        yield _row(one)
    if chance:
        yield _chance(chance)


def _row(one: Ranked) -> str:
    sign = NOISE if one.behind and one.behind.within_noise else ""
    rank = NONE if one.rank is None else str(one.rank)
    cells = [_cell(one.tpr_at_1_percent_fpr, one.tpr_at_1_percent_fpr_interval),
             _cell(one.tpr_at_5_percent_fpr, one.tpr_at_5_percent_fpr_interval)]  # fmt: skip
    if one.listed is not None:
        shares = f"precision {_short(one.listed['precision'])}, recall {_short(one.listed['recall'])}"
        cells = [f"{counted(one.submitted, 'row')}: {shares}"]
    name = fitted(one.name, NAME - 2) + f" {BASELINE}" if one.baseline else fitted(one.name, NAME)
    return _line(sign, rank, name, _cell(one.auroc, one.auroc_interval, 4), *cells)


def _chance(chance: Chance) -> str:
    return _line(
        "",
        NONE,
        "chance",
        _cell(chance.auroc, chance.auroc_range, 4),
        _cell(chance.tpr_at_1_percent_fpr, chance.tpr_at_1_percent_fpr_range),
        _cell(chance.tpr_at_5_percent_fpr, chance.tpr_at_5_percent_fpr_range),
    )


def _line(sign: str, rank: str, name: str, *cells: str) -> str:
    begin = f"{sign:1} {rank:>3}  {name}{' ' * (NAME - width(name))}"
    return "  ".join([begin, *(f"{cell:{columns}}" for columns, cell in zip(CELLS, cells, strict=False))]).rstrip()


def _cell(value: float | None, interval: Interval | None, digits: int = 3) -> str:
    if value is None or interval is None:
        return NONE
    return f"{value:.{digits}f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _short(share: float | None) -> str:
    return NONE if share is None else f"{share:.3f}"


def _legend(ranking: Ranking) -> Iterator[str]:
    """Yield what the signs of this table mean, and what is odd in it."""
    if any(one.behind and one.behind.within_noise for one in ranking):
        yield f"{NOISE} not told apart from the submission above: the 95 % interval of the paired difference holds 0"
    if any(one.baseline for one in ranking):
        yield f"{BASELINE} a baseline"
    if any(one.listed is not None for one in ranking):
        yield "rows without scores stand by their balanced accuracy, which is the AUROC of such a list"
    if ranking.chance:
        yield "chance: the mean, and the range of 95 %, of scores that say nothing"
    else:
        yield f"{'no' if not ranking.changed else 'every'} row was changed, so that nothing can be ranked"
    for one in ranking:
        if one.auroc_interval and one.auroc_interval[1] < 0.5:
            yield f"{fitted(one.name, NAME)}: worse than chance: a higher score must be a more suspicious row"


def width(text: str) -> int:
    """Count the columns that a printable text takes in a terminal."""
    return sum(map(_columns, text))


def fitted(text: str, columns: int) -> str:
    """Return a text in at most so many columns, with … for what is cut out of its middle: names often end in what tells
    them apart."""
    if width(text) <= columns:
        return text
    before, after = _taken(text, (columns - 1) * 2 // 3), _taken(text[::-1], (columns - 1) - (columns - 1) * 2 // 3)
    return f"{before}…{after[::-1]}"


def _taken(text: str, columns: int) -> str:
    """Return the beginning of a text that takes at most so many columns."""
    used = 0
    for place, letter in enumerate(text):
        used += _columns(letter)
        if used > columns:
            return text[:place]
    return text


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
