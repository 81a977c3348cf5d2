"""What the user asked for, in the one spelling that goes into the manifest: rate, target, triggers, names."""

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import numpy as np

from poisonkit import manifest, triggers
from poisonkit.errors import Usage
from poisonkit.triggers.base import Built, Context, spell
from poisonkit.triggers.picture import grey

MAX_SEED = 2**63 - 1


def parse_rate(text: str) -> str:
    """A poisoning rate, as a fraction (``0.0005``) or in percent (``0.05%``), in its one spelling."""
    percent = text.strip().endswith("%")
    try:
        value = Decimal(text.strip().removesuffix("%"))
        inside = 0 <= value <= (100 if percent else 1)
        inside = inside and max(len(value.as_tuple().digits), -value.as_tuple().exponent) <= 18
    except InvalidOperation:
        inside = False
    if not inside:
        raise Usage(f"rate: expected a fraction from 0 to 1 (0.0005) or a percentage (0.05%), got {text!r}")
    return spell(value.scaleb(-2) if percent else value)


def count_rows(rate: str, rows: int) -> int:
    """⌊rate · rows⌋, exactly; `Usage` where a rate above 0 gives no row."""
    count = int(Fraction(rate) * rows)
    if Fraction(rate) > 0 and count == 0:
        least = np.format_float_positional(np.ceil(1e6 / rows) / 1e6, trim="-")
        raise Usage(f"rate: {rate} of {rows:,} training rows is less than one row: the least that gives one is {least}")
    return count


def parameters(name: str, given: dict[str, str], preset: str | None) -> dict:
    """A trigger's parameters in canonical form: its defaults, then the preset's, then what was given as text."""
    module = triggers.module(name)
    values = {option.key: option.default for option in module.OPTIONS} | module.PRESETS.get(preset, {})
    for option in module.OPTIONS:
        if option.key in given:
            try:
                values[option.key] = option.parse(given[option.key])
            except ValueError as error:
                raise Usage(f"--{name}-{option.key}: {error}") from None
        if option.late and values[option.key] == option.default:
            del values[option.key]
    return values


@dataclass(frozen=True)
class Request:
    """What is asked of one file. `steps` are (trigger's name, canonical parameters) in the order of application;
    `pictures` are the users' pictures by trigger name, (h, w, 3) uint8, or (h, w, 4) with their opacity."""

    rate: str
    steps: tuple[tuple[str, dict], ...] = ()
    patch: tuple[int, int] | None = None
    target: int = 0
    seed: int = 0
    pictures: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether this is the clean file: no trigger, no seed, nothing changed."""
        return self.rate == "0"

    def record(self, streams: list[str]) -> dict:
        """The manifest's `recipe`."""
        if self.clean:
            return {"rate": "0"}
        return {
            "rate": self.rate,
            "seed": self.seed,
            "streams": streams,
            "application": "patch" if self.patch else "image",
            "patch": list(self.patch) if self.patch else None,
            "label_mode": "all-to-one",
            "target": self.target,
            "select": "all",
            "triggers": [{"name": name, **values} for name, values in self.steps],
        }

    def default(self, source_options: dict) -> bool:
        """Whether the readable part of the name says everything."""
        plain = all(values == parameters(name, {}, None) for name, values in self.steps)
        return not source_options and (self.clean or (plain and self.target == 0 and not self.pictures))


def request_of(facts: dict, pictures: dict | None = None) -> Request:
    """The request that a manifest's recipe answers; `pictures` are the users', by trigger name.

    Raises `Usage` where it makes no sense to this version of the tool.
    """
    said = facts["recipe"]
    if facts["kind"] == "clean":
        return Request("0")
    steps = []
    for step in said["triggers"]:
        texts = {key: ",".join(map(str, v)) if isinstance(v, list) else str(v) for key, v in step.items()}
        name = texts.pop("name")
        steps.append((name, parameters(name, texts, None)))
    patch = tuple(said["patch"]) if said["patch"] else None
    return Request(parse_rate(said["rate"]), tuple(steps), patch, said["target"], said["seed"], dict(pictures or {}))


def file_name(request: Request, recipe: dict, source: str, source_options: dict, pictures: dict) -> str:
    """The canonical name, without a suffix: ``cifar10-square-patch8-0.0005-s0``.

    Options other than the defaults add the first 8 characters of the digest of source, recipe and pictures.
    """
    if request.clean:
        parts = [source, "clean"]
    else:
        parts = [source, "+".join(name for name, _ in request.steps)]
        if request.patch:
            height, width = request.patch
            parts.append(f"patch{height}" if height == width else f"patch{height}x{width}")
        parts += [request.rate, f"s{request.seed}"]
    if not request.default(source_options):
        identity = {"source": source, "options": source_options, "recipe": recipe, "pictures": pictures}
        parts.append(manifest.digest(identity).removeprefix("sha256:")[:8])
    return "-".join(parts)


def tile_shape(request: Request, image: tuple[int, int, int]) -> tuple[int, int, int]:
    """The tile (height, width, channels) that the triggers are built for; `Usage` where patch or trigger do not fit."""
    height, width, channels = image
    if request.patch and (height % request.patch[0] or width % request.patch[1]):
        fit = ", ".join(str(n) for n in range(2, min(height, width) + 1) if height % n == 0 and width % n == 0)
        size = "×".join(map(str, request.patch))
        raise Usage(f"--patch-size: {size} does not divide images of {height}×{width}: square patches may be {fit}")
    tile = (*(request.patch or (height, width)), channels)
    for name, values in request.steps:
        triggers.module(name).check(values, tile)
    return tile


def build(request: Request, image: tuple[int, int, int], force: bool = False) -> list[Built]:
    """The triggers' stencils for whole images of (height, width, channels), in the order of application."""
    tile = tile_shape(request, image)
    built, seen = [], {}
    for name, values in request.steps:
        picture = _picture_for(name, request.pictures.get(name), image[2])
        context = Context(request.seed, seen.get(name, 0), picture)
        seen[name] = seen.get(name, 0) + 1
        one = triggers.module(name).build(values, tile, context)
        if one.stencil.constant().all() and not force:
            raise Usage(f"{name}: leaves no pixel of the original in a tile of {tile[0]}×{tile[1]}; --force makes it")
        built.append(Built(one.stencil.tile(*image[:2]), one.extras, one.streams))
    return built


def _picture_for(name: str, picture: np.ndarray | None, channels: int) -> np.ndarray | None:
    """A picture in the images' channels, (h, w, C) or with its opacity (h, w, C + 1) where the trigger takes that."""
    if picture is None:
        return None
    expected = (channels, channels + 1) if triggers.module(name).PICTURE == "alpha" else (channels,)
    if channels == 1 and picture.shape[-1] in (3, 4):
        picture = np.concatenate([grey(picture[..., :3]), picture[..., 3:]], -1)
    if picture.shape[-1] not in expected:
        raise Usage(f"picture: expected {channels} channel(s), got {picture.shape[-1]}")
    return picture
