"""The options of `make`: those of the attack, and those that the triggers declare."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from poisonkit.cli import completion
from poisonkit.cli.common import A_PATH
from poisonkit.core.errors import Usage

ATTACK = (
    click.option(
        "--target",
        metavar="CLASS",
        help="Target label: the class's name, or index:N; a bare number is the index only where no class has a number "
        "for its name.  [default: the source's own, else the first that has rows]",
    ),
    click.option(
        "--label-mode",
        metavar="MODE",
        shell_complete=completion.modes,
        help="all-to-one, all-to-all (each class becomes the next), source-specific, clean-label (the target's own "
        "rows, labels kept), untargeted (another class, drawn for each "
        "row).  [default: all-to-one; source-specific with --source-class]",
    ),
    click.option(
        "--source-class",
        "source_classes",
        multiple=True,
        metavar="CLASS",
        help="A source class of the attack, written like --target; may be given several times.",
    ),
    click.option(
        "--select",
        metavar="WHICH",
        shell_complete=completion.selections,
        help="Rows that may be poisoned: all, non-target, target, class (those of --source-class).  "
        "[default: what the label mode needs, else all]",
    ),
    click.option(
        "--cover-rate",
        metavar="RATE|Nx",
        help="Share of the training rows that get the trigger and keep their label; 2x: twice --rate.  [default: 0]",
    ),
    click.option(
        "--cover-class",
        "cover_classes",
        multiple=True,
        metavar="CLASS",
        help="A class that cover rows are of, written like --target; may be given several times.  [default: all that "
        "may have covers]",
    ),
    click.option(
        "--cover-jitter", is_flag=True, help="Add per-row noise to the trigger of each cover row (WaNet noise mode)."
    ),
)


def attack_options(command):
    """Add the options that say which rows are poisoned and covered, and what becomes of their labels."""
    for option in reversed(ATTACK):
        command = option(command)
    return command


GROUPS = {
    "Clean data": ("dataset", "source", "source_options", "size", "split", "name", "cache", "fresh"),
    "Attack": ("triggers", "options", "one_of", "rates", "per_patch", "patch_size", "seed", "preset"),
    "Labels and rows": (
        "target",
        "label_mode",
        "source_classes",
        "select",
        "cover_rate",
        "cover_classes",
        "cover_jitter",
    ),
    "Blind exercises": ("camouflage", "camouflage_seed"),
    "Output": ("origin", "output", "force", "threads", "dry_run", "quiet", "as_json"),
}
"""Heading in the help of `make` → its options; those of the triggers follow, a heading each."""


class MakeCommand(click.Command):
    """`make`, whose options include those of every trigger; they are looked up when they are needed."""

    def groups(self, context: click.Context) -> dict[str, list[click.Parameter]]:
        """Sort all options by heading."""
        headings = {name: heading for heading, names in GROUPS.items() for name in names}
        sorted_: dict[str, list[click.Parameter]] = {heading: [] for heading in GROUPS}
        for parameter in self.get_params(context):
            trigger = getattr(parameter, "trigger", None)
            heading = f"Trigger {trigger}" if trigger else headings.get(parameter.name or "", "Output")
            sorted_.setdefault(heading, []).append(parameter)
        return sorted_

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups."""
        for heading, parameters in self.groups(context).items():
            records = [record for one in parameters if (record := one.get_help_record(context)) is not None]
            with formatter.section(heading):
                formatter.write_dl(records)

    def get_params(self, context: click.Context):
        from poisonkit.triggers.registry import TRIGGERS

        if not any(getattr(parameter, "trigger", None) for parameter in self.params):
            for trigger in TRIGGERS:
                self.params += options_of(trigger)
        return super().get_params(context)


def options_of(trigger) -> list[click.Option]:
    """Return the options that one trigger declares."""
    from poisonkit.triggers.image_base import ImageTrigger
    from poisonkit.triggers.text_base import TextTrigger

    name = trigger.name
    options: list[click.Option] = [TriggerOption(name, option) for option in trigger.options]
    if isinstance(trigger, ImageTrigger) and trigger.picture:
        options.append(PictureOption(name, trigger.picture_help, trigger.picture == "folder"))
    if isinstance(trigger, TextTrigger):
        options += [ShortOption(name, key, short) for key, short in trigger.repeated.items()]
    if trigger.file:
        options.append(FileOption(name, "file", trigger.file.help, trigger.file.metavar))
        if trigger.file.list_help:
            options.append(FileOption(name, "list", trigger.file.list_help, "CSV"))
        if trigger.file.folder_help:
            options.append(FileOption(name, "folder", trigger.file.folder_help, "FOLDER"))
    return options


