"""Training as a value: a run goes in, a run that is further on and what was seen on the way come out.

    run = start(Config(Architecture(normalization="batch")))
    run, records = advance(run, 100)

Plain choices, made once: stochastic gradient descent, velocity = momentum velocity - learning_rate gradient,
parameters += velocity. Batches are consecutive pieces of the training digits in an order that is shuffled anew for
each epoch; what is left at an epoch's end, less than a batch, is not used in it. The order is a function of seed and
epoch alone, so two networks with the same seed see the same batches, and a run needs no generator in its state.

The same config gives the same records bit for bit, whole or in pieces, in any process of one machine, as long as BLAS
uses the same number of threads; other processors round differently. One thread (OPENBLAS_NUM_THREADS=1, set
before NumPy is imported) is also the fastest way to train many networks at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bn_core import checks
from bn_core.checks import Array
from bn_core.mnist import CLASSES, PIXELS, TRAINING, Digits, digits
from bn_core.network import Architecture, Backprop, Network, folded, initial, layer_inputs

PERCENTILES = (15, 50, 85)  # of [BN] figure 1


@dataclass(frozen=True)
class Config:
    """All that decides what a run will show. Immutable, comparable, hashable: equal configs may share a run.

    Attributes:
        network: its architecture, with 784 inputs and 10 outputs.
        learning_rate: from 1e-75 to 1e75.
        momentum: from 0 to 1.
        batch_size: from 1, with batch normalization from 2, to 8000.
        steps: how many there are; at least 1.
        seed: at least 0; decides the weights and the batches.
        evaluate_every: steps from one record to the next; at least 1.
        neurons: of the last hidden layer, whose percentiles are recorded: positions from 0.

    Raises:
        TypeError or ValueError: names the argument, its value and what is allowed.

    """

    network: Architecture = field(default_factory=Architecture)
    learning_rate: float = 0.1
    momentum: float = 0.0
    batch_size: int = 60
    steps: int = 50_000
    seed: int = 0
    evaluate_every: int = 25
    neurons: tuple[int, ...] = (0, 1, 2, 3, 4)

    def __post_init__(self) -> None:
        sizes = self.network.sizes
        if (sizes[0], sizes[-1]) != (PIXELS, CLASSES) or len(sizes) < 3:
            raise ValueError(f"network.sizes must be {PIXELS}, one or more hidden layers, and {CLASSES}, got {sizes}")
        smallest = 2 if self.network.normalized else 1
        checked = {
            "learning_rate": checks.positive_number("learning_rate", self.learning_rate),
            "momentum": checks.number_between("momentum", self.momentum, 0, 1),
            "batch_size": checks.whole_number("batch_size", self.batch_size, smallest),
            "steps": checks.whole_number("steps", self.steps),
            "seed": checks.whole_number("seed", self.seed, at_least=0),
            "evaluate_every": checks.whole_number("evaluate_every", self.evaluate_every),
            "neurons": tuple(checks.whole_number("each of neurons", neuron, at_least=0) for neuron in self.neurons),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.batch_size > TRAINING:
            raise ValueError(f"batch_size must be at most {TRAINING}, got {self.batch_size}")
        if any(neuron >= sizes[-2] for neuron in self.neurons):
            raise ValueError(f"neurons must be below {sizes[-2]}, the last hidden layer's size, got {self.neurons}")


@dataclass(frozen=True, slots=True)
class Record:
    """What a run shows after `step` steps; every number is finite.

    Attributes:
        step: steps done; 0 is the network before training.
        accuracy: share of the 2,000 held-out digits that are recognized, with the running statistics.
        percentiles: the 15th, 50th and 85th percentile, over the held-out digits, of what each of the config's
            neurons gives its activation.
        loss: mean cross-entropy on the step's training batch, before the step; like the following, at step 0 on the
            first step's batch.
        gradient_norms: length of that loss's gradient on the weights of each layer, the output's last.
        slopes: mean slope in each hidden layer on that batch, as a share of the activation's peak slope.
        saturated: share of the slopes below 1 % of the peak.

    """

    step: int
    accuracy: float
    percentiles: tuple[tuple[float, float, float], ...]
    loss: float
    gradient_norms: tuple[float, ...]
    slopes: tuple[float, ...]
    saturated: tuple[float, ...]


@dataclass(frozen=True)
class Divergence:
    """Where numbers stopped being finite: in this step, first in this layer (from 1; the output's is the last)."""

    step: int
    layer: int


@dataclass(frozen=True, eq=False)
class Run:
    """A run as it stands. `start` makes it, `advance` makes the next; its arrays are never changed.

    Attributes:
        config: what it was started with.
        step: steps done.
        network: as it is now.
        velocity: of the parameters, from momentum; as long as they are.
        divergence: None while all is finite; after it a run does not go on, and its network is of no use.

    """

    config: Config
    step: int
    network: Network
    velocity: Array
    divergence: Divergence | None = None

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.step >= self.config.steps or self.divergence is not None


def start(config: Config) -> Run:
    """Return the run of a config before its first step."""
    network = initial(config.network, config.seed)
    return Run(config, 0, network, np.zeros_like(network.parameters))


def advance(run: Run, steps: int) -> tuple[Run, tuple[Record, ...]]:
    """Train for up to so many more steps, fewer at the config's end or at a divergence.

    Args:
        run: where to go on from; it is not changed.
        steps: at least 1.

    Returns:
        The run further on, and its records: one before the first step, one after each `evaluate_every` steps, and one
        after the config's last. They do not depend on the pieces in which a run is advanced.

    Raises:
        TypeError or ValueError: steps is not a whole number of at least 1.

    """
    last = min(run.step + checks.whole_number("steps", steps), run.config.steps)
    if run.finished:
        return run, ()
    with np.errstate(all="ignore"):  # what is not finite becomes the run's divergence
        return _trained(run, last)


def steps_to(accuracy: float, records: Iterable[Record]) -> int | None:
    """Return the step of the first record with at least this accuracy; None if there is none."""
    return next((record.step for record in records if record.accuracy >= accuracy), None)


def order_of_epoch(seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order, (8000,), in which an epoch, counted from 1, goes through the training digits."""
    return np.random.default_rng((seed, epoch)).permutation(TRAINING)


class Batches:
    """Puts the batch of any step into given arrays; see the module for which digits it holds."""

    def __init__(self, config: Config, source: Digits) -> None:
        self.seed, self.size = config.seed, config.batch_size
        self.per_epoch = TRAINING // config.batch_size
        self.epoch = 0  # the one that `order` is for; none yet
        self.order: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.images = source.training_images
        self.targets = np.eye(CLASSES, dtype=config.network.dtype)[source.training_labels]
        self.bytes = np.empty((config.batch_size, self.images.shape[1]), np.uint8)

    def take(self, step: int, x: Array, targets: Array) -> None:
        """Fill x (m, 632) and targets (m, 10) for a step, counted from 1."""
        epoch, position = divmod(step - 1, self.per_epoch)
        if self.epoch != epoch + 1:
            self.epoch = epoch + 1
            self.order = order_of_epoch(self.seed, self.epoch)
        rows = self.order[position * self.size : (position + 1) * self.size]
        # mode="clip": with NumPy's default, "raise", `take` makes a copy of `out` first.
        np.take(self.images, rows, axis=0, out=self.bytes, mode="clip")
        np.take(self.targets, rows, axis=0, out=targets, mode="clip")
        x[...] = self.bytes


class Descent:
    """Gradient descent with momentum, changing `parameters` and `velocity` in place."""

    def __init__(self, config: Config, parameters: Array, velocity: Array) -> None:
        self.learning_rate, self.momentum = config.learning_rate, config.momentum
        self.parameters, self.velocity = parameters, velocity

    def step(self, gradient: Array) -> None:
        """Do one step; the gradient is used up."""
        gradient *= self.learning_rate
        if self.momentum == 0:  # the same numbers in half the time; the velocity is not needed
            self.parameters -= gradient
            return
        self.velocity *= self.momentum
        self.velocity -= gradient
        self.parameters += self.velocity


class _Probes(NamedTuple):
    """What a record says about the last training batch."""

    loss: float
    gradient_norms: tuple[float, ...]
    slopes: tuple[float, ...]
    saturated: tuple[float, ...]


class _Trainer:
    """All that the steps of a run need, its buffers made once; works on copies of the run's arrays."""

    def __init__(self, run: Run) -> None:
        source = digits()
        self.config, self.network, self.velocity = run.config, run.network.copy(), run.velocity.copy()
        self.batches = Batches(run.config, source)
        self.backprop = Backprop(self.network, run.config.batch_size, source.training_images.shape[1])
        self.descent = Descent(run.config, self.network.parameters, self.velocity)
        self.test_images: Array = source.test_images.astype(run.config.network.dtype, copy=False)
        self.test_labels = source.test_labels

    def record_before_training(self) -> Record | None:
        """Return the record of step 0; None where something in it is not finite: the first step will say where."""
        self.batches.take(1, self.backprop.x, self.backprop.targets)
        self.backprop.differentiate()
        if self.backprop.first_non_finite() is not None:
            return None
        outcome = self.evaluate(0, self.probes())
        return outcome if isinstance(outcome, Record) else None

    def step(self, step: int) -> Record | Divergence | None:
        """Do one step, counted from 1, and return its record if one is due, or the divergence that ends the run."""
        backprop = self.backprop
        self.batches.take(step, backprop.x, backprop.targets)
        backprop.differentiate()
        due = step % self.config.evaluate_every == 0 or step == self.config.steps
        probes = self.probes() if due else None
        self.descent.step(backprop.gradient)
        backprop.move_statistics()
        if not self.network.is_finite():
            return Divergence(step, backprop.first_non_finite() or len(self.network.layers))
        return None if probes is None else self.evaluate(step, probes)

    def probes(self) -> _Probes:
        """Return what the last pass says about its batch; to be called before the gradient is used up."""
        backprop = self.backprop
        return _Probes(backprop.loss(), backprop.gradient_norms(), backprop.slopes(), backprop.saturated())

    def evaluate(self, step: int, probes: _Probes) -> Record | Divergence:
        """Return a step's record; a divergence if the held-out digits meet numbers that are not finite."""
        inputs = layer_inputs(folded(self.network), self.test_images)
        for layer, values in enumerate(inputs, 1):
            if not np.isfinite(values).all():
                return Divergence(step, layer)
        accuracy = np.mean(np.argmax(inputs[-1], axis=1) == self.test_labels)
        lines = np.percentile(inputs[-2][:, self.config.neurons], PERCENTILES, axis=0).T
        percentiles = tuple((float(low), float(middle), float(high)) for low, middle, high in lines)
        return Record(step, float(accuracy), percentiles, *probes)


def _trained(run: Run, last: int) -> tuple[Run, tuple[Record, ...]]:
    """Do the steps up to `last`, or to a divergence."""
    trainer = _Trainer(run)
    records = []
    if run.step == 0 and (first := trainer.record_before_training()):
        records.append(first)
    divergence = None
    for step in range(run.step + 1, last + 1):
        outcome = trainer.step(step)
        if isinstance(outcome, Record):
            records.append(outcome)
        elif isinstance(outcome, Divergence):
            divergence = outcome
            break
    return Run(run.config, step, trainer.network, trainer.velocity, divergence), tuple(records)
