"""`poisonkit audit`: what somebody curious could find out from a file, tried out. One file a kind of probe."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit import genuine, hints, store, unseal, verify
from poisonkit.audit import beside, signature, texts, traces, within
from poisonkit.audit.finding import Finding
from poisonkit.errors import Failure, Usage
from poisonkit.modality import TEXT

KINDS = ("sealed", "clean", "poisoned")
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
        """The rows that any sure finding names, (k,) int64."""
        sure = [finding.rows for finding in self.findings if finding.sure]
        return np.unique(np.concatenate([np.empty(0, np.int64), *sure]))


def audit(path: Path, key: Path | None, cache: Path | None, progress) -> Audited:
    """Try every probe on a file.

    `key` is that of a sealed file, for the truth; `cache` the folder of the clean sources; `progress(total, label,
    unit)` makes a progress bar. Memory is bounded by some kilobytes an image. Raises `Failure` where the file, or the
    key, is none; `Usage` for a key of a file that is not sealed.
    """
    with store.reading(path, KINDS) as data:
        if wrong := verify.labels_in_range(data):
            raise Failure(f"{path}: {wrong[0]}: `{hints.verify(path)}` says more")
        truth = _truth(data, key)
        findings = traces.look(path, data) + (_of_texts if data.modality == TEXT else _of_images)(data, cache, progress)
        return Audited(path, data.manifest["name"], data.manifest["counts"]["train"], findings, truth)


def _of_texts(data: store.Reader, cache: Path | None, progress) -> list[Finding]:
    """Every probe of texts."""
    from poisonkit.sources.cache import Cache

    ours, findings = texts.alone(data, ROWS_AT_ONCE, progress)
    return findings + texts.sources(ours, Cache(cache), progress)


def _of_images(data: store.Reader, cache: Path | None, progress) -> list[Finding]:
    """Every probe of images."""
    labels = data["train/labels"]
    with progress(len(labels), "reading", "images") as bar:
        blocks = data.blocks("train/images", ROWS_AT_ONCE)
        ours = signature.collect(blocks, labels, whole=True, step=bar.update)
    findings = [within.order(labels), within.duplicates(ours), within.compressed(ours), within.squares(ours)]
    with progress(len(labels), "neighbours", "images") as bar:
        findings.append(within.neighbours(ours, bar.update))
    return findings + _sources(data, ours, cache, progress)


def _truth(data: store.Reader, key: Path | None) -> np.ndarray | None:
    kind = data.manifest["kind"]
    if key is not None and kind != "sealed":
        raise Usage(f"--key: {data.path} is not sealed")
    if key is not None:
        with store.reading(key, ("key",)) as held:
            rows = unseal.check(data.manifest, held).rows
            genuine.check(data.path, held)
            return rows
    return data["truth/rows"] if kind == "poisoned" else np.empty(0, np.int64) if kind == "clean" else None


def _sources(data: store.Reader, ours: signature.Signatures, cache: Path | None, progress) -> list[Finding]:
    """A glance at every clean source in the cache whose images have the file's shape, a look at the likeliest."""
    from poisonkit.sources.cache import Cache

    split, seen = data.split("train"), []
    for source in Cache(cache).every():
        if source.train.shape[1:] != split.shape[1:]:
            continue
        with progress(len(source.train) + len(source.test), f"reading {source.name}", "images") as bar:
            parts = [
                signature.collect(part.blocks(ROWS_AT_ONCE), part.labels, step=bar.update)
                for part in (source.train, source.test)
            ]
        seen.append(beside.glance(beside.Beside(ours, split.rows, source, parts[0].and_(parts[1]))))
    if not seen:
        shape = "×".join(map(str, split.shape[1:]))
        return [Finding("joins", f"no clean source with images of {shape} in the cache: none could be tried")]
    seen.sort(key=lambda one: one.share)
    findings = [one.finding() for one in seen[:-1]]
    likeliest = seen[-1]
    return findings + (beside.look(likeliest, progress) if likeliest.share >= WORTH else [likeliest.finding()])
