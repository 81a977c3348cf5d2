"""The table of the networks that there are: how large they are, what an image costs, their presets and sources."""

from collections.abc import Iterator
from typing import Any

from benchmark.core import text_tables
from benchmark.core.errors import Usage
from benchmark.nn import cost
from benchmark.nn.networks import DEFAULT, NETWORKS, NetworkSpec
from benchmark.training.settings import PRESETS_OF
from benchmark.training.table import BY_NAME

PUBLISHED = "(as published)"
_COLUMNS = ("network", "preset", "size", "trainable", "all", "M multiply-adds")
_LEFT = {"network", "preset", "size"}


def records(image_shape: tuple[int, int, int], classes: int) -> list[dict[str, Any]]:
    """Return all that is known of each network, for images of this shape. A backend must have been activated.

    `sizes` has an entry for each size in which the presets, and its source, have it; of a text encoder none: it is as
    large as its folder's weights.
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
    published = cost.published(spec)
    for name, settings in [(PUBLISHED, published)] * bool(published) + [
        (name, PRESETS_OF[spec.name][name].model()) for name in spec.presets
    ]:
        names = next((names for there, names in named if there == settings), None)
        if names is None:
            named.append((settings, [name]))
        else:
            names.append(name)
    for settings, names in named:
        presets = [name for name in names if name != PUBLISHED]
        entry: dict[str, Any] = {"presets": presets, "published": PUBLISHED in names, "settings": settings}
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
        if not record["sizes"]:
            rows.append([head, ", ".join(record["presets"]), "of its folder", "-", "-", "-"])
    height, width, channels = image_shape
    lines = [f"For images of {height}x{width}x{channels} in {classes} classes; multiply-adds of one image.", ""]
    lines += [text_tables.render("text", list(_COLUMNS), rows, _LEFT), ""]
    lines += [f"{record['name']}: {record['source']}" for record in found]
    return "\n".join([*lines, *(f"{name}: not for such images: {why}" for name, why in refused.items())])


def _size(entry: dict[str, Any]) -> str:
    return ", ".join(f"{BY_NAME[name].words} {value}" for name, value in entry["settings"].items())


def _numbers(entry: dict[str, Any]) -> list[str]:
    if "refused" in entry:
        return ["-", "-", "-"]
    millions = entry["multiply_adds"]
    return [
        f"{entry['trainable']:,}",
        f"{entry['parameters']:,}",
        "-" if millions is None else f"{millions / 1e6:,.1f}",
    ]
