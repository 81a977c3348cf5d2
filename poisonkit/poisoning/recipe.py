"""How a file is poisoned, in the one spelling that goes into the manifest: rate, target, triggers, names."""

from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import numpy as np

from poisonkit.core import file_names, hashing, label_modes, modality
from poisonkit.core.errors import Usage
from poisonkit.core.grey_levels import grey
from poisonkit.core.parsing import decimal, spell
from poisonkit.format.records import Pictures, TriggerStep, pictures_json
from poisonkit.format.records import Recipe as RecipeRecord
from poisonkit.sources import registry
from poisonkit.triggers import registry as triggers
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext
from poisonkit.triggers.picture_set import PictureSet

MAX_SEED = 2**63 - 1
parse_factor = decimal("0", "1000")


def parse_rate(text: str, option: str = "rate") -> str:
    """Return a poisoning rate, as a fraction (``0.0005``) or in percent (``0.05%``), in its one spelling."""
    percent = text.strip().endswith("%")
    try:
        value = Decimal(text.strip().removesuffix("%"))
        inside = 0 <= value <= (100 if percent else 1)
        _, digits, exponent = value.as_tuple()
        inside = inside and max(len(digits), -int(exponent)) <= 18
    except InvalidOperation:
        inside = False
    if not inside:
        raise Usage(f"{option}: expected a fraction from 0 to 1 (0.0005) or a percentage (0.05%), got {text!r}")
    return spell(value.scaleb(-2) if percent else value)


def parse_cover_rate(text: str, rate: str, option: str = "--cover-rate") -> str:
    """Return a rate of cover rows, which may be a multiple (``2x``) of the given poisoning rate, in its one
    spelling."""
    multiple = text.strip().lower().replace("×", "x")
    if not multiple.endswith("x"):
        return parse_rate(text, option)
    try:
        factor = Decimal(parse_factor(multiple[:-1]))
    except ValueError:
        raise Usage(f"{option}: expected a rate, or a multiple of --rate such as 2x, got {text!r}") from None
    value = factor * Decimal(rate)
    if value > 1:
        raise Usage(f"{option}: {text} of {rate} is more than all rows")
    return parse_rate(format(value, "f"), option)


def count_rows(rate: str, rows: int, option: str = "rate") -> int:
    """⌊rate · rows⌋, exactly; `Usage` where a rate above 0 gives no row."""
    count = int(Fraction(rate) * rows)
    if Fraction(rate) > 0 and count == 0:
        least = np.format_float_positional(np.ceil(1e6 / rows) / 1e6, trim="-")
        raise Usage(
            f"{option}: {rate} of {rows:,} training rows is less than one row: the least that gives one is {least}"
        )
    return count


def parameters(name: str, given: dict[str, str], preset: str | None) -> dict:
    """Return a trigger's parameters in canonical form: its defaults, then the preset's, then what was given as text."""
    trigger = triggers.spec(name)
    values = {option.key: option.default for option in trigger.options} | trigger.presets.get(preset or "", {})
    for option in trigger.options:
        if option.key in given:
            try:
                values[option.key] = option.parse(given[option.key])
            except ValueError as error:
                raise Usage(f"--{name}-{option.key}: {error}") from None
        if option.omit_if_default and values[option.key] == option.default:
            del values[option.key]
    return dict(given) if trigger.free else values


