"""The probes that say some numbers of every picture, one file each. `contrast` makes scores of them.

A module is named in `TABLE` by its file, and has

NAME : str
    what it is called in an audit.
describe(images) : (n, H, W, C) uint8 → (n, p) float32
    numbers that a trigger might move. It is not asked about images of less than 8 pixels a side.
"""

from poisonkit.blind.audit.probes import colour, detail, grain, jpeg_grid, pixels, spectrum

TABLE = (grain, detail, spectrum, jpeg_grid, colour, pixels)
