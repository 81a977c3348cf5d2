"""Blind exercises: a data set without its answer, and the key that gives the answer, and the original file, back.

The sealed file holds `train/` and `test/` in a secret order and a salted commitment to the answer; the key holds the
rest. What that keeps secret and what it cannot is docs/sealing.md.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit import manifest, sampling, store, verify
from poisonkit.errors import Failure, Usage
from poisonkit.guard import kept_in_key
from poisonkit.modality import IMAGE

ROWS_AT_ONCE = 2048
LONG_AGO = 946_684_800  # 2000-01-01: the time of change that every sealed file says
KEY = ".key.h5"
SALT_BYTES = 32
GUESSABLE = 1 << 40  # seeds of a camouflage below this can be tried out
PARTS = ("train", "test")

NOTICE = (
    "A sealed data set for a blind exercise in finding manipulated training data. None, some or many training rows "
    "may have been changed on purpose{altered}; which, is in a key that its organiser holds "
    "(see commitment). Do not train anything on it that will be put to use."
)
ALTERED = {"image": ", and all images altered slightly", "text": ""}
KEY_NOTICE = (
    "The key of a sealed data set: the answer of a blind exercise, and all that gives the original poisoned data set "
    "back. Keep it from whoever takes part."
)


@dataclass(frozen=True)
class Secret:
    """What only the organiser knows: the number that the rows' order is drawn from, and the commitment's salt."""

    number: int
    salt: bytes

    @classmethod
    def draw(cls) -> "Secret":
        """A new one, from the system's own randomness."""
        return cls(int.from_bytes(os.urandom(32), "big"), os.urandom(SALT_BYTES))

    @classmethod
    def of(cls, number: int) -> "Secret":
        """The one that follows from a number, so that a sealing can be repeated."""
        return cls(number, hashlib.sha256(f"poisonkit seal {number}".encode()).digest())

    def order(self, part: str, count: int) -> np.ndarray:
        """Row of the original that each sealed row is, (count,) int64."""
        return sampling.permutation(self.number, f"seal/{part}", count)


def key_path(challenge: Path) -> Path:
    """`NAME.key.h5` beside `NAME.h5`."""
    return challenge.with_name(challenge.name.removesuffix(".h5") + KEY)


def answer(challenge: dict, original: str, rows: np.ndarray, role: np.ndarray, labels: np.ndarray) -> dict:
    """What is committed to: which rows of the sealed file were changed, how, and their labels before.

    `challenge` is the table of the sealed file's arrays, `original` the dataset digest of the file that was sealed. The
    digests in it tie the answer to these very images, recipe and trigger.
    """
    order = np.argsort(rows)
    columns = {"rows": rows, "role": role, "labels": labels}
    return {
        "challenge": {path: entry["digest"] for path, entry in challenge.items()},
        "original": original,
    } | {name: values[order].tolist() for name, values in columns.items()}


def commit(salt: bytes, said: dict) -> str:
    """SHA-256 of the salt and the answer's canonical JSON."""
    return manifest.sha256(salt + manifest.canonical(said))


def places(order: np.ndarray) -> np.ndarray:
    """Where each original row went: the inverse of a permutation, (n,) int64."""
    there = np.empty_like(order)
    there[order] = np.arange(len(order))
    return there


@dataclass(frozen=True)
class Sealed:
    """What `seal` wrote; `seed` is that of the camouflage, if there is one."""

    challenge: Path
    key: Path
    manifest: dict
    title: str
    seed: int | None


def seal(path: Path, output: Path | None, secret: Secret, force: bool = False, progress=None) -> Sealed:
    """Seal a data set: write the challenge and its key. `output` is a folder or the challenge's own name in .h5.

    The key gets its name first, so that no challenge is ever without. Raises `Failure` where the file does not verify,
    something lies in the way, or the disk fails; `Usage` where the challenge would replace its original.
    """
    wrong = verify.verify(path)
    if wrong:
        raise Failure(f"{path}: does not verify, so its key could not give it back: {wrong[0]}")
    with store.reading(path) as data:
        orders = {part: secret.order(part, data.manifest["counts"][part]) for part in PARTS}
        table = _table(data, orders, progress)
        rows, role, labels = _answer_rows(data, orders)
        commitment = commit(secret.salt, answer(table, data.manifest["dataset_digest"], rows, role, labels))
        name = f"challenge-{commitment.removeprefix('sha256:')[:8]}"
        target = output if output and output.suffix == ".h5" else (output or path.parent) / f"{name}.h5"
        _check_free(path, target, force)
        store.check_space(target, 2 * path.stat().st_size)
        with store.writing(target) as writer:
            _write_rows(data, orders, writer, progress)
            facts = writer.finish(_facts(data.manifest, name, commitment))
            if facts["arrays"] != table:
                raise Failure(f"{path}: changed while it was read")
            _write_key(path, data, key_path(target), facts, secret)
        os.utime(target, (LONG_AGO, LONG_AGO))
        source = data.manifest["source"]
    return Sealed(target, key_path(target), facts, source["title"], source["options"].get("camouflage-seed"))


