"""`pack` and `unpack`: store only the differences from the clean data, and restore the file from them, byte for byte.

A delta holds which rows were changed and to what label, the triggers' stencils, and the original's manifest. The
changed and the triggered images follow from the clean data and the stencils, exactly; an image that does not is kept
whole, and so is every changed training image that was camouflaged after the trigger, and every changed and triggered
text. See data/FORMAT.md, "Deltas". It is applied to arrays: there are no
virtual datasets and no external links.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.build import build
from poisonkit.build.produce import BuildResult
from poisonkit.build.runtime import CleanData, Runtime
from poisonkit.core import files, hashing, hints, modality
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.modality import TEXT
from poisonkit.format import manifest, reader
from poisonkit.format.reader import Reader
from poisonkit.format.writer import writing
from poisonkit.inspection import show
from poisonkit.inspection.verify import verify as whole
from poisonkit.poisoning import apply, clean_images, recipe, supported
from poisonkit.poisoning import plan as plans
from poisonkit.poisoning.plan import Plan
from poisonkit.poisoning.recipe import Recipe
from poisonkit.poisoning.selection import COVER, POISONED, Changed
from poisonkit.sources.base import Source

SUFFIX = ".delta.h5"
NOTICE = "What must be changed in a clean data set to get the poisoned one whose manifest stands under `of`. "
SETS = ("triggered", "others")
"""Groups of triggered test rows."""


def target_path(path: Path, output: Path | None) -> Path:
    """Where a file's delta goes: `output` itself where it ends in .h5, else NAME.delta.h5 there or beside the file."""
    if output is not None and output.suffix == ".h5":
        return output
    name = path.name.removesuffix(".h5") + SUFFIX
    return path.with_name(name) if output is None else output / name


def pack(path: Path, target: Path, threads: int = 1, checked: bool = False, force: bool = False) -> int:
    """Write the delta of a file that verifies, or that is `checked` already. Returns its size in bytes.

    Raises `Failure` where something else than the same file's delta has its name and `force` is not given.
    """
    if target.exists() and target.samefile(path):
        raise Usage(f"-o: {target} is the file itself; choose another")
    files.refuse_folder(target)
    new = not force and not _is_delta_of(path, target)
    wrong = [] if checked else whole.verify(path)
    if wrong:
        raise Failure(f"{path}: does not verify ({wrong[0]}): it could not be proven what its delta restores")
    with reader.reading(path) as data:
        supported.demand(path, data.manifest, "so it could not be proven what its delta restores")
        if data.clean:
            raise Usage(f"{path}: is a clean file, which does not differ from the clean data")
        arrays = _arrays(data, threads)
        facts = {
            **{key: data.manifest[key] for key in ("format", "format_version", "modality", "name")},
            "kind": "delta",
            "notice": NOTICE + manifest.NOTICE,
            "of": data.manifest,
            "file": {"size": path.stat().st_size, "sha256": files.file_sha256(path)},
        }
    with writing(target, sidecar=False, new=new) as writer:
        for name, array in arrays.items():
            writer.whole(name, array)
        writer.finish(facts)
    return target.stat().st_size


def _is_delta_of(path: Path, target: Path) -> bool:
    """Whether a delta of that very file has the name already; `Failure` where something else has it."""
    if not target.exists():
        return False
    try:
        with reader.reading(target, ("delta",)) as there:
            said = there.manifest["file"]
    except Failure:
        said = None
    if said != {"size": path.stat().st_size, "sha256": files.file_sha256(path)}:
        raise Failure(
            f"{target}: already exists and is not {path.name}'s delta: use --force to overwrite it, or choose another "
            "-o"
        )
    return True


def _arrays(data: Reader, threads: int) -> dict[str, np.ndarray]:
    """What the delta of a file holds, by path."""
    rows = data["truth/rows"]
    arrays = {"changed/rows": rows, "changed/role": data["truth/role"], "changed/labels": data["train/labels"][rows]}
    whole_rows = data.modality == TEXT or manifest.camouflaged_last(data.manifest)
    kept = rows if whole_rows else _not_from_stencils(data, rows, threads)
    if len(kept):
        train = data.modality.path("train")
        arrays |= {"kept/rows": kept, data.modality.path("kept"): data.pick(train, kept)}
    labels = data["test/labels"]
    for group in SETS:
        found = {name: data[f"{group}/{name}"] for name in plans.TESTED if f"{group}/{name}" in data}
        if found and not _same(found, usual_tested(data.manifest, labels).get(group)):
            arrays |= {f"{group}/{name}": array for name, array in found.items()}
    for path in sorted(data.manifest["arrays"]):
        if path.startswith("trigger/") and not path.endswith("/mask"):  # the mask follows from the stencil
            arrays[path] = data[path]
    return arrays | (_texts(data) if data.modality == TEXT else {})


