"""Write a plan as a file of the format."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from poisonkit.core import hashing
from poisonkit.core.errors import Failure
from poisonkit.core.modality import differs
from poisonkit.format.manifest import Manifest, describe
from poisonkit.format.records import FileRecord
from poisonkit.format.writer import writing
from poisonkit.poisoning.plan import ROWS_AT_ONCE, TESTED, Plan
from poisonkit.poisoning.selection import POISONED
from poisonkit.sources._cache import cache
from poisonkit.sources.base import Source


class Written(NamedTuple):
    """What was written."""

    manifest: Manifest
    file: FileRecord


def write(plan: Plan, target: Path, threads: int = 1, progress=None, new: bool = False) -> Written:
    """Write the planned file, atomically. Return its manifest, and its size and digest.

    `progress(n)` is called with the number of rows that were dealt with. Raises `Failure` where the manifest is not
    the one that is demanded, the source's bytes are not those of its digest, or the disk fails; then the target is as
    it was before. `new`: nothing is replaced (see `files.atomic_write`).
    """
    try:
        return _write(plan, target, threads, progress, new)
    except SourceDamaged:
        cache.discard(plan.source)  # the next run decodes it again; not earlier: its images are still read
        raise


def _write(plan: Plan, target: Path, threads: int, progress, new: bool) -> Written:
    with writing(target, new=new) as writer:
        effect = {} if plan.effect is None else plan.effect.arrays()
        columns = {
            path: writer.column(path, *form)  # dtype and shape
            for path, form in plan.shapes().items()
            if path not in effect
        }
        clean = hashing.hasher(plan.source.modality.dtype, plan.source.train.shape)
        unchanged = _write_train(plan, columns, threads, progress, writer.beside(clean))
        _write_test(plan, columns, threads, progress)
        for path, array in effect.items():
            writer.whole(path, array)
        test = columns[plan.source.modality.path("test")].entry().digest  # its rows are the clean ones: hashed once
        _check_source(plan.source, {"train": str(clean), "test": test})
        manifest = writer.finish(plan.manifest.with_unchanged(unchanged))
        if plan.expected is not None and manifest.json != plan.expected.json:
            differences = "; ".join(list(describe(plan.expected.json, manifest.json))[:3])
            raise Failure(f"{target}: not written, since it would not be what was asked for: {differences}")
    return Written(manifest, writer.written)


def _write_train(plan: Plan, columns: dict, threads: int, progress, hash_clean) -> int:
    """Training rows with the changed ones replaced; their originals into `truth/`. Returns how many of the poisoned
    ones did not change by a byte. `hash_clean(parts)` is given the clean rows, in their order."""
    split, rows, unchanged, kind = plan.source.train, plan.changed.rows, 0, plan.source.modality
    labels = split.labels.astype("<i8")
    for start, block in split.blocks(ROWS_AT_ONCE):
        low, high = np.searchsorted(rows, [start, start + len(block)])
        clean = [block]
        if low < high and plan.effect is not None:
            inside = rows[low:high] - start
            originals = block[inside]
            clean = _as_it_was(block, inside, originals)
            block[inside] = plan.effect.poison(plan.changed, low, originals, threads)
            same = ~differs(originals, block[inside])
            unchanged += int((same & (plan.changed.role[low:high] == POISONED)).sum())
            columns[kind.path("truth")].write(originals)
        with hash_clean(clean):
            columns[kind.path("train")].write(block)
        if progress:
            progress(len(block))
    poisoned_labels = labels.copy()
    poisoned_labels[rows] = plan.changed.given
    columns["train/labels"].write(poisoned_labels)
    if not plan.clean:
        columns["truth/rows"].write(rows)
        columns["truth/role"].write(plan.changed.role)
        columns["truth/labels"].write(labels[rows])
    return unchanged


def _as_it_was(block: np.ndarray, inside: np.ndarray, originals: np.ndarray) -> list[np.ndarray]:
    """Return a block, whose rows `inside` are about to be replaced, in parts: those in between, and the originals."""
    parts, first = [], 0
    for number, row in enumerate(inside.tolist()):
        parts += [block[first:row], originals[number : number + 1]]
        first = row + 1
    return [*parts, block[first:]]


def _write_test(plan: Plan, columns: dict, threads: int, progress) -> None:
    """Write the clean test rows, and those that are scored with the trigger on them."""
    split, kind = plan.source.test, plan.source.modality
    labels = split.labels.astype("<i8")
    for start, block in split.blocks(ROWS_AT_ONCE):
        columns[kind.path("test")].write(block)
        for group, group_columns in plan.tested.items():
            low, high = np.searchsorted(group_columns["rows"], [start, start + len(block)])
            if low < high and plan.effect is not None:
                originals = block[group_columns["rows"][low:high] - start]
                columns[kind.path(group)].write(plan.effect.trigger(group, low, originals, threads))
        if progress:
            progress(len(block))
    columns["test/labels"].write(labels)
    for group, group_columns in plan.tested.items():
        columns[f"{group}/labels"].write(labels[group_columns["rows"]])
        for name in filter(group_columns.__contains__, TESTED):
            columns[f"{group}/{name}"].write(group_columns[name])


def _check_source(source: Source, digests: dict[str, str]) -> None:
    """Compare the digests of the clean rows that were just read, and of their labels, with those that they should have:
    a damaged cache must not go unnoticed. Raises `SourceDamaged`."""
    for part, split in (("train", source.train), ("test", source.test)):
        labels = hashing.array_digest(split.labels.astype("<i8"))
        for path, digest in {source.modality.path(part): digests[part], f"{part}/labels": labels}.items():
            if source.arrays[path] == digest:
                continue
            if source.cached:
                raise SourceDamaged(
                    f"{path} of {source.name} in the cache is not what its digest says; it was removed from the "
                    "cache: start again"
                )
            raise Failure(f"{split.path}: {path} is not what its digest says: the file is damaged")


class SourceDamaged(Failure):
    """A cached source's bytes differ from its digests."""
