"""`pack` and `unpack`: store only the differences from the clean data, and restore the file from them, byte for byte.

A delta holds which rows were changed and to what label, the triggers' stencils and tables, and the original's manifest.
The changed and the triggered images follow from the clean data and these, exactly; an image that does not is kept
whole, and so is all that a function made, which is in no array, every changed training image that was camouflaged after
the trigger, and every changed and triggered text. See data/FORMAT.md, "Deltas". It is applied to arrays: there are no
virtual datasets and no external links.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from poisonkit.build import build
from poisonkit.build.produce import BuildResult
from poisonkit.build.runtime import Runtime
from poisonkit.core import files, hashing, hints, modality
from poisonkit.core.errors import Failure, Usage
from poisonkit.format import reader, sidecars
from poisonkit.format.manifest import DeltaManifest, Manifest
from poisonkit.format.reader import Reader
from poisonkit.format.records import FileRecord
from poisonkit.format.writer import writing
from poisonkit.inspection import show
from poisonkit.inspection.verify import verify as whole
from poisonkit.poisoning import apply, from_file, recipe, supported
from poisonkit.poisoning import plan as plans
from poisonkit.poisoning.clean_images import CleanData, clean_images
from poisonkit.poisoning.plan import Plan
from poisonkit.poisoning.recipe import Recipe
from poisonkit.poisoning.selection import Changed, TestedRows
from poisonkit.sources.base import Source

SUFFIX = ".delta.h5"
Arrays = dict[str, np.ndarray]
SETS = ("triggered", "others")
"""Groups of triggered test rows."""
OMITTED = ("all-to-one", "clean-label")
"""The label modes under which a delta need not name its triggered rows; ours name those of clean-label all the same."""


def target_path(path: Path, output: Path | None) -> Path:
    """Return the path of a file's delta: `output` if it ends in .h5, else NAME.delta.h5 there or next to the file."""
    if output is not None and output.suffix == ".h5":
        return output
    name = path.name.removesuffix(".h5") + SUFFIX
    return (path.parent if output is None else output) / name


def pack(path: Path, target: Path, threads: int = 1, checked: FileRecord | None = None, force: bool = False) -> int:
    """Write the delta of a file that verifies, or whose record says that it is `checked`. Returns its size in bytes.

    Raises `Failure` where the target exists, is not the delta of the same file, and `force` is not given.
    """
    if target.exists() and target.samefile(path):
        raise Usage(f"-o: {target} is the file itself; choose another")
    files.refuse_folder(target)
    new = not force and not _is_delta_of(path, target)
    errors = [] if checked else whole.verify(path)
    if errors:
        raise Failure(f"{path}: does not verify ({errors[0]}): it could not be proven what its delta restores")
    with reader.reading(path) as data:
        supported.demand(path, data.manifest, "so it could not be proven what its delta restores")
        if data.clean:
            raise Usage(f"{path}: is a clean file, which does not differ from the clean data")
        arrays = _arrays(data, threads)
        draft = DeltaManifest.draft(data.manifest, checked or sidecars.record_of(path))
    with writing(target, sidecar=False, new=new) as writer:
        for name, array in arrays.items():
            writer.whole(name, array)
        writer.finish(draft)
    return target.stat().st_size


def _is_delta_of(path: Path, target: Path) -> bool:
    """Whether the target is a delta of that very file. Raises `Failure` where it is something else."""
    if not target.exists():
        return False
    try:
        with reader.reading(target, DeltaManifest) as existing:
            packed = existing.manifest.file
    except Failure:
        packed = None
    if packed != sidecars.record_of(path):
        raise Failure(
            f"{target}: already exists and is not {path.name}'s delta: use --force to overwrite it, or choose another "
            "-o"
        )
    return True


def _arrays(data: Reader[Manifest], threads: int) -> Arrays:
    """Collect the arrays of a file's delta, by path."""
    rows = data["truth/rows"]
    arrays = {"changed/rows": rows, "changed/role": data["truth/role"], "changed/labels": data["train/labels"][rows]}
    found = None if data.modality.is_text else from_file.own(data)
    whole_rows = found is None or data.manifest.camouflaged_last or not found.known("train")
    kept = rows if found is None or whole_rows else _not_from_arrays(data, found, rows, threads)
    if len(kept):
        train = data.modality.path("train")
        arrays |= {"kept/rows": kept, data.modality.path("kept"): data.pick(train, kept)}
    labels = data["test/labels"]
    for group in SETS:
        columns = {name: data[f"{group}/{name}"] for name in plans.TESTED if f"{group}/{name}" in data}
        if columns and not _same(columns, default_tested(data.manifest, labels).get(group)):
            arrays |= {f"{group}/{name}": array for name, array in columns.items()}
    return arrays | (_texts(data) if found is None else _images(data, found))


