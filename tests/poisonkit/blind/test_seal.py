"""`seal` and `unseal`: the original to the byte, a commitment that holds, and nothing that gives the answer away."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from fractions import Fraction

import damage
import h5py
import numpy as np
import pytest
from running import CAMOUFLAGE, RECIPES


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def sealed(poisonkit, library, tmp_path):
    """`sealed(name)`: a challenge of that file of the library, in the test's own folder."""

    def make(name, *more, to="challenge.h5"):
        poisonkit("seal", library(name), "-o", tmp_path / to, "--key", key_of(tmp_path / to), *more).succeeded()
        return tmp_path / to

    return make


def key_of(path):
    return path.with_name(f"{path.stem}.key.h5")


def rows_of(path):
    """The changed rows of a challenge, by its key and the page's rules, written out here again."""
    facts = damage.manifest(key_of(path))
    with h5py.File(key_of(path)) as f:
        rows = f["truth/rows"][()]
    total = facts["of"]["counts"]["train"]
    head = hashlib.sha256(b"seal/train").digest()[:16]
    key = tuple(int.from_bytes(head[i : i + 4], "little") for i in range(0, 16, 4))
    raw = np.random.Philox(np.random.SeedSequence(int(facts["secret"]), spawn_key=key)).random_raw(total)
    order = np.argsort(raw, kind="stable")
    return np.flatnonzero(np.isin(order, rows)), order


# ---- there and back


@pytest.mark.parametrize("name", RECIPES)
def test_there_and_back_to_the_byte(poisonkit, library, sealed, tmp_path, name):
    challenge, back = sealed(name), tmp_path / f"{name}.h5"
    out = poisonkit("unseal", challenge, "-o", back).succeeded().out
    assert "the original" in out and sha256(back) == sha256(library(name))
    sidecar, original = (path.with_name(f"{path.stem}.manifest.json") for path in (back, library(name)))
    assert sidecar.read_bytes() == original.read_bytes()
    assert poisonkit("verify", back, challenge, key_of(challenge)).succeeded().out.count("OK") == 3


def test_the_rows_are_those_of_the_original_in_another_order(library, sealed):
    challenge = sealed("square")
    with h5py.File(challenge) as new, h5py.File(library("square")) as old:
        assert set(new) == {"train", "test"}
        for part in ("train", "test"):
            images, labels = new[f"{part}/images"][()], new[f"{part}/labels"][()]
            pairs = sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
            there = zip(old[f"{part}/images"][()], old[f"{part}/labels"][()], strict=True)
            assert pairs == sorted((image.tobytes(), int(label)) for image, label in there)
            assert (images != old[f"{part}/images"][()]).any()
        rows, order = rows_of(challenge)
        assert np.array_equal(new["train/images"][()], old["train/images"][()][order])
        assert np.array_equal(np.sort(order[rows]), old["truth/rows"][()])


def test_the_clean_rows_are_read_in_one_order(library, sealed):
    """By blocks and by index: those of the sealed file, and the originals of the changed ones out of the key."""
    from poisonkit.blind import unseal
    from poisonkit.format import reader
    from poisonkit.format.manifest import KeyManifest, SealedManifest

    challenge = sealed("square")
    with (
        reader.reading(challenge, SealedManifest) as new,
        reader.reading(key_of(challenge), KeyManifest) as key,
        h5py.File(library("clean")) as clean,
    ):
        train, changed = unseal.plan(new, key).source.train, key["truth/rows"]
        images = clean["train/images"][:]
        assert train.shape == images.shape and np.array_equal(train.labels, clean["train/labels"][:])
        assert np.array_equal(np.concatenate([block for _, block in train.blocks(33)]), images)
        index = np.array([199, changed[-1], 0, changed[0], 7, changed[0]])
        assert np.array_equal(train.rows(index), images[index])
        assert len(train.rows(index[:0])) == 0


def test_by_default_it_lies_beside_the_file_and_unseal_gives_it_its_name_back(poisonkit, library, tmp_path):
    shutil.copy(library("square"), tmp_path / "secret-name.h5")
    poisonkit("seal", tmp_path / "secret-name.h5", "--key", tmp_path).succeeded()
    challenge = next(tmp_path.glob("challenge-????????.h5"))
    assert damage.manifest(challenge)["name"] == challenge.stem
    name = damage.manifest(library("square"))["name"]
    poisonkit("unseal", challenge).succeeded()
    assert sha256(tmp_path / f"{name}.h5") == sha256(library("square"))
    assert "nothing to do" in poisonkit("unseal", challenge).succeeded().out


