"""The parameters that a trigger has unless others are asked for, so that tables name only what is different."""

from typing import Any

from benchmark.format.manifest import Trigger

DEFAULTS: dict[str, dict[str, Any]] = {
    "adaptive-blend": {"alpha": "0.15", "hidden": 8, "test-alpha": "0.2"},
    "adaptive-k-way": {
        "colours": [92, 0, 24, 88, 112, 110, 0, 32, 46, 11, 49, 95],
        "places": [16, 11, 27, 5, 7, 30, 22, 22],
    },
    "adaptive-patch": {"alphas": ["0.5", "0.2", "0.5", "0.3"], "test": [1, 3], "test-alphas": ["1"]},
    "batt": {"angle": "16"},
    "blend": {"alpha": "0.5"},
    "bpp": {"dither": "none", "levels": 8},
    "colour": {"hue": "0", "saturation": "2"},
    "composite": {"place": "random", "spread": "adjacent", "words": ["cf", "mn"]},
    "ctrl": {"inverse": "published", "magnitude": "100"},
    "ftrojan": {"magnitude": "30"},
    "jpeg": {"quality": 25, "subsampling": "420"},
    "label-consistent": {"amplitude": "1", "corners": "all"},
    "noise": {"distribution": "uniform", "linf": 8},
    "pattern": {"scale": "1"},
    "perlin": {"cells": 4, "linf": 16, "octaves": 3},
    "physical": {
        "angle": 15,
        "light": 20,
        "position": "lower-right",
        "scale": 20,
        "shift": 2,
        "size": 8,
        "tint": 5,
    },
    "refool": {"mode": "random", "share": "0.4"},
    "sentence": {"place": "random", "text": "I watch this 3D movie"},
    "sig": {"delta": "20", "frequency": "6", "orientation": "horizontal", "rounding": "half-up"},
    "square": {"position": "upper-left", "size": 4, "value": [0]},
    "sticker": {"opacity": "1", "position": "lower-right", "size": "6"},
    "warped": {"k": 4, "s": "0.5", "sampling": "bilinear", "upsample": "aligned"},
    "word": {"count": 1, "place": "random", "words": ["cf"]},
}
"""Trigger → parameters, as a recipe has them. Of a trigger that is not here, every parameter is named."""


OWN = "own"
"""What a trigger is called that is code of somebody's own, see data/FORMAT.md, "Kinds of triggers"."""


def _of_code(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the code of a trigger by its file, function and the beginning of its digest, and its options."""
    known = {key: str(parameters.get(key, "")) for key in ("file", "function", "digest")}
    digest = known["digest"].removeprefix("sha256:")[:8]
    options = {key: value for key, value in parameters.items() if key not in known}
    return {"code": f"{known['file']}:{known['function']} {digest}", **options}


def unusual(trigger: Trigger) -> dict[str, Any]:
    """Return the parameters of a trigger of a recipe that are not its defaults."""
    if trigger.name == OWN:
        return _of_code(trigger.parameters)
    usual = DEFAULTS.get(trigger.name, {})
    return {key: value for key, value in trigger.parameters.items() if usual.get(key) != value}
