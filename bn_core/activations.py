"""The activation functions of the figures and of the laboratory, with their slopes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Activation:
    """An activation f: `value` is f(x), `slope` is f'(x), both elementwise; `peak` is the largest slope."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    peak: float


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), claim A1. Exact in both tails: exp is only taken of what is not positive."""
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1.0) / (1.0 + small)


def sigmoid_slope(x: Array) -> Array:
    """sigmoid(x) (1 - sigmoid(x)), claim A1: 0.25 at 0. Keeps its digits in both tails."""
    small = np.exp(-np.abs(x))
    return small / (1.0 + small) ** 2


def tanh_slope(x: Array) -> Array:
    """1 - tanh(x)^2, written with the sigmoid's slope so that it keeps its digits in the tails."""
    return 4.0 * sigmoid_slope(2.0 * x)


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.maximum(x, 0.0)


def relu_slope(x: Array) -> Array:
    """1 where x > 0, else 0; at 0 itself, where ReLU has no slope, 0 by convention."""
    return (x > 0).astype(x.dtype)


ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": Activation(sigmoid, sigmoid_slope, 0.25),
    "tanh": Activation(np.tanh, tanh_slope, 1.0),
    "relu": Activation(relu, relu_slope, 1.0),
}
