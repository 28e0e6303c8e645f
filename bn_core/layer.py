"""Batch normalization as a layer: training, inference, and folding into a linear layer.

[BN] is Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 2 and section 3.1; E1-E4 are
the claims of the explainer.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from bn_core import checks
from bn_core.batch_norm import (
    BatchNormCache,
    batch_norm,
    batch_norm_backward,
    gradient_rows,
    rounded_gradients,
    scaled_and_shifted,
    to_rows,
)
from bn_core.checks import Array

VARIANCES = ("unbiased", "biased")


class BatchNorm:
    """A batch normalization layer: learned gamma and beta, running statistics for inference.

    A training step normalizes with the batch's own statistics and moves the running ones:

        running = (1 - momentum) running + momentum new

    so `momentum` weighs the new value, as in PyTorch; Keras, Flax and ONNX write the
    weight of the old value, 1 - momentum (E4). `variance` says which estimate of the
    variance goes into `running_var`: "unbiased", m/(m-1) times the batch's, is [BN]
    section 3.1 and PyTorch; "biased", the batch's own, is Keras, Flax and ONNX. The
    normalization of a training batch is biased in either case (E2).

    Args:
        num_features: d, the length of axis 1 of the input; a whole number of at least 1.
        eps: from 1e-75 to 1e75, added to the variance.
        momentum: from 0 to 1, the weight of the new value.
        variance: "unbiased" or "biased".
        dtype: float16, float32 or float64, of every array below. The output has the
            input's dtype, whatever this is.

    Attributes:
        gamma, beta: (d,), ones and zeros at first; an optimizer may replace them or
            change them in place.
        dgamma, dbeta: (d,), set (not added to) by `backward`; zeros at first.
        running_mean, running_var: (d,), zeros and ones at first.

    Raises:
        TypeError or ValueError: names the argument, its value and what is allowed.

    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        variance: Literal["unbiased", "biased"] = "unbiased",
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        self.num_features = checks.whole_number("num_features", num_features)
        self.eps = checks.positive_number("eps", eps)
        self.momentum = checks.number_between("momentum", momentum, 0, 1)
        if variance not in VARIANCES:
            raise ValueError(f'variance must be "unbiased" or "biased", got {variance!r}')
        self.variance = variance
        self.dtype = checks.float_dtype("dtype", dtype)

        self.gamma: Array = np.ones(self.num_features, self.dtype)
        self.beta: Array = np.zeros(self.num_features, self.dtype)
        self.dgamma: Array = np.zeros(self.num_features, self.dtype)
        self.dbeta: Array = np.zeros(self.num_features, self.dtype)
        self.running_mean: Array = np.zeros(self.num_features, self.dtype)
        self.running_var: Array = np.ones(self.num_features, self.dtype)
        self._cache: BatchNormCache | None = None
        self._frozen = False  # whether the last forward pass used the running statistics

    def __repr__(self) -> str:
        return (
            f"BatchNorm({self.num_features}, eps={self.eps:g}, momentum={self.momentum:g}, "
            f"variance={self.variance!r}, dtype={self.dtype.name!r})"
        )

    def forward(self, x: npt.ArrayLike, training: bool) -> Array:
        """Normalize x: (m, d) or (m, c, *spatial) with num_features on axis 1.

        In training, with the statistics of this batch, which also move the running ones;
        otherwise with the running ones, so that an example's output depends on it alone
        and one example is batch enough ([BN] Algorithm 2, E1). Returns y, of x's shape
        and dtype. Raises as `batch_norm` does; a failed pass leaves the layer as it was.
        """
        if not isinstance(training, (bool, np.bool_)):
            raise TypeError(f"training must be True or False, got {training!r}")
        x = checks.batch("x", x)
        if x.shape[1] != self.num_features:
            raise ValueError(f"x must have {self.num_features} features on axis 1, got shape {x.shape}")
        if training:
            y, cache = batch_norm(x, self.gamma, self.beta, self.eps)
            self.running_mean, self.running_var = self._moved_statistics(cache)
        else:
            y, cache = self._frozen_forward(x)
        self._cache, self._frozen = cache, not training
        return y

    def backward(self, dy: npt.ArrayLike) -> Array:
        """Return dx for the last forward pass, and set `dgamma` and `dbeta`.

        After a training pass, the gradient goes through the batch statistics (D1). After
        an inference pass they are constants and the layer an affine map (E3):
        dx = gamma / sqrt(running_var + eps) dy. Raises RuntimeError before any forward
        pass, otherwise as `batch_norm_backward` does.
        """
        if self._cache is None:
            raise RuntimeError("backward needs a forward pass to go back through: call forward(x, training) first")
        differentiate = _frozen_backward if self._frozen else batch_norm_backward
        dx, self.dgamma, self.dbeta = differentiate(dy, self._cache)
        return dx

    def fold(self) -> tuple[Array, Array]:
        """Return (scale, shift), each (d,), with which inference is y = scale x + shift.

        [BN] Algorithm 2, step 11 (E3): scale = gamma / sqrt(running_var + eps),
        shift = beta - scale running_mean.
        """
        gamma, beta, mean, var = self._checked_state()
        scale = gamma.astype(np.float64) / np.sqrt(var.astype(np.float64) + self.eps)
        shift = beta - scale * mean
        return checks.rounded("scale", scale, self.dtype), checks.rounded("shift", shift, self.dtype)

    def _moved_statistics(self, cache: BatchNormCache) -> tuple[Array, Array]:
        """Return the running mean and variance after one more training batch (E2)."""
        m = cache.count
        new_var = cache.var * (m / (m - 1)) if self.variance == "unbiased" else cache.var
        old_mean = checks.array("running_mean", self.running_mean, (self.num_features,))
        old_var = checks.variances("running_var", self.running_var, (self.num_features,))
        mean = (1 - self.momentum) * old_mean.astype(np.float64) + self.momentum * cache.mean
        var = (1 - self.momentum) * old_var.astype(np.float64) + self.momentum * new_var
        return (
            checks.rounded("running_mean", mean, self.dtype),
            checks.rounded("running_var", var, self.dtype),
        )

    def _frozen_forward(self, x: Array) -> tuple[Array, BatchNormCache]:
        gamma, beta, mean, var = (values.astype(np.float64) for values in self._checked_state())
        cache = BatchNormCache(
            x_hat=(to_rows(x) - mean) / np.sqrt(var + self.eps),
            mean=mean,
            var=var,
            gamma=gamma,
            eps=self.eps,
            shape=x.shape,
            dtypes=(x.dtype, self.dtype, self.dtype),
        )
        return scaled_and_shifted(cache, beta), cache

    def _checked_state(self) -> tuple[Array, Array, Array, Array]:
        """Return gamma, beta and the running statistics, which anyone may have replaced."""
        features = (self.num_features,)
        return (
            checks.array("gamma", self.gamma, features),
            checks.array("beta", self.beta, features),
            checks.array("running_mean", self.running_mean, features),
            checks.variances("running_var", self.running_var, features),
        )


