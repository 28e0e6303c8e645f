"""The operation and its gradient: claims C, D and F1."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bn_core import batch_norm, batch_norm_backward, batch_norm_backward_by_steps

# Whatever the input, no NumPy warning may reach the caller.
pytestmark = pytest.mark.filterwarnings("error")

SHAPES = [(7, 3), (4, 3, 5), (3, 2, 4, 5), (2, 3, 2, 3, 2)]
BACKWARDS = [batch_norm_backward, batch_norm_backward_by_steps]
NEGLIGIBLE = 1e-30


def problem(shape, seed=0, dtype=np.float64):
    """A random batch with features of unequal mean and spread, gamma, beta and dL/dy."""
    rng = np.random.default_rng(seed)
    per_feature = (shape[1],) + (1,) * (len(shape) - 2)
    x = rng.normal(size=shape) * rng.uniform(0.5, 3, per_feature) + rng.normal(size=per_feature)
    gamma, beta = rng.normal(size=(2, shape[1]))
    return tuple(values.astype(dtype) for values in (x, gamma, beta, rng.normal(size=shape)))


def central_differences(loss: Callable[[np.ndarray], float], at: np.ndarray, step=1e-5) -> np.ndarray:
    gradient = np.empty_like(at)
    for i in np.ndindex(at.shape):
        ahead, behind = at.copy(), at.copy()
        ahead[i] += step
        behind[i] -= step
        gradient[i] = (loss(ahead) - loss(behind)) / (2 * step)
    return gradient


def relative_error(value, reference):
    return np.linalg.norm(value - reference) / np.linalg.norm(reference)


# --- C: the transform ---


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_c1_c7_statistics_go_over_every_axis_but_the_features(shape, eps):
    x, gamma, beta, _ = problem(shape)
    y, cache = batch_norm(x, gamma, beta, eps)
    for k in range(shape[1]):
        values = x[:, k].ravel().tolist()
        mean = math.fsum(values) / len(values)
        var = math.fsum((value - mean) ** 2 for value in values) / len(values)
        expected = gamma[k] * (x[:, k] - mean) / math.sqrt(var + eps) + beta[k]
        np.testing.assert_allclose(y[:, k], expected, rtol=1e-12, atol=1e-12)
        assert cache.mean[k] == pytest.approx(mean, rel=1e-12)
        assert cache.var[k] == pytest.approx(var, rel=1e-12)
    assert cache.count == x.size // shape[1]


def test_c2_x_hat_has_mean_0_and_variance_just_below_1():
    x, gamma, beta, _ = problem((50, 3))
    _, cache = batch_norm(x, gamma, beta, eps=0.1)
    np.testing.assert_allclose(cache.x_hat.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(cache.x_hat.var(axis=0), x.var(axis=0) / (x.var(axis=0) + 0.1), rtol=1e-12)


BATCHES = st.tuples(st.integers(2, 8), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-1e3, 1e3))
)
SEEDS = st.integers(0, 2**32 - 1)


@given(x=BATCHES, eps=st.floats(1e-8, 10))
def test_c3_gamma_and_beta_can_restore_the_input(x, eps):
    y, _ = batch_norm(x, gamma=np.sqrt(x.var(axis=0) + eps), beta=x.mean(axis=0), eps=eps)
    np.testing.assert_allclose(y, x, rtol=0, atol=1e-11)


def test_c3_a_fixed_gamma_cannot_undo_every_batch():
    x, *_ = problem((20, 3))
    gamma, beta = np.sqrt(x.var(axis=0) + 1e-5), x.mean(axis=0)
    y, _ = batch_norm(2 * x, gamma, beta)
    assert np.abs(y - 2 * x).max() > 0.1


@given(seed=SEEDS, shape=st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)))
def test_c7_a_convolution_is_the_dense_case_with_one_row_per_position(seed, shape):
    x, gamma, beta, dy = problem(shape, seed)

    def dense(a):
        return a.transpose(0, 2, 3, 1).reshape(-1, shape[1])

    y, cache = batch_norm(x, gamma, beta)
    dense_y, dense_cache = batch_norm(dense(x), gamma, beta)
    np.testing.assert_allclose(dense(y), dense_y, rtol=1e-12, atol=1e-12)

    dx, dgamma, dbeta = batch_norm_backward(dy, cache)
    dense_dx, dense_dgamma, dense_dbeta = batch_norm_backward(dense(dy), dense_cache)
    np.testing.assert_allclose(dense(dx), dense_dx, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dgamma, dense_dgamma, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dbeta, dense_dbeta, rtol=1e-12, atol=1e-12)


@given(seed=SEEDS, data=st.data())
def test_reordering_the_batch_reorders_output_and_gradient_and_changes_nothing_else(seed, data):
    x, gamma, beta, dy = problem((6, 3), seed)
    order = data.draw(st.permutations(range(6)))
    y, cache = batch_norm(x, gamma, beta)
    y_reordered, cache_reordered = batch_norm(x[order], gamma, beta)
    np.testing.assert_allclose(y_reordered, y[order], rtol=1e-10, atol=1e-10)

    dx, dgamma, dbeta = batch_norm_backward(dy, cache)
    dx_reordered, dgamma_reordered, dbeta_reordered = batch_norm_backward(dy[order], cache_reordered)
    np.testing.assert_allclose(dx_reordered, dx[order], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dgamma_reordered, dgamma, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(dbeta_reordered, dbeta, rtol=1e-10, atol=1e-10)


# --- D: gradients ---


@pytest.mark.parametrize("backward", BACKWARDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_d1_gradients_agree_with_central_differences(backward, shape):
    x, gamma, beta, dy = problem(shape)
    dx, dgamma, dbeta = backward(dy, batch_norm(x, gamma, beta)[1])

    def loss(x, gamma, beta):
        return np.sum(dy * batch_norm(x, gamma, beta)[0])

    assert relative_error(dx, central_differences(lambda v: loss(v, gamma, beta), x)) < 1e-7
    assert relative_error(dgamma, central_differences(lambda v: loss(x, v, beta), gamma)) < 1e-7
    assert relative_error(dbeta, central_differences(lambda v: loss(x, gamma, v), beta)) < 1e-7


@given(x=BATCHES, seed=SEEDS, eps=st.floats(1e-8, 10))
def test_d1_the_fused_gradient_is_the_six_equations(x, seed, eps):
    rng = np.random.default_rng(seed)
    gamma, beta = rng.normal(size=(2, x.shape[1]))
    _, cache = batch_norm(x, gamma, beta, eps)
    dy = rng.normal(size=x.shape)
    scale = np.abs(gamma / cache.std) * np.abs(dy).sum(axis=0) + 1  # size of the terms that cancel in dx
    for fused, by_steps in zip(batch_norm_backward(dy, cache), batch_norm_backward_by_steps(dy, cache), strict=True):
        np.testing.assert_array_less(np.abs(fused - by_steps), np.broadcast_to(1e-12 * scale, fused.shape))


@pytest.mark.parametrize("backward", BACKWARDS)
@given(x=BATCHES, seed=SEEDS, eps=st.floats(1e-8, 10))
def test_d2_a_gradient_moves_neither_the_mean_nor_but_for_eps_the_scale(backward, x, seed, eps):
    rng = np.random.default_rng(seed)
    gamma, beta = rng.normal(size=(2, x.shape[1]))
    dy = rng.normal(size=x.shape)
    _, cache = batch_norm(x, gamma, beta, eps)
    dx, _, _ = backward(dy, cache)

    x_hat, var = cache.x_hat, cache.var
    along_scale = gamma / np.sqrt(var + eps) * np.sum(dy * x_hat, axis=0) * eps / (var + eps)
    tolerance = 1e-12 * np.abs(gamma) / np.sqrt(var + eps) * np.abs(dy).sum(axis=0)
    np.testing.assert_array_less(np.abs(dx.sum(axis=0)), tolerance)
    np.testing.assert_array_less(np.abs(np.sum(x_hat * dx, axis=0) - along_scale), tolerance)


@given(
    low=st.floats(-100, 100),
    gap=st.floats(0.1, 100),
    dy=arrays(np.float64, (2, 1), elements=st.floats(-1, 1)),
)
def test_d4_a_batch_of_two_is_plus_and_minus_one_and_passes_no_gradient(low, gap, dy):
    x = np.array([[low], [low + gap]])
    y, cache = batch_norm(x, gamma=[1.0], beta=[0.0], eps=NEGLIGIBLE)
    np.testing.assert_allclose(y, [[-1.0], [1.0]], rtol=1e-12)
    dx, _, _ = batch_norm_backward(dy, cache)
    np.testing.assert_allclose(dx, 0, atol=1e-13)


def test_d4_what_eps_leaves_of_the_gradient_of_a_batch_of_two():
    eps, var = 1e-3, 1.0
    _, cache = batch_norm([[2.0], [4.0]], gamma=[3.0], beta=[0.0], eps=eps)
    dx, _, _ = batch_norm_backward([[0.0], [1.0]], cache)
    left = 3 / math.sqrt(var + eps) * 0.5 * eps / (var + eps)
    np.testing.assert_allclose(dx, [[-left], [left]], rtol=1e-11)


def test_d4_a_convolution_on_a_batch_of_two_still_learns():
    x, gamma, beta, dy = problem((2, 1, 4, 4))
    dx, _, _ = batch_norm_backward(dy, batch_norm(x, gamma, beta, NEGLIGIBLE)[1])
    assert np.abs(dx).max() > 0.01


def test_the_gradient_is_that_of_the_forward_pass_even_if_an_optimizer_has_moved_on():
    x, gamma, beta, dy = problem((5, 3))
    _, cache = batch_norm(x, gamma, beta)
    expected, _, _ = batch_norm_backward(dy, cache)
    x += 1
    gamma *= 2
    np.testing.assert_array_equal(batch_norm_backward(dy, cache)[0], expected)


# --- F: why larger rates work ---


@given(seed=SEEDS, a=st.floats(1e-3, 1e3))
def test_f1_scaling_the_weights_changes_no_output_and_divides_their_gradient(seed, a):
    rng = np.random.default_rng(seed)
    u, weight = rng.normal(size=(12, 5)), rng.normal(size=(3, 5))
    gamma, beta = rng.normal(size=(2, 3))
    dy = rng.normal(size=(12, 3))

    def through(weight):
        y, cache = batch_norm(u @ weight.T, gamma, beta, NEGLIGIBLE)
        dx, _, _ = batch_norm_backward(dy, cache)
        return y, dx @ weight, dx.T @ u

    y, du, dweight = through(weight)
    y_scaled, du_scaled, dweight_scaled = through(a * weight)
    np.testing.assert_allclose(y_scaled, y, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(du_scaled, du, rtol=0, atol=1e-9 * np.abs(du).max())
    np.testing.assert_allclose(dweight_scaled, dweight / a, rtol=0, atol=1e-9 * np.abs(dweight).max() / a)
    # So the gradient is orthogonal to the weights, and a plain SGD step lengthens them.
    orthogonality = np.sum(weight * dweight, axis=1)
    np.testing.assert_allclose(orthogonality, 0, atol=1e-9 * np.abs(dweight).max())
    stepped = weight - 0.1 * dweight
    np.testing.assert_allclose(
        np.sum(stepped**2, axis=1),
        np.sum(weight**2, axis=1) + 0.1**2 * np.sum(dweight**2, axis=1),
        rtol=1e-8,
    )


# --- precision ---


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_results_keep_the_dtype_of_what_they_belong_to(dtype):
    x, _, _, dy = problem((6, 2), dtype=dtype)
    y, cache = batch_norm(x, np.ones(2, np.float32), np.zeros(2, np.float64))
    dx, dgamma, dbeta = batch_norm_backward(dy, cache)
    assert [a.dtype for a in (y, dx, dgamma, dbeta)] == [dtype, dtype, np.float32, np.float64]
    assert [a.shape for a in (y, dx, dgamma, dbeta)] == [(6, 2), (6, 2), (2,), (2,)]


@pytest.mark.parametrize("m", [50, 100_000])
def test_float32_statistics_survive_a_large_mean(m):
    # 1e4 in float32 has steps of 1/1024, so the truth is that of the values as stored.
    x = np.random.default_rng(0).normal(1e4, 1, (m, 1)).astype(np.float32)
    values = x.ravel().astype(float).tolist()
    mean = math.fsum(values) / m
    var = math.fsum((value - mean) ** 2 for value in values) / m
    y, cache = batch_norm(x, np.ones(1, np.float32), np.zeros(1, np.float32))
    assert cache.mean[0] == pytest.approx(mean, rel=1e-12)
    assert cache.var[0] == pytest.approx(var, rel=1e-9)  # asked for: 1e-3
    assert np.mean(y, dtype=float) == pytest.approx(0, abs=1e-6)
    assert np.var(y, dtype=float) == pytest.approx(1, abs=1e-4)


def test_float64_statistics_survive_a_huge_mean():
    x = 1e12 + np.array([[0.0], [1.0], [2.0], [3.0]])
    assert batch_norm(x, [1.0], [0.0])[1].var[0] == 1.25


def test_float16_is_computed_wider_and_rounded_once():
    # The squares (90,000) and the sum (1.2 million) overflow float16; the result does not.
    x = np.tile(np.array([[100], [500]], np.float16), (2000, 1))
    y, _ = batch_norm(x, np.ones(1, np.float16), np.zeros(1, np.float16))
    np.testing.assert_array_equal(y, np.tile(np.array([[-1], [1]], np.float16), (2000, 1)))


@pytest.mark.parametrize(("dtype", "factor"), [(np.float32, 1e30), (np.float64, 1e74)])
def test_inputs_whose_square_overflows_their_dtype_are_normalized_right(dtype, factor):
    x, gamma, beta, _ = problem((6, 3))
    y, _ = batch_norm((factor * x).astype(dtype), gamma, beta)
    expected, _ = batch_norm(x, gamma, beta, NEGLIGIBLE)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backward", BACKWARDS)
@pytest.mark.parametrize("spread", [0, 1e-60, 1, 1e75])
def test_the_largest_numbers_allowed_give_finite_results_without_a_warning(backward, spread):
    x = np.array([[-1.0], [1.0], [0.5]]) * spread
    y, cache = batch_norm(x, gamma=[1e75], beta=[-1e75], eps=1e-75)
    dx, dgamma, dbeta = backward([[1e75], [-1e75], [1e75]], cache)
    assert all(np.isfinite(a).all() for a in (y, dx, dgamma, dbeta))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e10, 1e75])
def test_a_constant_feature_gives_exactly_beta_and_a_finite_gradient(value):
    y, cache = batch_norm(np.full((7, 1), value), gamma=[3.0], beta=[0.7])
    np.testing.assert_array_equal(y, 0.7)
    dx, dgamma, dbeta = batch_norm_backward(np.arange(7.0).reshape(7, 1), cache)
    # With x_hat = 0 only the path through the mean is left.
    np.testing.assert_allclose(dx, 3 / math.sqrt(1e-5) * (np.arange(7.0) - 3).reshape(7, 1), rtol=1e-12)
    np.testing.assert_array_equal(dgamma, 0)
    np.testing.assert_array_equal(dbeta, 21)


# --- errors name the argument, the value, and what is allowed ---

X = np.array([[1.0, 2.0], [3.0, 5.0]])
ONES, ZEROS = np.ones(2), np.zeros(2)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones(3), ValueError, r"x must be a batch \(m, d\).* got shape \(3,\)"),
        (1.0, ValueError, r"x must be a batch .* got shape \(\)"),
        (np.ones((0, 2)), ValueError, r"x must be .* not empty, got shape \(0, 2\)"),
        (np.ones((2, 0)), ValueError, r"x must be .* not empty, got shape \(2, 0\)"),
        (np.ones((2, 2, 0)), ValueError, r"x must be .* not empty, got shape \(2, 2, 0\)"),
        (np.ones((1, 2)), ValueError, r"x must have at least 2 values per feature.* got 1 in shape \(1, 2\)"),
        (np.ones((1, 2, 1, 1)), ValueError, r"x must have at least 2 values per feature.* got 1 in shape"),
        ([[1.0, 2.0], [3.0]], ValueError, r"x must be an array of numbers with a regular shape"),
        ([[1.0, 2.0], [3.0, np.nan]], ValueError, r"x must hold finite numbers.* got nan at index \(1, 1\)"),
        (
            [[1.0, -np.inf], [3.0, 4.0]],
            ValueError,
            r"x must hold finite numbers.* got -inf at index \(0, 1\)",
        ),
        (np.float32([[1, np.inf], [3, 4]]), ValueError, r"x must hold finite numbers.* got inf at index"),
        (X * 1e200, ValueError, r"x must hold .* magnitude at most 1e\+75, got 1e\+200 at index \(0, 0\)"),
        (np.ones((2, 2), int), TypeError, r"x must hold float16, float32 or float64 .* got dtype int64"),
        (np.ones((2, 2), bool), TypeError, r"x must hold .* got dtype bool"),
        (np.ones((2, 2), complex), TypeError, r"x must hold .* got dtype complex128"),
        (np.ones((2, 2), object), TypeError, r"x must hold .* got dtype object"),
        (np.ones((2, 2), np.longdouble), TypeError, r"x must hold .* got dtype (float128|longdouble)"),
        (None, TypeError, r"x must hold .* got dtype object"),
        ("batch", TypeError, r"x must hold .* got dtype <U5"),
    ],
)
def test_a_wrong_x_is_refused(x, error, message):
    with pytest.raises(error, match=message):
        batch_norm(x, ONES, ZEROS)


@pytest.mark.parametrize("name", ["gamma", "beta"])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.ones(3), ValueError, r"must have shape \(2,\), got shape \(3,\)"),
        (1.0, ValueError, r"must have shape \(2,\), got shape \(\)"),
        (np.ones((2, 1)), ValueError, r"must have shape \(2,\), got shape \(2, 1\)"),
        ([1.0, np.nan], ValueError, r"must hold finite numbers.* got nan at index \(1,\)"),
        ([1, 2], TypeError, r"must hold float16, float32 or float64 .* got dtype int64"),
    ],
)
def test_a_wrong_gamma_or_beta_is_refused(name, value, error, message):
    arguments = {"gamma": ONES, "beta": ZEROS, name: value}
    with pytest.raises(error, match=f"{name} {message}"):
        batch_norm(X, **arguments)


@pytest.mark.parametrize(
    ("eps", "error"),
    [
        (0.0, ValueError),
        (-1e-5, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        (1e-80, ValueError),
        ("1e-5", TypeError),
        (None, TypeError),
        (True, TypeError),
        (1e-5 + 0j, TypeError),
    ],
)
def test_a_wrong_eps_is_refused(eps, error):
    with pytest.raises(error, match=r"eps must be a number from 1e-75 to 1e\+75, got ") as caught:
        batch_norm(X, ONES, ZEROS, eps)
    assert str(caught.value).endswith(repr(eps))


@pytest.mark.parametrize("backward", BACKWARDS)
@pytest.mark.parametrize(
    ("dy", "error", "message"),
    [
        (np.ones((2, 3)), ValueError, r"dy must have shape \(2, 2\), got shape \(2, 3\)"),
        (np.ones(4), ValueError, r"dy must have shape \(2, 2\), got shape \(4,\)"),
        (np.full((2, 2), np.nan), ValueError, r"dy must hold finite numbers.* got nan at index \(0, 0\)"),
        (np.ones((2, 2), int), TypeError, r"dy must hold .* got dtype int64"),
    ],
)
def test_a_wrong_dy_is_refused(backward, dy, error, message):
    _, cache = batch_norm(X, ONES, ZEROS)
    with pytest.raises(error, match=message):
        backward(dy, cache)


@pytest.mark.parametrize("backward", BACKWARDS)
def test_a_wrong_cache_is_refused(backward):
    with pytest.raises(TypeError, match="cache must be the BatchNormCache of a forward pass, got ndarray"):
        backward(X, X)


def test_a_result_that_does_not_fit_its_dtype_is_an_error_not_infinity():
    x = X.astype(np.float16)
    with pytest.raises(ValueError, match=r"y reaches 1e\+05, which does not fit float16: .* up to 6.55e\+04"):
        batch_norm(x, np.full(2, 1e5), ZEROS)
    _, cache = batch_norm(x, ONES, ZEROS.astype(np.float16))
    with pytest.raises(ValueError, match=r"dbeta reaches 1.2e\+05, which does not fit float16"):
        batch_norm_backward(np.full((2, 2), 6e4), cache)
