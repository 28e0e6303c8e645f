"""The layer that the article prints: short, to be read, and tested against `bn_core.BatchNorm`.

It takes its arguments on trust and works in whatever precision they have. `bn_core.BatchNorm` is the one to use:
it checks what it is given, keeps its digits, and knows convolutions and folding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class BatchNormLayer:
    """Batch normalization of inputs (examples, features)."""

    momentum, eps = 0.1, 1e-5

    def __init__(self, features: int) -> None:
        self.gamma, self.beta = np.ones(features), np.zeros(features)
        self.running_mean = np.zeros(features)
        self.running_var = np.ones(features)

    def forward(self, x: Array, training: bool) -> Array:
        """Normalize by the batch in training, by running averages after it."""
        if training:
            m = len(x)
            mean, var = x.mean(axis=0), x.var(axis=0)  # var divides by m
            unbiased = var * m / (m - 1)
            self.running_mean += self.momentum * (mean - self.running_mean)
            self.running_var += self.momentum * (unbiased - self.running_var)
        else:
            mean, var = self.running_mean, self.running_var
        self.std = np.sqrt(var + self.eps)
        self.x_hat = (x - mean) / self.std
        y: Array = self.gamma * self.x_hat + self.beta
        return y

    def backward(self, dy: Array) -> Array:
        """Return dL/dx, through the batch's mean and variance."""
        m = len(dy)
        self.dgamma = (dy * self.x_hat).sum(axis=0)
        self.dbeta = dy.sum(axis=0)
        through_batch = (self.dbeta + self.x_hat * self.dgamma) / m
        dx: Array = self.gamma / self.std * (dy - through_batch)
        return dx
