"""A manifest to follow, as `make --from` reads it: of a sidecar, of a bare manifest, or of a file of the format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poisonkit.core import numbers
from poisonkit.core.errors import Failure, Unknown
from poisonkit.format import schema, structure
from poisonkit.format.manifest import FORMAT, FORMAT_VERSION, Manifest, dataset_digest, recipe_versions
from poisonkit.format.records import Json


@dataclass(frozen=True)
class SavedManifest:
    """A manifest to follow, the file it was read from, and the SHA-256 of its data set where the file says that too."""

    path: Path
    manifest: Manifest
    sha256: str | None = None


def read(path: Path) -> SavedManifest:
    """Read the manifest that a sidecar, a bare manifest or a file of the format holds.

    Raises `Failure` where it is not sound, `Unknown` where only its recipe's version is not known here.
    """
    if path.suffix == ".h5":
        return SavedManifest(path, structure.data_set(path))
    try:
        record = numbers.loads(path.read_bytes())
    except OSError as error:
        raise Failure(f"{path}: could not be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Failure(
            f"{path}: is not valid JSON ({error}): expected a NAME.manifest.json or a file of the format"
        ) from None
    manifest: Any = record.get("manifest", record) if isinstance(record, dict) else None
    error_text = _problem(manifest)
    if error_text:
        raise (Unknown if _of_another_version(manifest) else Failure)(f"{path}: {error_text}")
    file = record.get("file")
    sha256 = file.get("sha256") if isinstance(file, dict) else None
    return SavedManifest(path, Manifest.of(manifest), sha256 if isinstance(sha256, str) else None)


def _problem(manifest: object) -> str | None:
    """Why a JSON value is no manifest to go by; None where it is one."""
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return "contains no poisonkit manifest: expected a NAME.manifest.json or a file of the format"
    version, recipe_version = manifest.get("format_version"), manifest.get("recipe_version")
    known = recipe_versions(manifest)
    if version != FORMAT_VERSION or recipe_version not in known:
        return (
            f"is of format {version!r:.20}, recipe version {recipe_version!r:.20}; this poisonkit makes format "
            f"{FORMAT_VERSION}, recipe version {' or '.join(map(str, known))}, which writes other bytes: use "
            "the version of the tool that made it (the sidecar's `tool` says which)"
        )
    problem = schema.problem(manifest)
    if problem is None and manifest["dataset_digest"] != _digest(manifest):
        problem = "its manifest was altered: its dataset_digest is not that of the rest"
    return problem


def _of_another_version(manifest: Any) -> bool:
    """Whether nothing but its recipe's version is unknown here."""
    mine = isinstance(manifest, dict) and manifest.get("format_version") == FORMAT_VERSION
    return mine and manifest.get("recipe_version") not in recipe_versions(manifest)


def _digest(manifest: Json) -> str:
    try:
        return dataset_digest(manifest)
    except (TypeError, ValueError, RecursionError):
        return "none: it cannot be spelled"