def test_a_key_elsewhere(poisonkit, library, sealed, tmp_path):
    challenge = sealed("blend")
    (tmp_path / "vault").mkdir()
    moved = shutil.move(key_of(challenge), tmp_path / "vault" / "k.h5")
    poisonkit("unseal", challenge, "-o", tmp_path / "x.h5").failed(1, "challenge.key.h5", "no key found at", "--key")
    poisonkit("unseal", challenge, "--key", moved, "-o", tmp_path / "x.h5").succeeded()
    assert sha256(tmp_path / "x.h5") == sha256(library("blend"))


def test_the_key_is_small(library, sealed):
    challenge = sealed("square")
    assert key_of(challenge).stat().st_size < library("square").stat().st_size / 4


# ---- what it must not say


FORBIDDEN = (
    "square", "warped", "blend", "rate", "target", "seed", "trigger", "recipe", "stream", "command", "poisonkit make",
    "select", "label_mode", "application", "already_target", "options", "train=200",
)  # fmt: skip


@pytest.mark.parametrize("name", ["square", "blend-patch", "two", "clean"])
def test_nothing_of_the_recipe_is_in_the_bytes(library, sealed, name):
    challenge = sealed(name)
    data, facts, of = challenge.read_bytes(), damage.manifest(challenge), damage.manifest(library(name))
    text = json.dumps(facts)
    for word in FORBIDDEN:
        assert word not in text, word
        assert word.encode() not in data or len(word) < 5, word
    for digest in (of["source"]["digest"], *of["source"]["arrays"].values(), of["dataset_digest"], of["name"]):
        assert digest.encode() not in data
    for entry in of["arrays"].values():
        assert entry["digest"].encode() not in data


def test_all_challenges_of_one_source_look_alike(library, sealed):
    """Same keys, same sizes, same times, whatever was done, and where nothing was."""
    looks = set()
    for name in ("clean", "square", "two", "blend-patch"):
        path = sealed(name, to=f"{name}.h5")
        facts = damage.manifest(path)
        with h5py.File(path) as f:
            layout = []
            f.visititems(lambda where, node, seen=layout: seen.append((where, getattr(node, "shape", None))))
            clocks = {h5py.h5g.get_objinfo(f.id, where.encode()).mtime for where, _ in layout}
            offsets = tuple(f[where].id.get_offset() for where in sorted(facts["arrays"]))
        places = tuple(sorted(map(str, damage.paths(facts))))
        rest = (facts["notice"], json.dumps(facts["source"]), json.dumps(facts["counts"]))
        looks.add((path.stat().st_size, path.stat().st_mtime, str(layout), str(clocks), offsets, places, rest))
        assert re.fullmatch(r"challenge-[0-9a-f]{8}", facts["name"]) and facts["kind"] == "sealed"
        assert not path.with_name(f"{path.stem}.manifest.json").exists()
    assert len(looks) == 1 and next(iter(looks))[1] == 946684800


def test_two_sealings_of_one_file_have_nothing_in_common(library, sealed):
    one, other = (damage.manifest(sealed("square", to=name)) for name in ("a.h5", "b.h5"))
    for place in ("name", "commitment", "dataset_digest"):
        assert one[place] != other[place]
    assert not {e["digest"] for e in one["arrays"].values()} & {e["digest"] for e in other["arrays"].values()}


def test_a_secret_seed_repeats_a_sealing(sealed):
    one, other = (sealed("square", "--secret-seed", "7", to=name) for name in ("a.h5", "b.h5"))
    assert sha256(one) == sha256(other) and sha256(key_of(one)) == sha256(key_of(other))


def test_a_camouflage_is_not_told(poisonkit, tmp_path):
    asked = ("--trigger", "square", "--rate", "0.1", "--camouflage", "light", "--camouflage-seed", "987654321")
    poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "x.h5").succeeded()
    out = poisonkit("seal", tmp_path / "x.h5", "-o", tmp_path / "c.h5").succeeded().out
    assert "short enough to be guessed" in out and "987654321" not in out
    assert "near join may still find many images of signs" in out and "`poisonkit audit` measures it" in out
    data = (tmp_path / "c.h5").read_bytes()
    assert b"camouflage" not in data and b"987654321" not in data
    poisonkit("unseal", tmp_path / "c.h5", "-o", tmp_path / "y.h5").succeeded()
    assert sha256(tmp_path / "x.h5") == sha256(tmp_path / "y.h5")


