"""signs: a built-in synthetic traffic-sign data set, drawn by code.

Ten classes by shape, colour and pictogram, in front of a random scene, in random pose and light, blurred and noisy.
Everything is integer arithmetic on raw random words, so every machine draws the same bytes: no floats, no libm, no
drawing library. How it goes: `sign_templates.draw` makes one large map of palette indices a class; each picture looks
its sign up there through a random affine map, 4 x 4 samples a pixel, and paints what it hit in its own colours.
"""

from pathlib import Path

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.errors import Usage
from poisonkit.core.modality import IMAGE
from poisonkit.sources import base
from poisonkit.sources._data import sign_templates

CLASSES = sign_templates.CLASSES
COUNTS = (6_000, 1_500)
SHAPE = (32, 32, 3)
OPTIONS = {"train": COUNTS[0], "test": COUNTS[1], "seed": 0}
VERSION = 1  # raised when the same options give other pictures

BATCH = 64  # pictures drawn at once: the samples' coordinates then fit into the processor's cache
SIDE, GRID = 32, 4  # pixels a side, samples a side of a pixel
SAMPLES = SIDE * GRID

# One random word each: name -> smallest and largest value.
PIXEL = 16  # lengths on the picture are in sixteenths of a pixel
SCENE = {
    "radius": (9 * PIXEL, 16 * PIXEL),
    "x": (-3 * PIXEL, 3 * PIXEL),
    "y": (-3 * PIXEL, 3 * PIXEL),
    "turn": (-500, 500),  # tangent of half the angle, in 1/4096: up to 14 degrees either way
    "squeeze": (170, 256),  # width seen from the side, in 1/256
    "shear": (-40, 40),  # in 1/256
    "horizon": (8, 28),
    "sky": (90, 240),
    "sky_blue": (0, 50),
    "ground": (30, 150),
    "ground_green": (-20, 40),
    "pole": (0, 3),
    "pole_grey": (50, 170),
    "fade": (0, 110),  # how far the paint has gone grey, in 1/256
    "red": (-25, 25),
    "green": (-25, 25),
    "blue": (-25, 25),
    "cover": (0, 99),  # something stands in front of a sign where this is low
    "cover_side": (0, 3),
    "cover_depth": (0, 8 * PIXEL),
    "cover_grey": (20, 130),
    "light": (80, 300),  # in 1/256
    "light_x": (-60, 60),  # change across the picture, in 1/256
    "light_y": (-60, 60),
    "warm": (-24, 24),
    "haze": (0, 110),
    "blur": (0, 3),
    "noise": (2, 22),
}
TEXTURE = 5 * 5 * 3  # bytes: random colours of the scene on a grid of 5 x 5 points
NOISE = SIDE * SIDE * 3


def locate(path: Path | None, options: base.Options) -> base.Origin:
    """Return the generator: there is nothing to read."""
    if path is not None:
        raise Usage("source signs is drawn by code: there is nothing to read from --source")
    chosen = OPTIONS | options
    for part in ("train", "test"):
        if chosen[part] < 1:
            raise Usage(f"source signs: expected at least 1 picture in {part}, got {chosen[part]}")

    def decode(writer, context) -> dict:
        with context.progress(chosen["train"] + chosen["test"], "drawing signs", "image") as bar:
            for part in ("train", "test"):
                labels = draw_labels(part, chosen[part], chosen["seed"])
                with writer.part(part, labels, SHAPE) as target:
                    for row, images in draw(part, labels, chosen["seed"]):
                        target.write(row, images)
                        bar.update(len(images))
        return {"kind": "built in", "official": None}

    return base.Origin({"drawn": chosen, "version": VERSION}, decode, options)


