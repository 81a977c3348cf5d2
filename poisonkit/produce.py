"""From a plan to a file under its final name: what lies there already, what is written, what stands in the sidecar."""

import datetime
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from poisonkit import __version__, make, manifest, store, verify
from poisonkit.errors import Failure
from poisonkit.make import Plan

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
    """Where a file goes: `output` itself where it ends in .h5, else NAME.h5 in that folder."""
    return output if output.suffix == ".h5" else output / f"{name}.h5"


def produce(
    plan: Plan, target: Path, command: list[str], force: bool = False, threads: int = 1, progress=None
) -> Outcome:
    """Write the planned file and its sidecar, unless the same file lies there and verifies.

    Raises `Failure` where something else lies there (and `force` is not given), or where it cannot be written.
    """
    for path in (target, store.sidecar_path(target)):
        store.sweep(path)
    if target.exists() and not force:
        facts = _same(plan, target)
        if not store.sidecar_path(target).exists():
            store.write_json(store.sidecar_path(target), sidecar(plan, facts, target, command))
        return Outcome(target, False, facts)
    store.check_space(target, plan.size() + SPARE_BYTES)
    facts = make.write(plan, target, threads, progress)
    beside = sidecar(plan, facts, target, command)
    store.write_json(store.sidecar_path(target), beside)
    return Outcome(target, True, facts, plan.sha256 in (None, beside["file"]["sha256"]))


def _same(plan: Plan, target: Path) -> dict:
    """The manifest of the file that lies there, if it is what was asked for and verifies."""
    try:
        with store.reading(target) as there:
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
        "file": {"name": target.name, "size": target.stat().st_size, "sha256": store.file_sha256(target)},
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
