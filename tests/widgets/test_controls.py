import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widgets import FIGURES, Identity, Landscape, RunawayBias, Saturation, StepsToAccuracy
from widgets.controls import Choice, Range, Switch, steps

unhurried = settings(deadline=None)


def decimals(first: int, last: int, over: int, by: int = 1) -> list[float]:
    """first/over, (first + by)/over, ..., last/over: each the float nearest to that fraction."""
    return [k / over for k in range(first, last + 1, by)]


# The controls as figures.md lists them: positions and default.
LISTED = {
    Saturation: {
        "drift": (decimals(-80, 80, 10), 0),
        "spread": ([0.5, 1, 1.5, 2, 2.5, 3], 1),
        "activation": (["sigmoid", "tanh", "relu"], "sigmoid"),
        "batch_norm": ([False, True], False),
    },
    RunawayBias: {
        "step": (list(range(0, 5001, 25)), 0),
        "gradient": (["naive", "aware"], "naive"),
        "learning_rate": ([0.1, 0.2, 0.5, 1, 2], 0.5),
        "precision": (["float64", "float32", "float16"], "float64"),
    },
    Identity: {
        "gamma": (decimals(-100, 400, 100, 5), 1),
        "beta": (decimals(-60, 60, 10), 0),
        "epsilon": ([1e-8, 1e-5, 1e-3, 1e-1], 1e-5),
    },
    Landscape: {
        "learning_rate": (np.geomspace(1 / 60, 25 / 12, 61).tolist(), None),
        "start": (["corner", "wall", "valley", "near"], "corner"),
        "steps": (list(range(1, 41)), 40),
    },
    StepsToAccuracy: {
        "target": (decimals(600, 750, 10), 72.2),
        "axis": (["linear", "log"], "linear"),
    },
}
CONTROLS = [(figure, name) for figure, controls in LISTED.items() for name in controls]
each_control = pytest.mark.parametrize(("figure", "name"), CONTROLS, ids=[f"{f.slug}-{n}" for f, n in CONTROLS])
RANGES = [(figure, name) for figure, name in CONTROLS if isinstance(figure.controls()[name], Range)]
each_range = pytest.mark.parametrize(("figure", "name"), RANGES, ids=[f"{f.slug}-{n}" for f, n in RANGES])


def test_the_figures_have_the_listed_controls_and_no_others():
    assert {figure: list(figure.controls()) for figure in FIGURES} == {f: list(c) for f, c in LISTED.items()}


@each_control
def test_every_listed_value_is_reached_exactly(figure, name):
    positions, default = LISTED[figure][name]
    assert list(figure.controls()[name].positions) == positions
    if default is not None:
        assert getattr(figure(), name) == default
    shown = figure()
    for value in positions:
        setattr(shown, name, value)
        assert getattr(shown, name) == value
        assert shown.state[name] == value


@each_control
def test_a_control_knows_the_place_of_each_of_its_values(figure, name):
    control = figure.controls()[name]
    assert [control.index(value) for value in control.positions] == list(range(len(control.positions)))
    texts = [control.text(value) for value in control.positions]
    assert len(set(texts)) == len(texts)  # no two positions look the same
    assert control.label
    assert control.describe()["values"] == list(control.positions)


@each_range
def test_a_slider_counted_up_in_floats_reaches_every_position(figure, name):
    control, shown = figure.controls()[name], figure()
    if control.step is None:
        return
    counted = control.positions[0]
    for position in control.positions:
        setattr(shown, name, counted if not control.free else position)
        assert getattr(shown, name) == position
        counted += control.step


@each_range
def test_an_out_of_range_value_is_refused_with_control_value_and_what_is_allowed(figure, name):
    low, high = figure.controls()[name].positions[0], figure.controls()[name].positions[-1]
    shown = figure()
    before = shown.state
    for value, end in ((low - 1, low), (high + 1, high)):
        with pytest.raises(ValueError, match=rf"{name}.* must be at (least|most) .*not ") as refused:
            setattr(shown, name, value)
        assert f"{value}" in str(refused.value)
        assert f"{end}" in str(refused.value)
    for value in (np.nan, np.inf, -np.inf, None, "1"):
        with pytest.raises(ValueError, match=name):
            setattr(shown, name, value)
    assert shown.state == before


def test_0_1_plus_0_2_is_0_3():
    assert 0.1 + 0.2 != 0.3
    assert Saturation(drift=0.1 + 0.2).drift == 0.3
    assert Saturation(drift=np.float32(0.3)).drift == 0.3
    assert Saturation(drift=np.int64(6)).drift == 6


def test_a_value_between_two_positions_is_refused_with_the_nearest():
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        Saturation(drift=0.2499)
    words = "drift must be one of its positions from -8 to 8, not 0.2499; the nearest is 0.2"
    assert str(refused.value) == words
    figure = StepsToAccuracy()
    with pytest.raises(ValueError, match=r"target must be one of its positions from 60 to 75, not 72\.25"):
        figure.target = 72.25
    assert figure.target == 72.2


@unhurried
@given(value=st.floats(-1, 4))
def test_a_free_control_takes_what_lies_between(value):
    assert Identity(gamma=value).gamma == value


def test_only_gamma_and_beta_are_free():
    assert {name for figure, name in RANGES if figure.controls()[name].free} == {"gamma", "beta"}


def test_a_free_value_is_written_with_the_digits_that_it_has():
    gamma = Identity.controls()["gamma"]
    assert gamma.text(1.0) == "1.00"
    assert gamma.text(2.0000025) == "2.0000025"


@unhurried
@given(first=st.integers(-1000, 1000), count=st.integers(1, 300), by=st.integers(1, 50), places=st.integers(0, 4))
def test_steps_are_exact_decimals(first, count, by, places):
    over = 10**places
    expected = [(first + k * by) / over for k in range(count + 1)]
    assert list(steps(first / over, (first + count * by) / over, by / over)) == expected


def test_a_choice_counts_numbers_as_themselves_and_words_by_their_place():
    choice = Choice(("naive", "aware"))
    assert choice.default == "naive"
    assert [choice.index(value) for value in choice.positions] == [0, 1]
    assert choice.number_of("aware") == 1
    assert choice.text("aware") == "aware"
    rates = Choice((0.1, 2.0), 2.0, words=("a tenth", "two"))
    assert rates.default == 2.0
    assert (rates.index(2.0), rates.number_of(2.0), rates.text(2.0)) == (1, 2.0, "two")


def test_a_choice_that_is_none_of_the_values_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"activation.*'gelu'.*sigmoid, tanh, relu"):
        Saturation(activation="gelu")
    with pytest.raises(ValueError, match=r"epsilon.*0\.0001.*1e-08, 1e-05, 0\.001, 0\.1"):
        Identity(epsilon=1e-4)


def test_a_switch_is_off_or_on():
    switch = Saturation.controls()["batch_norm"]
    assert isinstance(switch, Switch)
    assert switch.positions == (False, True)
    assert [switch.index(value) for value in (False, True)] == [0, 1]
    assert [switch.number_of(value) for value in (False, True)] == [0.0, 1.0]
    assert [switch.text(value) for value in (False, True)] == ["off", "on"]
    with pytest.raises(ValueError, match=r"batch_norm.*True or False.*'on'"):
        Saturation(batch_norm="on")
