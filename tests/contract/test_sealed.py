"""Sealed files and keys against data/FORMAT.md, by somebody who has only that page; and `benchmark` on them."""

import hashlib
import json

import h5py
import numpy as np
import plain_reader
import pytest
from running import RECIPES, SMALL, run


@pytest.fixture(scope="module")
def sealed(library, tmp_path_factory):
    """name → (challenge, key)."""
    folder, made = tmp_path_factory.mktemp("sealed"), {}

    def pair(name):
        if name not in made:
            run("seal", library(name), "-o", folder / f"{name}.h5", "--key", folder / f"{name}.key.h5").succeeded()
            made[name] = folder / f"{name}.h5", folder / f"{name}.key.h5"
        return made[name]

    return pair


def manifest_of(f):
    assert list(f.attrs) == ["manifest"]
    facts = json.loads(f.attrs["manifest"])
    assert plain_reader.canonical(facts) == f.attrs["manifest"] and plain_reader.no_floats(facts)
    rest = {key: value for key, value in facts.items() if key != "dataset_digest"}
    assert facts["dataset_digest"] == plain_reader.digest(plain_reader.canonical(rest).encode())
    found = {}
    f.visititems(lambda name, node: found.update({name: node}) if isinstance(node, h5py.Dataset) else None)
    assert found.keys() == facts["arrays"].keys()
    for name, node in found.items():
        assert plain_reader.array_digest(node[()]) == facts["arrays"][name]["digest"], name
    return facts


def order(secret, part, count):
    head = hashlib.sha256(f"seal/{part}".encode()).digest()[:16]
    key = tuple(int.from_bytes(head[i : i + 4], "little") for i in range(0, 16, 4))
    return np.argsort(np.random.Philox(np.random.SeedSequence(secret, spawn_key=key)).random_raw(count), kind="stable")


@pytest.mark.parametrize("name", RECIPES)
def test_both_files_are_what_the_page_says(library, sealed, name):
    challenge, key = sealed(name)
    with h5py.File(challenge) as c, h5py.File(key) as k, h5py.File(library(name)) as o:
        facts, said, original = manifest_of(c), manifest_of(k), json.loads(o.attrs["manifest"])
        assert facts.keys() == {
            "format", "format_version", "modality", "kind", "name", "notice", "counts", "arrays", "dataset_digest",
            "source", "commitment",
        }  # fmt: skip
        assert facts["source"].keys() == {"name", "title", "licence", "url", "classes"}
        assert facts["counts"].keys() == {"train", "test"} and facts["kind"] == "sealed" and said["kind"] == "key"
        assert said.keys() == {
            "format", "format_version", "modality", "kind", "name", "notice", "arrays", "dataset_digest", "of", "file",
            "sidecar", "challenge", "commitment", "salt", "secret",
        }  # fmt: skip
        assert said["of"] == original and said["challenge"] == facts["dataset_digest"]
        data = library(name).read_bytes()
        assert said["file"] == {"size": len(data), "sha256": plain_reader.digest(data)}
        places = {}
        for part in ("train", "test"):
            places[part] = order(int(said["secret"]), part, original["counts"][part])
            for what in ("images", "labels"):
                assert np.array_equal(c[f"{part}/{what}"][()], o[f"{part}/{what}"][()][places[part]])
        columns = ([], [], [])
        if original["kind"] != "clean":
            rows = np.argsort(places["train"])[k["truth/rows"][()]]
            columns = [a[np.argsort(rows)].tolist() for a in (rows, k["truth/role"][()], k["truth/labels"][()])]
        answer = {
            "challenge": {path: entry["digest"] for path, entry in facts["arrays"].items()},
            "original": original["dataset_digest"],
            **dict(zip(("rows", "role", "labels"), columns, strict=True)),
        }
        whole = bytes.fromhex(said["salt"]) + plain_reader.canonical(answer).encode()
        assert facts["commitment"] == said["commitment"] == plain_reader.digest(whole)


def test_the_page_names_every_key(root, sealed):
    page = (root / "data" / "FORMAT.md").read_text("utf-8")
    for path in sealed("square"):
        with h5py.File(path) as f:
            for key in json.loads(f.attrs["manifest"]):
                assert f"`{key}`" in page, key


