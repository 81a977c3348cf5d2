"""Triggers of every kind, made up for the tests: a table, a function, and such that do something else to test rows."""

import sys
from types import ModuleType

import numpy as np

from poisonkit.core.image_maps import Function
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.core.table import Table
from poisonkit.triggers import registry
from poisonkit.triggers.image_base import BuiltTrigger, ImageTrigger


def inverted(parameters, tile, context):
    """A table: every level of red upside down."""
    levels = np.tile(np.arange(256), (tile[2], 1))
    levels[0] = 255 - levels[0]
    return BuiltTrigger(Table.build(levels, tile))


def lit(level, tile):
    """A stencil: everything a little lighter."""
    stencil = Stencil.identity(tile)
    stencil.bias[:] = level * ONE
    return stencil


def two_lights(parameters, tile, context):
    """Stencils: test rows become lighter than training rows."""
    return BuiltTrigger(lit(9, tile), test=lit(30, tile))


def dots_of(stream, tile):
    """A function: one black pixel, anywhere, by the row."""

    def run(images, rows):
        out, at = images.copy(), stream.between(rows, 0, tile[0] * tile[1] - 1)[:, 0]
        out[np.arange(len(out)), at // tile[1], at % tile[1]] = 0
        return out

    return Function(run, tile, name="dot")


def dot(parameters, tile, context):
    """Functions of a stream each for training and for test rows."""
    streams = [context.row_stream("dot", test) for test in (False, True)]
    train, test = (dots_of(stream, tile) for stream in streams)
    return BuiltTrigger(train, streams=tuple(stream.name for stream in streams), test=test)


def dot_then_light(parameters, tile, context):
    """A function for training rows, a stencil for test rows."""
    stream = context.row_stream("dot")
    return BuiltTrigger(dots_of(stream, tile), streams=(stream.name,), test=lit(30, tile))


def light_then_dot(parameters, tile, context):
    """A stencil for training rows, a function for test rows."""
    stream = context.row_stream("dot", test=True)
    return BuiltTrigger(lit(9, tile), streams=(stream.name,), test=dots_of(stream, tile))


MADE = {
    "inverted": (inverted, {}),
    "two-lights": (two_lights, {}),
    "dot": (dot, {}),
    "dot-then-light": (dot_then_light, {}),
    "light-then-dot": (light_then_dot, {}),
    "whole-dot": (dot, {"whole": "a dot is one of the whole image", "alone": "it is a dot of its own rows"}),
}
"""Name → how it is built, and what else its `SPEC` says."""


def add(monkeypatch) -> None:
    """Make all of them known, as files in `triggers/image/` would be."""
    modules = dict(registry.TRIGGERS._modules)
    for name, (build, more) in MADE.items():
        module = ModuleType(f"made_{name.replace('-', '_')}")
        module.SPEC = ImageTrigger(name=name, summary="made up", build=build, **more)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        modules[name] = module.__name__
    monkeypatch.setattr(registry.TRIGGERS, "_modules", modules)
