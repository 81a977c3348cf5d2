"""The command as a process: entry points, imports, output that nobody takes, encodings."""

import os
import shutil
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

COMMANDS = (
    "make",
    "seal",
    "unseal",
    "audit",
    "grade",
    "show",
    "verify",
    "preview",
    "stats",
    "diff",
    "apply",
    "triggers",
    "sources",
    "cache",
)


def test_help_names_every_command(poisonkit):
    out = poisonkit("--help").succeeded().out
    assert poisonkit("-h").out == out
    for name in COMMANDS:
        assert f"\n  {name} " in out
        assert poisonkit(name, "--help").succeeded().out.startswith(f"Usage: poisonkit {name} ")


def test_version(poisonkit):
    from poisonkit import __version__

    assert poisonkit("--version").succeeded().out == f"poisonkit, version {__version__}\n"


def test_a_pattern_that_names_a_sidecar_too(poisonkit, library, tmp_path):
    names = []
    for name in ("square", "clean"):
        names += [shutil.copy(library(name), tmp_path / f"{name}.h5")]
        names += [shutil.copy(library(name).with_suffix(".manifest.json"), tmp_path / f"{name}.manifest.json")]
    poisoned, clean = names[:2], names[2:]
    for command in (["show"], ["stats"], ["preview"], ["pack"]):
        poisonkit(*command, *poisoned).succeeded()
    poisonkit("export", *poisoned, "--format", "npz", "-o", tmp_path / "x.npz").succeeded()
    poisonkit("seal", *poisoned, "-o", tmp_path / "c.h5", "--key", tmp_path / "k.h5").succeeded()
    assert poisonkit("diff", *poisoned, *clean).code == 3
    assert poisonkit("show", poisoned[1]).code == 1, "a sidecar alone is still no data set"
    assert poisonkit("show", *poisoned, clean[1]).code == 2, "nor is that of another file ignored"


def test_the_installed_script_and_the_module_are_one(poisonkit):
    script = Path(sysconfig.get_path("scripts")) / "poisonkit"
    if not script.exists():
        script = shutil.which("poisonkit")
    if script is None:
        pytest.skip("poisonkit is not installed as a script here")
    done = subprocess.run([script, "triggers"], capture_output=True, text=True, check=True)
    assert done.stdout == poisonkit.spawn("triggers").succeeded().out == poisonkit("triggers").out


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--help"], {"numpy", "numba", "cv2", "h5py", "tqdm"}),
        (["--version"], {"numpy", "numba", "cv2", "h5py", "tqdm"}),
        (["make", "--help"], {"numba", "h5py"}),
        (["triggers"], {"numba", "h5py"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_nothing_heavy_is_imported_for_little(arguments, forbidden):
    code = "import sys; from poisonkit.cli.main import cli\ntry: cli()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "click" in loaded and not loaded & (forbidden | {"keras", "tensorflow", "jax", "torch", "benchmark"})


def test_make_never_imports_a_training_library(poisonkit, tmp_path):
    code = "import sys; from poisonkit.cli.main import cli\ntry: cli()\nfinally: print(*sys.modules, file=sys.stderr)"
    asked = ["make", *poisonkit.small, "--trigger", "warped", "--rate", "0.1", "-o", str(tmp_path / "x.h5")]
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "h5py" in loaded and not loaded & {"keras", "tensorflow", "jax", "torch", "benchmark"}


def shell(line: str, *arguments, **options):
    """A line of sh in which "$@" is the command line of poisonkit."""
    command = [sys.executable, "-m", "poisonkit", *map(os.fspath, arguments)]
    options = {"capture_output": True, "text": True, "timeout": 60, "check": False} | options
    return subprocess.run(["sh", "-c", line, "sh", *command], **options)


def test_output_that_nobody_reads_to_its_end(library):
    done = shell('"$@" | head -c 10', "show", "--json", library("two"))
    assert done.stdout == '{\n "arrays' and not done.stderr
    done = shell('{ "$@"; echo $? >&2; } | true', "show", "--json", library("two"))
    assert done.stderr in ("0\n", "1\n"), "no word of a broken pipe"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [("triggers",), ("show",), ("verify",)])
def test_output_to_a_full_disk(library, arguments):
    files = () if arguments == ("triggers",) else (library("two"),)
    done = shell('"$@" > /dev/full', *arguments, *files)
    assert done.returncode == 1 and done.stderr == "poisonkit: No space left on device\n"


@pytest.mark.parametrize(
    "closed", [*(pytest.param(one, marks=pytest.mark.slow) for one in (">&-", "2>&-", "<&-")), ">&- 2>&- <&-"]
)
def test_closed_streams(library, tmp_path, closed, poisonkit):
    asked = ("make", *poisonkit.small, "--trigger", "square", "--rate", "0.1", "-o", tmp_path / "x.h5")
    done = shell(f'"$@" {closed}', *asked)
    assert done.returncode == 0 and not done.stderr
    assert (tmp_path / "x.h5").read_bytes() == library("square").read_bytes()
    done = shell(f'"$@" {closed}', "show", tmp_path / "missing.h5")
    assert done.returncode == 1 and done.stderr == (
        "" if "2>" in closed else f"poisonkit: {tmp_path / 'missing.h5'}: no such file\n"
    )


@pytest.mark.parametrize("encoding", ["ascii", *(pytest.param(e, marks=pytest.mark.slow) for e in ("cp437", "utf-16"))])
def test_terminals_of_other_encodings(library, encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for arguments in (("show", library("two")), ("show", library("two").parent / "nö.h5"), ("triggers",)):
        done = shell('"$@"', *arguments, env=environment, text=False)
        assert done.returncode in (0, 1) and b"Traceback" not in done.stderr, done


def test_a_locale_that_knows_no_umlauts(library):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = shell('"$@"', "show", library("two"), env=environment, text=False)
    assert done.returncode == 0 and not done.stderr and b"200 training + 100 test" in done.stdout


def test_a_terminal_gets_a_progress_bar_that_leaves_nothing_behind(poisonkit, tmp_path):
    pty, termios, fcntl = (pytest.importorskip(name) for name in ("pty", "termios", "fcntl"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
    command = poisonkit.command(
        "make", *poisonkit.small, "--trigger", "square", "--rate", "0.1", "-o", tmp_path / "x.h5"
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    out, _ = process.communicate()
    assert process.returncode == 0 and out.startswith("wrote ") and out.count("\n") == 1
    assert b"images" in seen and b"Traceback" not in seen
    assert not seen.split(b"\r")[-1].strip(b" \x1b[A\n"), "the last state of the line is empty"
