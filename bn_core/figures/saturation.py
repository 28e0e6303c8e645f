"""A drifting batch starves a sigmoid: the numbers behind the figure `saturation` (claims A1, A2, C1, C2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bn_core.activations import ACTIVATIONS
from bn_core.batch_norm import batch_norm
from bn_core.checks import real_numbers, whole_number

Array = NDArray[Any]

SIZE = 64
"""Examples in the batch."""
SEED = 74
"""Of the draws of 64, a typical one: half of it positive, and its mean slopes those of the normal distribution."""
EPS = 1e-5
STARVED = 0.01
"""A point is starved when its slope is under this share of the activation's peak slope."""


def standard_batch(size: int = SIZE, seed: int = SEED) -> Array:
    """`size` normal draws, shifted and scaled to have mean 0 and (biased) standard deviation 1 exactly."""
    size, seed = whole_number("size", size, at_least=2), whole_number("seed", seed, at_least=0)
    z = np.random.default_rng(seed).standard_normal(size)
    z -= z.mean()
    return np.asarray(z / z.std())


@dataclass(frozen=True)
class Saturation:
    """What the figure shows. Shapes: `...` is that of the controls broadcast together, m the batch size."""

    x: Array
    """(..., m) the batch as it drifted."""
    x_hat: Array
    """(..., m) the batch after batch normalization with gamma = 1, beta = 0."""
    seen: Array
    """(..., m) what the activation gets: x_hat where batch normalization is on, else x."""
    batch_mean: Array
    """(...) mean of `seen`."""
    mean_slope: Array
    """(...) mean over the batch of the activation's slope at `seen`."""
    gradient_signal: Array
    """(...) mean slope / peak slope, between 0 and 1."""
    starved: Array
    """(...) share of the points whose slope is under 1 % of the peak."""

    def after(self, layers: int) -> Array:
        """(...) the share of the signal that `layers` such layers leave: gradient_signal ** layers."""
        return np.asarray(self.gradient_signal**layers)


def saturation(
    drift: ArrayLike,
    spread: ArrayLike,
    activation: str = "sigmoid",
    batch_norm_on: ArrayLike = False,
    *,
    eps: float = EPS,
    size: int = SIZE,
    seed: int = SEED,
) -> Saturation:
    """Send a batch with mean `drift` and standard deviation `spread` through an activation.

    `drift`, `spread` (> 0) and `batch_norm_on` (booleans) broadcast together; one activation a call. The
    signal is relative to the peak slope: the weights of a real layer, and the 1/sigma of batch
    normalization, multiply the gradient too.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
    drift, spread = real_numbers("drift", drift), real_numbers("spread", spread, above=0)
    drift, spread, on = (a[..., None] for a in np.broadcast_arrays(drift, spread, batch_norm_on))
    x = drift + spread * standard_batch(size, seed)
    # Each state is a feature of its own, and the batch its examples.
    features = x.reshape(-1, size).T
    ones = np.ones(features.shape[1])
    x_hat = batch_norm(features, ones, 0 * ones, eps)[0].T.reshape(x.shape)
    seen = np.where(on, x_hat, x)
    f = ACTIVATIONS[activation]
    slope = f.slope(seen)
    return Saturation(
        x=x,
        x_hat=x_hat,
        seen=seen,
        batch_mean=seen.mean(-1),
        mean_slope=slope.mean(-1),
        gradient_signal=slope.mean(-1) / f.peak,
        starved=(slope < STARVED * f.peak).mean(-1),
    )
