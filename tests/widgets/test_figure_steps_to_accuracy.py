from functools import cache

import numpy as np
import pytest
from hypothesis import given

from bn_core.figures.steps_to_accuracy import CURVES, NETWORKS, SOURCES, published_points, steps_to
from bn_core.published import IMAGENET
from tests.widgets.screen import HEIGHT, any_state, assert_drawn, ends, pixels, states
from widgets import StepsToAccuracy

TARGETS = StepsToAccuracy.controls()["target"].positions
AXES = ("linear", "log")


def said(target):
    return StepsToAccuracy(target=target).say()


def ticks(figure):
    """The ticks that are shown: their places, in pixels, and the millions of steps that they say."""
    (plot,) = figure.document().roots
    start, end = ends(figure, "curves.x")
    shown = [tick for tick in plot.xaxis[0].ticker.ticks if start <= tick <= end]
    words = plot.xaxis[0].major_label_overrides
    return pixels(figure, "curves.x", shown), np.array([float(words[tick]) for tick in shown])


@cache
def axis_of(axis):
    """The axis as its ticks tell it: pixels = slope * (millions of steps, or their logarithm) + start."""
    places, millions = ticks(StepsToAccuracy(axis=axis))
    return np.polyfit(np.log(millions) if axis == "log" else millions, places, 1)


def across(axis, steps):
    """Where somebody who reads the ticks would put that many steps: pixels from the start of the axis."""
    millions = np.asarray(steps, float) / 1e6
    return np.polyval(axis_of(axis), np.log(millions) if axis == "log" else millions)


def read(axis, places):
    """The steps that somebody reads off the ticks at places in pixels."""
    slope, start = axis_of(axis)
    found = (places - start) / slope
    return 1e6 * (np.exp(found) if axis == "log" else found)


@any_state
@given(state=states(StepsToAccuracy))
def test_readouts_are_the_numbers_of_bn_core(state):
    say, true = StepsToAccuracy(**state).say(), steps_to(state["target"])
    for k, network in enumerate(NETWORKS):
        for name in ("steps", "ratio", "share"):
            expected = getattr(true, name)[k]
            assert say[f"{network}_{name}"].value == pytest.approx(expected, rel=1e-6, abs=0, nan_ok=True)
    reference = IMAGENET[NETWORKS[true.reference]].name if true.reference >= 0 else "none"
    assert say["reference"].text.startswith(reference)
    assert np.isnan(say["reference"].value)


@any_state
@given(state=states(StepsToAccuracy))
def test_crossings_are_drawn_at_the_target_and_the_steps_to_it(state):
    figure, true = StepsToAccuracy(**state), steps_to(state["target"])
    columns = figure.columns()
    assert (columns["target.y"] == state["target"]).all()
    for k, network in enumerate(NETWORKS):
        if network not in CURVES:
            continue
        drawn = pixels(figure, "curves.x", columns[f"{network}_crossing.x"])
        expected = [across(state["axis"], true.steps[k])]
        np.testing.assert_allclose(drawn, expected, atol=0.5, rtol=0)
        assert_drawn(figure, "curves.y", columns[f"{network}_crossing.y"], state["target"])


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("network", CURVES)
def test_curves_are_bn_cores_and_pass_through_the_published_points(axis, network):
    figure = StepsToAccuracy(axis=axis)
    columns = figure.columns()
    x, y = (columns[f"{network}_curve.{name}"].astype(float) for name in "xy")
    steps = read(axis, pixels(figure, "curves.x", x))
    seen = y >= 60  # where the plot begins
    assert_drawn(figure, "curves.y", y[seen], CURVES[network].accuracy(steps[seen]))
    assert y[0] < 60
    assert y[-1] == pytest.approx(IMAGENET[network].max_accuracy)
    points = published_points(network)
    drawn = pixels(figure, "curves.x", columns[f"{network}_points.x"])
    np.testing.assert_allclose(drawn, across(axis, list(points.values())), atol=0.5, rtol=0)
    assert_drawn(figure, "curves.y", columns[f"{network}_points.y"], list(points))
    on_curve = np.interp(columns[f"{network}_points.x"], x, y)
    assert_drawn(figure, "curves.y", on_curve, list(points))


def test_markers_are_the_published_points_and_no_others():
    columns = StepsToAccuracy().columns()
    drawn = {
        (network, round(float(y), 3), round(float(x), 3))
        for network in CURVES
        for x, y in zip(columns[f"{network}_points.x"], columns[f"{network}_points.y"], strict=True)
    }
    assert drawn == {
        ("inception", 72.2, 31.0),
        ("bn_baseline", 72.2, 13.3),
        ("bn_x5", 72.2, 2.1),
        ("bn_x30", 72.2, 2.7),
        ("bn_x30", 74.8, 6.0),
    }


