"""Any array added to the image: against reference outputs, a plain loop, and what is no such array."""

import io
import zipfile
from fractions import Fraction
from pathlib import Path

import damage
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made import pictures

import poisonkit as pk
from poisonkit.core.errors import Failure, Usage
from poisonkit.poisoning.recipe import Recipe, build, parameters
from poisonkit.triggers.image import pattern

GOLDEN = np.load(Path(__file__).resolve().parents[3] / "golden" / "added.npz")
ARRAY = Path(__file__).resolve().parents[3] / "golden" / "pattern.npy"


def built(array, shape, given=None, preset=None, patch=None):
    values = parameters("pattern", given or {}, preset)
    taken = pattern.accept(np.asarray(array))
    return build(Recipe("0.1", (("pattern", values),), patch, pictures={"pattern": taken}), shape)[0]


def test_lf_to_the_byte():
    """But where a value is a whole number less 6e-15: the reference's float64 may or may not be below it."""
    array = GOLDEN["lf_pattern"]
    one = built(array, (32, 32, 3), preset="backdoorbench")
    found, whole = one.stencil.apply(GOLDEN["images"]).astype(int), np.abs(array - np.rint(array)) < 1e-13
    assert whole.mean() < 0.05 and np.array_equal(found[:, ~whole], GOLDEN["lf_bb"][:, ~whole])
    assert np.abs(found - GOLDEN["lf_bb"]).max() <= 1 and (found != GOLDEN["lf_bb"]).mean() < 0.003
    assert np.array_equal(one.extras["array"], array)


def test_tuap_within_a_level_where_its_bytes_do_not_wrap():
    one = built(GOLDEN["tuap_pattern"], (32, 32, 3), {"scale": "255", "rounding": "truncate"})
    found = one.stencil.apply(GOLDEN["images"]).astype(int)
    total = GOLDEN["images"] + GOLDEN["tuap_pattern"].astype(float) * 255
    inside = (total >= 0) & (total < 256)
    differing = np.abs(found - GOLDEN["tuap_bx"])[inside]
    assert inside.mean() > 0.98 and differing.max() <= 1 and (differing > 0).mean() < 0.005


def plain(image, array, scale, truncate):
    """The sum of each byte, exactly, then rounded and clipped."""
    out = np.empty(image.shape, int)
    for place in np.ndindex(image.shape):
        value = int(image[place]) + Fraction(float(array[place]) * scale)
        out[place] = min(255, max(0, (value if truncate else value + Fraction(1, 2)).__floor__()))
    return out


@settings(max_examples=60, deadline=None)
@given(
    array=hnp.arrays(np.float64, (3, 4, 3), elements=st.floats(-300, 300, width=16)),
    scale=st.sampled_from(["1", "0.5", "-2"]),
    rounding=st.sampled_from(["half-up", "truncate"]),
    seed=st.integers(0, 2**32),
)
def test_it_is_added_exactly(array, scale, rounding, seed):
    image = pictures(np.random.default_rng(seed), 1, (3, 4, 3))
    found = built(array, (3, 4, 3), {"scale": scale, "rounding": rounding}).stencil.apply(image)[0]
    assert np.array_equal(found, plain(image[0], array, float(scale), rounding == "truncate"))


def test_a_computed_nearly_whole_number_is_that_number():
    values = np.full((2, 2), -1e-13) + np.array([[0.0, 3.0], [-3.0, 0.0]])
    found = built(values, (2, 2, 1), {"rounding": "truncate"}).stencil.apply(np.full((1, 2, 2, 1), 9, np.uint8))
    assert found.reshape(-1).tolist() == [9, 12, 6, 9]


def test_without_channels_it_is_added_to_each_and_of_several_the_first_is_taken():
    flat = np.arange(16.0).reshape(4, 4)
    expected = built(np.repeat(flat[..., None], 3, -1), (4, 4, 3)).stencil.bias
    several = pattern.accept(np.stack([flat, -flat])[..., None])
    assert several.notices == ["--pattern-file: holds 2 arrays, of which the first is taken"]
    for array in (flat, flat[..., None], flat[None, ..., None], flat.astype(np.int16), flat.astype(">f4")):
        assert np.array_equal(built(array, (4, 4, 3)).stencil.bias, expected)


