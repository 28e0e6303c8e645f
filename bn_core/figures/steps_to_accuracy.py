"""Figure `steps-to-accuracy`: what batch normalization bought on ImageNet (claims R2-R7).

A handful of points was published, and they are quoted from `bn_core.published`. The curves through them are
ours: a family that rises from 0 and passes exactly through every published point,

    A(t) = A_max (1 - (1 - u)^k)    with    u = ln(1 + t/t0) / ln(1 + T/t0)    up to T, and flat after it.

A_max is published, and so is T for Inception and BN-x30. Ours are t0, T for the other two, and k, which is
what makes the curve pass through the network's point at 72.2 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bn_core.checks import Float64Array
from bn_core.published import IMAGENET, ImageNetRun

NETWORKS = tuple(IMAGENET)
"""In the order of the last axis of every result."""
TARGETS: Float64Array = np.round(np.arange(600, 751) / 10, 1)
"""Accuracies in percent, 60 to 75 by 0.1."""
SOURCES = ("published", "interpolated", "never", "unpublished")
PUBLISHED, INTERPOLATED, NEVER, UNPUBLISHED = range(len(SOURCES))

COMMON_ACCURACY = 72.2
"""Percent: Inception's maximum, to which the paper counts the steps of each network."""
T0 = 0.5e6
"""Steps, ours: where the curves' time axis turns from linear to logarithmic."""
OUR_STEPS_TO_MAX = {"bn_baseline": 20e6, "bn_x5": 5e6}
"""T of the networks for which the paper gives a maximum but not the steps to it."""
OUR_EXPONENT = 2.0
"""k for Inception: its point at 72.2 % is its maximum, which the curve meets whatever k is."""
TOLERANCE = 1e-9
"""Percent within which two accuracies are the same one; a slider's 72.2 may be off by a rounding."""


@dataclass(frozen=True)
class Curve:
    """Our interpolation of one network's accuracy."""

    max_accuracy: float
    """A_max, percent."""
    steps_to_max: float
    """T."""
    exponent: float
    """k."""

    def accuracy(self, steps: ArrayLike) -> Float64Array:
        """Return A(t) in percent after t = `steps` >= 0."""
        u = _progress(np.minimum(steps, self.steps_to_max), self.steps_to_max)
        return np.asarray(self.max_accuracy * (1 - (1 - u) ** self.exponent))

    def steps_to(self, accuracy: ArrayLike) -> Float64Array:
        """Return the steps in which the curve reaches `accuracy` (percent, at least 0); nan above A_max."""
        left = 1 - np.asarray(accuracy, np.float64) / self.max_accuracy
        reached = left >= -TOLERANCE / self.max_accuracy
        u = 1 - np.maximum(left, 0) ** (1 / self.exponent)
        steps = T0 * np.expm1(u * np.log1p(self.steps_to_max / T0))
        return np.where(reached, steps, np.nan)


@dataclass(frozen=True, eq=False)
class StepsToAccuracy:
    """Steps that each network needs to reach a target; `...` is the shape of the target, 5 is NETWORKS."""

    steps: Float64Array
    """(..., 5): training steps, nan where there is no number."""
    source: NDArray[np.int64]
    """(..., 5): index into SOURCES.

    "published": quoted. "interpolated": read off our curve. "never": above the network's maximum.
    "unpublished": within its reach, but no steps were published (BN-x5-Sigmoid).
    """
    reference: NDArray[np.int64]
    """(...): index into NETWORKS of the network compared with: Inception where it reaches the target, else
    the slowest that does, and -1 where none does."""
    ratio: Float64Array
    """(..., 5): how many times fewer steps than the reference, nan where there is no number."""
    share: Float64Array
    """(..., 5): steps as a share of the reference's, 1/ratio."""


def published_points(network: str) -> dict[float, float]:
    """Return the published points of one of NETWORKS, as {accuracy in percent: steps}; may be empty."""
    run = IMAGENET[_known(network)]
    points = {COMMON_ACCURACY: run.steps_to_72_2, run.max_accuracy: run.steps_to_max}
    return {accuracy: steps for accuracy, steps in points.items() if steps is not None}


