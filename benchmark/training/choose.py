"""From what a person asks for, by option or by keyword, to the settings of a run."""

import dataclasses
from typing import Any

from benchmark.core.errors import Usage
from benchmark.nn.networks import DEFAULT
from benchmark.training.settings import (
    ENCODERS,
    NETWORKS,
    PRESETS_OF,
    Common,
    EncoderSettings,
)
from benchmark.training.table import option_of


def chosen_settings(modality: str, model: str | None = None, **given: Any) -> Common:
    """Return the settings for a file of a modality: the preset's or the encoder's, with what was given beside it.

    Parameters
    ----------
    modality : str
        `image` or `text`: what the file holds.
    model : str, optional
        The name of a network; None: the usual one for the modality.
    **given
        `preset` (images), `encoder` (a name or a folder), and any setting by its name; None is as if absent.

    Raises
    ------
    Usage
        If a setting is not one of this kind of network, or not in its range.
    Failure
        If a folder that was named is not an encoder's.
    """
    network = model or DEFAULT[modality]
    if network not in NETWORKS:
        raise Usage(f"--model: expected one of {', '.join(NETWORKS)}, got {network!r:.40}")
    kind = NETWORKS[network]
    given = {name: value for name, value in given.items() if value is not None}
    names = {setting.name for setting in kind.table()} - {"weights"} | {kind.CHOICE}
    for name in given:
        if name not in names:
            raise Usage(f"{option_of(name)} is not for --model {network}")
    choice = given.pop(kind.CHOICE, kind.USUAL)
    return _of_encoder(choice, given) if kind is EncoderSettings else _of_preset(network, choice, given)


def _of_preset(network: str, preset: Any, given: dict[str, Any]) -> Common:
    presets = PRESETS_OF[network]
    if preset not in presets:
        raise Usage(f"--preset: expected one of {', '.join(presets)}, got {preset!r:.40}")
    return dataclasses.replace(presets[preset], **given)


def _of_encoder(encoder: Any, given: dict[str, Any]) -> EncoderSettings:
    from benchmark.training import encoders

    chosen = encoders.named(str(encoder))
    usual = ENCODERS.get(chosen["encoder"], ENCODERS[EncoderSettings.USUAL])
    return dataclasses.replace(usual, **chosen, **given)
