import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bn_core.activations import sigmoid
from bn_core.figures.identity import EPSILONS, identity
from tests.widgets.screen import any_state, assert_drawn, on_plot, states
from widgets import Identity

epsilons = pytest.mark.parametrize("epsilon", EPSILONS)


def truth(state):
    return identity(state["gamma"], state["beta"], state["epsilon"])


@any_state
@given(state=states(Identity))
def test_readouts_are_the_numbers_of_bn_core(state):
    say, true = Identity(**state).say(), truth(state)
    for name in ("std", "residual", "near_linear"):
        assert say[name].value == pytest.approx(getattr(true, name), rel=1e-6, abs=1e-12), name
    assert say["mean"].value == pytest.approx(true.mean, rel=1e-6, abs=1e-12)
    assert set(say) == {"mean", "std", "residual", "near_linear"}


@any_state
@given(state=states(Identity))
def test_three_distributions_are_drawn_over_one_axis(state):
    figure, true = Identity(**state), truth(state)
    columns = figure.columns()
    for row in ("x", "x_hat", "y"):
        assert columns[f"{row}.x"].size == 512
        assert_drawn(figure, "rows.x", columns[f"{row}.x"], getattr(true, row))


@any_state
@given(state=states(Identity))
def test_every_draw_lies_on_the_plot(state):
    figure = Identity(**state)
    columns = figure.columns()
    for row in ("x", "x_hat", "y"):
        assert on_plot(figure, "rows.x", columns[f"{row}.x"])
        assert on_plot(figure, "rows.y", columns[f"{row}.height"])


def test_the_furthest_draws_lie_on_the_plot():
    for gamma in (-1, 4):
        for beta in (-6, 6):
            figure = Identity(gamma=gamma, beta=beta)
            assert on_plot(figure, "rows.x", figure.columns()["y.x"]), (gamma, beta)


def test_rows_do_not_overlap():
    columns = Identity().columns()
    lowest, highest = zip(
        *((columns[f"{row}.height"].min(), columns[f"{row}.height"].max()) for row in ("y", "x_hat", "x")),
        strict=True,
    )
    assert highest[0] < lowest[1] < highest[1] < lowest[2]


def test_at_rest_heights_pile_the_draws_into_a_histogram():
    columns = Identity().columns()
    x, height = columns["x_hat.x"], columns["x_hat.height"]
    bins = np.floor(x / 0.2)
    for place in np.unique(bins):
        pile = np.sort(height[bins == place])
        assert np.diff(pile) == pytest.approx(np.full(pile.size - 1, 0.016), abs=1e-5)
        assert pile[0] == pytest.approx(1.008, abs=1e-5)


def test_the_reference_curves_are_the_standard_normal_and_the_sigmoid():
    figure = Identity()
    columns = figure.columns()
    t = columns["normal.x"].astype(float)
    count = 512 * 0.2 * np.exp(-t * t / 2) / np.sqrt(2 * np.pi)  # draws expected in a bin of the histogram
    assert_drawn(figure, "rows.y", columns["normal.y"], 1 + 0.016 * count)
    wide = columns["sigmoid.x"].astype(float)
    assert_drawn(figure, "rows.y", columns["sigmoid.y"], 0.8 * sigmoid(wide))


def test_the_input_has_mean_exactly_3_and_standard_deviation_exactly_2():
    x = Identity().columns()["x.x"]
    assert x.mean() == pytest.approx(3, abs=1e-12)
    assert x.std() == pytest.approx(2, abs=1e-12)


@epsilons
def test_set_to_identity_gives_the_input_back_to_1e_12(epsilon):
    figure = Identity(epsilon=epsilon, gamma=-0.5, beta=2.0)
    figure.apply("identity")
    assert figure.say()["residual"].value < 1e-12
    assert figure.gamma == pytest.approx(np.sqrt(4 + epsilon), rel=1e-14)  # exactly, off the slider's grid
    assert figure.beta == pytest.approx(3, abs=1e-12)
    assert figure.epsilon == epsilon


@pytest.mark.parametrize(("epsilon", "gap"), [*zip(EPSILONS, (1e-8, 1e-5, 1e-3, 0.1), strict=True)])
def test_forgetting_epsilon_leaves_a_gap_about_as_large_as_epsilon(epsilon, gap):
    figure = Identity(epsilon=epsilon)
    figure.apply("forget_epsilon")
    assert (figure.gamma, figure.beta) == (2, 3)  # gamma = sqrt(Var), not sqrt(Var + eps)
    assert figure.say()["residual"].value == pytest.approx(gap, rel=0.25)


def test_set_to_standard_is_1_and_0():
    figure = Identity(gamma=2.5, beta=-3)
    figure.apply("standard")
    assert (figure.gamma, figure.beta) == (1, 0)
    assert figure.say()["std"].value == pytest.approx(1, abs=1e-5)


@any_state
@given(state=states(Identity))
def test_the_mean_is_beta_and_the_spread_is_gammas(state):
    say = Identity(**state).say()
    assert say["mean"].value == pytest.approx(state["beta"], abs=1e-12, rel=0)
    spread = abs(state["gamma"]) * np.sqrt(4 / (4 + state["epsilon"]))
    assert say["std"].value == pytest.approx(spread, abs=1e-12, rel=0)


@any_state
@given(gamma=st.floats(-1, 4), beta=st.floats(-6, 6))
def test_gamma_and_beta_may_lie_between_their_positions(gamma, beta):
    figure = Identity(gamma=gamma, beta=beta)
    assert (figure.gamma, figure.beta) == (gamma, beta)
