import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bn_core.figures.runaway_bias import (
    BATCH_SIZE,
    GRADIENTS,
    LEARNING_RATES,
    PRECISIONS,
    RunawayBias,
    batch,
    bias_gradient,
    normalize,
    runaway_bias,
)

RATES = np.array(LEARNING_RATES)


@pytest.fixture(scope="module")
def runs() -> dict[tuple[str, str], RunawayBias]:
    """Every state of the figure: one run for each gradient and precision, all learning rates at once."""
    return {(g, p): runaway_bias(g, RATES, p) for g in GRADIENTS for p in PRECISIONS}


def test_the_batch_is_of_order_one_and_its_targets_have_mean_one():
    u, t = batch()
    assert u.shape == t.shape == (BATCH_SIZE,)
    assert u.mean() == pytest.approx(0, abs=1e-15)
    assert u.std() == pytest.approx(1, abs=1e-15)
    assert abs(t.mean()) == pytest.approx(1, abs=1e-15)
    assert 0.5 < 0.5 * np.mean((u - t) ** 2) < 2


def test_naive_bias_runs_away_in_a_straight_line(runs):
    run = runs["naive", "float64"]
    np.testing.assert_allclose(run.bias, RATES[:, np.newaxis] * run.step, rtol=0, atol=1e-9)
    np.testing.assert_allclose(run.bias_gradient, -1, rtol=0, atol=1e-11)


def test_naive_loss_and_output_do_not_notice(runs):
    run = runs["naive", "float64"]
    assert np.abs(run.loss - run.loss[:, :1]).max() < 1e-11
    assert run.output_change.max() < 1e-11
    assert np.abs(run.output_mean).max() < 1e-11


def test_aware_bias_stays_where_it_is(runs):
    run = runs["aware", "float64"]
    assert np.abs(run.bias_gradient).max() < 1e-15
    assert np.abs(run.bias).max() < 1e-12
    assert run.output_change.max() < 1e-11


def test_the_loss_is_half_the_mean_squared_error_of_the_output(runs):
    _, t = batch()
    for precision, tolerance in zip(PRECISIONS, (1e-14, 1e-6, 1e-2), strict=True):
        run = runs["naive", precision]
        expected = np.mean((run.output - t) ** 2, axis=-1) / 2
        np.testing.assert_allclose(run.loss, expected, rtol=tolerance)


def test_both_gradients_start_from_the_same_output_and_loss(runs):
    naive, aware = runs["naive", "float64"], runs["aware", "float64"]
    np.testing.assert_array_equal(naive.output[:, 0], aware.output[:, 0])
    np.testing.assert_array_equal(naive.loss[:, 0], aware.loss[:, 0])


def test_aware_gradient_is_the_derivative_of_the_loss_and_the_naive_one_is_not():
    u, t = batch(seed=3)

    def loss(b: float) -> float:
        return float(0.5 * np.mean((normalize(u + b) - t) ** 2))

    difference = (loss(2 + 1e-4) - loss(2 - 1e-4)) / 2e-4
    error = normalize(u + 2.0) - t
    assert bias_gradient("aware", error) == pytest.approx(difference, abs=1e-10)
    assert bias_gradient("naive", error) == pytest.approx(-t.mean())


def test_in_half_precision_the_output_near_100_sits_on_a_grid_of_one_sixteenth():
    run = runaway_bias("naive", 1.0, "float16", steps=128, every=1)
    from_64 = (run.bias >= 68) & (run.bias <= 124)
    assert from_64.sum() > 40
    sixteenths = 16 * run.output[from_64]
    np.testing.assert_array_equal(sixteenths, np.round(sixteenths))
    assert np.any(np.round(sixteenths) % 2)  # and on no coarser one
    sixteenths_at_start = 16 * run.output[0]
    assert not np.array_equal(sixteenths_at_start, np.round(sixteenths_at_start))


def test_in_half_precision_the_flat_output_is_flat_no_longer(runs):
    half = runs["naive", "float16"]
    assert (half.output_change.max(axis=-1) > 0.1).all()
    assert (np.ptp(half.loss, axis=-1) > 0.01).all()
    assert (half.output_change[:, 0] == 0).all()


def test_single_precision_is_between_the_two(runs):
    changes = [runs["naive", p].output_change.max(axis=-1) for p in PRECISIONS]
    assert (changes[0] < 1e-11).all()
    assert (changes[1] > 1e-6).all()
    assert (changes[1] < 1e-2).all()
    assert (changes[2] > 1e-1).all()


def test_only_half_precision_stalls_and_only_the_naive_gradient(runs):
    for (gradient, precision), run in runs.items():
        stalls = (gradient, precision) == ("naive", "float16")
        assert np.isfinite(run.stalled_step).all() == stalls
        assert np.isnan(run.stalled_step).all() != stalls
        np.testing.assert_array_equal(np.isnan(run.stalled_bias), np.isnan(run.stalled_step))


