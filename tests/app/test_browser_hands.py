"""The claims of the five figures, shown to a reader who drags, clicks and types in a real browser."""

from __future__ import annotations

import math

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from bn_core.figures import identity as identity_maths
from bn_core.figures.landscape import LEARNING_RATES, STARTS, WITH, WITHOUT, descend
from bn_core.figures.runaway_bias import runaway_bias
from bn_core.figures.saturation import saturation
from bn_core.figures.steps_to_accuracy import NETWORKS, steps_to
from tests.app.reader import Reader
from widgets import FIGURES, Figure, Identity, Landscape, RunawayBias, Saturation, StepsToAccuracy
from widgets.controls import Choice, Range, Switch

each_figure = pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.slug)


@pytest.fixture
def alone(page: Page, served: str):
    """Opens a figure on its own page."""

    def open_figure(figure: type[Figure], query: str = "") -> Reader:
        return Reader.of(page, figure, f"{served}/app?figure={figure.slug}{query}")

    return open_figure


# ---- every figure


@each_figure
def test_dragging_the_finest_slider_moves_label_readouts_and_plot_together(alone, figure) -> None:
    reader = alone(figure)
    ranges = {name: c for name, c in figure.controls().items() if isinstance(c, Range)}
    name = max(ranges, key=lambda each: len(ranges[each].positions))
    before = reader.drawn()
    reader.drag(name, 0.71)
    value = reader.state()[name]
    control = ranges[name]
    assert abs(control.index(value) - 0.71 * (len(control.positions) - 1)) <= 0.02 * len(control.positions)
    assert reader.label(name) == control.text(value)
    twin = figure(**reader.state())
    for readout, said in twin.say().items():
        assert reader.value(readout) == pytest.approx(said.value, rel=1e-6, abs=1e-12, nan_ok=True)
    after = reader.drawn()
    assert any(after[c].shape != before[c].shape or not np.array_equal(after[c], before[c], True) for c in after)


@each_figure
def test_every_control_is_set_from_the_keyboard(alone, figure) -> None:
    reader = alone(figure)
    for name, control in figure.controls().items():
        inputs = reader.control(name).locator("input")
        before = reader.state()[name]
        (inputs.nth(control.index(before)) if isinstance(control, Choice) else inputs).focus()
        at_the_end = before == control.positions[-1]
        key = " " if isinstance(control, Switch) else "ArrowLeft" if at_the_end else "ArrowRight"
        reader.page.keyboard.press(key)
        reader.settle()
        index = control.index(before) + (-1 if at_the_end else 1)
        assert reader.state()[name] == control.positions[index], name


@each_figure
def test_reset_brings_back_the_first_state(alone, figure) -> None:
    reader = alone(figure)
    start = reader.state()
    for name, control in figure.controls().items():
        reader.set(name, control.positions[-1] if start[name] != control.positions[-1] else control.positions[0])
    assert all(reader.state()[name] != start[name] for name in start)
    reader.at.get_by_role("button", name="Reset").click()
    reader.settle()
    assert reader.state() == start


# ---- saturation


def test_a_drifted_sigmoid_passes_almost_nothing_until_batch_norm_is_switched_on(alone) -> None:
    reader = alone(Saturation)
    reader.set("drift", 6.0)
    expected = saturation(6.0, 1.0)
    assert reader.label("drift") == "6.0"
    assert reader.value("mean_slope") == pytest.approx(float(expected.mean_slope), rel=1e-6)
    assert reader.value("mean_slope") == pytest.approx(0.0040, abs=0.0006)
    assert reader.value("after_10") == pytest.approx(float(expected.after(10)), rel=1e-6)
    assert 1e-19 < reader.value("after_10") < 1e-17
    np.testing.assert_allclose(reader.drawn()["batch.x"], expected.x, atol=1e-5)

    reader.control("batch_norm").locator("input").check()
    reader.settle()
    assert reader.value("gradient_signal") == pytest.approx(0.83, abs=0.005)
    assert reader.value("after_10") == pytest.approx(0.15, abs=0.01)
    np.testing.assert_allclose(reader.drawn()["normalized.x"], expected.x_hat, atol=1e-5)


def test_with_batch_norm_no_readout_depends_on_drift_or_spread(alone) -> None:
    reader = alone(Saturation, "&batch_norm=on")
    first = reader.says()
    for drift, spread in ((-8.0, 0.5), (8.0, 3.0), (3.3, 2.0)):
        reader.set("drift", drift)
        reader.set("spread", spread)
        for name, (_, value, _) in reader.says().items():
            assert value == pytest.approx(first[name][1], abs=1e-4), name


