"""The triggers by name: those of images first, one file each in `image/` and `text/`."""

from pathlib import Path
from typing import Any

from poisonkit.core import interface, label_modes, naming
from poisonkit.core.errors import Usage
from poisonkit.core.modality import Modality
from poisonkit.core.registry import Registry
from poisonkit.triggers.base import Parameters, TriggerSpec, UserFile, names_file
from poisonkit.triggers.image_base import ImageTrigger
from poisonkit.triggers.text_base import TextTrigger

PACKAGES = ("poisonkit.triggers.image", "poisonkit.triggers.text")
TRIGGERS: Registry[TriggerSpec] = Registry("unknown trigger", TriggerSpec, *PACKAGES)


def names(rows: Modality | None = None) -> list[str]:
    """List the names of all triggers, or of those for such rows."""
    return TRIGGERS.names() if rows is None else [trigger.name for trigger in TRIGGERS if trigger.modality == rows]


def spec(name: str) -> TriggerSpec:
    """Find a trigger by its name in a recipe: one of ours, one of an installed package, or what stands for code of the
    user's. Raises `Usage` for an unknown one."""
    return _others(name) or TRIGGERS[name]


def _others(name: str) -> TriggerSpec | None:
    """Return a trigger that is not ours, by its name in a recipe."""
    if name == "own":
        from poisonkit.triggers import own

        return own.SPEC
    if "." in name:
        from poisonkit.triggers import packages

        return packages.spec(name)
    return None


def unknown(name: str, parameters: Parameters) -> str | None:
    """Say in a few words why a trigger of a recipe is not known here; None where it is."""
    if name == "own":
        from poisonkit.triggers import own

        return own.unknown(parameters)
    if "." in name:
        from poisonkit.triggers import packages

        return packages.unknown(name, parameters)
    return None if name in TRIGGERS else f"trigger {name!r:.60}"


def is_other(text: str) -> bool:
    """Whether a value of `--trigger` can be no name of ours: it names a file, or a trigger of a package."""
    return names_file(text) or "." in text


def name_code(trigger: str | None) -> None:
    """Let the code of an argument `trigger` be executed, `FILE.py:FUNCTION`, if there is one. Raises as `own.named`."""
    if trigger is not None:
        from poisonkit.triggers import own

        own.named(interface.name(trigger, "trigger"))


def chosen(text: str, options: dict[str, str]) -> tuple[str, Parameters]:
    """Find what a value of `--trigger` that is none of our names chooses, `FILE.py:FUNCTION` or PACKAGE.NAME: its name
    in a recipe, and what that says of it. A file may be executed from then on. Raises `Usage` for what is neither."""
    from poisonkit.triggers import own, packages

    if names_file(text):
        return own.NAME, own.named(text).parameters(options)
    found = packages.installed()
    if text not in found:
        if not is_other(text):
            spec(TRIGGERS.find(text))
        raise Usage(f"unknown trigger {text!r:.60}: installed packages have {', '.join(found) or 'none'}")
    return text, found[text].parameters(options)


def check_code(name: str, parameters: Parameters) -> None:
    """Execute a trigger that is not ours, as it is known to a recipe, and hold the options against its function, before
    anything else is done. Nothing happens for one of ours. Raises `Usage` for an option that it has not, `Failure` for
    whatever is wrong with the code."""
    from poisonkit.triggers import own, packages

    if name == "own":
        own.check(parameters)
    elif "." in name:
        packages.check(name, parameters)


WAYS = {
    "tact": "an attack from one class, with covers of others: --source-class, --cover-class and --cover-rate",
    "badpatches": "a trigger on every patch: any trigger, with --per-patch",
}
"""What is typed as a trigger and is another option → that."""


def find(typed: str) -> str:
    """Return the name of the trigger that is meant. Raises `Usage` where it is none, or could be several; of attacks
    whose trigger other code makes, and of what is no trigger, it says how it is asked for."""
    try:
        return TRIGGERS.find(typed)
    except Usage:
        way = _way(typed)
        if way is None:
            raise
        raise Usage(f"unknown trigger {typed!r:.60}: {way}") from None


