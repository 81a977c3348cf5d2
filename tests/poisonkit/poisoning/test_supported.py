"""Sound files of a newer version, or with somebody's own trigger: the arrays agree, the recipe is unknown here."""

import json
import shutil

import damage
import pytest


def trigger(**values):
    return lambda facts: facts["recipe"].update(triggers=[values])


CHANGES = {
    "trigger 'glow'": trigger(name="glow", strength="0.5", points=[1, 2], note="any text"),
    "parameter 'softness' of square": lambda facts: facts["recipe"]["triggers"][0].update(softness=3),
    "square: position": lambda facts: facts["recipe"]["triggers"][0].update(position="everywhere"),
    "recipe version 7": lambda facts: facts.update(recipe_version=7, name="anything"),
    "label mode 'all-to-some'": lambda facts: facts["recipe"].update(label_mode="all-to-some"),
    "select 'odd'": lambda facts: facts["recipe"].update(select="odd"),
    "recipe key 'cover_shape'": lambda facts: facts["recipe"].update(cover_shape="round"),
    "key 'claim'": lambda facts: facts.update(claim="bona fide"),
    "key 'counts.claim'": lambda facts: facts["counts"].update(claim=3),
    "option 'version' of the source signs": lambda facts: facts["source"]["options"].update(version=7),
    "camouflage 'glass=2'": lambda facts: facts["source"]["options"].update(
        {"camouflage": "glass=2", "camouflage-seed": 5}
    ),
}


def changed(path, change):
    """Let the file of any kind say something else of its recipe, with digests that fit."""
    facts = damage.manifest(path)
    if "of" in facts:
        change(facts["of"])
        facts["of"] = damage.sealed(facts["of"])
    else:
        change(facts)
    damage.write_manifest(path, damage.sealed(facts))
    return path


@pytest.fixture
def unknown(library, tmp_path):
    return lambda words, name="square": changed(damage.copy(library(name), tmp_path), CHANGES[words])


@pytest.mark.parametrize("words", CHANGES)
def test_verify_says_so(poisonkit, unknown, words):
    done = poisonkit("verify", unknown(words))
    assert done.code == 4 and "changed.h5: arrays agree, recipe unknown here" in done.out and words in done.out, done


@pytest.mark.parametrize("name", ["text-word", "wanet", "source-specific", "clean", "two", "text-clean"])
def test_of_every_kind_of_data_set(poisonkit, unknown, library, name):
    assert poisonkit("verify", unknown("recipe version 7", name)).code == 4


def test_a_text_trigger(poisonkit, library, tmp_path):
    path = changed(damage.copy(library("text-word"), tmp_path), trigger(name="emoji", symbols=["x"]))
    assert poisonkit("verify", path).code == 4
    (tmp_path / "lines.txt").write_text("a good film\n")
    poisonkit("apply", path, tmp_path / "lines.txt", "-o", tmp_path / "out.txt").failed(4, "trigger 'emoji'")
    assert poisonkit("stats", path).succeeded() and poisonkit("preview", path).succeeded()


@pytest.mark.parametrize("words", CHANGES)
def test_a_difference_is_still_one(poisonkit, unknown, words):
    path = unknown(words)
    damage.set_rows(path, "truth/images", {0: 1})
    done = poisonkit("verify", path)
    assert done.code == 3 and "truth/images" in done.out
    damage.reseal(path)  # all digests fit: but truth is no longer what the source had
    done = poisonkit("verify", path)
    assert done.code == 3 and "put back they are not the source's" in done.out, done


def test_known_parts_are_still_looked_at(poisonkit, unknown):
    path = unknown("trigger 'glow'")
    damage.set_rows(path, "triggered/wanted", {0: 3})
    damage.reseal(path)
    done = poisonkit("verify", path)
    assert done.code == 3 and "triggered/wanted" in done.out


