"""What `poisonkit triggers` tells of each trigger: its options, their defaults, its presets."""

from poisonkit.core import modality
from poisonkit.triggers import registry as triggers


def lines():
    """Yield the lines, in the order of the table."""
    of_texts = triggers.of(modality.TEXT)
    for name in triggers.TABLE:
        module = triggers.module(name)
        yield f"{name}: {module.SUMMARY}{'; for texts' if name in of_texts else ''}"
        for option in module.OPTIONS:
            yield f"  --{name}-{option.key} {option.metavar}: {option.help}  [default: {_spelled(option.default)}]"
        if module.PICTURE:
            yield f"  --{name}-image PICTURE: the picture  [default: one that poisonkit draws]"
        if hasattr(module, "FILE"):
            yield f"  --{name}-file CSV: {module.FILE}"
            yield f"  --{name}-list CSV: {module.LIST}"
        for preset, values in module.PRESETS.items():
            text = ", ".join(f"{key} {_spelled(value)}" for key, value in values.items()) or "as the defaults"
            for key, value in triggers.make_presets(name).get(preset, {}).items():
                text += f"; --{key.replace('_', '-')}" + ("" if value is True else f" {value}")
            yield f"  --preset {preset}: {text}"


def _spelled(value) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
