"""folder: the user's own pictures, DIR/train/CLASS/*.png and DIR/test/CLASS/*.png; or DIR/CLASS/*.png, of which a draw
makes a training and a test set (`_own_folder`).

Classes are the names of the folders below train/ and test/: in the order of their numbers where all are whole numbers,
else of their code points (version 1: always of these). Rows are ordered by (class, file name). Pictures are decoded as
`any_picture` says, block by block, so that a set may be larger than memory.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.core import class_names, file_states, files, numbers, texts
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.modality import IMAGE
from poisonkit.sources import base
from poisonkit.sources.image import _own_folder

OPTIONS: base.Options = {"size": 0, "channels": 3, "version": 2, "split": "0", "seed": 0, "name": ""}
"""size 0: as they are; version: recorded where it matters; split: the share that a draw by the seed makes the test set,
0 where there are train/ and test/; name: the folder's own unless told otherwise."""

PARTS = ("train", "test")
SUFFIXES = (".png", ".ppm", ".pgm", ".bmp", ".jpg", ".jpeg", ".webp")
LOSSY = (".jpg", ".jpeg", ".webp")
STRIDE = 16  # pictures that a thread decodes in one go
BLOCK = 32 << 20  # bytes of decoded pictures in memory at once
LARGEST = 64 << 20  # bytes of one file
LARGEST_SIDE = 4096
EXPORTED = "classes.json"  # which an export to such folders leaves beside them
LARGEST_LISTING = 1 << 20
LEFT_OUT = "file is not a picture and is", "files are not pictures and are"
LEFT_OUT_OF_SPLIT = "file is not a picture in a class and is", "files are not pictures in a class and are"


@dataclass(frozen=True)
class Listing:
    """The files of a data set: class names, and for each part the rows' labels, (N,) int64, file names, and the
    classes' folders (the names, but for such as are written in another normal form).

    `hash` changes when a file is added, removed, replaced or written to; `left_out` are the files that are no pictures.
    `split`: the classes lie in DIR itself. `notices` are what should be known of the data each time that they are used.
    """

    classes: tuple[str, ...]
    labels: dict[str, np.ndarray]
    names: dict[str, list[str]]
    folders: dict[str, list[str]]
    hash: str
    left_out: list[str]
    split: bool = False
    notices: tuple[str, ...] = ()

    def place(self, part: str, row: int) -> str:
        """Return the path of a row's picture, relative to DIR."""
        return f"{'' if self.split else f'{part}/'}{self.folders[part][self.labels[part][row]]}/{self.names[part][row]}"

    def respelled(self) -> list[str]:
        """Classes whose test folder is written in another normal form."""
        return [name for name, other in zip(self.classes, self.folders["test"], strict=True) if name != other]


def parse_size(value) -> int | str:
    """64, or "48x64" (height x width), in its one spelling: one number where both are the same, 0 for as they are."""
    parts = str(value).lower().replace("×", "x").split("x")
    sides = [int(part) if part.isdecimal() and len(part) <= 5 else -1 for part in parts]
    if sides == [0]:
        return 0
    if len(sides) > 2 or not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise ValueError(f"a number of pixels (64) or HEIGHTxWIDTH (48x64), up to {LARGEST_SIDE}")
    return sides[0] if sides[0] == sides[-1] else f"{sides[0]}x{sides[1]}"


def parse_channels(value) -> int:
    """1 (grey) or 3 (RGB)."""
    if str(value) not in ("1", "3"):
        raise ValueError("1 (grey) or 3 (RGB)")
    return int(value)


def parse_version(value) -> int:
    """Which order the classes are in."""
    if str(value) not in ("1", "2"):
        raise ValueError("1 (classes in the order of their code points) or 2 (of their numbers, if they are such)")
    return int(value)


def locate(path: Path | None, options: base.Options) -> base.Origin:
    """Find the pictures of the folder at `path`. Raises `Usage` where none is named, `Failure` where its layout is
    wrong."""
    path = base.required(path, "folder", "DIR, with DIR/train/CLASS/*.png and DIR/test/CLASS/*.png")
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise Failure(f"{path} {what}: expected one with train/CLASS/*.png and test/CLASS/*.png")
    given: base.Options = OPTIONS | options
    if given["seed"] and given["split"] == "0":
        raise Usage("option 'seed' of source folder: is for the draw of --split, which was not asked for")
    listing = scan(path, given["version"], given["split"], given["seed"])
    recorded = {key: value for key, value in options.items() if key != "version"}
    recorded["name"] = given["name"] or _own_folder.own_name(path)
    chosen = OPTIONS | recorded
    del chosen["version"]
    if list(listing.classes) != sorted(listing.classes):
        recorded, chosen = ({**one, "version": 2} for one in (recorded, chosen))

    def decode(writer, context) -> dict:
        return _decode(path, listing, chosen, writer, context)

    return base.Origin({"folder": files.path_text(path), "files": listing.hash, "options": chosen}, decode, recorded)


