"""The board as HTML: for each network two tables, filters above them, and the figures as JSON and CSV."""

from collections.abc import Callable, Mapping, Sequence

from benchmark.reporting import board as boards
from benchmark.reporting import cells, finding
from benchmark.reporting.board import DETECTOR, REPAIR, Attack, Board, Column, Spot
from benchmark.reporting.html import page

CAPTIONS = {
    REPAIR: "What each repair leaves of each attack: ASR in percent, beside that of the network as it was.",
    DETECTOR: "What each detector finds of the poisoned rows: percent of them at 1 % false positives.",
}
LEGENDS = {
    REPAIR: "The stronger the colour, the more of the attack is left. ✓ ASR of at most 10 % for at most 5 points of "
    "BA; ▼ at most 10 %, but for more BA; ✗ still above 50 %; · the attack had failed anyway.",
    DETECTOR: "The stronger the colour, the more of the poisoned rows are missed. ✓ finds 90 % or more; ✗ finds less "
    "than 10 %.",
}
HOW = (
    "Point at a figure, or go to it with the tab and arrow keys, for BA lost, interval and seeds; it leads to its runs."
    " The heading of a column sorts by it."
)


def html(board: Board, places: Mapping[int, str]) -> str:
    """Return the board. `places`: number of a spot → the key of what its cell leads to."""
    networks = board.networks
    parts = [_controls(board), *(_matrix(board, network, places) for network in networks)]
    if any(spot.published for spot in board.spots):
        parts.append(_sources(board))
    records = boards.records(board)
    files = page.download(boards.csv(board), "text/csv", "board.csv", "Figures as CSV")
    return (
        f'<div id="board">\n{"".join(parts)}<p class="legend scripts">{page.escape(HOW)}</p>\n'
        f'<p class="files">{files}</p>\n</div>\n{page.data("board-data", records)}'
    )


def _controls(board: Board) -> str:
    """Return the filters: what there are several of."""
    rows = board.attacks
    kinds = {
        "dataset": ("Data set", list(dict.fromkeys(row.cell.dataset for row in rows))),
        "attack": ("Attack", list(dict.fromkeys(row.cell.trigger for row in rows))),
        "rate": ("Rate", [row.rate for row in sorted(rows, key=lambda row: row.cell.rate)]),
    }
    controls = [_select("network", "Network", board.networks, every=False)] if len(board.networks) > 1 else []
    for name, (title, values) in kinds.items():
        if len(values := list(dict.fromkeys(values))) > 1:
            controls.append(_select(name, title, values))
    if any(spot.published for spot in board.spots):
        controls.append('<label><input type="checkbox"> Published figures beside</label>')
    return f'<div class="controls scripts" role="group" aria-label="Filters">{"".join(controls)}</div>\n'


def _select(name: str, title: str, values: Sequence[str], every: bool = True) -> str:
    options = ['<option value="">all</option>'] if every else []
    options += [f'<option value="{page.escape(value)}">{page.escape(value)}</option>' for value in values]
    return f'<label>{title} <select name="{name}">{"".join(options)}</select></label>'


def _matrix(board: Board, network: str, places: Mapping[int, str]) -> str:
    """Return the tables of one network."""
    spots = {(spot.attack, spot.column): number for number, spot in enumerate(board.spots)}
    rows = [row for row in board.attacks if row.network == network]
    findings = page.findings(finding.sentences(board, network))
    tables = []
    for kind in (REPAIR, DETECTOR):
        columns = [
            column for column in board.columns
            if column.kind == kind and any((row, column) in spots for row in rows)
        ]  # fmt: skip
        if any(column.name for column in columns):
            tables.append(_table(board, kind, rows, columns, spots, places))
    heading = page.heading(network) if len(board.networks) > 1 else ""
    nothing = '<p class="nothing" hidden>No attack here is of that data set, kind and rate.</p>\n'
    inside = f"{heading}<div>{findings}</div>{''.join(tables)}{nothing}"
    return f'<div class="matrix" data-network="{page.escape(network)}">\n{inside}</div>\n'


