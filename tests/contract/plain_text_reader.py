"""A reader of text files written from data/FORMAT.md alone, as plain_reader.py is one of image files.

`check(path)` asserts everything that the page says about such a file and returns its manifest.
"""

import hashlib
import json
import re

import h5py
import numpy as np
from plain_reader import (
    COUNTS,
    KEYS,
    LATE,
    RECIPE,
    canonical,
    digest,
    expected_rows,
    no_floats,
    path_free,
    random_words,
    tested_of,
    wanted_of,
)

GROUPS = {"train": ("labels",), "test": ("labels",), "triggered": ("labels", "wanted", "rows")} | {
    "others": ("labels", "rows"),
    "truth": ("rows", "role", "labels"),
}


def array_digest(array) -> str:
    if array.dtype != object:
        return digest(f"{array.dtype.str} {','.join(map(str, array.shape))}\n".encode() + array.tobytes())
    total = hashlib.sha256()
    for text in array:
        data = text.encode("utf-8")
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return f"sha256:{total.hexdigest()}"


def insert(text, place, piece):
    """The page's own code."""
    starts = [word.start() for word in re.finditer(r"\S+", text)]
    if place == len(starts):
        return text + " " + piece
    return text[: starts[place]] + piece + " " + text[starts[place] :]


def check(path) -> dict:
    with h5py.File(path) as f:
        assert list(f.attrs) == ["manifest"]
        manifest = json.loads(f.attrs["manifest"])
        check_manifest(manifest, f.attrs["manifest"])
        a = check_layout(f, manifest)
    for name, entry in manifest["arrays"].items():
        assert array_digest(a[name]) == entry["digest"], name
    if manifest["kind"] == "clean":
        assert manifest["recipe"] == {"rate": "0"} and manifest["counts"].keys() == {"train", "test"}
        assert {name: entry["digest"] for name, entry in manifest["arrays"].items()} == manifest["source"]["arrays"]
    else:
        check_poisoning(manifest, a)
    return manifest


def check_manifest(manifest, text) -> None:
    assert canonical(path_free(manifest)) == text and no_floats(manifest) and manifest.keys() == KEYS
    assert (manifest["format"], manifest["format_version"], manifest["modality"]) == ("poisonkit", 1, "text")
    rest = {key: value for key, value in manifest.items() if key != "dataset_digest"}
    assert manifest["dataset_digest"] == digest(canonical(rest).encode("utf-8"))
    assert manifest["source"]["digest"] == digest(canonical(manifest["source"]["arrays"]).encode("utf-8"))
    names = {"train/texts", "train/labels", "test/texts", "test/labels"}
    assert manifest["source"]["arrays"].keys() == names and manifest["pictures"] == {}


def check_layout(f, manifest) -> dict:
    """Every array, texts as `str`."""
    groups = set(GROUPS) if manifest["kind"] == "poisoned" else {"train", "test"}
    groups -= set() if "others" in manifest["counts"] else {"others"}
    expected = {f"{group}/{name}" for group in groups for name in (*GROUPS[group], "texts")}
    there = set()
    f.visititems(lambda name, node: there.add(name) if isinstance(node, h5py.Dataset) else None)
    insertions = {f"{group}/insertions" for group in groups - {"train", "test"}}
    assert expected <= there <= expected | insertions and there == manifest["arrays"].keys()
    arrays = {}
    for name in there:
        data, said = f[name], manifest["arrays"][name]
        assert data.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS and not len(data.attrs)
        if name.endswith("/texts"):
            assert h5py.check_string_dtype(data.dtype) == ("utf-8", None)
            arrays[name] = data.asstr()[:]
            assert all(text and text == text.strip() and "\0" not in text for text in arrays[name])
            assert said["dtype"] == "text"
        else:
            arrays[name] = data[:]
            assert said["dtype"] == data.dtype.str == ("|u1" if name == "truth/role" else "<i8")
        assert said["shape"] == list(data.shape)
        wide = (4,) if name.endswith("/insertions") else ()
        assert data.shape[1:] == wide and (wide or len(data) == len(f[name.split("/")[0] + "/texts"]))
    return arrays


