"""The probes of an audit that know texts: copies, words that go with one label, and joins with a clean source."""

import hashlib
import re
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import numpy as np

from poisonkit.blind.audit import compare_to_source, record_matching, self_consistency
from poisonkit.blind.audit.finding import Finding, count
from poisonkit.blind.audit.fingerprints import Digests
from poisonkit.blind.audit.record_matching import Match
from poisonkit.core.texts import truncated

LONGEST = 10  # words of a stretch that may have been put in
MOST_WORDS = 400  # of a row, for its stretches to be tried
AT_LEAST, UNUSUAL = 8, 8.0  # rows with a word; standard deviations by which their labels lean to one
NAMED = 3


@dataclass(frozen=True)
class TextSignatures(Digests):
    """Digests of n texts, of their words, and the `texts` themselves, (n,) object."""

    texts: np.ndarray


def digest(words: list[str]) -> bytes:
    """Return the digest of a text's words: white space between them does not count."""
    return hashlib.blake2b(" ".join(words).encode(), digest_size=16).digest()


def collect(blocks, labels: np.ndarray, step=None) -> TextSignatures:
    """Take the signatures of texts that come in blocks, (first row, (n,) object)."""
    packed, texts = [], []
    hashes: list[bytes] = []
    for _, block in blocks:
        hashes += [digest(text.split()) for text in block]
        packed += [len(zlib.compress(text.encode(), 6)) for text in block]
        texts.append(block)
        if step:
            step(len(block))
    return TextSignatures(hashes, labels, np.array(packed, np.int64), np.concatenate(texts))


def alone(data, rows_at_once: int, progress) -> tuple[TextSignatures, list[Finding]]:
    """Return what a set says of its own rows."""
    labels = data["train/labels"]
    with progress(len(labels), "reading", "texts") as bar:
        ours = collect(data.blocks("train/texts", rows_at_once), labels, bar.update)
    copies = replace(
        self_consistency.duplicates(ours), sure=False
    )  # short texts are said twice, and once otherwise labelled
    return ours, [self_consistency.order(labels), copies, self_consistency.compressed(ours), words(ours)]


def words(ours: TextSignatures) -> Finding:
    """Rows with the words whose rows lean the most to one label. Honest words do too, so this alone is not sure."""
    rows, share = defaultdict(list), np.bincount(ours.labels) / len(ours)
    for row, text in enumerate(ours.texts):
        for word in set(text.lower().split()):
            rows[word].append(row)
    found = []
    for word, there in rows.items():
        if AT_LEAST <= len(there) < len(ours):
            votes = np.bincount(ours.labels[there], minlength=len(share))
            width = np.sqrt(len(there) * share * (1 - share)) + 1e-9
            found.append((float(((votes - len(there) * share) / width).max()), word))
    found = [pair for pair in sorted(found, reverse=True)[:NAMED] if pair[0] > UNUSUAL]
    named = np.unique([row for _, word in found for row in rows[word]]).astype(np.int64)
    text = ", ".join(f"{truncated(word)!r} in {len(rows[word]):,} rows" for _, word in found) or "none"
    return Finding("words of one label", f"{text}; {count(named, 'have them')}", named, sure=False)


def sources(ours: TextSignatures, cache, progress) -> list[Finding]:
    """Compare the set with every clean source of texts in the cache, and closely with the likeliest."""
    seen = []
    for source in cache.every():
        if not source.modality.is_text:
            continue
        parts = [collect(part.blocks(), part.labels) for part in (source.train, source.test)]
        theirs = TextSignatures(
            parts[0].hashes + parts[1].hashes,
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "packed", "texts")),
        )
        pair = compare_to_source.Beside(ours, ours.texts.__getitem__, source, theirs)
        seen.append(compare_to_source.Glance(pair, record_matching.exact(ours, theirs), 0.0))
    if not seen:
        return [Finding("joins", "no clean source of texts in the cache: none could be tried")]
    seen.sort(key=lambda one: one.share)
    findings = [_other(one) for one in seen[:-1]]
    best = seen[-1]
    if best.share < compare_to_source.MOST:
        return [*findings, _other(best)]
    return [
        *findings,
        compare_to_source.exact_finding(best.pair, best.exact, "texts, word for word"),
        *_near(best, progress),
    ]


def _other(seen: compare_to_source.Glance) -> Finding:
    """Return what is said of a source that the set is not made from."""
    some = f"{int(seen.exact.found.sum()):,} of {len(seen.exact.rows):,} rows are its texts, word for word"
    return Finding(f"joins, {seen.pair.name}", some)


def _near(seen: compare_to_source.Glance, progress) -> list[Finding]:
    """Look at the rows that no exact join found: which of them are a text of the source once a stretch of words is left
    out."""
    pair, rest = seen.pair, np.flatnonzero(~seen.exact.found)
    if not len(rest):
        return []
    with progress(len(rest), f"near join, {pair.name}", "texts") as bar:
        match, pieces = without_a_stretch(pair.ours, rest, pair.theirs, bar.update)
    found = np.flatnonzero(match.found)
    often = Counter(pieces).most_common(NAMED)
    text = f"{len(found):,} of {len(rest):,} rows are one of its texts with up to {LONGEST} words inserted"
    text += ": " + ", ".join(f"{truncated(piece)!r} in {many:,}" for piece, many in often) if often else ""
    return [Finding(f"near join, {pair.name}", text, rest[found])]


def without_a_stretch(
    ours: TextSignatures, rows: np.ndarray, theirs: TextSignatures, step=None
) -> tuple[Match, list[str]]:
    """For each row the text of the other set that it is without one stretch of words, the shortest, and these."""
    places = {digest_: row for row, digest_ in reversed(list(enumerate(theirs.hashes)))}
    found, pieces = np.full(len(rows), -1, np.int64), []
    for at, row in enumerate(rows):
        tokens = re.findall(r"\S+", ours.texts[row])[:MOST_WORDS]
        for length, start in _stretches(len(tokens)):
            there = places.get(digest(tokens[:start] + tokens[start + length :]))
            if there is not None:
                found[at] = there
                pieces.append(" ".join(tokens[start : start + length]))
                break
        if step:
            step(1)
    return Match(found, found[:, None]), pieces


def _stretches(count_: int):
    """(length, start) of every stretch that leaves a word, the shorter first."""
    for length in range(1, min(LONGEST, count_ - 1) + 1):
        for start in range(count_ - length + 1):
            yield length, start