@pytest.mark.parametrize("axis", AXES)
def test_ceilings_are_the_published_maxima_from_where_they_are_reached_to_the_last_tick(axis):
    figure = StepsToAccuracy(axis=axis)
    columns = figure.columns()
    maxima = dict(zip(NETWORKS, (72.2, 72.7, 73.0, 74.8, 69.8), strict=True))
    for network, maximum in maxima.items():
        left, right = pixels(figure, "curves.x", columns[f"{network}_ceiling.x"])
        assert right == pytest.approx(across(axis, 35e6), abs=0.5)
        if network in CURVES:
            curve = pixels(figure, "curves.x", columns[f"{network}_curve.x"])
            assert left <= curve[-1] + 0.5  # no gap between the curve and the line that goes on from it
        assert_drawn(figure, "curves.y", columns[f"{network}_ceiling.y"], [maximum] * 2)
    assert "bn_x5_sigmoid_curve.x" not in columns
    assert "bn_x5_sigmoid_points.x" not in columns


@pytest.mark.parametrize("axis", AXES)
def test_ticks_say_the_millions_of_steps_at_which_they_stand(axis):
    places, millions = ticks(StepsToAccuracy(axis=axis))
    assert places.size >= 7
    np.testing.assert_allclose(places, across(axis, 1e6 * millions), atol=0.5, rtol=0)


def test_the_whole_range_of_targets_lies_on_the_plot():
    figure = StepsToAccuracy()
    heights = pixels(figure, "curves.y", [TARGETS[0], TARGETS[-1]])
    assert heights[0] >= 0
    assert heights[1] <= HEIGHT


def test_at_72_2_percent_the_published_steps_are_31_0_13_3_2_1_and_2_7_million():
    say = said(72.2)
    for network, millions in zip(NETWORKS, ("31.0", "13.3", "2.1", "2.7"), strict=False):
        assert say[f"{network}_steps"].value == float(millions) * 1e6
        assert say[f"{network}_steps"].text == f"{millions}\u202fmillion steps"
        assert say[f"{network}_steps"].source == "published"


def test_bn_x5_needs_14_8_times_fewer_steps_which_is_6_8_percent():
    say = said(72.2)
    assert say["bn_x5_ratio"].text == "14.8"
    assert say["bn_x5_share"].text == "6.8\u202f%"
    assert say["reference"].text == "Inception"


def test_the_sigmoid_network_never_passes_69_8_and_has_no_step_count_below():
    for target in TARGETS:
        say = said(target)
        assert all(np.isnan(say[f"bn_x5_sigmoid_{name}"].value) for name in ("steps", "ratio", "share"))
        expected = "never reaches it" if target > 69.8 else "no step count was published"
        assert say["bn_x5_sigmoid_steps"].text == expected


def test_above_73_percent_only_bn_x30_remains():
    for target in TARGETS:
        if target > 73.0:
            say = said(target)
            for network in NETWORKS:
                reached = network == "bn_x30" and target <= 74.8
                assert np.isfinite(say[f"{network}_steps"].value) == reached
                assert (say[f"{network}_steps"].text == "never reaches it") == (not reached)
            assert say["reference"].text == ("BN-x30" if target <= 74.8 else "none, for none reaches it")


def test_bn_x30_reaches_74_8_percent_at_6_million_steps():
    steps = said(74.8)["bn_x30_steps"]
    assert (steps.value, steps.text, steps.source) == (6e6, "6.0\u202fmillion steps", "published")


def test_each_number_says_whether_it_is_published_or_read_off_our_curve():
    for target in TARGETS:
        say, true = said(target), steps_to(target)
        for k, network in enumerate(NETWORKS):
            source, steps = SOURCES[true.source[k]], say[f"{network}_steps"]
            if source in ("published", "interpolated"):
                assert steps.source == source
            interpolated = source == "interpolated"
            assert (steps.text.startswith("about ") and steps.text.endswith(" (our curve)")) == interpolated


def test_a_ratio_is_published_only_where_both_its_numbers_are():
    for target in TARGETS:
        say, true = said(target), steps_to(target)
        for k, network in enumerate(NETWORKS):
            for name in ("ratio", "share"):
                each = say[f"{network}_{name}"]
                if np.isnan(each.value):
                    assert each.text == "–"
                    continue
                both = SOURCES[true.source[k]] == SOURCES[true.source[true.reference]] == "published"
                assert each.source == ("published" if both else "interpolated")
                assert each.text.startswith("about ") == (not both)


def test_the_target_is_a_line_on_the_plot_as_well_as_a_slider():
    assert StepsToAccuracy.controls()["target"].on_plot == "curves"


def test_presets_are_published_accuracies():
    figure = StepsToAccuracy()
    reached = {}
    for preset in figure.presets:
        figure.apply(preset)
        reached[preset] = figure.target
    assert reached == {"common": 72.2, "sigmoid": 69.8, "best": 74.8}
