"""CIFAR-100: its binary and its python version, as archive or folder, with its 100 fine or its 20 coarse labels."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from poisonkit.core import file_states, files, naming
from poisonkit.core.errors import Failure
from poisonkit.core.modality import IMAGE
from poisonkit.sources import base
from poisonkit.sources._fetch import archive, plain_pickle
from poisonkit.sources.image import _cifar

_FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper
snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_COARSE = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees
vehicles_1 vehicles_2
"""
FINE, COARSE = tuple(_FINE.split()), tuple(_COARSE.split())
COUNTS = (50_000, 10_000)
SHAPE = (32, 32, 3)
MIRROR = "POISONKIT_CIFAR100_URL"
ARCHIVES = (
    archive.Archive(
        "cifar-100-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        168_513_733,
        "03b5dce01913d631647c71ecec9e9cb8",
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",  # as MLDatasets.jl publishes it
    ),
    archive.Archive(
        "cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        169_001_437,
        "eb9058c3a382ffc7106e4002c42a8d85",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",  # as Keras publishes it
    ),
)
DOWNLOADED = ARCHIVES[0]  # the binary version: nothing in it needs a pickle
FOLDERS = ("", "cifar-100-binary", "cifar-100-python")
# MD5 of the python version's files, as published with torchvision; none are published for the binary version's.
FILE_MD5 = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
ROWS = dict(zip(("train", "test"), COUNTS, strict=True))
LABELS = ("fine", "coarse")
LARGEST_PICKLE = 2 * plain_pickle.LARGEST  # bytes: the training part lies in one of 155 MB

Parts = Iterable[tuple[str, str, bytes]]
"""(part, suffix, content) of the files."""


def parse_labels(value: Any) -> str:
    """Return which labels are taken: fine or coarse."""
    found = naming.understood(str(value), LABELS)
    if found is None:
        raise ValueError("fine or coarse")
    return found


def locate(path: Path | None, options: base.Options) -> base.Origin:
    """Find what is at `path`: an archive, the folder that it unpacks to, or one that holds either."""
    path = base.required(path, "cifar100", "PATH: an archive, or the folder of its files")
    coarse = options.get("labels", LABELS[0]) == "coarse"
    if path.is_file():
        return _archive_origin(path, coarse, options)
    if not path.exists():
        raise Failure(f"{path} does not exist: expected {ARCHIVES[0].name} or the folder of its files")
    for folder in (path / name for name in FOLDERS):
        for suffix in (".bin", ""):
            if any((folder / f"{part}{suffix}").is_file() for part in ROWS):
                return _folder_origin(folder, suffix, coarse, options)
    for known in ARCHIVES:
        if (path / known.name).is_file():
            return _archive_origin(path / known.name, coarse, options)
    raise Failure(
        f"{path} is not a CIFAR-100 folder: expected train.bin and test.bin, or train and test, or an archive"
    )


def fetch(folder: Path, context: base.SourceContext) -> Path:
    """Download the binary version into a folder; the archive's path."""
    from poisonkit.sources._fetch import download

    return download.fetch(DOWNLOADED, folder, MIRROR, context)


def _archive_origin(path: Path, coarse: bool, options: base.Options) -> base.Origin:
    def decode(writer: Any, context: base.SourceContext) -> dict[str, Any]:
        record = archive.file_record(path, ARCHIVES, context, archive.SMALL)
        _write(writer, _archive_parts(path), path, coarse, context)
        return {"kind": "archive", "path": files.path_text(path), **record}

    return base.Origin({"archive": file_states.fingerprint([path]), "options": options}, decode, options)


