"""One corpus of sound and broken files, through the readers of both programs: they agree on every one."""

import json

import corpus
import pytest

from poisonkit.core.errors import Failure
from poisonkit.format import reader, structure
from poisonkit.format.manifest import KeyManifest, parse

dataset = pytest.importorskip("benchmark.format.dataset")
sandbox = pytest.importorskip("benchmark.format.sandbox")
errors = pytest.importorskip("benchmark.core.errors")

KINDS = ("clean", "poisoned", "delta", "sealed")
SCHEMA = json.loads((corpus.ROOT / "data" / "schema.json").read_text(encoding="utf-8"))
CASES = corpus.cases(SCHEMA)


@pytest.fixture(scope="session")
def bases(library, tmp_path_factory):
    """Name of a base → its file, made when it is first asked for."""
    from running import run

    folder, made = tmp_path_factory.mktemp("corpus"), {}

    def path(name):
        if name not in corpus.MADE:
            return library(name)
        if name not in made:
            command, original, suffix = corpus.MADE[name]
            made[name] = folder / f"{name}.{suffix}"
            more = ("--key", folder / f"{name}.key.h5") if command == "seal" else ()
            run(command, library(original), "-o", made[name], *more).succeeded()
        return made[name]

    return path


def poisonkit_says(path) -> str | None:
    """What poisonkit's reader refuses a file for; None where it takes it, and every array of it."""
    try:
        found = parse(structure._checked(path, KINDS))
        with structure.opened(path) as file:
            data = reader.Reader(path, file, found)
            for name in found.arrays:
                data[name]
    except Failure as error:
        return str(error)
    return None


def benchmark_says(path) -> str | None:
    """The same of benchmark's."""
    try:
        sandbox.inspect(path)
        dataset._read(path, verify=False)
    except errors.Failure as error:
        return str(error)
    return None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_readers_agree(case, bases, tmp_path):
    path = corpus.write(case, bases(case.base), tmp_path / "x.h5")
    found = {"poisonkit": poisonkit_says(path), "benchmark": benchmark_says(path)}
    assert {name: wrong is None for name, wrong in found.items()} == dict.fromkeys(found, case.accepted), found
    for wrong in filter(None, found.values()):
        assert "\n" not in wrong and len(wrong) < 600


def test_the_corpus_is_of_some_size_and_of_both_kinds():
    accepted = sum(case.accepted for case in CASES)
    assert len(CASES) >= 300 and accepted >= 50 and len({str(case) for case in CASES}) == len(CASES)


def test_a_key_is_for_poisonkit_alone(bases):
    key = bases("sealed").with_name("sealed.key.h5")
    assert structure.inspect(key, KeyManifest).kind == "key"
    assert "kind is 'key', expected" in benchmark_says(key)


def test_both_programs_carry_the_same_tables():
    data = (corpus.ROOT / "data" / "schema.json").read_bytes()
    for package in ("poisonkit", "benchmark"):
        assert (corpus.ROOT / package / "format" / "schema.json").read_bytes() == data, "run `make docs`"


def test_both_programs_have_every_rule_that_the_tables_name():
    from benchmark.format import rules as others
    from poisonkit.format import rules as ours

    named = {rule["name"] for rule in SCHEMA["rules"]}
    assert set(ours.RULES) == set(others.RULES) == named


def test_what_the_core_knows_of_the_format_is_what_the_tables_say():
    from benchmark.format import manifest
    from poisonkit.core import label_modes, modality, texts
    from poisonkit.core.stencil import MAX_TAPS

    known = {one.name: (one.rows, one.dtype, one.dimensions) for one in modality.KNOWN.values()}
    assert known == {
        name: (table["rows"], table["dtype"], 1 + len(table["shape"])) for name, table in SCHEMA["modalities"].items()
    }
    assert {name: table["rows"] for name, table in SCHEMA["modalities"].items()} == manifest.INPUTS
    assert {mode: set(chosen) for mode, chosen in label_modes.SELECTIONS.items()} == {
        mode: set(table["select"]) for mode, table in SCHEMA["label_modes"].items()
    }
    assert SCHEMA["limits"]["text_bytes"] == texts.LARGEST_IN_FILE
    assert SCHEMA["sizes"]["K"]["maximum"] == MAX_TAPS
