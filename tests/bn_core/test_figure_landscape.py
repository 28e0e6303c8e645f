import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bn_core.figures.landscape import (
    AT_REST,
    BOUND,
    CONVERGING,
    DIVERGED,
    DIVERGING,
    LEARNING_RATES,
    MAP,
    OSCILLATING,
    STARTS,
    STEPS,
    THROWN,
    TRAPPED,
    VERDICTS,
    WITH,
    WITHOUT,
    Landscape,
    descend,
    modes,
    verdict,
)

RATES = LEARNING_RATES[:, np.newaxis]
START_X, START_Y = np.array(list(STARTS.values())).T
SIDES = [WITHOUT, WITH]
SMOOTH = [WITHOUT.smooth_part, WITH]
both_sides = pytest.mark.parametrize("side", SIDES, ids=["without", "with"])
points = st.floats(-MAP, MAP)


@given(x=points, y=points)
def test_the_landscapes_are_the_ones_printed_on_the_page(x, y):
    assert WITHOUT.loss(x, y) == pytest.approx(6 * x**2 + y**2 / 2 + 0.25 * (1 - np.cos(12 * y)))
    assert WITH.loss(x, y) == pytest.approx(0.6 * x**2 + 0.5 * y**2)


@both_sides
@given(x=points, y=points)
def test_the_gradient_agrees_with_finite_differences(side, x, y):
    h = 1e-5
    by_x, by_y = side.gradient(x, y)
    assert by_x == pytest.approx((side.loss(x + h, y) - side.loss(x - h, y)) / (2 * h), abs=1e-6)
    assert by_y == pytest.approx((side.loss(x, y + h) - side.loss(x, y - h)) / (2 * h), abs=1e-6)


def test_ceilings_are_two_over_the_largest_smooth_curvature():
    assert [side.lambda_max for side in SIDES] == [12, 1.2]
    assert [side.ceiling for side in SIDES] == pytest.approx([0.167, 1.667], abs=4e-4)
    assert [side.ceiling * side.lambda_max for side in SIDES] == [2, 2]


def test_ripples_add_curvature_36_along_y_only():
    h = 1e-4
    ripples = [(WITHOUT.loss(0, y) - WITHOUT.smooth_part.loss(0, y)) for y in (-h, 0, h)]
    assert (ripples[0] - 2 * ripples[1] + ripples[2]) / h**2 == pytest.approx(36, abs=1e-3)
    ripples_at_0 = WITHOUT.loss([0.5, 1.5], 0) - WITHOUT.smooth_part.loss([0.5, 1.5], 0)
    np.testing.assert_array_equal(ripples_at_0, 0)


def test_ridges_are_the_local_maxima_along_y():
    y = np.linspace(-MAP, MAP, 600_001)
    loss = WITHOUT.loss(0, y)
    peaks = y[1:-1][(loss[1:-1] > loss[:-2]) & (loss[1:-1] > loss[2:])]
    np.testing.assert_allclose(WITHOUT.ridges(), peaks, atol=1e-5)
    assert WITH.ridges().size == 0


def test_ripples_are_counted_from_the_lowest():
    assert WITHOUT.ripple([0, 0.2, -0.2, 0.3, -0.3, 2.6, -5]).tolist() == [0, 0, 0, 1, -1, 5, -5]
    assert WITH.ripple([-2, 0, 2]).tolist() == [0, 0, 0]


def test_control_values_are_those_of_the_figure():
    assert LEARNING_RATES.shape == (61,)
    assert (LEARNING_RATES[0], LEARNING_RATES[-1]) == (1 / 60, 25 / 12)
    np.testing.assert_allclose(np.diff(np.log(LEARNING_RATES)), np.log(125) / 60)
    assert STARTS == {"corner": (1.6, 2.4), "wall": (2.4, 1.0), "valley": (0.3, 2.6), "near": (-0.8, -0.9)}
    assert list(STEPS) == list(range(1, 41))


def test_left_is_trapped_at_low_rates():
    low = RATES[RATES[:, 0] < 0.054]
    assert low.size == 15
    assert (verdict(WITHOUT, low, START_X, START_Y) == TRAPPED).all()
    walk = descend(WITHOUT, low, START_X, START_Y)
    assert (walk.loss[..., -1] > 0.5).all()  # while the minimum's is 0


def test_left_is_thrown_across_ripples_just_below_its_ceiling():
    below = RATES[(RATES[:, 0] > 0.134) & (RATES[:, 0] < 0.16)]
    assert below.size == 3
    assert (verdict(WITHOUT, below, START_X, START_Y) == THROWN).all()


