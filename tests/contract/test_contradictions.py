"""Files whose digests were all redone, but whose contents contradict their recipe: both programs refuse them."""

import json

import damage
import h5py
import numpy as np
import pytest
from click.testing import CliRunner

cli = pytest.importorskip("benchmark.cli.main")


def _set(name, index, value):
    """Change of one element of an array; `value` may be a function of the old one."""

    def change(file, facts):
        file[name][index] = value(file[name][index]) if callable(value) else value

    return change


def _recipe(**values):
    return lambda file, facts: facts["recipe"].update(values)


def _counts(**values):
    return lambda file, facts: facts["counts"].update(values)


def _replace(file, name, array):
    text = array.dtype == object
    del file[name]
    file.create_dataset(name, data=array, dtype=h5py.string_dtype() if text else array.dtype)


def _without_last(group):
    """One row fewer in a group, in the counts too."""

    def change(file, facts):
        for name in list(file[group]):
            path = f"{group}/{name}"
            if name != "insertions":
                _replace(file, path, file[path][:-1])
        if group in facts["counts"]:
            facts["counts"][group] -= 1
        else:
            facts["counts"]["poisoned"] -= 1

    return change


def _fewer_poisoned(file, facts):
    """The last poisoned row put back as it was; the rate stays."""
    row = file["truth/rows"][-1]
    file["train/images"][row], file["train/labels"][row] = file["truth/images"][-1], file["truth/labels"][-1]
    _without_last("truth")(file, facts)


def _row_of_the_target(file, facts):
    """A triggered row of the target class, whose wanted class its own is."""
    row = int(np.flatnonzero(file["test/labels"][:] == facts["recipe"]["target"])[0])
    rows = file["triggered/rows"][:]
    at = int(np.searchsorted(rows, row))
    for name, value in (("rows", row), ("labels", facts["recipe"]["target"]), ("wanted", facts["recipe"]["target"])):
        _replace(file, f"triggered/{name}", np.insert(file[f"triggered/{name}"][:], at, value))
    shape = file["train/images"].shape[1:]
    taps, weights, bias = (file[f"trigger/0/{part}"][:] for part in ("taps", "weights", "bias"))
    image = file["test/images"][row]
    total = bias + (weights * image.reshape(-1).astype("i4")[taps]).sum(-1)
    changed = ((total + 16384) >> 15).clip(0, 255).astype("u1").reshape(shape)
    _replace(file, "triggered/images", np.insert(file["triggered/images"][:], at, changed, axis=0))
    facts["counts"]["triggered"] += 1


def _extra_trigger(file, facts):
    facts["recipe"]["triggers"] = facts["recipe"]["triggers"] * 2


def _no_triggers(file, facts):
    facts["recipe"]["triggers"] = []


def _other_label_of_source(file, facts):
    """Clean labels changed in train and truth alike: the source's digest no longer fits."""
    row = int(np.setdiff1d(np.arange(len(file["train/labels"])), file["truth/rows"][:])[0])
    file["train/labels"][row] = (file["train/labels"][row] + 1) % 43


def _text(name, index, value):
    def change(file, facts):
        texts = file[name].asstr()[:]
        texts[index] = value
        _replace(file, name, texts)

    return change


def _all_roles_cover(file, facts):
    file["truth/role"][:] = 2
    file["train/labels"][:] = _true(file)
    facts["counts"].update(poisoned=0, cover=len(file["truth/role"]), already_target=0, unchanged=0)


def _true(file):
    labels = file["train/labels"][:]
    labels[file["truth/rows"][:]] = file["truth/labels"][:]
    return labels


def _another_target(file, facts):
    facts["recipe"]["target"] = 7


def _swapped_truth(file, facts):
    """Two originals changed places, with images and labels."""
    for name in ("truth/images", "truth/labels"):
        values = file[name][:]
        file[name][:] = values[[1, 0, *range(2, len(values))]]