def _check_free(path: Path, target: Path, force: bool) -> None:
    for one in (target, key_path(target)):
        if one.exists() and one.resolve() == path.resolve():
            raise Usage(f"-o: {one} is the data set itself")
        store.refuse_folder(one)
        if one.exists() and not force:
            raise Failure(f"{one}: lies there already: -o elsewhere, or --force")


def _shuffled(data, part: str, order: np.ndarray):
    """The rows of a part in their secret order, in blocks."""
    split = data.split(part)
    rows = ROWS_AT_ONCE
    if data.modality == IMAGE:
        rows = max(1, min(rows, store.BLOCK // int(np.prod(split.shape[1:]))))
    for start in range(0, len(order), rows):
        yield split.rows(order[start : start + rows])


def _table(data, orders: dict, progress) -> dict:
    """The sealed file's table of arrays, path → digest, dtype, shape: the commitment needs it before it is written."""
    table, kind = {}, data.modality
    for part, order in orders.items():
        labels = np.ascontiguousarray(data[f"{part}/labels"][order])
        shape = data.manifest["arrays"][kind.path(part)]["shape"]
        total = manifest.hasher(kind.dtype, shape)
        for block in _shuffled(data, part, order):
            total.update(block)
            if progress:
                progress(len(block))
        table[kind.path(part)] = {"digest": str(total), "dtype": kind.dtype, "shape": shape}
        table[f"{part}/labels"] = {"digest": manifest.array_digest(labels), "dtype": "<i8", "shape": [len(labels)]}
    return table


def _answer_rows(data, orders: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The changed rows by their numbers in the sealed file, their role, their labels before; none of a clean file."""
    if data.clean:
        return np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int64)
    return places(orders["train"])[data["truth/rows"]], data["truth/role"], data["truth/labels"]


def _write_rows(data, orders: dict, writer, progress) -> None:
    for part, order in orders.items():
        path, dtype = data.modality.path(part), data.modality.dtype
        column = writer.column(path, dtype, tuple(data.manifest["arrays"][path]["shape"]))
        for block in _shuffled(data, part, order):
            column.write(block)
            if progress:
                progress(len(block))
        writer.whole(f"{part}/labels", np.ascontiguousarray(data[f"{part}/labels"][order]))


def _facts(original: dict, name: str, commitment: str) -> dict:
    """The sealed file's manifest: of the source what training and its licence ask for, and nothing that was done."""
    source = {key: original["source"][key] for key in ("title", "licence", "url", "classes")}
    return {
        "format": manifest.FORMAT,
        "format_version": manifest.FORMAT_VERSION,
        "modality": original["modality"],
        "kind": "sealed",
        "name": name,
        "notice": NOTICE.format(altered=ALTERED[original["modality"]]),
        "commitment": commitment,
        "source": source | {"name": original["source"]["name"]},
        "counts": {part: original["counts"][part] for part in PARTS},
    }


def _write_key(path: Path, data, target: Path, challenge: dict, secret: Secret) -> None:
    original = data.manifest
    with store.writing(target, sidecar=False) as writer:
        for name in original["arrays"]:
            if kept_in_key(name):
                writer.whole(name, data[name])
        writer.finish(
            {
                "format": manifest.FORMAT,
                "format_version": manifest.FORMAT_VERSION,
                "modality": original["modality"],
                "kind": "key",
                "name": challenge["name"],
                "notice": KEY_NOTICE,
                "challenge": challenge["dataset_digest"],
                "commitment": challenge["commitment"],
                "salt": secret.salt.hex(),
                "secret": str(secret.number),
                "file": {"size": path.stat().st_size, "sha256": store.file_sha256(path)},
                "sidecar": _sidecar(path),
                "of": original,
            }
        )


def _sidecar(path: Path) -> dict | None:
    """What the original's sidecar says beside manifest and file, which `unseal` finds out itself."""
    beside = store.sidecar_path(path)
    if not beside.exists():
        return None
    try:
        said = json.loads(beside.read_text(encoding="utf-8"), parse_float=str)
        return {key: value for key, value in said.items() if key not in ("manifest", "file")}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise Failure(f"{beside}: is no sidecar ({error})") from None


def advice(done: Sealed) -> list[str]:
    """What the organiser should know of what was just sealed."""
    name, how = done.title.split(":")[0], "try `poisonkit audit`, and read docs/sealing.md"
    if done.manifest["modality"] == "text":
        return [f"note: whoever holds {name} finds every changed row by comparing: {how}"]
    if done.seed is None:
        return [
            f"note: whoever holds {name} finds every changed row by comparing; `make --camouflage` ends the exact join,"
            f" not a near one: {how}"
        ]
    lines = [f"note: a near join still finds most images of {name}, and with them what was changed: {how}"]
    if done.seed < GUESSABLE:
        lines.append(f"note: the camouflage's seed, {done.seed}, can be guessed: one of 18 digits cannot")
    return lines
