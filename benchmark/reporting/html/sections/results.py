"""BA, ASR and CAD over the seeds."""

from benchmark.reporting import cells, tables
from benchmark.reporting.html import page, words
from benchmark.reporting.html.registry import Content, Section, register


def build(content: Content) -> str:
    """Build the section."""
    kinds = " and ".join(words.inputs(content.found))
    legend = (
        f"BA: accuracy on clean test {kinds}. ASR: share of triggered {kinds} classified as the attacker intends. CAD: "
        f"the clean model's BA minus BA. Clean ASR: the clean model's ASR on the same {kinds}. RA (robust accuracy): "
        f"share of triggered {kinds} still assigned their true label. Percent; {tables.legend(content.cells)}."
    )
    below = [*tables.notes([run.result for run in content.found]), *tables.left_out(content.errors)]
    notes = "".join(map(page.note, below))
    keys = [attack_key(number) for number in range(len(content.cells))]
    return (
        page.paragraphs([legend])
        + notes
        + page.layout(cells.columns(content.cells), keys, words.runs(content, content.cells))
    )


def attack_key(number: int) -> str:
    """Return what links to a row lead to, by the number of its cell."""
    return f"attack-{number}"


RESULTS = register(Section(30, "Results", build))
