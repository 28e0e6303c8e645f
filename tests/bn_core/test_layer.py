"""The layer: running statistics, inference and folding (claims E), and ONNX as a second opinion."""

import importlib
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.backend.test.case import node as onnx_node_cases
from onnx.reference import ReferenceEvaluator

from bn_core import BatchNorm, batch_norm, batch_norm_backward, fold_into_linear

# Whatever the input, no NumPy warning may reach the caller.
pytestmark = pytest.mark.filterwarnings("error")

SEEDS = st.integers(0, 2**32 - 1)


def trained_layer(num_features, seed=0, **options):
    """A layer with a random gamma and beta that has seen three batches."""
    rng = np.random.default_rng(seed)
    layer = BatchNorm(num_features, **options)
    layer.gamma, layer.beta = rng.normal(size=(2, num_features)).astype(layer.dtype)
    for _ in range(3):
        layer.forward(rng.normal(1, 2, size=(8, num_features)), training=True)
    return layer


# --- E1, E2: running statistics ---


@pytest.mark.parametrize("shape", [(6, 2), (3, 2, 2, 5)])
@pytest.mark.parametrize("variance", ["unbiased", "biased"])
@pytest.mark.parametrize("momentum", [0.1, 0.7, 1.0])
def test_e2_running_statistics_average_those_of_the_batches(shape, variance, momentum):
    rng = np.random.default_rng(0)
    layer = BatchNorm(2, momentum=momentum, variance=variance)
    batches = rng.normal(3, 2, size=(4, *shape))
    for x in batches:
        layer.forward(x, training=True)

    for k in range(2):
        mean, var = 0.0, 1.0
        for x in batches:
            values = x[:, k].ravel()
            m = values.size
            batch_mean = sum(values) / m
            divisor = m - 1 if variance == "unbiased" else m
            batch_var = sum((values - batch_mean) ** 2) / divisor
            mean += momentum * (batch_mean - mean)
            var += momentum * (batch_var - var)
        assert layer.running_mean[k] == pytest.approx(mean, rel=1e-12)
        assert layer.running_var[k] == pytest.approx(var, rel=1e-12)


def test_e2_the_unbiased_estimate_is_right_on_average_and_the_biased_one_too_small():
    rng = np.random.default_rng(1)
    stored = {"unbiased": [], "biased": []}
    for _ in range(4000):
        x = rng.normal(0, 3, size=(4, 1))
        for variance, values in stored.items():
            layer = BatchNorm(1, momentum=1.0, variance=variance)
            layer.forward(x, training=True)
            values.append(layer.running_var[0])
    assert np.mean(stored["unbiased"]) == pytest.approx(9, rel=0.05)
    assert np.mean(stored["biased"]) == pytest.approx(9 * 3 / 4, rel=0.05)


@pytest.mark.parametrize(("variance", "expected"), [("unbiased", 2.0), ("biased", 1.0)])
def test_e4_on_the_batch_0_2_pytorch_stores_2_and_keras_1(variance, expected):
    layer = BatchNorm(1, momentum=1.0, variance=variance)
    layer.forward([[0.0], [2.0]], training=True)
    assert layer.running_mean[0] == 1.0
    assert layer.running_var[0] == expected


def test_momentum_0_never_moves_the_running_statistics():
    layer = BatchNorm(1, momentum=0)
    layer.forward([[0.0], [2.0]], training=True)
    assert (layer.running_mean[0], layer.running_var[0]) == (0.0, 1.0)


def test_training_normalizes_with_the_batch_whatever_the_running_statistics():
    x = np.random.default_rng(0).normal(size=(6, 3))
    layer = trained_layer(3, variance="unbiased")
    expected, _ = batch_norm(x, layer.gamma, layer.beta)
    np.testing.assert_array_equal(layer.forward(x, training=True), expected)


