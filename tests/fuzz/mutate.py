"""Damage to files, by chance but repeatable: bytes, lengths, offsets, JSON values, arrays under mended digests."""

import json
import struct
from pathlib import Path
from random import Random

import damage
import h5py
import numpy as np

HEAD = 4096
"""Most of an HDF5 file's structure lies at its beginning and its end."""

NUMBERS = (0, 1, 2, 3, 7, 127, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
VALUES = (
    None, True, False, 0, -1, 1, 43, 2**31, 2**40, 2**63, 10**30, "", "x", "0.5", "-1", "1e9", "../../x",
    "/etc/passwd", "\u202e\x1b[2J", "a" * 5000, [], {}, [[]], [0], [2**40, 32, 32, 3], {"name": "square"},
    "sha256:" + 64 * "0", "\ud800",
)  # fmt: skip

TEXTS = (b"", b" ", b" x", b"x", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J\x07", b"cf", b"x " * 3000, b"y" * (3 << 20))


def _place(random: Random, size: int) -> int:
    """A byte position, more often near the ends."""
    kind = random.random()
    if kind < 0.6:
        return random.randrange(min(size, HEAD))
    return size - 1 - random.randrange(min(size, HEAD)) if kind < 0.8 else random.randrange(size)


def bytes_of(random: Random, data: bytes, other: bytes) -> bytes:
    """Some bytes flipped, cut, doubled, zeroed, exchanged with those of another file, or made a large number."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        at, kind = _place(random, len(changed)), random.randrange(8)
        length = random.choice((1, 2, 4, 8, 64, 512))
        if kind == 0:
            changed[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            changed[at] = random.randrange(256)
        elif kind == 2:
            changed[at : at + length] = bytes(len(changed[at : at + length]))
        elif kind == 3:
            changed[at : at + 8] = struct.pack("<Q", random.choice(NUMBERS))[: len(changed[at : at + 8])]
        elif kind == 4:
            changed[at : at + length] = b""
        elif kind == 5:
            changed[at:at] = changed[at : at + length]
        elif kind == 6:
            start = _place(random, len(other))
            changed[at : at + length] = other[start : start + length]
        else:
            del changed[max(at, 1) :]
        if not changed:
            return b""
    return bytes(changed)


def json_of(random: Random, value):
    """One to three values of a JSON tree replaced, removed, or put under another name."""
    for _ in range(random.choice((1, 1, 2, 3))):
        places = list(damage.paths(value))
        if not places:
            return value
        place = random.choice(places)
        value = damage.changed(value, place, random.choice((*VALUES, ...)))
    return value


def manifest_of(random: Random, path: Path) -> None:
    """Change a file's manifest in place; mostly with a right digest, so that what reads it gets further."""
    facts = json_of(random, damage.manifest(path))
    text = damage.canonical(facts)
    if isinstance(facts, dict) and random.random() < 0.8:
        facts = {**facts, "of": damage.sealed(facts["of"])} if isinstance(facts.get("of"), dict) else facts
        text = damage.canonical(damage.sealed(facts))
    if random.random() < 0.1:
        text = bytes_of(random, text.encode("utf-8", "replace"), b"{}[]\\u0000").decode("utf-8", "replace")
    damage.write_manifest(path, text.replace("\x00", "?"))


def arrays_of(random: Random, path: Path) -> None:
    """Change arrays in place, values or whole, under digests that fit again."""
    with h5py.File(path, "r+") as file:
        names = []
        file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        for name in random.sample(names, min(len(names), random.choice((1, 1, 2)))):
            array = file[name][()]
            kind = random.randrange(4)
            if kind < 2 and array.size:
                flat = array.reshape(-1)
                for _ in range(random.choice((1, 5))):
                    number = random.choice((-1, 0, 1, 255, 2**31 - 1, -(2**31), 2**40, 2**63 - 1))
                    value = random.choice(TEXTS) if array.dtype == object else np.array([number]).astype(array.dtype)[0]
                    flat[random.randrange(array.size)] = value
                file[name][...] = array
            else:
                del file[name]
                half = array[: len(array) // 2] if kind == 2 else array[..., :1]
                file.create_dataset(name, data=half, dtype=h5py.string_dtype() if array.dtype == object else None)
    damage.reseal(path)


def json_file(random: Random, path: Path) -> None:
    """Change a JSON file in place, as text or as values."""
    if random.random() < 0.4:
        path.write_bytes(bytes_of(random, path.read_bytes(), b'{"manifest": [1e400, NaN, "\\ud800"]}'))
        return
    said = json_of(random, json.loads(path.read_text("utf-8")))
    if isinstance(said, dict) and isinstance(said.get("manifest"), dict) and random.random() < 0.8:
        said["manifest"] = damage.sealed(said["manifest"])
    path.write_text(json.dumps(said), "utf-8")


def any_file(random: Random, path: Path, other: Path) -> None:
    """Change a file in place in one of these ways."""
    kind = random.random()
    if path.suffix == ".json" and kind < 0.9:
        json_file(random, path)
    elif path.suffix == ".h5" and kind < 0.35:
        manifest_of(random, path)
    elif path.suffix == ".h5" and kind < 0.6:
        arrays_of(random, path)
    else:
        path.write_bytes(bytes_of(random, path.read_bytes(), other.read_bytes()))
