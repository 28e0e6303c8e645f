import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bn_core import batch_norm
from bn_core.activations import ACTIVATIONS
from bn_core.figures.saturation import EPS, SIZE, STARVED, saturation, standard_batch

DRIFTS = np.linspace(-8, 8, 161)
SPREADS = np.linspace(0.5, 3, 6)[:, np.newaxis]
READOUTS = ("batch_mean", "mean_slope", "gradient_signal", "starved")
activations = pytest.mark.parametrize("name", ACTIVATIONS)
drifts, spreads = st.floats(-8, 8), st.floats(0.5, 3)

unhurried = settings(deadline=None)


def over_the_population(function, mean):
    """The mean of function(x) over N(mean, 1), by numerical integration."""
    z = np.linspace(-12, 12, 240_001)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    return float(np.sum(density * function(mean + z)) * (z[1] - z[0]))


def test_the_sigmoids_slope_is_a_quarter_at_0_and_0_00247_at_6():
    slope = ACTIVATIONS["sigmoid"].slope(np.array([-6.0, 0.0, 6.0]))
    assert slope[1] == 0.25 == ACTIVATIONS["sigmoid"].peak
    assert slope[[0, 2]] == pytest.approx(0.00247, abs=5e-6)


@activations
def test_slopes_are_the_derivatives_and_peaks_their_maxima(name):
    f = ACTIVATIONS[name]
    x = np.linspace(-10, 10, 2001) + 1e-3  # past the corner of ReLU
    difference = (f.value(x + 1e-5) - f.value(x - 1e-5)) / 2e-5
    np.testing.assert_allclose(f.slope(x), difference, atol=1e-9)
    assert f.slope(np.linspace(-10, 10, 2001)).max() == f.peak


@unhurried
@given(x=st.floats(-700, 700))
def test_slopes_keep_their_digits_in_the_tails(x):
    slope = ACTIVATIONS["sigmoid"].slope(np.array([x]))[0]
    assert slope == pytest.approx(1 / (2 + 2 * math.cosh(x)), rel=1e-12)


@unhurried
@given(drift=drifts, spread=spreads)
def test_the_batch_has_exactly_the_stated_mean_and_spread(drift, spread):
    x = saturation(drift, spread).x
    assert x.shape == (SIZE,) == (64,)
    assert x.mean() == pytest.approx(drift, abs=1e-12)
    assert x.std() == pytest.approx(spread, rel=1e-12)


def test_every_batch_of_the_figure_lies_within_15():
    assert 8 + 3 * np.abs(standard_batch()).max() <= 15


def test_the_population_at_6_keeps_1_6_percent_and_ten_layers_leave_1e_18():
    slope = over_the_population(ACTIVATIONS["sigmoid"].slope, 6)
    assert slope == pytest.approx(0.0040, abs=5e-7)
    assert slope / 0.25 == pytest.approx(0.016, abs=5e-5)
    assert (slope / 0.25) ** 10 == pytest.approx(1e-18, rel=0.1)


def test_the_batch_of_64_at_6_is_within_0_0006_of_the_population():
    state = saturation(6, 1)
    assert state.mean_slope == pytest.approx(0.0040, abs=0.0006)
    assert round(100 * float(state.gradient_signal), 1) == 1.6
    assert round(math.log10(state.after(10))) == -18


def test_with_batch_norm_the_mean_slope_is_near_0_207_and_ten_layers_leave_about_15_percent():
    population = over_the_population(ACTIVATIONS["sigmoid"].slope, 0)
    assert population == pytest.approx(0.207, abs=5e-4)
    state = saturation(DRIFTS, SPREADS, batch_norm_on=True)
    np.testing.assert_allclose(state.mean_slope, 0.207, atol=1e-3)
    assert (np.round(100 * state.gradient_signal) == 83).all()
    assert (np.round(100 * state.after(10)) == 15).all()


@activations
def test_with_batch_norm_no_readout_depends_on_drift_or_spread(name):
    state = saturation(DRIFTS, SPREADS, name, True)
    for readout in (*(getattr(state, name) for name in READOUTS), state.after(3), state.after(10)):
        assert np.ptp(readout) < 1e-4