def fold_into_linear(weight: npt.ArrayLike, bias: npt.ArrayLike | None, layer: BatchNorm) -> tuple[Array, Array]:
    """Fold a layer's inference into the linear layer before it (E3).

    BN(W u + b) = W' u + b' with W' = scale W, row by row, and b' = scale b + shift, where
    (scale, shift) = layer.fold().

    Args:
        weight: W, (out, in), with out = layer.num_features.
        bias: b, (out,), or None for no bias.
        layer: the BatchNorm whose running statistics are to be folded in.

    Returns:
        W', b' in the dtype of weight.

    Raises:
        TypeError, ValueError: as for `batch_norm`, naming weight, bias or layer.

    """
    if not isinstance(layer, BatchNorm):
        raise TypeError(f"layer must be a BatchNorm, got {layer!r}")
    weight = checks.array("weight", weight)
    if weight.ndim != 2 or weight.shape[0] != layer.num_features:
        raise ValueError(f"weight must have shape ({layer.num_features}, in), got shape {weight.shape}")
    scale, shift = (values.astype(np.float64) for values in layer.fold())
    if bias is not None:
        shift = scale * checks.array("bias", bias, (layer.num_features,)) + shift
    return (
        checks.rounded("folded weight", scale[:, np.newaxis] * weight, weight.dtype),
        checks.rounded("folded bias", shift, weight.dtype),
    )


def _frozen_backward(dy: npt.ArrayLike, cache: BatchNormCache) -> tuple[Array, Array, Array]:
    """Gradient through y = gamma x_hat + beta when mean and variance are constants (E3)."""
    dy_rows = gradient_rows(dy, cache)
    return rounded_gradients(
        cache.gamma / cache.std * dy_rows,
        np.sum(dy_rows * cache.x_hat, axis=0),
        np.sum(dy_rows, axis=0),
        cache,
    )
