"""What the command line asked of `make`, as one object, and how it is carried out: one file a rate."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from poisonkit import class_names, labels, produce, recipe, sources, triggers
from poisonkit import known as recipe_known
from poisonkit.errors import Usage
from poisonkit.numbers import counted

DEFAULT_PATCH = 8
DRAW = "--camouflage-seed $(python3 -c 'import secrets; print(secrets.randbits(62))')"


@dataclass(frozen=True)
class Order:
    """The arguments of `make` as they were typed. `given` is trigger name → {key: text, "image": path}."""

    dataset: str | None
    names: tuple[str, ...]
    rates: tuple[str, ...]
    origin: Path | None = None
    per_patch: bool = False
    patch_size: str | None = None
    target: str | int | None = None
    label_mode: str | None = None
    source_classes: tuple[str | int, ...] = ()
    select: str | None = None
    cover_rate: str | None = None
    cover_jitter: bool = False
    seed: int = 0
    preset: str | None = None
    source: Path | None = None
    source_options: tuple[str, ...] = ()
    size: str | None = None
    camouflage: str | None = None
    camouflage_seed: int | None = None
    cache: Path | None = None
    fresh: bool = False
    output: Path = Path("data")
    force: bool = False
    given: dict[str, dict] = field(default_factory=dict)


def trigger_options(params, values: dict) -> dict[str, dict]:
    """Those of click's parsed values that belong to a trigger and were given, by trigger and key."""
    given: dict[str, dict] = {}
    for param in params:
        trigger, value = getattr(param, "trigger", None), values.get(param.name)
        if trigger and value not in (None, ()):
            mine, key = given.setdefault(trigger, {}), param.key or "image"
            if key in mine:
                raise Usage(f"{param.opts[0]}: given beside --{trigger}-{key}, which says the same: leave one out")
            mine[key] = _joined(param.opts[0], value) if isinstance(value, tuple) else value
    return given


def _joined(option: str, values: tuple[str, ...]) -> str:
    """The values of an option that was given several times, as its long form has them."""
    for value in values:
        if "," in value:
            raise Usage(f"{option}: expected one at a time, got {value!r:.60}")
    return ",".join(values)


def requests(order: Order) -> list[recipe.Request]:
    """One request for each rate, checked as far as they can be without the images."""
    rates = list(dict.fromkeys(recipe.parse_rate(text) for text in order.rates))
    steps = tuple((name, recipe.parameters(name, order.given.get(name, {}), order.preset)) for name in order.names)
    _check_names(order, rates)
    if order.output.suffix == ".h5" and len(rates) > 1:
        raise Usage(f"-o: expected a folder for {len(rates)} files, got {order.output}")
    patch = (DEFAULT_PATCH,) * 2 if order.per_patch else None
    if order.patch_size is not None:
        patch = parse_patch(order.patch_size)
    base = recipe.Request("0", steps, patch, seed=order.seed, **_aim(order))
    return [recipe.Request("0") if rate == "0" else _covered(order, replace(base, rate=rate)) for rate in rates]


def _aim(order: Order) -> dict:
    """Label mode, target, source classes and which rows: what one implies of the others, and nothing that contradicts.
    (Source classes alone are a source-specific attack.) What a preset says holds where nothing else was typed."""
    preset = _make_preset(order)
    usual = "all-to-one" if order.select else preset.get("label_mode", "all-to-one")
    mode = order.label_mode or ("source-specific" if order.source_classes else usual)
    for option, value, known in (
        ("--label-mode", mode, labels.SELECTIONS),
        ("--select", order.select, (None, *labels.CHOICES)),
    ):
        if value not in known:
            raise Usage(f"{option}: unknown {value!r}: expected one of {', '.join(filter(None, known))}")
    select = order.select or labels.SELECTIONS[mode][0]
    target = None if order.target is None else str(order.target)
    if target is None and mode != "all-to-all":
        target = preset.get("target", labels.USUAL)
    classes = tuple(dict.fromkeys(map(str, order.source_classes)))
    if wrong := labels.contradiction(mode, select, target, classes):
        raise Usage(wrong)
    return {"label_mode": mode, "select": select, "target": target, "source_classes": classes}