def test_resizing_is_by_area_in_whole_numbers():
    rng = np.random.default_rng(5)
    array = rng.normal(0, 30, (8, 8, 3))
    found = built(array, (8, 8, 3), {"resize": "yes"}, patch=(4, 2)).stencil
    mean = array.reshape(4, 2, 2, 4, 3).mean((1, 3))
    assert np.abs(found.bias[:4, :2] / 32768 - mean).max() <= 0.5 + 1e-4
    assert np.array_equal(found.bias[:4, :2], found.bias[4:, 6:])
    assert np.array_equal(built(array, (8, 8, 3), {"resize": "yes"}).stencil.bias, built(array, (8, 8, 3)).stencil.bias)
    wide = built(np.array([[10.0, -10.0]]), (2, 4, 1), {"resize": "yes"}).stencil.bias[..., 0] // 32768
    assert wide.tolist() == [[10, 10, -10, -10]] * 2


def test_a_size_that_does_not_fit_is_one_line():
    with pytest.raises(
        Usage, match=r"is 32×32×3, what it is put on 8×8×3: give one of 8×8 or 8×8×3, or add --pattern-"
    ):
        built(np.zeros((32, 32, 3)), (32, 32, 3), patch=(8, 8))
    with pytest.raises(Usage, match=r"is 4×4×3, what it is put on 4×4×1: give one of 4×4 or 4×4×1$"):
        built(np.zeros((4, 4, 3)), (4, 4, 1), {"resize": "yes"})
    with pytest.raises(Usage, match="needs --pattern-file FILE.npy"):
        build(Recipe("0.1", (("pattern", parameters("pattern", {}, None)),)), (4, 4, 1))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 32, 32)), "is 3×32×32, expected .*: channels last, numpy.moveaxis"),
        (np.zeros((32, 32, 4)), "is 32×32×4, expected height×width"),
        (np.zeros(32), "is 32, expected"),
        (np.zeros((1, 1, 4, 4, 3)), "is 1×1×4×4×3"),
        (np.zeros((0, 4)), "is 0×4"),
        (np.zeros((1, 5000)), "is 1×5000"),
        (np.array([[1, np.nan], [np.inf, 0]]), "holds nan at 2 places, expected finite numbers"),
        (np.array([["a"]]), "expected a path or an array of numbers"),
        (np.array([[None]]), "expected a path or an array of numbers"),
        (np.array([[1j]]), "expected a path or an array of numbers"),
    ],
)
def test_what_is_no_such_array(array, words):
    with pytest.raises(Usage, match=words):
        pattern.accept(array)


def test_levels_beyond_all_measure():
    for scale in ("1", "100000"):
        with pytest.raises(Usage, match="its largest value times --pattern-scale is .*, expected grey levels"):
            built(np.full((2, 2), 1e300), (2, 2, 1), {"scale": scale})


