"""Under which of its own attacks vtu81/backdoor-toolbox finds a set, and whether its trigger at test time is this one.

What counts is what test images get, since the toolbox reads the training set as it is:

    badnet, TaCT, badnet_all_to_all   a picture with an opacity of each pixel (square, sticker), by the label mode
    blend                             a picture with one opacity
    adaptive_blend                    the same, other than on training rows
    adaptive_patch                    a picture with an opacity of each pixel, which config.py names
    adaptive_k_way, SIG               those of its own settings; there is nothing to choose

Whatever else there is stands under `badnet`, whose trigger it is not. So do elastic warps and reflections: for WaNet
the toolbox loads grids, for refool photographs, that no file of ours has.

Source: utils/supervisor.py (`get_poison_set_dir`: the names of the folders; `get_poison_transform`), config.py, and
badnet.py, blend.py, TaCT.py, SIG.py, badnet_all_to_all.py and adaptive_*.py in poison_tool_box/.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from poisonkit.core.image_maps import ImageMap
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.format import reader
from poisonkit.format.records import Recipe
from poisonkit.poisoning import from_file
from poisonkit.triggers import registry as triggers
from poisonkit.triggers.image_base import BuiltTrigger

ALL_TO_ONE = ("all-to-one", "clean-label")
"""The label modes in which every triggered image is to become the target, as most of its transforms take for
granted."""
SIG = {"delta": "30", "frequency": "6", "orientation": "horizontal"}
"""The sinusoid that the toolbox adds."""
SIDE = 32
"""The side of the images for which its attacks are that have nothing to choose."""


@dataclass(frozen=True)
class Attack:
    """How the toolbox finds a set: its name for the attack, the set's folder and the options that lead to it, lines of
    config.py, in which {} is the data set, and the trigger that it puts on test images, `picture`, with a `mask` where
    it replaces pixels. `exact`: whether that is what this file's test images got."""

    kind: str
    folder: str
    options: str
    trigger: str
    exact: bool = False
    picture: np.ndarray | None = None
    mask: np.ndarray | None = None
    lines: tuple[str, ...] = ()

    @property
    def agreement(self) -> str:
        """How near its trigger is to this file's, where it is the same."""
        if self.picture is None or self.mask is None:
            return "within a grey level"
        return "to the pixel" if np.isin(self.mask, (0, 255)).all() else "within two grey levels"

    def config(self, source: str) -> list[str]:
        """Return what must be set in config.py for a data set of that name."""
        return [line.format(source) for line in self.lines]


@dataclass(frozen=True)
class _Case:
    """A file: its recipe, its one trigger as it is built (None where it has several), the shape of its images, and
    what the trigger's picture is called."""

    recipe: Recipe
    built: BuiltTrigger | None
    shape: tuple[int, ...]
    trigger: str

    @property
    def name(self) -> str:
        """The name of its one trigger; "" where it has several."""
        return "" if self.built is None else self.recipe.triggers[0].name

    @property
    def test(self) -> ImageMap | None:
        """What its test images got."""
        return None if self.built is None else self.built.on("test")

    @property
    def to_one(self) -> bool:
        """Whether every triggered image is to become the target."""
        return self.recipe.label_mode in ALL_TO_ONE

    @property
    def cover(self) -> str:
        """The rate of cover rows, as the toolbox spells it."""
        return f"{float(self.recipe.cover_rate or 0):.3f}"

    def attack(self, kind: str, more: tuple[tuple[str, str], ...] = (), **fields) -> Attack:
        """Return an attack of the toolbox; `more` are what its folder's name has besides the rate, and its value."""
        rate = f"{float(self.recipe.rate):.3f}"
        name = "".join(f"_{key}={value}" for key, value in more)
        options = "".join(f" -{OPTIONS.get(key, key)} {value}" for key, value in more)
        if "picture" in fields and not any(key == "trigger" for key, _ in more) and kind != "adaptive_patch":
            options += f" -trigger {self.trigger}"
        return Attack(
            kind,
            f"{kind}_{rate}{name}_poison_seed=0",
            f"-poison_type {kind} -poison_rate {rate}{options}",
            self.trigger,
            exact=fields.pop("exact", "picture" in fields),
            **fields,
        )


OPTIONS = {"cover": "cover_rate"}
"""What stands in a folder's name → the option that it is the value of, where that is called otherwise."""


def attack_of(data: reader.Reader) -> Attack:
    """Find the toolbox's attack for a poisoned file of images."""
    built = from_file.own(data).built
    trigger = f"poisonkit_{data.manifest.dataset_digest.removeprefix('sha256:')[:8]}.png"
    one = built[0] if len(built) == 1 else None
    case = _Case(data.manifest.recipe, one, data.manifest.shape("train/images")[1:], trigger)
    found = (find(case) for find in FINDERS)
    return next((attack for attack in found if attack is not None), case.attack("badnet"))


