"""Triggers of one's own and of packages: what they make, what a file keeps of them, and how they fail."""

import hashlib
import json
import os
import sys

import damage
import h5py
import numpy as np
import pytest
from naive import stream

import poisonkit as pk
from poisonkit.core.errors import Failure, Usage
from poisonkit.triggers import own, own_code, packages, registry

CODE = '''
import numpy as np
from poisonkit.core.stencil import Stencil
from poisonkit.core.table import Table


def stripes(tile, *, level=200, thick=2):
    """Some rows in one grey level."""
    stencil = Stencil.identity(tile)
    stencil.weights[:thick] = 0
    stencil.bias[:thick] = level * 32768
    return stencil


def inverted(tile, *, half=False):
    return Table.build((255 - np.arange(256)) // (1 + half), tile)


def specks(tile, random):
    """One place for all rows, another level for each."""
    row, column = (random.words(2) % np.array(tile[:2], np.uint64)).astype(int)

    def apply(images, rows, random):
        images[:, row, column] = random.between(rows, 0, 255)
        return images

    return apply


def both(tile):
    return stripes(tile, level=1), stripes(tile, level=255)


def loud(tile):
    print("making stripes")
    return stripes(tile)
'''


@pytest.fixture(autouse=True)
def _nothing_named():
    """Each test is as if in a process of its own."""
    yield
    own._EXECUTED.clear()


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "my_trigger.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def made(poisonkit, code, tmp_path):
    """`made(FUNCTION, …)`: the file that is made with it."""

    def make(function, *more):
        path = tmp_path / f"{function}.h5"
        asked = ("make", *poisonkit.small, "--trigger", f"{code}:{function}", "--rate", "0.1", "-o", path)
        poisonkit(*asked, *more).succeeded()
        return path

    return make


def expected(function, images, rows, seed=0, part="train"):
    """What each function does to 32×32 images, by hand."""
    out = images.copy()
    if function == "stripes":
        out[:, :2] = 200
    elif function == "inverted":
        out = 255 - out
    elif function == "both":
        out[:, :2] = 1 if part == "train" else 255
    else:
        row, column = (stream(seed, "own").random_raw(2) % np.uint64(32)).astype(int)
        levels = stream(seed, "own-rows" if part == "train" else "own-rows-test").random_raw(300)
        out[:, row, column] = ((levels[rows] >> np.uint64(32)) * np.uint64(256) >> np.uint64(32)).astype(int)[:, None]
    return out


@pytest.mark.parametrize("function", ["stripes", "inverted", "specks", "both"])
def test_what_a_file_holds_and_who_can_verify_it(poisonkit, code, made, function):
    path = made(function)
    with pk.open(path) as file:
        rows = file.truth.rows[:]
        assert np.array_equal(file.train.images[rows], expected(function, file.truth.images[:], rows))
        tested = file.triggered.rows[:]
        found = expected(function, file.test.images[tested], tested, part="test")
        assert np.array_equal(file.triggered.images[:], found)
        (step,) = file.manifest.recipe.triggers
        digest = "sha256:" + hashlib.sha256(code.read_bytes()).hexdigest()
        assert (step.name, step.parameters) == (
            "own", {"digest": digest, "file": "my_trigger.py", "function": function}
        )  # fmt: skip
        assert file.read("trigger/0/source").tobytes() == code.read_bytes()
    result = poisonkit("verify", path)
    assert result.code == 4 and "arrays agree, recipe unknown here" in result.out and not result.err
    assert (
        f"the trigger my_trigger.py:{function} is code of its maker's, which runs only where you name it" in result.out
    )
    poisonkit("verify", path, "--trigger", f"{code}:{function}").succeeded()
    assert pk.verify(path).exit_code == 4 and pk.verify(path, trigger=f"{code}:{function}").ok


