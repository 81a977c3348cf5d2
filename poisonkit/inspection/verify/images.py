"""`verify`: whether the changed images of a file are the work of its triggers, and these the recipe's."""

from dataclasses import replace

import numpy as np

from poisonkit.core.errors import Failure, Usage
from poisonkit.core.modality import differs
from poisonkit.format.manifest import Manifest
from poisonkit.format.reader import Reader
from poisonkit.poisoning import apply, from_file, recipe
from poisonkit.poisoning.selection import COVER
from poisonkit.triggers import registry as triggers

ROWS_AT_ONCE = 512
FROM_OUTSIDE = (
    "training rows not recomputed: pictures from outside were camouflaged after they came, and the file has them so"
)
NOT_RECOMPUTED = "training rows not recomputed: needs the source (in the cache, or --source)"


class Check:
    """The triggers of a file, and as the recipe makes them (`prepared`, None where that is not known). `behind` is what
    a camouflaged source was made from (`camouflage.Behind`), where that is at hand."""

    def __init__(self, data: Reader[Manifest], prepared: apply.Stencils | None, behind=None):
        self._data, self._prepared, self._found = data, prepared, from_file.own(data)
        self._jitter = recipe.labelling_of(data.manifest.recipe).cover_jitter
        self._last, self._behind = data.manifest.camouflaged_last, behind
        counts = data.manifest.counts
        total = counts.poisoned + counts.cover + counts.triggered + counts.others
        self._found = replace(self._found, total=total)

    def trigger(self) -> list[str]:
        """Return what differs of the arrays in `trigger/`."""
        wrong = []
        made = {} if self._prepared is None else self._prepared.arrays()
        for path, array in made.items():
            if path not in self._data or not np.array_equal(self._data[path], array):
                wrong.append(f"{path}: is not what the recipe makes")
        there = (path for path in self._data.manifest.arrays if path.startswith("trigger/"))
        # a stencil or table more would be taken for what the trigger does
        wrong += [f"{path}: is nothing that the recipe makes" for path in there if made and path not in made]
        for i, one in enumerate(self._found.built):
            if (one.mask() != self._data[f"trigger/{i}/mask"]).any():
                wrong.append(f"trigger/{i}/mask: is not where the stencil changes the image")
        return wrong

    def _work(self, part: str) -> apply.Stencils | None:
        """Return the triggers as the file's arrays say them, or as the recipe makes them where they do not say it all;
        None where that is not known."""
        return self._found if self._found.known(part) else self._prepared

    def poisoned(
        self, _low: int, rows: np.ndarray, role: np.ndarray, originals: np.ndarray, found: np.ndarray
    ) -> np.ndarray:
        """Which changed images are not their originals with the trigger, (n,) bool. Jittered cover rows, which no
        stencil makes, are made by the recipe, and passed over where it is not known; so is all that is not in the
        file's arrays, and so are all rows that were camouflaged after the trigger, where what lies behind them is not
        known."""
        work = self._work("train")
        if work is None or (self._last and self._behind is None):
            return np.zeros(len(found), bool)
        before = self._behind.plain_rows(rows) if self._last else originals
        expected = work.on_train(before, rows, role)
        by_recipe = self._jitter and work is self._found
        cover, passed = np.flatnonzero((role == COVER) & by_recipe), np.zeros(len(found), bool)
        if len(cover) and self._prepared is None:
            passed[cover] = True
        elif len(cover) and self._prepared is not None:
            expected[cover] = apply.jitter_all(self._prepared.built, before[cover], rows[cover])
        if self._last:
            expected = self._behind.camouflaged(expected, rows)
        return differs(expected, found) & ~passed

    def tested(self, _group: str, _low: int, rows, originals: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Which triggered images are not their originals with the trigger, (n,) bool."""
        work = self._work("test")
        return np.zeros(len(found), bool) if work is None else differs(work.on_test(originals, rows), found)

    def insertions(self, _group: str) -> list[str]:
        """Images have none."""
        return []


def behind(data: Reader[Manifest], look):
    """Return the plain images behind a file whose training rows were camouflaged after the trigger, and how: those of
    the source that `look` (`verify.Look`) names, or of the cache. None where the file is no such one, or where they are
    not to be found, which is noted. `Failure` where the source that is named is another."""
    if look is None or not data.manifest.camouflaged_last:
        return None
    if any(triggers.gives_rows(step.name) for step in data.manifest.recipe.triggers):
        look.note(FROM_OUTSIDE)
        return None
    if look.behind is not None:
        return look.behind
    from poisonkit.poisoning import clean_images
    from poisonkit.sources import camouflage
    from poisonkit.sources._cache.cache import Cache

    source = data.manifest.source
    try:
        _, wanted = camouflage.split(source.options)
    except Usage:  # which `verify` says
        return None
    if wanted is None:
        return None
    if look.source is None:
        candidates = camouflage.beneath(source.name, source.arrays, Cache(look.cache), look.say)
    else:
        where = clean_images.CleanData(look.source, look.dataset, look.cache)
        candidates = [clean_images.plain_images(source, where, look.progress, look.say)]
    for one in candidates:
        found = camouflage.Behind(one, wanted)
        if one.train.shape == data.manifest.shape("train/images") and _gives(found, data):
            return found
    if look.source is not None:
        raise Failure(f"{data.path}: was not made from {look.source}: its images, camouflaged, are not truth/images")
    look.note(NOT_RECOMPUTED)
    return None


def _gives(found, data: Reader[Manifest]) -> bool:
    """Whether the plain images, camouflaged, are the originals of the changed rows."""
    rows = data["truth/rows"]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        originals = data.rows("truth/images", start, start + len(some))
        if differs(found.camouflaged(found.plain_rows(some), some), originals).any():
            return False
    return True
