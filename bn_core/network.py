"""The laboratory's network: a multilayer perceptron with and without batch normalization, passes written by hand.

    y_k = a_{k-1} W_k + b_k               without batch normalization, and in the output layer
    y_k = gamma_k x_hat_k + beta_k        with it, x_hat_k = a_{k-1} W_k normalized over the batch (C1)
    a_k = f(y_k),  a_0 = the input        f: sigmoid, tanh or ReLU
    loss = mean over the batch of -log softmax(y_last)[label]

Batch normalization goes before each nonlinearity (C6), and the layer then has no bias: beta takes its place (B2). W_k
is (in, out), so that rows of examples multiply it from the left. Arrays are float32 unless `Architecture.dtype` says
otherwise: twice as fast as float64, and what frameworks train in; `tests/bn_core/test_training.py` compares the two.

A `Network` is a value. `Backprop` is the machine that differentiates one: its buffers are made once, after which no
pass allocates an array (NumPy's own small buffer for broadcasting rows aside).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from bn_core import checks
from bn_core.activations import ACTIVATIONS
from bn_core.checks import Array

WeightScale: TypeAlias = float | Literal["1/sqrt(fan_in)"]

FAN_IN = "1/sqrt(fan_in)"
NORMALIZATIONS = ("none", "batch")
DTYPES = ("float32", "float64")

# As PyTorch has them: added to the variance; and the weight of the new value in the running statistics.
EPS = 1e-5
STATISTICS_MOMENTUM = 0.1

# A unit is saturated where its slope is below this share of the peak; a sigmoid, from 6 away from zero (A1).
SATURATED = 0.01


@dataclass(frozen=True)
class Architecture:
    """What a network is before it has learned anything. Immutable, comparable, hashable.

    Attributes:
        sizes: of the input, each hidden layer and the output: at least two whole numbers.
        activation: "sigmoid", "tanh" or "relu", of the hidden layers.
        normalization: "none" or "batch", before each activation.
        weight_scale: standard deviation of the normal initial weights, from 1e-75 to 1e75; or "1/sqrt(fan_in)", each
            layer's own by the number of its inputs.
        dtype: "float32" or "float64".

    Raises:
        TypeError or ValueError: names the argument, its value and what is allowed.

    """

    sizes: tuple[int, ...] = (784, 100, 100, 100, 10)
    activation: Literal["sigmoid", "tanh", "relu"] = "sigmoid"
    normalization: Literal["none", "batch"] = "none"
    weight_scale: WeightScale = 0.05
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        sizes = tuple(checks.whole_number("each of sizes", size) for size in self.sizes)
        if len(sizes) < 2:
            raise ValueError(
                f"sizes must be those of the input, the hidden layers and the output, got {self.sizes!r}"
            )
        object.__setattr__(self, "sizes", sizes)
        one_of("activation", self.activation, tuple(ACTIVATIONS))
        one_of("normalization", self.normalization, NORMALIZATIONS)
        one_of("dtype", self.dtype, DTYPES)
        if isinstance(self.weight_scale, str):
            one_of("weight_scale", self.weight_scale, ("a number", FAN_IN), (FAN_IN,))
        else:
            object.__setattr__(self, "weight_scale", checks.positive_number("weight_scale", self.weight_scale))

    @property
    def normalized(self) -> bool:
        """Whether the hidden layers have batch normalization."""
        return self.normalization == "batch"

    @property
    def hidden(self) -> tuple[int, ...]:
        """Sizes of the hidden layers."""
        return self.sizes[1:-1]

    def initial_scale(self, fan_in: int) -> float:
        """Standard deviation of the initial weights of a layer with so many inputs."""
        return 1 / math.sqrt(fan_in) if isinstance(self.weight_scale, str) else self.weight_scale


class Layer(NamedTuple):
    """What a layer learns, or the gradient on it: views into one flat vector.

    Attributes:
        weight: (in, out).
        shift: (out,): the bias, or beta, which takes its place.
        gamma: (out,), or None without batch normalization.

    """

    weight: Array
    shift: Array
    gamma: Array | None


@dataclass(frozen=True, eq=False)
class Network:
    """A network as it stands; `initial` makes one, training makes others.

    Attributes:
        architecture: what it is made of.
        parameters: all that is learned, in one vector, so that an optimizer's step is one line.
        running_mean, running_var: of the hidden layers' x = a W, end to end; empty without batch normalization.

    """

    architecture: Architecture
    parameters: Array
    running_mean: Array
    running_var: Array

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The hidden layers, from the input up, and the output layer: views into `parameters`."""
        return layers_of(self.architecture, self.parameters)

    @property
    def statistics(self) -> tuple[tuple[Array, Array], ...]:
        """The running mean and variance of each normalized layer: views, (d,) each."""
        if not self.architecture.normalized:
            return ()
        ends = np.cumsum(self.architecture.hidden)[:-1]
        return tuple(zip(np.split(self.running_mean, ends), np.split(self.running_var, ends), strict=True))

    def copy(self) -> Network:
        """Return a network of its own arrays."""
        return Network(self.architecture, self.parameters.copy(), self.running_mean.copy(), self.running_var.copy())

    def is_finite(self) -> bool:
        """Whether all numbers are finite. A dot product tells in one quick pass; if it overflows, look closer."""
        return all(
            math.isfinite(values.dot(values)) or bool(np.isfinite(values).all())
            for values in (self.parameters, self.running_mean, self.running_var)
        )


