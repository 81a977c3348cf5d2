"""`verify`: the triggers of a recipe that is unknown here. What they make of a row cannot be said, so nothing of it
differs."""

import numpy as np


class Unknown:
    """See `verify.Check`."""

    def trigger(self) -> list[str]:
        """Nothing is known of the arrays in `trigger/`."""
        return []

    def poisoned(self, _low: int, rows: np.ndarray, _role: object, _originals: object, _found: object) -> np.ndarray:
        """No changed row is another than it should be, (n,) bool."""
        return np.zeros(len(rows), bool)

    def tested(self, _group: str, _low: int, rows: np.ndarray, _originals: object, _found: object) -> np.ndarray:
        """No triggered row is, (n,) bool."""
        return np.zeros(len(rows), bool)

    def insertions(self, _group: str) -> list[str]:
        """Nothing is known of where a trigger is put."""
        return []
