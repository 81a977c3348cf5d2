"""What a key gives back: the answer of a sealed file, once it is the one committed to, and the original to the byte."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from poisonkit.blind import authenticity, keys
from poisonkit.blind.seal import NO_ROWS, Secret, answer, commit, inverse
from poisonkit.build import produce
from poisonkit.core import hashing, splits
from poisonkit.core.errors import Failure
from poisonkit.core.splits import TextSplit
from poisonkit.format import reader, sidecars
from poisonkit.format.manifest import KeyManifest, SealedManifest
from poisonkit.inspection import show
from poisonkit.inspection.verify import verify as whole
from poisonkit.poisoning import apply
from poisonkit.poisoning import plan as make
from poisonkit.poisoning.recipe import Recipe
from poisonkit.sources.base import Part, Source

Challenge = reader.Reader[SealedManifest]
Key = reader.Reader[KeyManifest]


@dataclass(frozen=True)
class Answer:
    """The changed rows of a sealed file, ascending, (P,) int64, and the role of each, (P,) uint8."""

    rows: np.ndarray
    role: np.ndarray


def check(challenge: SealedManifest, key: Key) -> Answer:
    """Return the answer that a key gives, once it is the one that the sealed file committed to.

    `challenge` is the sealed file's manifest. Raises `Failure` where the key is that of another file, where either was
    altered, or where the answer is not the one of the commitment.
    """
    held = key.manifest
    if held.challenge != challenge.dataset_digest:
        raise Failure(f"{key.path}: is the key of another file, {held.name}, not of {challenge.name}")
    for checked, what in ((challenge, "the sealed file"), (held, key.path), (held.original, key.path)):
        if not checked.sound_digest:
            raise Failure(f"{what}: its manifest was altered: its own digest does not match")
    for name, entry in held.arrays.items():
        if hashing.array_digest(np.ascontiguousarray(key[name])) != entry.digest:
            raise Failure(f"{key.path}: {name} is damaged: its digest differs")
    rows, role, labels = _changed(key)
    if len(_order(key, "train")) != challenge.rows("train/labels"):
        raise Failure(f"{key.path}: is of other row counts than {challenge.name}")
    whole = answer(challenge.arrays, held.original.dataset_digest, rows, role, labels)
    if not commit(bytes.fromhex(held.salt), whole) == held.commitment == challenge.commitment:
        raise Failure(f"{key.path}: is not the answer that {challenge.name} committed to: it was changed afterwards")
    ascending = np.argsort(rows)
    return Answer(rows[ascending], role[ascending])


def _changed(key: Key) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the changed rows by their numbers in the sealed file, their role, their labels before; none of a clean
    file."""
    if key.manifest.original.clean:
        return np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int64)
    rows, left = key["truth/rows"], _left(key)
    if np.isin(rows, left).any():
        raise Failure(f"{key.path}: changed rows are among those that were left out")
    return _positions(key, "train")[rows], key["truth/role"], key["truth/labels"]


def _left(key: Key) -> np.ndarray:
    """Return the original's training rows that the sealed file is without, ascending, (L,) int64."""
    if "left/rows" not in key:
        return NO_ROWS
    return key["left/rows"]


def _count(key: Key, part: str) -> int:
    """Count the rows of the original's part."""
    return key.manifest.original.rows(f"{part}/labels")


def _order(key: Key, part: str) -> np.ndarray:
    """Row of the original that each row of the sealed file's part is."""
    return _secret(key).order(part, _count(key, part), _left(key) if part == "train" else NO_ROWS)


def _secret(key: Key) -> Secret:
    return Secret(int(key.manifest.secret), bytes.fromhex(key.manifest.salt))


