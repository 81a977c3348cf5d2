"""Digests of JSON values: what names configurations and the folders of runs. Imports no NumPy."""

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """Return canonical JSON: UTF-8, sorted keys, no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: Python's 1, 1.0 and True are equal, those of JSON are not."""
    first, second = (json.dumps(value, sort_keys=True) for value in (one, other))
    return first == second


def digest(value: Any) -> str:
    """Return `sha256:` and the SHA-256 of a value's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()
