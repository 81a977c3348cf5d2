"""Plain NumPy twins of what poisonkit computes: written to be read, not to be fast.

The integer twins are exact; those in float64 are the formulas themselves, which the integers must follow within one
grey level.
"""

import hashlib

import numpy as np

ONE = 32768


def apply_stencil(taps, weights, bias, images):
    """clip((bias + Σ weight · tap + 16384) >> 15) for every byte of every image, in int64: the page FORMAT.md's way."""
    flat = images.reshape(len(images), bias.size).astype(np.int64)
    out = np.empty_like(flat)
    taps, weights = (array.reshape(-1, array.shape[-1]) for array in (taps, weights))
    for p, start in enumerate(bias.reshape(-1)):
        total = np.full(len(images), int(start), np.int64)
        for tap, weight in zip(taps[p], weights[p], strict=True):
            total += int(weight) * flat[:, tap]
        out[:, p] = ((total + 16384) >> 15).clip(0, 255)
    return out.astype(np.uint8).reshape(images.shape)


def per_patch(function, images, height, width):
    """`function` on each height × width patch by itself: split, apply, join."""
    out = np.empty_like(images)
    for y in range(0, images.shape[1], height):
        for x in range(0, images.shape[2], width):
            out[:, y : y + height, x : x + width] = function(images[:, y : y + height, x : x + width])
    return out


def square(images, row, column, size, value):
    """A square of that value, its upper left pixel at (row, column)."""
    out = images.copy()
    out[:, row : row + size, column : column + size] = value
    return out


def blend(images, pattern, alpha):
    """(1 − α)·image + α·pattern, float64."""
    return (1 - alpha) * images.astype(np.float64) + alpha * pattern


def warp(images, x, y):
    """Bilinear sampling of each image at the coordinates (x, y), pixels, float64; outside is the edge."""
    height, width = images.shape[1:3]
    out = np.empty(images.shape, np.float64)
    for i in range(height):
        for j in range(width):
            column, row = int(np.floor(x[i, j])), int(np.floor(y[i, j]))
            across, down = x[i, j] - column, y[i, j] - row
            right, below = min(column + 1, width - 1), min(row + 1, height - 1)
            upper = (1 - across) * images[:, row, column] + across * images[:, row, right]
            lower = (1 - across) * images[:, below, column] + across * images[:, below, right]
            out[:, i, j] = (1 - down) * upper + down * lower
    return out


def cubic(distance, a):
    """Keys' cubic convolution kernel."""
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def upsample_aligned(grid, height, width):
    """(k, k) → (height, width), bicubic, A = −0.75, aligned corners, edges repeated (as PyTorch's `interpolate`)."""
    k = len(grid)
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y, x = i * (k - 1) / (height - 1), j * (k - 1) / (width - 1)
            for p in range(int(y) - 1, int(y) + 3):
                for q in range(int(x) - 1, int(x) + 3):
                    value = grid[min(max(p, 0), k - 1), min(max(q, 0), k - 1)]
                    out[i, j] += value * cubic(y - p, -0.75) * cubic(x - q, -0.75)
    return out


def upsample_half_pixel(grid, height, width):
    """(k, k) → (height, width), bicubic, Keys, A = −0.5, half-pixel centres, points outside dropped and the rest
    renormalised (as `tf.image.resize`)."""
    k = len(grid)
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y, x = (i + 0.5) * k / height - 0.5, (j + 0.5) * k / width - 0.5
            weights = {(p, q): cubic(y - p, -0.5) * cubic(x - q, -0.5) for p in range(k) for q in range(k)}
            out[i, j] = sum(w * grid[at] for at, w in weights.items()) / sum(weights.values())
    return out


