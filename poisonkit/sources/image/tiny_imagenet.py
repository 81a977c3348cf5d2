"""Tiny ImageNet: the zip as Stanford publishes it, or the folder that it unpacks to.

    train/CLASS/images/*.JPEG   500 training pictures of each of 200 classes, 64 x 64
    val/images/*.JPEG           10,000 pictures, which become the test set: the labels of test/ were never published
    val/val_annotations.txt     their classes
    words.txt                   what the classes are called

Classes are in the order of their WordNet numbers (n01443537), as loaders of folders have them; a class's name is the
first one in words.txt that no other class has. Rows are ordered by class and file name.
"""

import functools
import re
from collections import Counter
from pathlib import Path
from typing import Any

from poisonkit.core import texts
from poisonkit.core.errors import Failure
from poisonkit.core.modality import IMAGE
from poisonkit.sources import base
from poisonkit.sources._fetch import archive, file_tree
from poisonkit.sources.image import _photographs

COUNTS = (100_000, 10_000)
CLASSES = 200
SIDE = 64
MIRROR = "POISONKIT_TINY_IMAGENET_URL"
ARCHIVES = (
    archive.Archive(
        "tiny-imagenet-200.zip",
        "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
        248_100_043,
        "90528d7ca1a48142e341f4ef8d21d0de",  # as Avalanche publishes it; Stanford states none
    ),
)
NUMBER = re.compile(r"n[0-9]{8}")
LAYOUT = "train/CLASS/images/*.JPEG, val/val_annotations.txt, val/images/*.JPEG and words.txt"


def locate(path: Path | None, options: base.Options) -> base.Origin:
    """Find what is at `path`: the zip, the folder that it unpacks to, or one that holds either."""
    path = base.required(path, "tiny-imagenet", f"PATH: {ARCHIVES[0].name}, or the folder that it unpacks to")
    side = options.get("size", SIDE)
    if not path.exists():
        raise Failure(f"{path} does not exist: expected {ARCHIVES[0].name}, or the folder that it unpacks to")
    zipped = path / ARCHIVES[0].name if path.is_dir() else path
    if zipped.is_file():
        opened = functools.partial(file_tree.Zips, [zipped])
        return _photographs.in_archive(zipped, opened, ARCHIVES, functools.partial(_decode, side), options)
    return _photographs.in_folder(file_tree.Folder(path), functools.partial(_decode, side), options)


def fetch(folder: Path, context: base.SourceContext) -> Path:
    """Download the zip into a folder; its path."""
    from poisonkit.sources._fetch import download

    return download.fetch(ARCHIVES[0], folder, MIRROR, context)


def _decode(side: int, tree: Any, writer: Any, context: base.SourceContext) -> str:
    """Write both parts; in what the counts differ from the published ones, "" if they do not."""
    root = _root(tree)
    train = _training(tree, root)
    classes = sorted({number for number, _ in train})
    test = _validation(tree, root, classes)
    parts = {
        part: _photographs.Rows.of((classes.index(number), name) for number, name in rows)
        for part, rows in (("train", train), ("test", test))
    }
    writer.classes = _names(_text(tree, f"{root}words.txt"), classes, tree.where(f"{root}words.txt"))
    _photographs.write(tree, parts, side, writer, context, "Tiny ImageNet")
    if (len(train), len(test), len(classes)) == (*COUNTS, CLASSES):
        return ""
    return (
        f"it has {len(train):,} + {len(test):,} pictures of {len(classes)} classes, the published set has "
        f"{COUNTS[0]:,} + {COUNTS[1]:,} of {CLASSES}"
    )


def _root(tree: Any) -> str:
    """Return the folder that everything lies in, as a prefix: the one with val_annotations.txt."""
    found = sorted(name for name in tree.names if f"/{name}".endswith("/val/val_annotations.txt"))
    if len(found) != 1:
        what = "has no val/val_annotations.txt" if not found else "holds the data set several times"
        raise Failure(f"{tree.path} {what}: expected Tiny ImageNet, with {LAYOUT}")
    return str(found[0]).removesuffix("val/val_annotations.txt")