def test_relu_passes_all_nothing_and_half(alone) -> None:
    reader = alone(Saturation, "&activation=relu")
    for drift, on, signal in ((6.0, False, 1.0), (-6.0, False, 0.0), (-6.0, True, 0.5)):
        reader.set("drift", drift)
        reader.set("batch_norm", on)
        assert reader.value("gradient_signal") == pytest.approx(signal, abs=0.05 if on else 0)


# ---- runaway-bias


def test_the_naive_bias_runs_away_while_output_and_loss_stand_still(alone) -> None:
    reader = alone(RunawayBias)
    run = runaway_bias("naive", 0.5)
    start = reader.value("loss")
    for step in (25.0, 2500.0, 5000.0):
        reader.set("step", step)
        assert reader.value("bias") == pytest.approx(0.5 * step, abs=1e-9)
        assert reader.value("bias") == pytest.approx(run.bias[int(step) // 25], rel=1e-6)
        assert reader.value("loss") == pytest.approx(start, abs=1e-11)
        assert reader.value("output_change") == pytest.approx(0, abs=1e-11)
    assert reader.drawn()["here.bias"] == pytest.approx([2500])

    reader.set("gradient", "aware")
    assert reader.value("bias") == pytest.approx(0, abs=1e-12)
    assert reader.value("bias_gradient") == pytest.approx(0, abs=1e-15)


def test_in_half_precision_the_bias_stalls_where_the_arithmetic_says(alone) -> None:
    reader = alone(RunawayBias, "&precision=float16&step=5000")
    stalled = float(runaway_bias("naive", 0.5, "float16").stalled_bias)
    assert reader.value("stalled_bias") == reader.value("bias") == stalled
    assert str(round(stalled)) in reader.text("stalled_bias")
    assert reader.value("output_change") > 0.1


def test_playing_runs_to_the_end_and_can_be_paused(alone) -> None:
    reader = alone(RunawayBias, "&step=4000")
    play = reader.at.locator("[data-play]")
    play.click()
    expect(play).to_have_text("Pause")
    reader.page.wait_for_function("() => document.querySelector('[data-control=step] input').value > 4100")
    play.click()
    expect(play).to_have_text("Play")
    paused = reader.state()["step"]
    reader.page.wait_for_timeout(200)
    assert reader.state()["step"] == paused
    reader.at.locator("[data-step='1']").click()
    reader.settle()
    assert reader.state()["step"] == paused + 25
    play.click()
    reader.page.wait_for_function("() => document.querySelector('[data-control=step] input').value == 5000")
    expect(play).to_have_text("Play")


# ---- identity


@pytest.mark.parametrize("epsilon", identity_maths.EPSILONS)
def test_gamma_and_beta_restore_the_input_and_a_forgotten_epsilon_leaves_its_gap(alone, epsilon) -> None:
    reader = alone(Identity)
    reader.set("epsilon", epsilon)
    reader.at.locator("[data-preset=identity]").click()
    reader.settle()
    gamma, beta = identity_maths.undo(epsilon)
    assert reader.state()["gamma"] == float(gamma)
    assert reader.state()["beta"] == float(beta)
    assert reader.value("residual") < 1e-12
    drawn = reader.drawn()
    np.testing.assert_allclose(drawn["y.x"], drawn["x.x"], atol=1e-12)

    reader.at.locator("[data-preset=forget_epsilon]").click()
    reader.settle()
    gap = float(identity_maths.identity(2.0, 3.0, epsilon).residual)
    assert reader.value("residual") == pytest.approx(gap, abs=1e-12)
    assert epsilon / 10 < gap < 10 * epsilon


def test_the_output_has_the_mean_beta_and_the_spread_gamma(alone) -> None:
    reader = alone(Identity)
    for gamma, beta in ((2.5, -4.3), (-0.75, 5.9), (0.0, 1.0)):
        reader.set("gamma", gamma)
        reader.set("beta", beta)
        assert reader.value("mean") == pytest.approx(beta, abs=1e-12)
        assert reader.value("std") == pytest.approx(abs(gamma) * math.sqrt(4 / (4 + 1e-5)), abs=1e-12)


# ---- landscape


def test_one_rate_throws_the_left_side_about_while_the_right_converges(alone) -> None:
    reader = alone(Landscape)
    for position, left, right in (
        (8, "trapped in a ripple", "converging"),
        (27, "thrown from ripple to ripple", "converging"),
        (30, "diverged at step 6", "converging"),
        (60, "diverged at step 1", "diverged at step 4"),
    ):
        reader.set("learning_rate", LEARNING_RATES[position])
        assert reader.label("learning_rate") == f"{LEARNING_RATES[position]:.3g}"
        assert reader.text("without_verdict") == left
        assert reader.text("with_verdict") == right
    assert reader.text("without_loss").endswith("off the map")
    drawn = reader.drawn()
    assert drawn["without_path.step"].max() < 5, "the line ends where the path has left the map"
    assert all(np.isfinite(drawn[f"{side}_path.{axis}"]).all() for side in ("without", "with") for axis in ("x", "y"))


@pytest.mark.parametrize("plot", ["without", "with"])
def test_a_click_near_a_start_on_either_map_chooses_it(alone, plot) -> None:
    reader = alone(Landscape)
    for name, (x, y) in STARTS.items():
        left, top = reader.pixel(plot, x, y)
        if not 0 < top < 700:
            reader.page.mouse.wheel(0, top - 300)
            reader.page.wait_for_timeout(300)
            left, top = reader.pixel(plot, x, y)
        reader.page.mouse.click(left - 9, top + 7)
        reader.settle()
        assert reader.state()["start"] == name
        path = descend({"without": WITHOUT, "with": WITH}[plot], LEARNING_RATES[8], x, y)
        np.testing.assert_allclose(reader.drawn()[f"{plot}_path.x"], path.x, atol=0.5 / 64)
        assert reader.value(f"{plot}_loss") == pytest.approx(path.loss[-1], rel=1e-6)


# ---- steps-to-accuracy


def test_at_the_published_target_the_published_numbers_stand(alone) -> None:
    reader = alone(StepsToAccuracy)
    assert reader.label("target") == "72.2\u202f%"
    for network, millions in (("inception", 31.0), ("bn_baseline", 13.3), ("bn_x5", 2.1), ("bn_x30", 2.7)):
        assert reader.value(f"{network}_steps") == millions * 1e6
        assert reader.text(f"{network}_steps") == f"{millions}\u202fmillion steps"
        assert reader.says()[f"{network}_steps"][2] == "published"
    assert reader.text("bn_x5_ratio") == "14.8"
    assert reader.text("bn_x5_share") == "6.8\u202f%"
    assert reader.text("bn_x5_sigmoid_steps") == "never reaches it"


def test_between_published_points_a_number_is_said_to_be_ours(alone) -> None:
    reader = alone(StepsToAccuracy)
    reader.set("target", 69.8)
    text, value, source = reader.says()["inception_steps"]
    assert source == "interpolated"
    assert text.startswith("about")
    assert text.endswith("(our curve)")
    assert value == pytest.approx(steps_to(69.8).steps[NETWORKS.index("inception")], rel=1e-6)
    assert math.isnan(reader.value("bn_x5_sigmoid_steps"))
    assert "no step count" in reader.text("bn_x5_sigmoid_steps")
    reader.set("target", 73.1)
    reaching = [n for n in NETWORKS if not math.isnan(reader.value(f"{n}_steps"))]
    assert reaching == ["bn_x30"]
    reader.set("target", 74.8)
    assert reader.value("bn_x30_steps") == 6e6


def test_the_line_on_the_plot_is_dragged_and_its_slider_follows(alone) -> None:
    reader = alone(StepsToAccuracy)
    reader.at.locator("[data-plot=curves]").scroll_into_view_if_needed()
    x, y = reader.pixel("curves", 15, 72.2)
    _, lower = reader.pixel("curves", 15, 66)
    reader.page.mouse.move(x, y)
    reader.page.mouse.down()
    reader.page.mouse.move(x, lower, steps=10)
    reader.page.mouse.up()
    reader.settle()
    target = reader.state()["target"]
    assert target == pytest.approx(66, abs=0.11)
    assert reader.label("target") == f"{target:.1f}\u202f%"
    assert reader.control("target").locator("input").input_value() == str(target)
    assert reader.drawn()["target.y"] == pytest.approx([target, target])
    # Where the line is drawn is where its handle lies.
    reader.at.locator("[data-twin=target] input").focus()
    reader.page.keyboard.press("ArrowUp")
    reader.settle()
    assert reader.state()["target"] == pytest.approx(target + 0.1)
