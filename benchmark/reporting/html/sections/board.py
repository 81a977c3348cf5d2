"""What works: the finding in a few sentences, and the board of attacks by defences."""

from benchmark.reporting import finding
from benchmark.reporting.html import board, page
from benchmark.reporting.html.registry import Content, Section, register
from benchmark.reporting.html.sections.methods import key_of
from benchmark.reporting.html.sections.results import attack_key

WITHOUT = (
    "No detector and no repair was tried on these runs yet (benchmark detect, benchmark repair); this place then shows "
    "attacks by defences."
)


def build(content: Content) -> str:
    """Build the section; it is empty where nothing was poisoned."""
    found = content.board
    if not found.attacks:
        return ""
    if not found:
        lines = [line for network in found.networks for line in finding.sentences(found, network)]
        return page.findings(lines) + page.paragraphs([WITHOUT])
    numbers = {id(cell): number for number, cell in enumerate(content.cells)}
    keys = {
        number: attack_key(numbers[id(spot.cell)]) if spot.group is None else key_of(content, spot.group)
        for number, spot in enumerate(found.spots)
    }
    return board.html(found, keys)


WORKS = register(Section(5, "What works", build))
