"""What every trigger declares of itself, whatever rows it is for: see `image_base` and `text_base` for the rest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from poisonkit.core.modality import Modality
from poisonkit.core.parsing import SAME, choice, or_same

Parameters = dict[str, Any]
"""A trigger's parameters as a recipe has them: key → integer, string, or a list of one of these."""


@dataclass(frozen=True)
class Option:
    """One parameter: its key in the recipe, how its text becomes the recipe's value, its default there.

    `parse` takes the text and raises ValueError with what was expected. Recipe values are integers, strings (decimals
    among them) and lists of these, never floats. `omit_if_default` is for a parameter that was added after files had
    been made without it: the recipe records it only where it is not the default, so that the bytes and names of those
    files stay the same.
    """

    key: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    metavar: str
    omit_if_default: bool = False


@dataclass(frozen=True)
class UserFile:
    """A file of the user's that a trigger needs, `--NAME-file`.

    Attributes
    ----------
    help : str
        What must be in it.
    read : callable
        ``read(path)`` makes of the file what the trigger is given. That has ``digest(needed, shape)`` of what the file
        holds for the rows that are needed (part → rows), each of that shape, ``shape`` (None where it is no array),
        ``notices``, and, where it gives whole rows, ``check(sizes)``, which refuses rows that a data set has not.
    recover : callable
        ``recover(where, stored)`` makes the same of what a finished file holds: of whole rows those that were changed,
        part → row → row; else the array in ``trigger/``.
    accept : callable, optional
        ``accept(value)`` makes the same of a value of Python's, such as an array. Raises `Usage` for what is none.
    list_help : str, optional
        What `--NAME-list` writes, where the file is made of such a list.
    folder_help : str, optional
        What `--NAME-folder` writes beside the list.
    metavar : str
        What the file is, in the help.
    proof : str
        What of the file the digest is of, in a message.
    whole : bool
        Whether it gives whole rows instead of changing them: then the trigger stands alone in a recipe.
    attacks : tuple of str
        Attacks that other code makes and that come in by this file: whoever types one as a trigger is told so.
    brings : str
        What that code makes of them, in a message.
    """

    help: str
    read: Callable[[Path], Any]
    recover: Callable[[str, Any], Any]
    accept: Callable[[Any], Any] | None = None
    list_help: str | None = None
    folder_help: str | None = None
    metavar: str = "CSV"
    proof: str = "file whose needed rows are"
    whole: bool = True
    attacks: tuple[str, ...] = ()
    brings: str = ""


UNNAMED = "the trigger "
"""How the words begin about a trigger that is not known here since nobody named its code."""
NOT_INSTALLED = ", of a package that is not installed"
"""What the words hold about one that is not known here since its package is not installed."""


def names_file(trigger: str) -> bool:
    """Tell whether a value of `--trigger` names a file of code, `FILE.py:FUNCTION`."""
    return trigger.endswith(".py") or ":" in trigger or "/" in trigger


def nothing_to_say(_parameters: Parameters, _given: Any) -> list[str]:
    """Return no warning: the `advice` of most triggers."""
    return []


ROUNDING = Option(
    "rounding", choice("half-up", "truncate"), "half-up", "to whole levels", "half-up|truncate", omit_if_default=True
)
"""How a sum becomes whole levels, of triggers that were without the choice, or are cut by a preset alone."""


def twin(option: Option) -> Option:
    """Return the option `test-KEY`: the same strength for test rows, which by default is that of training rows."""
    return Option(
        f"test-{option.key}", or_same(option.parse), SAME, "the same on test rows", option.metavar,
        omit_if_default=True,
    )  # fmt: skip


def for_each_part(parameters: Parameters, key: str) -> list[Parameters]:
    """Return the parameters that training rows get, and, where `test-KEY` has another value, those of test rows."""
    own = parameters.get(f"test-{key}", SAME)
    return [parameters] if own in (SAME, parameters[key]) else [parameters, parameters | {key: own}]


@dataclass(frozen=True, kw_only=True)
class TriggerSpec:
    """What a trigger is called and what can be chosen of it.

    Attributes
    ----------
    name : str
        The file's name; the value of `--trigger`, and the first part of its options (`--NAME-KEY`).
    summary : str
        One line for `poisonkit triggers`.
    options : tuple of Option
        Its parameters: command-line options, and the recipe's record of it.
    presets : mapping
        Preset → parameters: the settings of a paper or of another tool, by its name.
    make_presets : mapping
        Preset → options of `make` that belong to it, as they would be typed.
    file : UserFile, optional
        The file that the user gives it.
    free : bool
        Whether its parameters are whatever it is given, as texts: that of code which is not ours.
    advice : callable
        ``advice(parameters, given)``: what should be known of what it was given, one line each.
    make_defaults : mapping
        Options of `make` that belong to the attack without any preset, as they would be typed.
    published : str, optional
        The label mode under which it is published, where that is not the usual one.
    aliases : tuple of str
        What papers and other tools call it: understood wherever its name is typed, never stored.
    """

    modality: ClassVar[Modality]
    name: str
    summary: str
    options: tuple[Option, ...] = ()
    presets: Mapping[str, Parameters] = field(default_factory=dict)
    make_presets: Mapping[str, Parameters] = field(default_factory=dict)
    file: UserFile | None = None
    free: bool = False
    advice: Callable[[Parameters, Any], list[str]] = nothing_to_say
    make_defaults: Parameters = field(default_factory=dict)
    published: str | None = None
    aliases: tuple[str, ...] = ()
