"""Every run with all that was recorded of it."""

from benchmark.reporting.html import page, words
from benchmark.reporting.html.registry import Content, Section, register
from benchmark.runs.groups import TITLES
from benchmark.runs.result import RunResult


def build(content: Content) -> str:
    """Build the section."""
    return "".join(page.details(run.result.name, page.pairs(described(run.result))) for run in content.found)


def described(result: RunResult) -> dict[str, str]:
    """Return names and values of what was recorded of a run."""
    comparison = {} if result.baseline is None else result.baseline.raw
    return {
        "data set": f"{result.dataset.name}, {result.dataset.digest or 'not recorded'}",
        "recipe": words.spelled(result.dataset.recipe),
        "counts": words.spelled(result.dataset.counts),
        "configuration": words.spelled(result.config.raw),
        "scores": "; ".join(
            f"{TITLES.get(name, name)} {value['percent']:.2f} % ({value['count']:,} of {value['of']:,})"
            for name, value in result.scores.raw.items()
            if isinstance(value, dict) and value.get("of")
        ),
        "CAD against": words.spelled({k: v for k, v in comparison.items() if k != "asr_by_class"}),
        "speed": f"{result.images_per_second or 0:.0f} {words.inputs_of(result)}/s, {words.seconds(result):.0f} s",
        "device": str(result.device or "not recorded"),
        "versions": words.spelled(result.versions),
        "finished": str(result.finished or "not recorded"),
    }


RUNS = register(Section(110, "All runs", build))