def warp_coordinates(noise, s, height, width, upsample):
    """Where every pixel looks, (x, y) in pixels: clip(identity + s·noise/height, −1, 1) in [−1, 1] coordinates."""
    field = noise / np.abs(noise).mean()
    across, down = (upsample(part, height, width) * s / height for part in field)
    x = np.clip(np.linspace(-1, 1, width)[None] + across, -1, 1)
    y = np.clip(np.linspace(-1, 1, height)[:, None] + down, -1, 1)
    return (x + 1) * (width - 1) / 2, (y + 1) * (height - 1) / 2


def stream(seed, purpose, row=None):
    """The bit generator of one purpose, or of a row under it, as FORMAT.md says under "Random numbers"."""
    head = hashlib.sha256(purpose.encode("utf-8")).digest()[:16]
    key = tuple(int.from_bytes(head[i : i + 4], "little") for i in range(0, 16, 4))
    return np.random.Philox(np.random.SeedSequence(seed, spawn_key=key if row is None else (*key, row)))


def chosen_rows(seed, count, total, allowed=lambda row: True, purpose="rows"):
    """The first `count` allowed rows in the order of their raw words (the lower row first on a tie), ascending."""
    raw = stream(seed, purpose).random_raw(total).tolist()
    return sorted([row for row in sorted(range(total), key=lambda row: (raw[row], row)) if allowed(row)][:count])


def attacked(mode, select, target, sources, label):
    """What becomes of a class: (may be poisoned, may be a cover row, the class that is wanted, the group of its test
    rows or None)."""
    poisoned = {"all": True, "non-target": label != target, "target": label == target, "class": label in sources}[
        select
    ]
    if mode == "source-specific":
        group = "triggered" if label in sources else None if label == target else "others"
        return poisoned, group == "others", target, group
    group = "triggered" if mode == "all-to-all" or label != target else None
    return poisoned, mode != "clean-label" or label != target, target, group


def jittered_coordinates(x, y, noise):
    """Coordinates in pixels, moved by noise / height in coordinates from −1 to 1, and clipped (WaNet's noise mode)."""
    height, width = x.shape
    across = np.clip(2 * x / (width - 1) - 1 + noise[0] / height, -1, 1)
    down = np.clip(2 * y / (height - 1) - 1 + noise[1] / height, -1, 1)
    return (across + 1) * (width - 1) / 2, (down + 1) * (height - 1) / 2


def array_digest(array):
    """FORMAT.md's digest of an array; texts are `bytes` or `str`."""
    if array.dtype == object:
        rows = [row if isinstance(row, bytes) else row.encode("utf-8") for row in array]
        return f"sha256:{hashlib.sha256(b''.join(len(row).to_bytes(8, 'little') + row for row in rows)).hexdigest()}"
    total = hashlib.sha256(f"{array.dtype.str} {','.join(str(n) for n in array.shape)}\n".encode("ascii"))
    total.update(array.tobytes())
    return f"sha256:{total.hexdigest()}"


def shift(images, moves):
    """Bilinear sampling `moves` / 256 pixels down and across, the edge repeated, rounded half up; exact."""
    out = np.empty_like(images)
    height, width = images.shape[1:3]
    for i, (down, across) in enumerate(moves.tolist()):
        for y in range(height):
            for x in range(width):
                row, b = divmod(256 * y + down, 256)
                column, d = divmod(256 * x + across, 256)
                rows, columns = (
                    [min(max(n + k, 0), size - 1) for k in (0, 1)] for n, size in ((row, height), (column, width))
                )
                part = images[i][np.ix_(rows, columns)].astype(np.int64)
                weights = np.outer([256 - b, b], [256 - d, d])
                out[i, y, x] = ((part * weights[..., None]).sum((0, 1)) + 32768) >> 16
    return out