def npz(arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def npy(array, **how):
    file = io.BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


def bomb():
    """A header that claims 8 GB, and a zip that unpacks to as much as it claims but is not what the header says."""
    header = npy(np.zeros((2, 2)))[:128].replace(b"(2, 2), ", b"(90000, 9000), ").replace(b"      \n", b"\n")
    return header[:8] + (len(header) - 10).to_bytes(2, "little") + header[10:]


def zipped(name, data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


FILES = {
    "two arrays": (npz({"a": np.zeros((4, 4)), "b": np.zeros((4, 4))}), r"holds 2 arrays \(a, b\), expected one"),
    "objects": (npy(np.array([[{}]]), allow_pickle=True), "holds Python objects, which could run code"),
    "objects in a zip": (npz({"a": np.array([[{}]])}), "a holds Python objects"),
    "text": (b"0 1 2\n3 4 5\n", "is neither an .npy nor an .npz file"),
    "empty": (b"", "is neither an .npy nor"),
    "cut": (npy(np.zeros((4, 4)))[:-1], "is 4×4 float64, which does not fit the 255 bytes it has"),
    "more": (npy(np.zeros((4, 4))) + b"x", "which does not fit the 257 bytes"),
    "a header alone": (npy(np.zeros((4, 4)))[:20], "is not a readable array"),
    "a claim": (bomb(), "MB, expected at most"),
    "a claim in a zip": (zipped("a.npy", bomb()), "a is 90000×9000 float64"),
    "a bomb": (zipped("a.npy", npy(np.zeros((4, 4))) + bytes(9 << 20)), "which does not fit"),
    "no array": (zipped("data.pkl", b"x"), "holds data.pkl, and no array"),
    "outside": (zipped("../a.npy", npy(np.zeros((4, 4)))), "points outside of the archive"),
    "a torn zip": (npz({"a": np.zeros((4, 4))})[:-30], "is truncated, damaged or no such archive"),
    "records": (npy(np.zeros((4, 4), [("x", "f8")])), "expected whole or floating-point numbers"),
    "text cells": (npy(np.array([["a"]])), "expected whole or floating-point numbers"),
    "not a number": (npy(np.full((4, 4), np.nan)), "holds nan at 16 places"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_hold_no_such_array(name, tmp_path):
    data, words = FILES[name]
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    with pytest.raises(Failure, match=words) as found:
        pattern.read(path)
    assert "\n" not in str(found.value) and str(found.value).startswith(str(path))


def test_no_file_at_all(tmp_path):
    with pytest.raises(Failure, match="x.npy: no such file: expected an .npy or .npz file"):
        pattern.read(tmp_path / "x.npy")
    with pytest.raises(Failure, match="is not a file: expected"):
        pattern.read(tmp_path)


def test_fortran_order_is_read_as_numpy_reads_it(tmp_path):
    array = np.asfortranarray(np.arange(24.0).reshape(2, 4, 3))
    np.save(tmp_path / "x.npy", array)
    assert np.array_equal(pattern.read(tmp_path / "x.npy").values, array)


def test_a_side_that_a_header_spells_as_true_is_one(tmp_path):
    np.save(tmp_path / "x.npy", np.full((1, 4, 3), 7.0))
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"(1, 4, 3), }   ", b"(True, 4, 3), }"))
    assert b"(True," in (tmp_path / "x.npy").read_bytes()
    assert pattern.read(tmp_path / "x.npy").shape == (1, 4, 3)


def test_every_version_of_npy(tmp_path):
    """NumPy writes 3.0 where names of fields ask for it; the header of numbers is the same."""
    for version in ((1, 0), (2, 0), (3, 0)):
        with open(tmp_path / "x.npy", "wb") as file:
            np.lib.format.write_array(file, np.full((4, 4), 7.0), version=version)
        assert (pattern.read(tmp_path / "x.npy").values == 7).all()
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"NUMPY\x03", b"NUMPY\x09"))
    with pytest.raises(Failure, match=r"is not a readable array \(.npy version 9, expected 1 to 3\)|only support"):
        pattern.read(tmp_path / "x.npy")


def test_numbers_and_words_as_people_type_them():
    assert parameters("pattern", {"scale": "\N{MINUS SIGN}2.5"}, None)["scale"] == "-2.5"
    assert "test-alpha" not in parameters("blend", {"test-alpha": "Same "}, None)


def test_what_is_no_array_is_said_in_one_line():
    for value in (np.array([[1, 2], [3, None]], object), np.array([["a"], ["b"]]), [[1], [2]]):
        with pytest.raises(pk.Usage, match="pattern_file: expected") as raised:
            pk.make("signs", trigger="pattern", rate=0.1, pattern_file=value)
        assert "\n" not in str(raised.value)


def make(poisonkit, out, *more):
    return poisonkit("make", *poisonkit.small, "--trigger", "pattern", "--rate", "0.1", "-o", out, *more)


