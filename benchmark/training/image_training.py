"""How a network for images is trained: the settings that every such network has, and which contradict each other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.core.errors import Usage
from benchmark.nn.normalisation import NONE
from benchmark.training.table import BY_NAME, CONSTANT, COSINE, KERNELS, NO_FLIP, SGD, option_of

HALF_TURN = 180  # degrees
LONGEST = 100_000  # epochs of a schedule, whose rates are all in one table


@dataclass(frozen=True, kw_only=True)
class ImageTraining:
    """Optimizer, schedule, augmentation and normalisation; what each means is said in `table.SETTINGS`.

    The defaults are plain SGD on the images as they are.
    """

    if TYPE_CHECKING:
        epochs: int
    optimizer: str = SGD
    momentum: float = 0.0
    weight_decay: float = 0.0
    decay_on: str = KERNELS
    schedule: str = CONSTANT
    schedule_epochs: int = 0
    warmup_epochs: int = 0
    crop_padding: int = 0
    flip: str = NO_FLIP
    rotation: int = 0
    normalisation: str = NONE


def check_training(settings: ImageTraining) -> None:
    """Raise `Usage` where a setting would have no effect, or the schedule does not fit the epochs."""
    for idle, name, needed in (
        (settings.optimizer != SGD, "momentum", "--optimizer sgd"),
        (not settings.weight_decay, "decay_on", "a --weight-decay above 0"),
        (settings.schedule != COSINE, "schedule_epochs", "--schedule cosine"),
    ):
        usual = BY_NAME[name].absent
        if idle and getattr(settings, name) != usual:
            said = f"{option_of(name)} {getattr(settings, name)}"
            raise Usage(f"{said} needs {needed}; or add {option_of(name)} {usual}")
    if settings.rotation > HALF_TURN:
        raise Usage(f"--rotation {settings.rotation} must be at most {HALF_TURN}, half a turn either way")
    if settings.epochs > LONGEST and (settings.schedule != CONSTANT or settings.warmup_epochs):
        raise Usage(f"--epochs {settings.epochs} must be at most {LONGEST:,} where the learning rate changes")
    if settings.warmup_epochs >= settings.epochs and settings.warmup_epochs:
        raise Usage(f"--warmup-epochs {settings.warmup_epochs} must be less than --epochs {settings.epochs}")
    if 0 < settings.schedule_epochs < settings.epochs:
        raise Usage(f"--schedule-epochs {settings.schedule_epochs} must be at least --epochs {settings.epochs}, or 0")


def check_images(settings: ImageTraining, image_shape: tuple[int, ...]) -> None:
    """Raise `Usage` where a setting does not fit images of that height and width."""
    height, width = image_shape[:2]
    if settings.crop_padding >= min(height, width):
        raise Usage(
            f"--crop-padding {settings.crop_padding} must be less than the side of an image, which are of "
            f"{height}x{width}: a crop could hold nothing of it"
        )
