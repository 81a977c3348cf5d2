"""The table of the networks that there are: how large they are, what an image costs, their presets and sources."""

import textwrap
from collections.abc import Iterator
from typing import Any

from benchmark.core import text_tables
from benchmark.core.errors import Usage
from benchmark.nn import cost
from benchmark.nn.networks import DEFAULT, NETWORKS, NetworkSpec
from benchmark.training.recipes import RECIPES
from benchmark.training.settings import PRESETS_OF, TINY, ImageSettings
from benchmark.training.table import BY_NAME

WIDTH = 100
PUBLISHED = "(as published)"
_COLUMNS = ("network", "preset", "size", "trainable", "all", "M MACs")
_LEFT = {"network", "preset", "size"}


def records(image_shape: tuple[int, int, int], classes: int) -> list[dict[str, Any]]:
    """Return all that is known of each network, for images of this shape. A backend must have been activated.

    `sizes` has an entry for each size in which the presets, and its source, have it; of a text encoder none: its
    parameters depend on the vocabulary, of its weights or of the texts.
    """
    found = []
    for spec in sorted(NETWORKS.values(), key=lambda spec: (not spec.of_images, spec.name not in DEFAULT.values())):
        record: dict[str, Any] = {"name": spec.name, "title": spec.title, "modality": spec.modality}
        record |= {"source": spec.source, "presets": {name: dict(values) for name, values in spec.presets.items()}}
        if spec.of_images:
            record["presets"] = {
                name: settings.model() | settings.training() for name, settings in PRESETS_OF[spec.name].items()
            }
        record["sizes"] = list(_sizes(spec, image_shape, classes)) if spec.of_images else []
        found.append(record)
    return found


def _sizes(spec: NetworkSpec, image_shape: tuple[int, int, int], classes: int) -> Iterator[dict[str, Any]]:
    """Yield each size of a network with the presets that have it, the largest first, and its cost."""
    named: list[tuple[dict[str, Any], list[str]]] = []
    presets = [(_preset(name), _settings(spec, preset)) for name, preset in PRESETS_OF[spec.name].items()]
    for name, settings in [(PUBLISHED, cost.published(spec)), *presets]:
        names = next((names for there, names in named if there == settings), None)
        if names is None:
            named.append((settings, [name]))
        elif name not in names:
            names.append(name)
    for settings, names in named:
        entry: dict[str, Any] = {"presets": [name for name in names if name != PUBLISHED]}
        entry |= {"published": PUBLISHED in names, "settings": settings}
        try:
            counted = cost.cost(spec, settings, image_shape, classes)
        except (Usage, ValueError) as error:
            yield entry | {"refused": str(error)}
        else:
            yield entry | {
                "trainable": counted.trainable,
                "parameters": counted.parameters,
                "multiply_adds": counted.multiply_adds,
            }


def _settings(spec: NetworkSpec, preset: ImageSettings) -> dict[str, Any]:
    return {one.name: getattr(preset, one.name) for one in spec.settings}


def _preset(name: str) -> str:
    """Return what a preset is listed as: one of a recipe, of which there is one for each source, as that."""
    return next((recipe for recipe in RECIPES if name.startswith(f"{recipe}-")), name)


def render(found: list[dict[str, Any]], image_shape: tuple[int, int, int], classes: int) -> str:
    """Show the networks, a line for each size, and below the table where each comes from."""
    rows, refused = [], {}
    for record in found:
        head = record["name"]
        for entry in record["sizes"]:
            rows.append([head, ", ".join(entry["presets"]) or PUBLISHED, _size(entry), *_numbers(entry)])
            head = ""
            if "refused" in entry:
                refused[record["name"]] = entry["refused"]
        for name in record["presets"] if not record["sizes"] else ():
            size = f"width {TINY['width']}, depth {TINY['depth']}" if name == "tiny" else "of its weights"
            rows.append([head, name, size, "-", "-", "-"])
            head = ""
    height, width, channels = image_shape
    lines = [f"For images of {height}x{width}x{channels} in {classes} classes; MACs: multiply-adds of one image.", ""]
    lines += [text_tables.render("text", list(_COLUMNS), rows, _LEFT), ""]
    for record in found:
        lines += textwrap.wrap(f"{record['name']}: {record['source']}", WIDTH, subsequent_indent="  ")
    return "\n".join([*lines, *(f"{name}: not for such images: {why}" for name, why in refused.items())])


def _size(entry: dict[str, Any]) -> str:
    """Return `width 48, experts 8, token`: numbers by their names, words alone."""
    return ", ".join(
        value if isinstance(value, str) else f"{BY_NAME[name].words} {value}"
        for name, value in entry["settings"].items()
    )


def _numbers(entry: dict[str, Any]) -> list[str]:
    if "refused" in entry:
        return ["-", "-", "-"]
    millions = entry["multiply_adds"]
    return [
        f"{entry['trainable']:,}",
        f"{entry['parameters']:,}",
        "-" if millions is None else f"{millions / 1e6:,.1f}",
    ]
