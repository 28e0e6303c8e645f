"""Batch normalization of one mini-batch, and its gradient.

[BN] is Ioffe & Szegedy 2015, arXiv:1502.03167; the algorithm is its Algorithm 1, the
gradient the six equations that follow it in section 3, the convolutional form section
3.2. C1, D1 and the like are the claims of the explainer.

A convolution pools its statistics over the batch and all positions of a feature map
(C7), which is the dense case with m' = m p q rows. So every function turns its input
into rows, (values, features), and the equations below are those of the paper.

The arithmetic is in float64 whatever the input: the mean of many float32 values would
lose digits if summed in float32, and the square of a float16 value over 255 does not
fit float16. Results are rounded once, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bn_core import checks
from bn_core.checks import Array, Float64Array, FloatDType


@dataclass(frozen=True, eq=False)
class BatchNormCache:
    """What the backward pass needs from the forward pass; arithmetic arrays are float64.

    Attributes:
        x_hat: normalized input as rows, (m', d): row-major over the batch, then positions.
        mean: mean over the batch, (d,).
        var: biased variance over the batch (divided by m'), (d,).
        gamma: scale at the time of the forward pass, (d,); a copy.
        eps: what was added to the variance.
        shape: shape of x.
        dtypes: dtypes of x, gamma and beta, hence of dx, dgamma and dbeta.

    """

    x_hat: Float64Array
    mean: Float64Array
    var: Float64Array
    gamma: Float64Array
    eps: float
    shape: tuple[int, ...]
    dtypes: tuple[FloatDType, FloatDType, FloatDType]

    @property
    def count(self) -> int:
        """Number of values behind each mean and variance: m, or m p q in a convolution (C7)."""
        return len(self.x_hat)

    @property
    def std(self) -> Float64Array:
        """The denominator sqrt(var + eps), (d,)."""
        return np.asarray(np.sqrt(self.var + self.eps))


def batch_norm(
    x: npt.ArrayLike, gamma: npt.ArrayLike, beta: npt.ArrayLike, eps: float = 1e-5
) -> tuple[Array, BatchNormCache]:
    """Normalize each feature over the batch, then scale and shift it.

    [BN] Algorithm 1 (C1):  mu = mean(x), var = mean((x - mu)^2),
    x_hat = (x - mu) / sqrt(var + eps), y = gamma x_hat + beta.

    Args:
        x: (m, d) or (m, c, *spatial); statistics go over every axis but axis 1.
        gamma: scale, (d,).
        beta: shift, (d,).
        eps: from 1e-75 to 1e75, added to the variance.

    Returns:
        y, of x's shape and dtype, and the cache for the backward pass. A constant feature
        gives exactly beta.

    Raises:
        TypeError: an array is not float16, float32 or float64; eps is not a number.
        ValueError: a wrong shape; fewer than two values per feature; numbers that are not
            finite or exceed 1e75; a result that does not fit x's dtype.

    """
    x = checks.batch("x", x, values_per_feature=2)
    features = (x.shape[1],)
    gamma = checks.array("gamma", gamma, features)
    beta = checks.array("beta", beta, features)
    eps = checks.positive_number("eps", eps)

    centered, mean, var = moments(to_rows(x))
    cache = BatchNormCache(
        x_hat=centered / np.sqrt(var + eps),
        mean=mean,
        var=var,
        gamma=gamma.astype(np.float64),
        eps=eps,
        shape=x.shape,
        dtypes=(x.dtype, gamma.dtype, beta.dtype),
    )
    return scaled_and_shifted(cache, beta), cache


def batch_norm_backward(dy: npt.ArrayLike, cache: BatchNormCache) -> tuple[Array, Array, Array]:
    """Gradient of the loss through `batch_norm`, in one fused form.

    The six equations of [BN] section 3 (D1), collected:

        dx = gamma / sqrt(var + eps) * (dy - mean(dy) - x_hat mean(dy x_hat))

    The two means are what the paths through the batch's mean and variance subtract.

    Args:
        dy: dL/dy, of the shape of the forward pass's x.
        cache: what that forward pass returned.

    Returns:
        dx, dgamma, dbeta: each with the shape and dtype of what it is the gradient of.

    Raises:
        TypeError: dy is not floating, or cache is no BatchNormCache.
        ValueError: dy has another shape than x, is not finite, or exceeds 1e75; a result
            does not fit its dtype.

    """
    dy_rows = gradient_rows(dy, cache)
    dgamma = np.sum(dy_rows * cache.x_hat, axis=0)
    dbeta = np.sum(dy_rows, axis=0)
    through_statistics = (dbeta + cache.x_hat * dgamma) / cache.count
    dx = cache.gamma / cache.std * (dy_rows - through_statistics)
    return rounded_gradients(dx, dgamma, dbeta, cache)


def batch_norm_backward_by_steps(dy: npt.ArrayLike, cache: BatchNormCache) -> tuple[Array, Array, Array]:
    """Compute the gradient of `batch_norm_backward` equation by equation.

    The six equations of [BN] section 3 in the paper's order (D1): the one to read, and
    the one against which tests compare the fused form. Same arguments, results, errors.
    """
    dy_rows = gradient_rows(dy, cache)
    m, std = cache.count, cache.std
    x_minus_mean = cache.x_hat * std

    dx_hat = dy_rows * cache.gamma
    dvar = np.sum(dx_hat * x_minus_mean, axis=0) * -0.5 / std**3
    # The sum in the second term is 0; it stands here because it stands in the paper.
    dmean = np.sum(-dx_hat / std, axis=0) + dvar * np.sum(-2 * x_minus_mean, axis=0) / m
    dx = dx_hat / std + dvar * 2 * x_minus_mean / m + dmean / m  # direct, through var, through mean
    dgamma = np.sum(dy_rows * cache.x_hat, axis=0)
    dbeta = np.sum(dy_rows, axis=0)
    return rounded_gradients(dx, dgamma, dbeta, cache)


def moments(rows: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return rows - mean, the mean and the biased variance (C1) of rows (m, d).

    Two passes, never E[x^2] - E[x]^2, which cancels when the mean is large. The first row
    is subtracted before anything is summed, so a large common offset costs no digits and
    a constant feature has deviations of exactly 0.
    """
    shifted = rows - rows[0]
    offset = np.mean(shifted, axis=0)
    centered = shifted - offset
    with np.errstate(under="ignore"):  # the square of a tiny deviation is 0, and eps is there for that
        return centered, rows[0] + offset, np.mean(centered**2, axis=0)


def to_rows(x: Array) -> Float64Array:
    """Turn (m, c, *spatial) into float64 rows (m', c): one row per example and position (C7)."""
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]).astype(np.float64)


