"""Attention heads (ours, after the paper named below): suspicious is a text on which the similarity of an encoder's
heads is far from that on clean texts of similar length; docs/heads.md has the method in full.

A first pass ranks the rows by the Mahalanobis distance of all heads' similarities, and flags the farthest; the heads
whose similarity has moved most on those are contaminated, and a second pass ranks by them alone.
"""

from typing import Any

import numpy as np

from benchmark.analysis.heads import anomaly, detect, pictures, results
from benchmark.analysis.heads import detector as scoring
from benchmark.analysis.heads.detect import Searched
from benchmark.analysis.heads.detector import SCORES, DetectorSettings
from benchmark.core.errors import Failure
from benchmark.core.numbers import counted
from benchmark.defences import heads
from benchmark.defences.context import DefenceContext, Detection
from benchmark.defences.options import Option
from benchmark.defences.registry import AMONG, DetectorSpec, Work, register
from benchmark.defences.study import Studied, Study
from benchmark.training.metrics import Json


def score(context: DefenceContext, *, score: str, **options: Any) -> Detection:
    """Score every row; one that is not ranked, since it is too short or was not drawn, gets the score of a clean text
    in the middle of all."""
    settings = DetectorSettings(**options)
    found = detect.search(heads.opened(context), settings, context.log)
    ranked = found.suspects.measured.scores
    if score not in ranked:
        raise Failure(f"no head's |median z| reaches {settings.threshold} on flagged rows, so there is no second pass")
    place = np.searchsorted(context.rows, found.suspects.rows)
    neutral = float(np.median(found.detector.scores(found.detector.reference.own)[score]))
    scores, flagged = np.full(len(context.rows), neutral), np.zeros(len(context.rows), bool)
    scores[place] = ranked[score]
    flagged[place[anomaly.first(ranked[score], scoring.count_of(settings.flag, len(place)))]] = True
    if found.suspects.too_short:
        short, words = counted(found.suspects.too_short, "text"), counted(settings.min_words, "word")
        context.log(f"heads: {short} under {words}: a neutral score")
    return Detection(scores, flagged, _findings(found, len(context.rows), neutral, settings), state=found)


def _findings(found: Searched, inspected: int, neutral: float, settings: DetectorSettings) -> Json:
    """Say, without the truth, what was ranked and which heads are contaminated."""
    suspects, shape = found.suspects, found.model.shape
    flagged = suspects.flagged(settings.flag)
    median = np.median(suspects.measured.z[flagged["mahalanobis"]], axis=0)
    return {
        "ranked": len(suspects.rows),
        "too_short": suspects.too_short,
        "not_drawn": inspected - len(suspects.rows) - suspects.too_short,
        "neutral_score": round(neutral, 6),
        "contaminated": [
            {"layer": int(head) // shape[1], "head": int(head) % shape[1], "median_z": round(float(median[head]), 5)}
            for head in found.detector.heads
        ],
    }


def study(of: Study) -> Studied:
    """Measure the ranking against the truth, and what else raises the alarm, on this model and its clean twin."""
    settings = DetectorSettings(**{name: value for name, value in of.settings.items() if name != "score"})
    found = of.state.beside(heads.opened_with_truth(of.subject))
    raw, controls = detect.study(found, settings, of.subject.twin, of.target, of.log)
    drawn = pictures.of_detection(
        found.model, found.detector, found.suspects, controls.measured["controls"], controls.texts["controls"]
    )
    return Studied(raw, pictures.to_files(drawn))


register(
    DetectorSpec(
        name="heads",
        title="Attention heads",
        source=f"ours, after {heads.PAPER}",
        summary="How far the similarity of an encoder's attention heads is from that on clean texts of similar length.",
        score=score,
        judges=AMONG,
        needs=heads.NEEDS,
        options=(
            Option("score", "What rows are ranked by: the distance over all heads, the largest |z|, the mean over all "
                   "heads, which is the paper's claim, or the contaminated heads alone.", str, "mahalanobis",
                   choices=tuple(SCORES), source="ours"),
            *heads.OPTIONS,
        ),
        work=lambda size, options: Work(forward=4 * min(size.rows, options["rows"] or size.rows) + 8 * size.clean),
        aliases=("attention-heads",),
        study=study,
        check=results.studied,
        report=heads.report,
    )
)  # fmt: skip
