"""What was run, where, and for how long."""

from benchmark.core import environment, numbers
from benchmark.core.duration import duration
from benchmark.reporting.html import page, words
from benchmark.reporting.html.registry import Content, Section, register


def build(content: Content) -> str:
    """Build the section."""
    found, cells = content.found, content.cells
    clean = sum(run.result.dataset.is_clean for run in found)
    seconds = sum(words.seconds(run.result) for run in found)
    names, settings = sorted({cell.dataset for cell in cells}), sorted({cell.settings for cell in cells})
    devices = sorted({str(run.result.device or "not recorded") for run in found})
    lines = [
        f"{numbers.counted(len(found), 'finished run')} "
        f"({numbers.counted(clean, 'of them a clean baseline', 'of them clean baselines')}) of {', '.join(names)}.",
        f"Network and training: {'; '.join(settings)}.",
        f"Device: {', '.join(devices)}; {duration(seconds)} of training in all.",
        f"Written {environment.now()[:16].replace('T', ' ')} UTC.",
    ]
    notice = (
        f"These data sets contain deliberately poisoned {' and '.join(words.inputs(found))}, made for defensive "
        "research into backdoor attacks. Do not deploy models trained on them."
    )
    return page.paragraphs(lines) + page.note(notice)


OVERVIEW = register(Section(10, "Overview", build))
