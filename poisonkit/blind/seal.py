"""Blind exercises: a data set without its answer, and the key that gives the answer, and the original file, back.

The sealed file holds `train/` and `test/` in a secret order and a salted commitment to the answer; the key holds the
rest. What that keeps secret and what it cannot is docs/sealing.md.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from poisonkit.blind import even_labels as even
from poisonkit.blind import keys
from poisonkit.core import files, hashing, numbers, random_streams, splits
from poisonkit.core.errors import Failure, Usage
from poisonkit.format import reader, sidecars
from poisonkit.format.arrays import kept_in_key
from poisonkit.format.manifest import KeyManifest, Manifest, SealedManifest
from poisonkit.format.records import ArrayEntry, Counts, Json
from poisonkit.format.writer import writing
from poisonkit.inspection.verify import verify
from poisonkit.poisoning import recipe, supported

ROWS_AT_ONCE = 2048
LONG_AGO = 946_684_800  # 2000-01-01: the time of change that every sealed file says
SALT_BYTES = 32
GUESSABLE = 1 << 40  # seeds of a camouflage below this can be tried out
PARTS = ("train", "test")
NO_ROWS = np.empty(0, np.int64)
Orders = dict[str, np.ndarray]
"""Part → the row of the original that each sealed row is, int64."""
Table = dict[str, ArrayEntry]
"""The sealed file's arrays, by path."""
Data = reader.Reader[Manifest]


@dataclass(frozen=True)
class Secret:
    """What only the organiser knows: the number that the rows' order is drawn from, and the commitment's salt."""

    number: int
    salt: bytes

    @classmethod
    def draw(cls) -> "Secret":
        """Draw a new secret from the system's randomness."""
        return cls(int.from_bytes(os.urandom(32), "big"), os.urandom(SALT_BYTES))

    @classmethod
    def of(cls, number: int) -> "Secret":
        """Derive the secret from a number, so that a sealing can be reproduced."""
        return cls(number, hashlib.sha256(f"poisonkit seal {number}".encode()).digest())

    def order(self, part: str, count: int, left: np.ndarray = NO_ROWS) -> np.ndarray:
        """Row of the original that each sealed row is, int64; `count` are the original's, without those `left` out."""
        rows = np.delete(np.arange(count), left)
        return rows[random_streams.permutation(self.number, f"seal/{part}", len(rows))]


def parse_share(text: str) -> Fraction:
    """Parse a share of the clean class sizes, above 0 and up to 1, as a decimal (``0.98``) or in percent (``98%``)."""
    share = Fraction(recipe.parse_rate(text, "--even-share"))
    if not share:
        raise Usage("--even-share: 0 leaves no row")
    return share


@dataclass(frozen=True)
class SealRequest:
    """How to seal: `secret`; where the challenge and the key go (a folder, or a name in .h5; None: beside the file, and
    the folder for keys); whether to even the labels out, and to which share of the clean sizes (None: the largest)."""

    secret: Secret
    output: Path | None = None
    key: Path | None = None
    even_labels: bool = False
    even_share: Fraction | None = None
    force: bool = False


def answer(challenge: Table, original: str, rows: np.ndarray, role: np.ndarray, labels: np.ndarray) -> Json:
    """Collect what is committed to: which rows of the sealed file were changed, how, and their labels before.

    `challenge` is the table of the sealed file's arrays, `original` the dataset digest of the file that was sealed. The
    digests in it tie the answer to these very images, recipe and trigger.
    """
    order = np.argsort(rows)
    columns = {"rows": rows, "role": role, "labels": labels}
    return {
        "challenge": {path: entry.digest for path, entry in challenge.items()},
        "original": original,
    } | {name: values[order].tolist() for name, values in columns.items()}


def commit(salt: bytes, committed: Json) -> str:
    """Compute the SHA-256 of the salt and the answer's canonical JSON."""
    return hashing.sha256(salt + hashing.canonical(committed))


def inverse(order: np.ndarray, count: int) -> np.ndarray:
    """Invert an order: the sealed row that each of the original's rows became, (count,) int64; −1 where left out."""
    positions = np.full(count, -1)
    positions[order] = np.arange(len(order))
    return positions


