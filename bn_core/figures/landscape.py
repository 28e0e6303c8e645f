"""Figure `landscape`: one learning rate, two landscapes (claim F3).

Gradient descent multiplies the distance to the bottom of a quadratic by 1 - eta lambda a step, along each
axis with the curvature lambda of that axis. It is stable only while |1 - eta lambda| <= 1 along the steepest,
which is to say below the ceiling eta = 2/lambda_max. Batch normalization raises the ceiling; it does not
remove it. Both landscapes here are illustrations, chosen to show that; they were not measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bn_core.checks import Float64Array, whole_number

LEARNING_RATES: Float64Array = np.geomspace(1 / 60, 25 / 12, 61)
STARTS = {"corner": (1.6, 2.4), "wall": (2.4, 1.0), "valley": (0.3, 2.6), "near": (-0.8, -0.9)}
STEPS = range(1, 41)

VERDICTS = (
    "converging",
    "trapped in a ripple",
    "thrown from ripple to ripple",
    "oscillating",
    "diverging",
    "diverged",
)
CONVERGING, TRAPPED, THROWN, OSCILLATING, DIVERGING, DIVERGED = range(len(VERDICTS))

MAP = 3.0
"""Starts lie on the map: |x| <= MAP and |y| <= MAP."""
BOUND = 10.0
"""A diverged path stands still once it is outside the square |x|, |y| <= BOUND, well beyond the map."""
DIVERGED_FACTOR = 10.0
"""A path has diverged once its loss is over this many times the start's."""
RECENT = 10
"""A verdict on how a path moves is passed on this many of its last moves."""
AT_REST = 0.01
"""A path is at rest where the length of the gradient is below this."""
LARGEST_RATE = 10.0


