"""Figure `runaway-bias`: normalize outside the gradient and a bias runs away (claims B1, B2).

A layer adds one bias b to a batch of inputs u and then takes the batch mean away::

    x_i = u_i + b        x_hat_i = x_i - mean(x)        L = 1/2 mean((x_hat_i - t_i)^2)

The output does not depend on b, so b has nothing to learn: dL/db = 0. That is what the gradient says if it
is taken through the mean ("aware"). If the mean is treated as a constant ("naive"), it says
mean(x_hat - t) = -mean(t) instead, the same at every step, and gradient descent moves b for ever.

In float64 that is the whole story. In half precision b grows until it rounds the digits of u away and is too
large to move, so the arithmetic here is really done in the precision that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bn_core.checks import Float64Array, whole_number

GRADIENTS = ("naive", "aware")
LEARNING_RATES = (0.1, 0.2, 0.5, 1.0, 2.0)
PRECISIONS = ("float64", "float32", "float16")
STEPS = 5000
EVERY = 25

BATCH_SIZE = 16
TARGET_MEAN = 1.0
TARGET_SPREAD = 0.5

Working = NDArray[np.floating[Any]]  # an array of the precision that the run is done in


@dataclass(frozen=True, eq=False)
class RunawayBias:
    """A run of gradient descent on the bias; `...` is the shape of the learning rate.

    All values are those that the working precision held, handed out as float64.
    """

    step: NDArray[np.int64]
    """(n,): the recorded steps 0, every, 2 every, ..."""
    bias: Float64Array
    """(..., n): b, which starts at 0."""
    bias_gradient: Float64Array
    """(..., n): the gradient on b in that state, as the chosen formula has it."""
    loss: Float64Array
    """(..., n): 1/2 mean((x_hat - t)^2)."""
    output_mean: Float64Array
    """(..., n): mean of x_hat over the batch."""
    output: Float64Array
    """(..., n, 16): the normalized batch x_hat."""
    output_change: Float64Array
    """(..., n): the largest change of an output since step 0, max_i |x_hat_i - x_hat_i at step 0|."""
    stalled_step: Float64Array
    """(...): the first step whose update rounds to nothing, after which b never moves; nan if b never stalls.

    Every step counts here, not only the recorded ones. It is nan for the aware gradient: a bias that has no
    gradient stands still, but no rounding has stalled it.
    """
    stalled_bias: Float64Array
    """(...): the bias at `stalled_step`, or nan."""


def runaway_bias(
    gradient: str,
    learning_rate: ArrayLike,
    precision: str = "float64",
    *,
    steps: int = STEPS,
    every: int = EVERY,
    seed: int = 0,
) -> RunawayBias:
    """Run b <- b - learning_rate * dL/db from b = 0 and record every `every`-th state.

    `gradient` is one of GRADIENTS and `precision` one of PRECISIONS. `learning_rate`, above 0 and at most
    2, has any shape; its runs share one loop over the steps.

    Every sum, product and state is rounded to `precision`. Means are NumPy's own `mean`: in float16 it
    adds up in float32 and rounds the result once; in the others it adds up in the precision itself.

    Nothing overflows: growth is linear, and float16 stalls. From b = 8200 on its values are 8 apart, so
    that all of u + b (|u| < 4) rounds to b and a step of 2 is rounded away; the largest float16 is 65504.

    Raises ValueError or TypeError for an argument that is out of range.
    """
    if gradient not in GRADIENTS:
        raise ValueError(f"gradient must be one of {', '.join(GRADIENTS)}, not {gradient!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    steps = whole_number("steps", steps)
    every = whole_number("every", every)
    rate = _checked_learning_rate(learning_rate).astype(precision)
    u, t = (values.astype(precision) for values in batch(seed))

    path = _descend(gradient, rate, u, t, steps)
    step = np.arange(0, steps + 1, every)
    bias = path[..., step]
    x_hat = normalize(u + bias[..., np.newaxis])
    error = x_hat - t
    output = x_hat.astype(np.float64)
    stalled_step, stalled_bias = _stall(path) if gradient == "naive" else _no_stall(rate.shape)
    return RunawayBias(
        step=step,
        bias=bias.astype(np.float64),
        bias_gradient=bias_gradient(gradient, error).astype(np.float64),
        loss=(0.5 * np.square(error).mean(axis=-1)).astype(np.float64),
        output_mean=x_hat.mean(axis=-1).astype(np.float64),
        output=output,
        output_change=np.abs(output - output[..., :1, :]).max(axis=-1),
        stalled_step=stalled_step,
        stalled_bias=stalled_bias,
    )


def batch(seed: int = 0) -> tuple[Float64Array, Float64Array]:
    """Return the inputs u, with mean 0 and standard deviation 1, and the targets t, with mean 1: (16,) each.

    The targets are drawn apart from the inputs: what they are does not matter, only that their mean is not 0.
    """
    rng = np.random.default_rng(whole_number("seed", seed, at_least=0))
    u = _standardize(rng.standard_normal(BATCH_SIZE))
    t = TARGET_MEAN + TARGET_SPREAD * _standardize(rng.standard_normal(BATCH_SIZE))
    return u, t


def normalize(x: Working) -> Working:
    """Return x_hat = x - mean(x), the mean taken over the batch, which is the last axis."""
    centred: Working = x - x.mean(axis=-1, keepdims=True)
    return centred


def bias_gradient(gradient: str, error: Working) -> Working:
    """Return dL/db from error = x_hat - t, (..., batch) -> (...).

    The error is the gradient on x_hat, but for the 1/m that the mean over the batch supplies. Naive: it
    passes to x as it is, and dL/db = mean(error). Aware: backprop through x_hat = x - mean(x) takes the
    error's own mean away, and dL/db = mean(error - mean(error)), which is 0 whatever the error.
    """
    if gradient == "aware":
        error = normalize(error)
    mean: Working = error.mean(axis=-1)
    return mean


def _descend(gradient: str, rate: Working, u: Working, t: Working, steps: int) -> Working:
    """Return the bias at every step, (..., steps + 1), in the precision of u."""
    bias = np.zeros_like(rate)
    path = [bias]
    for _ in range(steps):
        error = normalize(u + bias[..., np.newaxis]) - t
        bias = bias - rate * bias_gradient(gradient, error)
        path.append(bias)
    return np.stack(path, axis=-1)


def _stall(path: Working) -> tuple[Float64Array, Float64Array]:
    """Return the first step that leaves the bias where it is, and that bias; nan where every step moves it.

    The next bias depends on the present one alone, so a bias that stays once stays for ever.
    """
    stays = path[..., 1:] == path[..., :-1]
    stalled = stays.any(axis=-1)
    first = stays.argmax(axis=-1)
    bias = np.take_along_axis(path, first[..., np.newaxis], axis=-1)[..., 0].astype(np.float64)
    return np.where(stalled, first, np.nan), np.where(stalled, bias, np.nan)


def _no_stall(shape: tuple[int, ...]) -> tuple[Float64Array, Float64Array]:
    return np.full(shape, np.nan), np.full(shape, np.nan)


def _standardize(draws: Float64Array) -> Float64Array:
    centred = draws - draws.mean()
    scaled: Float64Array = centred / centred.std()
    return scaled


def _checked_learning_rate(learning_rate: ArrayLike) -> Float64Array:
    rate = np.asarray(learning_rate)
    if rate.dtype.kind not in "iuf":
        raise TypeError(f"learning_rate must be real numbers, not {learning_rate!r}")
    largest = max(LEARNING_RATES)
    allowed = (rate > 0) & (rate <= largest)
    if not allowed.all():
        raise ValueError(f"learning_rate must be above 0 and at most {largest:g}, not {rate[~allowed].flat[0]}")
    return rate.astype(np.float64)
