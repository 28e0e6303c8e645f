from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bn_core.figures.steps_to_accuracy import (
    CURVES,
    INTERPOLATED,
    NETWORKS,
    NEVER,
    PUBLISHED,
    SOURCES,
    TARGETS,
    UNPUBLISHED,
    accuracy,
    published_points,
    steps_to,
)
from bn_core.published import IMAGENET

INCEPTION, BASELINE, X5, X30, SIGMOID = range(5)
curves = pytest.mark.parametrize("network", CURVES)


def words(source: np.ndarray) -> list[str]:
    return [SOURCES[i] for i in source]


def test_at_72_2_percent_the_steps_are_the_published_ones():
    found = steps_to(72.2)
    assert found.steps[:4].tolist() == [31.0e6, 13.3e6, 2.1e6, 2.7e6]
    assert words(found.source) == ["published"] * 4 + ["never"]


def test_bn_x5_needs_14_8_times_fewer_steps_than_inception():
    found = steps_to(72.2)
    assert NETWORKS[found.reference] == "inception"
    assert round(found.ratio[X5], 1) == 14.8
    assert round(100 * found.share[X5], 1) == 6.8
    assert round(100 * found.share[BASELINE]) == 43
    assert found.ratio[INCEPTION] == 1


def test_the_sigmoid_network_never_passes_69_8_and_has_no_step_count_below():
    found = steps_to(TARGETS)
    above = TARGETS > 69.8
    assert (found.source[above, SIGMOID] == NEVER).all()
    assert (found.source[~above, SIGMOID] == UNPUBLISHED).all()
    assert TARGETS[~above][-1] == 69.8
    for values in (found.steps, found.ratio, found.share):
        assert np.isnan(values[:, SIGMOID]).all()
    with pytest.raises(ValueError, match="not 'bn_x5_sigmoid': no steps were published for it"):
        accuracy("bn_x5_sigmoid", 1e6)


def test_above_73_percent_only_bn_x30_remains():
    found = steps_to(TARGETS[TARGETS > 73.0])
    assert (found.source[:, [INCEPTION, BASELINE, X5, SIGMOID]] == NEVER).all()
    reached = TARGETS[TARGETS > 73.0] <= 74.8
    assert np.isfinite(found.steps[reached, X30]).all()
    assert (found.reference[reached] == X30).all()
    assert (found.ratio[reached, X30] == 1).all()
    assert steps_to(73.0).source[X5] == INTERPOLATED


def test_bn_x30_reaches_74_8_percent_at_6_million_steps():
    found = steps_to(74.8)
    assert found.steps[X30] == 6e6
    assert found.source[X30] == PUBLISHED


def test_above_74_8_percent_there_is_nobody_to_compare_with():
    found = steps_to(74.9)
    assert (found.source == NEVER).all()
    assert found.reference == -1
    assert np.isnan([found.steps, found.ratio, found.share]).all()


def test_beyond_inception_the_slowest_that_reaches_is_the_reference():
    found = steps_to([72.2, 72.3, 72.8, 73.0, 73.1])
    assert found.reference.tolist() == [INCEPTION, BASELINE, X30, X5, X30]
    for row, reference in enumerate(found.reference):
        assert found.steps[row, reference] == found.steps[row, :4][found.source[row, :4] != NEVER].max() or (
            reference == INCEPTION
        )


def test_nothing_but_the_published_points_is_called_published():
    found = steps_to(TARGETS)
    published = {
        (TARGETS[row], NETWORKS[column]): found.steps[row, column]
        for row, column in np.argwhere(found.source == PUBLISHED)
    }
    assert published == {
        (72.2, "inception"): 31.0e6,
        (72.2, "bn_baseline"): 13.3e6,
        (72.2, "bn_x5"): 2.1e6,
        (72.2, "bn_x30"): 2.7e6,
        (74.8, "bn_x30"): 6e6,
    }


def test_targets_are_the_exact_decimals_of_the_slider():
    assert [str(Decimal(repr(t))) for t in TARGETS.tolist()] == [f"{n // 10}.{n % 10}" for n in range(600, 751)]


@pytest.mark.parametrize("target", [72.2, 60 + 122 * 0.1, 75 - 28 * 0.1, np.nextafter(72.2, 0), 72.2 + 9e-10])
def test_a_sliders_72_2_is_72_2_whatever_its_last_digits(target):
    found = steps_to(target)
    assert found.steps[:4].tolist() == [31.0e6, 13.3e6, 2.1e6, 2.7e6]
    assert words(found.source) == ["published"] * 4 + ["never"]