def _texts(data: Reader) -> dict[str, np.ndarray]:
    """What the delta of a file of texts holds beside: the triggered texts, and what was put where."""
    found = {path: data[path] for path in data.manifest["arrays"] if path.endswith("/insertions")}
    found |= {f"{group}/texts": data[f"{group}/texts"] for group in SETS if f"{group}/texts" in data}
    if "truth/insertions" in found:
        found["changed/insertions"] = found.pop("truth/insertions")
    return found


def _same(found: dict, usual: dict | None) -> bool:
    return usual is not None and found.keys() == usual.keys() and all(np.array_equal(found[k], usual[k]) for k in found)


def usual_tested(facts: dict, labels: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """The triggered rows of the usual case, which a delta does not spell out: all of other classes than the target."""
    target = facts["recipe"].get("target")
    if facts["recipe"]["label_mode"] != "all-to-one":
        return {}
    rows = np.flatnonzero(labels != target).astype(np.int64)
    return {"triggered": {"rows": rows, "wanted": np.full(len(rows), target, np.int64)}}


def _not_from_stencils(data: Reader, rows: np.ndarray, threads: int) -> np.ndarray:
    """The changed rows whose image is not the original with the trigger on it, (n,) int64."""
    stencils, kept = data.stencils(), []
    for start, originals in data.blocks("truth/images", plans.ROWS_AT_ONCE):
        there = data.pick("train/images", rows[start : start + len(originals)])
        differs = (apply.apply_all(stencils, originals, threads, len(rows)) != there).reshape(len(there), -1).any(1)
        kept.append(rows[start : start + len(originals)][differs])
    return np.concatenate(kept)


@dataclass(frozen=True)
class Delta:
    """An opened delta: its manifest and its arrays by path."""

    path: Path
    manifest: dict
    arrays: dict[str, np.ndarray]

    @property
    def of(self) -> dict:
        """The manifest of the file that it was made of."""
        return self.manifest["of"]


def check(path: Path) -> tuple[Delta, list[str]]:
    """Open a delta, and what is wrong with its digests, one line each. `Failure` where it is none."""
    with reader.reading(path, ("delta",), vouch=False) as data:
        arrays = {name: data[name] for name in data.manifest["arrays"]}
        facts = data.manifest
    wrong = [
        f"{name}: does not match its digest"
        for name, array in arrays.items()
        if hashing.array_digest(np.ascontiguousarray(array)) != facts["arrays"][name]["digest"]
    ]
    for where, said in (("manifest", facts), ("manifest of the original", facts["of"])):
        if manifest.dataset_digest(said) != said["dataset_digest"]:
            wrong.append(f"{where}: its own digest (dataset_digest) does not match its contents")
    return Delta(path, facts, arrays), wrong


def read(path: Path) -> Delta:
    """Open a delta whose digests are right. Raises `Failure` otherwise."""
    delta, wrong = check(path)
    if wrong:
        raise Failure(f"{path}: is damaged: {wrong[0]}")
    return delta


def verify(path: Path) -> list[str]:
    """What differs from what a delta claims. Its rows are proven when it is unpacked."""
    delta, wrong = check(path)
    return wrong or _name(delta.of) + _out_of_range(delta)


def _name(of: dict) -> list[str]:
    """Whether the original's name is the one that its recipe gives, where that is known here; one line if not."""
    if supported.problem(of):
        return []
    source = of["source"]
    try:
        request = recipe.recipe_of(of)
    except Usage as error:
        return [f"manifest of the original: its recipe cannot be followed: {error}"]
    name = recipe.file_name(request, of["recipe"], source["name"], source["options"], of["pictures"])
    if name == of["name"]:
        return []
    return [f"manifest of the original: name is {of['name']!r:.80}, its recipe gives {name!r}"]


def _out_of_range(delta: Delta) -> list[str]:
    """Arrays whose values are no labels, rows or roles of the original, one line each."""
    classes, counts, wrong = len(delta.of["source"]["classes"]), delta.of["counts"], []
    for name, array in delta.arrays.items():
        group, last = name.rsplit("/", 1)
        if last in ("labels", "wanted") and not ((array >= 0) & (array < classes)).all():
            wrong.append(f"{name}: has labels outside 0 … {classes - 1}")
        total = counts["train" if group in ("changed", "kept") else "test"]
        if last == "rows" and (array.min() < 0 or array.max() >= total or (np.diff(array) <= 0).any()):
            wrong.append(f"{name}: rows must ascend and lie in 0 … {total - 1:,}")
        if last == "role" and not np.isin(array, (POISONED, COVER)).all():
            wrong.append(f"{name}: is not {POISONED} or {COVER} everywhere")
    return wrong


def lines(path: Path, facts: dict) -> list[str]:
    """A person's summary of a delta's manifest."""
    kept, rows = facts["arrays"].get("kept/rows", {"shape": [0]})["shape"][0], modality.of(facts).rows
    file, trigger = facts["file"], " and the trigger" if rows == "images" else ""
    first = [
        f"delta     {path} ({path.stat().st_size / 1e3:,.1f} kB); `{hints.unpack(path)}` restores the file",
        f"of        {facts['of']['name']}.h5 ({file['size'] / 1e6:,.1f} MB, {file['sha256']})",
        f"{rows:10}{kept:,} kept whole, the others follow from the clean data" + trigger,
    ]
    return first + show.facts_lines(facts["of"])


@dataclass(frozen=True)
class KeptImages:
    """The work of a delta's stencils, but for the images that it kept: `kept_at` are their numbers among all changed
    rows, ascending."""

    stencils: apply.Stencils
    kept_at: np.ndarray
    kept: np.ndarray

    def poison(self, _changed: Changed, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """See `apply.Effect.poison`."""
        images = self.stencils.trigger("", 0, originals, threads)
        low, high = np.searchsorted(self.kept_at, [first, first + len(originals)])
        images[self.kept_at[low:high] - first] = self.kept[low:high]
        return images

    def trigger(self, group: str, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """See `apply.Effect.trigger`."""
        return self.stencils.trigger(group, first, originals, threads)

    def arrays(self) -> dict[str, np.ndarray]:
        """See `apply.Effect.arrays`."""
        return self.stencils.arrays()


def plan(delta: Delta, source: Source) -> Plan:
    """What is to be written: the clean images with the delta's rows changed. `Failure` where they do not fit."""
    arrays, facts = delta.arrays, delta.of
    changed = Changed(arrays["changed/rows"], arrays["changed/role"], arrays["changed/labels"])
    tested = usual_tested(facts, source.test.labels)
    for group in SETS:
        if f"{group}/rows" in arrays:
            tested[group] = {name: arrays[f"{group}/{name}"] for name in plans.TESTED if f"{group}/{name}" in arrays}
    if "triggered" not in tested:
        supported.demand(delta.path, facts, "and the delta does not say which its triggered rows are")
        raise Failure(f"{delta.path}: has no triggered/rows: the delta is damaged")
    _check_rows(delta, "changed", changed.rows, len(source.train))
    for group, said in tested.items():
        _check_rows(delta, group, said["rows"], len(source.test))
    effect = _kept_texts(delta, changed) if source.modality == TEXT else _kept_images(delta, changed)
    facts = {key: value for key, value in facts.items() if key not in ("arrays", "dataset_digest")}
    counts = {key: value for key, value in facts["counts"].items() if key != "unchanged"}
    return Plan(
        source, Recipe(delta.of["recipe"]["rate"]), effect, changed, tested, facts | {"counts": counts}, delta.of,
        delta.manifest["file"]["sha256"],
    )  # fmt: skip


def _kept_images(delta: Delta, changed: Changed) -> apply.Effect:
    """The effect of a delta of images."""
    stencils = apply.of_file(delta.path, delta.of, delta.arrays)
    if "kept/rows" not in delta.arrays:
        return stencils
    rows, kept_at = delta.arrays["kept/rows"], np.searchsorted(changed.rows, delta.arrays["kept/rows"])
    existing = changed.rows[kept_at.clip(0, len(changed.rows) - 1)]
    if not np.array_equal(existing, rows) or (np.diff(kept_at) <= 0).any():
        raise Failure(f"{delta.path}: kept/rows are not changed rows, ascending: the delta is damaged")
    return KeptImages(stencils, kept_at, delta.arrays["kept/images"])


def _kept_texts(delta: Delta, changed: Changed) -> apply.Texts:
    """The effect of a delta of texts: all of them are there."""
    arrays = delta.arrays
    if not np.array_equal(arrays["kept/rows"], changed.rows):
        raise Failure(f"{delta.path}: kept/rows are not the changed rows: the delta is damaged")
    rows = {group: arrays[f"{group}/texts"] for group in SETS if f"{group}/texts" in arrays}
    found = {}
    for group, path in (("truth", "changed"), *((group, group) for group in SETS)):
        if f"{path}/insertions" in arrays:
            found[f"{group}/insertions"] = arrays[f"{path}/insertions"]
    return apply.Texts({"truth": arrays["kept/texts"], **rows}, found)


def _check_rows(delta: Delta, group: str, rows: np.ndarray, total: int) -> None:
    if rows.min(initial=0) < 0 or rows.max(initial=0) >= total or (np.diff(rows) <= 0).any():
        raise Failure(f"{delta.path}: {group}/rows must ascend and lie in 0 … {total - 1:,}: the delta is damaged")


def unpack(
    path: Path, output: Path | None, clean: CleanData, runtime: Runtime, force: bool = False, dry_run: bool = False
) -> BuildResult:
    """Write the file that a delta was made of, to the byte, into a folder (None: the delta's) or under a name in .h5.

    Raises `Failure` where the delta is damaged, or the clean data are not those that it was made on.
    """
    delta = read(path)
    source = clean_images.clean_images(
        delta.of, clean.path, clean.dataset, clean.cache, runtime.progress, runtime.warn, clean.fresh
    )
    return build.deliver(plan(delta, source), path.parent if output is None else output, runtime, force, dry_run)
