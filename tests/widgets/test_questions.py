"""The question of each figure: one answer is right, and bn_core says which."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bn_core.figures.identity import identity, undo
from bn_core.figures.landscape import STARTS, VERDICTS, WITH, WITHOUT, verdict
from bn_core.figures.runaway_bias import EVERY, runaway_bias
from bn_core.figures.saturation import saturation
from bn_core.figures.steps_to_accuracy import NETWORKS, steps_to
from bn_core.published import IMAGENET
from widgets import FIGURES, Figure, Identity, Landscape, RunawayBias, Saturation, StepsToAccuracy
from widgets.figure import Question

each_figure = pytest.mark.parametrize("kind", FIGURES, ids=lambda kind: kind.slug)


def question_of(kind: type[Figure]) -> Question:
    assert kind.question
    return kind.question


def assert_right(kind: type[Figure], truth: dict[str, bool]) -> None:
    """Of all answers one is true, and it is the one that counts as right."""
    question = question_of(kind)
    assert set(truth) == set(question.answers)
    assert [answer for answer in question.answers if truth[answer]] == [question.answers[question.right]]


@each_figure
def test_a_question_has_a_few_answers_and_no_number_that_is_typed(kind: type[Figure]) -> None:
    question = question_of(kind)
    assert 3 <= len(set(question.answers)) == len(question.answers) <= 4
    named = set(re.findall(r"\{(\w+)\}", question.text + question.why))
    assert named <= {*kind.controls(), *kind.readouts}
    assert named & set(kind.readouts), "what the figure says belongs into the reason"
    words = " ".join((question.text, *question.answers, re.sub(r"\{\w+\}", "", question.why)))
    for network in IMAGENET.values():
        words = words.replace(network.name, "")
    assert not re.search(r"\d", re.sub(r"\{\w+\}", "", words))


@each_figure
def test_a_question_is_filled_with_what_the_figure_says(kind: type[Figure]) -> None:
    question, shown = question_of(kind), kind.answered()
    for words in (question.text, question.why):
        filled = shown.fill(words)
        assert "{" not in filled
        for name in re.findall(r"\{(\w+)\}", words):
            said = shown.say()
            assert (said[name].text if name in said else kind.controls()[name].text(shown.state[name])) in filled


@each_figure
def test_a_question_is_asked_and_answered_in_whole_states(kind: type[Figure]) -> None:
    question = question_of(kind)
    assert kind.asked().state == kind().state | dict(question.start)
    changed = {n for n, v in kind.answered().state.items() if v != kind.asked().state[n]}
    assert changed <= set(question.state)
    spec = kind().document().roots[0].tags[0]["question"]
    assert (spec["start"], spec["state"]) == (kind.asked().state, kind.answered().state)


def test_a_sigmoid_far_out_passes_less_than_a_fiftieth() -> None:
    state = Saturation.answered().state
    signal = float(saturation(*state.values()).gradient_signal)
    assert state["activation"] == "sigmoid"
    assert Saturation.answered().say()["gradient_signal"].value == pytest.approx(signal, rel=1e-6)
    assert_right(
        Saturation,
        {
            "Less than a fiftieth of it": signal < 1 / 50,
            "About a tenth of it": 1 / 20 < signal < 1 / 5,
            "About half of it": 1 / 3 < signal < 2 / 3,
            "Nearly all of it": signal > 0.9,
        },
    )


def test_the_naive_bias_grows_and_the_loss_does_not_change() -> None:
    state = RunawayBias.answered().state
    now = int(state["step"]) // EVERY
    run = runaway_bias(state["gradient"], state["learning_rate"], state["precision"])
    settled = abs(run.bias[now] - run.bias[now // 2]) < 1e-9
    steady, higher = abs(run.loss[now] - run.loss[0]) < 1e-11, run.loss[now] - run.loss[0] > 1e-11
    assert RunawayBias.answered().say()["loss"].text == RunawayBias.asked().say()["loss"].text, "as at the start"
    assert np.ptp(run.bias_gradient[: now + 1]) < 1e-9, "the same step again and again"
    assert_right(
        RunawayBias,
        {
            "Both have settled": settled and steady,
            "The bias has grown, and the loss has not changed": not settled and steady,
            "The bias has settled, and the loss has fallen": settled and not steady and not higher,
            "Both have grown": not settled and higher,
        },
    )


def test_gamma_and_beta_give_the_input_back() -> None:
    state = Identity.answered().state
    gamma, beta = undo(state["epsilon"])
    assert (state["gamma"], state["beta"]) == (float(gamma), float(beta))
    now = identity(*state.values())
    restored = bool(now.residual < 1e-12)
    same_moments = np.allclose((now.mean, now.std), (now.x.mean(), now.x.std()))
    assert_right(
        Identity,
        {
            "A standard normal distribution": np.allclose((now.mean, now.std), (0, 1), atol=1e-3),
            "The mean and spread of the input, in another shape": same_moments and not restored,
            "The input again, value for value": restored,
            "The input, pressed into the sigmoid’s straight middle": bool(now.near_linear > 0.9),
        },
    )


def test_with_batch_normalization_there_is_a_ceiling_too() -> None:
    state = Landscape.answered().state
    found = VERDICTS[int(verdict(WITH, state["learning_rate"], *STARTS[state["start"]]))]
    assert WITHOUT.ceiling < WITH.ceiling < state["learning_rate"], "raised, and not removed"
    assert_right(
        Landscape,
        {
            "It converges: any rate is safe there": found == "converging",
            "It diverges, too": found == "diverged",
            "It oscillates as it converges": found == "oscillating",
            "It is caught in a ripple": "ripple" in found,
        },
    )


def test_bn_x5_took_less_than_a_tenth_of_the_steps() -> None:
    state = StepsToAccuracy.answered().state
    found = steps_to(state["target"])
    inception, alone, bolder = (found.steps[NETWORKS.index(n)] for n in ("inception", "bn_baseline", "bn_x5"))
    share = bolder / inception
    assert bolder < alone < inception
    assert {said.source for name, said in StepsToAccuracy.answered().say().items() if name.endswith("_steps")} == {
        "published"
    }
    assert_right(
        StepsToAccuracy,
        {
            "About as many": 0.8 < share < 1.25,
            "About half as many": 0.4 < share < 0.6,
            "About a fifth as many": 0.15 < share < 0.3,
            "Less than a tenth as many": share < 0.1,
        },
    )
