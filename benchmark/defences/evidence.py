"""What several defences need of a run, computed once and kept in its folder: features and logits of its rows, and what
else a method computes row by row.

`RUN/evidence-XXXXXXXX/NAME-GROUP.npy`, the digits being the first of the network's SHA-256: a network that changes has
new evidence. Arrays are written block by block and memory-mapped, so that memory is bounded whatever the rows.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import files
from benchmark.core.errors import Damaged, Failure
from benchmark.core.numbers import counted
from benchmark.nn import engines, own_guard
from benchmark.nn.tokenizers import Tokens

IMAGES, TEXTS = 512, 64  # rows of a step
Compute = Callable[[Any], np.ndarray]
"""A block of inputs (m, …) → what is kept of each, (m, …)."""


class Store:
    """The folder of a run's evidence."""

    def __init__(self, run: Path):
        digest = hashlib.sha256(files.read_bytes(run / "model.keras")).hexdigest()
        self.folder = run / f"evidence-{digest[:8]}"
        self._making = ""

    def array(self, name: str, rows: int, make: Callable[[Path], None], width: int | None = None) -> np.ndarray:
        """Return an array of that many rows, read-only; where it is not there yet, `make` writes it to a path. `width`:
        it is (rows, width) float32; None: any numbers, as `make` writes them.

        Raises `Failure` where `make` writes something else.
        """
        path = self.folder / f"{name}.npy"
        found = _read(path, rows, width)
        if found is None:
            if self._making:  # it would wait for itself
                raise Failure(f"{name}: cannot be computed within {self._making}: ask for it before")
            files.make_folder(self.folder)
            with files.locked(self.folder, patient=True) as held:
                found = _read(path, rows, width)  # another process may have made it meanwhile
                if found is None:
                    self._make(path, name, make, held)
            found = _read(path, rows, width)
            if found is None:
                raise Failure(f"{name}: what was computed is not {_expected(rows, width)}")
        return found

    def _make(self, path: Path, name: str, make: Callable[[Path], None], held: bool) -> None:
        if held:
            files.remove_temporary(self.folder)
        self._making = name
        try:
            with files.replacing(path) as temporary:
                make(temporary)
        finally:
            self._making = ""

    def clear(self) -> None:
        """Remove all of it."""
        if files.there(self.folder):
            with files.locked(self.folder):
                shutil.rmtree(self.folder)


def _read(path: Path, rows: int, width: int | None) -> np.ndarray | None:
    """Return the array in a file, None while there is none; what is not what `Store.array` says is put aside."""
    if not files.there(path):
        return None
    try:
        files.check(path)
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        if width is None:
            fits = found.dtype.kind in "fiub" and found.ndim >= 1 and len(found) == rows
        else:
            fits = found.dtype == np.float32 and found.shape == (rows, width)
        if not fits:
            raise ValueError(f"an array {found.dtype} of {found.shape}, expected {_expected(rows, width)}")
        return found
    except (OSError, ValueError, EOFError) as error:
        files.put_aside(path, Damaged(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})"))
        return None


def _expected(rows: int, width: int | None) -> str:
    return f"numbers for {counted(rows, 'row')}" if width is None else f"float32 of ({rows}, {width})"


def by_block(path: Path, inputs: Any, compute: Compute) -> None:
    """Write what `compute` makes of inputs, block by block, as one .npy file."""
    target: np.memmap | None = None
    for rows, block, count in blocks(inputs):
        values = np.asarray(compute(block))[:count]
        if target is None:
            shape = (len(inputs), *values.shape[1:])
            with open(path, "wb") as file:
                np.lib.format.write_array_header_1_0(
                    file, {"descr": values.dtype.str, "fortran_order": False, "shape": shape}
                )
                start = file.tell()
                file.truncate(start + values.dtype.itemsize * int(np.prod(shape)))
            target = np.memmap(path, values.dtype, "r+", start, shape)
        target[rows] = values
    if target is None:
        np.save(path, np.empty((0, 1), np.float32), allow_pickle=False)
    else:
        target.flush()


def blocks(inputs: Any, size: int | None = None) -> Iterator[tuple[np.ndarray, Any, int]]:
    """Cut inputs into blocks of one size: (row numbers (m,), block, m); the last block is filled up. Texts come in the
    order of their lengths."""
    if isinstance(inputs, Tokens):
        for rows, block in inputs.batches(size or TEXTS):
            yield rows, block, len(rows)
        return
    size = size or IMAGES
    for start in range(0, len(inputs), size):
        block = inputs[start : start + size]
        count = len(block)
        if count < size:
            block = np.concatenate([block, np.zeros((size - count, *block.shape[1:]), block.dtype)])
        yield np.arange(start, start + count), block, count


def forward(model: Any, of_floats: bool = False) -> Callable[[Any], list[np.ndarray]]:
    """Return a compiled function of a block of inputs: the inputs of the last layer (m, d), of an encoder [CLS],
    and the logits (m, C), both float32; of a network without a dense last layer the logits alone.

    `of_floats`: of images as float32, bytes with fractions or beyond 255, which the network's input would cut to bytes.
    """
    from keras import ops

    outputs = _of_encoder(model) if getattr(model, "ends_in_logits", False) else _of_layers(model, of_floats)

    def cast(block: Any) -> list[Any]:
        return [ops.cast(one, "float32") for one in outputs(block)]

    call = engines.compiled(model, cast)
    return lambda block: [ops.convert_to_numpy(one) for one in guarded(model, call, block)]


def _of_encoder(model: Any) -> Callable[[Any], list[Any]]:
    def outputs(tokens: Any) -> list[Any]:
        hidden = model.inside(tokens, training=False).hidden
        return [hidden[:, 0], model.classify(hidden, training=False)]

    return outputs


def _of_layers(model: Any, of_floats: bool) -> Callable[[Any], list[Any]]:
    import keras

    logits = model.get_layer("logits")
    wanted = [logits.input, logits.output] if has_features(model) else [logits.output]
    first = entry(model) if of_floats else None
    trunk = keras.Model(first.output if first else model.inputs, wanted)
    return lambda images: _listed(trunk(first(images) if first else images, training=False))


def entry(model: Any) -> Any:
    """Return the layer that takes a network's images. `Failure` where that is not a single one."""
    import keras

    others = (one for one in model.layers if not isinstance(one, keras.layers.InputLayer))
    found = [one for one in others if one.input is model.inputs[0]]
    if len(found) != 1:
        raise Failure(
            "this network's images go into several of its layers, so it cannot be asked about images between bytes"
        )
    return found[0]


def _listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def guarded(model: Any, function: Callable[..., Any], *arrays: Any) -> Any:
    """Call a function that computes with a network; of one of one's own, whose code then runs, errors are one line."""
    source = getattr(model, own_guard.SOURCE, None)
    if source is None:
        return function(*arrays)
    with own_guard.running(source):
        return function(*arrays)


def has_features(model: Any) -> bool:
    """Is the layer before the softmax a dense one, whose inputs are the features?"""
    return hasattr(model.get_layer("logits"), "kernel")


def features(model: Any) -> int:
    """How many features the network has: inputs of its last layer; 0 where that is not a dense one."""
    return int(model.get_layer("logits").kernel.shape[0]) if has_features(model) else 0
