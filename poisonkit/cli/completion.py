"""What a shell completes the values of options to: names of the registries, which are read when Tab is pressed."""

from collections.abc import Callable, Iterable

import click

Completion = Callable[[click.Context, click.Parameter, str], list[str]]


def _of(names: Callable[[], Iterable[str]]) -> Completion:
    """Return what click asks for the values that begin with what was typed."""
    return lambda _context, _parameter, typed: [name for name in names() if name.startswith(typed)]


def _trigger_names() -> Iterable[str]:
    from poisonkit.triggers import registry

    return registry.names()


def _preset_names() -> Iterable[str]:
    from poisonkit.triggers import registry

    return registry.presets()


def _source_names() -> Iterable[str]:
    from poisonkit.sources.registry import SOURCES

    return SOURCES.names()


def _format_names() -> Iterable[str]:
    from poisonkit.exporters.registry import FORMATS

    return FORMATS.names()


def _label_modes() -> Iterable[str]:
    from poisonkit.core import label_modes

    return label_modes.SELECTIONS


def _selections() -> Iterable[str]:
    from poisonkit.core import label_modes

    return label_modes.CHOICES


def _camouflage_levels() -> Iterable[str]:
    from poisonkit.sources import camouflage

    return camouflage.LEVELS


triggers, presets = _of(_trigger_names), _of(_preset_names)
sources, formats = _of(_source_names), _of(_format_names)
modes, selections = _of(_label_modes), _of(_selections)
camouflages = _of(_camouflage_levels)
