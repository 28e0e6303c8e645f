"""The picture at the head of the article: what one neuron of each layer sees while the layers below it change.

An illustration. A deep network of tanh layers is not trained here: its weights and biases are led round a
closed path, slowly and smoothly, so that the picture can repeat. What the neurons see is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bn_core.batch_norm import batch_norm

Array = NDArray[Any]

LAYERS, WIDTH, BATCH = 6, 32, 256
REACH = 5.0
"""Densities are taken from -REACH to REACH."""
BANDWIDTH = 0.28
_GAIN, _BIAS = 1.4, 1.1


@dataclass(frozen=True)
class Opening:
    """Densities of one neuron's input in each layer, at each time, over x."""

    x: Array
    """(points,)"""
    without: Array
    """(times, layers, points) without batch normalization."""
    normalized: Array
    """(times, layers, points) with batch normalization, gamma = 1 and beta = 0, and the same weights."""


def opening(times: int = 40, points: int = 65, seed: int = 3) -> Opening:
    """Lead the network once round its path, in `times` steps."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((BATCH, WIDTH))
    # Two ends of each weight and bias: at time t the network is cos(t) of one and sin(t) of the other.
    weights = rng.standard_normal((2, LAYERS, WIDTH, WIDTH)) * _GAIN / np.sqrt(WIDTH)
    biases = rng.standard_normal((2, LAYERS, WIDTH)) * _BIAS
    x = np.linspace(-REACH, REACH, points)
    seen: dict[bool, list[list[Array]]] = {False: [], True: []}
    for t in np.linspace(0, 2 * np.pi, times, endpoint=False):
        turn = np.array([np.cos(t), np.sin(t)])
        weight, bias = np.tensordot(turn, weights, 1), np.tensordot(turn, biases, 1)
        for normalize, densities in seen.items():
            densities.append([density(a[:, 0], x) for a in pre_activations(inputs, weight, bias, normalize)])
    return Opening(x, np.array(seen[False]), np.array(seen[True]))


def pre_activations(inputs: Array, weight: Array, bias: Array, normalize: bool) -> list[Array]:
    """What each layer's activation gets, (batch, width) each: W h + b, normalized over the batch or not."""
    hidden, found = inputs, []
    for w, b in zip(weight, bias, strict=True):
        a = hidden @ w + b
        if normalize:
            a = batch_norm(a, np.ones(WIDTH), np.zeros(WIDTH))[0]
        found.append(a)
        hidden = np.tanh(a)
    return found


def density(values: Array, x: Array) -> Array:
    """The density of `values` at `x`, smoothed with a normal kernel."""
    distance = (x - values[:, np.newaxis]) / BANDWIDTH
    return np.asarray(np.exp(-(distance**2) / 2).mean(axis=0) / (BANDWIDTH * np.sqrt(2 * np.pi)))
