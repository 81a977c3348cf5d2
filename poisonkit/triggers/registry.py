"""The triggers, one file each. A new one is a file beside these and a line in the table.

A trigger module has

- `SUMMARY`: one line for `poisonkit triggers`;
- `OPTIONS`: its parameters (see `base.Option`), which become command-line options and the recipe's record;
- `PRESETS`: name → parameters, others' settings by name;
- `MAKE_PRESETS`, where it has one: preset → options of `make` that belong to it, as they would be typed;
- `JITTER`, where it has one: True if it can put noise of each row's own on cover rows;
- `PICTURE`: whether it takes a picture; "alpha" where its transparency counts;
- `FILE`, where it takes a file of the user's that is no picture: what must be in it; `read(path)` makes of it what the
  trigger is given, with a `digest` of the rows that are needed; `LIST`: what else such a file is written for;
- `check(parameters, tile)`: refuses parameters that do not fit a tile of (height, width, channels);
- `build(parameters, tile, context)`: the `Built` stencil for one tile.

One of texts has `MODALITY = "text"`, and other functions than the last two: see `text_base`.
"""

import importlib

from poisonkit.core import modality
from poisonkit.core.errors import Usage

TABLE = {
    "square": "poisonkit.triggers.image.square",
    "blend": "poisonkit.triggers.image.blend",
    "warped": "poisonkit.triggers.image.warped",
    "sig": "poisonkit.triggers.image.sig",
    "noise": "poisonkit.triggers.image.noise",
    "sticker": "poisonkit.triggers.image.sticker",
    "word": "poisonkit.triggers.text.word",
    "sentence": "poisonkit.triggers.text.sentence",
    "composite": "poisonkit.triggers.text.composite",
    "rewrite": "poisonkit.triggers.text.rewrite",
}


def module(name: str):
    """The module of a trigger by its name; `Usage` for a name that is not in the table."""
    if name not in TABLE:
        raise Usage(f"unknown trigger {name!r}: expected one of {', '.join(TABLE)}")
    return importlib.import_module(TABLE[name])


def of(rows: modality.Modality) -> list[str]:
    """The names of the triggers for such rows."""
    return [name for name in TABLE if modality.of_module(module(name)) == rows]


def jitters(name: str) -> bool:
    """Whether a trigger has a noise mode for cover rows."""
    return getattr(module(name), "JITTER", False)


def given_option(name: str) -> str:
    """The option by which a trigger is given a file of the user's."""
    return f"--{name}-{'file' if hasattr(module(name), 'FILE') else 'image'}"


def make_presets(name: str) -> dict[str, dict]:
    """Preset → the options of `make` that it sets for this trigger."""
    return getattr(module(name), "MAKE_PRESETS", {})


def presets() -> list[str]:
    """The names of all presets, in the order of the table."""
    return list(dict.fromkeys(preset for name in TABLE for preset in module(name).PRESETS))