def test_nothing_of_a_file_is_executed_unless_it_is_named(poisonkit, made, code, tmp_path):
    path, sign = made("stripes"), tmp_path / "executed"
    with h5py.File(path, "r+") as file:
        text = f"open({str(sign)!r}, 'w')\n".encode() + code.read_bytes()
        del file["trigger/0/source"]
        file["trigger/0/source"] = np.frombuffer(text, np.uint8)
    facts = damage.manifest(path)
    facts["recipe"]["triggers"][0]["digest"] = "sha256:" + hashlib.sha256(text).hexdigest()
    damage.write_manifest(path, facts)
    damage.reseal(path)
    (path.parent / "stripes.manifest.json").unlink()
    for command in ("verify", "show", "stats", "audit"):
        poisonkit(command, path)
    assert not sign.exists()


def test_code_is_named_for_one_call_and_not_for_the_session(code, tmp_path):
    """Whoever made a file in Python, or verified it, has not named its code for what is called next."""
    small, name = {"train": 200, "test": 100}, f"{code}:specks"
    path = pk.make("signs", trigger=name, rate=0.1, source_options=small, out=tmp_path / "x.h5")
    images = np.zeros((1, 32, 32, 3), np.uint8)
    calls = {
        "verify": lambda **more: pk.verify(path, **more).exit_code,
        "apply": lambda **more: pk.apply(path, images, **more),
        "pack": lambda **more: pk.pack(path, tmp_path / "x.delta.h5", **more),
        "seal": lambda **more: pk.seal(path, tmp_path / "sealed.h5", key=tmp_path / "key.h5", **more),
    }
    for call in (calls["verify"], *calls.values()):  # named in the call before, each time
        own._EXECUTED.clear()
        try:
            assert call() == 4
        except pk.Unknown as error:
            assert "runs only where you name it" in str(error)
        assert not own._EXECUTED
        assert call is calls["verify"] or call(trigger=name) is not None
        assert call is not calls["verify"] or call(trigger=name) == 0
    assert own.unknown({"digest": "sha256:0", "function": "specks"}).endswith("--trigger FILE.py:specks")


def test_the_copy_must_be_the_code_of_the_digest(poisonkit, made):
    path = damage.copy(made("stripes"), made("stripes").parent)
    with h5py.File(path, "r+") as file:
        file["trigger/0/source"][0] ^= 1
    damage.reseal(path)
    result = poisonkit("verify", path)
    assert result.code == 3 and "trigger/0/source: is not the code of the recipe's digest" in result.out


@pytest.mark.parametrize(
    ("function", "array"), [("stripes", "triggered/images"), ("inverted", "train/images"), ("both", "trigger/0/mask")]
)
def test_rows_are_held_against_the_arrays_where_the_code_is_not_named(poisonkit, made, function, array):
    path = damage.copy(made(function), made(function).parent)
    with h5py.File(path) as file:
        row = file["truth/rows"][0] if array == "train/images" else 0
        at = int(row) * int(np.prod(file[array].shape[1:])) + 7
        value = int(file[array][()].reshape(-1)[at])
    damage.set_rows(path, array, {at: value ^ 1})
    damage.reseal(path)
    result = poisonkit("verify", path)
    assert result.code == 3 and f"{array}: " in result.out


def test_another_file_is_told(poisonkit, made, code):
    path = made("stripes")
    code.write_text(CODE + "\n")
    result = poisonkit("verify", path, "--trigger", f"{code}:stripes")
    assert result.code == 4 and "my_trigger.py is another file" in result.out