def _training(tree: Any, root: str) -> list[tuple[str, str]]:
    """Return (WordNet number, file) of the training pictures."""
    pattern = re.compile(re.escape(root) + rf"train/({NUMBER.pattern})/images/[^/]+", re.DOTALL)
    found = [(match[1], name) for name in tree.names if _is_picture(name) and (match := pattern.fullmatch(name))]
    if not found:
        raise Failure(f"{tree.path} has no training pictures: expected {LAYOUT}")
    return found


def _validation(tree: Any, root: str, classes: list[str]) -> list[tuple[str, str]]:
    """Return (WordNet number, file) of the pictures that val_annotations.txt lists: all that are there."""
    table, known = f"{root}val/val_annotations.txt", set(classes)
    rows: dict[str, str] = {}
    for line, content in enumerate(_text(tree, table).splitlines(), 1):
        if not content.strip():
            continue
        columns = content.split("\t")
        where = f"{tree.where(table)}, line {line}"
        if len(columns) < 2 or not NUMBER.fullmatch(columns[1].strip()):
            raise Failure(f"{where}: expected a picture's name and its class, got {texts.printable(content)[:60]!r}")
        name, number = f"{root}val/images/{columns[0]}", columns[1].strip()
        if number not in known:
            raise Failure(f"{where}: the class {number} has no training pictures")
        if name in rows:
            raise Failure(f"{where}: {texts.printable(columns[0])} stands in it twice")
        if name not in tree.names:
            raise Failure(f"{where}: {texts.printable(columns[0])} is not in val/images")
        rows[name] = number
    unlisted = [name for name in tree.names if name.startswith(f"{root}val/images/") and _is_picture(name)
                and name not in rows]  # fmt: skip
    if unlisted or not rows:
        what = f"{texts.printable(min(unlisted))} has no class in it" if unlisted else "is empty"
        raise Failure(f"{tree.where(table)}: {what}")
    return [(number, name) for name, number in rows.items()]


def _is_picture(name: str) -> bool:
    return name.lower().endswith(_photographs.SUFFIXES)


def _text(tree: Any, name: str) -> str:
    """Read a text file of the set."""
    if name not in tree.names:
        raise Failure(f"{tree.path} has no {texts.printable(name)}: expected {LAYOUT}")
    try:
        return str(tree.read(name).decode())
    except UnicodeDecodeError:
        raise Failure(f"{tree.where(name)}: is not UTF-8: the file is damaged") from None


def _names(table: str, classes: list[str], where: str) -> tuple[str, ...]:
    """Return a name for each class: the first of its synonyms that no other class has, else its WordNet number."""
    known = dict(line.split("\t", 1) for line in table.splitlines() if "\t" in line)
    missing = [number for number in classes if not known.get(number, "").strip()]
    if missing:
        raise Failure(f"{where}: has no name for the class {missing[0]}")
    synonyms = {number: [word.strip() for word in known[number].split(",") if word.strip()] for number in classes}
    uses = Counter(classes)  # a word that is a number of theirs is none that no other class has
    uses.update(word for words in synonyms.values() for word in dict.fromkeys(words))
    names = tuple(next((word for word in synonyms[n] if uses[word] == 1), n) for n in classes)
    if not all(name.isprintable() for name in names):
        raise Failure(f"{where}: expected class names of printable characters")
    return names


SPEC = base.SourceSpec(
    name="tiny-imagenet",
    aliases=("tiny-imagenet-200",),
    title="Tiny ImageNet: 110,000 photographs of 64x64 pixels in 200 classes",
    licence="no licence published; photographs of ImageNet, for non-commercial research and education",
    url="https://cs231n.stanford.edu/",
    how="downloaded on first use (248 MB), or read from --source: the zip, or the folder that it unpacks to; --size N "
    "makes squares of N pixels of it",
    modality=IMAGE,
    counts=COUNTS,
    shape=(SIDE, SIDE, 3),
    options={"size": SIDE},
    parsers={"size": _photographs.parse_size},
    archives=ARCHIVES,
    mirror=MIRROR,
    locate=locate,
    fetch=fetch,
)
