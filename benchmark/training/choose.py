"""From what a person asks for, by option or by keyword, to the settings of a run."""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.core import naming
from benchmark.core.errors import Usage
from benchmark.core.text_tables import some
from benchmark.format.manifest import Manifest
from benchmark.nn.networks import ALIASES, DEFAULT
from benchmark.nn.own import EXPECTED, is_spelled
from benchmark.training.common import Common
from benchmark.training.own import OwnSettings
from benchmark.training.recipes import RECIPES
from benchmark.training.settings import ENCODERS, NETWORKS, PRESETS_OF, EncoderSettings, ImageSettings
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
    return _chosen(modality, network, source, given, logger.warning)


def _chosen(
    modality: str, network: str | None, source: str | None, given: Mapping[str, Any], say: Callable[[str], object]
) -> Common:
    """Return what `chosen_settings` does; `say` is told what should be known of it."""
    network = DEFAULT[modality] if network is None else network_named(network)
    kind = kind_of(network)
    given = {name: _understood(name, value) for name, value in given.items() if value is not None}
    for name in given:
        if name not in options_of(kind):
            raise Usage(f"{option_of(name)} is not for --network {network}")
    choice = given.pop(kind.CHOICE, kind.USUAL)
    if kind is OwnSettings:
        if not isinstance(choice, str) or choice != OwnSettings.USUAL:
            raise Usage(f"--preset {choice!s:.40}: {NO_PRESETS}")
        return OwnSettings.of(network, **given)
    return _of_encoder(choice, given) if kind is EncoderSettings else _of_preset(network, choice, given, source, say)


def settings_of_files(
    files: Mapping[Path, Manifest], networks: Sequence[str] = (), presets: Sequence[str] = (), **given: Any
) -> list[tuple[Path, Common]]:
    """Return what is trained: each file with each network that takes it, and each preset.

    Files that none of the networks takes are trained with their usual one, and an option that is not for a network is
    not used with it; a warning says so.

    Parameters
    ----------
    files : mapping of Path to Manifest
        The files with their manifests.
    networks, presets : sequence of str
        Names; none: the usual one.
    **given
        As for `chosen_settings`.

    Raises
    ------
    Usage
        If a network takes none of the files, if an option is for none of the networks, and as `chosen_settings` does.
    """
    networks = list(dict.fromkeys(map(network_named, networks)))
    presets = list(dict.fromkeys(presets))
    given = {name: value for name, value in given.items() if value is not None}
    named: dict[str, list[Path]] = {}
    for file, manifest in files.items():
        named.setdefault(manifest.modality, []).append(file)
    chosen = {modality: _networks_for(modality, networks) for modality in named}
    asked = [*(["preset"] if presets else []), *given]
    _check_networks(networks, named)
    _check_options(asked, chosen, named, bool(networks))
    for modality, trained in named.items():
        _warn(asked, networks, chosen[modality], modality, trained)
    said: list[str] = []
    found = [
        (file, one)
        for file, manifest in files.items()
        for network in chosen[manifest.modality]
        for one in _settings(manifest, network, presets, given, said.append)
    ]
    for line in dict.fromkeys(said):  # once, however many files it is said of
        logger.warning(line)
    return found


def _networks_for(modality: str, networks: Sequence[str]) -> list[str]:
    """Return the networks for files of a modality: those that were named for it, else the usual one."""
    return [name for name in networks if kind_of(name).trains_on(modality)] or [DEFAULT[modality]]


def _settings(
    manifest: Manifest, network: str, presets: Sequence[str], given: Mapping[str, Any], say: Callable[[str], object]
) -> list[Common]:
    """Return the settings of a network for a file, with each of the presets if it has such."""
    takes = options_of(kind_of(network))
    own = {name: value for name, value in given.items() if name in takes}
    each = [{"preset": one} for one in presets] if presets and "preset" in takes else [{}]
    return [_chosen(manifest.modality, network, manifest.source.name, own | one, say) for one in each]