def test_an_old_sidecar_under_the_challenges_name_goes(poisonkit, library, tmp_path):
    shutil.copy(library("square"), tmp_path / "c.h5")
    poisonkit("make", *poisonkit.small, "--trigger", "square", "--rate", "0.1", "-o", tmp_path / "c.h5").succeeded()
    assert (tmp_path / "c.manifest.json").exists()
    (tmp_path / "c.h5").unlink()
    poisonkit("seal", library("square"), "-o", tmp_path / "c.h5").failed(1, "c.manifest.json", "--force")
    poisonkit("seal", library("square"), "-o", tmp_path / "c.h5", "--force").succeeded()
    assert [path.name for path in tmp_path.iterdir()] == ["c.h5"]


def test_the_user_is_told_where_the_limits_are(poisonkit, library, tmp_path):
    out = poisonkit("seal", library("square"), "-o", tmp_path / "c.h5").succeeded().out
    assert (
        "docs/sealing.md" in out
        and "audit" in out
        and "evened" not in out
        and damage.manifest(tmp_path / "c.h5")["commitment"] in out
    )
    for command in ("seal", "make"):
        assert "docs/sealing.md" in re.sub(r"\s+", "", poisonkit(command, "--help").out)


# ---- the commitment


def rewrite(path, name, change):
    """Change one of a key's arrays and make all its digests fit again."""
    with h5py.File(path, "r+") as f:
        array = f[name][()]
        change(array)
        f[name][...] = array
    facts = damage.manifest(path)
    entry = facts["arrays"][name] | {"digest": damage.naive.array_digest(array)}
    facts["arrays"][name] = facts["of"]["arrays"][name] = entry
    facts["of"] = damage.sealed(facts["of"])
    damage.write_manifest(path, damage.sealed(facts))


def submission(tmp_path, text="row\n"):
    (tmp_path / "rows.csv").write_text(text)
    return tmp_path / "rows.csv"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("truth/rows", lambda a: a.__setitem__(slice(None), np.arange(len(a)))),
        ("truth/role", lambda a: a.__setitem__(0, 2)),
        ("truth/labels", lambda a: a.__setitem__(0, (a[0] + 1) % 10)),
        ("truth/images", lambda a: a.__setitem__((0, 0, 0, 0), a[0, 0, 0, 0] ^ 1)),
        ("trigger/0/bias", lambda a: a.__setitem__((0, 0, 0), 5)),
        ("triggered/wanted", lambda a: a.__setitem__(0, 3)),
    ],
)
def test_the_answer_cannot_be_changed_afterwards(poisonkit, sealed, tmp_path, name, change):
    challenge = sealed("square")
    rewrite(key_of(challenge), name, change)
    for command in (("unseal", challenge, "-o", tmp_path / "x.h5"), ("audit", challenge, "--key", key_of(challenge))):
        poisonkit(*command).failed(1, "committed to")
    poisonkit("grade", challenge, "--submission", submission(tmp_path)).failed(1, "committed to")
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize("place", ["salt", "secret", "commitment", "challenge"])
def test_nor_the_salt_the_order_or_what_it_belongs_to(poisonkit, sealed, tmp_path, place):
    challenge = sealed("square")
    facts = damage.manifest(key_of(challenge))
    other = {"salt": "0" * 64, "secret": "1", "commitment": f"sha256:{'0' * 64}", "challenge": f"sha256:{'0' * 64}"}
    damage.write_manifest(key_of(challenge), damage.sealed(facts | {place: other[place]}))
    poisonkit("grade", challenge, "--submission", submission(tmp_path)).failed(1)
    poisonkit("unseal", challenge, "-o", tmp_path / "x.h5").failed(1)


def test_an_array_of_the_key_that_is_damaged(poisonkit, sealed, tmp_path):
    challenge = sealed("square")
    damage.set_rows(key_of(challenge), "truth/images", {5: 77})
    poisonkit("unseal", challenge, "-o", tmp_path / "x.h5").failed(1, "truth/images is damaged")
    assert poisonkit("verify", key_of(challenge)).code == 3