@dataclass(frozen=True)
class Recipe:
    """How one file is poisoned.

    `steps` are (trigger's name, canonical parameters) in the order of application; `pictures` are the users' by trigger
    name, (h, w, 3) uint8, or (h, w, 4) with their opacity, and whatever else a trigger reads from a file of theirs.
    `target` is None in all-to-all and untargeted; `source_classes` and `cover_classes` ascend. With `one_of` each
    changed row gets one of the triggers, drawn for it. A class that is an `int` is its index; what was typed is a
    text until `classes.resolve_class_names` finds its index, as it does for the usual target. What goes together is
    said by `label_modes.contradiction`. `rate_option` and `cover_option` are what messages call the rates, which a
    preset or a trigger may have set.
    """

    rate: str
    steps: tuple[tuple[str, dict], ...] = ()
    patch: tuple[int, int] | None = None
    target: int | str | label_modes.Usual | None = 0
    seed: int = 0
    pictures: dict[str, Any] = field(default_factory=dict)
    label_mode: str = "all-to-one"
    select: str = "all"
    source_classes: tuple[int | str, ...] = ()
    cover_rate: str = "0"
    cover_jitter: bool = False
    cover_classes: tuple[int | str, ...] = ()
    one_of: bool = False
    rate_option: str = field(default="rate", compare=False)
    cover_option: str = field(default="--cover-rate", compare=False)

    @property
    def modality(self) -> modality.Modality:
        """What its triggers are for, all of them, as `check_modality` makes sure."""
        return triggers.spec(self.steps[0][0]).modality if self.steps else modality.IMAGE

    @property
    def target_label(self) -> int | None:
        """The index of the target, once class names are resolved; None in all-to-all."""
        if self.target is None or isinstance(self.target, int):
            return self.target
        raise TypeError(f"the target {self.target!r} is not resolved yet")

    @property
    def source_labels(self) -> tuple[int, ...]:
        """The indices of the source classes, once class names are resolved."""
        return tuple(int(label) for label in self.source_classes)

    @property
    def cover_labels(self) -> tuple[int, ...]:
        """The indices of the classes that alone have cover rows, once class names are resolved; none where nothing was
        said of it."""
        return tuple(int(label) for label in self.cover_classes)

    @property
    def clean(self) -> bool:
        """Whether this is the clean file: no trigger, no seed, nothing changed."""
        return self.rate == "0"

    def record(self, streams: list[str]) -> RecipeRecord:
        """Return the manifest's `recipe`."""
        if self.clean:
            return RecipeRecord("0")
        return RecipeRecord(
            rate=self.rate,
            seed=self.seed,
            streams=tuple(streams),
            application="patch" if self.patch else self.modality.name,
            patch=self.patch,
            label_mode=self.label_mode,
            target=self.target_label,
            select=self.select,
            triggers=tuple(TriggerStep(name, values) for name, values in self.steps),
            source_classes=self.source_labels,
            cover_rate=None if self.cover_rate == "0" else self.cover_rate,
            cover_jitter=self.cover_jitter,
            cover_classes=self.cover_labels,
            one_of=self.one_of,
        )

    def default(self, source: str, source_options: dict[str, Any]) -> bool:
        """Whether the readable part of the name says everything."""
        if self.clean:
            return not source_options
        plain = all(values == parameters(name, {}, None) for name, values in self.steps)
        target = registry.default_target(source) if self.modality.is_text else 0
        usual = Recipe(self.rate, self.steps, self.patch, target, self.seed)
        return plain and not source_options and self == usual


def labelling_of(record: RecipeRecord) -> Recipe:
    """Return the recipe of a poisoned file without its triggers: rows, labels, seed."""
    return Recipe(
        rate=record.rate,
        patch=record.patch,
        target=record.target,
        seed=record.seed,
        label_mode=record.label_mode,
        select=record.select,
        source_classes=record.source_classes,
        cover_rate=record.cover_rate or "0",
        cover_jitter=record.cover_jitter,
        cover_classes=record.cover_classes,
        one_of=record.one_of,
    )


def recipe_of(record: RecipeRecord, pictures: dict[str, Any] | None = None) -> Recipe:
    """Return the recipe that a manifest records; `pictures` are the users', by trigger name.

    Raises `Usage` where it is invalid to this version of the tool.
    """
    if record.rate == "0":
        return Recipe("0")
    steps = tuple((step.name, parameters(step.name, step.typed, None)) for step in record.triggers)
    labelling = labelling_of(record)
    rate, cover_rate = parse_rate(labelling.rate), parse_rate(labelling.cover_rate, "cover_rate")
    return replace(labelling, steps=steps, pictures=dict(pictures or {}), rate=rate, cover_rate=cover_rate)


def file_name(
    recipe: Recipe, record: RecipeRecord, source: str, source_options: dict[str, Any], pictures: Pictures
) -> str:
    """Return the canonical name, without a suffix: ``cifar10-square-patch8-0.0005-s0``.

    Options other than the defaults add the first 8 characters of the digest of source, recipe and pictures. Of more
    triggers than a name can hold only the first is named.
    """
    called = registry.data_set_name(source, source_options)
    if recipe.clean:
        parts = [called, "clean"]
    else:
        parts = [called, "+".join(name for name, _ in recipe.steps)]
        if recipe.patch:
            height, width = recipe.patch
            parts.append(f"patch{height}" if height == width else f"patch{height}x{width}")
        parts += [recipe.rate, f"s{recipe.seed}"]
    identity = {
        "source": source,
        "options": source_options,
        "recipe": record.json,
        "pictures": pictures_json(pictures),
    }
    digest = hashing.digest(identity).removeprefix("sha256:")[:8]
    name = "-".join(parts if recipe.default(source, source_options) else [*parts, digest])
    if len(name) <= file_names.LONGEST:
        return name
    parts[1] = f"{recipe.steps[0][0]}+{len(recipe.steps) - 1}-more"
    return "-".join([*parts, digest])


