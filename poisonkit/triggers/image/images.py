"""Pictures that another tool has made of the rows that the recipe draws, for what no rule makes from the image alone:
SSBA (Li et al. 2021), Sleeper Agent (Souri et al. 2022), Label-Consistent (Turner et al. 2019), and what comes."""

from functools import partial

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.image_maps import Function
from poisonkit.triggers import outside_pictures
from poisonkit.triggers.base import Parameters, UserFile
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Put the picture of its row in the place of each image, training and test rows apart."""
    del parameters
    given: outside_pictures.OutsidePictures | None = context.given
    if given is None:
        raise Usage("--trigger images needs --images-file FILE; --images-list CSV writes the rows to change")
    given.check_shape(tile)

    def run(part: str, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        del images
        return given.of(part, rows, tile)

    train, test = (Function(partial(run, part), tile, name="images", parallel=False) for part in ("train", "test"))
    return BuiltTrigger(train, test=test)


SPEC = ImageTrigger(
    name="images",
    summary="pictures of yours, made of the rows with another tool (SSBA, Sleeper Agent, Label-Consistent)",
    file=UserFile(
        help="the changed pictures by row: .npz or HDF5 with train_images, train_rows, test_images, test_rows; or a "
        "folder with train/ROW.png and test/ROW.png",
        list_help="write the rows that must be changed to this CSV, and nothing else",
        folder_help="with --images-list: their clean pictures too, as train/ROW.png and test/ROW.png in this folder",
        read=outside_pictures.read,
        recover=outside_pictures.of_arrays,
        accept=outside_pictures.accept,
        metavar="PATH",
        attacks=(
            *("ssba", "issba", "isba", "sleeper-agent", "label-consistent pictures", "label-consistent images"),
            *("input-aware", "iab", "dynamic", "poison-ink", "baat", "lira", "hidden-trigger", "htba"),
            *("witches-brew", "gradient-matching", "metapoison", "marksman"),
        ),
        brings="the pictures",
    ),
    build=build,
    whole="a picture is of a whole image",
    alone="its pictures were made with another tool, for these rows alone",
)
