"""`verify`: whether the changed images of a file are the work of its stencils, and these the recipe's."""

import numpy as np

from poisonkit import effects, recipe
from poisonkit.choosing import COVER
from poisonkit.modality import differs
from poisonkit.store import Reader


class Check:
    """The triggers of a file, and as the recipe makes them (`prepared`, None where that is not known)."""

    def __init__(self, data: Reader, prepared: effects.Stencils | None):
        self._data, self._prepared, self._stencils = data, prepared, data.stencils()
        self._jitter = recipe.aim_of(data.manifest).cover_jitter

    def trigger(self) -> list[str]:
        """What differs of the arrays in `trigger/`."""
        wrong = []
        for path, array in self._prepared.arrays().items() if self._prepared else ():
            if path not in self._data or not np.array_equal(self._data[path], array):
                wrong.append(f"{path}: is not what the recipe makes")
        for i, stencil in enumerate(self._stencils):
            if (stencil.mask() != self._data[f"trigger/{i}/mask"]).any():
                wrong.append(f"trigger/{i}/mask: is not where the stencil changes the image")
        return wrong

    def poisoned(
        self, _low: int, rows: np.ndarray, role: np.ndarray, originals: np.ndarray, found: np.ndarray
    ) -> np.ndarray:
        """Which changed images are not their originals with the trigger, (n,) bool. Jittered cover rows, which no
        stencil makes, are made by the recipe, and passed over where it is not known."""
        expected = effects.apply_all(self._stencils, originals)
        cover = np.flatnonzero((role == COVER) & self._jitter)
        if len(cover):
            built = self._prepared.built if self._prepared else None
            expected[cover] = (
                effects.jitter_all(built, originals[cover], rows[cover]) if built is not None else found[cover]
            )
        return differs(expected, found)

    def tested(self, _group: str, _low: int, _rows, originals: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Which triggered images are not their originals with the trigger, (n,) bool."""
        return differs(effects.apply_all(self._stencils, originals), found)

    def insertions(self, _group: str) -> list[str]:
        """Images have none."""
        return []