@dataclass(frozen=True)
class RestoredPart:
    """A part of the clean source, its rows in the original's order (see `base.Part`), from a sealed file and its key.

    Attributes
    ----------
    sealed : Part
        The sealed file's part, in its secret order.
    positions : ndarray
        (N,) int64: the row of the sealed part that each row of the original is; −1 where it was left out.
    labels : ndarray
        (N,) int64: the clean labels.
    kept : dict
        Group of the key → the rows whose images it has, ascending: the changed ones, and those that were left out.
    key : Reader
    """

    sealed: Part
    positions: np.ndarray
    labels: np.ndarray
    kept: dict[str, np.ndarray]
    key: Key

    @property
    def path(self) -> Path:
        """The sealed file."""
        return self.sealed.path

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        return (len(self), *self.sealed.shape[1:])

    def __len__(self) -> int:
        return len(self.positions)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Read the clean images of the given rows, (len(index), H, W, C) uint8."""
        images = self.sealed.rows(self.positions[index].clip(0))
        for group, rows in self.kept.items():
            at = np.searchsorted(rows, index)
            inside = np.flatnonzero(rows[at.clip(0, len(rows) - 1)] == index)
            inside = inside[np.argsort(at[inside], kind="stable")]
            images[inside] = self.key.pick(f"{group}/images", at[inside])
        return images

    def blocks(self, rows: int = 2048) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, clean images) over the whole part, at most `rows` at once, and fewer of large images."""
        rows = max(1, min(rows, splits.BLOCK // int(np.prod(self.shape[1:]))))
        for start in range(0, len(self), rows):
            yield start, self.rows(np.arange(start, min(start + rows, len(self))))


@dataclass(frozen=True)
class UnsealedImages:
    """The effect on images: changed training images are read from the sealed file, where row i of all changed rows is
    `changed_at[i]`; triggered test images are made with the key's stencils and tables, or `kept` in the key, by group,
    where they follow from none."""

    stencils: apply.Stencils
    sealed: Part
    changed_at: np.ndarray
    kept: dict[str, np.ndarray] = field(default_factory=dict)

    def poison(self, _changed: make.Changed, first: int, originals: np.ndarray, _threads: int = 1) -> np.ndarray:
        """Read the changed training images, the number `first` of all changed rows and the following."""
        return self.sealed.rows(self.changed_at[first : first + len(originals)])

    def trigger(self, group: str, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """Put the trigger on test images."""
        if group in self.kept:
            return self.kept[group][first : first + len(originals)]
        return self.stencils.trigger(group, first, originals, threads)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the file's `trigger/` groups."""
        return self.stencils.arrays()


def plan(challenge: Challenge, key: Key) -> make.Plan:
    """Plan how the original is written again. Raises `Failure` as `check` does."""
    check(challenge.manifest, key)
    if errors := whole.digests(challenge):
        raise Failure(f"{challenge.path}: was altered after it was sealed: {errors[0]}")
    authenticity.check(challenge.path, key)
    if key.modality != challenge.modality:
        raise Failure(f"{key.path}: its original holds {key.modality.rows}, {challenge.path} {challenge.modality.rows}")
    original = key.manifest.original
    for part in ("train", "test"):
        path = challenge.modality.path(part)
        if challenge.manifest.shape(path)[1:] != original.shape(path)[1:]:
            raise Failure(f"{key.path}: its original has other sizes than {challenge.path}")
    changed, given = make.Changed.none(), challenge["train/labels"]
    if not original.clean:
        rows = key["truth/rows"]
        changed = make.Changed(rows, key["truth/role"], given[_positions(key, "train")[rows]])
    source = _source(challenge, key)
    tested = _tested(key)
    draft, effect = original.as_draft, challenge.modality.choose(image=_images, text=_texts)(challenge, key)
    return make.Plan(
        source, Recipe(original.recipe.rate), effect, changed, tested, draft, original, key.manifest.file.sha256,
    )  # fmt: skip


def _source(challenge: Challenge, key: Key) -> Source:
    """Return the clean source, as the original's manifest records it."""
    record = key.manifest.original.source
    return Source(
        name=record.name,
        title=record.title,
        licence=record.licence,
        url=record.url,
        classes=record.classes,
        train=_restored(challenge, key, "train"),
        test=_restored(challenge, key, "test"),
        arrays=record.arrays,
        options=record.options,
        origin={"kind": "sealed file", "official": None},
        cached=False,
    )


def _positions(key: Key, part: str) -> np.ndarray:
    """Return the row of the sealed file's part that each row of the original's is, (N,) int64; −1 where it was left
    out."""
    return inverse(_order(key, part), _count(key, part))


def _images(challenge: Challenge, key: Key) -> apply.Effect:
    """Return the effect on images."""
    arrays = {name: key[name] for name in key.manifest.arrays if name.startswith("trigger/")}
    stencils = apply.of_file(key.path, key.manifest.original, arrays)
    rows = NO_ROWS if key.manifest.original.clean else key["truth/rows"]
    groups = ("triggered", "others")
    tested = {group: key[f"{group}/rows"] for group in groups if f"{group}/rows" in key}
    kept = {group: key[f"{group}/images"] for group in groups if f"{group}/images" in key}
    positions = _positions(key, "train")[rows]
    return UnsealedImages(replace(stencils, tested=tested), challenge.split("train"), positions, kept)


def _texts(challenge: Challenge, key: Key) -> apply.Effect:
    """Return the effect on texts: the sealed file has the changed ones, the key the others."""
    rows = {group: key[f"{group}/texts"] for group in ("triggered", "others") if f"{group}/texts" in key}
    if "truth/rows" in key:
        rows["truth"] = challenge.split("train").rows(_positions(key, "train")[key["truth/rows"]])
    return apply.Texts(rows, {path: key[path] for path in key.manifest.arrays if path.endswith("/insertions")})


def _restored(challenge: Challenge, key: Key, part: str) -> RestoredPart | TextSplit:
    """Return a part of the clean source and its labels."""
    split, positions = challenge.split(part), _positions(key, part)
    kept: dict[str, np.ndarray] = {}
    labels = split.labels[positions.clip(0)]
    if part == "train":
        kept = {group: key[f"{group}/rows"] for group in ("truth", "left") if f"{group}/rows" in key}
    for group, rows in kept.items():
        labels[rows] = key[f"{group}/labels"]
    if challenge.modality.is_text:
        texts = split.rows(positions.clip(0))
        for group, rows in kept.items():
            texts[rows] = key[f"{group}/texts"]
        return TextSplit.held(split.path, texts, labels)
    return RestoredPart(split, positions, labels, kept, key)


def _tested(key: Key) -> dict[str, dict[str, np.ndarray]]:
    """Return the sets of triggered test images: group → what the key says of each image."""
    tested: dict[str, dict[str, np.ndarray]] = {}
    for name in sorted(key.manifest.arrays, key=lambda name: not name.startswith("triggered/")):  # as `make` does
        group, _, column = name.partition("/")
        if group not in ("truth", "trigger", "left") and column in make.TESTED:
            tested.setdefault(group, {})[column] = key[name]
    return tested


def unseal(
    path: Path, key: Path | None, output: Path | None, command: list[str], force: bool, threads: int, progress
) -> produce.BuildResult:
    """Write the original again, and its sidecar as it was; `output` is a folder or a name in .h5.

    `progress(total, label, unit)` makes a progress bar. The result says whether the file is the original to the byte.
    """
    with contextlib.ExitStack() as opened:
        challenge = opened.enter_context(reader.reading(path, SealedManifest))
        where = key or keys.find_or_fail(path, challenge.manifest.name)
        held = opened.enter_context(reader.reading(where, KeyManifest))
        restored = plan(challenge, held)
        target = produce.target_path(output or path.parent, restored.name)
        if target.exists() and target.resolve() in (challenge.path.resolve(), held.path.resolve()):
            raise Failure(f"{target}: is the sealed file or its key; choose another -o")
        source = restored.source
        with progress(len(source.train) + len(source.test), restored.name, source.modality.rows) as bar:
            outcome = produce.produce(restored, target, command, force, threads, bar.update)
        if held.manifest.sidecar is not None and outcome.made:
            sidecars.write(target, outcome.manifest, held.manifest.sidecar, sidecars.record_of(target))
    return outcome


# ---------------------------------------------------------------- `show` and `verify`


def lines(path: Path, manifest: SealedManifest) -> list[str]:
    """Summarise a sealed file's manifest for people."""
    rows = [
        ("file", f"{path} ({path.stat().st_size / 1e6:,.1f} MB)"),
        ("what", "SEALED data for a blind exercise: some training rows may have been changed"),
        (manifest.modality.rows, f"{manifest.source.title}; licence: {manifest.source.licence}"),
        ("size", show.size(manifest)),
        ("name", manifest.name),
        ("commitment", manifest.commitment),
        ("dataset", manifest.dataset_digest),
    ]
    return [f"{label:11}{text}" for label, text in rows]


def key_lines(path: Path, manifest: KeyManifest) -> list[str]:
    """Summarise a key's manifest for people."""
    first = [f"key       {path}, of {manifest.name}; what it restores:"]
    return first + show.manifest_lines(manifest.original)


def verify(path: Path) -> list[str]:
    """List what differs from what a sealed file or a key claims."""
    with reader.reading(path, (SealedManifest, KeyManifest), vouch=False) as data:
        manifest, errors = data.manifest, whole.digests(data) or data.value_problems()
        if isinstance(manifest, SealedManifest) and not errors:
            for part, count in (("train", manifest.counts.train), ("test", manifest.counts.test)):
                rows = manifest.rows(f"{part}/labels")
                if rows != count:
                    errors.append(f"counts: {part} is {rows:,}, the manifest says {count}")
        if isinstance(manifest, KeyManifest) and not manifest.original.sound_digest:
            errors.append("manifest of the original: its own digest (dataset_digest) does not match its contents")
    return errors