def test_the_key_of_another_challenge(poisonkit, sealed, tmp_path):
    one, other = sealed("square", to="a.h5"), sealed("square", to="b.h5")
    poisonkit("unseal", one, "--key", key_of(other), "-o", tmp_path / "x.h5").failed(1, "is the key of another file")
    poisonkit("grade", one, "--key", key_of(other), "--submission", submission(tmp_path)).failed(1, "another file")
    poisonkit("audit", one, "--key", key_of(other)).failed(1, "another file")


def test_a_challenge_whose_images_were_changed(poisonkit, sealed, tmp_path):
    challenge = sealed("square")
    damage.set_rows(challenge, "train/images", {12345: 77})
    poisonkit("unseal", challenge, "-o", tmp_path / "x.h5").failed(1, "was altered after it was sealed")
    assert not (tmp_path / "x.h5").exists() and poisonkit("verify", challenge).code == 3


# ---- bad input


def test_what_cannot_be_sealed(poisonkit, library, sealed, tmp_path):
    challenge = sealed("square")
    poisonkit("seal", challenge, "-o", tmp_path / "x.h5").failed(1, "it is sealed")
    poisonkit("seal", key_of(challenge), "-o", tmp_path / "x.h5").failed(1, "key of a sealed file")
    poisonkit("seal", tmp_path / "missing.h5").failed(1, "no such file")
    poisonkit("seal", library("square"), "-o", challenge).failed(1, "already exists")
    poisonkit("seal", library("square"), "-o", challenge, "--force").succeeded()
    poisonkit("seal", library("square"), "-o", tmp_path / "y.h5", "--key", key_of(challenge)).failed(
        1, "choose another --key"
    )
    poisonkit("seal", library("square"), "-o", tmp_path / "y.h5", "--key", tmp_path / "y.h5").failed(2, "itself")
    copy = damage.copy(library("square"), tmp_path)
    poisonkit("seal", copy, "-o", copy, "--force").failed(2, "the data set itself")
    poisonkit("seal", copy, "-o", tmp_path / "y.h5", "--key", copy, "--force").failed(2, "the data set itself")
    damage.set_rows(copy, "train/images", {0: 200})
    poisonkit("seal", copy, "-o", tmp_path / "x.h5").failed(1, "does not verify")
    assert not (tmp_path / "x.h5").exists() and not (tmp_path / "x.key.h5").exists()


def test_what_cannot_be_unsealed(poisonkit, library, sealed, tmp_path):
    challenge = sealed("square")
    poisonkit("unseal", library("square")).failed(1, "'poisoned', expected 'sealed'")
    poisonkit("unseal", challenge, "--key", challenge).failed(1, "'sealed', expected 'key'")
    poisonkit("unseal", challenge, "-o", challenge, "--force").failed(1, "choose another -o")
    (tmp_path / "x.h5").write_text("mine")
    poisonkit("unseal", challenge, "-o", tmp_path / "x.h5").failed(1, "already exists")
    assert (tmp_path / "x.h5").read_text() == "mine"


@pytest.mark.parametrize("command", ["stats", "preview", "diff", "apply", "pack"])
def test_other_commands_say_that_it_is_sealed(poisonkit, sealed, tmp_path, command):
    challenge = sealed("square")
    more = {
        "preview": ("-o", tmp_path / "p.png"),
        "diff": (challenge,),
        "apply": (tmp_path / "p.png", "-o", tmp_path / "q.png"),
    }.get(command, ())
    poisonkit(command, challenge, *more).failed(1, "it is sealed")


def test_show_tells_what_it_is(poisonkit, sealed):
    challenge = sealed("square")
    out = poisonkit("show", challenge).succeeded().out
    assert "SEALED" in out and "commitment" in out and "square" not in out
    assert "square" in poisonkit("show", key_of(challenge)).succeeded().out


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("commitment",), "x"), (("commitment",), ...), (("source",), 3), (("source", "classes"), []),
        (("counts",), {}), (("counts", "train"), -1), (("name",), 7), (("notice",), ...),
    ],
)  # fmt: skip
def test_a_sealed_manifest_that_is_none(poisonkit, sealed, place, value):
    challenge = sealed("square")
    facts = damage.changed(damage.manifest(challenge), place, value)
    damage.write_manifest(challenge, damage.sealed(facts))
    poisonkit("show", challenge).failed(1, str(challenge))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("salt",), "zz"), (("secret",), 5), (("secret",), "-1"), (("secret",), "9" * 101), (("of",), ...),
        (("of",), []), (("of", "arrays"), {}), (("of", "arrays", "truth/rows", "shape"), [3]),
        (("of", "kind"), "sealed"),
        (("of", "counts"), {}), (("file",), {}), (("file", "size"), -1), (("sidecar",), 3), (("challenge",), None),
        (("of", "arrays", "train/images"), 3),
    ],
)  # fmt: skip
def test_a_key_manifest_that_is_none(poisonkit, sealed, tmp_path, place, value):
    challenge = sealed("square")
    facts = damage.changed(damage.manifest(key_of(challenge)), place, value)
    damage.write_manifest(key_of(challenge), damage.sealed(facts))
    poisonkit("unseal", challenge, "-o", tmp_path / "x.h5").failed(1, "challenge.key.h5")


