"""Imagenette, ten classes of ImageNet that are easily told apart: fast.ai's archives (160, 320 pixels, full size), or
the folders that these unpack to.

    imagenette2-160/train/CLASS/*.JPEG   9,469 pictures
    imagenette2-160/val/CLASS/*.JPEG     3,925 pictures, which become the test set

Pictures have many shapes: the whole of each becomes a square of `--size` pixels (160). Classes are in the order of
their WordNet numbers; rows are ordered by class and file name.
"""

import functools
import re
from pathlib import Path
from typing import Any

from poisonkit.core import texts
from poisonkit.core.errors import Failure
from poisonkit.core.modality import IMAGE
from poisonkit.sources import base
from poisonkit.sources._fetch import archive, file_tree
from poisonkit.sources.image import _photographs

CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
COUNTS = (9_469, 3_925)
SIDE = 160
MIRROR = "POISONKIT_IMAGENETTE_URL"
_HOST = "https://s3.amazonaws.com/fast-ai-imageclas/"
ARCHIVES = tuple(  # MD5 as torchvision publishes them; fast.ai states none
    archive.Archive(name, _HOST + name, None, md5)
    for name, md5 in (
        ("imagenette2-160.tgz", "e793b78cc4c9e9a4ccc0c1155377a412"),
        ("imagenette2-320.tgz", "3df6f0d01a2c9592104656642f5e78a3"),
        ("imagenette2.tgz", "fe2fc210e6bb7c5664d602c3cd71e612"),
    )
)
DOWNLOADED = ARCHIVES[0]
PARTS = {"train": "train", "val": "test"}
PLACE = re.compile(r"(.*/)?(train|val)/(n[0-9]{8})/[^/]+", re.DOTALL)
LAYOUT = "train/CLASS/*.JPEG and val/CLASS/*.JPEG, with classes such as n01440764"


def locate(path: Path | None, options: base.Options) -> base.Origin:
    """Find what is at `path`: an archive, the folder that it unpacks to, or one that holds either."""
    path = base.required(path, "imagenette", f"PATH: {DOWNLOADED.name}, or the folder that it unpacks to")
    side = options.get("size", SIDE)
    if not path.exists():
        raise Failure(f"{path} does not exist: expected {DOWNLOADED.name}, or the folder that it unpacks to")
    packed = [path / known.name for known in ARCHIVES if (path / known.name).is_file()] if path.is_dir() else [path]
    tree = None if path.is_file() else file_tree.Folder(path)
    if tree is not None and any(PLACE.fullmatch(name) for name in tree.names):
        return _photographs.in_folder(tree, functools.partial(_decode, side), options)
    if not packed:
        raise Failure(
            f"{path} is not a folder of Imagenette: expected {LAYOUT}, or an archive such as {DOWNLOADED.name}"
        )
    if len(packed) > 1:
        names = " and ".join(one.name for one in packed)
        raise Failure(f"{path} holds {names}: name one of them")
    opened, decode = functools.partial(file_tree.Tar, packed[0]), functools.partial(_decode, side)
    return _photographs.in_archive(packed[0], opened, ARCHIVES, decode, options)


def fetch(folder: Path, context: base.SourceContext) -> Path:
    """Download the archive of 160 pixels into a folder; its path."""
    from poisonkit.sources._fetch import download

    return download.fetch(DOWNLOADED, folder, MIRROR, context)


def _decode(side: int, tree: Any, writer: Any, context: base.SourceContext) -> str:
    """Write both parts; in what the counts differ from the published ones, "" if they do not."""
    numbers = list(CLASSES)
    found: dict[str, list[tuple[int, str]]] = {part: [] for part in PARTS.values()}
    roots = set()
    for name in tree.names:
        match = PLACE.fullmatch(name)
        if match is None or not name.lower().endswith(_photographs.SUFFIXES):
            continue
        if match[3] not in CLASSES:
            raise Failure(f"{tree.where(name)}: the class {match[3]} is none of Imagenette's: {', '.join(CLASSES)}")
        roots.add(match[1] or "")
        found[PARTS[match[2]]].append((numbers.index(match[3]), name))
    if len(roots) > 1:
        some = " and ".join(texts.printable(root) for root in sorted(roots)[:2])
        raise Failure(f"{tree.path} holds several copies ({some}): name one of them")
    for folder, part in PARTS.items():
        if not found[part]:
            raise Failure(f"{tree.path} has no pictures in {folder}: expected {LAYOUT}")
    parts = {part: _photographs.Rows.of(rows) for part, rows in found.items()}
    _photographs.write(tree, parts, side, writer, context, "Imagenette")
    train, test = (len(found[part]) for part in ("train", "test"))
    if (train, test) == COUNTS:
        return ""
    return f"it has {train:,} + {test:,} pictures, the published set has {COUNTS[0]:,} + {COUNTS[1]:,}"


SPEC = base.SourceSpec(
    name="imagenette",
    aliases=("imagenette2", "imagenette2-160"),
    title="Imagenette: 13,394 photographs of ImageNet in ten classes",
    licence="Apache 2.0 (the selection); photographs of ImageNet, for non-commercial research and education",
    url="https://github.com/fastai/imagenette",
    how="downloaded on first use (99 MB, 160 pixels), or read from --source: an archive (160, 320 or full) or the "
    "folder that it unpacks to; --size N makes squares of N pixels of it",
    modality=IMAGE,
    classes=tuple(CLASSES.values()),
    counts=COUNTS,
    shape=(SIDE, SIDE, 3),
    options={"size": SIDE},
    parsers={"size": _photographs.parse_size},
    archives=ARCHIVES,
    mirror=MIRROR,
    locate=locate,
    fetch=fetch,
)
