"""From the options of `make` as they are typed to a request of typed values: the one place where text is parsed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from poisonkit.core import label_modes, naming
from poisonkit.core.errors import Usage
from poisonkit.core.parsing import DEFAULT_PATCH, parse_patch
from poisonkit.poisoning import recipe as recipes
from poisonkit.poisoning.recipe import Recipe
from poisonkit.sources.registry import SOURCES
from poisonkit.triggers import picture_set
from poisonkit.triggers import registry as triggers

DRAW = "--camouflage-seed $(python3 -c 'import secrets; print(secrets.randbits(62))')"


@dataclass(frozen=True)
class MakeOptions:
    """The options of `make` as they were typed: text, but for plain flags, numbers and paths.

    A class that is an `int` is its index. `options` are KEY=VALUE of a trigger that is not ours; `trigger_options` is
    trigger → {key: text}; `user_files` trigger → the picture or other file that the user brings for it, a path (or, in
    Python, what the file would hold); `row_lists` and `row_folders` are trigger → where the rows that its file is made
    of are written, and their pictures.
    """

    dataset: str
    triggers: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    per_patch: bool = False
    patch_size: str | None = None
    target: str | int | None = None
    label_mode: str | None = None
    source_classes: tuple[str | int, ...] = ()
    select: str | None = None
    cover_rate: str | None = None
    cover_jitter: bool = False
    cover_classes: tuple[str | int, ...] = ()
    one_of: bool = False
    seed: int = 0
    preset: str | None = None
    source: Path | None = None
    source_options: tuple[str, ...] = ()
    size: str | None = None
    split: str | None = None
    name: str | None = None
    camouflage: str | None = None
    camouflage_seed: int | None = None
    cache: Path | None = None
    fresh: bool = False
    output: Path = Path("data")
    force: bool = False
    options: tuple[str, ...] = ()
    trigger_options: dict[str, dict[str, str]] = field(default_factory=dict)
    user_files: dict[str, Any] = field(default_factory=dict)
    row_lists: dict[str, Path] = field(default_factory=dict)
    row_folders: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceRequest:
    """Which clean data to open: the arguments of `sources.opening.open_source`."""

    name: str
    path: Path | None = None
    options: dict[str, int | str] = field(default_factory=dict)
    cache: Path | None = None
    fresh: bool = False


@dataclass(frozen=True)
class BuildRequest:
    """What `make` is asked for, parsed: the clean data, a recipe for each file, and where the files go.

    `listing` is what is written instead, where rows are to be changed with another tool: the trigger that will take
    them, the CSV of the rows, and the folder of their clean pictures, if there is one.
    """

    source: SourceRequest
    recipes: tuple[Recipe, ...]
    output: Path = Path("data")
    force: bool = False
    listing: tuple[str, Path, Path | None] | None = None

    @classmethod
    def parse(cls, options: MakeOptions) -> "BuildRequest":
        """Parse and check the options as far as that needs no images. Raises `Usage` in one line."""
        options = understood(options)
        parsed = parse_recipes(options)
        source = _source_request(options)
        for name, values in next((one.steps for one in parsed if not one.clean), ()):
            triggers.check_code(name, values)
        files = read_user_files(options.user_files)
        with_files = tuple(one if one.clean else replace(one, pictures=files) for one in parsed)
        return cls(source, with_files, options.output, options.force, _listing(options))


def _listing(options: MakeOptions) -> tuple[str, Path, Path | None] | None:
    """Return the list that is asked for, see `BuildRequest.listing`."""
    for name, folder in options.row_folders.items():
        if name not in options.row_lists:
            raise Usage(f"--{name}-folder: requires --{name}-list, which says whose pictures they are ({folder})")
    for name, path in options.row_lists.items():
        return name, path, options.row_folders.get(name)
    return None


def understood(options: MakeOptions) -> MakeOptions:
    """Return the options with the one name of each thing (`core.naming`). Raises `Usage` for what is unknown."""
    mode, select = options.label_mode, options.select
    names = tuple(name if triggers.is_other(name) else triggers.find(name) for name in options.triggers)
    known = [preset for name in names if not triggers.is_other(name) for preset in triggers.presets_of(name)]
    return replace(
        options,
        dataset=SOURCES.find(options.dataset),
        triggers=names,
        label_mode=None if mode is None else _known("--label-mode", mode, label_modes.SELECTIONS, label_modes.ALIASES),
        select=None if select is None else _known("--select", select, label_modes.CHOICES),
        preset=options.preset and (naming.understood(options.preset, known) or options.preset),
    )


def parse_recipes(options: MakeOptions) -> list[Recipe]:
    """Parse one recipe for each rate, without the users' files; classes stay as they were typed."""
    options = _with_others(options)
    _check_preset(options)
    rates = list(dict.fromkeys(recipes.parse_rate(text) for text in _rates(options)))
    steps = tuple(
        (name, recipes.parameters(name, options.trigger_options.get(name, {}), options.preset))
        for name in options.triggers
    )
    _check_triggers(options, rates)
    if options.output.suffix == ".h5" and len(rates) > 1:
        raise Usage(f"-o: expected a folder for {len(rates)} files, got {options.output}")
    if not 0 <= options.seed <= recipes.MAX_SEED:
        raise Usage(f"--seed: expected a whole number from 0 to {recipes.MAX_SEED}, got {options.seed}")
    patch = (DEFAULT_PATCH,) * 2 if options.per_patch else None
    if options.patch_size is not None:
        patch = parse_patch(options.patch_size)
    base = _with_labelling(options, Recipe("0", steps, patch, seed=options.seed, one_of=options.one_of))
    if not options.rates:
        base = replace(base, rate_option=_set_by(options, "rate"))
    recipes.check_one_of(base)
    return [Recipe("0") if rate == "0" else _with_covers(options, replace(base, rate=rate)) for rate in rates]


