"""The configuration of a run, which its settings become: its digest is the run's identity."""

from typing import Any

from benchmark.core import file_names
from benchmark.core.hashing import digest
from benchmark.training.common import Common
from benchmark.training.settings import KINDS
from benchmark.training.table import ALWAYS, BY_NAME, MODEL, RUN, TRAINING, option_of

_SHORT = {"tensorflow": "tf", "jax": "jax", "torch": "torch", "elsewhere": "predictions"}


def config_of(settings: Common, dataset_digest: str) -> dict[str, Any]:
    """Return the whole configuration of a run; its digest names the run's folder."""
    return {
        "config_version": 1,
        "dataset_digest": dataset_digest,
        MODEL: {"name": settings.NETWORK} | settings.model(),
        TRAINING: {"optimizer": settings.OPTIMIZER} | settings.training(),
    } | settings.part(RUN)


def settings_of(config: dict) -> Common:
    """Return the settings that a configuration was made of. KeyError or TypeError where it is not a configuration."""
    kind = KINDS[config[MODEL]["name"]]
    values = {}
    for setting in kind.table():
        holder = config if setting.part == RUN else config[setting.part]
        values[setting.name] = (
            holder[setting.name] if setting.absent is ALWAYS else holder.get(setting.name, setting.absent)
        )
    return kind(**values)


def folder_name(settings: Common, dataset_name: str, dataset_digest: str) -> str:
    """Return a readable name that ends in the configuration's hash: `NAME--small-tf-t0-1a2b3c4d`; of a long NAME its
    beginning, so that the whole is a name that is read again."""
    identity = digest(config_of(settings, dataset_digest)).removeprefix("sha256:")[:8]
    end = f"--{settings.preset}-{_SHORT[settings.backend]}-t{settings.seed}-{identity}"
    return shortened(dataset_name, file_names.LONGEST - len(end.encode())) + end


def shortened(name: str, size: int) -> str:
    """Return the beginning of a name, at most `size` bytes of UTF-8."""
    return name.encode()[:size].decode(errors="ignore")


def options(settings: Common) -> list[str]:
    """Return the shortest command-line options that give these settings: the nearest preset and what differs from
    it."""
    nearest, preset = settings.nearest_preset()
    words = settings.chosen_network()
    words += [] if nearest == settings.USUAL else [option_of(settings.CHOICE), settings.choice()]
    for name, value in settings.differences(preset).items():
        words += [BY_NAME[name].option, str(value)]
    return words
