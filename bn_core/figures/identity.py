"""Gamma and beta can undo it all: the numbers behind the figure `identity` (claims C2-C4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bn_core.checks import real_numbers

Array = NDArray[Any]

MEAN, STD = 3.0, 2.0
SIZE = 512
EPSILONS = (1e-8, 1e-5, 1e-3, 1e-1)
NEAR_LINEAR = 1.0
"""Inside |y| < 1 the sigmoid is nearly a straight line: claim C4."""


def draws(size: int = SIZE, seed: int = 0) -> Array:
    """`size` draws of a skewed distribution (gamma, shape 4), standardized to mean 3 and biased std 2."""
    x = np.random.default_rng(seed).gamma(4.0, size=size)
    x = (x - x.mean()) / x.std()
    return np.asarray(MEAN + STD * x)


def undo(eps: ArrayLike, x: Array | None = None) -> tuple[Array, Array]:
    """The (gamma, beta) that restore x exactly: sqrt(Var[x] + eps) and E[x], each of the shape of `eps`. C3."""
    x = draws() if x is None else x
    eps = real_numbers("eps", eps, above=0)
    return np.sqrt(x.var() + eps), np.full(eps.shape, x.mean())


@dataclass(frozen=True)
class Identity:
    """What the figure shows. Shapes: `...` is that of the controls broadcast together, m the draws."""

    x: Array
    """(m,) the input."""
    x_hat: Array
    """(..., m) the normalized input."""
    y: Array
    """(..., m) the output, gamma x_hat + beta."""
    mean: Array
    """(...) mean of y."""
    std: Array
    """(...) biased standard deviation of y."""
    residual: Array
    """(...) max |y - x|."""
    near_linear: Array
    """(...) share of y with |y| < 1."""


def identity(gamma: ArrayLike, beta: ArrayLike, eps: ArrayLike = 1e-5) -> Identity:
    """Normalize the draws, then scale by gamma and shift by beta ([BN] Algorithm 1). The arguments broadcast."""
    gamma, beta, eps = real_numbers("gamma", gamma), real_numbers("beta", beta), real_numbers("eps", eps, above=0)
    gamma, beta, eps = (a[..., None] for a in np.broadcast_arrays(gamma, beta, eps))
    x = draws()
    x_hat = (x - x.mean()) / np.sqrt(x.var() + eps)
    y = gamma * x_hat + beta
    return Identity(
        x=x,
        x_hat=x_hat,
        y=y,
        mean=y.mean(-1),
        std=y.std(-1),
        residual=np.abs(y - x).max(-1),
        near_linear=(np.abs(y) < NEAR_LINEAR).mean(-1),
    )
