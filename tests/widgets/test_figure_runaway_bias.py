from functools import cache

import numpy as np
import pytest
from hypothesis import given

from bn_core.figures import runaway_bias as core
from tests.widgets.screen import any_state, assert_drawn, on_plot, states
from widgets import RunawayBias

STEPS = range(0, 5001, 25)
PANELS = {"bias": "bias.y", "loss": "loss.y", "output_mean": "output.y"}
STALLS = ("stalled_bias", "stalled_step")


@cache
def run(gradient, learning_rate, precision):
    """The run of one state alone."""
    return core.runaway_bias(gradient, learning_rate, precision)


def run_of(state):
    return run(state["gradient"], state["learning_rate"], state["precision"])


def said(step, **state):
    return RunawayBias(step=step, **state).say()


@any_state
@given(state=states(RunawayBias))
def test_readouts_are_the_numbers_of_bn_core(state):
    say, true, at = RunawayBias(**state).say(), run_of(state), int(state["step"]) // 25
    assert true.step[at] == state["step"]
    for name in ("bias", "loss"):
        assert say[name].value == pytest.approx(getattr(true, name)[at], rel=1e-6, abs=1e-12), name
    for name in ("bias_gradient", "output_mean", "output_change"):
        assert say[name].value == pytest.approx(getattr(true, name)[at], rel=1e-6, abs=1e-12), name
    for name in STALLS:
        assert say[name].value == pytest.approx(float(getattr(true, name)), rel=0, nan_ok=True), name


@any_state
@given(state=states(RunawayBias))
def test_both_runs_are_drawn_and_the_chosen_one_as_far_as_it_has_come(state):
    figure = RunawayBias(**state)
    columns, at = figure.columns(), int(state["step"]) // 25
    for gradient in core.GRADIENTS:
        true = run_of(state | {"gradient": gradient})
        chosen = gradient == state["gradient"]
        for name, place in PANELS.items():
            whole = getattr(true, name)
            assert_drawn(figure, place, columns[f"{gradient}_run.{name}"], whole)
            past = whole[: at + 1] if chosen else np.full(at + 1, np.nan)
            assert_drawn(figure, place, columns[f"{gradient}_past.{name}"], past)
            if chosen:
                assert_drawn(figure, place, columns[f"here.{name}"], past[-1:])
        assert columns[f"{gradient}_run.step"].tolist() == list(STEPS)
        assert columns[f"{gradient}_past.step"].tolist() == list(STEPS[: at + 1])
    assert columns["here.step"] == state["step"]


@any_state
@given(state=states(RunawayBias))
def test_the_batch_is_drawn_as_a_strip_with_the_current_step_marked(state):
    figure, true = RunawayBias(**state), run_of(state)
    columns, at = figure.columns(), int(state["step"]) // 25
    step, output = (columns[f"strip.{name}"].reshape(16, -1) for name in ("step", "output"))
    assert_drawn(figure, "output.y", output[:, :-1], true.output.T)
    assert (step[:, :-1] == STEPS).all()
    assert np.isnan(step[:, -1]).all()  # so that no line leads from one example to the next
    assert_drawn(figure, "output.y", columns["examples.output"], true.output[at])
    assert (columns["examples.step"] == state["step"]).all()


@any_state
@given(state=states(RunawayBias, step=5000.0))
def test_everything_drawn_lies_on_its_plot(state):
    figure = RunawayBias(**state)
    columns = figure.columns()
    for name, place in PANELS.items():
        for gradient in core.GRADIENTS:
            assert on_plot(figure, place, columns[f"{gradient}_run.{name}"]), name
    assert on_plot(figure, "output.y", columns["strip.output"])
    assert on_plot(figure, "output.x", columns["strip.step"])


