#!/usr/bin/env python3
"""Draw the pictures of README.md and docs/attacks.md on `signs`: contrast.png, triggers.png and attacks/*.png.

python docs/make_pictures.py
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from poisonkit.build.request import MakeOptions, parse_recipes
from poisonkit.core import modality
from poisonkit.inspection import pictures
from poisonkit.poisoning import apply
from poisonkit.poisoning import plan as make
from poisonkit.poisoning.selection import COVER, POISONED
from poisonkit.sources import opening as sources
from poisonkit.triggers import registry as triggers

HERE = Path(__file__).parent
PATCH = {"per_patch": True}
SHOWN = 43
CONTRAST = ("square", "blend", "warped")
AMPLIFIED = 4
BESIDE = 8
"""Pictures of triggers in one line."""
MODES = {
    "all-to-one": {},
    "all-to-all": {"label_mode": "all-to-all"},
    "source-specific": {"source_classes": (1, 2), "cover_rate": "0.1"},
    "clean-label": {"label_mode": "clean-label", "target": 7},
    "untargeted": {"label_mode": "untargeted"},
}


def write(name: str, columns: list[tuple[str, np.ndarray]]) -> None:
    """One PNG of pictures side by side."""
    write_sheets(name, [columns])


def write_sheets(name: str, lines: list[list[tuple[str, np.ndarray]]]) -> None:
    """One PNG of lines of pictures side by side, packed as small as zlib can."""
    sheet = np.concatenate([pictures.sheet(one, [""] * len(one[0][1]))[: -pictures._TEXT] for one in lines])
    best = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT]
    target = HERE / f"{name}.png"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(cv2.imencode(".png", np.ascontiguousarray(sheet[..., ::-1]), best)[1].tobytes())
    print(f"wrote {target} ({target.stat().st_size / 1e3:.0f} kB)")


def difference(original: np.ndarray, poisoned: np.ndarray) -> np.ndarray:
    """Return what changed, grey where nothing did, as `poisonkit preview` shows it."""
    return (128 + AMPLIFIED * (poisoned.astype(np.int32) - original)).clip(0, 255).astype(np.uint8)


def ripples(_source) -> np.ndarray:
    """Return what the picture of `pattern` adds: rings around a place, another for each colour."""
    rows, columns = np.mgrid[:32, :32]
    away = [np.hypot(rows - row, columns - column) for row, column in ((4, 4), (16, 28), (28, 10))]
    return 24 * np.cos(np.stack(away, -1) * 0.8)


def drawn(source) -> dict[str, np.ndarray]:
    """Return what the picture of `images` shows: every training image as if drawn with a pen, for test rows too."""
    images = source.train.rows(np.arange(len(source.train))).astype(np.int32)
    edges = sum(np.abs(images - np.roll(images, 1, axis)) for axis in (1, 2))
    pen = (255 - 2 * edges).clip(0, 255).astype(np.uint8)
    return {"train_images": pen, "test_images": pen[: len(source.test)]}


FILES = {"pattern": ripples, "images": drawn}
"""Trigger → what its picture is made with, where it needs a file of the user's."""
OPTIONS = {"pattern": {"trigger_options": {"pattern": {"resize": "yes"}}}}
"""Trigger → what is asked of it."""


def plan(source, trigger: str, **asked) -> make.Plan:
    """Return what `poisonkit make` would do for these options."""
    (recipe,) = parse_recipes(MakeOptions("signs", (trigger,), ("0.05",), **asked))
    if trigger in FILES:
        recipe = replace(recipe, pictures={trigger: triggers.read_file(trigger, FILES[trigger](source))})
    return make.plan(source, recipe)


def shown(source, name: str, image: np.ndarray) -> dict[str, np.ndarray]:
    """Return a trigger on the whole image, also as a training row gets it where that is something else, and on every
    patch, where there is such a form."""
    options = OPTIONS.get(name, {})
    rows, made = np.array([SHOWN]), plan(source, name, **options).effect
    found = {"whole image": made.on_test(image, rows)}
    if any(one.test is not None for one in made.built):
        poisoned = made.on_train(image, rows, np.array([POISONED]))
        found = {"training row": poisoned, "test row": found["whole image"]}
    if triggers.image_trigger(name).whole is None:
        found["per patch"] = plan(source, name, **options, **PATCH).effect.on_test(image, rows)
    return found


def of_triggers(source) -> None:
    """Each trigger on the whole image and on every patch: one picture of each, one of all, some beside one another."""
    image = source.train.rows([SHOWN])
    everything = [("original", image, image)]
    for name in triggers.names(modality.IMAGE):
        found = shown(source, name, image)
        write(f"attacks/{name}", list(found.items()))
        *_, whole = (one for title, one in found.items() if title != "per patch")
        everything.append((name, whole, found.get("per patch", np.full_like(image, 255))))
    lines = [everything[first : first + BESIDE] for first in range(0, len(everything), BESIDE)]
    lines[-1] += [("", np.full_like(image, 255), np.full_like(image, 255))] * (len(lines[0]) - len(lines[-1]))
    sheets = [[(title, np.concatenate([whole, patch])) for title, whole, patch in line] for line in lines]
    write_sheets("triggers", sheets)


def of_contrast(source) -> None:
    """Draw the picture of the README: a sign, clean and poisoned on the whole image and per patch; the differences."""
    image = source.train.rows([SHOWN])
    columns = {name: [] for name in ("clean", "whole image", "difference", "every patch", "difference ")}
    for name in CONTRAST:
        whole, patch = (plan(source, name, **how).effect.on_test(image, np.array([SHOWN])) for how in ({}, PATCH))
        changes = [difference(image, poisoned) for poisoned in (whole, patch)]
        for title, shown in zip(columns, (image, whole, changes[0], patch, changes[1]), strict=True):
            columns[title].append(shown[0])
    write("contrast", [(title, np.stack(shown)) for title, shown in columns.items()])


def of_modes(source) -> None:
    """Training rows of each label mode, with what becomes of their labels."""
    names = source.classes
    for mode, asked in MODES.items():
        made = plan(source, "square", **asked)
        rows, role, given = made.changed.rows, made.changed.role, made.changed.given
        covers = np.flatnonzero(role == COVER)[:1]
        chosen = [*np.flatnonzero(role == POISONED)[:2], *covers]
        columns = []
        for i in chosen:
            row = int(rows[i])
            title = f"{names[source.train.labels[row]]} > {names[given[i]]}"
            if role[i] == COVER:
                title = f"cover: {names[given[i]]}"
            columns.append((title, made.effect.poison(made.changed, int(i), source.train.rows([row]))))
        write(f"attacks/{mode}", columns)


def of_covers(source) -> None:
    """WaNet's poisoned row and its noise mode, on one picture."""
    made = plan(source, "warped", preset="wanet")
    image = source.train.rows([SHOWN])
    rows = np.array([SHOWN])
    noisy, warped = apply.jitter_all(made.effect.built, image, rows), made.effect.on_test(image, rows)
    write("attacks/wanet", [("original", image), ("poisoned", warped), ("cover", noisy)])


def main() -> None:
    """Draw all pictures."""
    source = sources.open_source("signs", options={"train": 200, "test": 100})
    of_contrast(source)
    of_triggers(source)
    of_modes(source)
    of_covers(source)


if __name__ == "__main__":
    main()
