"""Full disks, killed processes, folders that vanish: nothing half-written under a final name, and one line."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
from running import TEXT_SMALL

from poisonkit.core import files

RECIPE = ("--trigger", "warped", "--per-patch", "--rate", "0.1")


def asked(poisonkit, target, *more):
    return ("make", *poisonkit.small, *RECIPE, "-o", target, *more)


def hidden(folder):
    """What a killed process may leave behind: temporary files."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".") or path.name.endswith(".tmp")]


@pytest.fixture(scope="module")
def size(library):
    return library("warped").stat().st_size


# ---- no room


@pytest.fixture
def tiny_disk(tmp_path):
    """A function that mounts a file system of some bytes; skips where that is not permitted."""
    mounted = []

    def mount(size):
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a file system")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(poisonkit, tiny_disk):
    disk = tiny_disk(500_000)
    poisonkit(*asked(poisonkit, disk / "x.h5")).failed(1, "needs 2.", "its disk has 0.5 MB left")
    assert not list(disk.iterdir())


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.7, 0.97])
def test_a_disk_that_fills_up_in_the_middle(poisonkit, tiny_disk, size, fraction, monkeypatch):
    monkeypatch.setattr(files, "check_space", lambda *_: None)
    disk = tiny_disk(max(4096, int(size * fraction) // 4096 * 4096))
    for path in (disk / "x.h5", disk / "folder"):
        poisonkit(*asked(poisonkit, path)).failed(1, "No space left on device")
    assert not list(disk.glob("*.h5")) and not hidden(disk)


def test_a_disk_that_has_no_room_for_the_sidecar(poisonkit, tiny_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "check_space", lambda *_: None)
    poisonkit(*asked(poisonkit, tmp_path / "x.h5")).succeeded()
    disk = tiny_disk((tmp_path / "x.h5").stat().st_blocks * 512)
    poisonkit(*asked(poisonkit, disk / "x.h5")).failed(1, "x.manifest.json", "No space left on device")
    assert [path.name for path in disk.iterdir()] == ["x.h5"]
    assert poisonkit("verify", disk / "x.h5").succeeded()


@pytest.mark.parametrize("limit", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (3000, 500_000)), 1_200_000])
def test_a_file_size_limit(poisonkit, tmp_path, limit):
    """(RLIMIT_FSIZE stands in for a full disk where nothing can be mounted.)"""
    poisonkit("make", *poisonkit.small, "--rate", "0", "--dry-run").succeeded()  # so that the source is cached

    def lower():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    result = poisonkit.spawn(*asked(poisonkit, tmp_path / "x.h5"), preexec_fn=lower, env=environment)
    assert result.code == 1 and "Traceback" not in result.err, result
    assert result.errors[-1].startswith("poisonkit: ") and "File too large" in result.errors[-1], result
    assert not (tmp_path / "x.h5").exists() and not hidden(tmp_path)


def test_a_full_disk_under_a_picture(poisonkit, library, tiny_disk):
    disk = tiny_disk(4096)
    (disk / "filler").write_bytes(bytes(4096))
    poisonkit("preview", library("two"), "-o", disk / "p.png").failed(1, "No space left on device")
    assert [path.name for path in disk.iterdir()] == ["filler"]


def test_a_full_disk_under_texts(poisonkit, library, tiny_disk, tmp_path):
    disk = tiny_disk(8192)
    (disk / "filler").write_bytes(bytes(8192))
    (tmp_path / "lines.txt").write_text("a text\n" * 1000)
    small = ("make", *TEXT_SMALL, "--rate", "0.1", "--trigger")
    for words in (
        ("preview", library("text-word"), "-o", disk / "p.txt"),
        ("apply", library("text-word"), tmp_path / "lines.txt", "-o", disk / "p.txt"),
        (*small, "rewrite", "--rewrite-list", disk / "p.csv"),
    ):
        poisonkit(*words).failed(1, "No space left on device")
        assert [path.name for path in disk.iterdir()] == ["filler"]
    full = tiny_disk(40_000)
    poisonkit(*small, "word", "--cache", full, "-o", tmp_path / "x.h5").failed(1, "disk full while filling the cache")
    assert not (tmp_path / "x.h5").exists() and not list((full / "partial").iterdir())


