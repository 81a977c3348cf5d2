"""Make data sets in Python: `make`, `pack`, `unpack`, on the same functions as the commands."""

import decimal
import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poisonkit.build import build, delta, row_list
from poisonkit.build.request import BuildRequest, MakeOptions
from poisonkit.build.runtime import Runtime
from poisonkit.core import interface, naming
from poisonkit.core.errors import Usage
from poisonkit.core.progress import processors
from poisonkit.poisoning.clean_images import CleanData
from poisonkit.triggers import registry as triggers

AnyPath = interface.AnyPath
Number = str | int | float | decimal.Decimal


@interface.public
def make(
    dataset: str,
    *,
    trigger: str | Sequence[str] | None = None,
    rate: Number | None = None,
    per_patch: bool = False,
    patch_size: int | str | tuple[int, int] | None = None,
    target: int | str | None = None,
    label_mode: str | None = None,
    source_classes: int | str | Sequence[int | str] | None = None,
    select: str | None = None,
    cover_rate: Number | None = None,
    cover_jitter: bool = False,
    cover_classes: int | str | Sequence[int | str] | None = None,
    one_of: bool = False,
    seed: int = 0,
    preset: str | None = None,
    source: AnyPath | None = None,
    source_options: Mapping[str, Any] | None = None,
    size: int | str | None = None,
    split: Number | None = None,
    name: str | None = None,
    camouflage: str | None = None,
    camouflage_seed: int | None = None,
    cache: AnyPath | None = None,
    fresh: bool = False,
    out: AnyPath | None = None,
    threads: int | None = None,
    force: bool = False,
    options: Mapping[str, Any] | None = None,
    **trigger_options: Any,
) -> Path:
    """Make a poisoned (or, at rate 0, a clean) data set; return its path.

    A file that is there already, of the same recipe, is verified and left as it is. Warnings about the data are given
    by `warnings.warn`. With ``images_list="todo.csv"`` (or ``rewrite_list``) no data set is made, but the list of the
    rows that another tool is to change; its path is returned.

    Parameters
    ----------
    dataset : str
        The clean data, a name that ``poisonkit sources`` lists.
    trigger : str or sequence of str
        One or more triggers, applied in order; none for the clean file. ``"FILE.py:FUNCTION"`` is one of your own,
        which is executed.
    rate : float, str or Decimal
        The poisoning rate: a share of the training rows (``0.05``, ``"5%"``). A float means the decimal that its
        shortest spelling is: 0.05 is exactly 5 %. Only a preset that sets it makes it optional.
    per_patch, patch_size
        Apply the triggers to every patch of the image, of this size in pixels (default 8).
    target : int or str
        The target label: its index, or the name of a class.
    label_mode : str
        ``all-to-one``, ``all-to-all``, ``source-specific``, ``clean-label`` or ``untargeted``.
    source_classes
        The source classes of a source-specific attack, indices or names.
    select : str
        Which rows may be poisoned: ``all``, ``non-target``, ``target`` or ``class``.
    cover_rate, cover_jitter
        The share of cover rows (``"2x"``: twice the rate), and whether each gets noise of its own.
    cover_classes
        The classes that cover rows are of, indices or names (default: all that may have covers).
    one_of : bool
        Give each changed training row one of the triggers, drawn for it; test rows get all.
    seed : int
        Seed of the rows and of whatever else is drawn.
    preset : str
        Settings of published code, see ``poisonkit triggers``.
    source, source_options, size, split, name, cache, fresh
        Archive or folder of the clean data, options of the source itself, the size to which a folder's images are
        resized, the share of each class of a folder without train/ and test/ that becomes the test set, what a folder's
        data set is called (default: the folder's own name), the cache folder, and whether to read the clean data again.
    camouflage, camouflage_seed
        Change every image a little, by a secret seed (``docs/sealing.md``).
    out : path
        A folder, or a file name that ends in .h5 (default: the folder ``data``).
    threads : int
        Threads that compute and write (default: one per processor); they never change a byte.
    force : bool
        Overwrite an existing file; also allow a trigger that covers the whole image.
    options : dict
        Options of a trigger of your own or of a package, name → value.
    **trigger_options
        Options of the triggers, ``TRIGGER_OPTION=value``: ``square_size=3``, ``square_value=(255, 0, 0)``,
        ``blend_alpha=0.1``, ``blend_image="cat.png"``, ``word_words=["cf", "mn"]``, ``rewrite_file="rewritten.csv"``,
        ``pattern_file="lf.npy"`` (or the array itself), ``images_list="todo.csv"`` and ``images_folder="todo"`` (which
        are written), ``images_file="done.npz"``.

    Raises
    ------
    Usage
        An argument is unknown, or out of range, or contradicts another.
    Failure
        The source cannot be read, another file has the name, the disk is full.
    """
    of_triggers = _of_triggers(trigger_options)
    typed = MakeOptions(
        dataset=interface.name(dataset, "dataset"),
        triggers=_names(trigger, "trigger"),
        rates=() if rate is None else (_text(rate, "rate"),),
        per_patch=interface.flag(per_patch, "per_patch"),
        patch_size=None if patch_size is None else _size(patch_size),
        target=_class(target),
        label_mode=interface.optional_name(label_mode, "label_mode"),
        source_classes=_classes(source_classes, "source_classes"),
        select=interface.optional_name(select, "select"),
        cover_rate=None if cover_rate is None else _text(cover_rate, "cover_rate"),
        cover_jitter=interface.flag(cover_jitter, "cover_jitter"),
        cover_classes=_classes(cover_classes, "cover_classes"),
        one_of=interface.flag(one_of, "one_of"),
        seed=interface.whole(seed, "seed"),
        preset=interface.optional_name(preset, "preset"),
        source=interface.optional_path(source, "source"),
        source_options=_source_options(source_options),
        size=None if size is None else _size(size),
        split=None if split is None else _text(split, "split"),
        name=interface.optional_name(name, "name"),
        camouflage=interface.optional_name(camouflage, "camouflage"),
        camouflage_seed=None if camouflage_seed is None else interface.whole(camouflage_seed, "camouflage_seed"),
        cache=interface.optional_path(cache, "cache"),
        fresh=interface.flag(fresh, "fresh"),
        output=Path("data") if out is None else interface.path(out, "out"),
        force=interface.flag(force, "force"),
        options=_own_options(options),
        trigger_options=of_triggers.options,
        user_files=of_triggers.files,
        row_lists=of_triggers.lists,
        row_folders=of_triggers.folders,
    )
    given = {"trigger": trigger, "rate": rate, **({} if options is None else {"options": options}), **trigger_options}
    request, runtime = BuildRequest.parse(typed), _runtime("make", [dataset], given, threads)
    if request.listing is not None:
        return row_list.make_list(request, runtime).path
    (result,) = build.build(request, runtime)
    return result.path