def _archive_parts(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield the files of an archive. The first one tells which version it is."""
    sizes = {f"{part}.bin": rows * (2 + _cifar.PIXELS) for part, rows in ROWS.items()}
    suffix = None
    for name, data in archive.tar_members(path, sizes | dict.fromkeys(ROWS, LARGEST_PICKLE), archive.SMALL):
        part = name.removesuffix(".bin")
        suffix = name[len(part) :] if suffix is None else suffix
        if name == part + suffix:
            yield part, suffix, data


def _folder_origin(folder: Path, suffix: str, coarse: bool, options: base.Options) -> base.Origin:
    paths = {part: folder / f"{part}{suffix}" for part in ROWS}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise Failure(f"{folder}: {' and '.join(missing)} is missing; expected train{suffix} and test{suffix}")

    def decode(writer: Any, context: base.SourceContext) -> dict[str, Any]:
        verdicts: list[bool] = []
        _write(writer, _folder_parts(paths, suffix, verdicts), folder, coarse, context)
        return {"kind": "folder", "path": files.path_text(folder), "official": None if suffix else all(verdicts)}

    return base.Origin({"folder": file_states.fingerprint(paths.values()), "options": options}, decode, options)


def _folder_parts(paths: dict[str, Path], suffix: str, verdicts: list[bool]) -> Iterator[tuple[str, str, bytes]]:
    for part, path in paths.items():
        if path.stat().st_size > LARGEST_PICKLE:
            raise Failure(f"{path} is too large for a file of CIFAR-100")
        data = path.read_bytes()
        if not suffix:
            verdicts.append(hashlib.md5(data, usedforsecurity=False).hexdigest() == FILE_MD5[part])
        yield part, suffix, data


def _write(writer: Any, parts: Parts, where: Path, coarse: bool, context: base.SourceContext) -> None:
    """Write both parts, in whatever order they come."""
    writer.classes = COARSE if coarse else ()
    missing = list(ROWS)
    with context.progress(sum(ROWS.values()), "decoding CIFAR-100", "image") as bar:
        for part, suffix, data in parts:
            if part not in missing:
                raise Failure(f"{where}: {part}{suffix} occurs twice")
            missing.remove(part)
            read = _binary if suffix else _pickle
            labels, rows = read(data, ROWS[part], coarse, os.path.join(where, part + suffix))
            with writer.part(part, labels.astype(np.int64), SHAPE) as target:
                for start in range(0, len(rows), 2048):
                    target.write(start, _cifar.pictures(rows[start : start + 2048]))
                    bar.update(len(rows[start : start + 2048]))
    if missing:
        raise Failure(
            f"{where}: {' and '.join(missing)} is missing: expected train.bin and test.bin, or train and test"
        )


def _binary(data: bytes, count: int, coarse: bool, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (count,) uint8 and planes (count, 3072) uint8 of a file of the binary version."""
    if len(data) != count * (2 + _cifar.PIXELS):
        raise Failure(
            f"{where}: expected {count} rows of {2 + _cifar.PIXELS} bytes, got {len(data)} bytes (truncated?)"
        )
    rows = np.frombuffer(data, np.uint8).reshape(count, 2 + _cifar.PIXELS)
    both = [_cifar.checked(rows[:, i], len(names), where) for i, names in enumerate((COARSE, FINE))]
    return both[0 if coarse else 1], rows[:, 2:]


def _pickle(data: bytes, count: int, coarse: bool, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Parse a file of the python version, which is a pickle, like `_binary`."""
    batch = _cifar.dictionary(data, where, LARGEST_PICKLE)
    key, names = ("coarse_labels", COARSE) if coarse else ("fine_labels", FINE)
    labels = _cifar.labels(batch, key, count, where)
    return _cifar.checked(labels, len(names), where), _cifar.planes(batch, count, where)


SPEC = base.SourceSpec(
    name="cifar100",
    title="CIFAR-100: 60,000 small photographs in a hundred classes, or twenty superclasses",
    licence="no licence published; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    url="https://www.cs.toronto.edu/~kriz/cifar.html",
    how="downloaded on first use (169 MB), or read from --source: an archive or its folder, binary or python version; "
    "--source-option labels=coarse takes the 20 superclasses",
    modality=IMAGE,
    classes=FINE,
    counts=COUNTS,
    shape=SHAPE,
    options={"labels": LABELS[0]},
    parsers={"labels": parse_labels},
    text_options=True,
    archives=ARCHIVES,
    mirror=MIRROR,
    locate=locate,
    fetch=fetch,
)