def _adaptive_blend(case: _Case) -> Attack | None:
    if case.name != "adaptive-blend" or not case.to_one:
        return None
    alpha = f"{float(case.recipe.triggers[0].parameters['alpha']):.3f}"
    more = (("alpha", alpha), ("cover", case.cover), ("trigger", case.trigger))
    return _with_test_alpha(case, "adaptive_blend", more) or case.attack("adaptive_blend", more)


def _with_test_alpha(case: _Case, kind: str, more: tuple[tuple[str, str], ...]) -> Attack | None:
    """Return an attack that blends a picture, with another opacity on test rows; None where these are not blended."""
    if (blended := _blended(case.test)) is None:
        return None
    test_alpha, picture = blended
    made = case.attack(kind, more, picture=picture)
    return made if test_alpha == more[0][1] else replace(made, options=f"{made.options} -test_alpha {test_alpha}")


def _adaptive_patch(case: _Case) -> Attack | None:
    if case.name != "adaptive-patch" or not case.to_one:
        return None
    if (replaced := _replaced(case.test)) is None:
        return case.attack("adaptive_patch", (("cover", case.cover),))
    lines = (
        f"adaptive_patch_test_trigger_names['{{}}'] = ['{case.trigger}']",
        "adaptive_patch_test_trigger_alphas['{}'] = [1]",
    )
    return case.attack("adaptive_patch", (("cover", case.cover),), picture=replaced[0], mask=replaced[1], lines=lines)


def _adaptive_k_way(case: _Case) -> Attack | None:
    if case.name != "adaptive-k-way" or not case.to_one:
        return None
    own = {option.key: option.default for option in triggers.spec(case.name).options}
    return case.attack("adaptive_k_way", exact=_whole(case) and case.recipe.triggers[0].parameters == own)


def _sig(case: _Case) -> Attack | None:
    if case.name != "sig" or not case.to_one:
        return None
    parameters = case.recipe.triggers[0].parameters
    own = parameters | SIG == parameters and "test-delta" not in parameters
    return case.attack("SIG", exact=_whole(case) and own)


def _whole(case: _Case) -> bool:
    return case.recipe.patch is None and case.shape[:2] == (SIDE, SIDE)


def _tact(case: _Case) -> Attack | None:
    """One source class, as in its config.py; its ASR is that of the rows of this class."""
    replaced, sources = _replaced(case.test), case.recipe.source_classes
    if case.recipe.label_mode != "source-specific" or replaced is None or len(sources) != 1:
        return None
    lines = (f"source_class = {sources[0]}", f"cover_classes = {list(case.recipe.cover_classes)}")
    picture, mask = replaced
    return case.attack("TaCT", (("cover", case.cover),), picture=picture, mask=mask, lines=lines)


def _all_to_all(case: _Case) -> Attack | None:
    if case.recipe.label_mode != "all-to-all" or (replaced := _replaced(case.test)) is None:
        return None
    return case.attack("badnet_all_to_all", picture=replaced[0], mask=replaced[1])


def _blend(case: _Case) -> Attack | None:
    train = None if case.built is None else _blended(case.built.train)
    if not case.to_one or train is None:
        return None
    return _with_test_alpha(case, "blend", (("alpha", train[0]), ("trigger", case.trigger)))


def _badnet(case: _Case) -> Attack | None:
    if not case.to_one or (replaced := _replaced(case.test)) is None:
        return None
    return case.attack("badnet", picture=replaced[0], mask=replaced[1])


FINDERS: tuple[Callable[[_Case], Attack | None], ...] = (
    _adaptive_blend,
    _adaptive_patch,
    _adaptive_k_way,
    _sig,
    _tact,
    _all_to_all,
    _blend,
    _badnet,
)
"""What finds an attack of the toolbox for a file, the first that does."""


def _replaced(made: ImageMap | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Picture and mask, (H, W, C) uint8, of a trigger that lays a picture over the image, each pixel with the opacity
    mask / 255, and leaves others as they are; None for any other."""
    if not isinstance(made, Stencil) or not made.pointwise or not made.mask().any():
        return None
    weights, bias = made.weights[..., 0], made.bias.astype(np.int64)
    if (weights != weights[..., :1]).any() or weights.min() < 0 or weights.max() > ONE or bias[weights == ONE].any():
        return None
    mask = (255 * (ONE - weights.astype(np.int64)) + ONE // 2) // ONE
    covered = np.maximum(mask * ONE // 255, 1)
    levels = (bias + covered // 2) // covered
    if levels.min() < 0 or (levels * (mask > 0)).max() > 255:
        return None
    return (levels * (mask > 0)).astype(np.uint8), mask.astype(np.uint8)


def _blended(made: ImageMap | None) -> tuple[str, np.ndarray] | None:
    """α, in three digits as the toolbox spells it, and the picture, (H, W, C) uint8, of a trigger that blends the whole
    image with one picture; None for any other."""
    if not isinstance(made, Stencil):
        return None
    weight = int(made.weights[0, 0, 0, 0])
    share = ONE - weight
    if not made.pointwise or (made.weights != weight).any() or not 0 < share < ONE:
        return None
    picture = ((made.bias + share // 2) // share).clip(0, 255).astype(np.uint8)
    return f"{share / ONE:.3f}", picture
