"""Pictures of a published data set, in a folder or an archive, decoded and made squares of one size."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from poisonkit.core import file_states, numbers
from poisonkit.core.errors import Failure
from poisonkit.core.files import path_text
from poisonkit.sources import base
from poisonkit.sources._fetch import archive, file_tree

BLOCK = 16 << 20  # bytes of decoded pictures in memory at once
FEWEST = 16  # pictures of a block, however large they are
LARGEST_SIDE = 1024
SUFFIXES = (".jpeg", ".jpg", ".png")


class Tree(Protocol):
    """Files in a folder or an archive; see `file_tree`."""

    def where(self, name: str) -> str:
        """Return what to call a file in a message."""

    def stream(self, names: Any) -> Iterator[tuple[str, bytes]]:
        """Yield (name, contents) of some files, each once, in any order."""


@dataclass(frozen=True)
class Rows:
    """The rows of one part: the names of their files, in order, and their labels, (n,) int64."""

    names: list[str]
    labels: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[tuple[int, str]]) -> "Rows":
        """Return rows of (label, file name), sorted by both."""
        ordered = sorted(rows)
        return cls([name for _, name in ordered], np.array([label for label, _ in ordered], np.int64))


def parse_size(value: Any) -> int:
    """Return the side of the squares in pixels."""
    if isinstance(value, bool) or not str(value).isdecimal() or not 1 <= int(str(value)[:6]) <= LARGEST_SIDE:
        raise ValueError(f"a number of pixels from 1 to {LARGEST_SIDE}")
    return int(value)


Decode = Callable[[Any, Any, base.SourceContext], str]
"""(tree, writer, context): writes both parts; says in what they differ from the published ones, "" if they do not."""


def in_folder(tree: file_tree.Folder, decode: Decode, options: base.Options) -> base.Origin:
    """Return the origin of the files of a folder."""

    def decoded(writer: Any, context: base.SourceContext) -> dict[str, Any]:
        difference = decode(tree, writer, context)
        verdict = {"official": False, "difference": difference} if difference else {"official": None}
        return {"kind": "folder", "path": path_text(tree.path), **verdict}

    states = {"folder": path_text(tree.path), "files": tree.fingerprint(), "options": options}
    return base.Origin(states, decoded, options)


def in_archive(
    path: Path, opened: Callable[[], Any], known: Sequence[archive.Archive], decode: Decode, options: base.Options
) -> base.Origin:
    """Return the origin of an archive, which may be one of the `known`; `opened` gives its files, to be closed."""

    def decoded(writer: Any, context: base.SourceContext) -> dict[str, Any]:
        record = archive.file_record(path, known, context, archive.LARGE)
        with opened() as tree:
            difference = decode(tree, writer, context)
        record |= {"official": False, "difference": difference} if difference else {}
        return {"kind": "archive", "path": path_text(path), **record}

    return base.Origin({"archive": file_states.fingerprint([path]), "options": options}, decoded, options)


def write(tree: Tree, parts: dict[str, Rows], side: int, writer: Any, context: base.SourceContext, title: str) -> None:
    """Write the rows of all parts, the whole of each picture made (side, side, 3) uint8: by area where both its sides
    are at least as long, else linearly.

    They are written in the order that the tree gives them in, each to its own place. Raises `Failure` where a picture
    is missing, twice there, or damaged.
    """
    from poisonkit.core import images as image_file  # OpenCV, which nothing but decoding needs
    from poisonkit.core import picture_files

    image_file.quiet()
    lossy = sum(not name.lower().endswith(".png") for rows in parts.values() for name in rows.names)
    if lossy:
        some = numbers.counted(lossy, "picture is", "pictures are")
        context.say(f"{some} JPEG, which other builds of OpenCV may decode slightly differently")
    places = {name: (part, row) for part, rows in parts.items() for row, name in enumerate(rows.names)}
    count = max(FEWEST, BLOCK // (3 * side * side))

    def decoded(entry: tuple[str, bytes]) -> np.ndarray:
        try:
            return image_file.resize(picture_files.decode(entry[1], 3), side, side)
        except ValueError as error:
            raise Failure(f"{tree.where(entry[0])}: {error}") from None

    with ExitStack() as stack:
        targets = {
            part: stack.enter_context(writer.part(part, rows.labels, (side, side, 3))) for part, rows in parts.items()
        }
        pool = stack.enter_context(ThreadPoolExecutor(context.jobs))
        bar = stack.enter_context(context.progress(len(places), f"decoding {title}", "image"))
        stream = iter(tree.stream(dict(places)))  # their own: what was read is taken out of `places`
        while block := list(islice(stream, count)):
            with picture_files.silent():  # the progress bar is drawn between two blocks
                images = list(pool.map(decoded, block))
            for (name, _), image in zip(block, images, strict=True):
                if name not in places:
                    raise Failure(f"{tree.where(name)} occurs twice")
                part, row = places.pop(name)
                targets[part].write(row, image[None])
            bar.update(len(block))
    if places:
        raise Failure(f"{tree.where(next(iter(places)))} is missing")
