#!/usr/bin/env python3
"""Write golden/files.json anew: the digests of one small `signs` or `phrases` file of each recipe in tests/running.py.

    python tests/golden/regenerate.py

Only for a change that is meant to change bytes; then RECIPE_VERSION in poisonkit/format/manifest.py, or the version of
`signs`, rises with it.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import h5py

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from running import RECIPES, SMALL, TEXT_RECIPES, TEXT_SMALL, run  # noqa: E402


def facts(path: Path) -> dict:
    """The digests of one file."""
    with h5py.File(path) as f:
        manifest = json.loads(f.attrs["manifest"])
    return {
        "arrays": {name: entry["digest"] for name, entry in manifest["arrays"].items()},
        "dataset_digest": manifest["dataset_digest"],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def main() -> None:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        asked = {name: (*SMALL, *recipe) for name, recipe in RECIPES.items()}
        asked |= {name: (*TEXT_SMALL, *recipe) for name, recipe in TEXT_RECIPES.items()}
        for name, recipe in asked.items():
            path = Path(folder) / f"{name}.h5"
            run("make", *recipe, "--cache", Path(folder) / "cache", "-o", path).succeeded()
            found[name] = facts(path)
    (HERE / "files.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