def test_between_trapped_and_thrown_the_left_bounces_inside_a_ripple():
    between = RATES[(RATES[:, 0] > 0.054) & (RATES[:, 0] < 0.134)]
    found = verdict(WITHOUT, between, START_X, START_Y)
    assert np.isin(found, [TRAPPED, OSCILLATING]).all()
    assert (found[between[:, 0] > 0.09] == OSCILLATING).all()


def test_left_diverges_from_its_ceiling_on_while_the_right_converges():
    above = RATES[(RATES[:, 0] > WITHOUT.ceiling) & (RATES[:, 0] < WITH.ceiling)]
    assert above.size == 29
    assert (verdict(WITHOUT, above, START_X, START_Y) == DIVERGED).all()
    right = verdict(WITH, above, START_X, START_Y)
    assert np.isin(right, [CONVERGING, OSCILLATING]).all()
    np.testing.assert_array_equal(right == OSCILLATING, np.broadcast_to(above > 1 / WITH.lambda_max, right.shape))
    walk = descend(WITH, above, START_X, START_Y)
    assert (walk.loss[..., -1] < 1e-2 * walk.loss[..., 0]).mean() > 0.9
    assert (np.diff(walk.loss, axis=-1) <= 0).all()


def test_at_the_top_both_diverge():
    for side in SIDES:
        assert (verdict(side, LEARNING_RATES[-1], START_X, START_Y) == DIVERGED).all()


def test_the_verdict_never_turns_back_as_the_rate_grows():
    left = verdict(WITHOUT, RATES, START_X, START_Y)
    right = verdict(WITH, RATES, START_X, START_Y)
    order = {TRAPPED: 0, OSCILLATING: 1, THROWN: 2, DIVERGED: 3}
    assert (np.diff(np.vectorize(order.__getitem__)(left), axis=0) >= 0).all()
    order = {CONVERGING: 0, OSCILLATING: 1, DIVERGED: 2}
    assert (np.diff(np.vectorize(order.__getitem__)(right), axis=0) >= 0).all()


@pytest.mark.parametrize("side", SMOOTH, ids=["without", "with"])
def test_on_the_smooth_parts_the_verdict_flips_exactly_at_the_ceiling(side):
    below = verdict(side, 0.99 * side.ceiling, START_X, START_Y)
    above = verdict(side, 1.01 * side.ceiling, START_X, START_Y)
    assert (below == OSCILLATING).all()
    assert (above == DIVERGING).all()
    walk = descend(side, np.array([[0.99], [1.01]]) * side.ceiling, START_X, START_Y)
    steep = np.abs(walk.x)  # x is the steepest axis on both sides
    assert (steep[0, :, -1] < 0.5 * steep[0, :, 0]).all()
    assert (steep[1, :, -1] > 2 * steep[1, :, 0]).all()


def test_a_little_above_the_ceiling_is_diverging_long_before_it_has_diverged():
    early = verdict(WITH, LEARNING_RATES[58], START_X, START_Y, steps=5)
    late = verdict(WITH, LEARNING_RATES[58], START_X, START_Y, steps=40)
    assert [VERDICTS[i] for i in early] == ["diverging"] * 4
    assert [VERDICTS[i] for i in late] == ["diverged"] * 4


def test_diverged_at_is_the_first_step_over_ten_times_the_starts_loss():
    walk = descend(WITHOUT, LEARNING_RATES[29], START_X, START_Y)
    assert walk.diverged_at.tolist() == [21, 19, 35, 21]
    for loss, step in zip(walk.loss, walk.diverged_at, strict=True):
        assert loss[step] > 10 * loss[0]
        assert (loss[:step] <= 10 * loss[0]).all()
    assert (descend(WITH, LEARNING_RATES[29], START_X, START_Y).diverged_at == -1).all()


@both_sides
def test_every_path_the_browser_gets_is_finite(side):
    with np.errstate(all="raise", under="ignore"):
        walk = descend(side, RATES, START_X, START_Y)
        verdict(side, RATES, START_X, START_Y)
    for values in (walk.x, walk.y, walk.loss):
        assert np.isfinite(values).all()
    assert np.abs(walk.x).max() < 25 * BOUND
    assert np.abs(walk.y).max() < 25 * BOUND
    assert walk.loss.max() < 1e6


@both_sides
def test_a_diverged_path_leaves_the_map_and_then_stands_still(side):
    rate, x, y = LEARNING_RATES[-1], *STARTS["wall"]
    walk = descend(side, rate, x, y)
    step = 0
    while max(abs(x), abs(y)) <= BOUND:
        assert (walk.x[step], walk.y[step]) == pytest.approx((x, y))
        by_x, by_y = side.gradient(x, y)
        x, y, step = x - rate * by_x, y - rate * by_y, step + 1
    assert walk.left_at == step
    assert (walk.x[step], walk.y[step]) == pytest.approx((x, y))
    for values in (walk.x, walk.y, walk.loss):
        assert (values[step:] == values[step]).all()


