"""One decoder for every picture that comes in: what `apply` writes is what stands in the file, and a picture of a blend
or a sticker is what it would be as a row of a folder."""

import base64
import hashlib

import cv2
import h5py
import numpy as np
import picture_fixtures as make
import pytest

from poisonkit.core import picture_files
from poisonkit.core.errors import Failure
from poisonkit.core.grey_levels import grey

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (7, 10, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (7, 10, 1), np.uint8)
DEEP = RNG.integers(0, 2**16, (7, 10, 4), np.uint16)
INDEX = RNG.integers(0, 8, (7, 10, 1), np.uint8)
COLOURS = RNG.integers(0, 256, (8, 3), np.uint8)
CLEAR = RNG.integers(0, 256, 5, np.uint8)
GREY = RGB[..., :1]
GREY[0, :3], GREY[-1, -1] = 77, 77  # several pixels of the level that is called transparent
DEEP[0, 0, 0] = DEEP[3, 3, 0] = 0x1234
RGB[5, 5] = RGB[0, 0]
RGBA = np.concatenate([RGB, ALPHA], -1)
KEY = tuple(int(level) for level in RGB[0, 0])
DEEP_KEY = (0x1234).to_bytes(2, "big")
THREE = GREY.repeat(3, -1)
OPAQUE = None

# name → (file, colours (h, w, 3), opacity (h, w, 1) or None); what is wanted follows from how the file was made
KINDS = {
    "rgb.png": (make.png(RGB, 2), RGB, OPAQUE),
    "exif.png": (make.png(RGB, 2, (b"eXIf", make.EXIF)), RGB, OPAQUE),
    "rgba.png": (make.png(RGBA, 6), RGB, ALPHA),
    "rgba-exif.png": (make.png(RGBA, 6, (b"eXIf", make.EXIF)), RGB, ALPHA),
    "grey.png": (make.png(GREY, 0), THREE, OPAQUE),
    "grey-alpha.png": (make.png(np.concatenate([GREY, ALPHA], -1), 4), THREE, ALPHA),
    "grey-trns.png": (make.png(GREY, 0, (b"tRNS", b"\0\x4d")), THREE, np.where(GREY == 77, 0, 255)),
    "grey-trns-exif.png": (
        make.png(GREY, 0, (b"eXIf", make.EXIF), (b"tRNS", b"\0\x4d")), THREE, np.where(GREY == 77, 0, 255),
    ),
    "rgb-trns.png": (
        make.png(RGB, 2, (b"tRNS", bytes([0, KEY[0], 0, KEY[1], 0, KEY[2]]))), RGB,
        np.where((RGB == KEY).all(-1, keepdims=True), 0, 255),
    ),
    "palette.png": (make.png(INDEX, 3, (b"PLTE", COLOURS.tobytes())), COLOURS[INDEX[..., 0]], OPAQUE),
    "palette-trns.png": (
        make.png(INDEX, 3, (b"PLTE", COLOURS.tobytes()), (b"tRNS", CLEAR.tobytes())), COLOURS[INDEX[..., 0]],
        np.append(CLEAR, [255] * 3)[INDEX],
    ),
    "palette-4.png": (make.png(INDEX, 3, (b"PLTE", COLOURS.tobytes()), depth=4), COLOURS[INDEX[..., 0]], OPAQUE),
    "grey-2.png": (make.png(INDEX % 4, 0, depth=2), (INDEX % 4 * 85).repeat(3, -1), OPAQUE),
    "grey-2-trns.png": (
        make.png(INDEX % 4, 0, (b"tRNS", b"\0\x02"), depth=2), (INDEX % 4 * 85).repeat(3, -1),
        np.where(INDEX % 4 == 2, 0, 255),
    ),
    "deep.png": (make.png(DEEP[..., :3], 2), DEEP[..., :3] >> 8, OPAQUE),
    "deep-rgba.png": (make.png(DEEP, 6), DEEP[..., :3] >> 8, DEEP[..., 3:] >> 8),
    "deep-grey.png": (make.png(DEEP[..., :1], 0), (DEEP[..., :1] >> 8).repeat(3, -1), OPAQUE),
    "deep-grey-trns.png": (
        make.png(DEEP[..., :1], 0, (b"tRNS", DEEP_KEY)), (DEEP[..., :1] >> 8).repeat(3, -1),
        np.where(DEEP[..., :1] == 0x1234, 0, 255),
    ),
    "gamma.png": (make.png(RGB, 2, (b"gAMA", (10**5).to_bytes(4, "big"))), RGB, OPAQUE),
    "exif.webp": (make.webp(RGB, make.EXIF), RGB, OPAQUE),
    "rgba.webp": (make.webp(RGBA | [[[0, 0, 0, 1]]]), RGB, ALPHA | 1),
    "rgba-exif.webp": (make.webp(RGBA | [[[0, 0, 0, 1]]], make.EXIF), RGB, ALPHA | 1),
    "alpha.bmp": (make.bmp(RGBA, True), RGB, ALPHA),
    "filler.bmp": (make.bmp(RGBA, False), RGB, OPAQUE),
}  # fmt: skip
LOSSY = {"exif.jpg": make.jpeg(RGB, make.EXIF), "plain.jpg": make.jpeg(RGB), "grey.jpg": make.jpeg(GREY[..., 0])}
FILES = {name: kind[0] for name, kind in KINDS.items()} | LOSSY