def _make_preset(order: Order) -> dict:
    """What the preset says of options of `make` itself, for the triggers that are asked for."""
    found: dict = {}
    for name in order.names:
        found |= triggers.make_presets(name).get(order.preset, {})
    return found


def _covered(order: Order, request: recipe.Request) -> recipe.Request:
    """The request with its cover rows, as they were asked for or as the preset has them."""
    preset = _make_preset(order)
    text = preset.get("cover_rate") if order.cover_rate is None else order.cover_rate
    rate = "0" if text is None else recipe.parse_cover_rate(text, request.rate)
    jitter = order.cover_jitter or (preset.get("cover_jitter", False) and rate != "0")
    covered = replace(request, cover_rate=rate, cover_jitter=jitter)
    recipe.check_jitter(covered)
    return covered


def _check_names(order: Order, rates: list[str]) -> None:
    if not order.names and rates != ["0"]:
        raise Usage(
            f"--trigger: expected one or more of {', '.join(triggers.TABLE)} (none is needed for --rate 0 alone)"
        )
    for name in order.given:
        if name not in order.names:
            raise Usage(f"--{name}-{next(iter(order.given[name]))}: given, but there is no --trigger {name}")
    if order.preset is not None:
        known = [preset for name in order.names for preset in triggers.module(name).PRESETS]
        if order.preset not in known:
            expected = ", ".join(dict.fromkeys(known)) or "none for these triggers"
            raise Usage(f"--preset: unknown {order.preset!r}: expected {expected}")


def parse_patch(text: str) -> tuple[int, int]:
    """``8`` or ``8x4`` (height × width) in pixels."""
    parts = text.lower().replace("×", "x").split("x")
    if not 1 <= len(parts) <= 2 or not all(_small(part) and int(part) > 0 for part in parts):
        raise Usage(f"--patch-size: expected a number of pixels (8) or height x width (8x4), got {text!r}")
    return int(parts[0]), int(parts[-1])


def _small(text: str) -> bool:
    """Whether a text is a whole number of at most five digits (far longer ones cannot even be converted)."""
    return text.isdecimal() and len(text) <= 5


