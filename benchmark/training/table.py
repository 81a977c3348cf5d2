"""The one table of what can be set of a run."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmark.core import naming, numbers
from benchmark.core.errors import Usage
from benchmark.nn import normalisation
from benchmark.nn.networks import DEFAULT, NETWORKS

BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("float32", "tf32", "bfloat16")
MODEL, TRAINING, RUN = "model", "training", "run"  # the parts of a configuration
SGD, ADAMW = "sgd", "adamw"
KERNELS, ALL = "kernels", "all"  # what weight decay is on
CONSTANT, COSINE = "constant", "cosine"
NO_FLIP, FLIP = "none", "horizontal"
ALWAYS = object()  # of settings that are in every configuration


@dataclass(frozen=True)
class Setting:
    """One row of the table of settings.

    `part` of the configuration it belongs to; `type` of its value; `least` and `most` possible value of a whole number;
    `choices` of a word, or, of a fraction from `least` on, what it is `below`; `absent`: the value that a configuration
    without it has; `letter`: what stands before its value in the name of a folder; `help` of its option; `aliases`:
    what others call one of its choices → the choice; `usual`: the value where none is given, if that is the same for
    every network and preset.
    """

    name: str
    part: str
    type: type
    least: int | None = None
    choices: tuple[str, ...] = ()
    absent: Any = ALWAYS
    letter: str = ""
    help: str = ""
    below: float | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    most: int = numbers.LARGEST
    usual: Any = None

    @property
    def option(self) -> str:
        """As it is spelled on the command line: `--learning-rate`."""
        return option_of(self.name)

    @property
    def words(self) -> str:
        """As it is called in tables: `learning rate`."""
        return self.name.replace("_", " ")

    def understood(self, typed: Any) -> Any:
        """Return the one of the choices that is meant by what was typed; anything that is not understood as it is."""
        if not self.choices or not isinstance(typed, str):
            return typed
        return naming.understood(typed, self.choices, self.aliases) or typed

    def check(self, value: Any) -> None:
        """Raise `Usage` where a value is not one of this setting's."""
        if value is None and self.absent is None:
            return
        if self.choices and not (isinstance(value, str) and value in self.choices):
            near = naming.hint(value, self.choices, self.aliases) if isinstance(value, str) else ""
            raise Usage(f"{self.option}: expected one of {', '.join(self.choices)}, got {value!r:.40}{near}")
        if self.type is int:
            self._check_whole(value)
        elif self.type is float:
            if not numbers.is_real(value):
                raise Usage(f"{self.option} must be a number, got {value!r:.40}")
            self._check_range(value)
            self._check_range(check_single(self.option, value))
        elif not isinstance(value, str):
            raise Usage(f"{self.option}: expected a name, got {value!r:.40}")

    def _check_range(self, value: float) -> None:
        if self.least is None and value <= 0:
            raise Usage(f"{self.option} must be above 0, got {value}")
        if self.least is not None and value < self.least:
            raise Usage(f"{self.option} must be at least {self.least}, got {value}")
        if self.below is not None and value >= self.below:
            raise Usage(f"{self.option} must be below {self.below:g}, got {value}")

    def _check_whole(self, value: Any) -> None:
        if not (type(value) is int and abs(value) <= numbers.LARGEST):
            raise Usage(f"{self.option} must be a whole number, got {value!r:.40}")
        if value < (self.least or 0):
            raise Usage(
                f"{self.option} must {f'be at least {self.least}' if self.least else 'not be negative'}, got {value}"
            )
        if value > self.most:
            raise Usage(f"{self.option} must be at most {self.most:,}, got {value}")


def _of_networks() -> tuple[Setting, ...]:
    """Return the rows of what decides the networks for images; one that several have says so in its help."""
    rows: dict[str, Setting] = {}
    for spec in sorted(NETWORKS.values(), key=lambda spec: spec.name not in DEFAULT.values()):
        for one in spec.settings:
            row = rows.get(one.name, Setting(one.name, MODEL, one.type, one.least, one.choices))
            words = "; ".join(filter(None, [row.help.rstrip("."), f"{spec.name}: {one.help}"]))
            rows[one.name] = dataclasses.replace(row, least=min(row.least or 0, one.least), help=f"{words}.")
    return tuple(rows.values())