def scan(root: Path, version: int = 2, split: str = "0", seed: int = 0) -> Listing:
    """Find the pictures below a folder. Raises `Failure` with what is missing or in the way, `Usage` where it is to be
    split and is already."""
    in_order = class_names.by_number if version > 1 else sorted
    parts = [part for part in PARTS if (root / part).is_dir()]
    if split != "0":
        if len(parts) == len(PARTS):
            raise Usage(f"--split: {root} has the folders train and test already: leave the option out")
        if parts and any(entry.is_dir() for entry in _entries(root / parts[0])):
            raise Usage(f"--split: expected a folder of classes, {root} has {parts[0]}/: name {root / parts[0]} itself")
        return _split(root, in_order, split, seed)
    if not parts and any(entry.is_dir() for entry in _entries(root)):
        raise Failure(
            f"{root} has no folder train: expected train/CLASS/*.png and test/CLASS/*.png; if its folders are the "
            "classes, --split 0.2 makes a fifth of each the test set"
        )
    classes = {part: in_order(_classes(root, part)) for part in PARTS}
    pairs = _paired(classes["train"], classes["test"])
    missing = {"train": set(classes["test"]) - set(pairs.values()), "test": set(classes["train"]) - pairs.keys()}
    for part, other in (PARTS, PARTS[::-1]):
        if missing[part]:
            name = min(missing[part])
            raise Failure(
                f"{root}: expected the same classes in train and test, {part} has no folder "
                f"{texts.printable(name)!r} and {other} has one (it may be empty){_look_alikes(name, classes)}"
            )
    classes["test"] = [pairs[name] for name in classes["train"]]
    total = file_states.Listing("\0".join(classes["train"]).encode())
    left_out: list[str] = []
    labels, names = {}, {}
    for part in PARTS:
        found = [_pictures(root, f"{part}/{label}", total, left_out) for label in classes[part]]
        labels[part] = np.repeat(np.arange(len(found), dtype=np.int64), [len(one) for one in found])
        names[part] = [name for one in found for name in one]
        if not names[part]:
            raise Failure(f"{root}/{part} has no pictures: expected {part}/CLASS/*{', *'.join(SUFFIXES)}")
    return Listing(tuple(classes["train"]), labels, names, classes, total.finish(), left_out)


def _split(root: Path, in_order: Callable[[list[str]], list[str]], split: str, seed: int) -> Listing:
    """Find the pictures of a folder of classes, and draw which of them are the test set."""
    left_out: list[str] = []
    names = in_order(_classes(root, ""))
    total = file_states.Listing("\0".join([split, str(seed), *names]).encode())
    found = {name: _pictures(root, name, total, left_out) for name in names}
    for entry in _entries(root):
        if not entry.is_dir() and entry.name.lower().endswith(SUFFIXES):
            left_out.append(entry.name)
    empty = [name for name in names if not found[name]]
    classes = [name for name in names if found[name]]
    drawn = {name: _own_folder.test_rows(name, len(found[name]), split, seed) for name in classes}
    if not any(rows.any() for rows in drawn.values()):
        raise Failure(
            f"{root}: no class has two pictures: expected a training and a test picture of one class at least"
        )
    labels, rows = {}, {}
    for part in PARTS:
        chosen = [np.flatnonzero(drawn[name] == (part == "test")) for name in classes]
        labels[part] = np.repeat(np.arange(len(classes), dtype=np.int64), [len(one) for one in chosen])
        rows[part] = [found[name][i] for name, one in zip(classes, chosen, strict=True) for i in one]
    single = [name for name in classes if len(found[name]) == 1]
    notices = (
        *_told(empty, "class has no pictures and is left out", "classes have no pictures and are left out"),
        *_told(single, "class has one picture, for training, and no test row",
               "classes have one picture each, for training, and no test row"),
    )  # fmt: skip
    folders = dict.fromkeys(PARTS, classes)
    return Listing(tuple(classes), labels, rows, folders, total.finish(), sorted(left_out), True, notices)


def _told(names: list[str], one: str, several: str) -> list[str]:
    """Return a line on some classes; none where there are none."""
    return [f"{numbers.counted(len(names), one, several)}: {class_names.listed(names)}"] if names else []


