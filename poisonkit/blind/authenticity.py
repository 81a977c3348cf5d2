"""Are a sealed file and its key as `seal` wrote them? What the commitment does not say, each says of the other."""

from pathlib import Path

from poisonkit.core.errors import Failure
from poisonkit.format import reader
from poisonkit.format.reader import Reader
from poisonkit.inspection.verify import verify

SAID = ("title", "licence", "url", "classes", "name")
"""What a sealed file says of the source, as its original does."""


def check(path: Path, key: Reader) -> None:
    """`Failure` where the sealed file at `path` or its key was altered, in an array or in what either says.

    The commitment ties the answer to the sealed arrays and to the original's whole manifest. So names, classes and
    texts of the sealed file must be those of that, and whatever is in a file is what its own digests say. (The key is
    taken to be that of the file, see `unseal.check`; its arrays are those that the original names, see `guard`.)
    """
    with reader.reading(path, ("sealed",), vouch=False) as challenge:
        for data in (challenge, key):
            if wrong := verify.digests(data):
                raise Failure(f"{data.path}: was altered after it was sealed: {wrong[0]}")
        if wrong := challenge.value_problems():
            raise Failure(f"{challenge.path}: was altered after it was sealed: {wrong[0]}")
        wrong = _differing(challenge.manifest, key.manifest)
    if wrong:
        raise Failure(f"{path}: it or its key was altered after it was sealed: {wrong[0]}")


def _differing(challenge: dict, key: dict) -> list[str]:
    """What does not go together, one line each."""
    of, wrong = key["of"], []
    name = f"challenge-{challenge['commitment'].removeprefix('sha256:')[:8]}"
    for what, said in (("its name", challenge["name"]), ("its key's name", key["name"])):
        if said != name:
            wrong.append(f"{what} is {said!r:.60}, by its commitment {name}")
    for place in SAID:
        said, original = challenge["source"].get(place), of["source"].get(place)
        if said != original:
            wrong.append(f"the source's {place} is {said!r:.80}, the original's {original!r:.80}")
    for where, said in (("", challenge["modality"]), (" of the key", key["modality"])):
        if said != of["modality"]:
            wrong.append(f"the modality{where} is {said!r:.20}, the original's {of['modality']}")
    for part in ("train", "test"):
        rows = challenge["arrays"][f"{part}/labels"]["shape"][0]
        if challenge["counts"][part] != rows:
            wrong.append(f"it counts {challenge['counts'][part]} rows in {part}/, there are {rows}")
    return wrong