def test_it_is_made_again_packed_and_sealed_where_it_is_named(poisonkit, made, code, tmp_path):
    path, name = made("specks"), f"{code}:specks"
    again = ("make", "--from", tmp_path / "specks.manifest.json", "-o", tmp_path / "again.h5")
    poisonkit(*again).failed(4, "the trigger my_trigger.py:specks", "so the file cannot be made again")
    poisonkit(*again, "--trigger", name).succeeded()
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()
    poisonkit("pack", path).failed(4, "the trigger my_trigger.py:specks")
    poisonkit("pack", path, "--trigger", f"{code}:stripes").failed(
        4, "named was another function of the same file, stripes"
    )
    poisonkit("pack", path, "--trigger", name).succeeded()
    (tmp_path / "folder").mkdir()
    result = poisonkit("unpack", tmp_path / "specks.delta.h5", "-o", tmp_path / "folder" / "x.h5")
    assert result.code == 0 and (tmp_path / "folder" / "x.h5").read_bytes() == path.read_bytes()
    key = ("--key", tmp_path / "x.key.h5", "-o", tmp_path / "sealed.h5", "--secret-seed", "3")
    poisonkit("seal", path, *key).failed(4, "the trigger my_trigger.py:specks")
    poisonkit("seal", path, *key, "--trigger", name).succeeded()
    result = poisonkit("unseal", tmp_path / "sealed.h5", "--key", tmp_path / "x.key.h5", "-o", tmp_path / "u.h5")
    assert result.code == 0 and (tmp_path / "u.h5").read_bytes() == path.read_bytes()
    with pytest.raises(Failure, match="what its trigger does is not in the file"):
        pk.apply(path, np.zeros((1, 32, 32, 3), np.uint8))
    assert pk.apply(path, np.zeros((1, 32, 32, 3), np.uint8), trigger=name).any()


def test_options_become_what_their_defaults_are(poisonkit, made, code, tmp_path):
    path = made("stripes", "--option", "level=7", "--option", "thick=5")
    with pk.open(path) as file:
        assert (file.triggered.images[:, :5] == 7).all() and file.manifest.recipe.triggers[0].parameters["level"] == "7"
    poisonkit("verify", path, "--trigger", f"{code}:stripes").succeeded()
    small = {"train": 200, "test": 100}
    name = pk.make(
        "signs", trigger=f"{code}:stripes", rate=0.1, source_options=small, options={"level": 7, "thick": 5},
        out=tmp_path / "python.h5",
    )  # fmt: skip
    assert name.read_bytes() == path.read_bytes()
    with pk.open(made("inverted", "--option", "half=yes")) as file:
        rows = file.truth.rows[:]
        assert np.array_equal(file.train.images[rows], (255 - file.truth.images[:].astype(int)) // 2)


def test_per_patch_and_rows_nest(poisonkit, made, code, tmp_path):
    path = made("specks", "--per-patch")
    with pk.open(path) as file:
        changed = (file.train.images[file.truth.rows[:]] != file.truth.images[:]).any(-1)
        places = changed.reshape(20, 4, 8, 4, 8).any((0, 1, 3))
        assert places.sum() == 1  # one place of a patch, in every patch
    other = tmp_path / "other.h5"
    asked = ("make", *poisonkit.small, "--trigger", f"{code}:specks", "--per-patch", "--rate", "0.3", "-o", other)
    poisonkit(*asked).succeeded()
    with pk.open(path) as few, pk.open(other) as many:
        for row in few.truth.rows[:5]:
            assert np.array_equal(few.train.images[int(row)], many.train.images[int(row)])


def test_what_it_prints_is_no_output(poisonkit, code, tmp_path):
    asked = ("make", *poisonkit.small, "--trigger", f"{code}:loud", "--rate", "0.1", "-o", tmp_path / "x.h5", "--json")
    result = poisonkit(*asked)
    assert result.code == 0 and json.loads(result.out) and result.err == "making stripes\n"


@pytest.mark.parametrize(
    ("spelled", "words"),
    [
        ("nothing.py:build", "nothing.py: no such file"),
        (".py:build", "expected a name, or FILE.py:FUNCTION"),
        ("my_trigger.py", "expected a name, or FILE.py:FUNCTION"),
        ("my_trigger.py:", "expected a name, or FILE.py:FUNCTION"),
        ("my_trigger.py:no name", "expected a name, or FILE.py:FUNCTION"),
        ("my_trigger.py:1x", "expected a name, or FILE.py:FUNCTION"),
        ("my_trigger.txt:build", "expected a name, or FILE.py:FUNCTION"),
        ("folder.py:build", "folder.py: is not a file"),
        ("own", "unknown trigger 'own'"),
        ("some-package.trigger", "unknown trigger 'some-package.trigger'"),
    ],
)
def test_what_is_no_such_trigger(poisonkit, code, tmp_path, monkeypatch, spelled, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.py").mkdir()
    asked = ("make", *poisonkit.small, "--rate", "0.1", "-o", tmp_path / "x.h5")
    poisonkit(*asked, "--trigger", spelled).failed(2, words)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--option", "levl=3"), "has no option 'levl': its options are level, thick"),
        (("--option", "level=red"), "level: expected a whole number, as its default 200 is, got 'red'"),
        (("--option", "level"), "'level': expected KEY=VALUE"),
        (("--option", "level=1", "--option", "level=2"), "twice"),
        (("--option", "digest=x"), "'digest': recipes have that of the trigger itself: another name for the parameter"),
        (("--option", "Level=1"), "expected KEY=VALUE, the key of small letters"),
        (("--trigger", "{code}:inverted"), "expected one that is not poisonkit's own"),
        (("--preset", "notebook"), "--preset: unknown"),
    ],
)
def test_what_goes_with_it(poisonkit, code, tmp_path, asked, words):
    whole = ("make", *poisonkit.small, "--rate", "0.1", "-o", tmp_path / "x.h5", "--trigger", f"{code}:stripes")
    poisonkit(*whole, *(one.format(code=code) for one in asked)).failed(2, words)


