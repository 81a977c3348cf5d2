"""What every trigger declares of itself, whatever rows it is for: see `image_base` and `text_base` for the rest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from poisonkit.core.modality import Modality
from poisonkit.core.parsing import SAME, or_same

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


def twin(option: Option) -> Option:
    """Return the option `test-KEY`: the same strength for test rows, which by default is that of training rows."""
    return Option(
        f"test-{option.key}", or_same(option.parse), SAME, "the same on test rows", option.metavar,
        omit_if_default=True,
    )  # fmt: skip


def for_test(parameters: Parameters, *keys: str) -> Parameters | None:
    """Return the parameters that test rows get, with the values of `test-KEY`; None where these are the same."""
    own = {key: parameters.get(f"test-{key}", SAME) for key in keys}
    own = {key: value for key, value in own.items() if value not in (SAME, parameters[key])}
    return parameters | own if own else None


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
    make_defaults : mapping
        Options of `make` that belong to the attack without any preset, as they would be typed.
    aliases : tuple of str
        What papers and other tools call it: understood wherever its name is typed, never stored.
    """

    modality: ClassVar[Modality]
    name: str
    summary: str
    options: tuple[Option, ...] = ()
    presets: Mapping[str, Parameters] = field(default_factory=dict)
    make_presets: Mapping[str, Parameters] = field(default_factory=dict)
    make_defaults: Parameters = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