def _images(data: Reader[Manifest], found: apply.Stencils) -> Arrays:
    """Collect what only the delta of a file of images has: the triggers, and the triggered images that follow from no
    array. The mask of a trigger whose work is in arrays follows from these."""
    arrays = {}
    for path in sorted(data.manifest.arrays):
        group, _, name = path.partition("/")
        number, _, name = name.partition("/")
        if group == "trigger" and (name != "mask" or not found.built[int(number)].told("train")):
            arrays[path] = data[path]
    if not found.known("test"):
        arrays |= {f"{group}/images": data[f"{group}/images"] for group in SETS if f"{group}/images" in data}
    return arrays


def _texts(data: Reader[Manifest]) -> Arrays:
    """Collect what only the delta of a file of texts has: the triggered texts, and the insertions."""
    arrays = {path: data[path] for path in data.manifest.arrays if path.endswith("/insertions")}
    arrays |= {f"{group}/texts": data[f"{group}/texts"] for group in SETS if f"{group}/texts" in data}
    if "truth/insertions" in arrays:
        arrays["changed/insertions"] = arrays.pop("truth/insertions")
    return arrays


def _same(columns: Arrays, default: Arrays | None) -> bool:
    return (
        default is not None
        and columns.keys() == default.keys()
        and all(np.array_equal(columns[name], default[name]) for name in columns)
    )


def default_tested(
    original: Manifest, labels: np.ndarray, modes: tuple[str, ...] = ("all-to-one",)
) -> dict[str, Arrays]:
    """Return the triggered rows that a delta omits under some label modes: all rows of other classes than the
    target."""
    target = original.recipe.target
    if original.recipe.label_mode not in modes:
        return {}
    rows = np.flatnonzero(labels != target).astype(np.int64)
    return {"triggered": {"rows": rows, "wanted": np.full(len(rows), target, np.int64)}}


def _not_from_arrays(data: Reader[Manifest], found: apply.Stencils, rows: np.ndarray, threads: int) -> np.ndarray:
    """Find the changed rows whose image is not the original with the trigger on it, (n,) int64."""
    kept, role = [], data["truth/role"]
    work = replace(found, total=len(rows))
    for start, originals in data.blocks("truth/images", plans.ROWS_AT_ONCE):
        part = slice(start, start + len(originals))
        expected = work.on_train(originals, rows[part], role[part], threads)
        kept.append(rows[part][modality.differs(expected, data.pick("train/images", rows[part]))])
    return np.concatenate(kept)


@dataclass(frozen=True)
class Delta:
    """An opened delta: its manifest and its arrays by path."""

    path: Path
    manifest: DeltaManifest
    arrays: Arrays

    @property
    def original(self) -> Manifest:
        """The manifest of the file that it was made of."""
        return self.manifest.original


def check(path: Path) -> tuple[Delta, list[str]]:
    """Open a delta, and list what is wrong with its digests, or else with its rows, labels and roles, one line each.

    Raises `Failure` where the file is not a delta.
    """
    with reader.reading(path, DeltaManifest, vouch=False) as data:
        manifest = data.manifest
        arrays = {name: data[name] for name in manifest.arrays}
        out_of_range = data.value_problems()
    errors = [
        f"{name}: does not match its digest"
        for name, array in arrays.items()
        if hashing.array_digest(np.ascontiguousarray(array)) != manifest.arrays[name].digest
    ]
    for where, checked in (("manifest", manifest), ("manifest of the original", manifest.original)):
        if not checked.sound_digest:
            errors.append(f"{where}: its own digest (dataset_digest) does not match its contents")
    return Delta(path, manifest, arrays), errors or out_of_range


def read(path: Path) -> Delta:
    """Open a delta that is sound. Raises `Failure` otherwise."""
    delta, errors = check(path)
    if errors:
        raise Failure(f"{path}: is damaged: {errors[0]}")
    return delta


def verify(path: Path) -> list[str]:
    """List what differs from what a delta claims. Its rows are proven when it is unpacked."""
    delta, errors = check(path)
    return errors or _name(delta.original)


def _name(original: Manifest) -> list[str]:
    """Compare the original's name with the one that its recipe gives, where that is known here; one line if it
    differs."""
    if supported.problem(original):
        return []
    source = original.source
    try:
        request = recipe.recipe_of(original.recipe)
    except Usage as error:
        return [f"manifest of the original: its recipe cannot be followed: {error}"]
    name = recipe.file_name(request, original.recipe, source.name, source.options, original.pictures)
    if name == original.name:
        return []
    return [f"manifest of the original: name is {original.name!r:.80}, its recipe gives {name!r}"]


def lines(path: Path, manifest: DeltaManifest) -> list[str]:
    """Summarise a delta's manifest for people."""
    kept, kind, file = manifest.rows("kept/rows"), manifest.modality, manifest.file
    rows, trigger = kind.rows, kind.choose(image=" and the trigger", text="")
    first = [
        f"delta     {path} ({path.stat().st_size / 1e3:,.1f} kB); `{hints.unpack(path)}` restores the file",
        f"of        {manifest.original.name}.h5 ({file.size / 1e6:,.1f} MB, {file.sha256})",
        f"{rows:10}{kept:,} kept whole, the others follow from the clean data" + trigger,
    ]
    return first + show.manifest_lines(manifest.original)


