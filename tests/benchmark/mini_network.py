"""The small trained network of tests/golden/detectors_network.npz in plain NumPy, its images, and reference outputs.

Eight 3×3 convolutions without bias (padding 1, strides 1 1 1 2 1 1 2 1), each with batch normalisation (epsilon 1e-5)
and ReLU; the mean over positions; a dense layer to 10 classes. Images of 8×8, bytes divided by 255.
"""

from pathlib import Path

import numpy as np

STRIDES = (1, 1, 1, 2, 1, 1, 2, 1)


def golden():
    """Return all arrays by their names; images as (n, H, W, C)."""
    with np.load(Path(__file__).resolve().parents[1] / "golden" / "detectors_network.npz", allow_pickle=False) as found:
        arrays = dict(found)
    for name in ("img", "img_clean", "strip_first_img"):
        arrays[name] = np.ascontiguousarray(arrays[name].transpose(0, 2, 3, 1))
    return arrays


def softmax(logits):
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def logits(arrays, images, factors=(1,) * 8, inputs=None):
    """Return the logits (n, 10) of images (n, 8, 8, 3) in bytes; `factors`: of each normalisation's γ and β. What goes
    into each normalisation is appended to the list `inputs`."""
    x = np.asarray(images, np.float64) / 255
    for number, stride in enumerate(STRIDES):
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
        x = np.einsum("nhwcij,ocij->nhwo", windows, arrays[f"net.convs.{number}.weight"], optimize=True)
        if inputs is not None:
            inputs.append(x)
        gamma, beta, mean, variance = norm(arrays, number)
        x = np.maximum((x - mean) / np.sqrt(variance) * gamma * factors[number] + beta * factors[number], 0)
    return x.mean((1, 2)) @ arrays["net.fc.weight"].T + arrays["net.fc.bias"]


def norm(arrays, number):
    """Return γ, β, the moving mean and the moving variance with its epsilon of a normalisation."""
    gamma, beta, mean, variance = (
        arrays[f"net.bns.{number}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    return gamma, beta, mean, variance + 1e-5


def auc(scores, positive):
    """Area under the ROC curve, by counting pairs."""
    higher = scores[positive][:, None] > scores[~positive]
    return float((higher + 0.5 * (scores[positive][:, None] == scores[~positive])).mean())