def test_several_files(poisonkit, unknown, library, tmp_path):
    path = unknown("trigger 'glow'")
    assert poisonkit("verify", path, library("square")).code == 4
    assert poisonkit("verify", path, tmp_path / "missing.h5").code == 1
    damage.set_rows(shutil.copy(library("square"), tmp_path / "other.h5"), "truth/images", {0: 1})
    assert poisonkit("verify", path, tmp_path / "missing.h5", tmp_path / "other.h5").code == 3


@pytest.fixture
def delta(poisonkit, library, tmp_path):
    def of(words):
        path = tmp_path / "x.delta.h5"
        poisonkit("pack", library("square"), "-o", path).succeeded()
        return changed(path, CHANGES[words])

    return of


@pytest.mark.parametrize("words", ["trigger 'glow'", "recipe version 7", "label mode 'all-to-some'"])
def test_a_delta_gives_its_file_where_it_says_enough(poisonkit, library, delta, tmp_path, words):
    """A delta of a known label mode needs nothing of its recipe; the rows of another one must stand in it."""
    path, back = delta(words), tmp_path / "back.h5"
    done = poisonkit("verify", path)
    assert done.code == 4 and words in done.out
    asked = ("unpack", path, "--base", library("clean"), "-o", back)
    if "label" in words:
        poisonkit(*asked).failed(4, "x.delta.h5", words, "which its triggered rows are")
        return
    assert f"unknown here ({words})" in poisonkit(*asked).succeeded().out
    done = poisonkit(*asked).succeeded().out
    assert "already exists and its arrays agree" in done and words in done
    assert poisonkit("verify", back).code == 4


def test_a_key_and_its_challenge(poisonkit, library, tmp_path):
    challenge, key = tmp_path / "c.h5", tmp_path / "c.key.h5"
    poisonkit("seal", library("square"), "-o", challenge, "--key", key).succeeded()
    changed(key, CHANGES["trigger 'glow'"])
    assert poisonkit("verify", key).code == 4
    assert poisonkit("verify", challenge).code == 0


@pytest.mark.parametrize("command", ["pack", "seal", "from"])
@pytest.mark.parametrize("words", CHANGES)
def test_what_needs_the_recipe_stops(poisonkit, unknown, tmp_path, command, words):
    path = unknown(words)
    before = sorted(tmp_path.iterdir())
    asked = {"pack": ("pack", path), "seal": ("seal", path), "from": ("make", "--from", path, "-o", tmp_path / "y.h5")}
    poisonkit(*asked[command]).failed(4, "changed.h5", "unknown here", words, "use the version")
    assert sorted(tmp_path.iterdir()) == before


def test_make_from_a_sidecar(poisonkit, unknown, tmp_path):
    for words in CHANGES:
        sidecar = tmp_path / "x.manifest.json"
        sidecar.write_text(json.dumps(damage.manifest(unknown(words))))
        poisonkit("make", "--from", sidecar, "-o", tmp_path / "y.h5").failed(4, "use the version")


@pytest.mark.parametrize("words", CHANGES)
def test_what_needs_the_arrays_alone_goes_on(poisonkit, library, unknown, tmp_path, words):
    path = unknown(words)
    poisonkit("preview", library("clean"), "-o", tmp_path / "p.png").succeeded()
    shown = poisonkit("show", path).succeeded().out
    assert f"unknown here ({words}" in shown
    assert words in poisonkit("apply", path, tmp_path / "p.png", "-o", tmp_path / "q.png").succeeded().out
    assert words in poisonkit("export", path, "--format", "npz", "-o", tmp_path / "q.npz").succeeded().out
    for asked in (("stats", path), ("preview", path, "-o", tmp_path / "r.png")):
        assert poisonkit(*asked).succeeded()


def test_a_file_that_make_finds_there(poisonkit, unknown, tmp_path):
    path = unknown("trigger 'glow'")
    asked = ("make", *poisonkit.small, "--trigger", "square", "--rate", "0.1", "-o", path)
    poisonkit(*asked).failed(1, "different recipe", "glow there")


