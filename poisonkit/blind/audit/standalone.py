"""What the sealed file says by itself of each row: its training rows beside its test rows, which no attack changes."""

import numpy as np

from poisonkit.blind.audit import class_contrast, grids, learned_labels
from poisonkit.blind.audit.finding import Finding, count
from poisonkit.blind.audit.probes import TABLE, pixels

SMALLEST = 8  # pixels a side
UNEVEN = 4.0  # standard deviations by which a class is too large


def look(data, labels: np.ndarray, rows_at_once: int, progress) -> list[Finding]:
    """Run every probe that makes scores of the file's own images, and the class sizes."""
    test, shape = data["test/labels"], data.split("train").shape
    findings = [sizes(labels, test)]
    if min(shape[1:3]) < SMALLEST or not len(test):
        return findings
    for probe in TABLE:
        with progress(len(labels) + len(test), probe.NAME, "images") as bar:
            parts = [
                grids.gathered(data.blocks(f"{part}/images", rows_at_once), probe.describe, bar.update)
                for part in ("train", "test")
            ]
        findings.append(by_class(f"{probe.NAME} by class", class_contrast.shifts(parts[0], labels, parts[1], test)))
        if probe is pixels and len(parts[1]) > parts[1].shape[1]:  # fewer test rows do not say what is usual
            text = "how far rows lie along the direction of most outliers"
            findings.append(Finding("outliers of pixels", text, scores=class_contrast.outliers(*parts)))
    with progress(None, "learned labels", "images") as bar:
        findings.append(learned_labels.look(data, labels, test, bar.update))
    return findings


def by_class(name: str, found: class_contrast.Scored, **more) -> Finding:
    """Return the finding of a probe that compares classes."""
    text = "no class stands out; rows are ranked nevertheless"
    if found.classes:
        text = f"class {', '.join(map(str, found.classes))} stands out; {count(found.rows, 'of it far out')}"
    return Finding(name, text, found.rows, scores=found.scores, **more)


def sizes(labels: np.ndarray, test: np.ndarray) -> Finding:
    """Classes that are larger than their share of the test rows lets expect: a target, and how many rows are its own
    no longer. It names no row, but every row of that class is suspect."""
    classes = int(max(labels.max(initial=0), test.max(initial=0))) + 1
    ours, theirs = (np.bincount(part, minlength=classes).astype(float) for part in (labels, test))
    if not theirs.all():
        return Finding("label histogram", "some class has no test row: sizes cannot be compared")
    ratio = ours / theirs
    usual = np.median(ratio)
    noise = np.sqrt(usual * ours.clip(1) / theirs + 1) if np.ptp(theirs) else np.maximum(1.0, _spread(ours))
    excess = (ours - usual * theirs) / noise
    large = [int(one) for one in np.argsort(-excess) if excess[one] > UNEVEN]
    text = "no class is larger than its test rows suggest"
    if large:
        more = ", ".join(f"class {one} has {ours[one]:,.0f}, {usual * theirs[one]:,.0f} expected" for one in large[:3])
        text = f"{more}: a target, and how many"
    return Finding("label histogram", text, sure=False, scores=excess[labels])


def _spread(values: np.ndarray) -> float:
    """How much class sizes differ, the middle half of them."""
    return float(np.ptp(np.percentile(values, [25, 75])))