@pytest.mark.parametrize(
    ("text", "option", "code", "words"),
    [
        (
            "def build(tile, *, level=1):\n    return 1 / 0\n",
            "levl=3",
            2,
            "has no option 'levl': its options are level",
        ),
        ("def build(tile, *, level=1):\n    return 1 / 0\n", "level=x", 2, "level: expected a whole number"),
        ("def build(tile, *, name=1):\n    pass\n", "name=3", 2, "'name': recipes have that of the trigger itself"),
        ("def build(tile, *, Level=1):\n    pass\n", "Level=3", 2, "which is how the parameter must be called"),
        ("def build(tile, level):\n    pass\n", "level=3", 1, "its parameter 'level' has no default"),
        ("def built(tile):\n    pass\n", "level=3", 1, "has no function 'build'"),
        ("1 / 0\n", "level=3", 1, ":1: ZeroDivisionError"),
    ],
)
def test_code_and_options_that_do_not_fit_are_refused_before_any_work(poisonkit, tmp_path, text, option, code, words):
    """Before the clean data are opened, which may take minutes: here they do not even exist."""
    path = tmp_path / "my_trigger.py"
    path.write_text(text)
    asked = ("make", "--dataset", "cifar10", "--source", tmp_path / "none", "--rate", "0.1", "-o", tmp_path / "x.h5")
    poisonkit(*asked, "--trigger", f"{path}:build", "--option", option).failed(code, words)


def test_it_stands_beside_others(poisonkit, made, code):
    path = made("stripes", "--trigger", "square", "--trigger", "warped")
    poisonkit("verify", path, "--trigger", f"{code}:stripes").succeeded()


def test_options_without_such_a_trigger(poisonkit, tmp_path):
    asked = ("make", *poisonkit.small, "--rate", "0.1", "-o", tmp_path, "--trigger", "square", "--option", "size=3")
    poisonkit(*asked).failed(2, "--option: requires --trigger FILE.py:FUNCTION")


