import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bn_core import batch_norm
from bn_core.figures.identity import EPSILONS, MEAN, NEAR_LINEAR, SIZE, STD, draws, identity, undo

GAMMAS = np.linspace(-1, 4, 101)[:, np.newaxis, np.newaxis]
BETAS = np.linspace(-6, 6, 121)[:, np.newaxis]
each_epsilon = pytest.mark.parametrize("eps", EPSILONS)
gammas, betas, epsilons = st.floats(-1, 4), st.floats(-6, 6), st.sampled_from(EPSILONS)

unhurried = settings(deadline=None)


def test_the_data_are_512_skewed_draws_with_mean_exactly_3_and_standard_deviation_exactly_2():
    x = draws()
    assert x.shape == (SIZE,) == (512,)
    assert x.mean() == pytest.approx(3, abs=1e-14)
    assert x.std() == pytest.approx(2, abs=1e-14)
    skew = np.mean(((x - 3) / 2) ** 3)
    assert 0.5 < skew < 1.5  # a gamma distribution with shape 4 has skewness 1


@each_epsilon
def test_at_identity_the_output_is_the_input_to_1e_12(eps):
    gamma, beta = undo(eps)
    assert gamma == pytest.approx(np.sqrt(STD**2 + eps), rel=1e-14)
    assert beta == pytest.approx(MEAN, rel=1e-14)
    assert identity(gamma, beta, eps).residual < 1e-12


@pytest.mark.parametrize(("eps", "gap"), [*zip(EPSILONS, (1e-8, 1e-5, 1e-3, 0.1), strict=True)])
def test_forgetting_epsilon_leaves_a_gap_about_as_large_as_epsilon(eps, gap):
    state = identity(STD, MEAN, eps)
    assert state.residual == pytest.approx(gap, rel=0.25)
    exactly = np.abs(draws() - MEAN).max() * (1 - 1 / np.sqrt(1 + eps / STD**2))
    assert state.residual == pytest.approx(exactly, rel=1e-6)


@each_epsilon
def test_the_mean_is_beta_and_the_spread_is_gammas(eps):
    state = identity(GAMMAS, BETAS, eps)
    np.testing.assert_allclose(state.mean, np.broadcast_to(BETAS, state.mean.shape), rtol=0, atol=1e-12)
    spread = np.abs(GAMMAS) * np.sqrt(STD**2 / (STD**2 + eps))
    np.testing.assert_allclose(state.std, np.broadcast_to(spread, state.std.shape), rtol=0, atol=1e-12)


@unhurried
@given(gamma=gammas, beta=betas, eps=epsilons)
def test_it_is_batch_norm(gamma, beta, eps):
    state = identity(gamma, beta, eps)
    y, _ = batch_norm(draws()[:, np.newaxis], np.array([gamma]), np.array([beta]), eps)
    np.testing.assert_allclose(state.y, y[:, 0], rtol=0, atol=1e-12)
    x_hat, _ = batch_norm(draws()[:, np.newaxis], np.ones(1), np.zeros(1), eps)
    np.testing.assert_allclose(state.x_hat, x_hat[:, 0], rtol=0, atol=1e-12)


@unhurried
@given(gamma=gammas, beta=betas, eps=epsilons)
def test_readouts_are_statistics_of_the_output(gamma, beta, eps):
    state = identity(gamma, beta, eps)
    np.testing.assert_array_equal(state.x, draws())
    assert state.residual == np.abs(state.y - state.x).max()
    inside = np.count_nonzero((state.y > -NEAR_LINEAR) & (state.y < NEAR_LINEAR))
    assert state.near_linear == inside / SIZE


def test_inside_1_the_sigmoid_is_nearly_straight():
    y = np.linspace(-NEAR_LINEAR, NEAR_LINEAR, 101)
    assert np.abs(1 / (1 + np.exp(-y)) - (0.5 + y / 4)).max() < 0.02


def test_one_state_alone_is_the_frame_of_the_grid():
    grid = identity(GAMMAS, BETAS, EPSILONS)
    assert grid.y.shape == (101, 121, 4, 512)
    assert grid.mean.shape == grid.residual.shape == (101, 121, 4)
    for i, j, k in [(0, 0, 0), (40, 60, 1), (100, 120, 3)]:
        alone = identity(GAMMAS[i, 0, 0], BETAS[j, 0], EPSILONS[k])
        for field in ("y", "mean", "std", "residual", "near_linear"):
            np.testing.assert_allclose(getattr(alone, field), getattr(grid, field)[i, j, k], rtol=0, atol=1e-12)


def test_the_seed_draws_the_data():
    np.testing.assert_array_equal(draws(seed=1), draws(seed=1))
    assert not np.array_equal(draws(seed=1), draws(seed=2))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: identity(1, 0, 0), ValueError, "eps must be greater than 0, not 0"),
        (lambda: identity(1, 0, [1e-5, -1.0]), ValueError, "eps must be greater than 0, not -1"),
        (lambda: identity(1, 0, np.nan), ValueError, "eps must be .*not nan"),
        (lambda: identity(1, 0, "small"), TypeError, "eps must be real numbers, not 'small'"),
        (lambda: identity(np.nan, 0), ValueError, "gamma must be .*not nan"),
        (lambda: identity("1", 0), TypeError, "gamma must be real numbers, not '1'"),
        (lambda: identity(1, [0, np.inf]), ValueError, "beta must be .*not inf"),
        (lambda: undo(0), ValueError, "eps must be greater than 0, not 0"),
        (lambda: undo(-5), ValueError, "eps must be greater than 0, not -5"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(call, error, words):
    with pytest.raises(error, match=f"^{words}"):
        call()