@pytest.mark.parametrize("number", [2**63, 10**3000])
def test_a_number_beyond_64_bits_is_no_more_read_under_an_unknown_key(poisonkit, library, tmp_path, number):
    path = changed(damage.copy(library("square"), tmp_path), lambda facts: facts.update(claim=number))
    poisonkit("verify", path).failed(1, "a number beyond 64 bits")


@pytest.mark.parametrize(
    "step",
    [
        {"name": "Glow"},
        {"name": "../x"},
        {"name": "x" * 65},
        {"name": "glow", "a b": 1},
        {"name": "glow", "long": "x" * 100_001},
        {"name": "glow", "deep": [[1]]},
        {"name": "glow", "table": {}},
        {"name": "glow", **{f"p{i}": i for i in range(64)}},
        {"name": "glow", "escape": "\x1b[2J"},
        {"strength": 1},
    ],
    ids=lambda step: str(step)[:40],
)
def test_an_unknown_trigger_is_well_formed(poisonkit, library, tmp_path, step):
    path = changed(damage.copy(library("square"), tmp_path), lambda facts: facts["recipe"].update(triggers=[step]))
    poisonkit("verify", path).failed(1, "recipe.triggers is")


def test_a_number_beyond_64_bits_is_no_manifest_s(poisonkit, library, tmp_path):
    path = damage.copy(library("square"), tmp_path)
    changed(path, lambda facts: facts["recipe"].update(triggers=[{"name": "glow", "big": 2**70}]))
    poisonkit("verify", path).failed(1, "beyond 64 bits")


def everywhere(facts, prefix=()):
    """The place of every table in a manifest that is the format's own; of the arrays, the first alone. What a sidecar
    says is free."""
    yield prefix
    for key, child in facts.items():
        if isinstance(child, dict) and key not in ("sidecar", "arrays"):
            yield from everywhere(child, (*prefix, key))
    if (arrays := facts.get("arrays")) and prefix[-1:] != ("source",):
        yield (*prefix, "arrays", min(arrays))


PLACES = {
    "clean": ((), ("recipe",), ("source",), ("counts",), ("arrays", "test/images")),
    "square": ((), ("source",), ("counts",), ("arrays", "test/images")),
    "text-word": ((), ("counts",), ("arrays", "test/labels")),
    "picture": (("pictures", "0"),),
    "delta": ((), ("file",), ("of",), ("of", "counts"), ("of", "arrays", "test/images"), ("arrays", "changed/labels")),
    "challenge": ((), ("source",), ("counts",), ("arrays", "test/images")),
    "key": ((), ("file",), ("of",), ("of", "source")),
}


@pytest.mark.parametrize("kind", PLACES)
def test_a_key_that_no_version_here_writes(poisonkit, library, tmp_path, kind):
    """Wherever it stands, nobody here knows what it means: that is not OK, nor is it damaged."""
    path = tmp_path / "c.h5"
    if kind in ("challenge", "key"):
        key = tmp_path / "c.key.h5"
        poisonkit("seal", library("square"), "-o", path, "--key", key).succeeded()
        path = key if kind == "key" else path
    elif kind == "delta":
        poisonkit("pack", library("square"), "-o", path).succeeded()
    elif kind == "picture":
        asked = ("--trigger", "blend", "--rate", "0.1", "-o", path)
        poisonkit("make", *poisonkit.small, *asked).succeeded()
    else:
        shutil.copy(library(kind), path)
    assert poisonkit("verify", path).code == 0
    path.with_name("c.manifest.json").unlink(missing_ok=True)
    facts = damage.manifest(path)
    assert set(PLACES[kind]) <= set(everywhere(facts))
    for place in PLACES[kind]:
        said = damage.changed(facts, (*place, "claim"), "bona fide")
        if "of" in said:
            said["of"] = damage.sealed(said["of"])
        damage.write_manifest(path, damage.sealed(said))
        done = poisonkit("verify", path)
        assert done.code == 4 and "'" + ".".join((*place, "claim")).removeprefix("of.")[:40] in done.out, (place, done)
        assert "unknown here" in poisonkit("show", path).succeeded().out, place
