"""The laboratory: two networks that differ in batch normalization alone, in a race on the same batches.

The network is that of the paper's first experiment ([BN] 4.1, claim R10), as far as the paper gives it: the learning
rate, the momentum and the scale of the initial weights are the reader's to choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bn_core.checks import Array
from bn_core.mnist import CLASSES, PIXELS
from bn_core.network import FAN_IN, Architecture, WeightScale
from bn_core.training import Config, Record

HIDDEN = 100  # units in each hidden layer, as in the paper
EVALUATE_EVERY = 25  # steps from one record to the next
NEURONS = 5  # of the last hidden layer, whose inputs are watched
MOST_LAYERS = 6
NETWORKS = ("plain", "normalized")
WEIGHT_SCALES: tuple[WeightScale, ...] = (0.01, 0.05, 0.1, "1/sqrt(fan_in)")


def race(
    learning_rate: float = 0.1,
    momentum: float = 0.0,
    batch_size: int = 60,
    activation: Literal["sigmoid", "tanh", "relu"] = "sigmoid",
    hidden_layers: int = 3,
    weight_scale: WeightScale = 0.05,
    steps: int = 10_000,
    seed: int = 0,
) -> tuple[Config, Config]:
    """Return the configs of the two networks, without batch normalization and with it.

    Raises:
        TypeError or ValueError: names the argument, its value and what is allowed.

    """
    sizes = (PIXELS, *(HIDDEN,) * hidden_layers, CLASSES)
    plain, normalized = (
        Config(
            Architecture(sizes, activation, normalization, weight_scale),
            learning_rate=learning_rate,
            momentum=momentum,
            batch_size=batch_size,
            steps=steps,
            seed=seed,
            evaluate_every=EVALUATE_EVERY,
            neurons=tuple(range(NEURONS)),
        )
        for normalization in ("none", "batch")
    )
    return plain, normalized


@dataclass(frozen=True)
class Story:
    """A choice of settings that was tried on five seeds, and what came of it.

    Attributes:
        label: its name on the page.
        settings: arguments of `race`.
        outcome: what the five seeds show; steps are to 85 % of the held-out digits.

    """

    label: str
    settings: Mapping[str, Any]
    outcome: str


STORIES: dict[str, Story] = {
    "paper": Story(
        "The paper’s network",
        {"steps": 10_000},
        "Both learn. The network with batch normalization is there in about a fiftieth of the steps.",
    ),
    "small-weights": Story(
        "Smaller weights",
        {"weight_scale": 0.01, "steps": 50_000},
        "The plain network stays at chance for some 12,000 steps, and needs over 30,000; its median does drift.",
    ),
    "six-layers": Story(
        "Six layers",
        {"hidden_layers": 6, "weight_scale": 0.1, "steps": 10_000},
        "Six sigmoids deep, the plain network does not leave chance; the other hardly notices.",
    ),
    "thirty-times": Story(
        "Thirty times the rate",
        {"activation": "relu", "weight_scale": FAN_IN, "learning_rate": 3.0, "steps": 1_000},
        "The plain network is not finite after a dozen steps; the other trains on.",
    ),
    "saturate": Story(
        "Saturate it",
        {"weight_scale": 0.1, "learning_rate": 1.0, "momentum": 0.9, "steps": 2_000},
        "The plain network’s units go flat and stay there: in 2,000 steps it leaves chance on none of five seeds.",
    ),
    "batch-of-2": Story(
        "A batch of 2",
        {"weight_scale": 0.1, "batch_size": 2, "steps": 10_000},
        "Here batch normalization fails: of two examples x̂ keeps nothing but which of them was larger.",
    ),
}


def columns(records: Sequence[Record]) -> dict[str, Array]:
    """Return what is drawn of a run, a row for each of its n records.

    Args:
        records: of one run, in the order of their steps.

    Returns:
        step, accuracy and loss (n,); low, middle and high, the percentiles of the watched neurons' inputs
        (n, neurons); gradient_norms (n, layers), the output's last; slopes and saturated (n, hidden layers).
        float64; `Record` says what each of them is. Nothing where there is no record.

    """
    if not records:
        return {}
    percentiles = np.array([record.percentiles for record in records])
    low, middle, high = np.moveaxis(percentiles, 2, 0)
    return {
        "step": np.array([record.step for record in records], float),
        "accuracy": np.array([record.accuracy for record in records]),
        "loss": np.array([record.loss for record in records]),
        "low": low,
        "middle": middle,
        "high": high,
        "gradient_norms": np.array([record.gradient_norms for record in records]),
        "slopes": np.array([record.slopes for record in records]),
        "saturated": np.array([record.saturated for record in records]),
    }
