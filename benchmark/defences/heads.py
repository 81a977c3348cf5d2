"""What the detector and the repair `heads` have in common: their run as the analysis of heads takes it, its options."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.analysis.heads import results, tables
from benchmark.analysis.heads.detector import share_of
from benchmark.defences.context import DefenceContext
from benchmark.defences.needs import CLEAN_ROWS, HEADS
from benchmark.defences.options import Option
from benchmark.defences.subject import Subject
from benchmark.nn import tokenizers
from benchmark.runs.context import Opened

NEEDS = (HEADS, CLEAN_ROWS)
PAPER = "Uncovering and Aligning Anomalous Attention Heads to Defend Against NLP Backdoor Attacks"
OPTIONS = (
    Option("metric", "Similarity of two heads.", str, "cosine", choices=("cosine", "pearson"), source="ours"),
    Option("map", "What is compared: attention from [CLS], the whole attention map, or a head's contribution to [CLS], "
           "reduced to 32 dimensions by PCA.", str, "row", choices=("row", "full", "output"), source="paper: output"),
    Option("min_words", "Least length of a text to be ranked.", int, 5, least=1, source="ours"),
    Option("flag", "Share of the ranked rows that each pass flags: 0.03 or 3%.", str, "0.03", parse=share_of,
           source="ours"),
    Option("heads", "How many heads are treated as contaminated, at most half of all.", int, 8, least=1, source="ours"),
    Option("threshold", "Instead of heads: all whose |median z| over the flagged rows is at least this.", float, None,
           above=0),
    Option("rows", "How many of the inspected rows are ranked, drawn at random; without it all.", int, None, least=1),
)  # fmt: skip
"""The detector's."""


def opened(context: DefenceContext) -> Opened:
    """Return a run as it is opened for a method: without the truth."""
    run = context.run
    return Opened(
        run, run.finished(), context.written, tokenizers.load(run.folder), context.clean_written, context.rows
    )


def opened_with_truth(subject: Subject) -> Opened:
    """Return the same run for what is measured when the method is done."""
    run, context = subject.run, subject.context
    tokenizer = tokenizers.load(run.folder)
    return Opened(run, subject.trained, subject.written, tokenizer, context.clean_written, context.rows)


def report(found: Sequence[tuple[Path, Any]]) -> str:
    """Show the studies of results, each after its folder: run by run, then over the runs."""
    return tables.report([results.of(one.raw) for _, one in found], [folder.parent for folder, _ in found])