def test_the_share_of_epsilon_at_spread_a_half_is_6e_6():
    with_epsilon, without = (float(saturation(0, 0.5, "sigmoid", True, eps=e).gradient_signal) for e in (EPS, 1e-15))
    assert (with_epsilon - without) / without == pytest.approx(6e-6, rel=0.3)


def test_relu_passes_all_at_6_nothing_at_minus_6_and_about_half_with_batch_norm():
    assert saturation([6, -6], 1, "relu").gradient_signal.tolist() == [1, 0]
    np.testing.assert_allclose(saturation([6, -6], 1, "relu", True).gradient_signal, 0.5, atol=0.05)


@activations
@unhurried
@given(drift=drifts, spread=spreads, on=st.booleans())
def test_what_the_activation_sees_and_passes(name, drift, spread, on):
    state, f = saturation(drift, spread, name, on), ACTIVATIONS[name]
    np.testing.assert_array_equal(state.seen, state.x_hat if on else state.x)
    slope = f.slope(state.seen)
    assert state.batch_mean == state.seen.mean()
    assert state.mean_slope == pytest.approx(slope.mean(), rel=1e-12)
    assert state.gradient_signal == pytest.approx(slope.mean() / f.peak, rel=1e-12)
    assert state.starved == np.count_nonzero(slope < STARVED * f.peak) / SIZE
    assert 0 <= state.gradient_signal <= 1
    for layers in (3, 10):
        assert state.after(layers) == pytest.approx(float(state.gradient_signal) ** layers, rel=1e-12)


@unhurried
@given(drift=drifts, spread=spreads, on=st.booleans())
def test_x_hat_is_batch_norm_with_gamma_1_and_beta_0(drift, spread, on):
    state = saturation(drift, spread, batch_norm_on=on)
    y, _ = batch_norm(state.x[:, np.newaxis], np.ones(1), np.zeros(1), EPS)
    np.testing.assert_allclose(state.x_hat, y[:, 0], rtol=0, atol=1e-12)


@activations
def test_one_state_alone_is_the_frame_of_the_grid(name):
    on = np.array([False, True])[:, np.newaxis, np.newaxis]
    grid = saturation(DRIFTS, SPREADS, name, on)
    assert grid.x.shape == grid.seen.shape == (2, 6, 161, 64)
    assert grid.mean_slope.shape == grid.after(3).shape == (2, 6, 161)
    for i, j, k in [(0, 0, 0), (1, 2, 140), (0, 5, 160), (1, 5, 3)]:
        alone = saturation(DRIFTS[k], SPREADS[j, 0], name, bool(i))
        for field in (*READOUTS, "x", "x_hat", "seen"):
            np.testing.assert_allclose(getattr(alone, field), getattr(grid, field)[i, j, k], rtol=0, atol=1e-12)


def test_the_seed_draws_the_batch():
    one, same, other = (saturation(0, 1, seed=seed).x for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert saturation(0, 1, size=10).x.shape == (10,)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"activation": "gelu"}, ValueError, "activation must be one of sigmoid, tanh, relu, not 'gelu'"),
        ({"activation": 1}, ValueError, "activation must be one of sigmoid, tanh, relu, not 1"),
        ({"spread": 0}, ValueError, "spread must be greater than 0, not 0"),
        ({"spread": [1.0, -1.5]}, ValueError, "spread must be greater than 0, not -1.5"),
        ({"spread": np.nan}, ValueError, "spread must be .*not nan"),
        ({"spread": np.inf}, ValueError, "spread must be .*not inf"),
        ({"spread": "wide"}, TypeError, "spread must be real numbers, not 'wide'"),
        ({"drift": np.nan}, ValueError, "drift must be .*not nan"),
        ({"drift": [0, -np.inf]}, ValueError, "drift must be .*not -inf"),
        ({"drift": "6"}, TypeError, "drift must be real numbers, not '6'"),
        ({"eps": 0}, ValueError, "eps must be a number from .* got 0"),
        ({"size": 1}, ValueError, "size must be a whole number of at least 2, got 1"),
        ({"seed": -1}, ValueError, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(arguments, error, words):
    with pytest.raises(error, match=f"^{words}"):
        saturation(**({"drift": 0, "spread": 1} | arguments))
