"""The registry of networks: what a network has to say of itself. Nothing here imports Keras."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmark.nn import normalisation

Sizes = dict[str, Any]
"""All that a network is built of, by name: `classes`, for images `image_shape`, and its own settings."""
IMAGE, TEXT = "image", "text"
DEFAULT = {IMAGE: "pmoe", TEXT: "encoder"}
"""Modality of a file → the network that is trained on it where none is named."""


@dataclass(frozen=True)
class NetworkSetting:
    """What decides a network, as an option of `benchmark train`: a whole number from `least`, or one of a few words,
    its `choices`."""

    name: str
    help: str
    least: int = 1
    choices: tuple[str, ...] = ()

    @property
    def type(self) -> type:
        """The type of its value."""
        return str if self.choices else int

    @property
    def option(self) -> str:
        """The option of the command line: `--top-k`."""
        return f"--{self.name.replace('_', '-')}"


def _no_check(sizes: Sizes) -> None:
    """Accept all sizes."""


@dataclass(frozen=True)
class NetworkSpec:
    """One network: how it is built, what can be set of it, and how a saved one is known again.

    Parameters
    ----------
    name : str
        As in `--network` and in the configuration of a run.
    title, plural : str
        As titles call one, and several.
    modality : str
        `image` or `text`: what it classifies.
    source : str
        The publication.
    builder : callable
        Sizes as keywords, and `seed` → the untrained Keras model. It imports Keras itself. A network for images takes
        uint8 images (n, H, W, C), ends in a softmax, and its layer before that is called `logits`.
    settings : tuple of NetworkSetting
        What can be set of it.
    presets : mapping
        Name → values of its settings and of its training, by name; the first is used by default.
    uses : mapping
        Name of a preset → what it is for, in a few words of the help of `--preset`.
    least_weights : callable
        Sizes → a lower bound of the number of weights: a smaller file is refused before anything is built.
    keras_classes : frozenset of str
        The classes that Keras names in a saved one; a file that names others is refused.
    integers : tuple of str
        Its sizes that are whole numbers; for images by default `classes` and the settings but for words.
    fractions : tuple of str
        Its sizes from 0 to below 1.
    check : callable
        Sizes → None; raises `ValueError`, one clause on the network, where they contradict each other.
    described : callable, optional
        The description that Keras saves → sizes; for files whose run did not record them.
    routed : tuple of str
        Its layers whose experts choose patches, each with a method `route`: what `benchmark routing` measures.
    unrouted : str
        Without such layers: why not, after "which".
    defaults : mapping
        Sizes that earlier versions did not record, and what they were.
    compiled_whole : bool
        Does TensorFlow compile its training step as a whole (XLA) on a CPU too? A step without convolutions is so much
        faster; one with them is slower.
    published : mapping
        Its settings as published, where they are not those of the first preset: published training recipes take them.
    aliases : tuple of str
        What others call it: understood wherever its name is typed, never stored.
    """

    name: str
    title: str
    plural: str
    modality: str
    source: str
    builder: Callable[..., Any]
    settings: tuple[NetworkSetting, ...]
    presets: Mapping[str, Mapping[str, Any]]
    least_weights: Callable[[Sizes], int]
    keras_classes: frozenset[str]
    integers: tuple[str, ...] = ()
    fractions: tuple[str, ...] = ()
    check: Callable[[Sizes], None] = _no_check
    described: Callable[[Mapping[str, Any]], Sizes] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    uses: Mapping[str, str] = field(default_factory=dict)
    routed: tuple[str, ...] = ()
    unrouted: str = "has no experts"
    published: Mapping[str, Any] = field(default_factory=dict)
    compiled_whole: bool = False
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.integers:
            numbers = (setting.name for setting in self.settings if not setting.choices)
            object.__setattr__(self, "integers", ("classes", *numbers))

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """Its sizes that are words, and which words these may be."""
        return {setting.name: setting.choices for setting in self.settings if setting.choices}

    @property
    def of_images(self) -> bool:
        """Does it classify images, not texts?"""
        return self.modality == IMAGE

    def build(self, sizes: Sizes) -> Any:
        """Build the untrained network. The backend must have been activated.

        A size called `normalisation` names that of its images (`benchmark.nn.normalisation`); the builder is not told.
        """
        given = {name: size for name, size in sizes.items() if name != "normalisation"}
        model = self.builder(**given)
        normalisation.apply(model, sizes.get("normalisation", normalisation.NONE))
        model.compiled_whole = self.compiled_whole
        return model


NETWORKS: dict[str, NetworkSpec] = {}
"""Every network, by name."""
ALIASES: dict[str, str] = {}
"""What others call a network → its name."""


def register(spec: NetworkSpec) -> NetworkSpec:
    """Add a network. `ValueError` where its name is taken."""
    if spec.name in NETWORKS:
        raise ValueError(f"there are two networks named {spec.name!r}")
    NETWORKS[spec.name] = spec
    ALIASES.update(dict.fromkeys(spec.aliases, spec.name))
    return spec
