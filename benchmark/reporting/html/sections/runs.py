"""Every run with all that was recorded of it."""

from benchmark.reporting.html import page, words
from benchmark.reporting.html.registry import Content, Section, register
from benchmark.runs.groups import TITLES
from benchmark.runs.result import RunResult
from benchmark.training.metrics import Scores, Share


def build(content: Content) -> str:
    """Build the section."""
    return "".join(
        page.details(run.result.name, page.pairs(described(run.result)), content.run_key(run)) for run in content.found
    )


def described(result: RunResult) -> dict[str, str]:
    """Return names and values of what was recorded of a run."""
    return {
        "data set": f"{result.dataset.name}, {result.dataset.digest or 'not recorded'}",
        "recipe": words.spelled(result.dataset.recipe.raw),
        "counts": words.spelled(result.dataset.counts),
        "configuration": words.spelled(result.config.raw),
        "scores": "; ".join(
            f"{title} {share.percent:.2f} % ({share.count:,} of {share.of:,})"
            for title, share in _scores(result.scores)
            if share is not None and share.percent is not None
        ),
        "CAD against": words.spelled({} if result.baseline is None else result.baseline.json()),
        "speed": f"{result.images_per_second or 0:.0f} {words.inputs_of(result)}/s, {words.seconds(result):.0f} s",
        "device": str(result.device or "not recorded"),
        "versions": words.spelled(result.versions),
        "finished": str(result.finished or "not recorded"),
    }


def _scores(scores: Scores) -> list[tuple[str, Share | None]]:
    return [
        ("BA", scores.ba),
        ("ASR", scores.asr),
        ("most_predicted", scores.most_predicted),
        (TITLES["still_right"], scores.robust_accuracy),
        (TITLES["asr_others"], scores.asr_others),
    ]


RUNS = register(Section(110, "All runs", build))