def draws(step, raw, text, cover):
    """Yield place and piece of each insertion of one trigger; the text with it is sent back."""

    def place(word, text):
        n = len(text.split())
        return {"start": 0, "end": n, "random": (int(word) >> 32) * (n + 1) // 2**32}[step["place"]]

    def which(word):
        return (int(word) >> 32) * len(step["words"]) // 2**32

    if step["name"] == "sentence":
        yield place(raw[0], text), 0
    elif step["name"] == "word":
        for turn in range(step["count"]):
            text = yield place(raw[2 * turn], text), which(raw[2 * turn + 1])
    elif cover:
        yield place(raw[0], text), which(raw[1])
    else:
        at = 0
        for piece in range(len(step["words"])):
            beside = piece and step["spread"] == "adjacent"
            at = at + 1 if beside else place(raw[piece], text)
            text = yield at, piece


def put(recipe, texts, rows, test, role=None):
    """Every insertion of the recipe's triggers, drawn as the page says, and the texts with them."""
    found, changed = [], []
    for number, (text, row) in enumerate(zip(texts, rows.tolist(), strict=True)):
        for i, step in enumerate(recipe["triggers"]):
            name, words = step["name"], step.get("words", [step.get("text")])
            serial = [one["name"] for one in recipe["triggers"][:i]].count(name)
            stream = (f"{name}-{serial}" if serial else name) + ("-test" if test else "")
            drawn = step["place"] == "random" or len(words) > 1
            assert (stream in recipe["streams"]) == drawn
            raw = random_words(recipe["seed"], stream, 200, (row,)) if drawn else [0] * 200
            some, one = draws(step, raw, text, role is not None and role[number] == 2), None
            while True:
                try:
                    place, piece = some.send(one)
                except StopIteration:
                    break
                one = text = insert(text, place, words[piece])
                found.append((number, i, place, piece))
        changed.append(text)
    return changed, found


def check_poisoning(manifest, a) -> None:
    recipe, counts, classes = manifest["recipe"], manifest["counts"], len(manifest["source"]["classes"])
    assert RECIPE <= recipe.keys() <= RECIPE | LATE and COUNTS <= counts.keys() <= COUNTS | {"others"}
    assert (recipe["application"], recipe["patch"]) == ("text", None) and "cover_jitter" not in recipe
    rows, role, clean = (
        a["truth/rows"],
        a["truth/role"],
        {name: a[name].copy() for name in manifest["source"]["arrays"]},
    )
    clean["train/texts"][rows], clean["train/labels"][rows] = a["truth/texts"], a["truth/labels"]
    assert {name: array_digest(array) for name, array in clean.items()} == manifest["source"]["arrays"]
    assert dict(zip(rows.tolist(), role.tolist(), strict=True)) == expected_rows(recipe, clean["train/labels"])
    given = np.where(
        role == 1, wanted_of(recipe, a["truth/labels"], classes, a["truth/rows"], "train"), a["truth/labels"]
    )
    assert np.array_equal(a["train/labels"][rows], given)

    changed, found = put(recipe, a["truth/texts"], rows, False, role)
    assert a["train/texts"][rows].tolist() == changed and a["truth/insertions"].tolist() == list(map(list, found))
    for group, chosen in zip(("triggered", "others"), tested_of(recipe, a["test/labels"]), strict=True):
        if chosen.any():
            tested = a[f"{group}/rows"]
            assert tested.tolist() == np.flatnonzero(chosen).tolist() and counts[group] == len(tested)
            assert np.array_equal(a[f"{group}/labels"], a["test/labels"][tested])
            changed, found = put(recipe, a["test/texts"][tested], tested, True)
            assert a[f"{group}/texts"].tolist() == changed
            assert a[f"{group}/insertions"].tolist() == list(map(list, found))
    assert np.array_equal(
        a["triggered/wanted"], wanted_of(recipe, a["triggered/labels"], classes, a["triggered/rows"], "test")
    )
    assert counts["poisoned"] == (role == 1).sum() and counts["cover"] == (role == 2).sum()
    same = a["train/texts"][rows] == a["truth/texts"]
    assert counts["unchanged"] == (same & (role == 1)).sum()