def _with_others(options: MakeOptions) -> MakeOptions:
    """Put triggers that are not ours, `FILE.py:FUNCTION` or PACKAGE.NAME, under their names in a recipe, and what that
    says of them among the options. `Usage` for more than one that the options could be for."""
    others = [name for name in options.triggers if name not in triggers.TRIGGERS]
    if len(others) > 1:
        raise Usage(
            f"--trigger: {' and '.join(others)}: expected one that is not poisonkit's own: let one call the other"
        )
    if options.options and not others:
        raise Usage("--option: requires --trigger FILE.py:FUNCTION, or a trigger of a package")
    if not others:
        return options
    typed: dict[str, str] = {}
    for text in options.options:
        key, equals, value = text.partition("=")
        if not equals or key in typed or not value.isprintable():
            what = "twice" if key in typed else "expected KEY=VALUE"
            raise Usage(f"--option: {text!r:.60}: {what}")
        typed[key] = value
    name, parameters = triggers.chosen(others[0], typed)
    names = tuple(name if one == others[0] else one for one in options.triggers)
    return replace(options, triggers=names, trigger_options=options.trigger_options | {name: parameters})


def _rates(options: MakeOptions) -> tuple[str, ...]:
    """Return the rates as they were typed, or as the preset has it. `Usage` where neither says one."""
    if options.rates:
        return options.rates
    if "rate" in (preset := _make_preset(options)):
        return (preset["rate"],)
    unset = "" if options.preset is None else f", which --preset {options.preset} does not set"
    raise Usage(f"--rate: expected a poisoning rate{unset}, such as 0.05 or 5% (0: the clean file)")


def _with_labelling(options: MakeOptions, recipe: Recipe) -> Recipe:
    """Add label mode, target, source classes and the eligible rows: what one implies of the others.

    Source classes alone are a source-specific attack; a preset sets what was not typed. `Usage` for a contradiction.
    """
    preset = _make_preset(options)
    usual = "all-to-one" if options.select else preset.get("label_mode", "all-to-one")
    mode = options.label_mode or ("source-specific" if options.source_classes else usual)
    _known("--label-mode", mode, label_modes.SELECTIONS)
    select = options.select or label_modes.SELECTIONS[mode][0]
    _known("--select", select, label_modes.CHOICES)
    target: str | int | label_modes.Usual | None = options.target
    if target is None and mode not in label_modes.NO_TARGET:
        target = preset.get("target", label_modes.USUAL)
    classes = tuple(dict.fromkeys(options.source_classes))
    if error := label_modes.contradiction(mode, select, target, classes):
        raise Usage(error)
    return replace(recipe, label_mode=mode, select=select, target=target, source_classes=classes)


