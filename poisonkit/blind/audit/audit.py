"""`poisonkit audit`: report what participants could infer from a file. One file per kind of probe."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from poisonkit.blind import authenticity, unseal
from poisonkit.blind.audit import (
    aligned,
    compare_to_source,
    fingerprints,
    metadata_leaks,
    self_consistency,
    standalone,
    texts,
)
from poisonkit.blind.audit.finding import SOURCE, Finding
from poisonkit.core.errors import Usage
from poisonkit.format import reader
from poisonkit.format.manifest import KeyManifest, Manifest, SealedManifest

KINDS = (SealedManifest, Manifest)
ROWS_AT_ONCE = 2048
WORTH = 0.2  # share of a set that a source must explain at a glance, to be looked at


@dataclass(frozen=True)
class Audited:
    """All findings about a file, and the training rows that were truly changed, (P,) int64, where that is known."""

    path: Path
    name: str
    rows: int
    findings: list[Finding]
    truth: np.ndarray | None

    @property
    def found(self) -> np.ndarray:
        """The rows that any sure finding names which is no false alarm, (k,) int64."""
        sure = [one.rows for one in self.findings if one.sure and not self.false_alarm(one)]
        return np.unique(np.concatenate([np.empty(0, np.int64), *sure]))

    def false_alarm(self, finding: Finding) -> bool:
        """Tell whether the truth is known and a finding names changed rows no more often than chance would."""
        if self.truth is None or not len(finding.rows):
            return False
        hits = len(np.intersect1d(finding.rows, self.truth))
        return hits * self.rows <= len(finding.rows) * len(self.truth)


def audit(path: Path, key: Path | None, caches, progress) -> Audited:
    """Try every probe on a file.

    `key` is that of a sealed file, for the truth; `caches` the folders of the clean sources (none: the default one);
    `progress(total, label, unit)` makes a progress bar. Memory is bounded by some kilobytes an image, time by what
    docs/sealing.md says. Raises `Failure` where the file, or the key, is none; `Usage` for a key of a file that is not
    sealed.
    """
    with reader.reading(path, KINDS) as data:
        truth = _truth(data, key)
        findings = metadata_leaks.look(path, data)
        probes = data.modality.choose(image=_of_images, text=_of_texts)
        findings += probes(data, _Caches(caches or (None,)), progress)
        return Audited(path, data.manifest.name, data.manifest.rows("train/labels"), findings, truth)


@dataclass(frozen=True)
class _Caches:
    """Every entry of some caches, camouflaged ones of earlier versions among them."""

    folders: tuple

    def every(self):
        from poisonkit.sources._cache.cache import Cache

        seen = set()
        for folder in self.folders:
            for source in Cache(folder).every(camouflaged=True):
                if source.digest not in seen:
                    seen.add(source.digest)
                    yield source


def _with_source(findings: list[Finding]) -> list[Finding]:
    return [replace(finding, team=SOURCE) for finding in findings]


def _of_texts(data: reader.Reader, caches: _Caches, progress) -> list[Finding]:
    """Run every probe of texts."""
    ours, findings = texts.alone(data, ROWS_AT_ONCE, progress)
    return findings + _with_source(texts.sources(ours, caches, progress))


def _of_images(data: reader.Reader, caches: _Caches, progress) -> list[Finding]:
    """Run every probe of images."""
    labels = data["train/labels"]
    with progress(len(labels), "reading", "images") as bar:
        blocks = data.blocks("train/images", ROWS_AT_ONCE)
        ours = fingerprints.collect(blocks, labels, whole=True, step=bar.update)
    findings = [
        self_consistency.order(labels),
        self_consistency.duplicates(ours),
        self_consistency.compressed(ours),
        self_consistency.squares(ours),
    ]
    with progress(len(labels), "neighbours", "images") as bar:
        findings.append(self_consistency.neighbours(ours, bar.update))
    findings += standalone.look(data, labels, ROWS_AT_ONCE, progress)
    return findings + _with_source(_sources(data, ours, caches, progress))


def _truth(data: reader.Reader, key: Path | None) -> np.ndarray | None:
    manifest = data.manifest
    if key is not None:
        if not isinstance(manifest, SealedManifest):
            raise Usage(f"--key: {data.path} is not sealed")
        with reader.reading(key, KeyManifest) as held:
            rows = unseal.check(manifest, held).rows
            authenticity.check(data.path, held)
            return rows
    return data["truth/rows"] if manifest.poisoned else np.empty(0, np.int64) if manifest.clean else None


def _sources(data: reader.Reader, ours: fingerprints.Signatures, caches: _Caches, progress) -> list[Finding]:
    """Compare the file with every clean source in the cache whose images have its shape, and closely with the
    likeliest."""
    split, seen = data.split("train"), []
    for source in caches.every():
        if source.train.shape[1:] != split.shape[1:]:
            continue
        with progress(len(source.train) + len(source.test), f"reading {source.name}", "images") as bar:
            parts = [
                fingerprints.collect(part.blocks(ROWS_AT_ONCE), part.labels, step=bar.update)
                for part in (source.train, source.test)
            ]
        seen.append(
            compare_to_source.glance(compare_to_source.Beside(ours, split.rows, source, parts[0].concat(parts[1])))
        )
    if not seen:
        shape = "×".join(map(str, split.shape[1:]))
        return [Finding("joins", f"no clean source with images of {shape} in the cache: none could be tried")]
    seen.sort(key=lambda one: one.share)
    findings = [one.finding() for one in seen[:-1]]
    likeliest = seen[-1]
    findings += compare_to_source.look(likeliest, progress) if likeliest.share >= WORTH else [likeliest.finding()]
    if likeliest.exact.share < compare_to_source.MOST:
        findings += aligned.look(likeliest.pair, data.split("test"), progress)
    return findings