def test_e1_at_inference_an_example_depends_on_itself_alone_and_moves_nothing():
    layer = trained_layer(3)
    before = layer.running_mean.copy(), layer.running_var.copy()
    x = np.random.default_rng(0).normal(size=(6, 3))
    together = layer.forward(x, training=False)
    alone = [layer.forward(x[i : i + 1], training=False)[0] for i in range(6)]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(layer.running_mean, before[0])
    np.testing.assert_array_equal(layer.running_var, before[1])


# --- E3: folding ---


@pytest.mark.parametrize("shape", [(5, 3), (1, 3), (2, 3, 4, 4)])
def test_e3_frozen_the_layer_is_an_affine_map(shape):
    layer = trained_layer(3, eps=0.01)
    x = np.random.default_rng(0).normal(size=shape)
    y = layer.forward(x, training=False)
    scale, shift = layer.fold()
    for k in range(3):
        slope = layer.gamma[k] / math.sqrt(layer.running_var[k] + 0.01)
        intercept = layer.beta[k] - layer.gamma[k] * layer.running_mean[k] / math.sqrt(layer.running_var[k] + 0.01)
        assert scale[k] == pytest.approx(slope, rel=1e-14)
        assert shift[k] == pytest.approx(intercept, rel=1e-12)
        np.testing.assert_allclose(y[:, k], slope * x[:, k] + intercept, rtol=1e-12, atol=1e-12)


@given(seed=SEEDS, with_bias=st.booleans())
def test_e3_a_folded_linear_layer_gives_what_linear_and_bn_gave(seed, with_bias):
    rng = np.random.default_rng(seed)
    weight, u = rng.normal(size=(4, 5)), rng.normal(size=(6, 5))
    bias = rng.normal(size=4) if with_bias else None
    layer = trained_layer(4, seed)
    before = u @ weight.T + (0 if bias is None else bias)
    expected = layer.forward(before, training=False)

    folded_weight, folded_bias = fold_into_linear(weight, bias, layer)
    np.testing.assert_allclose(u @ folded_weight.T + folded_bias, expected, rtol=1e-10, atol=1e-10)


def test_folding_keeps_the_dtype_of_the_weight():
    weight, bias = fold_into_linear(np.ones((3, 2), np.float32), None, trained_layer(3))
    assert weight.dtype == bias.dtype == np.float32


# --- backward ---


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 4, 4)])
def test_backward_after_training_is_the_gradient_through_the_batch(shape):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, *shape))
    layer = trained_layer(3)
    expected = batch_norm_backward(dy, batch_norm(x, layer.gamma, layer.beta)[1])
    layer.forward(x, training=True)
    dx = layer.backward(dy)
    for ours, theirs in zip((dx, layer.dgamma, layer.dbeta), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(6, 3), (1, 3), (2, 3, 4, 4)])
def test_backward_after_inference_takes_the_statistics_for_constants(shape):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, *shape))
    layer = trained_layer(3, eps=0.01)
    layer.forward(x, training=False)
    dx = layer.backward(dy)
    for k in range(3):
        std = math.sqrt(layer.running_var[k] + 0.01)
        np.testing.assert_allclose(dx[:, k], layer.gamma[k] / std * dy[:, k], rtol=1e-13)
        x_hat = (x[:, k] - layer.running_mean[k]) / std
        assert layer.dgamma[k] == pytest.approx(np.sum(dy[:, k] * x_hat), rel=1e-12)
        assert layer.dbeta[k] == pytest.approx(np.sum(dy[:, k]), rel=1e-12)


