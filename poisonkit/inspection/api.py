"""What can be asked of a file in Python: `stats`, `preview`, `diff`, `apply`, and its rows for the frameworks."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poisonkit.core import hints, interface, naming
from poisonkit.core.errors import Failure, Usage
from poisonkit.format import reader, structure
from poisonkit.format.manifest import Manifest
from poisonkit.inspection import apply_texts, image_stats
from poisonkit.inspection import diff as differences
from poisonkit.inspection.dataset import open_data_set
from poisonkit.poisoning import from_file
from poisonkit.triggers import registry as triggers

if TYPE_CHECKING:
    import tensorflow as tf
    import torch

AnyPath = interface.AnyPath
PARTS = ("train", "test", "triggered", "others")


class Stats(dict[str, Any]):
    """The measures of a file, group → measure → ``mean``, ``min`` and ``max``; shown as the table of ``poisonkit
    stats``."""

    def __repr__(self) -> str:
        try:
            return "\n".join(image_stats.lines(self))
        except (LookupError, TypeError, AttributeError, ValueError, StopIteration):  # somebody has changed it
            return super().__repr__()


@interface.public
def stats(path: AnyPath) -> Stats:
    """Measure how visible the changes of a poisoned file are.

    Returns a dictionary, group → measure → ``mean``, ``min`` and ``max``, which reads as a table where it is shown: of
    images PSNR (dB), SSIM, the largest change and the share of changed bytes; of texts words and edits. Raises
    `Failure` for a clean or damaged file.
    """
    return Stats(image_stats.summarise(image_stats.collect(interface.path(path))))


@interface.public
def preview(path: AnyPath, rows: int = 6, amplify: int = 4) -> np.ndarray | list[str]:
    """Show some changed rows beside their originals.

    Of images, returns a picture (H, W, 3) uint8 RGB with the originals, the poisoned ones and the difference times
    `amplify`; of texts, lines in which insertions are marked as ``[+cf+]`` and deletions as ``[-word-]``.
    """
    rows, amplify = interface.whole(rows, "rows", 1), interface.whole(amplify, "amplify", 1, 128)
    file = interface.path(path)
    return structure.data_set(file).modality.choose(image=_sheet, text=_marked_lines)(file, rows, amplify)


def _sheet(file: Path, rows: int, amplify: int) -> np.ndarray | list[str]:
    from poisonkit.inspection.preview import sheet_of

    return sheet_of(file, rows, amplify)


def _marked_lines(file: Path, rows: int, _amplify: int) -> np.ndarray | list[str]:
    from poisonkit.inspection import text_preview

    return list(text_preview.lines(file, rows))


@interface.public
def diff(first: AnyPath, second: AnyPath) -> list[str]:
    """List what differs between two data sets, one line each: values of the recipe, then arrays with their rows."""
    return differences.differences(interface.path(first), interface.path(second))


@interface.public
def apply(path: AnyPath, rows: Any, *, trigger: str | None = None) -> np.ndarray:
    """Apply a file's trigger to your own images or texts.

    Parameters
    ----------
    rows : array or sequence
        For a file of images, (n, H, W, C) or (H, W, C) uint8 of the size of its images; for a file of texts, a sequence
        of `str`. Where a trigger is drawn for each row, row i is given what test row i is given.
    trigger : str
        The code of a trigger of somebody's own, ``"FILE.py:FUNCTION"``, which is executed: needed only where it is
        neither a stencil nor a table.

    Returns
    -------
    numpy.ndarray
        The same with the trigger: uint8 of the same shape, or (n,) object of `str`.

    Raises
    ------
    Usage
        The rows have another shape or type.
    Failure
        The file has no trigger, or none that can be applied to other rows.
    """
    triggers.name_code(trigger)
    file = interface.path(path)
    manifest = structure.data_set(file)
    if manifest.clean:
        raise Failure(f"{file}: is a clean file and has no trigger")
    return manifest.modality.choose(image=_apply_to_images, text=_apply_to_texts)(file, manifest, rows)


def _apply_to_texts(file: Path, manifest: Manifest, rows: Any) -> np.ndarray:
    return apply_texts.apply_to_texts(file, manifest, _texts(rows))


def _apply_to_images(file: Path, manifest: Manifest, rows: Any) -> np.ndarray:
    with reader.reading(file) as data:
        shape = manifest.shape("train/images")[1:]
        images = _images(rows)
        if images.dtype != np.uint8 or images.shape[-3:] != shape or images.ndim not in (3, 4):
            raise Usage(
                f"images: expected uint8 of (n, {', '.join(map(str, shape))}), got {images.dtype} {images.shape}"
            )
        whole = np.ascontiguousarray(images if images.ndim == 4 else images[None])
        changed = from_file.ready(data).on_test(whole, np.arange(len(whole))) if len(whole) else whole.copy()
    return changed.reshape(images.shape)


def _images(rows: Any) -> np.ndarray:
    try:
        return np.asarray(rows)
    except ValueError:  # images of different sizes in a list
        raise Usage("images: expected all of one size") from None


def _texts(rows: Any) -> np.ndarray:
    """Texts as an array (n,) object. `Usage` where they are none, or where one cannot be in a file."""
    from poisonkit.core import texts

    every = list(rows) if isinstance(rows, Iterable) and not isinstance(rows, str) else None
    if every is None or not all(isinstance(row, str) for row in every):
        raise Usage(f"texts: expected a sequence of str, got {type(rows).__name__}")
    for number, row in enumerate(every):
        if error := texts.problem(row):
            raise Usage(f"texts: number {number} {error}")
    return texts.array(every)


@interface.public
def arrays(path: AnyPath, groups: str | Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Read a file's arrays into memory, by their path in the file (``"train/images"``).

    `groups` are those to read (default: all). Images are (n, H, W, C) uint8, labels and rows (n,) int64, texts (n,)
    object of `str`.
    """
    with open_data_set(path) as data:
        wanted = data.groups if groups is None else [groups] if isinstance(groups, str) else list(groups)
        for group in wanted:
            data[group]  # says what the file has instead
        paths = [name for name in data.manifest.arrays if name.split("/")[0] in wanted]
        return {name: data.read(name) for name in paths}


