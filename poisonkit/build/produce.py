"""From a plan to a file under its final name: what is there already, what is written, what goes into the sidecar."""

import datetime
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from poisonkit import __version__
from poisonkit.core import file_names, files
from poisonkit.core.errors import Failure
from poisonkit.format import reader, sidecars
from poisonkit.format.manifest import Manifest, describe
from poisonkit.format.records import Json
from poisonkit.poisoning import write
from poisonkit.poisoning.plan import Plan

SPARE_BYTES = 1 << 20


@dataclass(frozen=True)
class BuildResult:
    """One file that was asked for.

    Attributes
    ----------
    path : Path
        Where it is, or would be.
    state : str
        ``written``; ``existing`` where the same file was there already and verifies; ``planned`` in a dry run.
    manifest : Manifest
        Its manifest; of a planned file the draft.
    size : int
        Its size in bytes; of a planned file, that of its arrays.
    same_container : bool
        False where arrays and manifest are those that were demanded, but the bytes of the HDF5 file around them are
        others.
    warnings : tuple of str
        What should be known of it, one line each.
    """

    path: Path
    state: Literal["planned", "written", "existing"]
    manifest: Manifest
    size: int
    same_container: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def made(self) -> bool:
        """Whether the file was written just now."""
        return self.state == "written"


def target_path(output: Path, name: str) -> Path:
    """Where a file goes: `output` itself where it ends in .h5, else NAME.h5 in that folder. `Failure` for a name, which
    may come out of a stranger's file, that is no plain one."""
    return output if output.suffix == ".h5" else output / f"{file_names.checked(name, output)}.h5"


def produce(
    plan: Plan, target: Path, command: list[str], force: bool = False, threads: int = 1, progress=None
) -> BuildResult:
    """Write the planned file and its sidecar, unless the same file is there already and verifies.

    Raises `Failure` where another file has the name (and `force` is not given), where a sidecar has its name that is
    not this file's, or where it cannot be written.
    """
    for path in (target, sidecars.sidecar_path(target)):
        files.remove_stale_temporaries(path)
    files.refuse_folder(target)
    record = sidecars.check(sidecars.sidecar_path(target), target)
    if target.exists() and not force:
        return _existing(plan, target, command)
    if record is not None and not force:
        _check_sidecar(plan, target, record)
    files.check_space(target, plan.size() + SPARE_BYTES)
    try:
        written = write.write(plan, target, threads, progress, new=not force)
    except files.Taken:
        return _existing(plan, target, command)
    sidecars.write(target, written.manifest, of_this_run(plan, command), written.file)
    same_container = plan.sha256 in (None, written.file.sha256)
    return BuildResult(target, "written", written.manifest, written.file.size, same_container)


def _existing(plan: Plan, target: Path, command: list[str]) -> BuildResult:
    """Return the file that is there already; it gets a sidecar if it has none."""
    manifest = _same(plan, target)
    if not os.path.lexists(sidecars.sidecar_path(target)):
        sidecars.write(target, manifest, of_this_run(plan, command), sidecars.record_of(target))
    return BuildResult(target, "existing", manifest, target.stat().st_size)


def _check_sidecar(plan: Plan, target: Path, record: sidecars.Sidecar) -> None:
    """`Failure` where the sidecar of a file that is gone has another recipe."""
    differences = list(describe(plan.manifest.identity, record.identity))
    if differences:
        raise Failure(
            f"{sidecars.sidecar_path(target)}: its file, which no longer exists, was made from a different recipe "
            f"({'; '.join(differences[:3])}): choose another -o, or use --force"
        )


def _same(plan: Plan, target: Path) -> Manifest:
    """Return the manifest of the existing file, if it is what was asked for and verifies."""
    from poisonkit.inspection.verify import verify  # late: a new file needs none of it

    try:
        with reader.reading(target) as data:
            manifest = data.manifest
    except Failure as error:
        raise Failure(f"{error}; it already exists: use --force to overwrite it") from None
    differences = list(describe(plan.manifest.identity, manifest.identity))
    if plan.expected is not None and not differences:
        differences = list(describe(plan.expected.json, manifest.json))
    if differences:
        names = ", --name another name for the data" if _other_data_of_one_name(plan, manifest) else ""
        raise Failure(
            f"{target}: was made from a different recipe ({'; '.join(differences[:3])}): choose another -o{names}, or "
            "use --force"
        )
    behind = plan.source.behind
    errors = verify.verify(target, None if behind is None else verify.Look(behind=behind))
    if errors:
        raise Failure(f"{target}: already exists but does not verify ({errors[0]}): use --force to overwrite it")
    return manifest


def _other_data_of_one_name(plan: Plan, there: Manifest) -> bool:
    """Whether two folders of the user's are called alike, and hold other data."""
    mine, other = plan.source, there.source
    same = (mine.name, mine.options.get("name")) == (other.name, other.options.get("name"))
    return same and "name" in mine.options and mine.digest != other.digest


def of_this_run(plan: Plan, command: list[str]) -> Json:
    """Return what may not stand inside the file, because it differs from one run to the next."""
    return {
        "created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": command,
        "tool": {"name": "poisonkit", "version": __version__},
        "origin": plan.source.origin,
        "environment": environment(),
    }


def environment() -> dict[str, str]:
    """Return the versions of Python and of the libraries that are in use."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("numpy", "numba", "h5py", "cv2"):
        if name in sys.modules:
            versions[name] = sys.modules[name].__version__
    if "h5py" in sys.modules:
        versions["hdf5"] = sys.modules["h5py"].version.hdf5_version
    return versions