@interface.public
def pack(path: AnyPath, out: AnyPath | None = None, *, trigger: str | None = None, force: bool = False) -> Path:
    """Store only the differences of a poisoned file from the clean data; return the path of the delta.

    `out` is a folder or a file name that ends in .h5 (default: NAME.delta.h5 beside the file); `trigger` names the code
    of a trigger of somebody's own (``"FILE.py:FUNCTION"``), which is executed. Raises `Failure` where
    the file does not verify or another file has the name, `Usage` for a clean file.
    """
    file = interface.path(path)
    triggers.name_code(trigger)
    target = delta.target_path(file, interface.optional_path(out, "out"))
    delta.pack(file, target, force=interface.flag(force, "force"))
    return target


@interface.public
def unpack(
    path: AnyPath,
    base: AnyPath | None = None,
    *,
    dataset: str | None = None,
    cache: AnyPath | None = None,
    fresh: bool = False,
    out: AnyPath | None = None,
    threads: int | None = None,
    force: bool = False,
) -> Path:
    """Restore the file that a delta was made of, byte for byte; return its path.

    `base` are the clean data: a clean file of the format, or what `make` takes as `source` (default: those in the
    cache). Raises `Failure` where the delta is damaged or the clean data are others.
    """
    file, target = interface.path(path), interface.optional_path(out, "out")
    clean = CleanData(
        interface.optional_path(base, "base"),
        interface.optional_name(dataset, "dataset"),
        interface.optional_path(cache, "cache"),
        fresh,
    )
    runtime = _runtime("unpack", [str(path)], {}, threads)
    result = delta.unpack(file, target, clean, runtime, interface.flag(force, "force"))
    return result.path


# ---------------------------------------------------------------- from Python's values to what would be typed


def _runtime(function: str, positional: Iterable[str], given: Mapping[str, Any], threads: int | None) -> Runtime:
    command = [f"poisonkit.{function}", *positional, *(f"{name}={value!r}" for name, value in given.items())]
    return Runtime(command, interface.threads(threads) or processors(), warn=interface.warn)


