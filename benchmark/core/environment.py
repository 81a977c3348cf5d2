"""What a result was made with, for the record: versions and platform."""

import os
import platform
import time
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

PACKAGES = ("poisonkit", "keras", "tensorflow", "jax", "jaxlib", "torch", "numpy", "h5py", "tokenizers", "safetensors")


def record() -> dict[str, Any]:
    """Versions of Python and of the packages that are installed, the platform, and the number of CPUs."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"versions": versions, "platform": platform.platform(), "cpus": os.cpu_count()}


def now() -> str:
    """Return the time, UTC, to the second."""
    return datetime.fromtimestamp(time.time(), timezone.utc).isoformat(timespec="seconds")