class TriggerOption(click.Option):
    """One parameter of one trigger, `--TRIGGER-KEY`."""

    def __init__(self, trigger: str, option):
        default = ",".join(map(str, option.default)) if isinstance(option.default, list) else option.default
        super().__init__(
            [f"--{trigger}-{option.key}"],
            metavar=option.metavar,
            help=f"{option.help}  [default: {default}]",
        )
        self.trigger, self.key = trigger, option.key


class ShortOption(click.Option):
    """One value of a trigger's parameter that is a list, `--SHORT`; it may be given several times."""

    def __init__(self, trigger: str, key: str, short: str):
        super().__init__(
            [f"--{short}"],
            multiple=True,
            metavar=short.upper(),
            help=f"one of the {key}; may be given several times instead of --{trigger}-{key}",
        )
        self.trigger, self.key = trigger, key


class PictureOption(click.Option):
    """The picture of a trigger that takes one, `--TRIGGER-image`, or the folder of them, `--TRIGGER-images`."""

    def __init__(self, trigger: str, what: str, several: bool = False):
        drawn = "some that poisonkit draws" if several else "one that poisonkit draws"
        super().__init__(
            [f"--{trigger}-image{'s' if several else ''}"],
            type=A_PATH,
            metavar="FOLDER" if several else "PICTURE",
            help=f"{what}  [default: {drawn}]",
        )
        self.trigger, self.key = trigger, None


class FileOption(click.Option):
    """A file other than a picture: `--TRIGGER-file`, which is read, or `--TRIGGER-list` and `--TRIGGER-folder`, which
    are written."""

    def __init__(self, trigger: str, key: str, what: str, metavar: str):
        super().__init__([f"--{trigger}-{key}"], type=A_PATH, metavar=metavar, help=what)
        self.trigger, self.key = trigger, key
        self.is_given = key == "file"


WITH_FROM = (
    "origin",
    "triggers",
    "dataset",
    "source",
    "cache",
    "fresh",
    "output",
    "threads",
    "force",
    "dry_run",
    "quiet",
    "as_json",
)
"""Options of `make` that may be combined with `--from`, besides files of the user's; a trigger, to name its code."""


def check_typed(context: click.Context, origin: Path | None) -> None:
    """Raise click's errors where an option is missing, or may not be combined with `--from`."""
    typed = {
        parameter.name: parameter
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name or "") == click.core.ParameterSource.COMMANDLINE
    }
    for name, spelled in (("dataset", "--dataset"), ("rates", "--rate")):
        by_preset = name == "rates" and "preset" in typed
        if origin is None and name not in typed and not by_preset:
            raise click.MissingParameter(ctx=context, param_hint=f"'{spelled}'", param_type="option")
    from poisonkit.triggers.base import names_file  # late: NumPy, which a command's help needs not

    for name, parameter in typed.items():
        mine = name in WITH_FROM or isinstance(parameter, PictureOption) or getattr(parameter, "is_given", False)
        of_recipe = name == "triggers" and not all(map(names_file, context.params[name]))
        if origin is not None and (of_recipe or not mine):
            raise click.UsageError(
                f"{parameter.opts[0]} cannot be combined with --from, which takes the whole recipe", context
            )


@dataclass(frozen=True)
class TriggerValues:
    """What was typed for the triggers: trigger → {key: text}, trigger → the user's file, trigger → where the list of
    rows that it needs goes, and trigger → the folder of their pictures."""

    options: dict[str, dict[str, str]]
    files: dict[str, Path]
    lists: dict[str, Path]
    folders: dict[str, Path]


def trigger_values(params: Iterable[click.Parameter], values: dict[str, Any]) -> TriggerValues:
    """Collect those of click's parsed values that belong to a trigger and were typed."""
    options: dict[str, dict[str, str]] = {}
    paths: dict[str, dict[str, Path]] = {"file": {}, "list": {}, "folder": {}}
    for param in params:
        value = values.get(param.name or "")
        if value in (None, ()):
            continue
        if isinstance(param, (PictureOption, FileOption)):
            paths[param.key or "file"][param.trigger] = value
        elif isinstance(param, (TriggerOption, ShortOption)):
            typed = options.setdefault(param.trigger, {})
            if param.key in typed:
                raise Usage(
                    f"{param.opts[0]}: cannot be combined with --{param.trigger}-{param.key}, which sets the "
                    "same: leave one out"
                )
            typed[param.key] = _joined(param.opts[0], value) if isinstance(value, tuple) else value
    return TriggerValues(options, *paths.values())


def _joined(option: str, values: tuple[str, ...]) -> str:
    """Return the values of an option that was given several times, as its long form has them."""
    for value in values:
        if "," in value:
            raise Usage(f"{option}: expected one at a time, got {value!r:.60}")
    return ",".join(values)
