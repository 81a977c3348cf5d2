"""Verify files of any kind, and hold blind exercises, in Python: on the same functions as the commands."""

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, overload

from poisonkit.blind import file_kinds, keys
from poisonkit.blind import grade as grading
from poisonkit.blind import ranking as ranked
from poisonkit.blind import seal as sealing
from poisonkit.blind import unseal as unsealing
from poisonkit.blind.audit import audit as auditing
from poisonkit.blind.audit.audit import Audited
from poisonkit.blind.ranking import Ranking
from poisonkit.blind.seal import Sealed
from poisonkit.blind.submissions import Entry
from poisonkit.core import interface
from poisonkit.core.errors import Usage
from poisonkit.core.progress import NullProgress, processors
from poisonkit.inspection.verify.verify import Look
from poisonkit.triggers import registry as triggers

AnyPath = interface.AnyPath
Several = list[str] | list[Path] | tuple[AnyPath, ...] | Mapping[str, AnyPath]
"""Several files, or by the name of each."""


@dataclass(frozen=True)
class Verification:
    """What `verify` found; it is true where the file is what it claims to be.

    Attributes
    ----------
    path : Path
        The file.
    differences : list of str
        What differs from what the file claims, one line each.
    unknown : str or None
        What of its recipe this version does not know, so that the rest could not be computed.
    notes : list of str
        What could not be checked, one line each.
    """

    path: Path
    differences: list[str]
    unknown: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything agrees and could be computed."""
        return not self.differences and self.unknown is None

    def __bool__(self) -> bool:
        return self.ok

    @property
    def exit_code(self) -> int:
        """The exit code of ``poisonkit verify``: 0, 3 where something differs, 4 where the recipe is unknown."""
        return 3 if self.differences else 4 if self.unknown else 0


@interface.public
def verify(
    path: AnyPath,
    *,
    source: AnyPath | None = None,
    dataset: str | None = None,
    cache: AnyPath | None = None,
    trigger: str | None = None,
) -> Verification:
    """Recompute everything that a file of any kind claims: digests, trigger, counts, sidecar.

    Of files that were camouflaged after the trigger, `source` are the plain images (read as the source `dataset`, if
    that is another than the file's); without it they are looked up in the cache. `trigger` names the code of a
    trigger of somebody's own (``"FILE.py:FUNCTION"``), which is executed. Raises `Failure` where the file cannot be
    read as one of the format at all.
    """
    triggers.name_code(trigger)
    notes: list[str] = []
    plain, folder = interface.optional_path(source, "source"), interface.optional_path(cache, "cache")
    look = Look(plain, interface.optional_name(dataset, "dataset"), folder, notes.append, NullProgress, interface.warn)
    found = verify_with(interface.path(path), look, notes)
    differences, notes = ([interface.in_python(line) for line in lines] for lines in (found.differences, found.notes))
    return replace(found, differences=differences, notes=tuple(notes))


def verify_with(path: Path, look: Look, notes: list[str]) -> Verification:
    """Verify a file; `look` says where plain images are looked for, and appends to `notes`."""
    differences = file_kinds.differences(path, look)
    unknown = None if differences else file_kinds.unknown(path)
    return Verification(path, differences, unknown, tuple(notes))


@interface.public
def seal(
    path: AnyPath,
    out: AnyPath | None = None,
    *,
    key: AnyPath | None = None,
    even_labels: bool = False,
    even_share: float | str | None = None,
    secret_seed: int | None = None,
    trigger: str | None = None,
    force: bool = False,
) -> Sealed:
    """Seal a data set for a blind exercise; return where the challenge and its key are.

    Parameters
    ----------
    out, key : path
        Where the challenge and the key go: folders, or names that end in .h5 (default: beside the file, and the user's
        folder of keys).
    even_labels, even_share
        Leave clean rows out until each class has the same share of its clean size: the largest possible, or this one.
    secret_seed : int
        Fix the seed to reproduce a seal exactly; anyone who guesses it can undo it.
    trigger : str
        The code of a trigger of somebody's own, ``"FILE.py:FUNCTION"``, which is executed.

    Raises
    ------
    Failure
        The file does not verify, or another file has the name.
    """
    triggers.name_code(trigger)
    seed = None if secret_seed is None else interface.whole(secret_seed, "secret_seed", 0, (1 << 63) - 1)
    secret = sealing.Secret.draw() if seed is None else sealing.Secret.of(seed)
    share = None if even_share is None else sealing.parse_share(str(even_share))
    even = interface.flag(even_labels, "even_labels") or share is not None
    places = interface.optional_path(out, "out"), interface.optional_path(key, "key")
    request = sealing.SealRequest(secret, *places, even, share, interface.flag(force, "force"))
    return sealing.seal(interface.path(path), request)


@interface.public
def unseal(
    path: AnyPath,
    key: AnyPath | None = None,
    out: AnyPath | None = None,
    *,
    threads: int | None = None,
    force: bool = False,
) -> Path:
    """Restore the original of a sealed file, byte for byte, and its sidecar; return its path.

    `key` is looked for in the user's folder of keys and beside the file. Raises `Failure` where the key is not that of
    the file, or its answer not the one committed to.
    """
    file, command = interface.path(path), ["poisonkit.unseal", fspath(path)]
    places = interface.optional_path(key, "key"), interface.optional_path(out, "out")
    number = interface.threads(threads) or processors()
    result = unsealing.unseal(file, *places, command, interface.flag(force, "force"), number, NullProgress)
    return result.path


@interface.public
def audit(path: AnyPath, key: AnyPath | None = None, *, caches: AnyPath | Sequence[AnyPath] = ()) -> Audited:
    """Report what participants could infer from a file.

    `caches` are folders of clean sources to compare with (default: the user's cache). The result has `found`, the rows
    that a sure finding names which is no false alarm, and `findings`, one for each probe.
    """
    file = interface.path(path)
    folders = (caches,) if isinstance(caches, str | PathLike) else caches
    every = tuple(interface.path(one, "caches") for one in folders)
    return auditing.audit(file, interface.optional_path(key, "key") or keys.find(file), every, NullProgress)


@overload
def grade(
    path: AnyPath, submission: AnyPath, key: AnyPath | None = None, *, threshold: float | None = None
) -> dict[str, Any]: ...
@overload
def grade(path: AnyPath, submission: Several, key: AnyPath | None = None, *, baselines: Several = ()) -> Ranking: ...
@interface.public
def grade(
    path: AnyPath,
    submission: AnyPath | Several,
    key: AnyPath | None = None,
    *,
    baselines: Several = (),
    threshold: float | None = None,
) -> dict[str, Any] | Ranking:
    """Grade a submission to a blind exercise, a CSV of row and score; rank several.

    Parameters
    ----------
    submission : path, or list or dict of paths
        One, or several: a dict names each (``{"Team B": "b.csv"}``).
    baselines : list or dict of paths
        More of them, which are marked: known detectors' scores, say. With these, one submission is ranked as well.
    threshold : float
        Also F1 of the rows whose score is at least this; of one submission.

    Returns
    -------
    dict or Ranking
        Of one submission AUROC, average precision, TPR at 1 % FPR and F1, by the names of ``poisonkit grade --json``.
        Of several their `Ranking`, best first, in which each has its measures with 95 % intervals; those that are not
        in order are in its `failed`, and each is warned of.
    """
    file, place = interface.path(path), interface.optional_path(key, "key")
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, numbers.Real)):
        raise Usage(f"threshold: expected a number, got {threshold!r:.60}")
    if isinstance(submission, str | PathLike) and not baselines:
        return grading.grade(file, place, interface.path(submission, "submission"), threshold)
    if threshold is not None:
        raise Usage("threshold: each submission has scores of its own scale: grade one at a time with it")
    several: Several = (submission,) if isinstance(submission, str | PathLike) else submission
    entries = [*_entries(several, "submission", False), *_entries(baselines, "baselines", True)]
    if not entries:
        raise Usage("submission: expected a path, or a list or a dict of them, got none")
    ranking = ranked.rank(file, place, entries)
    for one in ranking.failed:
        interface.warn(f"{one.name}: {one.problem}")
    return ranking


def _entries(several: Several, argument: str, baseline: bool) -> list[Entry]:
    """Return the submissions that a list or a dict names."""
    if isinstance(several, Mapping):
        return [
            Entry.named(interface.name(name, argument), interface.path(one, argument), baseline)
            for name, one in several.items()
        ]
    if not isinstance(several, list | tuple):
        raise Usage(f"{argument}: expected a path, or a list or a dict of them, got {several!r:.60}")
    return [Entry.unnamed(interface.path(one, argument), baseline) for one in several]
