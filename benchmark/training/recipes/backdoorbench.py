"""BackdoorBench's training, the same for every network: `config/attack/prototype/*.yaml` and its transforms."""

from benchmark.training.recipes.registry import Recipe, register

_ALWAYS = {
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "decay_on": "all",
    "batch_size": 128,
    "schedule": "cosine",
    "hold_out": 0,
    "crop_padding": 4,
}

BACKDOORBENCH = register(
    Recipe(
        name="backdoorbench",
        use="BackdoorBench's training",
        source="Wu et al. 2022, BackdoorBench: a comprehensive benchmark of backdoor learning",
        values={
            "cifar10": _ALWAYS | {"epochs": 100, "flip": "horizontal", "normalisation": "cifar10"},
            "cifar100": _ALWAYS | {"epochs": 100, "normalisation": "cifar100"},
            "gtsrb": _ALWAYS | {"epochs": 50, "schedule_epochs": 100},  # its cosine ends at half the rate, as theirs
        },
        refused={
            "tiny-imagenet": "on Tiny ImageNet the rate is lowered where the loss stalls (ReduceLROnPlateau), "
            "which is not to be had here",
        },
    )
)
