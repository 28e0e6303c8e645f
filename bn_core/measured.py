"""Numbers that we measured ourselves, each with its claim id and how it was measured.

What is quoted from others stands in `bn_core.published`; what a formula gives is computed where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What every record carries: the claim it belongs to ("A5") and how it was measured."""

    claim: str
    how: str


@dataclass(frozen=True, kw_only=True)
class SlowStart(Measured):
    """The paper's MNIST network (claim R10) before its first step, layer by layer, from the lowest.

    Attributes:
        weight_std: standard deviation of the normal initial weights; biases are zero.
        learning_rate, steps: of plain SGD, for `slope` alone.
        slope: smallest and largest share of the peak slope, averaged over a layer, over these steps.
        input_std: standard deviation over the batch of what a layer's sigmoids get, averaged over the layer.
        gradient: length of the loss's gradient on each layer's weights.
        gradient_with_bn: the same with batch normalization.

    """

    weight_std: float
    learning_rate: float
    steps: int
    slope: tuple[float, float]
    input_std: tuple[float, float, float]
    gradient: tuple[float, float, float]
    gradient_with_bn: tuple[float, float, float]


SLOW_START = SlowStart(
    weight_std=0.1,
    learning_rate=0.1,
    steps=1000,
    slope=(0.76, 0.95),
    input_std=(0.80, 0.17, 0.04),
    gradient=(0.023, 0.064, 0.26),
    gradient_with_bn=(0.37, 0.38, 0.38),
    claim="A5",
    how="784-100-100-100-10 with sigmoids, binary MNIST digits, batches of 60, weights N(0, 0.1²), biases 0, "
    "softmax cross-entropy, in NumPy; repeated here with six seeds",
)


@dataclass(frozen=True, kw_only=True)
class Runaway(Measured):
    """The same network, trained too fast, after a few steps: its last hidden layer.

    Attributes:
        learning_rate, momentum: of SGD.
        steps: how many.
        distance: of the mean of the sigmoids' input from zero.
        slope: mean slope as a share of the peak.

    """

    learning_rate: float
    momentum: float
    steps: int
    distance: float
    slope: float


TOO_FAST = Runaway(
    learning_rate=1.0,
    momentum=0.9,
    steps=10,
    distance=9.0,
    slope=0.002,
    claim="A5",
    how="the network of SLOW_START without batch normalization; one run, and the size depends on the seed: "
    "repeated with six seeds the distance was 5 to 12",
)


@dataclass(frozen=True, kw_only=True)
class GradientGrowth(Measured):
    """By how much the mean squared gradient grows as it goes back through one layer, at initialization.

    Attributes:
        width, batch_size: of the simulated network.
        relu, tanh, sigmoid: with batch normalization before the activation.
        relu_small_batch: with ReLU and batches of `small_batch`.
        plain_sigmoid: without batch normalization.

    """

    width: int
    batch_size: int
    relu: float
    tanh: float
    sigmoid: float
    plain_sigmoid: float
    small_batch: int
    relu_small_batch: float


GRADIENT_GROWTH = GradientGrowth(
    width=600,
    batch_size=256,
    relu=1.4675,
    tanh=1.19,
    sigmoid=1.04,
    plain_sigmoid=0.056,
    small_batch=32,
    relu_small_batch=1.52,
    claim="F2",
    how="fully connected layers, weights N(0, 1/n), gamma 1, beta 0, a normal gradient at the top, in NumPy",
)


@dataclass(frozen=True, kw_only=True)
class Framework(Measured):
    """What a framework's layer does by default (claim E4).

    Attributes:
        name: with its version where the behaviour was observed by running it.
        running_var: what it stores after seeing the batch {0, 2} when the new value replaces the old.
        momentum: default of the argument called momentum.
        weighs: what that number weighs, "new" or "old".
        eps: default.

    """

    name: str
    running_var: float
    momentum: float
    weighs: str
    eps: float


_BY_RUNNING = "ran the layer in training mode on {0, 2}, set so that the new value replaces the old one"

FRAMEWORKS = (
    Framework(name="PyTorch 2.13", running_var=2, momentum=0.1, weighs="new", eps=1e-5, claim="E4", how=_BY_RUNNING),
    Framework(name="Keras 3.15", running_var=1, momentum=0.99, weighs="old", eps=1e-3, claim="E4", how=_BY_RUNNING),
    Framework(name="Flax", running_var=1, momentum=0.99, weighs="old", eps=1e-5, claim="E4", how=_BY_RUNNING),
    Framework(
        name="ONNX",
        running_var=1,
        momentum=0.9,
        weighs="old",
        eps=1e-5,
        claim="E4",
        how="read in the specification of BatchNormalization, and ran its reference implementation",
    ),
)
