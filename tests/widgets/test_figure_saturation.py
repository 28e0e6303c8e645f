import itertools
import math

import numpy as np
import pytest
from hypothesis import given

from bn_core.activations import ACTIVATIONS
from bn_core.figures.saturation import saturation
from tests.widgets.screen import any_state, assert_drawn, on_plot, states
from widgets import Saturation


def said(**state):
    return Saturation(**state).say()


def truth(state):
    return saturation(state["drift"], state["spread"], state["activation"], state["batch_norm"])


@any_state
@given(state=states(Saturation))
def test_readouts_are_the_numbers_of_bn_core(state):
    say, true = said(**state), truth(state)
    expected = {
        "mean_slope": true.mean_slope,
        "gradient_signal": true.gradient_signal,
        "starved": true.starved,
        "after_3": true.after(3),
        "after_10": true.after(10),
    }
    for name, value in expected.items():
        assert say[name].value == pytest.approx(value, rel=1e-6, abs=0), name
    assert say["batch_mean"].value == pytest.approx(true.batch_mean, rel=1e-6, abs=1e-12)
    assert set(say) == {*expected, "batch_mean"}


@any_state
@given(state=states(Saturation))
def test_points_are_drawn_where_bn_core_puts_them(state):
    figure, true = Saturation(**state), truth(state)
    columns, f = figure.columns(), ACTIVATIONS[state["activation"]]
    where = {"batch": true.x, "normalized": true.x_hat} if state["batch_norm"] else {"batch": true.x}
    for source, x in where.items():
        assert_drawn(figure, "activation.x", columns[f"{source}.x"], x)
        assert_drawn(figure, "activation.y", columns[f"{source}.y"], f.value(x))
        assert_drawn(figure, "slope.y", columns[f"{source}.slope"], f.slope(x) / f.peak)
    if not state["batch_norm"]:
        assert np.isnan(columns["normalized.x"]).all()
    # The batch that is normalized fades; it does not vanish.
    assert columns["batch.alpha"] == pytest.approx(0.25 if state["batch_norm"] else 0.75)


@any_state
@given(state=states(Saturation))
def test_every_point_of_every_batch_lies_on_the_plot(state):
    figure = Saturation(**state)
    columns = figure.columns()
    for source in ("batch", "normalized") if state["batch_norm"] else ("batch",):
        assert on_plot(figure, "activation.x", columns[f"{source}.x"])
        assert on_plot(figure, "activation.y", columns[f"{source}.y"])
        assert on_plot(figure, "slope.x", columns[f"{source}.x"])
        assert on_plot(figure, "slope.y", columns[f"{source}.slope"])
        for end in ("low", "high"):
            assert on_plot(figure, "slope.y", columns[f"{source}.{end}"])


def test_the_widest_batches_lie_on_the_plot():
    for drift in (-8, 8):
        figure = Saturation(drift=drift, spread=3)
        assert on_plot(figure, "activation.x", figure.columns()["batch.x"]), drift


@any_state
@given(state=states(Saturation, batch_norm=False))
def test_the_drawn_batch_has_exactly_the_stated_mean_and_spread(state):
    x = Saturation(**state).columns()["batch.x"]
    assert x.size == 64
    assert x.mean() == pytest.approx(state["drift"], abs=1e-6)
    assert x.std() == pytest.approx(state["spread"], rel=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_drawn_curves_are_the_activation_and_its_slope(activation):
    figure, f = Saturation(activation=activation), ACTIVATIONS[activation]
    columns = figure.columns()
    x = columns["curve.x"].astype(float)
    assert_drawn(figure, "activation.y", columns["curve.y"], f.value(x))
    assert_drawn(figure, "slope.y", columns["curve.slope"], f.slope(x) / f.peak)


def test_a_sigmoids_slope_is_a_quarter_at_0_and_0_00247_at_6():
    columns = Saturation().columns()
    slope = 0.25 * np.interp([-6, 0, 6], columns["curve.x"], columns["curve.slope"])
    assert slope == pytest.approx([0.00247, 0.25, 0.00247], abs=5e-6)


def test_at_a_mean_of_6_a_sigmoid_passes_1_6_percent():
    say = said(drift=6, spread=1)
    assert say["mean_slope"].value == pytest.approx(0.0040, abs=0.0006)
    assert say["gradient_signal"].text == "1.6\u202f%"
    assert round(math.log10(say["after_10"].value)) == -18
    assert "× 10⁻¹" in say["after_10"].text


def test_with_batch_norm_the_mean_slope_is_near_0_207_and_ten_layers_leave_about_15_percent():
    for drift, spread in itertools.product((-8, 0, 6, 8), (0.5, 1, 3)):
        say = said(drift=drift, spread=spread, batch_norm=True)
        assert say["mean_slope"].value == pytest.approx(0.207, abs=0.001)
        assert round(100 * say["gradient_signal"].value) == 83
        assert round(100 * say["after_10"].value) == 15


@any_state
@given(state=states(Saturation, batch_norm=True))
def test_with_batch_norm_no_readout_depends_on_drift_or_spread(state):
    say, at_rest = said(**state), said(**state | {"drift": 0, "spread": 1})
    for name in say:
        assert say[name].value == pytest.approx(at_rest[name].value, abs=1e-4, rel=0), name


def test_relu_passes_all_at_6_nothing_at_minus_6_and_about_half_with_batch_norm():
    def signal(drift, batch_norm=False):
        return said(drift=drift, activation="relu", batch_norm=batch_norm)["gradient_signal"]

    assert (signal(6).value, signal(6).text) == (1, "100.0\u202f%")
    assert (signal(-6).value, signal(-6).text) == (0, "0.0\u202f%")
    for drift in (-6, 6):
        assert signal(drift, batch_norm=True).value == pytest.approx(0.5, abs=0.05)


def test_the_presets_push_the_mean_to_6_and_rescue_the_batch():
    figure = Saturation(activation="tanh")
    figure.apply("push")
    assert figure.state == {"drift": 6, "spread": 1, "activation": "tanh", "batch_norm": False}
    figure.apply("rescue")
    assert figure.state == {"drift": 6, "spread": 1, "activation": "tanh", "batch_norm": True}


def test_the_caption_says_that_the_signal_is_relative_to_the_peak_and_what_else_multiplies():
    for word in ("relative to", "steepest", "weights", "1/σ"):
        assert word in Saturation.caption
