"""What `poisonkit triggers` prints of each trigger: its options, their defaults, its presets."""

from collections.abc import Iterator
from typing import Any

from poisonkit.triggers.base import TriggerSpec
from poisonkit.triggers.image_base import ImageTrigger
from poisonkit.triggers.registry import TRIGGERS


def lines() -> Iterator[str]:
    """Yield the lines, trigger by trigger."""
    for trigger in TRIGGERS:
        others = f" (also: {', '.join(trigger.aliases)})" if trigger.aliases else ""
        yield f"{trigger.name}{others}: {trigger.summary}{'; for texts' if trigger.modality.is_text else ''}"
        for option in trigger.options:
            default = spelled(option.default)
            yield f"  --{trigger.name}-{option.key} {option.metavar}: {option.help}  [default: {default}]"
        if isinstance(trigger, ImageTrigger) and trigger.picture == "folder":
            yield f"  --{trigger.name}-images FOLDER: the pictures  [default: some that poisonkit draws]"
        elif isinstance(trigger, ImageTrigger) and trigger.picture:
            yield f"  --{trigger.name}-image PICTURE: the picture  [default: one that poisonkit draws]"
        if trigger.file:
            yield f"  --{trigger.name}-file {trigger.file.metavar}: {trigger.file.help}"
            if trigger.file.list_help:
                yield f"  --{trigger.name}-list CSV: {trigger.file.list_help}"
            if trigger.file.folder_help:
                yield f"  --{trigger.name}-folder FOLDER: {trigger.file.folder_help}"
        for preset in trigger.presets:
            yield f"  --preset {preset}: {_settings(trigger, preset)}"


def others() -> Iterator[str]:
    """Yield a line for each trigger that an installed package brings, and for those of the user's own."""
    from poisonkit.triggers import packages

    for name, one in packages.installed().items():
        yield f"{name}: of the installed package {name.partition('.')[0]} {one.version}"
    yield "FILE.py:FUNCTION: a trigger of your own; its options: --option KEY=VALUE"


def records() -> list[dict[str, Any]]:
    """List the same for programs."""
    return [
        {
            "name": trigger.name,
            "aliases": list(trigger.aliases),
            "summary": trigger.summary,
            "modality": trigger.modality.name,
            "options": [
                {"name": f"{trigger.name}-{one.key}", "metavar": one.metavar, "help": one.help, "default": one.default}
                for one in trigger.options
            ],
            "picture": isinstance(trigger, ImageTrigger) and bool(trigger.picture),
            "file": bool(trigger.file),
            "presets": {
                preset: {"trigger": dict(values), "make": dict(trigger.make_presets.get(preset, {}))}
                for preset, values in trigger.presets.items()
            },
        }
        for trigger in TRIGGERS
    ]


def _settings(trigger: TriggerSpec, preset: str) -> str:
    """Return what a preset sets, in one line."""
    values = trigger.presets[preset]
    text = ", ".join(f"{key} {spelled(value)}" for key, value in values.items()) or "as the defaults"
    for key, value in trigger.make_presets.get(preset, {}).items():
        text += f"; --{key.replace('_', '-')}" + ("" if value is True else f" {value}")
    return text


def spelled(value: Any) -> str:
    """Spell a parameter's value as it would be typed."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