@dataclass(frozen=True)
class LeftOut:
    """Rows of the original that the challenge is without, ascending, (L,) int64; `share` of the clean class sizes is
    what remains, None where no labels were evened out."""

    rows: np.ndarray
    share: Fraction | None = None


@dataclass(frozen=True)
class Sealed:
    """What `seal` wrote; `seed` is that of the camouflage, if there is one, `left` what was left out to even the
    labels, None where that was not asked for."""

    challenge: Path
    key: Path
    manifest: SealedManifest
    title: str
    seed: int | None
    left: LeftOut | None = None


def seal(path: Path, request: SealRequest, progress=None) -> Sealed:
    """Seal a data set: write the challenge and its key.

    The key gets its name first, so that no challenge is ever without. Raises `Failure` where the file does not verify,
    the target or the key exists, or the disk fails; `Usage` where the challenge would replace its original, or labels
    cannot be evened out.
    """
    _forget_camouflaged()
    errors = verify.verify(path)
    if errors:
        raise Failure(f"{path}: does not verify, so its key could not restore it: {errors[0]}")
    with reader.reading(path) as data:
        supported.demand(path, data.manifest, "so its key might not restore it")
        secret, left = request.secret, _left_out(data, request)
        original = data.manifest
        orders = {part: secret.order(part, original.rows(f"{part}/labels"), left[part].rows) for part in PARTS}
        counts = Counts(len(orders["train"]), len(orders["test"]))
        table = _table(data, orders, progress)
        rows, role, labels = _answer_rows(data, orders)
        commitment = commit(secret.salt, answer(table, original.dataset_digest, rows, role, labels))
        name = f"challenge-{commitment.removeprefix('sha256:')[:8]}"
        output = request.output
        target = output if output and output.suffix == ".h5" else (output or path.parent) / f"{name}.h5"
        key = keys.target(name, request.key)
        _check_free(path, target, key, request.force)
        files.check_space(target, 2 * path.stat().st_size)
        keys.make_folder(key)
        with _key_of(target, key), writing(target, new=not request.force) as writer:
            _write_rows(data, orders, writer, progress)
            sealed = writer.finish(SealedManifest.draft(original, name, commitment, counts))
            if sealed.arrays != table:
                raise Failure(f"{path}: changed while it was read")
            _write_key(path, data, key, sealed, secret, left["train"], new=not request.force)
        os.utime(target, (LONG_AGO, LONG_AGO))
    seed, evened = original.source.camouflage_seed, left["train"] if request.even_labels else None
    return Sealed(target, key, sealed, original.source.title, seed, evened)


@contextlib.contextmanager
def _key_of(target: Path, key: Path):
    """Remove the key again where another process has taken the challenge's name meanwhile."""
    try:
        yield
    except files.Taken as error:
        if error.target == target:
            key.unlink(missing_ok=True)
        raise


def _forget_camouflaged() -> None:
    """Earlier versions kept camouflaged images in the cache: with them, and the number that made them, anybody finds
    the changed rows of what is sealed here."""
    from poisonkit.sources._cache.cache import Cache

    with contextlib.suppress(OSError):
        Cache().forget_camouflaged()


def _left_out(data: Data, request: SealRequest) -> dict[str, LeftOut]:
    """Choose the rows that each part is without: of the test rows, none."""
    left = {part: LeftOut(NO_ROWS) for part in PARTS}
    if request.even_labels:
        rows, labels = (NO_ROWS, NO_ROWS) if data.clean else (data["truth/rows"], data["truth/labels"])
        found = even.left_out(data["train/labels"], rows, labels, request.secret.number, request.even_share)
        left["train"] = LeftOut(*found)
    return left


def _check_free(path: Path, target: Path, key: Path, force: bool) -> None:
    if target.absolute() == key.absolute():
        raise Usage(f"--key: {key} is the challenge itself")
    for option, one in (("-o", target), ("--key", key)):
        files.refuse_link(one)
        if one.exists() and one.resolve() == path.resolve():
            raise Usage(f"{option}: {one} is the data set itself")
        files.refuse_folder(one)
        if one.exists() and not force:
            raise Failure(f"{one}: already exists; choose another {option}, or overwrite it with --force")
    beside = sidecars.sidecar_path(target)  # it would go: a sealed file has none
    if sidecars.check(beside, target) is not None and not force:
        raise Failure(f"{beside}: already exists; choose another -o, or overwrite it with --force")


