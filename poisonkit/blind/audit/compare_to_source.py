"""A set beside the clean source that it was made from: which rows are the source's, and what differs in them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from poisonkit.blind.audit import pixel_outliers, record_matching
from poisonkit.blind.audit.finding import Finding, count
from poisonkit.blind.audit.fingerprints import Digests
from poisonkit.blind.audit.record_matching import Match
from poisonkit.format.manifest import told
from poisonkit.sources.base import Source

MOST = 0.5  # share of rows that must be the source's, for the set to be made from it
ALL = 0.98  # share from which on a row without counterpart is suspicious
CALM = 0.8  # share of rows that must have no strange pixel at a tolerance; the next larger one is taken
TOLERANCES = (2, 4, 8, 16, 24, 32, 48)
STRANGE = 128  # one strange pixel in so many makes a row strange
CHANCE = 0.0002  # share of rows that look changed in untouched data
AT_ONCE = 2 << 20  # bytes of images that are compared at once


D = TypeVar("D", bound=Digests)


@dataclass(frozen=True)
class Beside(Generic[D]):
    """A set's signatures, and what reads its rows by their numbers; the source, and its signatures, training rows
    first."""

    ours: D
    rows: Callable[[np.ndarray], np.ndarray]
    source: Source
    theirs: D

    @property
    def name(self) -> str:
        """The source's name, with what was asked of it."""
        options = ", ".join(f"{key} {value}" for key, value in told(self.source.options).items())
        return f"{self.source.name} ({options})" if options else self.source.name

    def originals(self, rows: np.ndarray) -> np.ndarray:
        """Images of the source, its test rows numbered after its training rows."""
        split, first = self.source.train, len(self.source.train)
        images = np.empty((len(rows), *split.shape[1:]), np.uint8)
        images[rows < first] = split.rows(rows[rows < first])
        images[rows >= first] = self.source.test.rows(rows[rows >= first] - first)
        return images


@dataclass(frozen=True)
class Glance:
    """A first look at a source: the exact join, and which share of a sample of the rest looks like its images."""

    pair: Beside[Any]
    exact: Match
    sample: float

    @property
    def share(self) -> float:
        """About so many of all rows are the source's."""
        return self.exact.share + (1 - self.exact.share) * self.sample

    def finding(self) -> Finding:
        """Return what is said of a source that the set is not made from."""
        some = f"{int(self.exact.found.sum()):,} of {len(self.exact.rows):,} rows are its images, byte for byte"
        return Finding(
            f"joins, {self.pair.name}", f"{some}; of a sample of the others {self.sample:.0%} look like them"
        )


def glance(pair: Beside[Any]) -> Glance:
    """Take a first look at a source."""
    exact = record_matching.exact(pair.ours, pair.theirs)
    rest = np.flatnonzero(~exact.found)
    return Glance(pair, exact, record_matching.sample(pair.ours.subset(rest), pair.theirs) if len(rest) else 0.0)


def look(seen: Glance, progress) -> list[Finding]:
    """Run every comparison with the source that the set is made from."""
    pair, exact = seen.pair, seen.exact
    rest = np.flatnonzero(~exact.found)
    findings = [exact_finding(pair, exact, "images, byte for byte")]
    if not len(rest):
        return findings
    with progress(len(rest), f"near join, {pair.name}", "images") as bar:
        near = record_matching.near(pair.ours.subset(rest), pair.theirs, bar.update)
    whole = Match(exact.rows.copy(), np.tile(exact.rows[:, None], record_matching.KEPT))
    whole.rows[rest], whole.candidates[rest] = near.rows, near.candidates
    return findings + _near(pair, whole, rest)


def exact_finding(pair: Beside[Any], match: Match, what: str) -> Finding:
    """Rows that are the source's; the others, where they are few, were changed; and the labels. `what` says how."""
    title, found = f"exact join, {pair.name}", match.found
    text = f"{int(found.sum()):,} of {len(found):,} rows are its {what}"
    if match.share < MOST:
        return Finding(title, text)
    same = match.rows[found] == np.flatnonzero(found)
    text += ", in its order" if same.mean() > MOST else ", in another order"
    labels = np.flatnonzero(found & (pair.theirs.labels[match.rows] != pair.ours.labels))
    changed = np.flatnonzero(~found)
    text += f"; {count(changed, 'are not')}, {count(labels, 'have another label there')}"
    return Finding(title, text, np.union1d(changed, labels))


def _near(pair: Beside[Any], match: Match, rest: np.ndarray) -> list[Finding]:
    """Join the rows that no exact join found by similarity: labels, pictures, and those without counterpart."""
    title, found = f"near join, {pair.name}", match.found
    text = f"{int(found[rest].sum()):,} of {len(rest):,} rows look like one of its images"
    if match.share < MOST:
        return [Finding(title, text)]
    labels = rest[found[rest] & (pair.theirs.labels[match.rows[rest]] != pair.ours.labels[rest])]
    findings = [Finding(f"{title}: label", f"{text}; {count(labels, 'have another label there')}", labels)]
    findings.append(_pictures(pair, match, f"{title}: picture"))
    missing = np.flatnonzero(~found) if match.share >= ALL else np.empty(0, np.int64)
    text = f"{match.share:.2%} of all rows have a counterpart; {count(missing, 'have none')}"
    return [*findings, Finding(f"{title}: missing", text, missing, sure=len(missing) > CHANCE * len(found))]


def _pictures(pair: Beside[Any], match: Match, title: str) -> Finding:
    """Rows with pixels that no small change of their source image explains, just above the least tolerance at which
    most rows have none. A row is compared with every candidate before it is called strange: films have like images."""
    rows = np.flatnonzero(match.found)
    counts = _strange(pair, rows, match.rows[rows], TOLERANCES)
    calm = [at for at in range(len(TOLERANCES)) if (counts[at] == 0).mean() >= CALM]
    if not calm:
        return Finding(
            title, f"{TOLERANCES[-1]} grey levels and a pixel's shift explain too few rows to tell the others"
        )
    chosen = min(calm[0] + 1, len(TOLERANCES) - 1)
    tolerance = TOLERANCES[chosen]
    limit = max(2, int(np.prod(pair.source.train.shape[1:3])) // STRANGE)
    strange = rows[counts[chosen] >= limit]
    for candidates in match.candidates.T[1:]:
        strange = strange[_strange(pair, strange, candidates[strange], (tolerance,))[0] >= limit]
    text = f"up to {tolerance} grey levels and a pixel's shift explain the others; {count(strange, 'differ by more')}"
    return Finding(title, text, strange, sure=len(strange) > CHANCE * len(match.found))


def _strange(pair: Beside[Any], rows: np.ndarray, originals: np.ndarray, tolerances) -> np.ndarray:
    """Count the strange pixels of rows compared with rows of the source, for each tolerance, (t, n) int64; some MB at a
    time."""
    counts = np.zeros((len(tolerances), len(rows)), np.int64)
    step = max(1, AT_ONCE // int(np.prod(pair.source.train.shape[1:])))
    for start in range(0, len(rows), step):
        part = np.s_[start : start + step]
        images, beside = pair.rows(rows[part]), pair.originals(originals[part])
        for at, tolerance in enumerate(tolerances):
            counts[at, part] = pixel_outliers.strange_pixels(images, beside, tolerance)
    return counts