def test_a_file_verifies_alone_and_is_made_again_with_the_array(poisonkit, tmp_path):
    path = tmp_path / "x.h5"
    make(poisonkit, path, "--pattern-file", ARRAY).succeeded()
    poisonkit("verify", path).succeeded()
    with h5py.File(path) as file:
        assert np.array_equal(file["trigger/0/array"], np.load(ARRAY))
    again, sidecar = tmp_path / "y.h5", tmp_path / "x.manifest.json"
    poisonkit("make", "--from", sidecar, "-o", again).failed(
        1, "needs the array whose digest is sha256:", "--pattern-f"
    )
    poisonkit("make", "--from", sidecar, "-o", again, "--pattern-file", ARRAY).succeeded()
    assert again.read_bytes() == path.read_bytes()
    np.save(tmp_path / "other.npy", np.load(ARRAY) + 1)
    asked = ("make", "--from", sidecar, "-o", tmp_path / "z.h5", "--pattern-file", tmp_path / "other.npy")
    poisonkit(*asked).failed(1, "--pattern-file: another file")


def test_test_rows_may_get_it_stronger(poisonkit, tmp_path):
    """As Narcissus, whose trigger is three times as strong when the network is attacked."""
    path, values = tmp_path / "x.h5", np.floor(np.load(ARRAY) + 0.5)
    make(poisonkit, path, "--pattern-file", ARRAY, "--pattern-test-scale", "3").succeeded()
    poisonkit("verify", path).succeeded()
    with pk.open(path) as data:
        rows, tested = data.truth.rows[:], data.triggered.rows[:]
        train, clean = data.train.images[:][rows].astype(int), data.truth.images[:]
        assert np.array_equal(train, (clean + values).clip(0, 255))
        test, clean = data.triggered.images[:].astype(int), data.test.images[:][tested]
        assert np.array_equal(test, (clean + np.floor(3 * np.load(ARRAY) + 0.5)).clip(0, 255))
    poisonkit("pack", path).succeeded()
    before = path.read_bytes()
    path.unlink()
    poisonkit("unpack", tmp_path / "x.delta.h5", "-o", path).succeeded()
    assert path.read_bytes() == before


def test_a_delta_gives_it_back(poisonkit, tmp_path):
    path = tmp_path / "x.h5"
    make(poisonkit, path, "--pattern-file", ARRAY, "--per-patch", "--pattern-resize", "yes").succeeded()
    poisonkit("verify", path).succeeded()
    poisonkit("pack", path).succeeded()
    before = path.read_bytes()
    path.unlink()
    poisonkit("unpack", tmp_path / "x.delta.h5", "-o", path).succeeded()
    assert path.read_bytes() == before


def test_an_altered_array_does_not_verify(poisonkit, tmp_path):
    make(poisonkit, tmp_path / "x.h5", "--pattern-file", ARRAY).succeeded()
    path = damage.copy(tmp_path / "x.h5", tmp_path)
    with h5py.File(path, "r+") as file:
        file["trigger/0/array"][0, 0, 0] += 2.0**-20  # which rounds to the same level
    damage.reseal(path)
    result = poisonkit("verify", path)
    assert result.code == 3 and "the digest is not that of the array in trigger/0" in result.out + result.err


def test_a_small_array_is_warned_of(poisonkit, tmp_path):
    np.save(tmp_path / "small.npy", np.load(ARRAY) / 255)
    result = make(poisonkit, tmp_path / "x.h5", "--pattern-file", tmp_path / "small.npy")
    words = "is 0.0392, less than one grey level: an array in -1 … 1 needs --pattern-scale 255"
    assert result.code == 0 and words in result.err
    make(poisonkit, tmp_path / "y.h5", "--pattern-file", tmp_path / "small.npy", "--pattern-scale", "255").succeeded()


def test_the_array_itself_in_python(tmp_path, cache):
    asked = {"trigger": "pattern", "rate": 0.1, "source_options": {"train": 200, "test": 100}, "cache": cache}
    one = pk.make("signs", pattern_file=np.load(ARRAY), out=tmp_path / "a.h5", **asked)
    two = pk.make("signs", pattern_file=ARRAY, out=tmp_path / "b.h5", **asked)
    assert one.read_bytes() == two.read_bytes()
    with pytest.raises(Usage, match="pattern_file: expected a path or an array of numbers, got 3"):
        pk.make("signs", pattern_file=3, out=tmp_path / "c.h5", **asked)