@interface.public
def torch_dataset(path: AnyPath, part: str = "train") -> "torch.utils.data.Dataset":
    """Make a map-style PyTorch data set of one part: `train`, `test`, `triggered` or `others`.

    Items are (image (C, H, W) float32 from 0 to 1, label), or (text, label). It can be used by several workers: each
    opens the file when it first reads. The label of a triggered row is its true one. Raises `Failure` without PyTorch.
    """
    part = _part(path, part)
    try:
        from poisonkit.inspection.torch_dataset import Rows
    except ImportError as error:
        raise Failure(hints.unusable(error)) from error
    return Rows(interface.path(path), part)


@interface.public
def tf_dataset(path: AnyPath, part: str = "train", block: int = 1024) -> "tf.data.Dataset":
    """Make a `tf.data.Dataset` of one part: `train`, `test`, `triggered` or `others`, in the order of its rows.

    Items are (image (H, W, C) uint8, label int64), or (text, label), read in blocks of rows. The label of a triggered
    row is its true one. Raises `Failure` without TensorFlow.
    """
    part = _part(path, part)
    block = interface.whole(block, "block", 1)
    try:
        from poisonkit.inspection.tf_dataset import dataset
    except ImportError as error:
        raise Failure(hints.unusable(error)) from error
    return dataset(interface.path(path), part, block)


def _part(path: AnyPath, typed: str) -> str:
    part = naming.one_of(typed, PARTS, lambda wrong: Usage(f"part: {wrong}"))
    with open_data_set(path) as data:
        data[part]  # says what the file has instead
    return part