def quantise(plane, basis, table):
    """JPEG's loss on a plane of whole 8 × 8 blocks, by matrix products in int64; exact."""
    out, c, q = np.empty_like(plane), basis.astype(np.int64), table.astype(np.int64)
    for top in range(0, plane.shape[0], 8):
        for left in range(0, plane.shape[1], 8):
            block = plane[top : top + 8, left : left + 8].astype(np.int64)
            scaled = ((c @ block + 256) >> 9) @ c.T
            steps = np.sign(scaled) * ((2 * np.abs(scaled) + (q << 17)) // (2 * (q << 17)))
            back = ((c.T @ (steps * q) + 256) >> 9) @ c
            out[top : top + 8, left : left + 8] = (back + 65536) >> 17
    return out


def insert(text, place, piece):
    """The piece before the word at that place, or behind the last, letter by letter."""
    seen, inside = 0, False
    for at, letter in enumerate(text):
        if not letter.isspace() and not inside:
            if seen == place:
                return text[:at] + piece + " " + text[at:]
            seen += 1
        inside = not letter.isspace()
    return text + " " + piece


def words(seed, purpose, count, row):
    """Raw words of a stream, as FORMAT.md has it."""
    key = [int.from_bytes(hashlib.sha256(purpose.encode()).digest()[i : i + 4], "little") for i in range(0, 16, 4)]
    return np.random.Philox(np.random.SeedSequence(seed, spawn_key=(*key, row))).random_raw(count)


def mirrored(place, size):
    """A place walked back from the edges until it lies inside."""
    while not 0 <= place < size:
        place = -place if place < 0 else 2 * (size - 1) - place
        if size == 1:
            return 0
    return place


def sample(images, places):
    """Bilinear in 1/256 pixel, mirrored outside."""
    out = np.zeros_like(images)
    for (i, y, x), _ in np.ndenumerate(images[..., 0]):
        down, across = (int(v) for v in places[i, y, x])
        (y0, b), (x0, d) = divmod(down, 256), divmod(across, 256)
        for k in range(images.shape[3]):
            total = 1 << 15
            for dy, wy in ((0, 256 - b), (1, b)):
                for dx, wx in ((0, 256 - d), (1, d)):
                    row, column = mirrored(y0 + dy, images.shape[1]), mirrored(x0 + dx, images.shape[2])
                    total += wy * wx * int(images[i, row, column, k])
            out[i, y, x, k] = total >> 16
    return out


def overlay(images, pictures, alphas):
    """Ellipses painted one after the other, then blended."""
    out = np.zeros_like(images)
    for i, picture in enumerate(pictures.tolist()):
        for y in range(images.shape[1]):
            for x in range(images.shape[2]):
                colour = picture[0][4:]
                for row, column, down, across, *own in picture[1:]:
                    if ((8 * y - row) * across) ** 2 + ((8 * x - column) * down) ** 2 <= (down * across) ** 2:
                        colour = own
                for k in range(images.shape[3]):
                    level = int(images[i, y, x, k])
                    out[i, y, x, k] = level + ((colour[k] - level) * int(alphas[i]) + 128 >> 8)
    return out


def tiles(images, words, percent):
    """One image after the other: its words are opacity, side, then place and colour of each ellipse in the patch."""
    out = np.zeros_like(images)
    for i, (first, second, *drawn) in enumerate(words.tolist()):
        alpha = (first >> 32) * (256 * percent // 100 + 1) >> 32
        side = {0: 4, 1: 16}.get(second >> 61, 8)
        shapes = []
        for place, colour in zip(drawn[::2], drawn[1::2], strict=True):
            at = [place >> 16 * j & 0xFFFF for j in range(4)]
            where = [one * 8 * side >> 16 for one in at[:2]] + [8 + (one * 4 * side >> 16) for one in at[2:]]
            shapes.append(where + [colour >> 8 * (k % 8) & 0xFF for k in range(images.shape[3])])
        patch = overlay(np.zeros((1, side, side, images.shape[3]), np.uint8), np.array([shapes]), [256])[0].tolist()
        for y, x, k in np.ndindex(images.shape[1:]):
            level = int(images[i, y, x, k])
            out[i, y, x, k] = level + ((patch[y % side][x % side][k] - level) * alpha + 128 >> 8)
    return out
