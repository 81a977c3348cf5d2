"""Write a plan as a file of the format."""

from pathlib import Path

import numpy as np

from poisonkit.core import hashing
from poisonkit.core.errors import Failure
from poisonkit.core.modality import differs
from poisonkit.format.manifest import Manifest, describe
from poisonkit.format.writer import writing
from poisonkit.poisoning.plan import ROWS_AT_ONCE, TESTED, Plan
from poisonkit.poisoning.selection import POISONED
from poisonkit.sources._cache import cache
from poisonkit.sources.base import Source


def write(plan: Plan, target: Path, threads: int = 1, progress=None, new: bool = False) -> Manifest:
    """Write the planned file, atomically. Return its manifest.

    `progress(n)` is called with the number of rows that were dealt with. Raises `Failure` where the manifest is not
    the one that is demanded, the source's bytes are not those of its digest, or the disk fails; then the target is as
    it was before. `new`: nothing is replaced (see `files.atomic_write`).
    """
    try:
        return _write(plan, target, threads, progress, new)
    except SourceDamaged:
        cache.discard(plan.source)  # the next run decodes it again; not earlier: its images are still read
        raise


def _write(plan: Plan, target: Path, threads: int, progress, new: bool) -> Manifest:
    with writing(target, new=new) as writer:
        effect = {} if plan.effect is None else plan.effect.arrays()
        columns = {
            path: writer.column(path, *form)  # dtype and shape
            for path, form in plan.shapes().items()
            if path not in effect
        }
        checked = writer.pool.submit(_check_source, plan.source)  # hashing needs no interpreter: beside the imports
        unchanged = _write_train(plan, columns, threads, progress)
        _write_test(plan, columns, threads, progress)
        for path, array in effect.items():
            writer.whole(path, array)
        checked.result()
        manifest = writer.finish(plan.manifest.with_unchanged(unchanged))
        if plan.expected is not None and manifest.json != plan.expected.json:
            differences = "; ".join(list(describe(plan.expected.json, manifest.json))[:3])
            raise Failure(f"{target}: not written, since it would not be what was asked for: {differences}")
        return manifest


def _write_train(plan: Plan, columns: dict, threads: int, progress) -> int:
    """Training rows with the changed ones replaced; their originals into `truth/`. Returns how many of the poisoned
    ones did not change by a byte."""
    split, rows, unchanged, kind = plan.source.train, plan.changed.rows, 0, plan.source.modality
    labels = split.labels.astype("<i8")
    for start, block in split.blocks(ROWS_AT_ONCE):
        low, high = np.searchsorted(rows, [start, start + len(block)])
        if low < high and plan.effect is not None:
            inside = rows[low:high] - start
            originals = block[inside]
            block[inside] = plan.effect.poison(plan.changed, low, originals, threads)
            same = ~differs(originals, block[inside])
            unchanged += int((same & (plan.changed.role[low:high] == POISONED)).sum())
            columns[kind.path("truth")].write(originals)
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


def _check_source(source: Source) -> None:
    """Take the clean arrays' digests again: a damaged cache must not go unnoticed. Raises `SourceDamaged`."""
    for part, split in (("train", source.train), ("test", source.test)):
        total = hashing.hasher(source.modality.dtype, split.shape)
        for _, block in split.blocks(ROWS_AT_ONCE):
            total.update(block)
        labels = hashing.array_digest(split.labels.astype("<i8"))
        found = {source.modality.path(part): str(total), f"{part}/labels": labels}
        for path, digest in found.items():
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
