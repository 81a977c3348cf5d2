"""An audit's findings, for people and for programs."""

import numpy as np

from poisonkit import metrics
from poisonkit.audit import Audited
from poisonkit.audit.finding import count

SHOWN = 8


def score(rows: np.ndarray, truth: np.ndarray) -> dict:
    """Precision and recall of rows against the truth."""
    return metrics.cut(len(np.intersect1d(rows, truth)), len(rows), len(truth))


def lines(found: Audited) -> list[str]:
    """One line a probe, and the sum."""
    rows = [f"{found.path}: {found.name}, {found.rows:,} training rows"]
    width = max(len(finding.name) for finding in found.findings)
    for finding in found.findings:
        mark = " " if not len(finding.rows) else "!" if finding.sure else "?"
        rows.append(f" {mark} {finding.name:{width}}  {finding.text}{_verdict(finding.rows, found.truth)}")
    total = found.found
    if not len(total):
        return [*rows, "no row was found"]
    some = ", ".join(map(str, total[:SHOWN])) + (", …" if len(total) > SHOWN else "")
    return [*rows, f"{count(total, 'found')}{_verdict(total, found.truth)}: {some}"]


def _verdict(rows: np.ndarray, truth: np.ndarray | None) -> str:
    if truth is None or not len(rows):
        return ""
    said = score(rows, truth)
    recall = "" if said["recall"] is None else f", recall {said['recall']:.3f}"
    return f" [precision {said['precision']:.3f}{recall}]"


def table(found: Audited) -> dict:
    """Everything, as JSON has it."""

    def entry(rows):
        scored = {} if found.truth is None else {key: score(rows, found.truth)[key] for key in ("precision", "recall")}
        return {"rows": rows.tolist(), **scored}

    return {
        "file": str(found.path),
        "name": found.name,
        "training_rows": found.rows,
        "changed": None if found.truth is None else len(found.truth),
        "findings": [
            {"probe": one.name, "text": one.text, "sure": one.sure} | entry(one.rows) for one in found.findings
        ],
        "found": entry(found.found),
    }
