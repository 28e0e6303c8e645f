"""What the recorded races show, in numbers for the text: steps to 85 % of the held-out digits, on five seeds.

Nothing here is typed in: all is read from `bn_core.recorded` when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bn_core.figures.lab import NETWORKS, STORIES
from bn_core.record import DEFAULTS, FULL, SEEDS
from bn_core.recorded import Course, Recording, find

TARGET = 0.85
"""Share of the held-out digits."""


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


def story(name: str) -> dict[str, Outcome]:
    """Return what came of a story of the laboratory, by network."""
    return outcomes(**{"steps": 10_000, **STORIES[name].settings})


def outcomes(steps: int, **settings: Any) -> dict[str, Outcome]:
    """Return what came of a race on each seed in so many steps, by network; arguments as those of `race`.

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