def initial(architecture: Architecture, seed: int) -> Network:
    """Draw weights N(0, scale^2), layer by layer from the input up; biases and beta 0, gamma 1.

    Running means start at 0 and variances at 1, as in `BatchNorm`. The same seed gives a network with batch
    normalization and one without the same weights; a float32 network, those of the float64 one, rounded.
    """
    rng = np.random.default_rng(checks.whole_number("seed", seed, at_least=0))
    dtype = np.dtype(architecture.dtype)
    parameters: Array = np.zeros(_parameter_count(architecture), dtype)
    for layer in layers_of(architecture, parameters):
        layer.weight[...] = architecture.initial_scale(len(layer.weight)) * rng.standard_normal(layer.weight.shape)
        if layer.gamma is not None:
            layer.gamma[...] = 1
    units = sum(architecture.hidden) if architecture.normalized else 0
    return Network(architecture, parameters, np.zeros(units, dtype), np.ones(units, dtype))


def layers_of(architecture: Architecture, vector: Array) -> tuple[Layer, ...]:
    """Cut a vector as long as the parameters into the layers' weight, shift and gamma: views, no copies."""
    position = 0
    layers = []

    def take(*shape: int) -> Array:
        nonlocal position
        start, position = position, position + math.prod(shape)
        return vector[start:position].reshape(shape)

    for fan_in, size, normalized in _layer_shapes(architecture):
        layers.append(Layer(take(fan_in, size), take(size), take(size) if normalized else None))
    return tuple(layers)


def folded(network: Network) -> Network:
    """Return the network without batch normalization that predicts the same (E3).

    scale = gamma / sqrt(running_var + eps); W' = W scale, column by column; b' = beta - scale running_mean.
    """
    architecture = network.architecture
    if not architecture.normalized:
        return network
    plain = replace(architecture, normalization="none")
    parameters: Array = np.empty(_parameter_count(plain), architecture.dtype)
    layers, targets = network.layers, layers_of(plain, parameters)
    for layer, target, (mean, var) in zip(layers, targets, network.statistics, strict=False):
        scale = layer.gamma / np.sqrt(var + EPS)
        np.multiply(layer.weight, scale, out=target.weight)
        target.shift[...] = layer.shift - scale * mean
    targets[-1].weight[...], targets[-1].shift[...] = layers[-1].weight, layers[-1].shift
    nothing: Array = np.empty(0, architecture.dtype)
    return Network(plain, parameters, nothing, nothing)


def layer_inputs(network: Network, x: Array) -> tuple[Array, ...]:
    """Run inference: return y_k, what each hidden layer's activation gets, and last the logits.

    Batch normalization uses the running statistics, so each row's result depends on that row alone (E1).

    Args:
        network: the network.
        x: (m, n) with n at most sizes[0]: trailing inputs that are left out are zero.

    Returns:
        One array (m, d) for each layer.

    """
    activate = IN_PLACE[network.architecture.activation].value
    results: list[Array] = []
    for k, layer in enumerate(network.layers):
        y = x @ layer.weight[: x.shape[1]]
        if layer.gamma is not None:
            mean, var = network.statistics[k]
            y -= mean
            y *= layer.gamma / np.sqrt(var + EPS)
        y += layer.shift
        results.append(y)
        if k < len(network.architecture.hidden):
            x = np.empty_like(y)
            activate(y, x)
    return tuple(results)