def _check_networks(networks: Sequence[str], named: Mapping[str, Sequence[Path]]) -> None:
    """Raise `Usage` where a network takes none of the files."""
    for name in networks if named else ():
        if not any(kind_of(name).trains_on(modality) for modality in named):
            file, modality = next((trained[0], modality) for modality, trained in named.items())
            shown = Path(name).name if is_spelled(name) else name
            raise Usage(f"{file}: holds {modality}s, --network {shown} is for {kind_of(name).MODALITY}s")


def _check_options(
    asked: Sequence[str], chosen: Mapping[str, Sequence[str]], named: Mapping[str, Sequence[Path]], by_user: bool
) -> None:
    """Raise `Usage` where an option is for none of the networks; `by_user`: whether these were named."""
    networks = [name for own in chosen.values() for name in own]
    for option in asked if networks else ():
        if not any(option in options_of(kind_of(name)) for name in networks):
            modality, *others = chosen
            held = "" if by_user or others else f"{named[modality][0]} holds {modality}s: "
            raise Usage(f"{held}{option_of(option)} is not for --network {' or '.join(networks)}")


def _warn(
    asked: Sequence[str], networks: Sequence[str], own: Sequence[str], modality: str, trained: Sequence[Path]
) -> None:
    """Say which options are not used for the files of a modality, or not with all of their networks."""
    without = {name: [one for one in own if name not in options_of(kind_of(one))] for name in asked}
    unused = [option_of(name) for name, lacking in without.items() if len(lacking) == len(own)]
    if networks and not set(own) & set(networks):
        unused.append("--network")
    if unused:
        logger.warning(_unused(unused, [str(file) for file in trained], modality, " or ".join(own)))
    for name, lacking in without.items():
        if 0 < len(lacking) < len(own):
            logger.warning("%s is not for --network %s: trained without it", option_of(name), " and ".join(lacking))


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
    if isinstance(network, str) and is_spelled(network):
        return OwnSettings
    if not isinstance(network, str) or network not in NETWORKS:
        raise Usage(f"--network: expected one of {', '.join(NETWORKS)}, or {EXPECTED}, got {network!r:.40}")
    return NETWORKS[network]


def options_of(kind: type[Common]) -> set[str]:
    """Return the names of what can be set of a kind of network."""
    return {one.name for one in kind.table()} - {"weights", "file", "function", "digest"} | {kind.CHOICE}


def _of_preset(
    network: str, preset: Any, given: dict[str, Any], source: str | None, say: Callable[[str], object]
) -> Common:
    presets = PRESETS_OF[network]
    if isinstance(preset, str):
        preset = naming.understood(preset, [*presets, *RECIPES]) or preset
    if isinstance(preset, str) and preset in RECIPES:
        try:
            preset = RECIPES[preset].preset(str(source))
        except ValueError as error:
            raise Usage(f"--preset {preset}: {error}") from None
    if not isinstance(preset, str) or preset not in presets:
        there = [*(name for name in presets if not name.startswith(tuple(RECIPES))), *RECIPES]
        near = naming.hint(preset, there) if isinstance(preset, str) else ""
        raise Usage(f"--preset: expected one of {', '.join(there)}, got {preset!r:.40}{_with(network)}{near}")
    return dataclasses.replace(presets[preset], **_shorter_warmup(presets[preset], given, say))


def _shorter_warmup(preset: ImageSettings, given: dict[str, Any], say: Callable[[str], object]) -> dict[str, Any]:
    """Return what was given, with a shorter warm-up than the preset's where that leaves none of the epochs."""
    epochs, warm = given.get("epochs"), preset.warmup_epochs
    if type(epochs) is not int or not 0 < epochs <= warm or "warmup_epochs" in given:
        return given
    said = f"--warmup-epochs {epochs - 1} instead of the preset's {warm}"
    say(f"{said}, so that one of --epochs {epochs} is left at the full rate")
    return given | {"warmup_epochs": epochs - 1}


def _with(network: str) -> str:
    """Return the network's option where it is not the usual one of its modality."""
    return "" if network in DEFAULT.values() else f" (--network {network})"


def _of_encoder(encoder: Any, given: dict[str, Any]) -> EncoderSettings:
    from benchmark.training import encoders

    chosen = encoders.named(str(encoder))
    usual = ENCODERS.get(chosen["encoder"], ENCODERS[EncoderSettings.USUAL])
    return dataclasses.replace(usual, **chosen, **given)