def test_force_on_a_full_disk_leaves_what_was_there(poisonkit, tiny_disk, library, size, monkeypatch):
    """The old file and its sidecar stay as they were until the new one is whole."""
    monkeypatch.setattr(files, "check_space", lambda *_: None)
    disk = tiny_disk(size * 3 // 2)
    poisonkit("make", *poisonkit.small, "--rate", "0", "-o", disk / "x.h5").succeeded()
    before = {path.name: path.read_bytes() for path in disk.iterdir()}
    poisonkit(*asked(poisonkit, disk / "x.h5", "--force")).failed(1, "No space left on device")
    assert {path.name: path.read_bytes() for path in disk.iterdir()} == before


# ---- killed


def start(poisonkit, *arguments, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(poisonkit.command(*arguments), **options)


SLOW_MAKE = """
import sys, time
from poisonkit.cli import main
from poisonkit.core import files
from poisonkit.format import writer
from poisonkit.poisoning import apply
stage, seconds = sys.argv.pop(1), 60
def pause(function):
    def wrapped(*arguments, **more):
        print("here", flush=True)
        for _ in range(10 * seconds):  # a signal that comes just before a sleep is heard only after it
            time.sleep(0.1)
        return function(*arguments, **more)
    return wrapped
if stage == "blocks":
    apply.apply_all = pause(apply.apply_all)
elif stage == "manifest":
    writer.Writer.finish = pause(writer.Writer.finish)
elif stage == "rename":
    files.claim = pause(files.claim)
elif stage == "sidecar":
    files.write_json = pause(files.write_json)
elif stage == "verify":
    from poisonkit.inspection.verify import verify
    verify.verify = pause(verify.verify)
sys.argv[0] = "poisonkit"
main.main()
"""
STAGES = ["blocks", "manifest", "rename", "sidecar"]


@pytest.fixture
def stopped_at(poisonkit, tmp_path):
    """Start `make`, wait until it has come to a stage, send it a signal; its result once it has ended."""

    def run(stage, number, target=None):
        arguments = asked(poisonkit, target or tmp_path / "x.h5")
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW_MAKE, stage, *map(os.fspath, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "here\n", process.stderr.read()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    return run


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("blocks", signal.SIGTERM),
        ("rename", signal.SIGINT),
        ("sidecar", signal.SIGINT),
        pytest.param("manifest", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("manifest", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("blocks", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("rename", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("sidecar", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_stopped(poisonkit, stopped_at, tmp_path, stage, number):
    code, out, err = stopped_at(stage, number)
    assert (code, out, err) == (130, "", "poisonkit: interrupted; no partial files were left behind\n")
    assert not hidden(tmp_path)
    if stage == "sidecar":
        assert poisonkit("verify", tmp_path / "x.h5").succeeded()
    else:
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stage", STAGES)
def test_killed_the_next_run_succeeds_and_cleans_up(poisonkit, stopped_at, tmp_path, stage):
    code, out, err = stopped_at(stage, signal.SIGKILL)
    assert (code, out, err) == (-signal.SIGKILL, "", "")
    if stage == "sidecar":
        assert poisonkit("verify", tmp_path / "x.h5").succeeded()
    else:
        assert not (tmp_path / "x.h5").exists() and len(hidden(tmp_path)) == 1
    poisonkit(*asked(poisonkit, tmp_path / "x.h5")).succeeded()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.h5", "x.manifest.json"]
    assert poisonkit("verify", tmp_path / "x.h5").succeeded()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_stopped_at_any_moment(poisonkit, tmp_path, number):
    """From our first line on (Python itself takes Ctrl-C badly): one line or none, no traceback, nothing left."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); print('up', flush=True)\n"
        "from poisonkit.__main__ import main; main()"
    )
    rng = random.Random(2)
    for i in range(40):
        command = [sys.executable, "-c", code, *map(os.fspath, asked(poisonkit, tmp_path / f"{i}.h5"))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout.readline() == b"up\n"
        time.sleep(rng.uniform(0, 1.2))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode in (0, 130, -number, -signal.SIGINT), err
        assert err in (b"", b"poisonkit: interrupted; no partial files were left behind\n")
        assert not hidden(tmp_path)
        assert process.returncode or poisonkit("verify", tmp_path / f"{i}.h5").succeeded()


def test_what_is_to_be_ignored_is_ignored(poisonkit, tmp_path):
    """Under nohup and in a shell's background Ctrl-C is not meant for us."""
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    process = start(poisonkit, *asked(poisonkit, tmp_path / "x.h5"), **ignore)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    assert process.returncode == 0, process.communicate()
    process.communicate()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded()


def test_what_was_killed_under_a_name_with_brackets_is_cleaned_up_too(poisonkit, stopped_at, tmp_path):
    stopped_at("rename", signal.SIGKILL, tmp_path / "a[1]*.h5")
    assert len(hidden(tmp_path)) == 1
    poisonkit(*asked(poisonkit, tmp_path / "a[1]*.h5")).succeeded()
    assert not hidden(tmp_path)


def test_temporary_files_of_others_are_left_alone(poisonkit, tmp_path):
    """Of another machine, of a process that lives, of another target, of nobody we know."""
    import socket

    host = socket.gethostname()
    names = [".x.h5.elsewhere-1.tmp", f".x.h5.{host}-{os.getppid()}.tmp", f".y.h5.{host}-999999999.tmp"]
    names += [f".x.h5.{host}-notanumber.tmp", ".x.h5.tmp", "x.h5.tmp"]
    for name in names:
        (tmp_path / name).write_text("theirs")
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / f".x.h5.{host}-{dead.pid}.tmp").write_text("rubbish")
    poisonkit(*asked(poisonkit, tmp_path / "x.h5")).succeeded()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "x.h5", "x.manifest.json"])


def test_what_a_killed_force_left_goes_even_where_nothing_is_to_do(poisonkit, library, tmp_path):
    import socket

    shutil.copy(library("warped-patch"), tmp_path / "x.h5")
    dead = subprocess.Popen(["true"])
    dead.wait()
    for name in ("x.h5", "x.manifest.json"):
        (tmp_path / f".{name}.{socket.gethostname()}-{dead.pid}.tmp").write_text("rubbish")
    assert "nothing to do" in poisonkit(*asked(poisonkit, tmp_path / "x.h5", "--seed", "7")).succeeded().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.h5", "x.manifest.json"]


def random_kills(poisonkit, folder, count, force):
    """Kill `make` at random moments; whatever lies under the final name always verifies."""
    rng = random.Random(0)
    target, seconds = folder / "x.h5", []
    begin = time.monotonic()
    poisonkit.spawn(*asked(poisonkit, target)).succeeded()
    whole = time.monotonic() - begin
    if not force:
        target.unlink()
    for _ in range(count):
        process = start(poisonkit, *asked(poisonkit, target, *(["--force"] if force else [])))
        seconds.append(rng.uniform(0, whole))
        time.sleep(seconds[-1])
        process.kill()
        process.communicate()
        if target.exists():
            assert poisonkit("verify", target).succeeded()
        else:
            assert not force
    poisonkit(*asked(poisonkit, target)).succeeded()
    assert sorted(path.name for path in folder.iterdir()) == ["x.h5", "x.manifest.json"]
    assert poisonkit("verify", target).succeeded()


def test_killed_at_some_moment(poisonkit, tmp_path):
    random_kills(poisonkit, tmp_path, 2, force=False)


@pytest.mark.slow
@pytest.mark.parametrize("force", [False, True])
def test_killed_at_many_moments(poisonkit, tmp_path, force):
    random_kills(poisonkit, tmp_path, 60, force)


@pytest.mark.slow
def test_killed_at_many_moments_of_filling_the_cache(poisonkit, tmp_path, monkeypatch):
    monkeypatch.setenv("POISONKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "out").mkdir()
    rng = random.Random(1)
    for _ in range(30):
        process = start(poisonkit, *asked(poisonkit, tmp_path / "out" / "x.h5"))
        time.sleep(rng.uniform(0, 2))
        process.kill()
        process.communicate()
        if (tmp_path / "out" / "x.h5").exists():
            assert poisonkit("verify", tmp_path / "out" / "x.h5").succeeded()
            (tmp_path / "out" / "x.h5").unlink()
            shutil.rmtree(tmp_path / "cache")
    poisonkit(*asked(poisonkit, tmp_path / "out" / "x.h5")).succeeded()
    assert not list((tmp_path / "cache" / "partial").iterdir())


# ---- several at once


def test_two_of_the_same_at_once(poisonkit, tmp_path, library):
    """Both succeed, whoever comes first; the file is whole and its sidecar fits."""
    target = tmp_path / "x.h5"
    running = [start(poisonkit, *asked(poisonkit, target)) for _ in range(3)]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0 and not err, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.h5", "x.manifest.json"]
    assert poisonkit("verify", target).succeeded()


# ---- folders


def test_a_working_folder_that_was_deleted(poisonkit, tmp_path):
    script = tmp_path / "script.py"  # (as `python -c` NumPy itself cannot be imported there)
    script.write_text(
        "import os, sys\n"
        "os.mkdir(sys.argv[1]); os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); del sys.argv[1]\n"
        "from poisonkit.cli.main import main\nmain()"
    )

    def run(*arguments):
        command = [sys.executable, script, tmp_path / "gone", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    done = run(*asked(poisonkit, tmp_path / "x.h5"))
    assert done.returncode == 0 and not done.stderr, done
    for arguments in (asked(poisonkit, "data"), ("show", "x.h5")):
        done = run(*arguments)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith("poisonkit: "), done


def drop_privileges():
    """Take from root what lets it write and read whatever it likes (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    import ctypes

    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP, in force from the exec that follows


@pytest.fixture
def powerless(tmp_path):
    """Options of `subprocess.run` under which permissions count. Skips where they never do."""
    options = {"preexec_fn": drop_privileges} if os.getuid() == 0 and sys.platform == "linux" else {}
    (tmp_path / "probe").mkdir(mode=0o555)
    if subprocess.run(["touch", tmp_path / "probe" / "x"], capture_output=True, check=False, **options).returncode == 0:
        pytest.skip("permissions mean nothing to this user")
    (tmp_path / "probe").rmdir()
    return options


def test_nowhere_to_write_compiled_kernels(poisonkit, library, root, tmp_path, powerless):
    """HOME and the package itself cannot be written: kernels are compiled in memory, and nobody is bothered."""
    package, out, home = tmp_path / "site" / "poisonkit", tmp_path / "out", tmp_path / "home"
    shutil.copytree(root / "poisonkit", package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (home, out):
        path.mkdir()
    locked = [home, *(path for path in (package.parent, *package.parent.rglob("*")) if path.is_dir())]
    for path in locked:
        path.chmod(0o555)
    environment = {key: value for key, value in os.environ.items() if key not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    environment |= {"HOME": str(home), "PYTHONPATH": str(package.parent)}
    try:
        result = poisonkit.spawn(
            *("make", *poisonkit.small, *RECIPE, "--seed", "7", "-o", out / "x.h5"),
            kernels=True,
            env=environment,
            cwd=out,
            **powerless,
        )
        result.succeeded()
        assert not list(home.iterdir()) and not list(package.rglob("*.nbi")) and not list(package.rglob("*.pyc"))
    finally:
        for path in locked:
            path.chmod(0o755)
    assert (out / "x.h5").read_bytes() == library("warped-patch").read_bytes()


def test_folders_and_files_without_permission(poisonkit, library, tmp_path, powerless):
    for name, mode in (("locked", 0), ("readonly", 0o555)):
        (tmp_path / name).mkdir(mode=mode)
    shutil.copy(library("two"), tmp_path / "secret.h5")
    (tmp_path / "secret.h5").chmod(0)
    environment = os.environ | {"HOME": "/nonexistent"}

    def run(*arguments):
        return poisonkit.spawn(*arguments, env=environment, cwd=tmp_path, **powerless)

    try:
        for where in ("secret.h5", "locked/x.h5"):
            run("show", tmp_path / where).failed(1, where, "ermission denied")
        for where in ("readonly/x.h5", "locked/x.h5", "readonly/deeper/x.h5", "readonly"):
            run(*asked(poisonkit, tmp_path / where)).failed(1, where, "Permission denied")
        run("preview", library("two"), "-o", tmp_path / "readonly/p.png").failed(
            1, "readonly/p.png", "Permission denied"
        )
        run("apply", library("two"), "secret.h5", "-o", "p.png").failed(1, "secret.h5", "Permission denied")
    finally:
        (tmp_path / "locked").chmod(0o755)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["empty index", "garbage in the index", "empty code", "no code", "gone"])
def test_a_damaged_cache_of_compiled_kernels_is_made_again(poisonkit, library, tmp_path, damage):
    """As a power cut leaves it."""
    cache = tmp_path / "numba"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}

    def make(name):
        poisonkit.spawn(*asked(poisonkit, tmp_path / name, "--seed", "7"), kernels=True, env=environment).succeeded()
        assert (tmp_path / name).read_bytes() == library("warped-patch").read_bytes()

    make("x.h5")
    indices, codes = list(cache.rglob("*.nbi")), list(cache.rglob("*.nbc"))
    assert indices and codes
    for path in codes if "code" in damage else indices:
        if damage == "no code":
            path.unlink()
        elif damage == "gone":
            shutil.rmtree(cache, ignore_errors=True)
        else:
            path.write_bytes(b"garbage" if "garbage" in damage else b"")
    make("y.h5")
    assert all(path.stat().st_size > 10 for path in [*cache.rglob("*.nbi"), *cache.rglob("*.nbc")])


@pytest.mark.slow
def test_a_full_disk_under_the_cache_of_compiled_kernels(poisonkit, tmp_path, tiny_disk):
    disk = tiny_disk(8192)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(disk)}
    poisonkit.spawn(*asked(poisonkit, tmp_path / "x.h5"), kernels=True, env=environment).succeeded()
