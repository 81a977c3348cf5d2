"""The settings of the runs of a sweep: each file with each network and preset that was asked for."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.core.errors import Usage
from benchmark.core.text_tables import some
from benchmark.format.manifest import Manifest
from benchmark.nn.networks import DEFAULT
from benchmark.nn.own import is_spelled
from benchmark.training.choose import NO_PRESETS, chosen_settings, kind_of, options_of, presets_of, settings_of_files
from benchmark.training.settings import Common
from benchmark.training.table import option_of

logger = logging.getLogger(__name__)


def settings_of_sweep(
    files: Mapping[Path, Manifest], networks: Sequence[str] = (), presets: Sequence[str] = (), **given: Any
) -> list[tuple[Path, Common]]:
    """Return what is trained: each file with each network that takes it, and each preset.

    With one network and one preset at most this is `settings_of_files`. With several, files that none of the networks
    takes are trained with their usual one. An option that is not for all of the networks is used with those that it is
    for, and a warning says so.

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
        If a network takes none of the files or lacks one of the presets, if an option is for none of the networks, and
        as `chosen_settings` does.
    """
    networks, presets = list(dict.fromkeys(networks)), list(dict.fromkeys(presets))
    if len(networks) <= 1 and len(presets) <= 1:
        network, preset = networks[0] if networks else None, presets[0] if presets else None
        return list(settings_of_files(files, network, preset=preset, **given).items())
    given = {name: value for name, value in given.items() if value is not None}
    modalities = list(dict.fromkeys(manifest.modality for manifest in files.values()))
    chosen = {modality: _networks_for(modality, networks) for modality in modalities}
    _check_networks(networks, chosen)
    _check_presets(presets, chosen)
    _check_options(given, chosen)
    return [
        (file, one)
        for file, manifest in files.items()
        for network in chosen[manifest.modality]
        for one in _settings(manifest, network, presets, given)
    ]


def _networks_for(modality: str, networks: Sequence[str]) -> list[str]:
    """Return the networks for files of a modality: those that were named for it, else the usual one."""
    return [name for name in networks if kind_of(name).trains_on(modality)] or [DEFAULT[modality]]


def _takes_presets(network: str) -> bool:
    return kind_of(network).CHOICE == "preset"


def _settings(manifest: Manifest, network: str, presets: Sequence[str], given: Mapping[str, Any]) -> list[Common]:
    """Return the settings of a network for a file, with each of the presets if it has such."""
    modality, source = manifest.modality, manifest.source.name
    own = {name: value for name, value in given.items() if name in options_of(kind_of(network))}
    if not presets or not _takes_presets(network):
        return [chosen_settings(modality, network, source, **own)]
    return [chosen_settings(modality, network, source, preset=preset, **own) for preset in presets]


def _check_networks(networks: Sequence[str], chosen: Mapping[str, Sequence[str]]) -> None:
    """Raise `Usage` where a network takes none of the files."""
    used = {name for own in chosen.values() for name in own}
    for name in networks if chosen else ():
        if name not in used:
            kinds = " and ".join(f"{modality}s" for modality in chosen)
            raise Usage(f"--network {name} is for {kind_of(name).MODALITY}s, the files hold {kinds}")


def _check_presets(presets: Sequence[str], chosen: Mapping[str, Sequence[str]]) -> None:
    """Raise `Usage` where a network lacks a preset."""
    taking = [name for own in chosen.values() for name in own if _takes_presets(name)]
    if presets and chosen and not taking:
        raise Usage(f"--preset is not for --network {some(sorted({name for own in chosen.values() for name in own}))}")
    for name in taking:
        for preset in presets:
            if preset not in presets_of(name):
                if is_spelled(name):
                    raise Usage(f"--preset {preset}: {NO_PRESETS}")
                has = ", ".join(presets_of(name))
                raise Usage(f"--preset {preset} is not one of --network {name}, which has {has}")


def _check_options(given: Mapping[str, Any], chosen: Mapping[str, Sequence[str]]) -> None:
    """Raise `Usage` where an option is for none of the networks, and warn where it is not for all."""
    networks = [name for own in chosen.values() for name in own]
    for option in given if networks else ():
        without = [name for name in networks if option not in options_of(kind_of(name))]
        if len(without) == len(networks):
            raise Usage(f"{option_of(option)} is not for --network {' or '.join(networks)}")
        if without:
            logger.warning("%s is not for --network %s: trained without it", option_of(option), " and ".join(without))
