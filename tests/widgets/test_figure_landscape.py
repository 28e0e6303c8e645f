import numpy as np
import pytest
from hypothesis import given

from bn_core.figures.landscape import LEARNING_RATES, STARTS, VERDICTS, WITH, WITHOUT, descend, verdict
from tests.widgets.screen import any_state, assert_drawn, ends, states
from widgets import Landscape

SIDES = {"without": WITHOUT, "with": WITH}


def walks(state):
    rate, start = state["learning_rate"], STARTS[state["start"]]
    return {name: descend(side, rate, *start) for name, side in SIDES.items()}


@pytest.fixture(scope="module")
def verdicts():
    """(side, start) -> the words of the figure at each of the 61 learning rates."""
    words = {}
    for start in STARTS:
        said = [Landscape(learning_rate=rate, start=start).say() for rate in LEARNING_RATES]
        for side in SIDES:
            words[side, start] = np.array([say[f"{side}_verdict"].text for say in said])
    return words


def of(verdicts, side, rates):
    """The different words on one side at those rates, from every start."""
    return {str(word) for start in STARTS for word in verdicts[side, start][rates]}


@any_state
@given(state=states(Landscape))
def test_readouts_are_the_numbers_of_bn_core(state):
    say, true, steps = Landscape(**state).say(), walks(state), int(state["steps"])
    for name, side in SIDES.items():
        assert say[f"{name}_lambda_max"].value == side.lambda_max
        assert say[f"{name}_ceiling"].value == side.ceiling
        loss = true[name].loss[steps]
        assert say[f"{name}_loss"].value == pytest.approx(loss, rel=1e-6, abs=1e-12)
        diverged_at = int(true[name].diverged_at)
        expected = diverged_at if diverged_at >= 0 else np.nan
        assert say[f"{name}_verdict"].value == pytest.approx(expected, nan_ok=True)
        found = VERDICTS[int(verdict(side, state["learning_rate"], *STARTS[state["start"]]))]
        in_words = f"diverged at step {diverged_at}" if diverged_at >= 0 else found
        assert say[f"{name}_verdict"].text.startswith(in_words)


@any_state
@given(state=states(Landscape))
def test_paths_are_drawn_so_far_as_they_have_come(state):
    figure, true, steps = Landscape(**state), walks(state), int(state["steps"])
    columns = figure.columns()
    for name, walk in true.items():
        x, y, loss = (getattr(walk, field)[: steps + 1] for field in ("x", "y", "loss"))
        assert_drawn(figure, f"{name}.x", columns[f"{name}_path.x"], x)
        assert_drawn(figure, f"{name}.y", columns[f"{name}_path.y"], y)
        assert_drawn(figure, "loss.y", columns[f"{name}_path.loss"], loss)
        end = walk.left_at if walk.left_at >= 0 else steps
        assert columns[f"{name}_path.step"].tolist() == [min(step, end) for step in range(steps + 1)]
        assert columns[f"{name}_last.loss"] == columns[f"{name}_path.loss"][-1]
        size = columns[f"{name}_path.size"]
        assert (size[:-1] < size[-1]).all()  # the point that the path has come to stands out


@any_state
@given(state=states(Landscape))
def test_the_browser_gets_nothing_that_is_not_finite(state):
    columns = Landscape(**state).columns()
    for name, column in columns.items():
        if not name.endswith("_fate.diverged_at"):
            assert np.isfinite(column).all(), name
    for side in SIDES:
        assert np.abs(columns[f"{side}_path.x"]).max() < 250
        assert columns[f"{side}_path.loss"].max() < 1e6


def test_both_maps_are_on_the_same_scale():
    figure = Landscape()
    assert ends(figure, "without.x") == ends(figure, "with.x")
    assert ends(figure, "without.y") == ends(figure, "with.y")


