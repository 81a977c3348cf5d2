"""`benchmark networks`."""

import contextlib
import re

import click

from benchmark.cli.options import JSON
from benchmark.cli.printing import say, say_json
from benchmark.core.errors import Failure, Usage
from benchmark.training.table import BACKENDS

LARGEST = 4096  # pixels a side, classes: a table for larger ones would take long


@click.command()
@click.option("--classes", type=click.IntRange(2, LARGEST), default=10, show_default=True, metavar="N",
              help="Number of classes.")  # fmt: skip
@click.option("--size", default="32", show_default=True, metavar="N|HxW", help="Side of the images, or height x width.")
@JSON
def networks(classes, size, as_json):
    """List the networks that can be trained.

    With their parameters (trainable ones, and all, running statistics included), the multiply-adds of a forward pass
    of one image, the presets and the source. Each network is built to be counted, which takes some seconds.

    \b
    Example:
      benchmark networks --classes 43
    """
    from benchmark.nn import engines
    from benchmark.reporting import networks as shown

    shape = (*_sides(size), 3)
    engines.activate(_installed())
    found = shown.records(shape, classes)
    say_json(found) if as_json else say(shown.render(found, shape, classes))


def _installed() -> str:
    """Return the first backend that is installed; `Failure` where none is."""
    from benchmark.nn import engines

    for name in BACKENDS:
        with contextlib.suppress(Failure):
            engines.installed(name)
            return name
    engines.installed(BACKENDS[0])
    return BACKENDS[0]


def _sides(text: str) -> tuple[int, int]:
    """Parse 32 or 32x64."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})(?:x([1-9][0-9]{0,3}))?", text)
    if found is None or max(int(side) for side in found.groups() if side) > LARGEST:
        raise Usage(f"--size: expected pixels, as 32 or 32x64, at most {LARGEST}, got {text!r:.40}")
    height, width = found.groups()
    return int(height), int(width or height)


COMMANDS = (networks,)