@dataclass(frozen=True)
class Landscape:
    """A quadratic bowl, with or without ripples along y.

    f(x, y) = curvature_x x^2/2 + curvature_y y^2/2 + ripple_height (1 - cos(ripple_frequency y))
    """

    curvature_x: float
    curvature_y: float
    ripple_height: float = 0.0
    ripple_frequency: float = 0.0

    def __post_init__(self) -> None:
        for name in ("curvature_x", "curvature_y"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {getattr(self, name)!r}")
        for name in ("ripple_height", "ripple_frequency"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {getattr(self, name)!r}")

    @property
    def lambda_max(self) -> float:
        """The largest curvature of the smooth part, the bowl without its ripples."""
        return max(self.curvature_x, self.curvature_y)

    @property
    def ceiling(self) -> float:
        """The learning rate 2/lambda_max, above which descent on the smooth part diverges."""
        return 2 / self.lambda_max

    @property
    def smooth_part(self) -> Landscape:
        """The same bowl without ripples."""
        return replace(self, ripple_height=0.0)

    def loss(self, x: ArrayLike, y: ArrayLike) -> Float64Array:
        """Return f(x, y); x and y broadcast."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        bowl = self.curvature_x / 2 * x**2 + self.curvature_y / 2 * y**2
        ripples = self.ripple_height * (1 - np.cos(self.ripple_frequency * y))
        return np.asarray(bowl + ripples)

    def gradient(self, x: ArrayLike, y: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """Return df/dx, of the shape of x, and df/dy, of the shape of y: the axes do not mix."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        slope = self.ripple_height * self.ripple_frequency * np.sin(self.ripple_frequency * y)
        return np.asarray(self.curvature_x * x), np.asarray(self.curvature_y * y + slope)

    def ridges(self) -> Float64Array:
        """Return the y of the ridges between ripples, ascending: the local maxima of f along y.

        Behind the k-th crest of the ripples, at (2k - 1) pi/frequency, they fall, ever steeper for a quarter
        of a wave. The ridge is where they begin to fall faster than the bowl rises; far out, where the bowl
        is steeper even at the end of the quarter, there is none.
        """
        steepest_ripple = self.ripple_height * self.ripple_frequency
        if steepest_ripple == 0:
            return np.empty(0)
        odd = np.arange(1, self.ripple_frequency * steepest_ripple / self.curvature_y / np.pi, 2)
        low, high = odd * np.pi / self.ripple_frequency, (odd + 0.5) * np.pi / self.ripple_frequency
        exists = self.curvature_y * high < steepest_ripple
        low, high = low[exists], high[exists]
        for _ in range(60):  # bisection: f rises before a ridge and falls behind it
            middle = (low + high) / 2
            rises = self.gradient(0.0, middle)[1] > 0
            low, high = np.where(rises, middle, low), np.where(rises, high, middle)
        return np.concatenate([-low[::-1], low])

    def ripple(self, y: ArrayLike) -> NDArray[np.int64]:
        """Return which ripple y lies in: 0 is the lowest, at y = 0; 1, 2, ... up and -1, -2, ... down."""
        ridges = self.ridges()
        return np.asarray(np.searchsorted(ridges, y) - ridges.size // 2)


WITHOUT = Landscape(curvature_x=12.0, curvature_y=1.0, ripple_height=0.25, ripple_frequency=12.0)
"""Without BN: 6 x^2 + y^2/2 + 0.25 (1 - cos 12y), ceiling 1/6."""
WITH = Landscape(curvature_x=1.2, curvature_y=1.0)
"""With BN: 0.6 x^2 + 0.5 y^2, ceiling 5/3."""


@dataclass(frozen=True, eq=False)
class Descent:
    """Paths of gradient descent; `...` is the shape of learning rate and start broadcast together.

    Everything is finite. A path that has diverged goes on until it is outside the square |x|, |y| <= BOUND,
    so that it can be drawn leaving the map, and then stands still.
    """

    x: Float64Array
    """(..., steps + 1): from the start to the last step."""
    y: Float64Array
    """(..., steps + 1)."""
    loss: Float64Array
    """(..., steps + 1)."""
    diverged_at: NDArray[np.int64]
    """(...): the first step whose loss is over ten times the start's, or -1."""
    left_at: NDArray[np.int64]
    """(...): the step that led a diverged path out of the square, or -1."""


def descend(
    side: Landscape, learning_rate: ArrayLike, start_x: ArrayLike, start_y: ArrayLike, steps: int = STEPS[-1]
) -> Descent:
    """Walk down `side`: (x, y) <- (x, y) - learning_rate * gradient(x, y), `steps` times.

    `learning_rate` (above 0, at most 10), `start_x` and `start_y` (both on the map, -3 to 3) broadcast. A
    shorter walk is the beginning of a longer one. Raises ValueError or TypeError for any other argument.
    """
    steps = whole_number("steps", steps)
    rate, x, y = _checked(learning_rate, start_x, start_y)
    loss = side.loss(x, y)
    limit = DIVERGED_FACTOR * loss
    path = [(x, y, loss)]
    diverged, gone = np.zeros(loss.shape, bool), np.zeros(loss.shape, bool)
    left_at = np.full(loss.shape, -1)
    for step in range(1, steps + 1):
        slope_x, slope_y = side.gradient(x, y)
        x, y = np.where(gone, x, x - rate * slope_x), np.where(gone, y, y - rate * slope_y)
        loss = side.loss(x, y)
        diverged = diverged | (loss > limit)
        leaves = ~gone & diverged & (np.maximum(np.abs(x), np.abs(y)) > BOUND)
        left_at = np.where(leaves, step, left_at)
        gone = gone | leaves
        path.append((x, y, loss))
    xs, ys, losses = (np.stack(values, axis=-1) for values in zip(*path, strict=True))
    over = losses > limit[..., np.newaxis]
    diverged_at = np.where(over.any(axis=-1), over.argmax(axis=-1), -1)
    return Descent(xs, ys, losses, diverged_at, left_at)


def modes(side: Landscape, learning_rate: ArrayLike, steps: int = STEPS[-1]) -> tuple[Float64Array, Float64Array]:
    """Return what is left of x and of y after 0, 1, ... steps on a bowl without ripples: (..., steps + 1) each.

    There every step multiplies each coordinate by 1 - eta lambda of its axis, so a path from anywhere is the
    start times these. Raises ValueError for a bowl with ripples.
    """
    if side.ripple_height != 0:
        raise ValueError(f"side must have no ripples, not ripple_height={side.ripple_height!r}")
    rate, step = np.asarray(learning_rate, np.float64)[..., np.newaxis], np.arange(steps + 1)
    return (1 - rate * side.curvature_x) ** step, (1 - rate * side.curvature_y) ** step


def verdict(
    side: Landscape, learning_rate: ArrayLike, start_x: ArrayLike, start_y: ArrayLike, steps: int = STEPS[-1]
) -> NDArray[np.int64]:
    """Return what became of the walk that `descend` takes with the same arguments, as an index into VERDICTS.

    The first of these that is true, (...) like the arguments broadcast together:

    - diverged: the loss was over ten times the start's (`Descent.diverged_at` has the step).
    - diverging: the learning rate is above the ceiling, |1 - eta lambda_max| > 1, though it does not show
      yet.
    - thrown from ripple to ripple: one of the last ten moves crossed a ridge.
    - trapped in a ripple: at rest (the gradient is shorter than 0.01) in a ripple that is not the lowest.
    - oscillating: along x or along y, one of the last ten moves turned back on the move before. On a bowl
      that is overshooting, 1 - eta lambda < 0, and converges all the same; in a ripple it is bouncing
      between the walls without coming to rest.
    - converging: none of these.
    """
    walk = descend(side, learning_rate, start_x, start_y, steps)
    unstable = np.abs(1 - np.asarray(learning_rate, np.float64) * side.lambda_max) > 1
    ripple = side.ripple(walk.y[..., -RECENT - 1 :])
    thrown = (ripple[..., 1:] != ripple[..., :-1]).any(axis=-1)
    at_rest = np.hypot(*side.gradient(walk.x[..., -1], walk.y[..., -1])) < AT_REST
    trapped = at_rest & (ripple[..., -1] != 0)
    oscillating = _turns_back(walk.x) | _turns_back(walk.y)
    conditions = [walk.diverged_at >= 0, unstable, thrown, trapped, oscillating]
    found = np.select(
        np.broadcast_arrays(*conditions), [DIVERGED, DIVERGING, THROWN, TRAPPED, OSCILLATING], CONVERGING
    )
    return np.asarray(found, np.int64)


def _turns_back(coordinate: Float64Array) -> NDArray[np.bool_]:
    """Whether one of the last moves goes against the move before it: (..., steps + 1) -> (...)."""
    direction = np.sign(np.diff(coordinate[..., -RECENT - 2 :]))
    return np.asarray((direction[..., 1:] * direction[..., :-1] < 0).any(axis=-1))


def _checked(learning_rate: ArrayLike, start_x: ArrayLike, start_y: ArrayLike) -> list[Float64Array]:
    """Return the three as float64, broadcast together."""
    rate = _numbers("learning_rate", learning_rate)
    _require("learning_rate", rate, (rate > 0) & (rate <= LARGEST_RATE), f"above 0 and at most {LARGEST_RATE:g}")
    x, y = _numbers("start_x", start_x), _numbers("start_y", start_y)
    _require("start_x", x, np.abs(x) <= MAP, f"from {-MAP:g} to {MAP:g}")
    _require("start_y", y, np.abs(y) <= MAP, f"from {-MAP:g} to {MAP:g}")
    return [np.array(values) for values in np.broadcast_arrays(rate, x, y)]


def _numbers(name: str, value: ArrayLike) -> Float64Array:
    values = np.asarray(value)
    if values.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, not {value!r}")
    return values.astype(np.float64)


def _require(name: str, values: Float64Array, allowed: NDArray[np.bool_], words: str) -> None:
    if not allowed.all():
        raise ValueError(f"{name} must be {words}, not {values[~allowed].flat[0]}")
