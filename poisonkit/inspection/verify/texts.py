"""`verify`: whether the changed texts of a file are what the recipe's triggers make of their originals."""

from typing import Any

import numpy as np

from poisonkit.core.modality import differs
from poisonkit.format.manifest import Manifest
from poisonkit.format.reader import Reader
from poisonkit.poisoning import apply
from poisonkit.triggers import registry as triggers


def rewrites(data: Reader[Manifest]) -> dict[str, Any]:
    """Return what the trigger of a file of rewritten texts was given, by its name: recovered from the texts in the
    file."""
    name = data.manifest.recipe.triggers[0].name
    if not data.modality.is_text or not triggers.gives_rows(name):
        return {}
    rows = data["truth/rows"]
    train = dict(zip(rows.tolist(), data.pick("train/texts", rows), strict=True))
    test: dict[int, str] = {}
    for group in ("triggered", "others"):
        if f"{group}/rows" in data:
            test |= dict(zip(data[f"{group}/rows"].tolist(), data[f"{group}/texts"], strict=True))
    return {name: triggers.recover_file(name, str(data.path), {"train": train, "test": test})}


class Check:
    """The triggers as the recipe makes them (`prepared`, None where that is not known: then nothing is compared)."""

    def __init__(self, data: Reader[Manifest], prepared: apply.Insertions | None):
        self._data, self._prepared = data, prepared
        self._found: dict[str, list[np.ndarray]] = {}

    def trigger(self) -> list[str]:
        """Return the recipe says everything of them: there is nothing to compare."""
        return []

    def poisoned(
        self, low: int, rows: np.ndarray, role: np.ndarray, originals: np.ndarray, found: np.ndarray
    ) -> np.ndarray:
        """Which changed texts are not their originals with the trigger, (n,) bool; `low` is the number of the first."""
        return self._differing("truth", "train", low, rows, originals, found, role)

    def tested(self, group: str, low: int, rows: np.ndarray, originals: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Which triggered texts are not their originals with the trigger, (n,) bool."""
        return self._differing(group, "test", low, rows, originals, found, None)

    def _differing(self, group: str, part: str, low: int, rows, originals, found, role) -> np.ndarray:
        if self._prepared is None:
            return np.zeros(len(rows), bool)
        expected, insertions = self._prepared.put(originals, rows, part, role)
        insertions[:, 0] += low
        self._found.setdefault(group, []).append(insertions)
        return differs(expected, found)

    def insertions(self, group: str) -> list[str]:
        """Return what differs of where the file says that the triggers were put, once all rows of the group were
        seen."""
        path = f"{group}/insertions"
        if self._prepared is None:
            return []
        made = np.concatenate([np.empty((0, 4), np.int64), *self._found.get(group, [])])
        there = self._data[path] if path in self._data else made[:0]
        return [] if np.array_equal(made, there) else [f"{path}: are not where the recipe puts the triggers"]