def _table(
    board: Board,
    kind: str,
    rows: Sequence[Attack],
    columns: Sequence[Column],
    spots: Mapping[tuple[Attack, Column], int],
    places: Mapping[int, str],
) -> str:
    rows = [row for row in rows if any((row, column) in spots for column in columns)]
    named = _name_of(rows)
    head = "".join(_heading(column) for column in columns)
    body = []
    for row in rows:
        figures = [_cell(board.spots[number], number, places.get(number)) if number is not None else "<td></td>"
                 for number in (spots.get((row, column)) for column in columns)]  # fmt: skip
        name = f'<th scope="row" class="left">{page.escape(named(row))}<small>{page.escape(row.rate)}</small></th>'
        told = {"dataset": row.cell.dataset, "attack": row.cell.trigger, "rate": row.rate}
        marks = "".join(f' data-{key}="{page.escape(value)}"' for key, value in told.items())
        body.append(f"<tr{marks}>{name}{''.join(figures)}</tr>\n")
    key = f"{kind}-{board.networks.index(rows[0].network)}"
    return (
        f'<div><p class="caption" id="{key}">{page.escape(_caption(rows, kind))}</p>\n'
        f'<div class="wide"><table class="board" aria-labelledby="{key}">\n'
        f'<thead><tr><th scope="col" class="left">attack</th>{head}</tr></thead>\n<tbody>\n{"".join(body)}</tbody>'
        f'</table></div>\n<p class="legend">{_ramp(kind)} {page.escape(LEGENDS[kind])}</p></div>\n'
    )


def _caption(rows: Sequence[Attack], kind: str) -> str:
    """Return the sentence above a table, with what is the same in all rows."""
    same = [values.pop() for values in _names(rows) if len(values) == 1]
    return CAPTIONS[kind] + (f" All attacks: {', '.join(filter(None, same))}." if any(same) else "")


def _name_of(rows: Sequence[Attack]) -> Callable[[Attack], str]:
    """Return what names an attack in a row: what is not the same in all."""
    datasets, places = (len(values) > 1 for values in _names(rows))

    def name(attack: Attack) -> str:
        parts = [attack.cell.dataset if datasets else "", cells.trigger(attack.cell), attack.place if places else ""]
        return ", ".join(filter(None, parts))

    return name


def _names(rows: Sequence[Attack]) -> tuple[set[str], set[str]]:
    return {row.cell.dataset for row in rows}, {row.place for row in rows}


def _heading(column: Column) -> str:
    note = "<small>control</small>" if column.control else ""
    note += f"<small>{page.escape(column.settings)}</small>" if column.settings else ""
    name = page.escape(column.name or boards.UNDEFENDED)
    return f'<th scope="col"><button type="button">{name}</button>{note}</th>'


def _cell(spot: Spot, number: int, place: str | None) -> str:
    value = f"{spot.main.mean:.1f}"
    mark = f'<b aria-hidden="true">{spot.mark}</b>' if spot.mark else ""
    figures = "".join(
        f'<i class="published">{_letter(one.source)} {one.asr:.1f}{" ≠" if one.other else ""}</i>'
        for one in spot.published
        if one.asr is not None
    )
    target = f' href="#{page.escape(place)}"' if place else ' href="#board"'
    kind = f"step{spot.step}" if spot.column.name else "plain"
    return f'<td class="{kind}" data-value="{value}"><a{target} data-cell="{number}">{value}{mark}</a>{figures}</td>'


def _ramp(kind: str) -> str:
    """Return the steps of the colour, each with the figures that cells of it have: of detectors what is found."""
    ends = [0, *boards.STEPS, 100]
    ranges = zip(ends, ends[1:], strict=False)
    shown = [(low, high) if kind == REPAIR else (100 - high, 100 - low) for low, high in ranges]
    boxes = "".join(f'<span class="step{step}">{low:g}–{high:g}</span>' for step, (low, high) in enumerate(shown))
    return f'<span class="ramp">{boxes}</span>'


def _letter(source: str) -> str:
    """Return the letters that stand for a source in a cell: its capitals, or its first."""
    return page.escape("".join(letter for letter in source if letter.isupper())[:3] or source[:2])


def _sources(board: Board) -> str:
    names = dict.fromkeys(one.source for spot in board.spots for one in spot.published)
    words = "; ".join(f"{_letter(name)}: {page.escape(name)}" for name in names)
    return (
        f'<p class="legend published">Published ASR of the same attack, network and rate: {words}. ≠: at other '
        "settings than ours.</p>\n"
    )