def predict(network: Network, x: Array) -> npt.NDArray[np.intp]:
    """Return the class, (m,), that the network finds most likely for each row of x; see `layer_inputs`."""
    return np.asarray(np.argmax(layer_inputs(network, x)[-1], axis=1))


class InPlace(NamedTuple):
    """An activation for given arrays: `value(y, out)` is f(y); `slope(a, out)` is f'(y) by a = f(y)."""

    value: Callable[[Array, Array], None]
    slope: Callable[[Array, Array], None]


def sigmoid(y: Array, out: Array) -> None:
    """Set out = 1 / (1 + exp(-y)); where exp overflows, that is 0, as it should be."""
    np.negative(y, out=out)
    np.exp(out, out=out)
    out += 1
    np.reciprocal(out, out=out)


def sigmoid_slope(a: Array, out: Array) -> None:
    """Set out = a (1 - a)."""
    np.subtract(1, a, out=out)
    out *= a


def tanh(y: Array, out: Array) -> None:
    """Set out to the hyperbolic tangent of y."""
    np.tanh(y, out=out)


def tanh_slope(a: Array, out: Array) -> None:
    """Set out = 1 - a^2."""
    np.multiply(a, a, out=out)
    np.subtract(1, out, out=out)


def relu(y: Array, out: Array) -> None:
    """Set out = max(y, 0)."""
    np.maximum(y, 0, out=out)


def relu_slope(a: Array, out: Array) -> None:
    """Set out to 1 where a > 0, else 0: the sign of what is never negative."""
    np.sign(a, out=out)


IN_PLACE = {
    "sigmoid": InPlace(sigmoid, sigmoid_slope),
    "tanh": InPlace(tanh, tanh_slope),
    "relu": InPlace(relu, relu_slope),
}


class Normalization:
    """Batch normalization of one layer on batches of m rows: the equations of `bn_core.batch_norm` in buffers.

    Means over the batch are products with a row of 1/m, which BLAS does in half the time of a sum. What is kept for
    the backward pass is x - mean, not x_hat: one pass less over the batch.

    Args:
        gamma, beta: (d,), read at every pass.
        mean, var: (d,), where the forward pass puts the batch's mean and biased variance.
        m: rows of a batch.

    """

    def __init__(self, gamma: Array, beta: Array, mean: Array, var: Array, m: int) -> None:
        d, dtype = len(gamma), gamma.dtype
        self.gamma, self.beta, self.mean, self.var = gamma, beta, mean, var
        self._average: Array = np.full(m, 1 / m, dtype)
        self._inverse_std, self._scale, self._row = (np.zeros(d, dtype) for _ in range(3))
        self._centered, self._scratch = (np.zeros((m, d), dtype) for _ in range(2))

    def forward(self, x: Array, y: Array) -> None:
        """Set y = gamma x_hat + beta (C1), as (gamma / sqrt(var + eps)) (x - mean) + beta; y may be x itself."""
        np.matmul(self._average, x, out=self.mean)
        np.subtract(x, self.mean, out=self._centered)
        np.multiply(self._centered, self._centered, out=self._scratch)
        np.matmul(self._average, self._scratch, out=self.var)

        np.add(self.var, EPS, out=self._inverse_std)
        np.sqrt(self._inverse_std, out=self._inverse_std)
        np.reciprocal(self._inverse_std, out=self._inverse_std)
        np.multiply(self.gamma, self._inverse_std, out=self._scale)
        np.multiply(self._centered, self._scale, out=y)
        y += self.beta

    def backward(self, dy: Array, dgamma: Array, dbeta: Array) -> None:
        """Turn dy into dx in place, and set dgamma = sum(dy x_hat) and dbeta = sum(dy) (D1).

        dx = gamma / sqrt(var + eps) * (dy - mean(dy) - x_hat mean(dy x_hat))
        """
        mean_dy, mean_dy_x_hat = dbeta, dgamma  # until they are multiplied by m
        np.matmul(self._average, dy, out=mean_dy)
        np.multiply(dy, self._centered, out=self._scratch)
        np.matmul(self._average, self._scratch, out=mean_dy_x_hat)
        mean_dy_x_hat *= self._inverse_std

        np.multiply(mean_dy_x_hat, self._inverse_std, out=self._row)
        np.multiply(self._centered, self._row, out=self._scratch)
        self._scratch += mean_dy
        dy -= self._scratch
        dy *= self._scale
        dgamma *= len(dy)
        dbeta *= len(dy)


