"""What a training step costs, against PyTorch in eager mode where it is installed: `make bench`.

The paper's network, 784-100-100-100-10 with sigmoids, batches of 60 digits, SGD, one thread each. Processor time is
counted, so that other processes' turns are not, and rounds of the contestants are interleaved, so that a busy machine
is unfair to all alike; medians are printed. Compare them within one run. `report` starts a process of its own: the
number of BLAS threads must be set before NumPy is imported.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from bn_core.mnist import digits
from bn_core.network import Architecture
from bn_core.training import Config, advance, start

try:
    import torch
except ImportError:
    torch = None

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
ROUNDS = 40
STEPS = 50  # in a round
NAMES = {"none": "without BN", "batch": "with BN"}

Contestant = Callable[[int], object]


def ours(normalization: str) -> Contestant:
    """Return a function that does so many of our steps, as the laboratory does them: a piece of a run."""
    config = Config(Architecture(normalization=normalization), steps=10**9, evaluate_every=10**9)
    run = start(config)

    def steps(n: int) -> None:
        nonlocal run
        run, _ = advance(run, n)

    return steps


def pytorch(normalization: str) -> Contestant:
    """Return a function that does so many of PyTorch's: the plain loop of its tutorials, on one thread."""
    torch.set_num_threads(1)
    layers: list[Any] = []
    for fan_in in (784, 100, 100):
        normalized = normalization == "batch"
        layers += [torch.nn.Linear(fan_in, 100, bias=not normalized)]
        layers += [torch.nn.BatchNorm1d(100)] * normalized + [torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(100, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = torch.nn.CrossEntropyLoss()
    d = digits()
    whole = np.zeros((len(d.training_images), 784), np.float32)
    whole[:, : d.training_images.shape[1]] = d.training_images
    images, labels = torch.from_numpy(whole), torch.from_numpy(d.training_labels.copy())
    order, position = torch.randperm(len(images)), count()

    def steps(n: int) -> None:
        for _ in range(n):
            start = next(position) * 60 % (len(images) - 60)
            rows = order[start : start + 60]
            optimizer.zero_grad()
            loss(model(images[rows]), labels[rows]).backward()
            optimizer.step()

    return steps


def medians(contestants: dict[str, Contestant]) -> dict[str, float]:
    """Return each contestant's median microseconds a step, over interleaved rounds; the first is not counted."""
    rounds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS + 1):
        for name, steps in contestants.items():
            begin = time.process_time()
            steps(STEPS)
            rounds[name].append((time.process_time() - begin) / STEPS * 1e6)
    return {name: statistics.median(times[1:]) for name, times in rounds.items()}


def evaluation() -> float:
    """Return the median milliseconds of one record: the 2,000 held-out digits, percentiles, probes."""
    network = Architecture(normalization="batch")
    runs = [advance(start(Config(network, steps=10**9, evaluate_every=every)), 1)[0] for every in (10**9, 1)]
    times: list[list[float]] = [[], []]
    for _ in range(10):
        for run, taken in zip(runs, times, strict=True):
            begin = time.process_time()
            advance(run, 20)
            taken.append((time.process_time() - begin) / 20 * 1e3)
    without, with_records = (statistics.median(taken) for taken in times)
    return with_records - without


def measure() -> None:
    """Print the table; the process must have been started with one BLAS thread."""
    contestants = {f"ours, {words}": ours(name) for name, words in NAMES.items()}
    if torch is not None:
        contestants |= {f"PyTorch {torch.__version__}, {words}": pytorch(name) for name, words in NAMES.items()}
    times = medians(contestants)
    print(f"Training 784-100-100-100-10, sigmoid, batch 60, one thread: median of {ROUNDS} rounds, processor time")
    for name, microseconds in times.items():
        print(f"  {name:34s} {microseconds:6.0f} us a step")
    if torch is None:
        print("  PyTorch is not installed: nothing to compare with (the goal is half its time)")
    else:
        for words in NAMES.values():
            ratio = times[f"ours, {words}"] / times[f"PyTorch {torch.__version__}, {words}"]
            print(f"  {words}: {ratio:.2f} of PyTorch's time (goal: at most 0.50)")
    print(f"  one record, with the 2,000 held-out digits: {evaluation():.1f} ms")


def report() -> None:
    """Measure in a process of its own, with one thread for BLAS."""
    subprocess.run([sys.executable, "-m", "tests.bench_training"], env=os.environ | ONE_THREAD, check=True)


if __name__ == "__main__":
    if all(os.environ.get(name) == value for name, value in ONE_THREAD.items()):
        measure()
    else:
        report()