@pytest.mark.parametrize("rate", core.LEARNING_RATES)
def test_the_naive_bias_grows_by_rate_times_mean_t_a_step_while_loss_and_output_stay(rate):
    start = said(0, learning_rate=rate)
    for step in STEPS:
        say = said(step, learning_rate=rate)
        assert say["bias"].value == pytest.approx(rate * step, abs=1e-9, rel=0)
        assert say["bias_gradient"].value == pytest.approx(-1, abs=1e-11)
        assert say["loss"].value == pytest.approx(start["loss"].value, abs=1e-11, rel=0)
        assert abs(say["output_mean"].value) < 1e-11
        assert say["output_change"].value < 1e-11


@pytest.mark.parametrize("rate", core.LEARNING_RATES)
def test_the_aware_bias_stays_and_its_gradient_is_0(rate):
    start = said(0, learning_rate=rate, gradient="aware")
    for step in STEPS:
        say = said(step, learning_rate=rate, gradient="aware")
        assert say["bias"].value == pytest.approx(start["bias"].value, abs=1e-12, rel=0)
        assert abs(say["bias_gradient"].value) < 1e-15
        assert say["loss"].value == pytest.approx(start["loss"].value, abs=1e-11, rel=0)


def test_nothing_overflows_and_no_word_says_so():
    for state in ({"precision": p, "gradient": g} for p in core.PRECISIONS for g in core.GRADIENTS):
        figure = RunawayBias(step=5000, learning_rate=2, **state)
        columns = figure.columns()
        assert np.isfinite([columns[f"now.{name}"] for name in ("bias", "loss", "output_change")]).all()
        words = " ".join([figure.caption, figure.summarize(), *(s.text for s in figure.say().values())])
        assert "overflow" not in words.lower()


def test_in_half_precision_the_flat_output_is_flat_no_longer():
    for rate in core.LEARNING_RATES:
        half = RunawayBias(step=5000, learning_rate=rate, precision="float16").columns()
        full = RunawayBias(step=5000, learning_rate=rate).columns()
        assert np.ptp(half["naive_run.loss"]) > 0.01
        assert np.ptp(full["naive_run.loss"]) < 1e-6
        assert np.ptp(half["strip.output"].reshape(16, -1)[:, :-1], axis=1).max() > 0.1
        assert np.ptp(full["strip.output"].reshape(16, -1)[:, :-1], axis=1).max() == 0


def test_half_precision_near_100_sits_on_a_grid_of_one_sixteenth():
    figure = RunawayBias(learning_rate=0.5, precision="float16")
    for step in (150, 175, 200):
        figure.step = step
        columns = figure.columns()
        assert 64 <= columns["now.bias"] < 128
        sixteenths = 16 * columns["examples.output"]
        assert (sixteenths == np.round(sixteenths)).all()


@pytest.mark.parametrize("rate", core.LEARNING_RATES)
def test_the_value_at_which_half_precision_stalls_is_printed_as_computed(rate):
    say = said(5000, learning_rate=rate, precision="float16")
    true = run("naive", rate, "float16")
    assert say["stalled_bias"].value == true.stalled_bias == true.bias[-1] == say["bias"].value
    assert say["stalled_step"].value == true.stalled_step < 5000
    assert say["stalled_bias"].text == f"at {true.stalled_bias:.0f}"
    assert say["stalled_step"].text == f"{true.stalled_step:.0f}"


def test_what_does_not_stall_says_so_in_words_and_has_no_number():
    for precision in ("float64", "float32"):
        say = said(0, precision=precision)
        for name in STALLS:
            assert np.isnan(say[name].value)
            assert say[name].text == "not within 5000 steps"
    for name in STALLS:
        aware = said(0, precision="float16", gradient="aware")[name]
        assert np.isnan(aware.value)
        assert not any(digit in aware.text for digit in "0123456789")


def test_the_presets_run_to_the_last_step():
    figure = RunawayBias(learning_rate=2.0)
    for preset, gradient, precision in [
        ("run", "naive", "float64"),
        ("half", "naive", "float16"),
        ("see", "aware", "float16"),
    ]:
        figure.apply(preset)
        assert figure.state == {
            "step": 5000,
            "gradient": gradient,
            "learning_rate": 2.0,
            "precision": precision,
        }


def test_the_step_can_be_played():
    assert RunawayBias.controls()["step"].play
