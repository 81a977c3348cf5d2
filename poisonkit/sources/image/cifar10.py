"""CIFAR-10: its binary and its python version, as archive or folder."""

import hashlib
import os
from pathlib import Path

import numpy as np

from poisonkit.core import file_states, files
from poisonkit.core.errors import Failure
from poisonkit.core.modality import IMAGE
from poisonkit.sources import base
from poisonkit.sources._fetch import archive, plain_pickle
from poisonkit.sources.image import _cifar

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = (50_000, 10_000)
SHAPE = (32, 32, 3)
MIRROR = "POISONKIT_CIFAR10_URL"
ARCHIVES = (
    archive.Archive(
        "cifar-10-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        170_052_171,
        "c32a1d4ab5d03f1284b67883e8d87530",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
    archive.Archive(
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        170_498_071,
        "c58f30108f718f92721af3b95e74349a",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
)
DOWNLOADED = ARCHIVES[:1]  # the binary version: nothing in it needs a pickle

ROWS = 10_000  # in a batch
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
FOLDERS = ("", "cifar-10-batches-bin", "cifar-10-batches-py")
# MD5 of the python version's files, as published with torchvision; none are published for the binary version's.
BATCH_MD5 = dict(
    zip(
        BATCHES,
        (
            "c99cafc152244af753f735de768cd75f",
            "d4bba439e000b95fd0a9bffe97cbabec",
            "54ebc095f3ab1f0389bbae665268c751",
            "634d18415352ddfa80567beed471001a",
            "482c414d41f54cd18b22e5b47cb7c3cb",
            "40351d587109b95175f43aff81a1287e",
        ),
        strict=True,
    )
)


def locate(path: Path | None, options: base.Options) -> base.Origin:
    """Find what is at `path`: an archive, a batches folder, or a folder that holds one of these."""
    path = base.required(path, "cifar10", "PATH: an archive, or a folder of its batches")
    if path.is_file():
        return _archive_origin(path)
    if not path.exists():
        raise Failure(f"{path} does not exist: expected {ARCHIVES[0].name} or a folder of its batches")
    for folder in (path / name for name in FOLDERS):
        for suffix in (".bin", ""):
            if any((folder / f"{name}{suffix}").is_file() for name in BATCHES):
                return _folder_origin(folder, suffix)
    for known in ARCHIVES:
        if (path / known.name).is_file():
            return _archive_origin(path / known.name)
    raise Failure(
        f"{path} is not a CIFAR-10 folder: expected data_batch_1.bin … or data_batch_1 … or {ARCHIVES[0].name}"
    )


def fetch(folder: Path, context: base.SourceContext) -> Path:
    """Download the binary version into a folder; the archive's path."""
    from poisonkit.sources._fetch import download

    return download.fetch(DOWNLOADED[0], folder, MIRROR, context)


def _archive_origin(path: Path) -> base.Origin:
    def decode(writer, context) -> dict:
        record = archive.file_record(path, ARCHIVES, context, archive.SMALL)
        _write(writer, _archive_batches(path), path, context)
        return {"kind": "archive", "path": files.path_text(path), **record}

    return base.Origin({"archive": file_states.fingerprint([path])}, decode)


def _archive_batches(path: Path):
    """(batch, suffix, bytes) of an archive's batches. The first batch tells which version it is."""
    sizes = {f"{name}.bin": ROWS * 3073 for name in BATCHES} | dict.fromkeys(BATCHES, plain_pickle.LARGEST)
    suffix = None
    for name, data in archive.tar_members(path, sizes, archive.SMALL):
        batch = name.removesuffix(".bin")
        suffix = name[len(batch) :] if suffix is None else suffix
        if name == batch + suffix:
            yield batch, suffix, data


def _folder_origin(folder: Path, suffix: str) -> base.Origin:
    paths = [folder / f"{name}{suffix}" for name in BATCHES]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise Failure(f"{folder}: {', '.join(missing)} is missing; expected {', '.join(path.name for path in paths)}")

    def decode(writer, context) -> dict:
        verdicts: list[bool] = []
        _write(writer, _folder_batches(paths, suffix, verdicts), folder, context)
        return {"kind": "folder", "path": files.path_text(folder), "official": None if suffix else all(verdicts)}

    return base.Origin({"folder": file_states.fingerprint(paths)}, decode)


def _folder_batches(paths: list[Path], suffix: str, verdicts: list[bool]):
    for batch, path in zip(BATCHES, paths, strict=True):
        if path.stat().st_size > plain_pickle.LARGEST:
            raise Failure(f"{path} is too large for a CIFAR-10 batch")
        data = path.read_bytes()
        if not suffix:
            verdicts.append(hashlib.md5(data, usedforsecurity=False).hexdigest() == BATCH_MD5[batch])
        yield batch, suffix, data


def _write(writer, batches, where: Path, context: base.SourceContext) -> None:
    """Write batches, in whatever order they come, each to its own place."""
    count = ROWS * (len(BATCHES) - 1)
    labels = {"train": np.zeros(count, np.int64), "test": np.zeros(ROWS, np.int64)}
    missing = list(BATCHES)
    with (
        writer.part("train", labels["train"], SHAPE) as train,
        writer.part("test", labels["test"], SHAPE) as test,
        context.progress(len(BATCHES) * ROWS, "decoding CIFAR-10", "image") as bar,
    ):
        for batch, suffix, data in batches:
            if batch not in missing:
                raise Failure(f"{where}: {batch}{suffix} occurs twice")
            missing.remove(batch)
            row = 0 if batch == "test_batch" else BATCHES.index(batch) * ROWS
            part, name = (test, "test") if batch == "test_batch" else (train, "train")
            classes, images = (parse_binary if suffix else parse_pickle)(data, os.path.join(where, batch + suffix))
            part.labels[row : row + ROWS] = classes
            part.write(row, images)
            bar.update(ROWS)
    if len(missing) == len(BATCHES):
        raise Failure(f"{where} holds no CIFAR-10 batches: expected data_batch_1.bin … or data_batch_1 …")
    if missing:
        raise Failure(f"{where}: {', '.join(missing)} is missing")


def parse_binary(data: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (ROWS,) uint8 and images (ROWS, 32, 32, 3) uint8 of a batch of the binary version."""
    if len(data) != ROWS * 3073:
        raise Failure(f"{where}: expected {ROWS} rows of 3073 bytes, got {len(data)} bytes (truncated?)")
    rows = np.frombuffer(data, np.uint8).reshape(ROWS, 3073)
    return _cifar.checked(rows[:, 0], len(CLASSES), where), _cifar.pictures(rows[:, 1:])


def parse_pickle(data: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Parse a batch of the python version, which is a pickle, like `parse_binary`."""
    batch = _cifar.dictionary(data, where)
    rows, labels = _cifar.planes(batch, ROWS, where), _cifar.labels(batch, "labels", ROWS, where)
    return _cifar.checked(labels, len(CLASSES), where), _cifar.pictures(rows)


SPEC = base.SourceSpec(
    name="cifar10",
    title="CIFAR-10: 60,000 small photographs in ten classes",
    licence="no licence published; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    url="https://www.cs.toronto.edu/~kriz/cifar.html",
    how="downloaded on first use (170 MB), or read from --source: an archive or its folder, binary or python version",
    modality=IMAGE,
    classes=CLASSES,
    counts=COUNTS,
    shape=SHAPE,
    archives=ARCHIVES,
    mirror=MIRROR,
    locate=locate,
    fetch=fetch,
)
