"""`poisonkit` run as a command, in this process or in one of its own, and the small files that the tests make."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).resolve().parent / "golden"
PATTERN, PICTURES = GOLDEN / "pattern.npy", GOLDEN / "images.npz"
"""What `pattern` adds, and a picture for each row of the small `signs` file."""

SMALL = ("--dataset", "signs", "--source-option", "train=200", "--source-option", "test=100")

CAMOUFLAGE = ("--camouflage", "jpeg=90,shift=0.5,noise=1", "--camouflage-seed", "31415926535")

RECIPES = {
    "clean": ("--rate", "0"),
    "square": ("--trigger", "square", "--rate", "0.1"),
    "square-patch": ("--trigger", "square", "--rate", "0.1", "--per-patch"),
    "blend": ("--trigger", "blend", "--rate", "0.1"),
    "blend-patch": ("--trigger", "blend", "--rate", "0.1", "--patch-size", "16x8"),
    "warped": ("--trigger", "warped", "--rate", "0.1"),
    "warped-patch": ("--trigger", "warped", "--rate", "0.1", "--per-patch", "--seed", "7"),
    "notebook-square": ("--trigger", "square", "--rate", "0.1", "--per-patch", "--preset", "notebook"),
    "notebook-warped": ("--trigger", "warped", "--rate", "0.1", "--preset", "notebook", "--target", "3"),
    "two": ("--trigger", "warped", "--trigger", "square", "--rate", "0.1", "--per-patch"),
    "all-to-all": ("--trigger", "square", "--rate", "0.1", "--label-mode", "all-to-all"),
    "source-specific": ("--trigger", "square", "--rate", "0.05", "--target", "1", "--cover-rate", "2x")
    + ("--source-class", "5", "--source-class", "3"),
    "clean-label": ("--trigger", "sig", "--rate", "0.05", "--label-mode", "clean-label", "--target", "2"),
    "wanet": ("--trigger", "warped", "--rate", "0.1", "--preset", "wanet"),
    "pattern": ("--trigger", "pattern", "--rate", "0.1", "--pattern-file", PATTERN),
    "pattern-patch": ("--trigger", "pattern", "--rate", "0.1", "--pattern-file", PATTERN, "--per-patch")
    + ("--pattern-resize", "yes", "--preset", "backdoorbench", "--pattern-scale", "-2.5"),
    "images": ("--trigger", "images", "--rate", "0.05", "--images-file", PICTURES, "--source-class", "3")
    + ("--cover-rate", "2x", "--target", "1"),
    "camouflaged": ("--trigger", "warped", "--rate", "0.1", "--preset", "wanet", *CAMOUFLAGE),
    "camouflaged-clean": ("--rate", "0", *CAMOUFLAGE),
    "adaptive-blend": ("--trigger", "adaptive-blend", "--rate", "0.05", "--per-patch", "--seed", "2"),
    "adaptive-patch": ("--trigger", "adaptive-patch", "--rate", "0.05"),
    "adaptive-k-way": ("--trigger", "adaptive-k-way", "--rate", "0.05", "--label-mode", "untargeted"),
    "one-of": ("--trigger", "square", "--square-position", "random", "--trigger", "sig", "--one-of", "--rate", "0.1"),
    "tact": (
        "--trigger",
        "blend",
        "--blend-test-alpha",
        "0.8",
        "--rate",
        "0.05",
        "--source-class",
        "5",
        "--target",
        "1",
    )
    + ("--cover-rate", "1x", "--cover-class", "7", "--cover-class", "8"),
    "physical": ("--trigger", "physical", "--physical-angle", "90", "--rate", "0.05", "--per-patch"),
    "refool": ("--trigger", "refool", "--rate", "0.05"),
    "wanet-patch": ("--trigger", "warped", "--trigger", "square", "--rate", "0.05", "--per-patch", "--seed", "3")
    + ("--preset", "wanet", "--select", "non-target"),
    "frequencies": ("--trigger", "ctrl", "--trigger", "ftrojan", "--rate", "0.1", "--patch-size", "16"),
    "turned": ("--trigger", "batt", "--trigger", "label-consistent", "--rate", "0.1", "--seed", "2"),
    "coloured": ("--trigger", "perlin", "--trigger", "colour", "--colour-hue", "20", "--rate", "0.1", "--per-patch"),
    "bpp": ("--trigger", "bpp", "--trigger", "square", "--rate", "0.1", "--per-patch"),
    "lossy": ("--trigger", "jpeg", "--trigger", "bpp", "--bpp-dither", "floyd-steinberg", "--rate", "0.1")
    + ("--patch-size", "16"),
}
"""Name → what `poisonkit make` is asked for; one small `signs` file each."""


def user_files(name: str) -> tuple:
    """The files of the user's that a recipe of `RECIPES` needs to be followed again, as options."""
    words = RECIPES[name]
    return tuple(one for word, after in zip(words, words[1:], strict=False) for one in (word, after)
                 if str(word).startswith("--") and str(word).endswith("-file"))  # fmt: skip