def _known(option: str, value: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str:
    found = naming.understood(value, known, aliases)
    if found is None:
        near = naming.hint(value, known, aliases)
        raise Usage(f"{option}: unknown {value!r}: expected one of {', '.join(known)}{near}")
    return found


def _make_preset(options: MakeOptions) -> dict[str, Any]:
    """Return the options of `make` itself that the chosen triggers have by default, or by the preset."""
    values: dict[str, Any] = {}
    for name in options.triggers:
        values |= triggers.spec(name).make_defaults
    for name in options.triggers if options.preset is not None else ():
        values |= triggers.spec(name).make_presets.get(options.preset or "", {})
    return values


def _set_by(options: MakeOptions, key: str) -> str:
    """Name an option of `make` that was not typed, for a message: its value, and what sets it."""
    value = _make_preset(options)[key]
    option = f"--{key.replace('_', '-')} {value}"
    if any(key in triggers.spec(name).make_presets.get(options.preset or "", {}) for name in options.triggers):
        return f"{option}, which --preset {options.preset} sets"
    name = [name for name in options.triggers if key in triggers.spec(name).make_defaults][-1]
    return f"{option}, which {name} has by default"


def _with_covers(options: MakeOptions, recipe: Recipe) -> Recipe:
    """Add the cover rows, as they were typed or as the preset has them."""
    preset = _make_preset(options)
    text = preset.get("cover_rate") if options.cover_rate is None else options.cover_rate
    if options.cover_rate is None and text is not None:
        recipe = replace(recipe, cover_option=_set_by(options, "cover_rate"))
    rate = "0" if text is None else recipes.parse_cover_rate(text, recipe.rate, recipe.cover_option)
    jitter = options.cover_jitter or (preset.get("cover_jitter", False) and rate != "0")
    classes = tuple(dict.fromkeys(options.cover_classes))
    covered = replace(recipe, cover_rate=rate, cover_jitter=jitter, cover_classes=classes)
    recipes.check_jitter(covered)
    mode, target, sources = recipe.label_mode, recipe.target, recipe.source_classes
    if error := label_modes.cover_contradiction(mode, target, sources, classes, rate != "0"):
        raise Usage(error)
    return covered


def _check_triggers(options: MakeOptions, rates: list[str]) -> None:
    """`Usage` where no trigger was chosen, or where options belong to none of them."""
    if not options.triggers and rates != ["0"]:
        raise Usage(
            f"--trigger: expected one or more of {', '.join(triggers.names())} (none is needed for --rate 0 alone)"
        )
    typed = {name: f"--{name}-{next(iter(values))}" for name, values in options.trigger_options.items() if values}
    typed |= {name: triggers.file_option(name) for name in options.user_files}
    typed |= {name: f"--{name}-folder" for name in options.row_folders}
    typed |= {name: f"--{name}-list" for name in options.row_lists}
    for name, option in typed.items():
        if name not in options.triggers:
            raise Usage(f"{option}: requires --trigger {name}")


def _check_preset(options: MakeOptions) -> None:
    """`Usage` where a preset belongs to none of the triggers."""
    if options.preset is not None:
        known = [preset for name in options.triggers for preset in triggers.spec(name).presets]
        if options.preset not in known:
            expected = ", ".join(dict.fromkeys(known)) or "none for these triggers"
            near = naming.hint(options.preset, known)
            raise Usage(f"--preset: unknown {options.preset!r}: expected {expected}{near}")


# ---------------------------------------------------------------- the source


def _source_request(options: MakeOptions) -> SourceRequest:
    spec = SOURCES[options.dataset]
    typed = parse_source_options(options.source_options, spec.text_options)
    plain = {naming.understood(key, spec.options) or key: value for key, value in typed.items()}
    for key, value in (("size", options.size), ("split", options.split), ("name", options.name)):
        if value is None:
            continue
        if key not in spec.options:
            able = ", ".join(one.name for one in SOURCES if key in one.options)
            raise Usage(f"--{key}: the source {options.dataset} has no such option, which is one of {able}")
        if key in plain:
            raise Usage(f"--{key}: --source-option {key}={plain[key]} says the same: leave one out")
        plain[key] = value if spec.text_options else _number(value, f"--{key}: expected a number or HEIGHTxWIDTH")
    parsed = plain | _camouflage_options(options)
    return SourceRequest(options.dataset, options.source, parsed, options.cache, options.fresh)


def parse_source_options(texts: tuple[str, ...], free: bool = False) -> dict[str, int | str]:
    """Parse ``KEY=N`` or ``KEY=HxW`` options of the source, or ``KEY=TEXT`` where they are `free`."""
    options: dict[str, int | str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        expected = f"--source-option: expected KEY={'TEXT' if free else 'NUMBER (or KEY=HEIGHTxWIDTH)'}"
        if not key or not equals:
            raise Usage(f"{expected}, got {text!r:.80}")
        options[key] = value if free else _number(value, expected, text)
    return options


def _number(value: str, expected: str, typed: str | None = None) -> int | str:
    """Return a whole number, or height and width; else `Usage`, which says what was expected and what typed."""
    parts = value.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(part.isdecimal() and len(part) <= 18 for part in parts):
        raise Usage(f"{expected}, got {typed or value!r:.80}")
    return int(value) if len(parts) == 1 else "x".join(parts)


def _camouflage_options(options: MakeOptions) -> dict[str, int | str]:
    """Return the options of a camouflaged source. `Usage` without a seed, with a way to draw one."""
    if options.camouflage is None:
        if options.camouflage_seed is not None:
            raise Usage("--camouflage-seed: requires --camouflage")
        return {}
    if options.camouflage_seed is None:
        raise Usage(
            "--camouflage needs --camouflage-seed N, a number that nobody can guess (with it anyone makes the same "
            f"images from the public ones), the same for all files of an exercise; one that is never shown: {DRAW}"
        )
    from poisonkit.sources import camouflage

    level = naming.understood(options.camouflage, camouflage.LEVELS) or options.camouflage
    return camouflage.parse(level, options.camouflage_seed).options()


def read_user_files(paths: dict[str, Any]) -> dict[str, Any]:
    """Read the users' files by trigger: pictures, (h, w, 3) uint8 in colour or (h, w, 4) with their opacity, folders of
    pictures, and what other triggers read of theirs. Values of Python's are taken where a trigger takes such."""
    contents: dict[str, Any] = {}
    for name, path in paths.items():
        if triggers.takes_file(name):
            contents[name] = triggers.read_file(name, path)
        elif triggers.takes_folder(name):
            contents[name] = picture_set.read(path)
        else:
            from poisonkit.core import picture_files

            contents[name] = picture_files.read(path, alpha=triggers.takes_alpha(name))
    return contents