def test_backward_twice_gives_the_same_gradients_and_does_not_add_them_up():
    layer = trained_layer(2)
    layer.forward([[1.0, 2.0], [3.0, 5.0], [4.0, 0.0]], training=True)
    dy = [[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]]
    first = layer.backward(dy), layer.dgamma, layer.dbeta
    second = layer.backward(dy), layer.dgamma, layer.dbeta
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("x_dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("layer_dtype", [np.float32, np.float64])
def test_output_has_the_dtype_of_the_input_and_state_that_of_the_layer(training, x_dtype, layer_dtype):
    layer = BatchNorm(2, dtype=layer_dtype)
    x = np.array([[1, 2], [3, 5]], x_dtype)
    assert layer.forward(x, training).dtype == x_dtype
    assert layer.backward(x).dtype == x_dtype
    state = (layer.gamma, layer.beta, layer.dgamma, layer.dbeta, layer.running_mean, layer.running_var)
    assert {a.dtype for a in (*state, *layer.fold())} == {np.dtype(layer_dtype)}


# --- a second opinion: ONNX, and PyTorch's own numbers as ONNX ships them ---


def onnx_batch_norm(inputs, eps, training_mode, momentum=0.9):
    """Run ONNX's BatchNormalization on x, scale, bias, mean, var in its reference evaluator."""
    names = ["x", "scale", "bias", "mean", "var"]
    outputs = ["y", "running_mean", "running_var"] if training_mode else ["y"]
    value_type = onnx.helper.np_dtype_to_tensor_dtype(inputs[0].dtype)
    node = onnx.helper.make_node(
        "BatchNormalization", names, outputs, epsilon=eps, momentum=momentum, training_mode=training_mode
    )
    graph = onnx.helper.make_graph(
        [node],
        "batch_norm",
        [onnx.helper.make_tensor_value_info(n, value_type, a.shape) for n, a in zip(names, inputs, strict=True)],
        [onnx.helper.make_tensor_value_info(n, value_type, None) for n in outputs],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)])
    return ReferenceEvaluator(model).run(None, dict(zip(names, inputs, strict=True)))


def layer_like_onnx(state, eps, momentum=0.9):
    """Our layer with the scale, bias, mean and var, and the conventions, of an ONNX node.

    That is the biased variance, and a momentum that weighs the old value.
    """
    scale, bias, mean, var = state
    layer = BatchNorm(len(scale), eps=eps, momentum=1 - momentum, variance="biased", dtype=scale.dtype)
    layer.gamma, layer.beta, layer.running_mean, layer.running_var = scale, bias, mean, var
    return layer


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-6), (np.float32, 1e-5)])
@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_onnx_reference_agrees(shape, dtype, tolerance, eps):
    # ONNX keeps epsilon and momentum in float32, hence 1e-6 even in float64.
    rng = np.random.default_rng(0)
    x, (scale, bias, mean), var = rng.normal(2, 3, shape), rng.normal(size=(3, 3)), rng.uniform(0.5, 2, 3)
    inputs = [a.astype(dtype) for a in (x, scale, bias, mean, var)]
    layer = layer_like_onnx(inputs[1:], eps=eps, momentum=0.8)

    (expected,) = onnx_batch_norm(inputs, eps, training_mode=0)
    np.testing.assert_allclose(layer.forward(inputs[0], training=False), expected, tolerance, tolerance)

    expected, mean, var = onnx_batch_norm(inputs, eps, training_mode=1, momentum=0.8)
    np.testing.assert_allclose(layer.forward(inputs[0], training=True), expected, tolerance, tolerance)
    np.testing.assert_allclose(layer.running_mean, mean, tolerance, tolerance)
    np.testing.assert_allclose(layer.running_var, var, tolerance, tolerance)


def onnx_node_tests():
    """ONNX's published node tests for BatchNormalization, which it makes when their module is imported.

    (`collect_testcases`, its front door, imports the tests of every operator: six seconds.)
    """
    importlib.import_module("onnx.backend.test.case.node.batch_normalization")
    return [case for case in onnx_node_cases._NodeTestCases if case.name.startswith("test_batchnorm_")]