def _paired(names: list[str], others: list[str]) -> dict[str, str]:
    """Class → its test folder: the one of that very name, else the only one of the rest that reads like it (NFC)."""
    pairs = {name: name for name in names if name in others}
    free, left = [name for name in names if name not in pairs], [name for name in others if name not in pairs]
    for name in free:
        mine, theirs = (
            [one for one in some if class_names.folded(one) == class_names.folded(name)] for some in (free, left)
        )
        if len(mine) == len(theirs) == 1:
            pairs[name] = theirs[0]
    return pairs


def _look_alikes(name: str, classes: dict[str, list[str]]) -> str:
    """Folders that read like the missing one but are written otherwise: on the screen nothing tells them apart."""
    folded = class_names.folded(name)
    alike = [
        f"{part}/{texts.printable(one)} ({texts.printable(ascii(one))})"
        for part in PARTS
        for one in classes[part]
        if one != name and class_names.folded(one) == folded
    ]
    spelled = f"; it is written {texts.printable(ascii(name))}, and " + ", ".join(alike)
    return f"{spelled} read{'s' if len(alike) == 1 else ''} the same with other code points (NFC, NFD)" if alike else ""


def _pictures(root: Path, folder: str, total: file_states.Listing, left_out: list[str]) -> list[str]:
    """List the names of the pictures of one class, in order; their states go into `total`."""
    found = []
    for entry in sorted(_entries(root / folder), key=lambda entry: entry.name):
        where = f"{folder}/{entry.name}"
        if entry.is_dir():
            raise Failure(f"{root}/{texts.printable(where)} is a folder: expected pictures alone in a class")
        if not entry.name.lower().endswith(SUFFIXES) or not entry.is_file():
            left_out.append(where)
            continue
        total.add(where, entry.stat())
        found.append(entry.name)
    return found


def _entries(folder: Path) -> list:
    """List a folder without hidden files and those of file managers."""
    with os.scandir(folder) as entries:
        return [e for e in entries if not e.name.startswith(".") and e.name not in ("Thumbs.db", "desktop.ini")]


def _classes(root: Path, part: str) -> list[str]:
    folder = root / part if part else root
    if not folder.is_dir():
        raise Failure(f"{root} has no folder {part}: expected train/CLASS/*.png and test/CLASS/*.png")
    names = sorted(entry.name for entry in _entries(folder) if entry.is_dir())
    if not names:
        raise Failure(f"{folder} has no folders: expected one for each class, {part and f'{part}/'}CLASS/*.png")
    for name in names:
        if not name.isprintable():
            raise Failure(f"{folder}/{texts.printable(name)}: expected a class name of printable characters")
    return names


def _decode(root: Path, listing: Listing, chosen: dict, writer, context: base.SourceContext) -> dict:
    """Write both parts. Return what is to be known of them, each time that they are used."""
    from poisonkit.core import images as image_file  # OpenCV, which nothing but decoding needs
    from poisonkit.core import picture_files

    image_file.quiet()
    lossy = sum(name.lower().endswith(LOSSY) for part in PARTS for name in listing.names[part])
    with picture_files.silent():
        reader = _Reader(root, listing, chosen)
    writer.classes = listing.classes
    total = sum(map(len, listing.names.values()))
    with ThreadPoolExecutor(context.jobs) as pool, context.progress(total, "decoding pictures", "image") as bar:
        for part in PARTS:
            with writer.part(part, listing.labels[part], reader.shape) as target:
                for start, images in reader.blocks(part, pool):
                    target.write(start, images)
                    bar.update(len(images))
    notices = _of_the_files(root, listing, lossy) + [
        f"the test folder of {name!r} is spelled with other code points than the class's name (NFC, NFD)"
        for name in listing.respelled()
    ]
    notices += [*listing.notices, *_names_elsewhere(root, listing.classes)]
    return {"kind": "folder", "path": files.path_text(root), "official": None, "lossy": lossy} | (
        {"notices": notices} if notices else {}
    )


def _of_the_files(root: Path, listing: Listing, lossy: int) -> list[str]:
    """Return a line for files that are left out, and for pictures that are lossy."""
    lines = []
    if listing.left_out:
        first = f"{root}/{texts.printable(listing.left_out[0])}"
        left = numbers.counted(len(listing.left_out), *(LEFT_OUT_OF_SPLIT if listing.split else LEFT_OUT))
        lines.append(f"{left} left out, for example {first}")
    if lossy:
        some = numbers.counted(lossy, "picture is", "pictures are")
        lines.append(f"{some} JPEG or WebP, which other builds of OpenCV may decode slightly differently")
    return lines