@dataclass(frozen=True)
class KeptImages:
    """The work of a delta's stencils and tables, but for the images that it kept: `kept_at` are their numbers among all
    changed rows, ascending; `tested` has the triggered images by group, where they follow from no array."""

    stencils: apply.Stencils
    kept_at: np.ndarray
    kept: np.ndarray
    tested: Arrays = field(default_factory=dict)

    def poison(self, changed: Changed, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """See `apply.Effect.poison`."""
        low, high = np.searchsorted(self.kept_at, [first, first + len(originals)])
        if high - low == len(originals):
            return self.kept[low:high].copy()
        images = self.stencils.poison(changed, first, originals, threads)
        images[self.kept_at[low:high] - first] = self.kept[low:high]
        return images

    def trigger(self, group: str, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """See `apply.Effect.trigger`."""
        if group in self.tested:
            return self.tested[group][first : first + len(originals)]
        return self.stencils.trigger(group, first, originals, threads)

    def arrays(self) -> dict[str, np.ndarray]:
        """See `apply.Effect.arrays`."""
        return self.stencils.arrays()


def plan(delta: Delta, source: Source) -> Plan:
    """Plan what is written: the clean data with the delta's rows changed. Raises `Failure` where they do not fit."""
    arrays, original = delta.arrays, delta.original
    changed = Changed(arrays["changed/rows"], arrays["changed/role"], arrays["changed/labels"])
    tested = default_tested(original, source.test.labels, OMITTED)
    for group in SETS:
        if f"{group}/rows" in arrays:
            tested[group] = {name: arrays[f"{group}/{name}"] for name in plans.TESTED if f"{group}/{name}" in arrays}
    if "triggered" not in tested:
        supported.demand(delta.path, original, "and the delta does not say which its triggered rows are")
        raise Failure(f"{delta.path}: has no triggered/rows: the delta is damaged")
    effect = source.modality.choose(image=_kept_images, text=_kept_texts)(delta, changed, tested)
    return Plan(
        source, Recipe(original.recipe.rate), effect, changed, tested, original.as_draft, original,
        delta.manifest.file.sha256,
    )  # fmt: skip


def _kept_images(delta: Delta, changed: Changed, tested: TestedRows) -> apply.Effect:
    """Return the effect of a delta of images."""
    rows = {group: columns["rows"] for group, columns in tested.items()}
    stencils = replace(apply.of_file(delta.path, delta.original, delta.arrays), tested=rows)
    kept = {group: delta.arrays[f"{group}/images"] for group in SETS if f"{group}/images" in delta.arrays}
    if "kept/rows" not in delta.arrays:
        return stencils
    numbers, kept_at = delta.arrays["kept/rows"], np.searchsorted(changed.rows, delta.arrays["kept/rows"])
    existing = changed.rows[kept_at.clip(0, len(changed.rows) - 1)]
    if not np.array_equal(existing, numbers) or (np.diff(kept_at) <= 0).any():
        raise Failure(f"{delta.path}: kept/rows are not changed rows, ascending: the delta is damaged")
    if not stencils.known("train") and len(kept_at) < len(changed.rows):
        raise Failure(f"{delta.path}: kept/rows are not all changed rows, which follow from nothing: it is damaged")
    return KeptImages(stencils, kept_at, delta.arrays["kept/images"], kept)


def _kept_texts(delta: Delta, changed: Changed, _tested: TestedRows) -> apply.Texts:
    """Return the effect of a delta of texts: all of them are there."""
    arrays = delta.arrays
    if not np.array_equal(arrays["kept/rows"], changed.rows):
        raise Failure(f"{delta.path}: kept/rows are not the changed rows: the delta is damaged")
    rows = {group: arrays[f"{group}/texts"] for group in SETS if f"{group}/texts" in arrays}
    found = {}
    for group, path in (("truth", "changed"), *((group, group) for group in SETS)):
        if f"{path}/insertions" in arrays:
            found[f"{group}/insertions"] = arrays[f"{path}/insertions"]
    return apply.Texts({"truth": arrays["kept/texts"], **rows}, found)


def unpack(
    path: Path,
    output: Path | None,
    clean: CleanData,
    runtime: Runtime,
    force: bool = False,
    dry_run: bool = False,
) -> BuildResult:
    """Write the file that a delta was made of, to the byte, into a folder (None: the delta's) or under a name in .h5.

    Raises `Failure` where the delta is damaged, or the clean data are not those that it was made on.
    """
    delta = read(path)
    source = clean_images(delta.original.source, clean, runtime.progress, runtime.warn)
    return build.deliver(plan(delta, source), path.parent if output is None else output, runtime, force, dry_run)
