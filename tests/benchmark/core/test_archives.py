"""Broken ZIP archives, of every compression: whoever reads one gives one line."""

import io
import zipfile

import numpy as np
import pytest

from benchmark.core import archives
from benchmark.core.errors import Failure
from benchmark.format import predictions
from benchmark.nn import saved_weights

COMPRESSIONS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def archive(name, content, compression):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as target:
        target.writestr(name, content)
    return made.getvalue()


def damaged(data, seed):
    """The same with some bytes of the member changed; its list of members stays."""
    rng, found = np.random.default_rng(seed), bytearray(data)
    for place in rng.integers(30, data.rindex(b"PK\1\2"), 6):
        found[place] ^= int(rng.integers(1, 256))
    return bytes(found)


def raised(compression, seed):
    try:
        with zipfile.ZipFile(io.BytesIO(damaged(archive("a", bytes(range(256)) * 40, compression), seed))) as found:
            found.read("a")
    except archives.BROKEN as error:
        return type(error)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_whatever_a_broken_archive_raises_is_among_them(compression):
    assert {raised(compression, seed) for seed in range(60)} - {None}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_damaged_predictions_are_one_line(compression, tmp_path):
    array = io.BytesIO()
    np.save(array, np.arange(300) % 4)
    said = []
    for seed in range(25):
        (tmp_path / "p.npz").write_bytes(damaged(archive("test.npy", array.getvalue(), compression), seed))
        try:
            predictions.read(tmp_path / "p.npz", {"test": 300}, 4)
        except Failure as error:
            said.append(str(error))
    assert said and all(line.startswith(f"{tmp_path}/p.npz: ") and "\n" not in line for line in said)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_damaged_weights_are_one_line(compression, tmp_path):
    """In the process that inspects them: compressed ones are refused before they are read."""
    for seed in range(10):
        whole = archive(saved_weights.WEIGHTS, bytes(5000), compression)
        (tmp_path / "model.keras").write_bytes(damaged(whole, seed))
        with pytest.raises(Failure, match="^not a model|cannot be read") as caught:
            saved_weights.inspect(str(tmp_path / "model.keras"), str(tmp_path / f"weights-{seed}"))
        assert "\n" not in str(caught.value)