def test_all_of_onnxs_node_tests_are_found():
    plain = {case.name for case in onnx_node_tests() if "_expanded" not in case.name}
    assert plain == {
        "test_batchnorm_example",
        "test_batchnorm_epsilon",
        "test_batchnorm_example_training_mode",
        "test_batchnorm_epsilon_training_mode",
    }


@pytest.mark.parametrize("case", onnx_node_tests(), ids=lambda case: case.name)
def test_onnx_node_tests_pass(case):
    (node,) = case.model.graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    training = bool(attributes.get("training_mode", 0))
    for (x, *state), expected in case.data_sets:
        layer = layer_like_onnx(state, eps=attributes.get("epsilon", 1e-5))
        y = layer.forward(x, training)
        ours = (y, layer.running_mean, layer.running_var) if training else (y,)
        for value, reference in zip(ours, expected, strict=True):
            assert value.dtype == reference.dtype
            np.testing.assert_allclose(value, reference, rtol=1e-5, atol=1e-5)


PYTORCH_CASES = sorted(
    Path(onnx.__file__).parent.glob("backend/test/data/pytorch-converted/test_BatchNorm*_eval/model.onnx")
)


def test_pytorchs_numbers_are_found():
    assert len(PYTORCH_CASES) == 5


@pytest.mark.parametrize("model_path", PYTORCH_CASES, ids=lambda path: path.parent.name)
def test_what_pytorch_computed_is_what_we_compute(model_path):
    graph = onnx.load(model_path).graph
    (node,) = graph.node
    (eps,) = (a.f for a in node.attribute if a.name == "epsilon")
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    data = model_path.parent / "test_data_set_0"
    x, y = (onnx.numpy_helper.to_array(onnx.load_tensor(data / f"{n}_0.pb")) for n in ("input", "output"))
    layer = layer_like_onnx([stored[name] for name in node.input[1:]], eps)
    np.testing.assert_allclose(layer.forward(x, training=False), y, rtol=1e-5, atol=1e-6)


# --- errors name the argument, the value, and what is allowed ---


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_features": 0}, ValueError, "num_features must be a whole number of at least 1, got 0"),
        ({"num_features": -3}, ValueError, "num_features must be a whole number of at least 1, got -3"),
        ({"num_features": 2.0}, TypeError, "num_features must be a whole number of at least 1, got 2.0"),
        ({"num_features": True}, TypeError, "num_features must be a whole number of at least 1, got True"),
        ({"eps": 0}, ValueError, r"eps must be a number from 1e-75 to 1e\+75, got 0"),
        ({"eps": math.inf}, ValueError, r"eps must be a number from 1e-75 to 1e\+75, got inf"),
        ({"momentum": -0.1}, ValueError, "momentum must be a number from 0 to 1, got -0.1"),
        ({"momentum": 1.5}, ValueError, "momentum must be a number from 0 to 1, got 1.5"),
        ({"momentum": math.nan}, ValueError, "momentum must be a number from 0 to 1, got nan"),
        ({"momentum": None}, TypeError, "momentum must be a number from 0 to 1, got None"),
        ({"variance": "sample"}, ValueError, """variance must be "unbiased" or "biased", got 'sample'"""),
        ({"dtype": int}, TypeError, "dtype must be float16, float32 or float64, got <class 'int'>"),
        ({"dtype": "float23"}, TypeError, "dtype must be float16, float32 or float64, got 'float23'"),
        ({"dtype": None}, TypeError, "dtype must be float16, float32 or float64, got None"),
    ],
)
def test_a_wrong_option_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        BatchNorm(**{"num_features": 2, **options})


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((4, 3)), ValueError, r"x must have 2 features on axis 1, got shape \(4, 3\)"),
        (np.ones(2), ValueError, r"x must be a batch .* got shape \(2,\)"),
        (np.ones((0, 2)), ValueError, r"x must be .* not empty, got shape \(0, 2\)"),
        (np.full((3, 2), np.inf), ValueError, r"x must hold finite numbers.* got inf at index \(0, 0\)"),
        (np.full((3, 2), 1e200), ValueError, r"x must hold .* at most 1e\+75, got 1e\+200"),
        (np.ones((3, 2), int), TypeError, r"x must hold .* got dtype int64"),
    ],
)
def test_a_wrong_x_is_refused_and_leaves_the_layer_as_it_was(x, training, error, message):
    layer = trained_layer(2)
    before = layer.running_mean.copy(), layer.running_var.copy()
    with pytest.raises(error, match=message):
        layer.forward(x, training)
    np.testing.assert_array_equal((layer.running_mean, layer.running_var), before)