@pytest.mark.parametrize("channels", (1, 3))
@pytest.mark.parametrize("name", KINDS)
def test_what_a_picture_is(name, channels, tmp_path):
    data, colours, opacity = KINDS[name]
    colours = np.asarray(colours, np.uint8) if channels == 3 else grey(np.asarray(colours, np.uint8))
    assert np.array_equal(picture_files.decode(data, channels), colours)
    (tmp_path / name).write_bytes(data)
    assert np.array_equal(picture_files.read(tmp_path / name, channels), colours)
    expected = colours if opacity is None else np.concatenate([colours, np.asarray(opacity, np.uint8)], -1)
    found = picture_files.read(tmp_path / name, channels, alpha=True)
    assert found.dtype == np.uint8 and np.array_equal(found, expected)


def test_a_turned_jpeg_is_the_one_that_is_not():
    assert np.array_equal(picture_files.decode(LOSSY["exif.jpg"], 3), picture_files.decode(LOSSY["plain.jpg"], 3))


@pytest.mark.parametrize("channels", (pytest.param(1, marks=pytest.mark.slow), 3))
@pytest.mark.parametrize("size", ((), ("--size", "9x6"), pytest.param(("--size", "20x20"), marks=pytest.mark.slow)))
def test_apply_writes_the_triggered_row_of_the_same_picture(poisonkit, tmp_path, channels, size):
    source, names = tmp_path / "in", sorted(FILES)
    for part in ("train", "test"):
        for label in ("a", "b"):
            (source / part / label).mkdir(parents=True)
        (source / part / "a" / "0.png").write_bytes(FILES["rgb.png"])
        for name in names:
            (source / part / "b" / name).write_bytes(FILES[name])
    asked = ("make", "--dataset", "folder", "--source", source, "--source-option", f"channels={channels}", *size)
    trigger = ("--trigger", "blend", "--trigger", "square", "--square-size", "2", "--rate", "0.5")
    result = poisonkit(*asked, *trigger, "-o", tmp_path / "x.h5")
    assert result.code == 0, result
    given = [source / "test" / "b" / name for name in names]
    out = [tmp_path / "out" / f"{name}.png" for name in names]
    for path, target in zip(given, out, strict=True):
        poisonkit("apply", tmp_path / "x.h5", path, "-o", target).succeeded()
    with h5py.File(tmp_path / "x.h5") as file:
        rows = file["triggered/images"][()]
    assert len(rows) == len(names)
    for name, target, row in zip(names, out, rows, strict=True):
        found = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
        found = found[..., ::-1] if channels == 3 else found[..., None]
        assert np.array_equal(found, row), name


@pytest.mark.parametrize("name", ("rgba-exif.png", "rgba-exif.webp", "grey-trns-exif.png"))
def test_a_sticker_with_an_orientation_is_not_turned_by_half(poisonkit, tmp_path, name):
    """7 × 10, left as it is; what is transparent shows the image below."""
    data, colours, opacity = KINDS[name]
    (tmp_path / name).write_bytes(data)
    small = ("--dataset", "signs", "--source-option", "train=40", "--source-option", "test=20", "--rate", "0.1")
    asked = ("make", *small, "--trigger", "sticker", "--sticker-size", "7x10", "--sticker-position", "0,0")
    poisonkit(*asked, "--sticker-image", tmp_path / name, "-o", tmp_path / "x.h5").succeeded()
    with h5py.File(tmp_path / "x.h5") as file:
        row = int(file["triggered/rows"][0])
        below, found = file["test/images"][row].astype(float), file["triggered/images"][0]
    share = np.asarray(opacity, float) / 255
    expected = share * np.asarray(colours, float) + (1 - share) * below[:7, :10]
    assert np.abs(found[:7, :10] - expected).max() <= 1
    assert np.array_equal(found[7:], below[7:]) and np.array_equal(found[:, 10:], below[:, 10:])