class Backprop:
    """Loss and gradient of one network on batches of m rows. Reads the network's arrays, never changes them.

    Put a batch into `x` and `targets`, call `differentiate`, read `gradient`. Numbers that overflow become
    infinite or nan, with NumPy's usual warnings unless the caller's `np.errstate` says otherwise.

    Args:
        network: what to differentiate; its arrays may change between passes, in place.
        m: rows of a batch.
        inputs: columns of a batch, at most sizes[0]: trailing inputs that are left out are zero.

    Attributes:
        x: (m, inputs), the batch.
        targets: (m, classes), 1 at each row's label and 0 elsewhere.
        gradient: dL/d parameters, as long as `network.parameters`.

    """

    def __init__(self, network: Network, m: int, inputs: int | None = None) -> None:
        architecture, layers = network.architecture, network.layers
        dtype, classes = np.dtype(architecture.dtype), architecture.sizes[-1]
        inputs = architecture.sizes[0] if inputs is None else inputs
        self.network = network
        self.x: Array = np.zeros((m, inputs), dtype)
        self.targets: Array = np.zeros((m, classes), dtype)
        self.gradient: Array = np.zeros_like(network.parameters)

        self._activation = IN_PLACE[architecture.activation]
        self._peak = ACTIVATIONS[architecture.activation].peak
        self._layers = _without_trailing_inputs(layers, inputs)
        self._gradients = _without_trailing_inputs(layers_of(architecture, self.gradient), inputs)
        # What each layer gives its activation, y; what comes out, a; f'(y); and dL/dy, then dL/d(a W).
        self._y, self._d = ([np.zeros((m, size), dtype) for size in architecture.sizes[1:]] for _ in range(2))
        self._a, self._slope = ([np.zeros((m, size), dtype) for size in architecture.hidden] for _ in range(2))
        # The batch's means and variances, end to end as the running ones.
        self._mean, self._var, self._row = (np.zeros_like(network.running_mean) for _ in range(3))
        batch = replace(network, running_mean=self._mean, running_var=self._var).statistics
        self._norms: list[Normalization | None] = [None] * len(layers)
        for k, (mean, var) in enumerate(batch):
            gamma, beta = layers[k].gamma, layers[k].shift
            self._norms[k] = None if gamma is None else Normalization(gamma, beta, mean, var, m)
        self._ones: Array = np.ones(m, dtype)
        self._softmax: Array = np.zeros((m, classes), dtype)
        self._column: Array = np.zeros((m, 1), dtype)

    def differentiate(self) -> None:
        """Set `gradient` to that of the loss on the batch in `x` and `targets`."""
        self._forward()
        self._backward()

    def move_statistics(self) -> None:
        """Move the network's running statistics, in place, towards the last batch's; the variance unbiased (E2)."""
        m, network = len(self.x), self.network
        self._move(network.running_mean, self._mean, 1.0)
        self._move(network.running_var, self._var, m / (m - 1) if m > 1 else 1.0)

    def loss(self) -> float:
        """Mean cross-entropy of the last batch: log of softmax's sum, less the label's logit."""
        y = self._y[-1].astype(np.float64)
        y -= y.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(y).sum(axis=1)) - (y * self.targets).sum(axis=1)))

    def gradient_norms(self) -> tuple[float, ...]:
        """Length of the last gradient on each layer's weights."""
        return tuple(float(np.linalg.norm(layer.weight.astype(np.float64))) for layer in self._gradients)

    def slopes(self) -> tuple[float, ...]:
        """Mean slope of each hidden layer's activations on the last batch, as a share of the peak slope."""
        return tuple(float(np.mean(slope, dtype=np.float64)) / self._peak for slope in self._slope)

    def saturated(self) -> tuple[float, ...]:
        """Share of each hidden layer's activations, on the last batch, whose slope is below 1 % of the peak."""
        return tuple(float(np.mean(slope < SATURATED * self._peak)) for slope in self._slope)

    def first_non_finite(self) -> int | None:
        """Return the layer, from 1, in which the last pass first met a number that is not finite; None if nowhere."""
        for layer, values in self._in_order():
            if not np.isfinite(values).all():
                return layer
        return None

    def _move(self, running: Array, new: Array, factor: float) -> None:
        running *= 1 - STATISTICS_MOMENTUM
        np.multiply(new, STATISTICS_MOMENTUM * factor, out=self._row)
        running += self._row

    def _forward(self) -> None:
        a = self.x
        for k, (layer, y, norm) in enumerate(zip(self._layers, self._y, self._norms, strict=True)):
            np.matmul(a, layer.weight, out=y)
            if norm is None:
                np.add(y, layer.shift, out=y)
            else:
                norm.forward(y, y)
            if k < len(self._a):
                a = self._a[k]
                self._activation.value(y, a)
        self._take_softmax()

    def _take_softmax(self) -> None:
        """Softmax of the logits, row by row; the largest is subtracted first, so that exp cannot overflow."""
        logits, p = self._y[-1], self._softmax
        np.maximum.reduce(logits, axis=1, keepdims=True, out=self._column)
        np.subtract(logits, self._column, out=p)
        np.exp(p, out=p)
        np.add.reduce(p, axis=1, keepdims=True, out=self._column)
        p /= self._column

    def _backward(self) -> None:
        np.subtract(self._softmax, self.targets, out=self._d[-1])  # dL/dlogits of a batch of one
        self._d[-1] /= len(self.x)
        for k in reversed(range(len(self._layers))):
            d, norm, gradient = self._d[k], self._norms[k], self._gradients[k]
            if k < len(self._slope):
                self._activation.slope(self._a[k], self._slope[k])
                d *= self._slope[k]
            if norm is None or gradient.gamma is None:
                np.matmul(self._ones, d, out=gradient.shift)
            else:
                norm.backward(d, gradient.gamma, gradient.shift)
            below = self._a[k - 1] if k > 0 else self.x
            np.matmul(below.T, d, out=gradient.weight)
            if k > 0:
                np.matmul(d, self._layers[k].weight.T, out=self._d[k - 1])

    def _in_order(self) -> Iterator[tuple[int, Array]]:
        """All that the last pass and the update after it computed, with its layer, in the order of computation."""
        for k, y in enumerate(self._y, 1):
            yield k, y
        for k, gradient in reversed(list(enumerate(self._gradients, 1))):
            yield from ((k, values) for values in gradient if values is not None)
        for k, layer in enumerate(self.network.layers, 1):
            yield from ((k, values) for values in layer if values is not None)
        for k, statistics in enumerate(self.network.statistics, 1):
            yield from ((k, values) for values in statistics)


def one_of(name: str, value: object, allowed: tuple[str, ...], accepted: tuple[str, ...] | None = None) -> None:
    """Raise ValueError unless value is one of the `accepted` words, by default those that the message allows."""
    if value not in (allowed if accepted is None else accepted):
        raise ValueError(f"{name} must be {' or '.join(allowed)}, got {value!r}")


def _layer_shapes(architecture: Architecture) -> Iterator[tuple[int, int, bool]]:
    """Inputs, outputs, and whether normalized, of each layer."""
    sizes, hidden = architecture.sizes, len(architecture.hidden)
    for k in range(len(sizes) - 1):
        yield sizes[k], sizes[k + 1], architecture.normalized and k < hidden


def _parameter_count(architecture: Architecture) -> int:
    return sum(size * (fan_in + 1 + normalized) for fan_in, size, normalized in _layer_shapes(architecture))


def _without_trailing_inputs(layers: tuple[Layer, ...], inputs: int) -> tuple[Layer, ...]:
    """Cut the lowest layer's weights to the inputs that come."""
    return (layers[0]._replace(weight=layers[0].weight[:inputs]), *layers[1:])