def test_one_value_per_feature_is_refused_in_training_only():
    layer = BatchNorm(2)
    with pytest.raises(ValueError, match=r"x must have at least 2 values per feature.* got 1 in shape \(1, 2\)"):
        layer.forward(np.ones((1, 2)), training=True)
    assert layer.forward(np.ones((1, 2)), training=False).shape == (1, 2)


@pytest.mark.parametrize("training", [1, "False", None])
def test_training_must_be_a_bool(training):
    with pytest.raises(TypeError, match=f"training must be True or False, got {training!r}"):
        BatchNorm(2).forward(np.ones((2, 2)), training)


def test_backward_before_any_forward_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"backward needs a forward pass .* call forward\(x, training\) first"):
        BatchNorm(2).backward(np.ones((2, 2)))


@pytest.mark.parametrize("training", [True, False])
def test_a_wrong_dy_is_refused(training):
    layer = BatchNorm(2)
    layer.forward(np.array([[1.0, 2.0], [3.0, 4.0]]), training)
    with pytest.raises(ValueError, match=r"dy must have shape \(2, 2\), got shape \(3, 2\)"):
        layer.backward(np.ones((3, 2)))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("gamma", np.ones(3), r"gamma must have shape \(2,\), got shape \(3,\)"),
        ("beta", np.array([0.0, np.nan]), r"beta must hold finite numbers.* got nan at index \(1,\)"),
        ("running_mean", np.ones(1), r"running_mean must have shape \(2,\), got shape \(1,\)"),
        ("running_var", np.array([1.0, -2.0]), r"running_var must hold numbers of at least 0, got -2.0"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_state_that_was_replaced_by_something_wrong_is_refused(name, value, message, training):
    layer = BatchNorm(2)
    setattr(layer, name, value)
    with pytest.raises(ValueError, match=message):
        layer.forward(np.array([[1.0, 2.0], [3.0, 4.0]]), training)


def test_a_running_variance_that_does_not_fit_the_layer_is_refused_before_anything_changes():
    layer = BatchNorm(1, dtype=np.float32)
    with pytest.raises(ValueError, match=r"running_var reaches 2e\+59, which does not fit float32"):
        layer.forward(np.array([[0], [2e30]], np.float32), training=True)
    assert (layer.running_mean[0], layer.running_var[0]) == (0, 1)


@pytest.mark.parametrize(
    ("weight", "bias", "message"),
    [
        (np.ones((2, 3)), None, r"weight must have shape \(4, in\), got shape \(2, 3\)"),
        (np.ones(4), None, r"weight must have shape \(4, in\), got shape \(4,\)"),
        (np.full((4, 1), np.nan), None, r"weight must hold finite numbers.* got nan"),
        (np.ones((4, 3)), np.ones(3), r"bias must have shape \(4,\), got shape \(3,\)"),
    ],
)
def test_a_linear_layer_that_does_not_fit_is_refused(weight, bias, message):
    with pytest.raises(ValueError, match=message):
        fold_into_linear(weight, bias, BatchNorm(4))


def test_repr_tells_the_settings():
    layer = BatchNorm(3, momentum=0.01, variance="biased", dtype="float32")
    assert repr(layer) == "BatchNorm(3, eps=1e-05, momentum=0.01, variance='biased', dtype='float32')"