def test_a_target_next_to_a_published_one_is_not_published():
    assert words(steps_to(72.2 - 1e-6).source[:4]) == ["interpolated"] * 4
    assert words(steps_to(72.2 + 1e-6).source[:2]) == ["never", "interpolated"]


@curves
def test_curves_pass_exactly_through_every_published_point(network):
    assert published_points(network)
    for point, steps in published_points(network).items():
        assert accuracy(network, steps) == pytest.approx(point, abs=1e-9)
        assert CURVES[network].steps_to(point) == pytest.approx(steps, rel=1e-9)


@curves
def test_curves_rise_from_nothing_to_the_published_maximum_and_stay(network):
    curve = CURVES[network]
    steps = np.linspace(0, curve.steps_to_max, 1001)
    assert accuracy(network, 0) == 0
    assert (np.diff(accuracy(network, steps)) > 0).all()
    after = accuracy(network, [curve.steps_to_max, 1e8, np.inf])
    np.testing.assert_array_equal(after, IMAGENET[network].max_accuracy)


@pytest.mark.parametrize(
    ("network", "million_steps_to_max", "exponent"),
    [("inception", 31, 2), ("bn_baseline", 20, 2.22), ("bn_x5", 5, 3.88), ("bn_x30", 6, 2.61)],
)
def test_curves_are_the_ones_of_the_caption(network, million_steps_to_max, exponent):
    curve = CURVES[network]
    assert curve.steps_to_max == million_steps_to_max * 1e6
    assert round(curve.exponent, 2) == exponent
    t = 1.5e6
    u = np.log(1 + t / 0.5e6) / np.log(1 + curve.steps_to_max / 0.5e6)
    assert accuracy(network, t) == pytest.approx(IMAGENET[network].max_accuracy * (1 - (1 - u) ** curve.exponent))


@given(network=st.sampled_from(sorted(CURVES)), share=st.floats(0.02, 0.9999))
def test_the_curve_inverted_gives_the_steps_back(network, share):
    target = share * IMAGENET[network].max_accuracy
    steps = steps_to(target).steps[NETWORKS.index(network)]
    assert accuracy(network, steps) == pytest.approx(target, abs=1e-9)


@given(target=st.floats(1, 100))
def test_each_number_has_a_source_and_each_ratio_a_share(target):
    found = steps_to(target)
    np.testing.assert_array_equal(np.isfinite(found.steps), found.source <= INTERPOLATED)
    np.testing.assert_array_equal(np.isfinite(found.ratio), np.isfinite(found.steps))
    np.testing.assert_allclose((found.ratio * found.share)[np.isfinite(found.ratio)], 1)


def test_a_higher_target_never_takes_fewer_steps():
    steps = steps_to(TARGETS).steps
    for column in range(4):
        reached = steps[:, column][np.isfinite(steps[:, column])]
        assert (np.diff(reached) > 0).all()


def test_targets_may_have_any_shape_and_networks_come_last():
    grid = steps_to(TARGETS[:150].reshape(3, 50))
    assert grid.steps.shape == grid.source.shape == grid.ratio.shape == grid.share.shape == (3, 50, 5)
    assert grid.reference.shape == (3, 50)
    alone = steps_to(TARGETS[60])
    assert (alone.source == grid.source[1, 10]).all()
    # NumPy may add in another order where it has several at once.
    for field in ("steps", "reference", "ratio", "share"):
        np.testing.assert_allclose(getattr(alone, field), getattr(grid, field)[1, 10], rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: steps_to(0.5), ValueError, "target must be from 1 to 100, not 0.5"),
        (lambda: steps_to([70, np.nan]), ValueError, "target must be from 1 to 100, not nan"),
        (lambda: steps_to("72.2"), TypeError, "target must be real numbers, not '72.2'"),
        (lambda: accuracy("bn_x5", -1), ValueError, "steps must be from 0 to inf, not -1"),
        (lambda: accuracy("bn_x5", None), TypeError, "steps must be real numbers, not None"),
        (
            lambda: accuracy("resnet", 1),
            ValueError,
            f"network must be one of {', '.join(NETWORKS)}, not 'resnet'",
        ),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message