def _way(typed: str) -> str | None:
    """Say by which other trigger or option something is asked for; None where that is not known."""
    if mode := naming.understood(typed, label_modes.SELECTIONS, label_modes.ALIASES):
        return f"a label mode: --label-mode {mode}"
    if known := naming.understood(typed, WAYS):
        return WAYS[known]
    for trigger in TRIGGERS:
        file = trigger.file
        if file is not None and naming.understood(typed, file.attacks):
            first = f"--{trigger.name}-list says of which rows, " if file.list_help else ""
            taken = f"--trigger {trigger.name} takes ({first}{file_option(trigger.name)} FILE)"
            return f"its own code makes {file.brings}, which {taken}"
    return None


def presets_of(name: str) -> list[str]:
    """List the presets of a trigger."""
    return list(spec(name).presets)


def image_trigger(name: str) -> ImageTrigger:
    """Find a trigger of images by its name. Raises `Usage` for an unknown one, or one of texts."""
    trigger = spec(name)
    if not isinstance(trigger, ImageTrigger):
        raise Usage(f"trigger {name} is for {trigger.modality.rows}, not for images")
    return trigger


def text_trigger(name: str) -> TextTrigger:
    """Find a trigger of texts by its name. Raises `Usage` for an unknown one, or one of images."""
    trigger = spec(name)
    if not isinstance(trigger, TextTrigger):
        raise Usage(f"trigger {name} is for {trigger.modality.rows}, not for texts")
    return trigger


def takes_picture(name: str) -> bool:
    """Whether a trigger takes a picture of the user's."""
    trigger = spec(name)
    return isinstance(trigger, ImageTrigger) and trigger.picture is not None


def takes_alpha(name: str) -> bool:
    """Whether the transparency of a trigger's picture counts."""
    trigger = spec(name)
    return isinstance(trigger, ImageTrigger) and trigger.picture == "alpha"


def takes_folder(name: str) -> bool:
    """Whether a trigger takes a folder of pictures."""
    trigger = spec(name)
    return isinstance(trigger, ImageTrigger) and trigger.picture == "folder"


def takes_file(name: str) -> bool:
    """Whether a trigger takes a file of the user's that is no picture."""
    return spec(name).file is not None


def takes_values(name: str) -> bool:
    """Whether a trigger takes a value of Python's in the place of its file."""
    file = spec(name).file
    return file is not None and file.accept is not None


def gives_rows(name: str) -> bool:
    """Whether a trigger takes whole rows from a file of the user's: it stands alone."""
    file = spec(name).file
    return file is not None and file.whole


def has_jitter(name: str) -> bool:
    """Whether a trigger has a noise mode for cover rows."""
    trigger = spec(name)
    return isinstance(trigger, ImageTrigger) and trigger.jitter


def file_option(name: str) -> str:
    """Spell the option by which a trigger is given a file of the user's."""
    return f"--{name}-{'file' if takes_file(name) else 'images' if takes_folder(name) else 'image'}"


def _file(name: str) -> UserFile:
    file = spec(name).file
    if file is None:
        raise Usage(f"--{name}-file: the trigger {name} takes no file")
    return file


def read_file(name: str, file: Path | Any) -> Any:
    """Read the file that the user gave a trigger, see `UserFile.read`, or take a value of Python's instead."""
    taker = _file(name)
    if isinstance(file, Path):
        return taker.read(file)
    if taker.accept is None:
        raise Usage(f"{file_option(name)}: expected a path, got {file!r:.60}")
    return taker.accept(file)


def recover_file(name: str, where: str, stored: Any) -> Any:
    """Recover what a trigger was given from what a finished file holds, see `UserFile.recover`."""
    return _file(name).recover(where, stored)


def file_proof(name: str) -> str:
    """Say what of a user's file the manifest has the digest of."""
    if takes_folder(name):
        return "pictures whose arrays are"
    return "picture whose array is" if takes_picture(name) else _file(name).proof


def presets() -> list[str]:
    """List the names of all presets, each once."""
    return list(dict.fromkeys(preset for trigger in TRIGGERS for preset in trigger.presets))