def test_the_stalled_bias_is_a_fixed_point_of_the_update_in_half_precision(runs):
    u, t = (values.astype(np.float16) for values in batch())
    for rate, stalled in zip(RATES, runs["naive", "float16"].stalled_bias, strict=True):
        b = np.float16(stalled)
        x = u + b
        error = (x - x.mean()) - t
        step = np.float16(rate) * error.mean()
        assert step.dtype == np.float16
        assert step != 0
        assert b - step == b
        assert abs(step) <= np.spacing(b) / 2  # at most half a unit in the last place


def test_the_bias_moves_at_every_step_until_it_stalls_and_never_after():
    run = runaway_bias("naive", RATES, "float16", every=1)
    for bias, step, stalled in zip(run.bias, run.stalled_step, run.stalled_bias, strict=True):
        assert (np.diff(bias[: int(step) + 1]) > 0).all()
        assert (bias[int(step) :] == stalled).all()


def test_a_run_too_short_to_stall_says_so():
    stalled_at = int(runaway_bias("naive", 2.0, "float16").stalled_step)
    assert np.isnan(runaway_bias("naive", 2.0, "float16", steps=stalled_at).stalled_step)
    assert runaway_bias("naive", 2.0, "float16", steps=stalled_at + 1).stalled_step == stalled_at


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_each_recorded_step_is_the_update_done_in_that_precision(gradient, precision):
    run = runaway_bias(gradient, RATES, precision, steps=300, every=1)
    bias, grad = run.bias.astype(precision), run.bias_gradient.astype(precision)
    np.testing.assert_array_equal(run.bias, bias.astype(np.float64))  # float64 holds the precision's values
    np.testing.assert_array_equal(bias[:, 1:], bias[:, :-1] - RATES.astype(precision)[:, np.newaxis] * grad[:, :-1])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_one_state_alone_is_bit_for_bit_the_frame_of_the_grid(runs, gradient, precision):
    grid, alone = runs[gradient, precision], runaway_bias(gradient, LEARNING_RATES[3], precision)
    for field in ("bias", "bias_gradient", "loss", "output_mean", "output", "output_change", "stalled_step"):
        np.testing.assert_array_equal(getattr(alone, field), getattr(grid, field)[3])


def test_shapes_put_the_step_and_then_the_batch_last():
    run = runaway_bias("naive", np.array([[0.1], [0.5]]), steps=90, every=25)
    assert run.step.tolist() == [0, 25, 50, 75]
    for field in ("bias", "bias_gradient", "loss", "output_mean", "output_change"):
        assert getattr(run, field).shape == (2, 1, 4)
        assert getattr(run, field).dtype == np.float64
    assert run.output.shape == (2, 1, 4, BATCH_SIZE)
    assert run.stalled_step.shape == run.stalled_bias.shape == (2, 1)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rate=st.floats(min_value=0, max_value=2, exclude_min=True),
    precision=st.sampled_from(PRECISIONS),
    gradient=st.sampled_from(GRADIENTS),
)
def test_it_never_overflows(seed, rate, precision, gradient):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        run = runaway_bias(gradient, rate, precision, steps=5000, every=100, seed=seed)
    assert np.abs(run.bias).max() < 10_010
    assert np.isfinite(run.loss).all()
    assert np.isfinite(run.output).all()


def test_the_seed_draws_the_batch():
    one, same, other = (runaway_bias("naive", 0.5, steps=1, seed=s).output for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"gradient": "blind"}, ValueError, "gradient must be one of naive, aware, not 'blind'"),
        ({"gradient": 0}, ValueError, "gradient must be one of naive, aware, not 0"),
        (
            {"precision": "float8"},
            ValueError,
            "precision must be one of float64, float32, float16, not 'float8'",
        ),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be above 0 and at most 2, not 0.0"),
        (
            {"learning_rate": [0.1, np.nan]},
            ValueError,
            "learning_rate must be above 0 and at most 2, not nan",
        ),
        ({"learning_rate": 2.5}, ValueError, "learning_rate must be above 0 and at most 2, not 2.5"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be real numbers, not 'fast'"),
        ({"steps": 0}, ValueError, "steps must be a whole number of at least 1, got 0"),
        ({"steps": 10.0}, TypeError, "steps must be a whole number of at least 1, got 10.0"),
        ({"every": 0}, ValueError, "every must be a whole number of at least 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(arguments, error, words):
    with pytest.raises(error) as raised:
        runaway_bias(**({"gradient": "naive", "learning_rate": 0.5} | arguments))
    assert str(raised.value) == words