def tile_shape(recipe: Recipe, image: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the tile (height, width, channels) that the triggers are built for; `Usage` where patch or trigger do not
    fit."""
    height, width, channels = image
    if recipe.patch and (height % recipe.patch[0] or width % recipe.patch[1]):
        fit = ", ".join(str(n) for n in range(2, min(height, width) + 1) if height % n == 0 and width % n == 0)
        size = "×".join(map(str, recipe.patch))
        advice = f"square patches may be {fit}" if fit else f"no square of 2×2 or more does, {_oblong(height, width)}"
        raise Usage(f"--patch-size: {size} does not divide images of {height}×{width}: {advice}")
    tile_height, tile_width = recipe.patch or (height, width)
    tile = (tile_height, tile_width, channels)
    for name, values in recipe.steps:
        trigger = triggers.image_trigger(name)
        if recipe.patch and trigger.whole:
            raise Usage(f"--per-patch: {name} has no per-patch form: {trigger.whole}")
        trigger.check(values, tile)
    return tile


def _oblong(height: int, width: int) -> str:
    """Return the least patch that divides such images and is more than a row or a column, whatever their sides are."""
    high, wide = (next((n for n in range(2, side + 1) if side % n == 0), side) for side in (height, width))
    return f"{high}x{wide} (height x width) does" + (", the whole image" if (high, wide) == (height, width) else "")


def check_modality(recipe: Recipe, rows: modality.Modality) -> None:
    """`Usage` where a trigger is for other rows than those, or texts are to be cut into patches."""
    for name, _ in recipe.steps:
        wanted = triggers.spec(name).modality
        if wanted != rows:
            fit = ", ".join(triggers.names(rows))
            raise Usage(f"--trigger: {name} is for {wanted.rows}, the data set holds {rows.rows}: expected {fit}")
    if recipe.patch and rows.is_text:
        raise Usage(f"--per-patch: is for images, the data set holds {rows.rows}")


def check_alone(recipe: Recipe) -> None:
    """`Usage` where a trigger that replaces a row whole stands beside another."""
    whole = [name for name, _ in recipe.steps if triggers.gives_rows(name)]
    if whole and len(recipe.steps) > 1:
        rows = recipe.modality.rows
        raise Usage(
            f"--trigger: {whole[0]} gives whole {rows} and stands alone: let its file hold the other triggers' work"
        )


def check_one_of(recipe: Recipe) -> None:
    """`Usage` where each row is to get one of several triggers and there is only one, or texts are meant."""
    if recipe.one_of and len(recipe.steps) < 2:
        raise Usage("--one-of: needs two triggers or more, each given with --trigger")
    if recipe.one_of and recipe.modality.is_text:
        raise Usage("--one-of: is for images, the triggers are for texts")


def check_jitter(recipe: Recipe) -> None:
    """`Usage` where cover rows are to have noise of their own and there are none, or no trigger that could."""
    able = [name for name in triggers.names() if triggers.has_jitter(name)]
    if recipe.cover_jitter and recipe.cover_rate == "0":
        raise Usage("--cover-jitter: there are no cover rows without --cover-rate")
    if recipe.cover_jitter and not {name for name, _ in recipe.steps} & set(able):
        raise Usage(f"--cover-jitter: needs --trigger {' or '.join(able)}, the others have no noise mode")


def build(recipe: Recipe, image: tuple[int, ...], force: bool = False) -> list[BuiltTrigger]:
    """Return the triggers, built for whole images of (height, width, channels), in the order of application."""
    tile = tile_shape(recipe, image)
    built: list[BuiltTrigger] = []
    seen: dict[str, int] = {}
    for name, values in recipe.steps:
        given = recipe.pictures.get(name)
        several = given if isinstance(given, PictureSet) else None
        of_file = given if triggers.takes_file(name) else None
        picture = None if several or of_file else _picture_for(name, given, image[2])
        context = ImageContext(recipe.seed, seen.get(name, 0), picture, several, of_file)
        seen[name] = seen.get(name, 0) + 1
        one = triggers.image_trigger(name).build(values, tile, context)
        for effect, where in ((one.train, ""), (one.test, " of a test row")):
            if effect is not None and effect.constant().all() and not force:
                raise Usage(
                    f"{name}: leaves no pixel of the original{where} in a tile of {tile[0]}×{tile[1]}; --force makes it"
                )
        built.append(one.tile(*image[:2]))
    return built


def _picture_for(name: str, picture: np.ndarray | None, channels: int) -> np.ndarray | None:
    """Return a picture in the images' channels, (h, w, C) or with its opacity (h, w, C + 1) where the trigger takes
    that."""
    if picture is None:
        return None
    expected = (channels, channels + 1) if triggers.takes_alpha(name) else (channels,)
    if channels == 1 and picture.shape[-1] in (3, 4):
        picture = np.concatenate([grey(picture[..., :3]), picture[..., 3:]], -1)
    if picture.shape[-1] not in expected:
        raise Usage(f"picture: expected {channels} channel(s), got {picture.shape[-1]}")
    return picture