def test_on_a_bowl_without_ripples_every_path_is_its_start_times_the_modes():
    rate = 0.9  # x overshoots and y does not
    walk, (left_x, left_y) = descend(WITH, rate, 1.6, 2.4), modes(WITH, rate)
    np.testing.assert_allclose(walk.x, 1.6 * left_x, rtol=1e-9)
    np.testing.assert_allclose(walk.y, 2.4 * left_y, rtol=1e-9)
    with pytest.raises(ValueError, match="ripple_height"):
        modes(WITHOUT, rate)


@settings(max_examples=200)
@given(rate=st.floats(1e-3, 10), x=points, y=points, side=st.sampled_from(SIDES + SMOOTH))
def test_any_start_on_the_map_at_any_rate_stays_finite(rate, x, y, side):
    with np.errstate(all="raise", under="ignore"):
        walk = descend(side, rate, x, y)
        found = verdict(side, rate, x, y)
    assert np.isfinite([walk.x, walk.y, walk.loss]).all()
    assert (found == DIVERGED) == (walk.diverged_at >= 0)
    assert (found in (DIVERGED, DIVERGING)) or rate <= side.ceiling


def test_trapped_means_at_rest_in_a_ripple_that_is_not_the_lowest():
    walk = descend(WITHOUT, RATES, START_X, START_Y)
    trapped = verdict(WITHOUT, RATES, START_X, START_Y) == TRAPPED
    x, y = walk.x[trapped][:, -1], walk.y[trapped][:, -1]
    assert (np.hypot(*WITHOUT.gradient(x, y)) < AT_REST).all()
    assert (np.abs(y) > WITHOUT.ridges()[5]).all()
    assert verdict(WITHOUT, 0.02, 1.0, 0.1) == CONVERGING  # in the lowest ripple it is not trapped


def test_one_state_alone_is_the_frame_of_the_grid():
    grid = descend(WITHOUT, RATES, START_X, START_Y)
    for i, j in [(0, 0), (20, 3), (27, 1), (29, 2), (60, 0)]:
        alone = descend(WITHOUT, LEARNING_RATES[i], START_X[j], START_Y[j])
        for field in ("x", "y", "loss", "diverged_at"):
            np.testing.assert_array_equal(getattr(alone, field), getattr(grid, field)[i, j])
        assert (
            verdict(WITHOUT, LEARNING_RATES[i], START_X[j], START_Y[j])
            == (verdict(WITHOUT, RATES, START_X, START_Y)[i, j])
        )


def test_shapes_put_the_step_last_and_a_shorter_walk_is_the_beginning_of_a_longer_one():
    long = descend(WITH, RATES, START_X, START_Y)
    short = descend(WITH, RATES, START_X, START_Y, steps=7)
    assert long.x.shape == long.y.shape == long.loss.shape == (61, 4, 41)
    assert long.diverged_at.shape == verdict(WITH, RATES, START_X, START_Y).shape == (61, 4)
    for field in ("x", "y", "loss"):
        np.testing.assert_array_equal(getattr(short, field), getattr(long, field)[..., :8])
    np.testing.assert_array_equal(long.loss[..., 0], np.broadcast_to(WITH.loss(START_X, START_Y), (61, 4)))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"learning_rate": 0}, ValueError, "learning_rate must be above 0 and at most 10, not 0.0"),
        ({"learning_rate": [1, 99]}, ValueError, "learning_rate must be above 0 and at most 10, not 99.0"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate must be above 0 and at most 10, not nan"),
        ({"learning_rate": "1"}, TypeError, "learning_rate must be real numbers, not '1'"),
        ({"start_x": 3.1}, ValueError, "start_x must be from -3 to 3, not 3.1"),
        ({"start_y": -np.inf}, ValueError, "start_y must be from -3 to 3, not -inf"),
        ({"steps": 0}, ValueError, "steps must be a whole number of at least 1, got 0"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(arguments, error, words):
    for function in (descend, verdict):
        with pytest.raises(error) as raised:
            function(**({"side": WITH, "learning_rate": 0.1, "start_x": 1, "start_y": 1} | arguments))
        assert str(raised.value) == words


def test_a_landscape_is_a_bowl():
    with pytest.raises(ValueError, match="curvature_y must be above 0 and finite, not 0"):
        Landscape(1, 0)
    with pytest.raises(ValueError, match="ripple_height must be at least 0 and finite, not -1"):
        Landscape(1, 1, ripple_height=-1)