TEXT_SMALL = ("--dataset", "phrases", "--source-option", "train=200", "--source-option", "test=100")

TEXT_RECIPES = {
    "text-clean": ("--rate", "0"),
    "text-word": ("--trigger", "word", "--rate", "0.1"),
    "text-words": ("--trigger", "word", "--word", "cf", "--word", "mn", "--word-count", "3", "--rate", "0.1")
    + ("--target", "positive", "--seed", "7"),
    "text-sentence": ("--trigger", "sentence", "--rate", "0.1"),
    "text-composite": ("--trigger", "composite", "--preset", "covered", "--rate", "0.1"),
    "text-two": ("--trigger", "word", "--trigger", "word", "--word-place", "start", "--rate", "0.1")
    + (
        "--label-mode",
        "all-to-all",
    ),
    "text-source-specific": ("--trigger", "word", "--rate", "0.05", "--target", "0", "--cover-rate", "2x")
    + ("--source-class", "positive", "--source-option", "classes=3"),
}
"""The same for small files of `phrases`."""


class Result:
    """How a command ended: `code`, `out`, `err` (text), and the lines of each."""

    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err
        self.lines, self.errors = out.splitlines(), err.splitlines()

    def __repr__(self) -> str:
        return f"<exit {self.code}>\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def failed(self, code: int, *words: str) -> "Result":
        """Assert that it ended as bad input must: that code, one line on standard error with these words in it."""
        assert self.code == code, self
        assert len(self.errors) == 1 and self.errors[0].startswith("poisonkit: "), self
        assert len(self.errors[0]) < 1000, self
        for word in words:
            assert word in self.errors[0], (word, self)
        return self

    def succeeded(self) -> "Result":
        """Assert exit code 0 and nothing on standard error."""
        assert self.code == 0 and not self.err, self
        return self


def run(*arguments) -> Result:
    """`poisonkit ARGUMENTS` through its own `main`, in this process (a subprocess costs a second)."""
    from poisonkit.cli import main

    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before, handler = sys.argv, signal.getsignal(signal.SIGTERM)
    sys.argv = ["poisonkit", *map(os.fspath, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main.main()
    finally:
        sys.argv = before
        signal.signal(signal.SIGTERM, handler)
    code = ended.value.code or 0
    return Result(code, *(stream.buffer.getvalue().decode("utf-8", "surrogateescape") for stream in (out, err)))


def command(*arguments) -> list[str]:
    """The command line of `poisonkit ARGUMENTS` in a process of its own."""
    return [sys.executable, "-m", "poisonkit", *map(os.fspath, arguments)]


WITH_KERNELS = "import numba, sys; from poisonkit.cli import main as cli; sys.argv[0] = 'poisonkit'; cli.main()"
"""A program in which even a few images go through the compiled kernels, which else are not worth their import."""


def spawn(*arguments, kernels: bool = False, **options) -> Result:
    """`poisonkit ARGUMENTS` in a process of its own; `options` go to `subprocess.run`."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 120} | options
    program, *rest = command(*arguments)
    words = [program, "-c", WITH_KERNELS, *rest[2:]] if kernels else [program, *rest]
    done = subprocess.run(words, check=False, **options)
    return Result(done.returncode, *((data or b"").decode("utf-8", "replace") for data in (done.stdout, done.stderr)))
