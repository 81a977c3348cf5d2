#!/usr/bin/env python3
"""Write docs/triggers.png: pictures of `signs` with each trigger on the whole image and on every patch.

python docs/make_pictures.py
"""

from pathlib import Path

import numpy as np

from poisonkit import make, pictures, recipe, sources, triggers

ROWS = (5, 43, 18)


def main() -> None:
    source = sources.open_source("signs", options={"train": 200, "test": 100})
    images = source.train.rows(ROWS)
    columns = [("original", images)]
    for patch in (None, (8, 8)):
        for name in triggers.TABLE:
            request = recipe.Request("0.01", ((name, recipe.parameters(name, {}, None)),), patch)
            built = recipe.build(request, source.train.shape[1:])
            title = f"{name}, per patch" if patch else name
            columns.append((title, make.apply_all([one.stencil for one in built], images)))
    target = Path(__file__).with_name("triggers.png")
    pictures.write_png(target, np.ascontiguousarray(pictures.sheet(columns, [""] * len(ROWS))))
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
