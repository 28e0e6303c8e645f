"""The small examples that the article works through, computed by the same functions as everything else."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, pi, sqrt
from typing import Literal

import numpy as np

from bn_core.batch_norm import batch_norm, batch_norm_backward
from bn_core.checks import Float64Array
from bn_core.figures import landscape
from bn_core.layer import BatchNorm

NORMAL_WITHIN_ONE = erf(1 / sqrt(2))
"""Share of a standard normal within one of zero (claim C4)."""

RELU_GROWTH = pi / (pi - 1)
"""Growth per layer of the mean squared gradient, batch normalization and ReLU, large batches (claim F2)."""


@dataclass(frozen=True, eq=False)
class FourExamples:
    """One feature of four examples, forward and back (claims D1-D3) and folded (claim E3); arrays are (4,)."""

    x: Float64Array
    gamma: float
    beta: float
    mean: float
    var: float
    x_hat: Float64Array
    y: Float64Array
    dy: Float64Array
    dx: Float64Array
    dgamma: float
    dbeta: float
    std: float
    """The denominator, sqrt(var + eps)."""
    unbiased_var: float
    """What goes into the running variance (claim E2)."""
    scale: float
    shift: float
    """Inference is y = scale x + shift, with this batch's mean and unbiased variance as running statistics."""
    frozen: Float64Array
    """Inference for the four, by the layer itself and not by scale and shift."""


def four_examples() -> FourExamples:
    """Only the first example's output is asked to change: see what arrives at the others."""
    x, dy = np.array([1.0, 7.0, 9.0, 15.0]), np.array([1.0, 0.0, 0.0, 0.0])
    gamma, beta = 5.0, 1.0
    y, cache = batch_norm(x[:, np.newaxis], np.array([gamma]), np.array([beta]))
    dx, dgamma, dbeta = batch_norm_backward(dy[:, np.newaxis], cache)
    layer = BatchNorm(1, momentum=1.0)
    layer.gamma, layer.beta = np.array([gamma]), np.array([beta])
    layer.forward(x[:, np.newaxis], training=True)
    scale, shift = layer.fold()
    return FourExamples(
        x=x,
        gamma=gamma,
        beta=beta,
        mean=float(cache.mean[0]),
        var=float(cache.var[0]),
        x_hat=cache.x_hat[:, 0],
        y=np.asarray(y[:, 0], np.float64),
        dy=dy,
        dx=np.asarray(dx[:, 0], np.float64),
        dgamma=float(dgamma[0]),
        dbeta=float(dbeta[0]),
        std=float(cache.std[0]),
        unbiased_var=float(layer.running_var[0]),
        scale=float(scale[0]),
        shift=float(shift[0]),
        frozen=np.asarray(layer.forward(x[:, np.newaxis], training=False)[:, 0], np.float64),
    )


def running_var(variance: Literal["unbiased", "biased"]) -> float:
    """Return what a layer stores after the batch {0, 2} when the new value replaces the old (claim E4)."""
    layer = BatchNorm(1, momentum=1.0, variance=variance)
    layer.forward(np.array([[0.0], [2.0]]), training=True)
    return float(layer.running_var[0])


def float16_gap(value: float) -> float:
    """Return the distance from `value` in half precision to the next number (claim B1, its aside)."""
    return float(np.spacing(np.float16(value)))


def rates_of(fate: str, side: landscape.Landscape = landscape.WITHOUT) -> tuple[float, float]:
    """Return the lowest and the highest learning rate of the figure at which every start meets this fate (F3)."""
    x, y = np.array(list(landscape.STARTS.values())).T
    fates = landscape.verdict(side, landscape.LEARNING_RATES[:, np.newaxis], x, y)
    rates = landscape.LEARNING_RATES[(fates == landscape.VERDICTS.index(fate)).all(axis=1)]
    return float(rates[0]), float(rates[-1])
