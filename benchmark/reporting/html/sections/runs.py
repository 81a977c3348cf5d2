"""Every run with all that was recorded of it."""

from typing import Any

from benchmark.reporting.html import page, words
from benchmark.reporting.html.registry import Content, Section, register
from benchmark.runs.groups import TITLES


def build(content: Content) -> str:
    """Build the section."""
    return "".join(page.details(run.result["name"], page.pairs(described(run.result))) for run in content.found)


def described(result: dict[str, Any]) -> dict[str, str]:
    """Return names and values of what was recorded of a run."""
    return {
        "data set": f"{result['dataset']['name']}, {result['dataset'].get('digest', 'not recorded')}",
        "recipe": words.spelled(result["dataset"]["recipe"]),
        "counts": words.spelled(result["dataset"]["counts"]),
        "configuration": words.spelled(result["config"]),
        "scores": "; ".join(
            f"{TITLES.get(name, name)} {value['percent']:.2f} % ({value['count']:,} of {value['of']:,})"
            for name, value in result["scores"].items()
            if isinstance(value, dict) and value.get("of")
        ),
        "CAD against": words.spelled({k: v for k, v in (result["baseline"] or {}).items() if k != "asr_by_class"}),
        "speed": f"{result.get('images_per_second', 0):.0f} {words.inputs_of(result)}/s, {words.seconds(result):.0f} s",
        "device": str(result.get("device", "not recorded")),
        "versions": words.spelled(result.get("environment", {}).get("versions", {})),
        "finished": str(result.get("finished", "not recorded")),
    }


RUNS = register(Section(110, "All runs", build))