SETTINGS = (
    *_of_networks(),
    Setting("encoder", MODEL, str,
            help="encoder: minilm (MiniLM-L6), tiny (two layers, trained from scratch), or a folder in the Hugging "
                 "Face layout  [default: minilm]"),
    Setting("weights", MODEL, str, absent=None),  # follows from --encoder
    Setting("file", MODEL, str),  # these three of a network of one's own: `--network FILE.py:FUNCTION`
    Setting("function", MODEL, str),
    Setting("digest", MODEL, str),
    Setting("label", MODEL, str),  # these two of a network that was trained elsewhere: `score --name`
    Setting("modality", MODEL, str, choices=tuple(DEFAULT)),
    Setting("epochs", TRAINING, int, 1, letter="e", help="Number of training epochs."),
    Setting("batch_size", TRAINING, int, 1, letter="b", help="Rows per training step."),
    Setting("learning_rate", TRAINING, float, letter="lr", help="Learning rate; the highest, where it changes."),
    Setting("hold_out", TRAINING, int, 0, letter="h",
            help="Training rows left out for defences, the same rows in every run on a source  [default: 0 (images), "
                 "2000 (encoder)]"),
    Setting("rows", TRAINING, int, 1, absent=None, letter="r",
            help="encoder: number of training rows to use, the same in every run on a source  [default: all]"),
    Setting("optimizer", TRAINING, str, choices=(SGD, ADAMW), absent=SGD,
            help="images: the optimizer; sgd is PyTorch's."),
    Setting("momentum", TRAINING, float, 0, absent=0.0, letter="m", below=1, help="images: momentum of sgd."),
    Setting("weight_decay", TRAINING, float, 0, absent=0.0, letter="wd",
            help="images: weight decay; part of the gradient (sgd) or beside it (adamw)."),
    Setting("decay_on", TRAINING, str, choices=(KERNELS, ALL), absent=KERNELS, letter="d",
            help="images: what weight decay is on: kernels (not normalisations and biases), or all weights."),
    Setting("schedule", TRAINING, str, choices=(CONSTANT, COSINE), absent=CONSTANT,
            help="images: the learning rate stays, or falls along a cosine, once an epoch."),
    Setting("schedule_epochs", TRAINING, int, 0, absent=0, letter="T",
            help="images: epochs after which the cosine reaches 0; 0: as many as --epochs."),
    Setting("warmup_epochs", TRAINING, int, 0, absent=0, letter="wu",
            help="images: epochs in which the rate first rises from 0, step by step."),
    Setting("crop_padding", TRAINING, int, 0, absent=0, letter="c",
            help="images: black pixels put on every side before a random crop to the old size."),
    Setting("flip", TRAINING, str, choices=(NO_FLIP, FLIP), absent=NO_FLIP,
            help="images: mirror a random half of the training images; not for signs or digits."),
    Setting("rotation", TRAINING, int, 0, absent=0, letter="r",
            help="images: turn training images by up to so many degrees."),
    Setting("normalisation", MODEL, str, choices=normalisation.NAMES, absent=normalisation.NONE, letter="n-",
            help="images: mean and standard deviation of the channels, as published for a data set."),
    Setting("seed", RUN, int, 0, usual=0, help="Seed of the initial weights and of the order of rows."),
    Setting("backend", RUN, str, choices=BACKENDS, usual=BACKENDS[0], help="Keras backend.",
            aliases={"tf": "tensorflow", "pytorch": "torch"}),
    Setting("precision", RUN, str, choices=PRECISIONS, usual=PRECISIONS[0],
            help="tf32: the GPU's reduced-precision float32; bfloat16: mixed precision.",
            aliases={"fp32": "float32", "bf16": "bfloat16"}),
    Setting("threads", RUN, int, 1, most=1024, usual=2,  # more would exhaust the machine
            help="CPU threads; affects the last digits of results, so it is part of the configuration."),
)  # fmt: skip
BY_NAME = {setting.name: setting for setting in SETTINGS}


def check_single(option: str, value: float) -> float:
    """Return a number as it is in float32, with which it is computed; `Usage` where it has no end there, or is 0."""
    used = numbers.single(value)
    if math.isinf(used) or (used == 0 and value != 0):
        raise Usage(f"{option} {value} is {used:g} in float32, with which it is computed")
    return used


def option_of(name: str) -> str:
    """Return a keyword as an option of the command line: `hold_out` as `--hold-out`."""
    return f"--{name.replace('_', '-')}"