def test_a_blend_picture_is_not_turned(poisonkit, tmp_path):
    small = ("--dataset", "signs", "--source-option", "train=40", "--source-option", "test=20", "--rate", "0.1")
    for name in ("rgb.png", "exif.png", "exif.webp"):
        (tmp_path / name).write_bytes(FILES[name])
        asked = ("make", *small, "--trigger", "blend", "--blend-image", tmp_path / name, "-o", tmp_path / f"{name}.h5")
        poisonkit(*asked).succeeded()
    files = {(tmp_path / f"{name}.h5").read_bytes() for name in ("rgb.png", "exif.png", "exif.webp")}
    assert len(files) == 1


REFUSED = {
    "animated.webp": (make.animated_webp(RGB, RGB[::-1]), "an animated WebP file, expected one picture"),
    "animated.png": (make.animated_png(RGB, RGB[::-1].copy()), "an animated PNG file, expected one picture"),
    "still.gif": (make.gif(), "not a PNG, PPM, PGM, JPEG, WebP or BMP file"),
    "lossless.jpg": (LOSSY["plain.jpg"].replace(b"\xff\xc0\0\x11\x08", b"\xff\xc3\0\x11\x08"), "of a rare kind"),
    "deep.jpg": (LOSSY["plain.jpg"].replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"), "of a rare kind"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_opencv_4_and_5_read_in_different_ways_is_refused_everywhere(poisonkit, library, tmp_path, name):
    data, reason = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    for alpha in (False, True):
        with pytest.raises(ValueError, match=reason):
            picture_files.decode(data, 3, alpha)
        with pytest.raises(Failure, match=reason):
            picture_files.read(tmp_path / name, alpha=alpha)
    out = tmp_path / "out.png"
    poisonkit("apply", library("square"), tmp_path / name, "-o", out).failed(1, name, reason)
    assert not out.exists()
    if name.endswith(".gif"):
        return  # no file of that name is a picture of a folder
    folder = tmp_path / "in"
    for part in ("train", "test"):
        (folder / part / "a").mkdir(parents=True)
        (folder / part / "a" / name).write_bytes(data)
    asked = ("make", "--dataset", "folder", "--source", folder, "--rate", "0", "-o", tmp_path / "x.h5")
    result = poisonkit(*asked)
    assert result.code == 1 and reason in result.errors[-1] and name in result.errors[-1]


# Encoders differ, so these are files: (base64, digest of what is decoded).
STORED = {
    "sub.jpg": (
        (
            "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/2wBDABQODxIPDRQSEBIXFRQYHjIh"
            "HhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8"
            "fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/wAARCAAOABMDASIAAhEBAxEB/8QAFwAAAwEAAAAAAAAAAAAAAAAA"
            "AAMFAf/EACEQAAICAQMFAQAAAAAAAAAAAAECAAMEEiExBRETFFEi/8QAFQEBAQAAAAAAAAAAAAAAAAAAAgP/xAAeEQACAQQDAQAAAAAA"
            "AAAAAAABAgADERNRBBRDkf/aAAwDAQACEQMRAD8AoZXUtDBKRrU8n5J2dm+Miqv9K/J+Sfj3ugKg8x9dSuhJlGpIVIQ3tuTPGqI+UgWi"
            "/Tobc2DeEw0L3hD3iPQ/IMqan//Z"
        ),
        "ee741a78ea0bdc905b215c12e5a67fd5d05120d08fb58df2a680c9d6e9190f25",
    ),
    "prog.jpg": (
        (
            "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKB"
            "TmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8"
            "fHz/wgARCAAOABMDAREAAhEBAxEB/8QAFgAAAwAAAAAAAAAAAAAAAAAAAgME/8QAGAEBAAMBAAAAAAAAAAAAAAAAAwACBAH/2gAMAwEA"
            "AhADEAAAAaIE1bJ0INVZ0wzB/8QAGRAAAwEBAQAAAAAAAAAAAAAAAAECEQMS/9oACAEBAAEFAq6F3h4RLEjD/8QAGxEAAwACAwAAAAAA"
            "AAAAAAAAAAECAxEEEjH/2gAIAQMBAT8BvSMMrR1QuPNelYkjZ//EAB0RAAICAQUAAAAAAAAAAAAAAAABAhESAxMUIVH/2gAIAQIBAT8B"
            "xkSWTtnIn4PVdk432bzP/8QAGRAAAQUAAAAAAAAAAAAAAAAAAAERICEx/9oACAEBAAY/AqGQ2H//xAAYEAEBAQEBAAAAAAAAAAAAAAAB"
            "ABEhUf/aAAgBAQABPyHNzsvYDaxTkCWb/9oADAMBAAIAAwAAABA49X//xAAYEQADAQEAAAAAAAAAAAAAAAAAARExYf/aAAgBAwEBPxB0"
            "ylqs7COjLLP/xAAYEQEBAQEBAAAAAAAAAAAAAAABEQAhMf/aAAgBAgEBPxCTZpPNMATJWI36ZHm//8QAGRABAAMBAQAAAAAAAAAAAAAA"
            "AQARMVEh/9oACAEBAAE/EKIrteS0di8mpHsHQ7Faxun/2Q=="
        ),
        "26234ff530e68c75b58549f02c1a452f8f443546b498af75942d40e257c0c68c",
    ),
    "lossy.webp": (
        (
            "UklGRu4AAABXRUJQVlA4WAoAAAAIAAAAEgAADQAAVlA4IK4AAADQBACdASoTAA4APrVInkmnJCKhMAgA4BaJbACdMoR4OsCrAf47CVQF"
            "okCfsL9ENAD+7WvtIsBSZuoCR0q/iKJ7xeOORTxiscnwbgNUehBdXSlcUOk7SN/tbJ7lJgiyH7jLtbOb3k939DkOz9binDO4lCLN6X8P"
            "mJEIhOyaqlU4UbW5W2D1I/wa+JyV8f6m/6kcGvgit/yaBcfHidPPrgG6g/ZLYwIPqhBFUFwAAABFWElGGgAAAE1NACoAAAAIAAEBEgAD"
            "AAAAAQAGAAAAAAAA"
        ),
        "fb49bd6a662c888e094c8718b31baf9c2e8a35ede89d3e680a5b0fedd5fbbd96",
    ),
    "alpha.webp": (
        (
            "UklGRmoBAABXRUJQVlA4WAoAAAAQAAAAEgAADQAAQUxQSJMAAAARf6C2bRsWZ3ZPRMS5TPBhwbpwVm3bkzAKjAYzwWrwUQEafIf/mwSz"
            "wCqANlASzAYfDZQIHt7XEBH9V5i2DaPunvI7Aj1aRpfnbqF1G8B15CSeChOcQ5qW1OC57zn3JSUKB/Zn5duIzX2VYsNZVvhme5+VXY62"
            "/ybz2wZJia4J75WxxtM0S3ytn6sxZfAArSGplggAVlA4ILAAAAAQBQCdASoTAA4APrVInkmnJCKhMAgA4BaJbACdMoRwIsCrQYKNkmYD"
            "8EV3NCTP8V4YAP7ta+0iwFJm6gJHSr+IonvF445FPGKxyfBuA1R6EF1dKeEMCfWyJP1pCqnihulLZx6o/eT3fx90pdVOb8/9xKEWb0t6"
            "MNsJ/FXt1miDJzU1jMUCVLfEn96/xN6r/1XB/Pv8Gvgit/yaB+ScdgDsLgBUU6zv2sf3UCF4rdAAAA=="
        ),
        "68aa4891fc890b23a255ed15f9fe846728626fea41b5497c27af54bd188ff5f5",
    ),
}


@pytest.mark.parametrize("name", STORED)
def test_lossy_pictures_are_decoded_alike_by_every_opencv(name):
    data, expected = STORED[name]
    picture = picture_files.decode(base64.b64decode(data), 3, alpha=True)
    assert picture.shape == (14, 19, 4 if name == "alpha.webp" else 3)
    assert hashlib.sha256(picture.tobytes()).hexdigest() == expected
