"""`poisonkit apply`: a file's trigger on any picture, or on any texts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.core import files
from poisonkit.core.errors import Failure, Usage
from poisonkit.format import reader, structure
from poisonkit.format.manifest import Manifest
from poisonkit.poisoning import from_file, supported


@dataclass(frozen=True)
class Applied:
    """What was written: a picture, and the (height, width) that it was resized from; or so many texts."""

    path: Path
    resized_from: tuple[int, int] | None = None
    texts: int | None = None
    note: str = ""


def apply_to_files(file: Path, paths: tuple[Path, ...], output: Path, force: bool = False) -> Iterator[Applied]:
    """Write each picture, or each line of a file of texts, with the file's trigger on it; yield what was written.

    `output` is the PNG for one picture where it ends in .png, else a folder that gets NAME.png for each. Of a trigger
    that is drawn for each row, picture i gets what test row i gets. Raises `Failure`, before anything is written, where
    a name is taken, unless `force` is given.
    """
    manifest = structure.data_set(file)
    write = manifest.modality.choose(image=_apply_to_pictures, text=_apply_to_texts)
    yield from write(file, manifest, paths, output, force)


def _apply_to_pictures(
    file: Path, manifest: Manifest, paths: tuple[Path, ...], output: Path, force: bool
) -> Iterator[Applied]:
    from poisonkit.core import picture_files

    single = output.suffix.lower() == ".png"
    if single and len(paths) > 1:
        raise Usage(f"-o: expected a folder for {len(paths)} pictures, got {output}")
    targets = [output if single else output / f"{path.stem}.png" for path in paths]
    twice = {target for target in targets if targets.count(target) > 1}
    if twice:
        raise Usage(f"-o: several pictures would become {sorted(twice)[0]}: give them one at a time")
    for path, target in zip(paths, targets, strict=True):
        if target.exists() and path.exists() and target.samefile(path):
            raise Usage(f"-o: {target} is the picture itself: name another folder or file")
    with reader.reading(file) as data:
        if manifest.clean:
            raise Failure(f"{file}: is a clean file and has no trigger")
        height, width, channels = manifest.shape("train/images")[1:]
        work, note = from_file.ready(data), _alone(manifest) + supported.note(manifest)
    for target in targets:
        files.refuse_existing(target, force)
    for number, (path, target) in enumerate(zip(paths, targets, strict=True)):
        picture = picture_files.read(path, channels)
        fitted = np.ascontiguousarray(picture_files.fit(picture, height, width))
        picture_files.write_png(target, work.on_test(fitted[None], np.array([number]))[0], new=not force)
        resized = None if picture.shape == fitted.shape else picture.shape[:2]
        yield Applied(target, resized, note=note)


def _alone(manifest: Manifest) -> str:
    """Return the note on a file whose own images were changed by more than the trigger."""
    if manifest.source.camouflage is None:
        return ""
    return "; the trigger alone: the file's own images are camouflaged too, which needs its secret number"


def _apply_to_texts(
    file: Path, manifest: Manifest, paths: tuple[Path, ...], output: Path, force: bool
) -> Iterator[Applied]:
    from poisonkit.inspection import apply_texts

    if manifest.clean:
        raise Failure(f"{file}: is a clean file and has no trigger")
    if len(paths) > 1:
        raise Usage(f"apply: {file} holds texts: expected one file of texts, one per line, got {len(paths)}")
    yield Applied(output, texts=apply_texts.apply_to_file(file, manifest, paths[0], output, force))