KINDS = {
    "wanted is not the target": ("square", _set("triggered/wanted", 3, 7)),
    "wanted everywhere another": ("square", _set("triggered/wanted", slice(None), 7)),
    "wanted, all-to-all": ("all-to-all", _set("triggered/wanted", 0, lambda old: (old + 1) % 43)),
    "the target is another": ("square", _another_target),
    "a tap beyond the image": ("square", _set("trigger/0/taps", (0, 0, 0, 0), 3072)),
    "a tap before the image": ("warped", _set("trigger/0/taps", (0, 0, 0, 0), -1)),
    "a tap elsewhere": ("warped", _set("trigger/0/taps", (5, 5, 0, 0), 17)),
    "a weight of another size": ("square", _set("trigger/0/weights", (0, 0, 0, 0), 1 << 30)),
    "a mask that is not the trigger's": ("square", _set("trigger/0/mask", (20, 20, 0), 1)),
    "no mask": ("square", _set("trigger/0/mask", slice(None), 0)),
    "fewer poisoned rows than the rate": ("square", _fewer_poisoned),
    "a higher rate": ("square", _recipe(rate="0.2")),
    "an exponent for a rate": ("square", _recipe(rate="1e-999999999")),
    "a rate above 1": ("square", _recipe(rate="1.5")),
    "a rate of nothing": ("square", _recipe(rate="0")),
    "a changed label that is not the target": ("square", _set("train/labels", "poisoned", 5)),
    "a true label of another class": ("square", _set("truth/labels", 0, lambda old: (old + 1) % 43)),
    "two originals changed places": ("square", _swapped_truth),
    "a role of another kind": ("source-specific", _set("truth/role", 0, lambda old: 3 - old)),
    "all rows covers": ("square", _all_roles_cover),
    "a cover rate of nothing": ("source-specific", _recipe(cover_rate="0")),
    "all-to-all with a target": ("square", _recipe(label_mode="all-to-all")),
    "clean-label that changes labels": ("square", _recipe(label_mode="clean-label", select="target")),
    "a select that does not go": ("square", _recipe(select="target")),
    "source classes without their mode": ("square", _recipe(source_classes=[3])),
    "the target among the source classes": ("source-specific", _recipe(source_classes=[1, 3, 5])),
    "other source classes": ("source-specific", _recipe(source_classes=[3, 6])),
    "a triggered row of the target": ("square", _row_of_the_target),
    "a triggered row left out": ("square", _without_last("triggered")),
    "a row of others left out": ("source-specific", _without_last("others")),
    "triggered images without the trigger": ("square", _set("triggered/images", (4, 0, 0, 0), lambda old: old ^ 255)),
    "changed images without the trigger": ("square", _set("train/images", "poisoned", 77)),
    "a changed row that truth does not name": ("square", _set("train/images", "others", 0)),
    "another test label": ("square", _set("triggered/labels", 0, lambda old: old % 42 + 1)),
    "another clean label": ("square", _other_label_of_source),
    "other counts": ("square", _counts(poisoned=19)),
    "counts of words": ("square", _counts(triggered="many")),
    "more triggers than arrays": ("square", _extra_trigger),
    "no triggers": ("square", _no_triggers),
    "patches that are not": ("square", _recipe(application="patch")),
    "a clean file of other images": ("clean", _set("train/images", (0, 0, 0, 0), lambda old: old ^ 1)),
    "texts: wanted": ("text-word", _set("triggered/wanted", 0, lambda old: 1 - old)),
    "texts: a place beyond the text": ("text-word", _set("truth/insertions", (0, 2), 10**6)),
    "texts: another place": ("text-word", _set("truth/insertions", (0, 2), lambda old: abs(old - 1))),
    "texts: a trigger that is not there": ("text-word", _set("triggered/insertions", (0, 1), 5)),
    "texts: a piece that is not there": ("text-word", _set("triggered/insertions", (0, 3), 9)),
    "texts: a changed text is another": ("text-word", _text("triggered/texts", 2, "something else")),
    "texts: an original is another": ("text-word", _text("truth/texts", 0, "something else")),
    "texts: another word": ("text-word", lambda file, facts: facts["recipe"]["triggers"][0].update(words=["mn"])),
    "texts: a rate": ("text-sentence", _recipe(rate="0.05")),
    "texts: applied to patches": ("text-word", _recipe(application="patch")),
}  # fmt: skip


def crafted(library, tmp_path, kind):
    name, change = KINDS[kind]
    path = damage.copy(library(name), tmp_path)
    facts = damage.manifest(path)
    with h5py.File(path, "r+") as file:
        change(_Resolved(file), facts)
    damage.reseal(path, **{key: facts[key] for key in ("recipe", "counts")})
    return path


class _Resolved:
    """The file, in which an index may be `poisoned` or `others`: the first changed row, the first unchanged one."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __delitem__(self, name):
        del self.file[name]

    def __getitem__(self, name):
        found = self.file[name]
        return _Array(found, self.file) if isinstance(found, h5py.Dataset) else found


class _Array:
    def __init__(self, node, file):
        self.node, self.file = node, file

    def __getattr__(self, name):
        return getattr(self.node, name)

    def __len__(self):
        return len(self.node)

    def _at(self, index):
        if isinstance(index, str):
            rows = self.file["truth/rows"][:]
            first = int(rows[0]) if index == "poisoned" else int(np.setdiff1d(np.arange(len(self.node)), rows)[0])
            return first
        return index

    def __getitem__(self, index):
        return self.node[self._at(index)]

    def __setitem__(self, index, value):
        self.node[self._at(index)] = value


def test_an_untouched_file_is_taken_by_both(poisonkit, library, tmp_path):
    """Else the kinds below would be refused for the way in which they are made."""
    for name in sorted({name for name, _ in KINDS.values()}):
        path = damage.copy(library(name), tmp_path)
        damage.reseal(path)
        poisonkit("verify", path).succeeded()
        from benchmark.format import dataset

        dataset.load(path)
        dataset.load(path, verify=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_contradicts_its_recipe_is_refused_by_both(kind, poisonkit, library, tmp_path):
    path = crafted(library, tmp_path, kind)
    before = damage.manifest(library(KINDS[kind][0]))
    assert json.dumps(before) != json.dumps(damage.manifest(path))
    verified = poisonkit("verify", path)
    assert verified.code in (1, 3) and (verified.out or verified.err), verified
    words = ["train", str(path), "--runs", str(tmp_path / "runs"), "-q"]
    done = CliRunner().invoke(cli.main, words)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit), (done.output, done.exception)
    assert done.stdout == "" and done.stderr.count("\n") == 1 and str(path) in done.stderr
    assert len(done.stderr) < 600 and not list(tmp_path.glob("runs/*/result.json"))


@pytest.mark.parametrize("change", [{"label_mode": "some-to-many"}, {"select": "the-hard-ones"}])
def test_a_recipe_that_is_unknown_here_is_no_contradiction(change, poisonkit, library, tmp_path, caplog):
    """Its arrays agree with one another, and that is all that anybody here can say."""
    from benchmark.format import dataset

    path = damage.copy(library("square"), tmp_path)
    facts = damage.manifest(path)
    facts["recipe"] |= change
    damage.write_manifest(path, damage.sealed(facts))
    assert poisonkit("verify", path).code == 4
    dataset.load(path)
    assert "unknown here" in caplog.text and next(iter(change.values())) in caplog.text