def test_rows_that_were_left_out_are_where_the_page_says(tmp_path):
    """The original's training set again, from challenge and key, by the page alone."""
    path, challenge, key = (tmp_path / name for name in ("x.h5", "c.h5", "c.key.h5"))
    run("make", *SMALL, "--trigger", "square", "--rate", "0.03", "-o", path).succeeded()
    run("seal", path, "-o", challenge, "--key", key, "--even-labels").succeeded()
    with h5py.File(challenge) as c, h5py.File(key) as k, h5py.File(path) as o:
        facts, said = manifest_of(c), manifest_of(k)
        assert facts["counts"] == {"train": len(c["train/labels"]), "test": 100}
        left, total = k["left/rows"][()], said["of"]["counts"]["train"]
        assert left.dtype == "<i8" and k["left/labels"].dtype == "<i8" and k["left/images"].dtype == "|u1"
        others = np.array([row for row in range(total) if row not in left])
        rows = others[order(int(said["secret"]), "train", len(others))]
        for what in ("images", "labels"):
            whole = np.empty_like(o[f"train/{what}"][()])
            whole[rows], whole[left] = c[f"train/{what}"][()], k[f"left/{what}"][()]
            assert np.array_equal(whole, o[f"train/{what}"][()])
        true = o["train/labels"][()]
        true[k["truth/rows"][()]] = k["truth/labels"][()]
        n, m = map(int, said["even_labels"].split("/"))
        assert np.bincount(c["train/labels"][()]).tolist() == [size * n // m for size in np.bincount(true).tolist()]


def test_benchmark_reads_a_sealed_file(library, sealed):
    from benchmark.format import dataset as data

    challenge, _ = sealed("square")
    contents = data.load(challenge)
    assert contents.triggered is contents.truth is contents.source_digest is None
    assert len(contents.train) == 200 and contents.classes == data.load(library("square")).classes


def test_benchmark_says_what_a_key_is_not(sealed):
    from benchmark.core.errors import Failure
    from benchmark.format import dataset as data

    with pytest.raises(Failure, match="its kind is 'key'"):
        data.load(sealed("square")[1])


def test_a_sealed_files_run_is_no_baseline_and_has_none():
    """Neither as the clean run that CAD needs, nor as a poisoned one that is compared."""
    from benchmark.runs import baseline
    from benchmark.runs.result import RunResult

    config = {"model": {}, "training": {}, "backend": "x", "precision": "y", "seed": 0}

    def result(kind, digest):
        scores = {"ba": {"count": 1, "of": 2, "percent": 50.0}, "asr": None}
        dataset = {"name": kind, "kind": kind, "source": "signs", "source_digest": digest, "recipe": {}, "counts": {}}
        return RunResult({"name": kind, "dataset": dataset, "config": config, "scores": scores})

    blind, clean, poisoned = result("sealed", None), result("clean", "a"), result("poisoned", "a")
    assert baseline.compare(blind, [clean, blind, result("clean", None)]) is None
    assert baseline.matching(poisoned, [blind, result("sealed", "a")])[1] == []
    assert baseline.compare(poisoned, [blind, clean]).cad == 0.0


def test_runs_on_sealed_files_are_results_and_stand_in_no_table():
    from benchmark.runs import baseline, groups, records, results
    from benchmark.runs.result import RunResult
    from benchmark.training.configuration import config_of
    from benchmark.training.settings import Settings

    share = {"count": 1, "of": 2, "percent": 50.0}
    dataset = {
        "name": "challenge-01234567",
        "kind": "sealed",
        "source": "signs",
        "source_digest": None,
        "recipe": {},
        "counts": {},
    }
    result = {
        "result_version": 1, "name": "run", "dataset": dataset, "config": config_of(Settings(), "sha256:0"),
        "scores": {"ba": share, "asr": None}, "preset": "tiny", "baseline": None,
    }  # fmt: skip
    assert records.is_result(result)
    assert not records.is_result(result | {"dataset": dataset | {"recipe": {"rate": "0"}}})
    result = RunResult(result)
    assert not baseline.incomplete(result, [result])
    run = results.Finished(None, result)
    assert groups.group([run]) == [] and results.advice([run]) == [] and results.sealed([run]) == 1