def _text(value: Any, name: str) -> str:
    """Return a number as it would be typed: of a float, the shortest decimal that it can be written as."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | decimal.Decimal | np.number):
        raise Usage(f"{name}: expected a number or a text, got {value!r:.60}")
    return str(value)


def _names(values: Any, name: str) -> tuple[str, ...]:
    return tuple(interface.name(value, name) for value in _several(values, name))


def _several(values: Any, name: str) -> tuple[Any, ...]:
    """Return one value, or several, as a tuple; none of None."""
    if values is None or isinstance(values, str | int | np.integer):
        return () if values is None else (values,)
    if not isinstance(values, Iterable):
        raise Usage(f"{name}: expected one or a sequence of them, got {values!r:.60}")
    return tuple(values)


def _source_options(options: Mapping[str, Any] | None) -> tuple[str, ...]:
    if options is not None and not isinstance(options, Mapping):
        raise Usage(f"source_options: expected a dict, such as {{'train': 300}}, got {options!r:.60}")
    return tuple(f"{key}={_size(value)}" for key, value in (options or {}).items())


def _own_options(options: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the options of a trigger that is not ours as they would be typed."""
    if options is not None and not isinstance(options, Mapping):
        raise Usage(f"options: expected a dict, such as {{'level': 200}}, got {options!r:.60}")
    spelled = {
        key: {True: "yes", False: "no"}[one] if isinstance(one, bool) else one for key, one in (options or {}).items()
    }
    return tuple(f"{key}={_text(value, 'options')}" for key, value in spelled.items())


def _size(value: Any) -> str:
    """Return a number of pixels, or height and width, as they would be typed."""
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _class(value: Any) -> int | str | None:
    """Return a class: its name, or its index as an `int`."""
    if value is None or isinstance(value, str):
        return value
    return interface.whole(value, "target")


def _classes(values: Any, name: str) -> tuple[int | str, ...]:
    several = _several(values, name)
    return tuple(value if isinstance(value, str) else interface.whole(value, name) for value in several)


@dataclass(frozen=True)
class _OfTriggers:
    """Keyword arguments that belong to triggers, by trigger: options as they would be typed, users' files, or what
    they would hold, and where the rows that another tool is to change are written, as a list and as pictures."""

    options: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, Path] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)


def _of_triggers(given: Mapping[str, Any]) -> _OfTriggers:
    """Sort keyword arguments by trigger and kind. Raises `Usage` for one that `make` has not."""
    known, found = _known_options(), _OfTriggers()
    for name, value in given.items():
        if name not in known:
            raise Usage(_unknown_argument(name, known))
        trigger, kind, key = known[name]
        if value is None:
            continue
        if kind == "options":
            found.options.setdefault(trigger, {})[key] = _option(value, name)
        elif kind == "files" and triggers.takes_values(trigger) and not isinstance(value, str | os.PathLike):
            found.files[trigger] = value
        else:
            getattr(found, kind)[trigger] = interface.path(value, name)
    return found


def _known_options() -> dict[str, tuple[str, str, str]]:
    """Return the keyword of each trigger's options and files → (trigger, field of `_OfTriggers`, key)."""
    known = {}
    for name in triggers.names():
        trigger, word = triggers.spec(name), name.replace("-", "_")
        for option in trigger.options:
            known[f"{word}_{option.key}".replace("-", "_")] = name, "options", option.key
        if triggers.takes_picture(name) or trigger.file:
            known[triggers.file_option(name).removeprefix("--").replace("-", "_")] = name, "files", ""
        if trigger.file and trigger.file.list_help:
            known[f"{word}_list"] = name, "lists", ""
        if trigger.file and trigger.file.folder_help:
            known[f"{word}_folder"] = name, "folders", ""
    return known


def _unknown_argument(typed: str, known: Mapping[str, tuple[str, str, str]]) -> str:
    """Say what may be meant by a keyword that `make` has not: the nearest ones, else all of the trigger that it begins
    with, else where they stand."""
    own = [name for name, one in inspect.signature(make).parameters.items() if one.kind != one.VAR_KEYWORD]
    if near := naming.hint(typed, [*own, *known]):
        return f"make: unknown argument {typed!r:.60}{near}"
    of_one = [name for name, (trigger, *_) in known.items() if typed.startswith(trigger.replace("-", "_") + "_")]
    if of_one:
        return f"make: unknown argument {typed!r:.60}: that trigger has {', '.join(of_one)}"
    return (
        f"make: unknown argument {typed!r:.60}: help(poisonkit.make) lists them, `poisonkit triggers` those of "
        "triggers (square_size for square's size)"
    )


def _option(value: Any, name: str) -> str:
    """Return the value of a trigger's option as it would be typed; a sequence is separated by commas."""
    if not isinstance(value, list | tuple | np.ndarray):
        return _text(value, name)
    texts = [_text(one, name) for one in np.ravel(np.asarray(value, object))]
    if any("," in text for text in texts):
        raise Usage(f"{name}: a comma separates the parts, none may have one: got {value!r:.60}")
    return ",".join(texts)