def _names_elsewhere(root: Path, folders: tuple[str, ...]) -> list[str]:
    """Return a line where the folders are those of an export whose classes have numbers for names: a number would else
    be taken for another class than the one that bears it."""
    try:
        with open(root / EXPORTED, "rb") as file:
            listed = numbers.loads(file.read(LARGEST_LISTING))
        named = {entry["folder"]: entry["name"] for entry in listed}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []  # none, or somebody else's
    names = [name for folder in folders if isinstance(name := named.get(folder), str)]
    if len(names) < len(folders) or not any(class_names.NUMBER.fullmatch(name) for name in names):
        return []
    pairs = list(zip(folders, names, strict=True))
    told = ", ".join(f"{texts.printable(folder)} is {texts.printable(name)}" for folder, name in pairs[:8])
    return [
        f"classes have the names of their folders; in {EXPORTED} beside them they had others ({told}"
        f"{', …' if len(pairs) > 8 else ''}): a class is meant by its folder's name, or by index:N"
    ]


class _Reader:
    """Decodes the files of a listing into pictures of one shape: the one asked for, or that of the first file."""

    def __init__(self, root: Path, listing: Listing, chosen: dict):
        self._root, self._listing, self._channels = root, listing, chosen["channels"]
        sides = str(chosen["size"]).split("x")
        self._size = (int(sides[0]), int(sides[-1])) if chosen["size"] else None
        first = self._size or self._picture(listing.place("train", 0)).shape[:2]
        self.shape = (*first, self._channels)

    def blocks(self, part: str, pool: ThreadPoolExecutor):
        """Yield (first row, images (n, H, W, C) uint8), in order; a thread takes `STRIDE` pictures at once."""
        from poisonkit.core import picture_files

        rows, count = max(1, BLOCK // int(np.prod(self.shape))), len(self._listing.names[part])
        for start in range(0, count, rows):
            images = np.empty((min(rows, count - start), *self.shape), np.uint8)
            jobs = range(0, len(images), STRIDE)
            with picture_files.silent():  # the progress bar is drawn between two blocks
                list(pool.map(lambda i, start=start, images=images: self._fill(part, start, images, i), jobs))
            yield start, images

    def _fill(self, part: str, start: int, images: np.ndarray, first: int) -> None:
        for i in range(first, min(first + STRIDE, len(images))):
            images[i] = self._fitted(self._listing.place(part, start + i))

    def _fitted(self, place: str) -> np.ndarray:
        from poisonkit.core import images as image_file

        picture = self._picture(place)
        if self._size:
            return image_file.resize(picture, *self._size)
        if picture.shape != self.shape:
            found, wanted = (f"{shape[0]}×{shape[1]}" for shape in (picture.shape, self.shape))
            first = texts.printable(self._listing.place("train", 0))
            raise Failure(
                f"{self._where(place)} is {found}, expected {wanted} as {first} has: --size N resizes them all"
            )
        return picture

    def _picture(self, place: str) -> np.ndarray:
        from poisonkit.core import picture_files

        path = self._root / place
        if path.stat().st_size > LARGEST:
            raise Failure(f"{self._where(place)} has {path.stat().st_size} bytes, expected at most {LARGEST}")
        try:
            return picture_files.decode(path.read_bytes(), self._channels)
        except ValueError as error:
            raise Failure(f"{self._where(place)}: {error}") from None

    def _where(self, place: str) -> str:
        return f"{self._root}/{texts.printable(place)}"


def _unrecorded(classes: Sequence[str], options: base.Options) -> base.Options:
    """Return the version of a manifest's record that names none: the first one, if its classes are whole numbers that
    are not in numerical order."""
    first = "version" not in options and list(classes) != class_names.by_number(list(classes))
    return {"version": 1} if first else {}


SPEC = base.SourceSpec(
    name="folder",
    aliases=("image-folder",),
    title="folder: a folder of pictures, one folder a class",
    licence="not stated",
    url="",
    how="--source DIR with DIR/train/CLASS/*.png and DIR/test/CLASS/*.png (or ppm, pgm, bmp, jpg, webp), or with "
    "DIR/CLASS/*.png and --split 0.2",
    modality=IMAGE,
    shape=(0, 0, 0),
    options=OPTIONS,
    parsers={
        "size": parse_size,
        "channels": parse_channels,
        "version": parse_version,
        "split": _own_folder.parse_split,
        "seed": _own_folder.parse_seed,
        "name": _own_folder.parse_name,
    },
    text_options=True,
    former_options={"version": 1},
    unrecorded=_unrecorded,
    locate=locate,
)
