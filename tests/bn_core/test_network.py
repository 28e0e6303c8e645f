"""The laboratory's network: its gradient, its batch normalization, inference and folding, each against plain code."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from bn_core import BatchNorm, batch_norm, batch_norm_backward, fold_into_linear
from bn_core.activations import ACTIVATIONS
from bn_core.network import (
    IN_PLACE,
    Architecture,
    Backprop,
    Network,
    Normalization,
    folded,
    initial,
    layer_inputs,
    layers_of,
    predict,
)

pytestmark = pytest.mark.filterwarnings("error")

NORMALIZATIONS = ["none", "batch"]
HIDDEN = [(), (5,), (5, 4), (4, 3, 5, 4)]


def some_network(hidden=(5, 4), seed=0, **options):
    """A small network in which every parameter and statistic has some value of its own."""
    options = {"weight_scale": "1/sqrt(fan_in)", "dtype": "float64", **options}
    network = initial(Architecture((6, *hidden, 3), **options), seed)
    rng = np.random.default_rng(seed + 1)
    network.parameters[...] += 0.3 * rng.normal(size=len(network.parameters))
    network.running_mean[...] = rng.normal(size=len(network.running_mean))
    network.running_var[...] = rng.uniform(0.5, 2, len(network.running_var))
    return network


def some_batch(m=7, seed=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, 6)), rng.integers(0, 3, m)


def differentiated(network, x, labels):
    backprop = Backprop(network, len(x), x.shape[1])
    backprop.x[...], backprop.targets[...] = x, np.eye(3)[labels]
    backprop.differentiate()
    return backprop


def plain_loss(network, x, labels):
    """The loss in training mode, written anew from the core's own parts."""
    *hidden, output = network.layers
    for weight, shift, gamma in hidden:
        y = x @ weight + shift if gamma is None else batch_norm(x @ weight, gamma, shift)[0]
        x = ACTIVATIONS[network.architecture.activation].value(y)
    logits = x @ output.weight + output.shift
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(x)), labels])


# --- The gradient ---


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradient_is_that_of_central_differences(activation, normalization, hidden):
    network = some_network(hidden, activation=activation, normalization=normalization)
    x, labels = some_batch()
    backprop = differentiated(network, x, labels)
    assert backprop.loss() == pytest.approx(plain_loss(network, x, labels), rel=1e-12)

    numeric, h = np.empty_like(network.parameters), 1e-6
    for i in range(len(numeric)):
        losses = []
        for sign in (1, -1):
            moved = network.copy()
            moved.parameters[i] += sign * h
            losses.append(plain_loss(moved, x, labels))
        numeric[i] = (losses[0] - losses[1]) / (2 * h)
    np.testing.assert_allclose(backprop.gradient, numeric, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_the_gradient_in_float32_is_the_same_but_for_rounding(normalization):
    x, labels = some_batch()
    exact = differentiated(some_network(normalization=normalization), x, labels)
    rounded = differentiated(some_network(normalization=normalization, dtype="float32"), x, labels)
    assert rounded.gradient.dtype == np.float32
    np.testing.assert_allclose(rounded.gradient, exact.gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_inputs_that_are_left_out_are_zero(normalization):
    network = some_network(normalization=normalization)
    x, labels = some_batch()
    x[:, 4:] = 0
    whole, short = differentiated(network, x, labels), differentiated(network, x[:, :4], labels)
    np.testing.assert_allclose(short.gradient, whole.gradient, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(layer_inputs(network, x[:, :4])[-1], layer_inputs(network, x)[-1], rtol=1e-12)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_pass_allocates_no_arrays(activation, normalization):
    network = initial(Architecture(activation=activation, normalization=normalization), seed=0)
    backprop = Backprop(network, 600)
    backprop.differentiate()
    tracemalloc.start()
    backprop.differentiate()
    backprop.move_statistics()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 600 * 100 * 4 / 5  # a layer's activations take 240 kB; NumPy's own buffer for broadcasting, 25 kB


def test_a_pass_changes_nothing_in_the_network_and_statistics_move_only_when_told():
    network = some_network(normalization="batch")
    before = network.copy()
    backprop = differentiated(network, *some_batch())
    np.testing.assert_array_equal(network.parameters, before.parameters)
    np.testing.assert_array_equal(network.running_mean, before.running_mean)
    backprop.move_statistics()
    assert (network.running_mean != before.running_mean).all()


# --- Its batch normalization is the core's ---


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-11), ("float32", 2e-4)])
@pytest.mark.parametrize("m", [2, 3, 60])
def test_normalization_in_buffers_is_batch_norm(m, dtype, rtol):
    rng = np.random.default_rng(m)
    x, dy = (3 * rng.normal(size=(2, m, 8)) + 1).astype(dtype)
    gamma, beta = rng.normal(size=(2, 8)).astype(dtype)
    mean, var, dgamma, dbeta = np.empty((4, 8), dtype)
    norm = Normalization(gamma, beta, mean, var, m)

    y, dx = np.empty_like(x), dy.copy()
    norm.forward(x, y)
    norm.backward(dx, dgamma, dbeta)

    expected, cache = batch_norm(x, gamma, beta)
    close = {"rtol": rtol, "atol": rtol}
    np.testing.assert_allclose(y, expected, **close)
    np.testing.assert_allclose(mean, cache.mean, **close)
    np.testing.assert_allclose(var, cache.var, **close)
    for found, exact in zip((dx, dgamma, dbeta), batch_norm_backward(dy, cache), strict=True):
        np.testing.assert_allclose(found, exact, **close)