def from_rows(rows: Float64Array, shape: tuple[int, ...]) -> Float64Array:
    """Undo `to_rows`: give rows (m', c) the shape (m, c, *spatial)."""
    m, c, *spatial = shape
    return np.ascontiguousarray(np.moveaxis(rows.reshape(m, *spatial, c), -1, 1))


def scaled_and_shifted(cache: BatchNormCache, beta: Array) -> Array:
    """Return y = gamma x_hat + beta (C1), in the shape and dtype of x."""
    y = cache.gamma * cache.x_hat + beta
    return checks.rounded("y", from_rows(y, cache.shape), cache.dtypes[0])


def gradient_rows(dy: npt.ArrayLike, cache: BatchNormCache) -> Float64Array:
    """Check what a backward pass is given and return dy as rows."""
    if not isinstance(cache, BatchNormCache):
        raise TypeError(f"cache must be the BatchNormCache of a forward pass, got {type(cache).__name__}")
    return to_rows(checks.array("dy", dy, cache.shape))


def rounded_gradients(
    dx: Float64Array, dgamma: Float64Array, dbeta: Float64Array, cache: BatchNormCache
) -> tuple[Array, Array, Array]:
    """Give each gradient the shape and dtype of what it is the gradient of."""
    x_dtype, gamma_dtype, beta_dtype = cache.dtypes
    return (
        checks.rounded("dx", from_rows(dx, cache.shape), x_dtype),
        checks.rounded("dgamma", dgamma, gamma_dtype),
        checks.rounded("dbeta", dbeta, beta_dtype),
    )