def test_contours_lie_at_the_same_levels_of_the_right_loss():
    levels = {}
    for plot in Landscape().document().roots[:2]:
        side = SIDES[plot.name]
        contours = plot.renderers[0].data_source.data
        loss = [side.loss(x, y) for x, y in zip(contours["xs"], contours["ys"], strict=True) if x.size]
        levels[plot.name] = {round(float(np.median(line)), 1) for line in loss}
        for line in loss:
            assert np.abs(line - np.median(line)).max() < 0.06 + 0.01 * np.median(line)
    assert levels["with"] <= levels["without"]
    assert len(levels["with"]) > 4


def test_the_curvatures_are_12_and_1_2_and_the_ceilings_0_167_and_1_667():
    say = Landscape().say()
    assert [say[f"{side}_lambda_max"].text for side in SIDES] == ["12", "1.2"]
    assert [say[f"{side}_ceiling"].value for side in SIDES] == pytest.approx([1 / 6, 5 / 3])


def test_left_is_trapped_at_low_rates(verdicts):
    assert of(verdicts, "without", LEARNING_RATES < 0.054) == {"trapped in a ripple"}


def test_left_is_thrown_across_ripples_just_below_its_ceiling(verdicts):
    below = (LEARNING_RATES > 0.134) & (LEARNING_RATES < 0.16)
    assert below.sum() == 3
    assert of(verdicts, "without", below) == {"thrown from ripple to ripple"}


def test_left_diverges_from_0_167_on_while_the_right_converges(verdicts):
    above = (WITHOUT.ceiling < LEARNING_RATES) & (WITH.ceiling > LEARNING_RATES)
    assert all(word.startswith("diverged at step ") for word in of(verdicts, "without", above))
    assert of(verdicts, "with", above) <= {"converging", "oscillating as it converges"}


def test_at_the_top_both_diverge(verdicts):
    for side in SIDES:
        assert all(word.startswith("diverged at step ") for word in of(verdicts, side, [-1]))


def test_no_side_diverges_below_its_ceiling_and_each_does_above(verdicts):
    for name, side in SIDES.items():
        above = side.ceiling < LEARNING_RATES
        for start in STARTS:
            diverges = np.char.startswith(verdicts[name, start], "diverg")
            np.testing.assert_array_equal(diverges, above)


def test_diverged_at_step_k_is_the_first_drawn_loss_over_ten_times_the_starts():
    for rate in LEARNING_RATES[29:]:
        figure = Landscape(learning_rate=rate, start="wall")
        say, columns = figure.say(), figure.columns()
        for side in SIDES:
            loss = columns[f"{side}_path.loss"]
            over = np.flatnonzero(loss > 10 * loss[0])
            if over.size:
                assert say[f"{side}_verdict"].text == f"diverged at step {over[0]}"
            else:
                assert np.isnan(say[f"{side}_verdict"].value)


def test_each_start_can_be_clicked_on_either_map():
    points = Landscape.controls()["start"].points
    assert set(points) == set(SIDES)
    for places in points.values():
        assert places == [STARTS[name] for name in Landscape.controls()["start"].positions]
    columns = Landscape().columns()
    drawn = np.column_stack([columns["starts.x"], columns["starts.y"]])
    np.testing.assert_allclose(drawn, list(STARTS.values()), rtol=1e-6)


def test_the_presets_tell_the_story():
    figure = Landscape(start="valley")
    told = {}
    for preset in figure.presets:
        figure.apply(preset)
        say = figure.say()
        told[preset] = say["without_verdict"].text.split()[0], say["with_verdict"].text.split()[0]
    assert told == {
        "trapped": ("trapped", "converging"),
        "thrown": ("thrown", "converging"),
        "beyond": ("diverged", "converging"),
        "both": ("diverged", "diverged"),
    }


def test_it_is_captioned_as_an_illustration_and_steps_can_be_played():
    assert "illustration" in Landscape.caption.lower()
    assert Landscape.controls()["steps"].play
