"""Records the races that are shipped: `python -m bn_core.record`.

They are trained by the same executor as the laboratory's (BN_EXECUTOR, BN_WORKERS). What has been recorded already is
left as it is, so an interrupted recording goes on where it stopped; a race that was cut short is run again.
`--check` trains nothing and says whether all is there, and whole.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bn_core import executors
from bn_core.figures.lab import NETWORKS, STORIES, WEIGHT_SCALES, race
from bn_core.network import FAN_IN
from bn_core.recorded import FOLDER, Course, DamagedError, load, name_of, save, train

SEEDS = range(5)
FULL = 50_000  # steps, as in the paper
GRID_STEPS = 3_000  # at each rate and activation
LEARNING_RATES = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)
ACTIVATIONS = ("sigmoid", "tanh", "relu")
DEFAULTS: dict[str, Any] = {
    "learning_rate": 0.1,
    "momentum": 0.0,
    "batch_size": 60,
    "activation": "sigmoid",
    "hidden_layers": 3,
    "weight_scale": 0.05,
}


@dataclass(frozen=True)
class Plan:
    """A race to be recorded, with the details that a picture needs or with the accuracies alone."""

    settings: dict[str, Any]
    detailed: bool

    @property
    def name(self) -> str:
        """Of its file."""
        return name_of(self.settings)


def plans() -> list[Plan]:
    """Return all that is to be recorded: the stories, the paper's 50,000 steps, and rates by activations."""
    wanted: dict[str, Plan] = {}

    def want(seed: int, steps: int, **settings: Any) -> None:
        plan = Plan({**DEFAULTS, **settings, "steps": steps, "seed": seed}, detailed=seed == 0)
        if plan.name not in wanted or wanted[plan.name].settings["steps"] < steps:
            wanted[plan.name] = plan

    for seed in SEEDS:
        for story in STORIES.values():
            want(seed, **{"steps": 10_000, **story.settings})
        for weight_scale in WEIGHT_SCALES:
            want(seed, 10_000, weight_scale=weight_scale)
        for activation in ACTIVATIONS:
            for learning_rate in LEARNING_RATES:
                want(seed, GRID_STEPS, activation=activation, learning_rate=learning_rate, weight_scale=FAN_IN)
    for weight_scale in (0.05, 0.1):
        want(0, FULL, weight_scale=weight_scale)
    return list(wanted.values())


def record(plans: Sequence[Plan], pool: executors.Pool, folder: Path = FOLDER) -> None:
    """Train what is planned, and write each race when both its networks are done; tell how far it is."""
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "batch-norm-explainer": version("batch-norm-explainer"),
    }
    # No more at once than there are workers for, so that an interruption does not lose much.
    waiting, flying = iter(plans), dict[Future[Course], tuple[Plan, str]]()
    done: dict[str, dict[str, Course]] = {}
    with tqdm(total=2 * sum(plan.settings["steps"] for plan in plans), unit=" steps", unit_scale=True) as bar:
        while True:
            while len(flying) <= pool.workers and (plan := next(waiting, None)):
                for network, config in zip(NETWORKS, race(**plan.settings), strict=True):
                    flying[pool.executor.submit(train, config)] = plan, network
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                plan, network = flying.pop(future)
                courses = done.setdefault(plan.name, {})
                courses[network] = future.result()
                bar.update(plan.settings["steps"])
                if len(courses) == len(NETWORKS):
                    in_order = {name: courses[name] for name in NETWORKS}
                    save(folder / f"{plan.name}.npz", plan.settings, in_order, versions, detailed=plan.detailed)
                    del done[plan.name]


def missing(plans: Sequence[Plan], folder: Path = FOLDER) -> Iterator[Plan]:
    """Find what is planned and not there, or there with other steps, or damaged."""
    for plan in plans:
        try:
            there = load(folder / f"{plan.name}.npz")
        except DamagedError:
            yield plan
        else:
            if dict(there.settings) != plan.settings:
                yield plan


def main(command_line: Sequence[str] | None = None) -> int:
    """Record what is missing."""
    parser = argparse.ArgumentParser(prog="python -m bn_core.record", description="Record the laboratory's races.")
    parser.add_argument("--check", action="store_true", help="train nothing; say what is missing or damaged")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="of the recordings (default: those that are shipped)"
    )
    wish = parser.parse_args(command_line)
    todo = list(missing(plans(), wish.folder))
    if wish.check or not todo:
        print("\n".join(f"missing or damaged: {plan.name}" for plan in todo) or "All races are recorded, and whole.")
        return 1 if todo else 0
    pool = executors.from_environment()()
    try:
        record(todo, pool, wish.folder)
    except KeyboardInterrupt:
        print("Interrupted; what is recorded stays, and the next recording goes on.", file=sys.stderr)
        return 130
    finally:
        pool.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