def test_running_statistics_and_inference_are_those_of_the_layer():
    network = some_network((5,), normalization="batch", activation="tanh")
    layer = BatchNorm(5)
    weight, layer.beta, layer.gamma = network.layers[0]
    layer.running_mean, layer.running_var = network.running_mean.copy(), network.running_var.copy()
    for seed in range(3):
        x, labels = some_batch(seed=seed)
        differentiated(network, x, labels).move_statistics()
        layer.forward(x @ weight, training=True)
    np.testing.assert_allclose(network.running_mean, layer.running_mean, rtol=1e-12)
    np.testing.assert_allclose(network.running_var, layer.running_var, rtol=1e-12)
    np.testing.assert_allclose(layer_inputs(network, x)[0], layer.forward(x @ weight, training=False), rtol=1e-12)


def test_e1_inference_takes_each_row_by_itself():
    network, (x, _) = some_network(normalization="batch"), some_batch()
    whole = layer_inputs(network, x)[-1]
    np.testing.assert_allclose(layer_inputs(network, x[2:3])[-1], whole[2:3], rtol=1e-12)
    np.testing.assert_array_equal(predict(network, x), whole.argmax(axis=1))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_e3_folding_gives_the_same_predictions(activation, dtype):
    network = some_network((8, 7, 6), activation=activation, normalization="batch", dtype=dtype)
    x, _ = some_batch(m=200)
    plain = folded(network)
    assert plain.architecture == replace(network.architecture, normalization="none")
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    for found, expected in zip(layer_inputs(plain, x), layer_inputs(network, x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(predict(plain, x), predict(network, x))


def test_e3_folding_is_fold_into_linear():
    network = some_network((5,), normalization="batch")
    layer = BatchNorm(5)
    weight, layer.beta, layer.gamma = network.layers[0]
    layer.running_mean, layer.running_var = network.running_mean, network.running_var
    expected_weight, expected_bias = fold_into_linear(weight.T, None, layer)
    found = folded(network).layers[0]
    np.testing.assert_allclose(found.weight, expected_weight.T, rtol=1e-12)
    np.testing.assert_allclose(found.shift, expected_bias, rtol=1e-12)


def test_a_plain_network_folds_to_itself():
    network = some_network()
    assert folded(network) is network


# --- Activations, probes ---


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_in_place_are_the_core_s(name, dtype):
    y = np.array([-1000, -30, -6, -1, 0, 0.5, 6, 30, 1000], dtype)
    a, slope = np.empty_like(y), np.empty_like(y)
    with np.errstate(over="ignore"):  # exp(1000)
        IN_PLACE[name].value(y, a)
    IN_PLACE[name].slope(a, slope)
    close = {"rtol": 1e-6, "atol": 1e-7}
    np.testing.assert_allclose(a, ACTIVATIONS[name].value(y), **close)
    np.testing.assert_allclose(slope, ACTIVATIONS[name].slope(y), **close)


def test_probes_describe_the_last_batch():
    network = some_network((5, 4), normalization="batch", weight_scale=0.1)
    network.layers[0].shift[:2] = 50  # beta: two of five units far into saturation
    x, labels = some_batch()
    backprop = differentiated(network, x, labels)
    gradient = layers_of(network.architecture, backprop.gradient)
    assert backprop.gradient_norms() == pytest.approx([np.sqrt((layer.weight**2).sum()) for layer in gradient])

    weight, beta, gamma = network.layers[0]
    slope = ACTIVATIONS["sigmoid"].slope(batch_norm(x @ weight, gamma, beta)[0])
    assert backprop.slopes()[0] == pytest.approx(slope.mean() / 0.25)
    assert len(backprop.slopes()) == len(backprop.saturated()) == 2
    assert backprop.saturated()[0] == pytest.approx(2 / 5)
    assert backprop.saturated()[1] == 0


@pytest.mark.parametrize(("place", "layer"), [(0, 1), (1, 2), (2, 3)])
def test_the_first_layer_that_is_not_finite_is_named(place, layer):
    network = some_network((5, 4))
    assert differentiated(network, *some_batch()).first_non_finite() is None
    network.layers[place].shift[0] = np.nan
    with np.errstate(all="ignore"):
        assert differentiated(network, *some_batch()).first_non_finite() == layer


def test_a_gradient_that_overflows_is_found_in_its_layer():
    backprop = differentiated(some_network((5, 4)), *some_batch())
    weights = [layer.weight for layer in layers_of(backprop.network.architecture, backprop.gradient)]
    weights[0][0, 0] = np.inf
    assert backprop.first_non_finite() == 1
    weights[1][0, 0] = np.inf  # reached before the lower layer's, on the way back
    assert backprop.first_non_finite() == 2


def test_large_numbers_are_finite_and_infinite_ones_are_not():
    network = some_network(dtype="float32")
    network.parameters[0] = 1e30  # its square does not fit float32
    with np.errstate(over="ignore"):
        assert network.is_finite()
        network.parameters[0] = np.inf
        assert not network.is_finite()


# --- What a network starts as ---


def test_initial_weights_have_the_scale_that_was_asked_for():
    for scale, expected in ((0.05, [0.05] * 4), ("1/sqrt(fan_in)", [1 / 28, 0.1, 0.1, 0.1])):
        network = initial(Architecture(weight_scale=scale), seed=3)
        for layer, std in zip(network.layers, expected, strict=True):
            assert layer.weight.std() == pytest.approx(std, rel=0.07)
            assert abs(layer.weight.mean()) < 0.1 * std
            assert not layer.shift.any()


def test_the_same_seed_gives_the_same_weights_with_and_without_batch_normalization():
    plain, normalized = (initial(Architecture(normalization=name), seed=1) for name in NORMALIZATIONS)
    for one, other in zip(plain.layers, normalized.layers, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)
    assert [layer.gamma is None for layer in normalized.layers] == [False, False, False, True]
    assert (normalized.layers[0].gamma == 1).all()
    assert not normalized.running_mean.any()
    assert (normalized.running_var == 1).all()
    assert len(normalized.parameters) == len(plain.parameters) + 300
    assert plain.statistics == ()
    assert (initial(Architecture(), seed=2).parameters != plain.parameters).any()


def test_layers_are_views_that_cover_the_parameters():
    network = some_network(normalization="batch")
    for layer in network.layers:
        for values in layer:
            if values is not None:
                values[...] = 7
    assert (network.parameters == 7).all()
    for mean, var in network.statistics:
        mean[...], var[...] = 8, 9
    assert (network.running_mean == 8).all()
    assert (network.running_var == 9).all()
    assert isinstance(network.copy(), Network)


def test_architectures_are_values():
    one, other = Architecture([784, 100, 100, 100, 10], weight_scale=1), Architecture(weight_scale=1.0)
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"sizes": (784,)}, ValueError, r"sizes must be those of the input, .* got \(784,\)"),
        ({"sizes": (784, 0, 10)}, ValueError, "each of sizes must be a whole number of at least 1, got 0"),
        ({"sizes": (784, 1.5, 10)}, TypeError, "each of sizes must be a whole number"),
        ({"activation": "gelu"}, ValueError, "activation must be sigmoid or tanh or relu, got 'gelu'"),
        ({"normalization": None}, ValueError, "normalization must be none or batch, got None"),
        ({"dtype": "float16"}, ValueError, "dtype must be float32 or float64, got 'float16'"),
        ({"weight_scale": "fan"}, ValueError, r"weight_scale must be a number or 1/sqrt\(fan_in\), got 'fan'"),
        ({"weight_scale": 0}, ValueError, "weight_scale must be a number from 1e-75 to 1e\\+75, got 0"),
        ({"weight_scale": True}, TypeError, "weight_scale must be a number"),
    ],
)
def test_an_architecture_says_what_is_wrong_with_it(options, error, words):
    with pytest.raises(error, match=words):
        Architecture(**options)


def test_a_seed_is_a_whole_number():
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0, got -1"):
        initial(Architecture(), -1)