def _shuffled(data: Data, part: str, order: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of a part in their secret order, in blocks."""
    split = data.split(part)
    rows = ROWS_AT_ONCE
    if not data.modality.is_text:
        rows = max(1, min(rows, splits.BLOCK // int(np.prod(split.shape[1:]))))
    for start in range(0, len(order), rows):
        yield split.rows(order[start : start + rows])


def _table(data: Data, orders: Orders, progress) -> Table:
    """Return the sealed file's table of arrays, path → digest, dtype, shape: the commitment needs it before it is
    written."""
    table, kind = {}, data.modality
    for part, order in orders.items():
        labels = np.ascontiguousarray(data[f"{part}/labels"][order])
        shape = (len(order), *data.manifest.shape(kind.path(part))[1:])
        total = hashing.hasher(kind.dtype, shape)
        for block in _shuffled(data, part, order):
            total.update(block)
            if progress:
                progress(len(block))
        table[kind.path(part)] = ArrayEntry(str(total), kind.dtype, shape)
        table[f"{part}/labels"] = ArrayEntry(hashing.array_digest(labels), "<i8", labels.shape)
    return table


def _answer_rows(data: Data, orders: Orders) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the changed rows by their numbers in the sealed file, their role, their labels before; none of a clean
    file."""
    if data.clean:
        return np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int64)
    positions = inverse(orders["train"], data.manifest.counts.train)
    return positions[data["truth/rows"]], data["truth/role"], data["truth/labels"]


def _write_rows(data: Data, orders: Orders, writer, progress) -> None:
    for part, order in orders.items():
        path, dtype = data.modality.path(part), data.modality.dtype
        column = writer.column(path, dtype, (len(order), *data.manifest.shape(path)[1:]))
        for block in _shuffled(data, part, order):
            column.write(block)
            if progress:
                progress(len(block))
        writer.whole(f"{part}/labels", np.ascontiguousarray(data[f"{part}/labels"][order]))


def _write_key(
    path: Path, data: Data, target: Path, challenge: SealedManifest, secret: Secret, left: LeftOut, new: bool
) -> None:
    """Write the key: what the original has and the sealed file does not, and the secrets."""
    with writing(target, sidecar=False, new=new, mode=keys.MODE) as writer:
        for name in data.manifest.arrays:
            if kept_in_key(name, data.manifest.json):
                writer.whole(name, data[name])
        if len(left.rows):
            writer.whole("left/rows", left.rows)
            writer.whole("left/labels", data["train/labels"][left.rows])
            writer.whole(data.modality.path("left"), data.pick(data.modality.path("train"), left.rows))
        writer.finish(
            KeyManifest.draft(
                data.manifest,
                sidecars.record_of(path),
                challenge,
                salt=secret.salt.hex(),
                secret=str(secret.number),
                sidecar=sidecars.more(path),
                even_labels=None if left.share is None else f"{left.share.numerator}/{left.share.denominator}",
            )
        )


def advice(done: Sealed) -> list[str]:
    """List what the organiser should know about what was sealed."""
    name, how, lines = done.title.split(":")[0], "try `poisonkit audit`, and read docs/sealing.md", []
    if done.left is not None and done.left.share is not None:
        share, count = float(done.left.share), len(done.left.rows)
        lines.append(
            f"labels evened out to {share:.4f} of the clean class sizes: {numbers.counted(count, 'row')} left out, "
            "kept in the key"
        )
    if done.manifest.modality.is_text:
        return [*lines, f"note: whoever has {name} can find every changed row by comparing: {how}"]
    if done.seed is None:
        return [
            *lines,
            f"note: whoever has {name} can find every changed row by comparing; `make --camouflage` prevents the exact"
            f" join, but not a near one: {how}",
        ]
    lines.append(
        f"note: a near join may still find many images of {name}, and with them what was changed; `poisonkit audit` "
        "measures it (docs/sealing.md)"
    )
    if done.seed < GUESSABLE:
        lines.append("note: the camouflage's seed is short enough to be guessed: use one of 18 digits")
    return lines
