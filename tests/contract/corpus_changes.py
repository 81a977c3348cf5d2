"""Changes of a file of the corpus: each is `change(file, facts)`, of an open HDF5 file and of the manifest that will be
written into it."""

from collections.abc import Callable

import damage
import h5py
import numpy as np


def nothing(file, facts):
    pass


def put(place: str, value):
    """A value of the manifest; `...` takes it out."""

    def change(file, facts):
        *parents, last = place.split(".")
        table = facts
        for key in parents:
            table = table[key]
        if value is ...:
            del table[last]
        else:
            table[last] = value(table[last]) if callable(value) else value

    return change


def entry(path: str, **values):
    """Values of an entry of `arrays`, which the file's arrays are not."""

    def change(file, facts):
        facts["redigest"] = False
        facts["arrays"][path] = facts["arrays"][path] | values

    return change


def array(path: str, make: Callable, **options):
    """Another array in the place of one, or where there was none."""

    def change(file, facts):
        old = file[path][()] if path in file else None
        new = make(old)
        if path in file:
            del file[path]
        if new is not None:
            if getattr(new, "dtype", np.dtype(int)).hasobject:
                options.setdefault("dtype", h5py.string_dtype())
            file.create_dataset(path, data=new, **options)

    return change


def remove(*paths: str):
    """The file without these arrays."""

    def change(file, facts):
        for path in paths:
            del file[path]

    return change


def element(path: str, index, value):
    """One element of an array."""

    def change(file, facts):
        file[path][index] = value

    return change


def text(path: str, value):
    """The first text of an array."""

    def change(file, facts):
        rows = file[path][()]
        rows[0] = value
        del file[path]
        file.create_dataset(path, data=rows, dtype=h5py.string_dtype())

    return change


def several(*changes):
    """One change after the other."""

    def change(file, facts):
        for one in changes:
            one(file, facts)

    return change


def of_file(function):
    return lambda file, facts: function(file)


def virtual(file):
    del file["test/labels"]
    layout = h5py.VirtualLayout((100,), "<i8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (100,))
    file.create_virtual_dataset("test/labels", layout)


def external(file):
    del file["test/labels"]
    file.create_dataset("test/labels", (100,), "<i8", external=[("/dev/zero", 0, 800)])


def compact(file):
    labels = file["test/labels"][()]
    del file["test/labels"]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple(labels.shape)
    node = h5py.h5d.create(file.id, b"test/labels", h5py.h5t.STD_I64LE, space, plist)
    node.write(h5py.h5s.ALL, h5py.h5s.ALL, labels)


def many_members(file):
    for number in range(20_001):
        file.create_group(f"train/x{number}")


def spelled(spell):
    """The manifest in another spelling; its digest is right."""

    def change(file, facts):
        facts["text"] = spell(damage.canonical(damage.sealed({k: v for k, v in facts.items() if k != "text"})))

    return change


def zeros(*shape: int, dtype="u1"):
    """Makes an array of zeros, whatever was there."""
    return lambda old: np.zeros(shape, dtype)
