"""Check that a sealed file and its key are as `seal` wrote them, in what the commitment does not cover."""

from pathlib import Path

from poisonkit.core.errors import Failure
from poisonkit.format import reader
from poisonkit.format.manifest import KeyManifest, SealedManifest
from poisonkit.format.reader import Reader
from poisonkit.inspection.verify import verify

RECORDED = ("title", "licence", "url", "classes", "name")
"""What a sealed file records of the source, as its original does."""


def check(path: Path, key: Reader[KeyManifest]) -> None:
    """Raise `Failure` where the sealed file at `path` or its key was altered, in an array or in the manifest.

    The commitment ties the answer to the sealed arrays and to the original's whole manifest. So names, classes and
    texts of the sealed file must be those of that, and every array must match its digest. (The key is known to be that
    of the file, see `unseal.check`; its arrays are those of the original, see `format.arrays`.)
    """
    with reader.reading(path, SealedManifest) as challenge:
        for data in (challenge, key):
            if errors := verify.digests(data) or data.value_problems():
                raise Failure(f"{data.path}: was altered after it was sealed: {errors[0]}")
        errors = _contradictions(challenge.manifest, key.manifest)
    if errors:
        raise Failure(f"{path}: it or its key was altered after it was sealed: {errors[0]}")


def _contradictions(challenge: SealedManifest, key: KeyManifest) -> list[str]:
    """List what does not go together, one line each."""
    original, errors = key.original, []
    name = f"challenge-{challenge.commitment.removeprefix('sha256:')[:8]}"
    for what, recorded in (("its name", challenge.name), ("its key's name", key.name)):
        if recorded != name:
            errors.append(f"{what} is {recorded!r:.60}, by its commitment {name}")
    for field in RECORDED:
        recorded, expected = getattr(challenge.source, field), getattr(original.source, field)
        if recorded != expected:
            errors.append(f"the source's {field} is {recorded!r:.80}, the original's {expected!r:.80}")
    for where, modality in (("", challenge.modality), (" of the key", key.modality)):
        if modality != original.modality:
            errors.append(f"the modality{where} is {modality.name!r:.20}, the original's {original.modality.name}")
    for part, count in (("train", challenge.counts.train), ("test", challenge.counts.test)):
        rows = challenge.rows(f"{part}/labels")
        if count != rows:
            errors.append(f"it counts {count} rows in {part}/, there are {rows}")
    return errors
