"""Attention heads realigned (ours, after the paper that `defences.heads` names): the heads that the detector `heads`
calls contaminated are tuned alone, so that on flagged rows their similarity is what it is on clean ones; docs/heads.md
has the method, and what of it works.

The loss is the cross-entropy on clean rows, the deviation of the heads' similarity on the flagged rows from its
reference statistics and, with `unlearn`, the distance from a flat prediction on those rows.
"""

from collections.abc import Iterator
from typing import Any

from benchmark.analysis.heads import align, pictures, results
from benchmark.analysis.heads.detector import nested
from benchmark.defences import heads
from benchmark.defences.context import DefenceContext, Stage
from benchmark.defences.options import Option
from benchmark.defences.registry import RepairSpec, Work, register
from benchmark.defences.study import Studied, Study


def repair(context: DefenceContext, **options: Any) -> Iterator[Stage]:
    """Yield the aligned network."""
    settings = align.complete(options)
    detection = align.detect_heads(heads.opened(context), settings, context.log)
    asked = align.align(detection, context.watch)
    findings = {
        "clean": len(detection.clean.labels),
        "flagged": len(detection.flagged),
        "contaminated": [list(head) for head in detection.pairs(detection.detector.heads)],
        "median_z": nested(detection.median_z, detection.model.shape),
    }
    yield Stage(asked.model, "aligned", "flat" if settings.unlearn else "", findings, state=(detection, asked))


def study(of: Study) -> Studied:
    """Put the aligned network beside its baselines: untouched, heads switched off, full fine-tuning on the same clean
    rows, as many random heads, and each part of the loss left out."""
    detection, asked = of.state
    detection = detection.beside(heads.opened_with_truth(of.subject))
    last = of.steps[-1]
    raw, steps = align.study(detection, asked, last.history, last.model, of.target, of.log)
    median = detection.median_z.reshape(detection.model.shape)
    drawn = pictures.of_alignment(detection.model, detection.detector, steps, detection.importance, median, asked.model)
    return Studied(raw, pictures.to_files(drawn))


OPTIONS = (
    *heads.OPTIONS,
    Option("one_target", "Learn only from those flagged rows that get the class which most of them get, not from all.",
           bool, True, source="ours"),
    Option("labelled_rows", "How many clean rows to learn from with their labels.", int, 1000, least=1, source="ours"),
    Option("unlearn", "Also push flagged rows towards a flat prediction.", bool, False, source="ours"),
    Option("unlearn_weight", "Weight of the unlearning loss.", float, 1.0, above=0, source="ours"),
    Option("flat", "What is to be flat: each flagged row's prediction, or their mean.", str, "mean",
           choices=("rows", "mean"), source="ours"),
    Option("lean", "How far the flat prediction leans away from the class predicted before: 0, not at all; 1, that "
           "class gets nothing.", float, 0.5, least=0, most=1, source="ours"),
    Option("strength", "Weight of the alignment loss, the mean of min(z², 100) on flagged rows; without it 10, with "
           "unlearn 1.", float, None, least=0, source="ours"),
    Option("epochs", "Epochs of tuning heads alone; without it 6, with unlearn 2.", int, None, least=1, source="ours"),
    Option("learning_rate", "Learning rate of tuning heads alone; without it 0.001, with unlearn 0.0003.", float, None,
           above=0, source="ours"),
    Option("full_epochs", "Epochs of full fine-tuning, a baseline; without it 3, with unlearn 2.", int, None, least=1,
           source="ours"),
    Option("full_rate", "Learning rate of full fine-tuning.", float, 5e-5, above=0, source="ours"),
    Option("baselines", "Also train the baselines.", bool, True),
    Option("keep_models", "Also save the baselines' networks.", bool, False),
    Option("seed", "Seed of the order of rows and of the random heads.", int, 0, least=0),
)  # fmt: skip

register(
    RepairSpec(
        name="heads",
        title="Attention heads realigned",
        source=f"ours, after {heads.PAPER}",
        summary="Tunes the contaminated attention heads of an encoder alone, until they look as on clean texts.",
        repair=repair,
        needs=heads.NEEDS,
        options=OPTIONS,
        work=lambda size, options: Work(
            forward=4 * min(size.rows, options["rows"] or size.rows) + 8 * size.clean,
            trained=(options["epochs"] or 6) * 2 * min(size.clean, options["labelled_rows"])
            * (9 if options["baselines"] else 1),
        ),
        aliases=("align",),
        study=study,
        check=results.studied,
        report=heads.report,
    )
)  # fmt: skip