def parse_source_options(texts: tuple[str, ...], free: tuple[str, ...] = ()) -> dict[str, int | str]:
    """``KEY=N`` or ``KEY=HxW`` options of the source, or ``KEY=TEXT`` where some are `free`."""
    options: dict[str, int | str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if free:
            if not key or not equals:
                raise Usage(f"--source-option: expected KEY=TEXT, got {text!r}")
            options[key] = value
            continue
        parts = value.lower().replace("×", "x").split("x")
        if not key or not equals or len(parts) > 2 or not all(part.isdecimal() and len(part) <= 18 for part in parts):
            raise Usage(f"--source-option: expected KEY=NUMBER (or KEY=HEIGHTxWIDTH), got {text!r}")
        options[key] = int(value) if len(parts) == 1 else "x".join(parts)
    return options


def camouflage_options(order: Order) -> dict[str, int | str]:
    """The options of a camouflaged source. `Usage` without a seed, with a way to draw one."""
    if order.camouflage is None:
        if order.camouflage_seed is not None:
            raise Usage("--camouflage-seed: given, but there is no --camouflage")
        return {}
    if order.camouflage_seed is None:
        raise Usage(
            "--camouflage needs --camouflage-seed N, a number that nobody can guess (with it anyone makes the same "
            f"images from the public ones), the same for all files of an exercise; one that is never shown: {DRAW}"
        )
    from poisonkit.sources import camouflage

    return camouflage.parse(order.camouflage, order.camouflage_seed).options()


def carry_out(order: Order, threads: int | None, dry_run: bool, command: list[str], progress, say):
    """Open the source, then plan and write each file. Yields one line for each."""
    asked = requests(order)
    sized = () if order.size is None else (f"size={order.size}",)
    free = getattr(sources.module(order.dataset), "TEXT_OPTIONS", ())
    options = parse_source_options((*order.source_options, *sized), free) | camouflage_options(order)
    asked = [_with_pictures(order, request) for request in asked]
    from poisonkit import make, notices

    source = sources.open_source(
        order.dataset, source=order.source, cache=order.cache, options=options, fresh=order.fresh,
        progress=progress, say=say,
    )  # fmt: skip
    said = dict.fromkeys(notices.of_source(source))  # each line once, however many files are made
    asked = [class_names.resolve(request, source, said.setdefault) for request in asked]
    wanted = order.given.get("rewrite", {}).get("list")
    plans = [] if wanted else [make.plan(source, request, order.force) for request in asked]
    for line in dict.fromkeys([*said, *(line for plan in plans for line in notices.of(plan))]):
        say(line)
    if wanted:
        from poisonkit import rewriting

        yield rewriting.write_list(source, asked, wanted, dry_run, order.force)
    for plan in plans:
        yield deliver(plan, order.output, threads, order.force, dry_run, command, progress)


def deliver(plan, output: Path, threads: int | None, force: bool, dry_run: bool, command: list[str], progress) -> str:
    """Write one planned file, or only say so; one line about it."""
    from poisonkit.sources.base import processors

    target = produce.target_path(output, plan.name)
    if dry_run:
        return f"would write {target} ({plan.size() / 1e6:,.1f} MB): {counts(plan.facts)}"
    with progress(len(plan.source.train) + len(plan.source.test), plan.name, plan.source.modality.rows) as bar:
        outcome = produce.produce(plan, target, command, force, threads or processors(), bar.update)
    if not outcome.made:
        return f"{outcome.path} lies there already and {verdict(outcome.manifest)}: nothing to do"
    line = f"wrote {outcome.path} ({outcome.path.stat().st_size / 1e6:,.1f} MB): {counts(outcome.manifest)}"
    if not outcome.same_container:
        line += "; arrays and manifest are the same, the HDF5 library wrote other bytes around them"
    return line + recipe_known.note(outcome.manifest)


def verdict(facts: dict) -> str:
    """What was found of a file that lies there already."""
    return "verifies" if recipe_known.problem(facts) is None else "its arrays agree" + recipe_known.note(facts, ", ")


def counts(facts: dict) -> str:
    """The classes that are the data's own, the target, and the counts of a file, in one line."""
    found, classes, recipe = facts["counts"], facts["source"]["classes"], facts["recipe"]
    text = own_classes(facts["source"]["name"], classes)
    text += aim(classes, recipe) if facts["kind"] == "poisoned" else ""
    text += counted(found["train"], "training row")
    if facts["kind"] == "poisoned":
        text += f", {found['poisoned']:,} poisoned ({found['already_target']:,} of the target class already"
        text += f", {found['unchanged']:,} without a changed byte)" if "unchanged" in found else ")"
        text += f", {found['cover']:,} cover" if found["cover"] else ""
        text += f"; {counted(found['triggered'], 'triggered test row')}"
        text += f", {found['others']:,} of other classes" if "others" in found else ""
    return f"{text}; {counted(found['test'], 'test row')}"


def own_classes(source: str, classes) -> str:
    """How many classes there are, and the first, for the beginning of a line; nothing where the program has them."""
    if not class_names.own(source):
        return ""
    return f"{len(classes)} class{'es' if len(classes) > 1 else ''} ({class_names.listed(classes)}); "


def aim(classes, recipe: dict) -> str:
    """The target of a recipe and the classes that the attack is on, for the beginning of a line."""
    target, chosen = recipe["target"], recipe.get("source_classes", ())
    text = "each class to the next" if target is None else f"target {class_names.spelled(classes, target)}"
    text += f" from {', '.join(class_names.spelled(classes, label) for label in chosen)}" if chosen else ""
    return f"{text}; "


def _with_pictures(order: Order, request: recipe.Request) -> recipe.Request:
    """The users' pictures, decoded, in colour: where the images are grey, the trigger is given their grey levels."""
    return request if request.clean else replace(request, pictures=pictures_of(order.given))


def pictures_of(given: dict[str, dict]) -> dict:
    """The users' pictures by trigger name, decoded, and what other files of theirs hold."""
    from poisonkit import pictures

    paths = {name: values["image"] for name, values in given.items() if "image" in values}
    alpha = {name: triggers.module(name).PICTURE == "alpha" for name in paths}
    found = {name: pictures.read(path, alpha=alpha[name]) for name, path in paths.items()}
    files = {name: values["file"] for name, values in given.items() if "file" in values}
    return found | {name: triggers.module(name).read(path) for name, path in files.items()}
