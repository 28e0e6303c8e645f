"""What the recorded races show, in numbers for the text: steps to 85 % of the held-out digits, on five seeds.

Nothing here is typed in: all is read from `bn_core.recorded` when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan
from typing import Any, TypeAlias

from bn_core.figures.lab import NETWORKS, STORIES, WEIGHT_SCALES
from bn_core.network import FAN_IN, WeightScale
from bn_core.record import DEFAULTS, FULL, GRID_STEPS, LEARNING_RATES, SEEDS
from bn_core.recorded import Course, Recording, find

TARGET = 0.85
"""Share of the held-out digits."""

Outcomes: TypeAlias = "dict[str, Outcome]"
"""By the names of `NETWORKS`."""


@dataclass(frozen=True)
class Outcome:
    """What came of one network on all seeds.

    Attributes:
        seeds: how many.
        steps: to TARGET, of those seeds that reached it, in rising order.
        diverged: the steps in which numbers stopped being finite, in rising order; empty where they did not.
        best: the highest accuracy that each seed's records show, in rising order.
        last: the accuracy in each seed's last record, in rising order.

    """

    seeds: int
    steps: tuple[int, ...]
    diverged: tuple[int, ...]
    best: tuple[float, ...]
    last: tuple[float, ...]

    @property
    def median(self) -> int | None:
        """Of the steps to TARGET, where a seed that does not reach it counts as later than all; None if it is one."""
        middle = self.seeds // 2
        return self.steps[middle] if middle < len(self.steps) else None


def story(name: str) -> Outcomes:
    """Return what came of a story of the laboratory."""
    return outcomes(**STORIES[name].settings)


def at_weights(weight_scale: WeightScale) -> Outcomes:
    """Return what came of the paper's network with these first weights; the smallest were given the most time."""
    small = STORIES["small-weights"].settings
    steps = small["steps"] if weight_scale == small["weight_scale"] else STORIES["paper"].settings["steps"]
    return outcomes(steps, weight_scale=weight_scale)


def ratios() -> list[float]:
    """Return the ratios at all first weights that were recorded, from the smallest."""
    return sorted(ratio(at_weights(weight_scale)) for weight_scale in WEIGHT_SCALES)


def at_rate(learning_rate: float, activation: str = "sigmoid") -> Outcomes:
    """Return what came of three layers with weights of 1/sqrt(fan_in) at one of the rates that were recorded."""
    return outcomes(GRID_STEPS, learning_rate=learning_rate, activation=activation, weight_scale=FAN_IN)


def at_best_rate(activation: str = "sigmoid") -> Outcomes:
    """Return what came of each network at the rate, of those recorded, at which its median was the smallest."""
    races = [at_rate(learning_rate, activation) for learning_rate in LEARNING_RATES]
    return {network: min((race[network] for race in races), key=_median_or_never) for network in NETWORKS}


def ratio(races: Outcomes) -> float:
    """Return how many times fewer steps batch normalization needs, by the medians; nan where there is none."""
    plain, normalized = (races[network].median for network in NETWORKS)
    return plain / normalized if plain and normalized else nan


def outcomes(steps: int, **settings: Any) -> Outcomes:
    """Return what came of a race on each seed in so many steps; arguments as those of `race`.

    Raises LookupError where it was not recorded.
    """
    races = [recording(steps, seed, **settings) for seed in SEEDS]
    return {network: _outcome([race.courses[network] for race in races], steps) for network in NETWORKS}


def whole_run(weight_scale: float) -> dict[str, float]:
    """Return the accuracy of each network after the paper's number of steps, on seed 0."""
    courses = recording(FULL, 0, weight_scale=weight_scale).courses
    return {network: float(course.columns["accuracy"][-1]) for network, course in courses.items()}


def recording(steps: int, seed: int, **settings: Any) -> Recording:
    """Return the recording of a race; LookupError if there is none."""
    wanted: Mapping[str, Any] = {**DEFAULTS, **settings, "steps": steps, "seed": seed}
    if (found := find(wanted)) is None:
        raise LookupError(f"there is no recording of {wanted}: python -m bn_core.record makes those that are planned")
    return found


def _median_or_never(outcome: Outcome) -> float:
    return inf if outcome.median is None else outcome.median


def _outcome(courses: list[Course], steps: int) -> Outcome:
    """Look at one network's courses up to a step: some were recorded for longer than was asked for."""
    accuracies = [course.columns["accuracy"][course.columns["step"] <= steps] for course in courses]
    reached = [course.steps_to(TARGET) for course in courses]
    return Outcome(
        seeds=len(courses),
        steps=tuple(sorted(step for step in reached if step is not None and step <= steps)),
        diverged=tuple(sorted(c.divergence.step for c in courses if c.divergence and c.divergence.step <= steps)),
        best=tuple(sorted(float(seen.max()) for seen in accuracies)),
        last=tuple(sorted(float(seen[-1]) for seen in accuracies)),
    )
