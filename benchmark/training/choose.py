"""From what a person asks for, by option or by keyword, to the settings of a run."""

import dataclasses
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.core import naming
from benchmark.core.errors import Usage
from benchmark.core.text_tables import some
from benchmark.format.manifest import Manifest
from benchmark.nn.networks import ALIASES, DEFAULT
from benchmark.nn.own import EXPECTED, is_spelled
from benchmark.training.own import OwnSettings
from benchmark.training.recipes import RECIPES
from benchmark.training.settings import (
    ENCODERS,
    NETWORKS,
    PRESETS_OF,
    Common,
    EncoderSettings,
    preset_names,
)
from benchmark.training.table import BY_NAME, option_of

logger = logging.getLogger(__name__)

NO_PRESETS = "a network of your own has no presets"


def chosen_settings(modality: str, network: str | None = None, source: str | None = None, **given: Any) -> Common:
    """Return the settings for a file of a modality: the preset's or the encoder's, with what was given beside it.

    Parameters
    ----------
    modality : str
        `image` or `text`: what the file holds.
    network : str, optional
        The name of a network, or `FILE.py:FUNCTION`; None: the usual one for the modality.
    source : str, optional
        The name of the file's source, for presets that depend on it.
    **given
        `preset` (images), `encoder` (a name or a folder), and any setting by its name; None is as if absent.

    Raises
    ------
    Usage
        If a setting is not one of this kind of network, or not in its range.
    Failure
        If a folder that was named is not an encoder's.
    """
    network = network_named(network) if network else DEFAULT[modality]
    kind = kind_of(network)
    given = {name: _understood(name, value) for name, value in given.items() if value is not None}
    for name in given:
        if name not in options_of(kind):
            raise Usage(f"{option_of(name)} is not for --network {network}")
    choice = given.pop(kind.CHOICE, kind.USUAL)
    if kind is OwnSettings:
        if choice != OwnSettings.USUAL:
            raise Usage(f"--preset {choice!s:.40}: {NO_PRESETS}")
        return OwnSettings.of(network, **given)
    return _of_encoder(choice, given) if kind is EncoderSettings else _of_preset(network, choice, given, source)


def settings_of_files(files: Mapping[Path, Manifest], network: str | None = None, **given: Any) -> dict[Path, Common]:
    """Return the settings for each of several files: an option for images alone is used on images alone.

    Files that an option is not for are trained without it, and a warning says so; an option must be for some of them.

    Parameters
    ----------
    files : mapping of Path to Manifest
        The files with their manifests.
    network, **given
        As for `chosen_settings`.

    Raises
    ------
    Usage
        If an option is for none of the files, and as `chosen_settings` does.
    """
    network = network_named(network) if network else None
    given = {name: value for name, value in given.items() if value is not None}
    examples = {manifest.modality: file for file, manifest in reversed(list(files.items()))}
    networks = _networks(examples, network)
    asked = [*given, *(["network"] if network else [])]
    used = {
        modality: {name for name in given if name in options_of(kind_of(own))}
        | ({"network"} if network == own else set())
        for modality, own in networks.items()
    }
    for name in given if files else ():
        if not any(name in names for names in used.values()):
            file, modality = next(iter((file, modality) for modality, file in examples.items()))
            held = "" if network else f"{file} holds {modality}s: "
            raise Usage(f"{held}{option_of(name)} is not for --network {networks[modality]}")
    for modality, own in networks.items():
        if unused := [option_of(name) for name in asked if name not in used[modality]]:
            others = [str(file) for file, manifest in files.items() if manifest.modality == modality]
            logger.warning(_unused(unused, others, modality, own))
    return {
        file: chosen_settings(
            manifest.modality,
            networks[manifest.modality],
            manifest.source.name,
            **{name: given[name] for name in given if name in used[manifest.modality]},
        )
        for file, manifest in files.items()
    }


def _networks(modalities: Iterable[str], named: str | None) -> dict[str, str]:
    """Return the network for each modality: the one that was named is for its own, where there are others too."""
    usual = {modality: DEFAULT[modality] for modality in modalities}
    if named is None:
        return usual
    chosen = kind_of(named)
    own = [modality for modality in usual if chosen.trains_on(modality)]
    return usual | dict.fromkeys(own or usual, named)


def _unused(options: list[str], files: list[str], modality: str, network: str) -> str:
    """Say which options are not used for the files of a modality."""
    verb, them = ("is", "it") if len(options) == 1 else ("are", "them")
    trained = f"{some(files)} {'is' if len(files) == 1 else 'are'} trained without {them} (--network {network})"
    return f"{', '.join(options)} {verb} not for {modality}s: {trained}"


def network_named(typed: Any) -> str:
    """Return the name of the network that is meant, or `FILE.py:FUNCTION` as it is. `Usage` for any other."""
    if isinstance(typed, str) and is_spelled(typed):
        return typed
    found = naming.understood(typed, NETWORKS, ALIASES) if isinstance(typed, str) else None
    if found is None:
        near = naming.hint(typed, NETWORKS, ALIASES) if isinstance(typed, str) else ""
        raise Usage(f"--network: expected one of {', '.join(NETWORKS)}, or {EXPECTED}, got {typed!r:.40}{near}")
    return found


def _understood(name: str, value: Any) -> Any:
    """Return a setting's value in its own spelling, where it is one of a few words."""
    return BY_NAME[name].understood(value) if name in BY_NAME else value


def kind_of(network: str) -> type[Common]:
    """Return the class of the settings of a network, by its name or by `FILE.py:FUNCTION`. `Usage` for any other."""
    if is_spelled(network):
        return OwnSettings
    if network not in NETWORKS:
        raise Usage(f"--network: expected one of {', '.join(NETWORKS)}, or {EXPECTED}, got {network!r:.40}")
    return NETWORKS[network]


def options_of(kind: type[Common]) -> set[str]:
    """Return the names of what can be set of a kind of network."""
    return {one.name for one in kind.table()} - {"weights", "file", "function", "digest"} | {kind.CHOICE}


def presets_of(network: str) -> list[str]:
    """Return what `--preset` may be given for a network for images."""
    return [OwnSettings.USUAL] if is_spelled(network) else preset_names(network)


def _of_preset(network: str, preset: Any, given: dict[str, Any], source: str | None) -> Common:
    presets = PRESETS_OF[network]
    if isinstance(preset, str):
        preset = naming.understood(preset, [*presets, *RECIPES]) or preset
    if isinstance(preset, str) and preset in RECIPES:
        try:
            preset = RECIPES[preset].preset(str(source))
        except ValueError as error:
            raise Usage(f"--preset {preset}: {error}") from None
    if preset not in presets:
        _check_preset(preset, [*(name for name in presets if not name.startswith(tuple(RECIPES))), *RECIPES])
    return dataclasses.replace(presets[preset], **given)


def _check_preset(preset: Any, presets: Collection[str]) -> None:
    if preset not in presets:
        near = naming.hint(preset, presets) if isinstance(preset, str) else ""
        raise Usage(f"--preset: expected one of {', '.join(presets)}, got {preset!r:.40}{near}")


def _of_encoder(encoder: Any, given: dict[str, Any]) -> EncoderSettings:
    from benchmark.training import encoders

    chosen = encoders.named(str(encoder))
    usual = ENCODERS.get(chosen["encoder"], ENCODERS[EncoderSettings.USUAL])
    return dataclasses.replace(usual, **chosen, **given)