def accuracy(network: str, steps: ArrayLike) -> Float64Array:
    """Return our curve of a network's accuracy in percent, of the shape of `steps` (at least 0).

    Raises ValueError for a network of which no steps were published: it has no curve.
    """
    curve = CURVES.get(_known(network))
    if curve is None:
        raise ValueError(
            f"network must be one of {', '.join(CURVES)}, not {network!r}: no steps were published for it"
        )
    return curve.accuracy(_numbers("steps", steps, 0, np.inf))


def steps_to(target: ArrayLike) -> StepsToAccuracy:
    """Return the steps that each network needs to reach `target` percent (1 to 100, any shape).

    The published number where there is one for that very accuracy, else our curve's.
    """
    target = _numbers("target", target, 1, 100)
    columns = [_steps_of(network, target) for network in NETWORKS]
    steps = np.stack([column[0] for column in columns], axis=-1)
    source = np.stack([column[1] for column in columns], axis=-1)
    reference = _reference(steps)
    of_reference = np.take_along_axis(steps, np.maximum(reference, 0)[..., np.newaxis], axis=-1)
    return StepsToAccuracy(
        steps=steps,
        source=source,
        reference=reference,
        ratio=of_reference / steps,
        share=steps / of_reference,
    )


def _steps_of(network: str, target: Float64Array) -> tuple[Float64Array, NDArray[np.int64]]:
    """Return steps and source of one network, each (...)."""
    reached = target <= IMAGENET[network].max_accuracy + TOLERANCE
    curve = CURVES.get(network)
    if curve is None:
        return np.full(target.shape, np.nan), np.where(reached, UNPUBLISHED, NEVER)
    steps = curve.steps_to(target)
    source = np.where(reached, INTERPOLATED, NEVER)
    for point, published in published_points(network).items():
        here = np.abs(target - point) <= TOLERANCE
        steps, source = np.where(here, published, steps), np.where(here, PUBLISHED, source)
    return steps, source


def _reference(steps: Float64Array) -> NDArray[np.int64]:
    """Return the network to compare with: Inception, or the slowest that reaches the target, or -1."""
    inception = NETWORKS.index("inception")
    reaches = np.isfinite(steps)
    slowest = np.where(reaches, steps, -1.0).argmax(axis=-1)
    chosen = np.where(reaches[..., inception], inception, slowest)
    return np.where(reaches.any(axis=-1), chosen, -1)


def _progress(steps: ArrayLike, steps_to_max: float) -> Float64Array:
    """Return u, which runs from 0 at the first step to 1 at T."""
    return np.asarray(np.log1p(np.asarray(steps, np.float64) / T0) / np.log1p(steps_to_max / T0))


def _curve(network: str, run: ImageNetRun) -> Curve | None:
    """Return the curve through the network's published points, or None if there are none."""
    if run.steps_to_72_2 is None:
        return None
    steps_to_max = OUR_STEPS_TO_MAX[network] if run.steps_to_max is None else run.steps_to_max
    if run.max_accuracy == COMMON_ACCURACY:
        return Curve(run.max_accuracy, steps_to_max, OUR_EXPONENT)
    u = _progress(run.steps_to_72_2, steps_to_max)
    exponent = np.log(1 - COMMON_ACCURACY / run.max_accuracy) / np.log(1 - u)
    return Curve(run.max_accuracy, steps_to_max, float(exponent))


def _known(network: str) -> str:
    if network not in IMAGENET:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, not {network!r}")
    return network


def _numbers(name: str, value: ArrayLike, low: float, high: float) -> Float64Array:
    values = np.asarray(value)
    if values.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, not {value!r}")
    allowed = (values >= low) & (values <= high)
    if not allowed.all():
        raise ValueError(f"{name} must be from {low:g} to {high:g}, not {values[~allowed].flat[0]}")
    return values.astype(np.float64)


CURVES = {name: curve for name, run in IMAGENET.items() if (curve := _curve(name, run)) is not None}
"""The curve of each network that has published points."""