HEAD = "import sys\nimport numpy as np\nfrom poisonkit.core.stencil import Stencil\n"  # three lines
APPLY = HEAD + "def build(tile):\n    def apply(images, rows, random):\n        {}\n    return apply\n"
BROKEN = {
    "no function": ("x = 1\n", ": has no function 'build': it has none"),
    "another function": ("def built(tile):\n    pass\n", ": has no function 'build': it has built"),
    "no code": ("def build(tile:\n", ":1: SyntaxError: "),
    "nulls": ("\0", ":build: "),
    "empty": ("", ": is empty, expected Python code"),
    "an error while it is read": ("x = 1\nraise KeyError('this')\n", ":2: KeyError: 'this'"),
    "missing package": ("import nothing_of_this_name\n", ":1: ModuleNotFoundError: No module named"),
    "an end": ("import sys\nsys.exit(0)\n", ":2: SystemExit: 0"),
    "an end in the function": ("import sys\ndef build(tile):\n    sys.exit()\n", ":3: SystemExit: (without a message)"),
    "an end at once": ("import os\ndef build(tile):\n    os._exit(0)\n", ":3: SystemExit: os._exit ends the process"),
    "another program": (
        "import os\ndef build(tile):\n    os.execv('/bin/true', ['true'])\n",
        ":3: SystemExit: os.execv ends the process",
    ),
    "async": ("async def build(tile):\n    pass\n", ":1: returned coroutine, expected a Stencil, a Table, or"),
    "async on rows": (
        HEAD + "def build(tile):\n    async def apply(images, rows, random):\n        pass\n    return apply\n",
        ":5: its function returned coroutine, expected uint8",
    ),
    "an error": ("def build(tile):\n    return 1 / 0\n", ":2: ZeroDivisionError: division by zero"),
    "lines": ("def build(tile):\n    raise ValueError('a\\nb\\x1b[2J')\n", ":2: ValueError: a b"),
    "mute": (
        "class E(Exception):\n    def __str__(self):\n        raise E\ndef build(tile):\n    raise E\n",
        ":5: E: (without",
    ),
    "endless": (
        "def build(tile):\n    while True:\n        print('x' * 9999)\n",
        ":3: _Endless: printed more than 1 MB",
    ),
    "deep": ("def build(tile):\n    return build(tile)\n", ":2: RecursionError: "),
    "no tile": ("def build():\n    pass\n", ":1: takes no tile, expected a function of (tile) or (tile, random)"),
    "more": ("def build(tile, level):\n    pass\n", ":1: its parameter 'level' has no default"),
    "nothing": ("def build(tile):\n    pass\n", ":1: returned NoneType, expected a Stencil, a Table, or a function of"),
    "a class": ("def build(tile):\n    return dict\n", ":1: returned type, expected a Stencil"),
    "three": ("def build(tile):\n    return 1, 2, 3\n", ":1: returned 3 things, expected one, or two"),
    "small": (
        HEAD + "def build(tile):\n    return Stencil.identity((2, 2, 3))\n",
        ":4: returned a stencil for (2, 2, 3)",
    ),
    "float weights": (
        HEAD + "def build(tile):\n    s = Stencil.identity(tile)\n    return Stencil(s.taps, s.weights / 2, s.bias)\n",
        ":4: returned a stencil whose weights are float64, expected whole numbers (32768 is 1)",
    ),
    "far taps": (
        HEAD + "def build(tile):\n    s = Stencil.identity(tile)\n    s.taps[0] = 10**6\n    return s\n",
        ":4: returned no sound stencil: taps must lie in 0",
    ),
    "floats": (
        APPLY.format("return images / 255"),
        ":5: its function returned float64 of (20, 32, 32, 3), expected uint8",
    ),
    "another shape": (APPLY.format("return images[:, :3]"), ":5: its function returned uint8 of (20, 3, 32, 3)"),
    "no array": (APPLY.format("return iter(int, 1)"), ":5: its function returned callable_iterator, expected uint8"),
    "fails on rows": (APPLY.format("return images[10**9]"), ":6: IndexError: index 1000000000 is out of bounds"),
    "chance": (APPLY.format("return np.random.bytes(1)[0] // 2 + images * 0"), ":5: gave row"),
    "chance in a stencil": (
        HEAD + "def build(tile):\n    s = Stencil.identity(tile)\n"
        "    s.bias[:] = np.random.default_rng().integers(1, 2**30)\n    return s\n",
        ":4: returned something else when it was asked again: draw from `random` only",
    ),
    "chance in what a function knows": (
        HEAD + "def build(tile):\n    level = np.random.default_rng().integers(0, 256, tile).astype('u1')\n"
        "    return lambda images, rows, random: images * 0 + level\n",
        ":6: gave row",
    ),
    "another kind": (
        HEAD + "calls = []\ndef build(tile):\n    calls.append(1)\n    s = Stencil.identity(tile)\n"
        "    return s if len(calls) % 2 else lambda images, rows, random: images\n",
        ":5: returned something else when it was asked again",
    ),
    "others": (APPLY.format("return np.clip(images + len(images), 0, 255).astype('u1')"), ":5: gave row"),
    "ends on rows": (APPLY.format("sys.exit(0)"), ":6: SystemExit: 0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_goes_wrong_in_it_is_one_line_with_its_place(poisonkit, tmp_path, name):
    text, words = BROKEN[name]
    path = tmp_path / "my_trigger.py"
    path.write_text(text)
    target = tmp_path / "out" / "x.h5"
    asked = ("make", *poisonkit.small, "--trigger", f"{path}:build", "--rate", "0.1", "-o", target)
    result = poisonkit(*asked)
    last = [line for line in result.errors if line.startswith("poisonkit: ")]
    assert result.code == 1 and len(last) == 1 and last[0].startswith(f"poisonkit: {path}{words}"), result
    assert "\x1b" not in last[0] and (len(result.errors) == 1 or name == "endless")
    assert not target.exists() and not list(tmp_path.glob("out/*"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("does", ["os.chdir('/')", "os.fork()"])
@pytest.mark.parametrize("place", ["def build(tile):\n    {}\n", "def build(tile):\n    pass\n"])
def test_the_file_is_made_once_and_where_it_was_asked_for(poisonkit, tmp_path, monkeypatch, does, place):
    (tmp_path / "my_trigger.py").write_text(
        "import os\nimport numpy as np\n" + place.format(does)
        + "    def apply(images, rows, random):\n        " + ("return images // 2" if "{" in place else does)
        + "\n        return images // 2\n    return apply\n"
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    poisonkit(
        "make", *poisonkit.small, "--trigger", "my_trigger.py:build", "--rate", "0.1", "-o", "out/x.h5"
    ).succeeded()
    assert pk.verify(tmp_path / "out" / "x.h5", trigger="my_trigger.py:build") and os.getcwd() == str(tmp_path)


def test_code_that_takes_long_says_where_it_is(poisonkit, tmp_path, monkeypatch):
    monkeypatch.setattr(own_code, "PATIENCE", 0.05)
    path = tmp_path / "my_trigger.py"
    path.write_text(CODE + "import time\ntime.sleep(0.4)\n")
    asked = ("make", *poisonkit.small, "--trigger", f"{path}:stripes", "--rate", "0.1", "-o", tmp_path / "x.h5")
    result = poisonkit(*asked)
    line = len(CODE.splitlines()) + 2
    assert result.code == 0 and f"{path}:{line}: still runs after 0 s (Ctrl-C ends it)" in result.err


def test_images_are_copies_that_it_may_write_to(made):
    """`specks` changes what it is given; the originals in the file are the source's all the same."""
    with pk.open(made("specks")) as file:
        assert (file.truth.images[:] != file.train.images[file.truth.rows[:]]).any()


def test_no_trigger_of_ours_has_such_a_name():
    assert own.NAME not in registry.TRIGGERS and not any("." in name for name in registry.names())


# ---- packages


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`package(version)`: installs a package with entry points, for this process."""

    def install(version="1.0"):
        folder = tmp_path / "site"
        meta = folder / f"my_package-{version}.dist-info"
        meta.mkdir(parents=True)
        (folder / "my_package_code.py").write_text(CODE + "\ndef broken(tile):\n    return 1 / 0\n")
        (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: My_Package\nVersion: {version}\n")
        entries = "".join(f"{one} = my_package_code:{one}\n" for one in ("stripes", "specks", "broken", "Bad Name"))
        (meta / "entry_points.txt").write_text(f"[poisonkit.triggers]\n{entries}gone = my_package_other:x\n")
        monkeypatch.syspath_prepend(folder)
        packages.installed.cache_clear()
        return meta

    yield install
    sys.modules.pop("my_package_code", None)
    packages.installed.cache_clear()


def test_a_trigger_of_a_package(poisonkit, package, tmp_path):
    meta, path = package(), tmp_path / "x.h5"
    assert "my-package.stripes: of the installed package my-package 1.0" in poisonkit("triggers").out
    asked = ("make", *poisonkit.small, "--rate", "0.1", "-o", path)
    poisonkit(*asked, "--trigger", "my-package.stripes", "--option", "level=9").succeeded()
    poisonkit("verify", path).succeeded()
    step = damage.manifest(path)["recipe"]["triggers"][0]
    assert step == {"name": "my-package.stripes", "version": "1.0", "level": "9"}
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: My_Package\nVersion: 1.1\n")
    packages.installed.cache_clear()
    result = poisonkit("verify", path)
    assert result.code == 4 and "trigger my-package.stripes of version 1.0, 1.1 is installed" in result.out
    (meta / "entry_points.txt").unlink()
    packages.installed.cache_clear()
    result = poisonkit("verify", path)
    assert result.code == 4 and "trigger 'my-package.stripes', of a package that is not installed: " in result.out
    assert "install my-package 1.0" in result.out and "made by a newer" not in result.out


def test_a_package_that_fails_is_one_line_and_no_one_elses_affair(poisonkit, package, tmp_path):
    package()
    asked = ("make", *poisonkit.small, "--rate", "0.1", "-o", tmp_path / "x.h5", "--trigger")
    line = len(CODE.splitlines()) + 3
    poisonkit(*asked, "my-package.broken").failed(1, f"my_package_code.py:{line}: ZeroDivisionError: division by zero")
    poisonkit(*asked, "my-package.gone").failed(
        1, "my-package.gone: ModuleNotFoundError: No module named 'my_package_other'"
    )
    poisonkit(*asked, "my-package.nothing").failed(
        2, "installed packages have my-package.broken, my-package.gone, my-package.specks"
    )
    poisonkit(*asked, "square").succeeded()


def test_an_option_that_a_packages_trigger_has_not_is_refused_before_any_work(poisonkit, package, tmp_path):
    package()
    asked = ("make", "--dataset", "cifar10", "--source", tmp_path / "none", "--rate", "0.1", "-o", tmp_path / "x.h5")
    asked = (*asked, "--trigger", "my-package.stripes", "--option")
    poisonkit(*asked, "levl=9").failed(2, "my-package.stripes has no option 'levl': its options are level, thick")
    poisonkit(*asked, "version=9").failed(2, "'version': recipes have that of the trigger itself")


def test_draws_are_the_streams_own():
    draws = own_code.Draws(5, "own")
    first = draws.uniform(2, 3)
    assert first.shape == (2, 3) and not (draws.uniform(2, 3) == first).any()
    assert np.array_equal(own_code.Draws(5, "own").words(4), stream(5, "own").random_raw(4))


def test_a_hostile_recipe_of_such_a_name_executes_nothing(made):
    """A step `own` whose parameters are of other types, or missing."""
    for parameters in ({}, {"digest": 3, "function": "x"}, {"digest": ["a"], "file": "\x1b", "function": "f"}):
        assert own.of_recipe(parameters) is None and own.unknown(parameters)
    with pytest.raises(Usage, match="the trigger"):
        own.build({"digest": "sha256:0"}, (4, 4, 3), None)