@pytest.mark.parametrize("array", ["truth/rows", "trigger/0/taps"])
def test_a_key_without_an_array(poisonkit, sealed, tmp_path, array):
    challenge = sealed("square")
    with h5py.File(key_of(challenge), "r+") as f:
        del f[array]
    poisonkit("grade", challenge, "--submission", submission(tmp_path)).failed(1, f"{array} is missing")


# ---- killed

SLOW_SEAL = """
import sys, time
from poisonkit.blind import seal
from poisonkit.cli import main as cli
from poisonkit.core import files as store
stage = sys.argv.pop(1)
def pause(function):
    def wrapped(*arguments, **more):
        print("here", flush=True)
        for _ in range(600):
            time.sleep(0.1)
        return function(*arguments, **more)
    return wrapped
if stage == "rows":
    seal._write_rows = pause(seal._write_rows)
elif stage == "key":
    seal._write_key = pause(seal._write_key)
else:
    store.claim = pause(store.claim)
sys.argv[0] = "poisonkit"
cli.main()
"""


@pytest.mark.parametrize("stage", ["rows", "key", "rename"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_nothing_half_written_lies_there_and_no_challenge_without_a_key(
    poisonkit, library, tmp_path, stage, number
):
    asked = ("seal", library("square"), "-o", tmp_path / "c.h5", "--key", tmp_path / "c.key.h5")
    command = [sys.executable, "-c", SLOW_SEAL, stage, *asked]
    process = subprocess.Popen(list(map(os.fspath, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n", process.stderr.read()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    if number == signal.SIGTERM:
        assert process.returncode == 130 and err == "poisonkit: interrupted; no partial files were left behind\n"
        assert not list(tmp_path.iterdir())
    assert not (tmp_path / "c.h5").exists() and not (tmp_path / "c.key.h5").exists()
    poisonkit(*asked).succeeded()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.h5", "c.key.h5"]
    poisonkit("unseal", tmp_path / "c.h5", "-o", tmp_path / "x.h5").succeeded()


def test_a_challenge_cut_off_anywhere(poisonkit, sealed, tmp_path):
    challenge = sealed("square")
    for path in (challenge, key_of(challenge)):
        data = path.read_bytes()
        for length in (0, 100, 1000, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:length])
            poisonkit("unseal", challenge, "-o", tmp_path / "x.h5").failed(1, path.name)
        path.write_bytes(data)
    poisonkit("unseal", challenge, "-o", tmp_path / "x.h5").succeeded()


# ---- where the key lies


@pytest.fixture
def data_home(monkeypatch, tmp_path):
    """A folder for keys of this test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path / "home" / "data"))
    return tmp_path / "home" / "data" / "poisonkit" / "keys"


def test_a_key_lies_in_a_folder_of_the_users_own(poisonkit, library, data_home, tmp_path):
    before = os.umask(0o022)
    try:
        out = poisonkit("seal", library("square"), "-o", tmp_path / "c.h5").succeeded().out
    finally:
        os.umask(before)
    (key,) = data_home.iterdir()
    assert key.name == f"{damage.manifest(tmp_path / 'c.h5')['name']}.key.h5" and f"wrote {key}" in out
    assert key.stat().st_mode & 0o777 == 0o600 and data_home.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "c.h5").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["c.h5"], "nothing beside it"


def test_it_is_found_there_whatever_the_challenge_is_called(poisonkit, library, data_home, tmp_path):
    poisonkit("seal", library("square"), "-o", tmp_path / "c.h5").succeeded()
    (tmp_path / "sent").mkdir()
    moved = shutil.move(tmp_path / "c.h5", tmp_path / "sent" / "renamed.h5")
    poisonkit("grade", moved, "--submission", submission(tmp_path)).succeeded()
    assert "precision 1.000" in poisonkit("audit", moved).out
    poisonkit("unseal", moved, "-o", tmp_path / "x.h5").succeeded()
    assert sha256(tmp_path / "x.h5") == sha256(library("square"))


def test_then_beside_the_challenge(poisonkit, library, data_home, tmp_path):
    poisonkit("seal", library("square"), "-o", tmp_path / "c.h5").succeeded()
    (key,) = data_home.iterdir()
    for number, name in enumerate((key.name, "c.key.h5")):
        shutil.move(key, tmp_path / name)
        poisonkit("grade", tmp_path / "c.h5", "--submission", submission(tmp_path)).succeeded()
        poisonkit("unseal", tmp_path / "c.h5", "-o", tmp_path / f"{number}.h5").succeeded()
        key = tmp_path / name
    key.unlink()
    for command in (("grade", "--submission", submission(tmp_path)), ("unseal",)):
        done = poisonkit(command[0], tmp_path / "c.h5", *command[1:])
        done.failed(1, "no key found at", str(data_home), "c.key.h5", "--key")
    assert "precision" not in poisonkit("audit", tmp_path / "c.h5").out


def test_a_sealed_file_does_not_say_where_to_look(poisonkit, library, data_home, tmp_path):
    """Its name is a stranger's text: no path is made of one that `seal` never gave."""
    poisonkit("seal", library("square"), "-o", tmp_path / "c.h5").succeeded()
    for name in ("../../../c", "challenge-../../x", "/etc/passwd", "challenge-0123456", "mine"):
        facts = damage.manifest(tmp_path / "c.h5") | {"name": name}
        damage.write_manifest(tmp_path / "c.h5", damage.sealed(facts))
        done = poisonkit("unseal", tmp_path / "c.h5", "-o", tmp_path / "x.h5")
        plain = f"no key found at {tmp_path / 'c.key.h5'}:"
        done.failed(1, "expected a plain name" if "/" in name else plain)


@pytest.mark.parametrize("home", ["", "relative"])
def test_without_a_data_folder_it_is_in_the_home(poisonkit, library, monkeypatch, tmp_path, home):
    monkeypatch.setenv("XDG_DATA_HOME", home)
    monkeypatch.setenv("HOME", os.fspath(tmp_path / "me"))
    poisonkit("seal", library("square"), "-o", tmp_path / "c.h5").succeeded()
    (key,) = (tmp_path / "me" / ".local" / "share" / "poisonkit" / "keys").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "relative").exists()


def test_a_folder_for_keys_that_cannot_be_made(poisonkit, library, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path / "file"))
    asked = ("seal", library("square"), "-o", tmp_path / "c.h5")
    poisonkit(*asked).failed(1, str(tmp_path / "file"), "could not be created for the key", "choose another --key")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    poisonkit(*asked, "--key", tmp_path / "k.h5").succeeded()


def test_a_key_that_is_replaced_stays_private(poisonkit, library, tmp_path):
    key = tmp_path / "k.h5"
    key.write_text("old")
    key.chmod(0o644)
    poisonkit("seal", library("square"), "-o", tmp_path / "c.h5", "--key", key, "--force").succeeded()
    assert key.stat().st_mode & 0o777 == 0o600


# ---- even labels


def sizes(labels, count=10):
    return np.bincount(labels, minlength=count).tolist()


MILD = {
    "square": ("--trigger", "square", "--rate", "0.03"),
    "covers": ("--trigger", "warped", "--rate", "0.02", "--cover-rate", "0.05", *CAMOUFLAGE),
    "all-to-all": ("--trigger", "square", "--rate", "0.1", "--label-mode", "all-to-all"),
    "clean-label": ("--trigger", "sig", "--rate", "0.05", "--label-mode", "clean-label"),
    "clean": ("--rate", "0"),
}
"""Name → what `make` is asked for, at rates at which labels can be evened out."""


@pytest.fixture
def mild(poisonkit, tmp_path):
    """`mild(name, *options)`: such a file and its challenge."""

    def make(name="square", *more, to="challenge.h5"):
        path = tmp_path / f"mild-{name}.h5"
        poisonkit("make", *poisonkit.small, *MILD[name], "-o", path).succeeded()
        poisonkit("seal", path, "-o", tmp_path / to, "--key", key_of(tmp_path / to), *more).succeeded()
        return path, tmp_path / to

    return make


@pytest.mark.parametrize("name", MILD)
def test_even_labels_and_back_to_the_byte(poisonkit, mild, tmp_path, name):
    path, challenge = mild(name, "--even-labels")
    facts, said = damage.manifest(challenge), damage.manifest(key_of(challenge))
    with h5py.File(challenge) as c, h5py.File(path) as o, h5py.File(key_of(challenge)) as k:
        rows, before = ([], []) if name == "clean" else (o["truth/rows"][()], o["truth/labels"][()])
        seen = o["train/labels"][()]
        clean = seen.copy()
        clean[rows] = before
        share = min(Fraction(1), *(Fraction(n, m) for n, m in zip(sizes(seen), sizes(clean), strict=True) if m))
        assert said["even_labels"] == f"{share.numerator}/{share.denominator}"
        assert sizes(c["train/labels"][()]) == [int(share * m) for m in sizes(clean)]
        left = k["left/rows"][()] if "left" in k else np.empty(0, int)
        assert not set(left) & set(rows) and facts["counts"]["train"] == len(seen) - len(left)
        assert (len(left) > 0) == (share < 1) == (name not in ("clean", "clean-label")) == ("left" in k)
        if len(left):
            assert np.array_equal(k["left/images"][()], o["train/images"][()][left])
            assert np.array_equal(k["left/labels"][()], seen[left])
    assert "even" not in json.dumps(facts) and b"left" not in challenge.read_bytes()[:4000]
    poisonkit("unseal", challenge, "-o", tmp_path / "back.h5").succeeded()
    assert sha256(tmp_path / "back.h5") == sha256(path)
    poisonkit("verify", challenge, key_of(challenge)).succeeded()


def test_a_grade_counts_the_rows_that_are_there(poisonkit, mild, tmp_path):
    _, challenge = mild("square", "--even-labels")
    changed, order = rows_of_even(challenge)
    with h5py.File(challenge) as c, h5py.File(key_of(challenge)) as k:
        rows = np.sort(order[changed])
        assert np.array_equal(rows, k["truth/rows"][()])
        total = len(c["train/labels"])
    text = "row,score\n" + "".join(f"{row},{int(row in changed)}\n" for row in range(total))
    out = json.loads(
        poisonkit("grade", challenge, "--submission", submission(tmp_path, text), "--json").succeeded().out
    )
    assert out["auroc"] == 1.0 and out["rows"] == total < 200 and out["changed"] == 6
    done = poisonkit("grade", challenge, "--submission", submission(tmp_path, f"row\n{total}\n"))
    done.failed(1, f"the training rows are 0 … {total - 1}")


def rows_of_even(challenge):
    """The changed rows of a challenge whose labels were evened out, and its order, as FORMAT.md says."""
    facts = damage.manifest(key_of(challenge))
    with h5py.File(key_of(challenge)) as f:
        rows, left = f["truth/rows"][()], f["left/rows"][()]
    there = np.setdiff1d(np.arange(facts["of"]["counts"]["train"]), left)
    raw = damage.naive.stream(int(facts["secret"]), "seal/train").random_raw(len(there))
    order = there[np.argsort(raw, kind="stable")]
    return np.flatnonzero(np.isin(order, rows)), order


def test_the_draw_is_from_the_secret(mild):
    found = []
    for number, to in (("7", "a.h5"), ("7", "b.h5"), ("8", "c.h5")):
        with h5py.File(key_of(mild("square", "--even-labels", "--secret-seed", number, to=to)[1])) as f:
            found.append(f["left/rows"][()].tolist())
    assert found[0] == found[1] != found[2]


def test_a_share_of_ones_own_makes_a_clean_control_look_alike(poisonkit, mild, tmp_path):
    looks = set()
    for name in ("clean", "square"):
        path, challenge = mild(name, "--even-share", "50%", to=f"{name}.h5")
        with h5py.File(challenge) as f:
            looks.add((challenge.stat().st_size, str(sizes(f["train/labels"][()])), str(f["train/images"].shape)))
        poisonkit("unseal", challenge, "-o", tmp_path / f"back-{name}.h5").succeeded()
        assert sha256(tmp_path / f"back-{name}.h5") == sha256(path)
    assert len(looks) == 1
    seal = ("seal", path, "-o", tmp_path / "x.h5", "--key", tmp_path / "x.key.h5")
    poisonkit(*seal, "--even-share", "0.999").failed(2, "--even-share", "the largest")
    for wrong in ("0", "2", "much"):
        poisonkit(*seal, "--even-share", wrong).failed(2, "--even-share")


def test_labels_that_cannot_be_evened_out(poisonkit, tmp_path):
    asked = (*poisonkit.small, "--trigger", "square", "--rate", "0.6", "-o", tmp_path / "x.h5")
    poisonkit("make", *asked).succeeded()
    done = poisonkit("seal", tmp_path / "x.h5", "--even-labels", "--key", tmp_path / "k.h5", "-o", tmp_path / "c.h5")
    done.failed(2, "--even-labels", "120 changed rows stand under label 0", "lower rate")
    assert not (tmp_path / "c.h5").exists() and not (tmp_path / "k.h5").exists()


def test_texts_too(poisonkit, library, tmp_path):
    challenge = tmp_path / "c.h5"
    done = poisonkit("seal", library("text-word"), "-o", challenge, "--key", key_of(challenge), "--even-labels")
    assert "labels evened out to 0." in done.succeeded().out
    assert damage.manifest(challenge)["counts"]["train"] < 200
    poisonkit("unseal", challenge, "-o", tmp_path / "back.h5").succeeded()
    assert sha256(tmp_path / "back.h5") == sha256(library("text-word"))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("left/rows", lambda a: a.__setitem__(0, a[1]), "left/rows: rows must ascend and lie in 0 … 199"),
        ("left/rows", lambda a: a.__setitem__(0, -1), "left/rows: rows must ascend and lie in 0 … 199"),
        ("left/images", lambda a: a.__setitem__((0, 0, 0, 0), a[0, 0, 0, 0] ^ 1), "not what its digest says"),
        ("left/labels", lambda a: a.__setitem__(0, (a[0] + 1) % 10), "not what its digest says"),
    ],
)
def test_left_out_rows_that_were_altered(poisonkit, mild, tmp_path, name, change, words):
    """With every digest made to fit again, the original's own digests tell."""
    _, challenge = mild("square", "--even-labels")
    key = key_of(challenge)
    with h5py.File(key, "r+") as f:
        array = f[name][()]
        change(array)
        f[name][...] = array
    facts = damage.manifest(key)
    facts["arrays"][name] |= {"digest": damage.naive.array_digest(array)}
    damage.write_manifest(key, damage.sealed(facts))
    done = poisonkit("unseal", challenge, "-o", tmp_path / "x.h5")
    done.failed(1, words)
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize("change", ["gone", "all", "changed row", "shape", "scalars", "share"])
def test_left_out_rows_that_are_no_such_rows(poisonkit, mild, tmp_path, change):
    _, challenge = mild("square", "--even-labels")
    key = key_of(challenge)
    with h5py.File(key, "r+") as f:
        left, rows = f["left/rows"][()], f["truth/rows"][()]
        if change == "gone":
            del f["left/labels"]
        elif change == "all":
            del f["left"]
        elif change == "changed row":
            others = np.setdiff1d(left, left[:1])
            f["left/rows"][...] = np.sort(np.concatenate([others, rows[:1]]))
        elif change == "scalars":
            for path in ("left/rows", "left/labels"):
                del f[path]
                f[path] = np.int64(3)
        elif change == "shape":
            damage_array = f["left/images"][()][:, :16]
            del f["left/images"]
            f["left/images"] = np.ascontiguousarray(damage_array)
    facts = damage.manifest(key)
    with h5py.File(key) as f:
        facts["arrays"] = {
            path: entry | {"digest": damage.naive.array_digest(f[path][()]), "shape": list(f[path].shape)}
            for path, entry in facts["arrays"].items()
            if path in f
        }
    if change == "share":
        facts["even_labels"] = 0.5
    damage.write_manifest(key, damage.sealed(facts))
    done = poisonkit("unseal", challenge, "-o", tmp_path / "x.h5")
    assert done.code == 1 and "Traceback" not in done.err and not (tmp_path / "x.h5").exists(), done


def test_verify_looks_at_the_counts_of_a_challenge(poisonkit, library, tmp_path):
    challenge = tmp_path / "c.h5"
    poisonkit("seal", library("square"), "-o", challenge).succeeded()
    damage.write_manifest(
        challenge, damage.sealed(damage.manifest(challenge) | {"counts": {"train": 10**15, "test": 100}})
    )
    done = poisonkit("verify", challenge)
    assert done.code == 3 and "counts: train is 200, the manifest says 1000000000000000" in done.out
