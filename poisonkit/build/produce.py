"""From a plan to a file under its final name: what lies there already, what is written, what stands in the sidecar."""

import datetime
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from poisonkit import __version__
from poisonkit.core import file_names, files
from poisonkit.core.errors import Failure
from poisonkit.format import manifest, reader, sidecars
from poisonkit.inspection.verify import verify
from poisonkit.poisoning import plan as make
from poisonkit.poisoning import write
from poisonkit.poisoning.plan import Plan

SPARE_BYTES = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """`made` is False where the same file lay there already and verified; `same_container` is False where arrays and
    manifest are those that were demanded, but the bytes of the HDF5 file around them are others."""

    path: Path
    made: bool
    manifest: dict
    same_container: bool = True


def target_path(output: Path, name: str) -> Path:
    """Where a file goes: `output` itself where it ends in .h5, else NAME.h5 in that folder. `Failure` for a name, which
    may come out of a stranger's file, that is no plain one."""
    return output if output.suffix == ".h5" else output / f"{file_names.checked(name, output)}.h5"


def produce(
    plan: Plan, target: Path, command: list[str], force: bool = False, threads: int = 1, progress=None
) -> Outcome:
    """Write the planned file and its sidecar, unless the same file lies there and verifies.

    Raises `Failure` where something else lies there (and `force` is not given), where a sidecar lies there that is not
    this file's, or where it cannot be written.
    """
    for path in (target, sidecars.sidecar_path(target)):
        files.remove_stale_temporaries(path)
    files.refuse_folder(target)
    said = sidecars.check(sidecars.sidecar_path(target), target)
    if target.exists() and not force:
        return _there(plan, target, command)
    if said is not None and not force:
        _check_sidecar(plan, target, said)
    files.check_space(target, plan.size() + SPARE_BYTES)
    try:
        facts = write.write(plan, target, threads, progress, new=not force)
    except files.Taken:
        return _there(plan, target, command)
    beside = sidecar(plan, facts, target, command)
    files.write_json(sidecars.sidecar_path(target), beside)
    return Outcome(target, True, facts, plan.sha256 in (None, beside["file"]["sha256"]))


def _there(plan: Plan, target: Path, command: list[str]) -> Outcome:
    """What to say of the file that lies there; it gets a sidecar if it has none."""
    facts = _same(plan, target)
    if not os.path.lexists(sidecars.sidecar_path(target)):
        files.write_json(sidecars.sidecar_path(target), sidecar(plan, facts, target, command))
    return Outcome(target, False, facts)


def _check_sidecar(plan: Plan, target: Path, said: dict) -> None:
    """`Failure` where the sidecar of a file that is gone tells of another recipe."""
    differences = list(manifest.describe(plan.identity(), make.identity(said["manifest"])))
    if differences:
        raise Failure(
            f"{sidecars.sidecar_path(target)}: is of a file made from another recipe ({'; '.join(differences[:3])}), "
            "which is gone: -o elsewhere, or --force"
        )


def _same(plan: Plan, target: Path) -> dict:
    """The manifest of the file that lies there, if it is what was asked for and verifies."""
    try:
        with reader.reading(target) as there:
            facts = there.manifest
    except Failure as error:
        raise Failure(f"{error}; it is in the way: --force replaces it") from None
    differences = list(manifest.describe(plan.identity(), make.identity(facts)))
    if plan.expected is not None and not differences:
        differences = list(manifest.describe(plan.expected, facts))
    if differences:
        raise Failure(f"{target}: made from another recipe ({'; '.join(differences[:3])}): -o elsewhere, or --force")
    behind = plan.source.behind
    wrong = verify.verify(target, None if behind is None else verify.Look(behind=behind))
    if wrong:
        raise Failure(f"{target}: lies there but does not verify ({wrong[0]}): --force makes it anew")
    return facts


def sidecar(plan: Plan, facts: dict, target: Path, command: list[str]) -> dict:
    """The manifest and what may not stand inside the file, because it differs from one run to the next."""
    return {
        "manifest": facts,
        "file": {"name": target.name, "size": target.stat().st_size, "sha256": files.file_sha256(target)},
        "created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": command,
        "tool": {"name": "poisonkit", "version": __version__},
        "origin": plan.source.origin,
        "environment": environment(),
    }


def environment() -> dict:
    """Versions of Python and of the libraries that are in use."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("numpy", "numba", "h5py", "cv2"):
        if name in sys.modules:
            found[name] = sys.modules[name].__version__
    if "h5py" in sys.modules:
        found["hdf5"] = sys.modules["h5py"].version.hdf5_version
    return found
