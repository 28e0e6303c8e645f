"""Argument checks shared by the core.

Every error names the argument, says what came in and what is allowed. Once its
arguments have passed, the arithmetic of the core can neither overflow nor divide by
zero, so no NumPy warning reaches the caller.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]
Float64Array: TypeAlias = npt.NDArray[np.float64]
FloatDType: TypeAlias = np.dtype[np.floating[Any]]

FLOAT_TYPES = (np.float16, np.float32, np.float64)

# Largest magnitude accepted, and smallest eps. With these the largest products of the core
# (gamma dy (x - mu), and gamma dy over the root of eps) stay below 1e226, which leaves
# room in float64 (1.8e308) to sum them over any batch. float32 ends at 3.4e38 anyway.
LARGEST = 1e75
SMALLEST = 1e-75


def array(name: str, value: npt.ArrayLike, shape: tuple[int, ...] | None = None, largest: float = LARGEST) -> Array:
    """Return `value` as an array of finite floats, of the given shape if there is one.

    Raises TypeError unless its dtype is float16, float32 or float64 (lists of floats are
    float64); ValueError for a wrong shape, a ragged list, nan, infinity, or a magnitude
    over `largest`.
    """
    try:
        result = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers with a regular shape: {error}") from error
    if result.dtype.type not in FLOAT_TYPES:
        raise TypeError(f"{name} must hold float16, float32 or float64 numbers, got dtype {result.dtype}")
    if shape is not None and result.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got shape {result.shape}")
    # Compared in float64, where `largest` is a number: in float32 it would be infinity.
    allowed = np.abs(result, dtype=np.float64) <= largest  # nan and infinity are not
    if not allowed.all():
        where = tuple(int(i) for i in np.argwhere(~allowed)[0])
        raise ValueError(
            f"{name} must hold finite numbers of magnitude at most {largest:.3g}, "
            f"got {result[where]} at index {where}"
        )
    return result


def batch(name: str, value: npt.ArrayLike, values_per_feature: int = 1) -> Array:
    """Return `value` as a batch (m, d) or (m, c, *spatial) with enough values per feature.

    Raises what `array` raises, and ValueError for fewer than two axes, an empty axis, or
    fewer than `values_per_feature` values (m times the positions) to each feature.
    """
    x = array(name, value)
    if x.ndim < 2 or x.size == 0:
        raise ValueError(f"{name} must be a batch (m, d) or (m, c, *spatial), not empty, got shape {x.shape}")
    count = x.size // x.shape[1]
    if count < values_per_feature:
        raise ValueError(
            f"{name} must have at least {values_per_feature} values per feature to compute batch statistics, "
            f"got {count} in shape {x.shape}"
        )
    return x


def variances(name: str, value: npt.ArrayLike, shape: tuple[int, ...]) -> Array:
    """Return `value` as an array of finite numbers >= 0; raises what `array` raises."""
    # The variance of permitted data may be as large as their square.
    result = array(name, value, shape, largest=float(np.finfo(np.float64).max))
    if (result < 0).any():
        raise ValueError(f"{name} must hold numbers of at least 0, got {result.min()}")
    return result


def real_numbers(name: str, value: npt.ArrayLike, above: float = -np.inf) -> Float64Array:
    """Return `value`, of any shape, as finite float64 greater than `above`; TypeError if it holds no real numbers."""
    given = np.asarray(value)
    if given.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, not {value!r}")
    allowed = np.isfinite(given) & (given > above)
    if not allowed.all():
        words = f"greater than {above:g}" if above > -np.inf else "finite"
        raise ValueError(f"{name} must be {words}, not {given[~allowed].flat[0]}")
    return given.astype(np.float64)


def positive_number(name: str, value: object) -> float:
    """Return `value` as a float; TypeError if no real number, ValueError outside 1e-75 to 1e75."""
    return number_between(name, value, SMALLEST, LARGEST)


def number_between(name: str, value: object, low: float, high: float) -> float:
    """Return `value` as a float; TypeError if no real number, ValueError outside [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    if not low <= value <= high:  # nan fails this too
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def whole_number(name: str, value: object, at_least: int = 1) -> int:
    """Return `value` as an int; TypeError if it is none, ValueError if it is too small."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number of at least {at_least}, got {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be a whole number of at least {at_least}, got {value!r}")
    return int(value)


def float_dtype(name: str, value: npt.DTypeLike) -> FloatDType:
    """Return `value` as a NumPy dtype; TypeError unless it is float16, float32 or float64."""
    message = f"{name} must be float16, float32 or float64, got {value!r}"
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError as error:
        raise TypeError(message) from error
    if value is None or dtype.type not in FLOAT_TYPES:  # np.dtype(None) is float64
        raise TypeError(message)
    return dtype


def rounded(name: str, value: Float64Array, dtype: FloatDType) -> Array:
    """Round a float64 result to `dtype`; ValueError, not infinity, if it does not fit."""
    with np.errstate(over="ignore", under="ignore"):
        result: Array = value.astype(dtype)
    if not np.isfinite(result).all():
        raise ValueError(
            f"{name} reaches {np.abs(value).max():.3g}, which does not fit {dtype}: "
            f"allowed are magnitudes up to {float(np.finfo(dtype).max):.3g}"
        )
    return result