def draw_labels(part: str, count: int, seed: int) -> np.ndarray:
    """Labels (count,) int64: every ten rows hold each class once, in random order."""
    tens = -(-count // len(CLASSES))
    words = random_streams.raw_words(seed, f"signs/{part}/labels", tens * len(CLASSES)).reshape(tens, len(CLASSES))
    return np.argsort(words, axis=1, kind="stable").reshape(-1)[:count].astype(np.int64)


def draw(part: str, labels: np.ndarray, seed: int):
    """Yield (first row, pictures (n, 32, 32, 3) uint8). A picture depends on its row and label, not on the count."""
    templates = sign_templates.draw()
    scenes = random_streams.stream(seed, f"signs/{part}/scene")
    grains = random_streams.stream(seed, f"signs/{part}/grain")
    words_each = (TEXTURE + 2 * NOISE + 7) // 8
    for row in range(0, len(labels), BATCH):
        classes = labels[row : row + BATCH]
        scene = _scene(scenes.random_raw(len(classes) * len(SCENE)).reshape(len(classes), len(SCENE)))
        grain = grains.random_raw(len(classes) * words_each).astype("<u8").view(np.uint8).reshape(len(classes), -1)
        pictures = _background(scene, grain[:, :TEXTURE])
        pictures = _paint(pictures, scene, _coverage(scene, templates, classes), classes)
        pictures = _blur(_light(_cover(pictures, scene), scene), scene["blur"])
        yield row, _add_noise(pictures, grain[:, TEXTURE : TEXTURE + 2 * NOISE], scene["noise"])


def _scene(words: np.ndarray) -> dict[str, np.ndarray]:
    """Random words (n, parameters) as whole numbers in their ranges, {name: (n, 1, 1, 1) int32}."""
    low = np.array([low for low, _ in SCENE.values()])
    width = np.array([high - low + 1 for low, high in SCENE.values()], np.uint64)
    values = low + ((words >> np.uint64(32)) * width >> np.uint64(32)).astype(np.int64)
    return {name: values[:, i].astype(np.int32).reshape(-1, 1, 1, 1) for i, name in enumerate(SCENE)}


def _ramp() -> np.ndarray:
    """Pixel centres from the middle of the picture, (32,) int32, in half pixels: -31, -29 … 31."""
    return 2 * np.arange(SIDE, dtype=np.int32) - (SIDE - 1)


def _background(scene: dict, texture: np.ndarray) -> np.ndarray:
    """Sky, ground, patches of colour and a pole, (n, 32, 32, 3) int32."""
    rows, columns = np.arange(SIDE).reshape(1, -1, 1, 1), np.arange(SIDE).reshape(1, 1, -1, 1)
    sky = scene["sky"] + scene["sky_blue"] * np.array([-1, 0, 1], np.int32)
    ground = scene["ground"] + scene["ground_green"] * np.array([0, 1, -1], np.int32)
    picture = np.where(rows < scene["horizon"], sky, ground) + np.zeros((1, 1, SIDE, 1), np.int32)
    weights = np.zeros((SIDE, 5), np.int32)  # linear between points 8 pixels apart, in 1/16
    for pixel in range(SIDE):
        point, part = divmod(2 * pixel + 1, 16)
        weights[pixel, point], weights[pixel, point + 1] = 16 - part, part
    points = texture.reshape(-1, 5, 5, 3).astype(np.int32) - 128
    across = (points[:, :, None] * weights[:, :, None]).sum(3)  # (n, 5, 32, 3)
    patches = (across[:, None] * weights[:, :, None, None]).sum(2)  # (n, 32, 32, 3)
    picture = picture + (patches >> 9)
    middle = (SIDE // 2) * PIXEL + scene["x"]
    pole = (np.abs(columns * PIXEL + PIXEL // 2 - middle) < scene["pole"] * PIXEL // 2) & (rows > SIDE // 2)
    return np.where(pole, scene["pole_grey"], picture).astype(np.int32)


def _coverage(scene: dict, templates: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How many of a pixel's 16 samples hit each colour of the sign, (n, 32, 32, colours) uint8.

    The map from samples to the template: back by the shift, the turn, the shear, the squeeze and the size. Turning
    needs no sine: with t the tangent of half the angle, its cosine and sine are (1 - t², 2t) / (1 + t²).
    """
    side = templates.shape[1]
    value = {
        name: scene[name].reshape(-1).astype(np.int64) for name in ("radius", "x", "y", "turn", "squeeze", "shear")
    }
    square = value["turn"] ** 2 >> 12
    cosine = ((4096 - square) << 12) // (4096 + square)
    sine = (2 * value["turn"] << 12) // (4096 + square)
    size = (sign_templates.RADIUS << 16) * PIXEL // (GRID * value["radius"])  # template units a sample, in 1/65536
    xx = (size * (cosine * 256 - sine * value["shear"]) >> 20) * 256 // value["squeeze"]
    xy = (size * (sine * 256 + cosine * value["shear"]) >> 20) * 256 // value["squeeze"]
    yx, yy = -size * sine >> 12, size * cosine >> 12
    centres = 2 * np.arange(SAMPLES, dtype=np.int64) - (SAMPLES - 1)  # in half samples
    u = centres - (value["x"] * 2 * GRID // PIXEL)[:, None]
    v = centres - (value["y"] * 2 * GRID // PIXEL)[:, None]
    column = _template_places(xx, u, xy, v, side)
    row = _template_places(yx, u, yy, v, side)
    start = (classes * side * side).astype(np.int32)[:, None, None]
    hit = templates.reshape(-1)[start + row * side + column].reshape(-1, SIDE, GRID, SIDE, GRID)
    counts = np.empty((len(classes), SIDE, SIDE, sign_templates.COLOURS), np.uint8)
    for colour in range(sign_templates.COLOURS):
        counts[..., colour] = (hit == colour + 1).view(np.uint8).sum(axis=4, dtype=np.uint8).sum(axis=2, dtype=np.uint8)
    return counts


def _template_places(along_u, u, along_v, v, side: int) -> np.ndarray:
    """Template row or column of each sample, (n, SAMPLES, SAMPLES) int32; outside is its empty border."""
    place = (along_u[:, None] * u)[:, None, :].astype(np.int32) + (along_v[:, None] * v)[:, :, None].astype(np.int32)
    place >>= 17
    place += side // 2
    return np.clip(place, 0, side - 1, out=place)


def _paint(pictures: np.ndarray, scene: dict, counts: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Put the sign, in this picture's own colours, over the background."""
    jitter = np.concatenate([scene["red"], scene["green"], scene["blue"]], axis=3).reshape(-1, 1, 3)
    colours = sign_templates.PALETTES[classes].astype(np.int32) + jitter
    grey = colours.sum(axis=2, keepdims=True) // 3
    fade = scene["fade"].reshape(-1, 1, 1)
    colours = (colours * (256 - fade) + grey * fade) >> 8
    total = counts.sum(axis=3, keepdims=True, dtype=np.int32)
    signs = np.zeros(pictures.shape, np.int32)
    for colour in range(sign_templates.COLOURS):
        signs += counts[..., colour, None] * colours[:, None, None, colour]
    return (pictures * (GRID * GRID - total) + signs) >> 4


def _cover(pictures: np.ndarray, scene: dict) -> np.ndarray:
    """In every fourth picture something dark covers one side of it, with a slanted edge."""
    ramp = _ramp()
    across, down = ramp.reshape(1, 1, -1, 1), ramp.reshape(1, -1, 1, 1)
    side = scene["cover_side"]
    along = np.where(side < 2, across, down) * np.where(side % 2 == 0, 1, -1)
    slant = np.where(side < 2, down, across) >> 2
    edge = 2 * SIDE // 2 - 2 * scene["cover_depth"] // PIXEL
    covered = (scene["cover"] < 25) & (along + slant > edge)
    return np.where(covered, scene["cover_grey"] + (pictures >> 3), pictures)


def _light(pictures: np.ndarray, scene: dict) -> np.ndarray:
    """Brightness, its change across the picture, its colour, and haze."""
    ramp = _ramp()
    light = scene["light"] + (
        (scene["light_x"] * ramp.reshape(1, 1, -1, 1) + scene["light_y"] * ramp.reshape(1, -1, 1, 1)) // SIDE
    )
    light = light + scene["warm"] * np.array([1, 0, -1], np.int32)
    lit = pictures * np.maximum(light, 20) >> 8
    return lit + ((150 - lit) * scene["haze"] >> 8)


def _blur(pictures: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Binomial blur, (1 2 1)/4 both ways, `times` over for each picture; the edge repeats."""
    for done in range(int(times.max())):
        padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
        down = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
        both = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:] + 8) >> 4
        pictures = np.where(times > done, both, pictures)
    return pictures


def _add_noise(pictures: np.ndarray, grain: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Noise in every byte: the sum of two random bytes about its mean, scaled; then clipped to bytes."""
    noise = grain[:, :NOISE].astype(np.int32) + grain[:, NOISE:] - 255
    return np.clip(pictures + (noise.reshape(pictures.shape) * amount >> 7), 0, 255).astype(np.uint8)


SPEC = base.SourceSpec(
    name="signs",
    title="signs: 7,500 drawn traffic signs in ten classes, built in",
    licence="Apache-2.0",
    url="",
    how="drawn on first use, in a few seconds",
    modality=IMAGE,
    classes=CLASSES,
    counts=COUNTS,
    shape=SHAPE,
    options=OPTIONS,
    locate=locate,
)
