"""The recorded races say what the article says of them."""

from math import isnan
from statistics import median

import numpy as np
import pytest

from bn_core import recorded_results as results
from bn_core.figures.lab import NETWORKS, STORIES, WEIGHT_SCALES
from bn_core.network import FAN_IN
from bn_core.published import IMAGENET
from bn_core.record import DEFAULTS, FULL, LEARNING_RATES, SEEDS
from bn_core.recorded import Course, find
from bn_core.recorded_results import at_best_rate, at_rate, at_weights, outcomes, ratio, ratios, story, whole_run
from bn_core.training import Divergence

BOTH_LEARN = [at_weights(weight_scale) for weight_scale in WEIGHT_SCALES]


# ---- counted as they say


def test_the_paper_s_network_counted_by_hand():
    steps = {network: [] for network in NETWORKS}
    for seed in SEEDS:
        recording = find({**DEFAULTS, "steps": 10_000, "seed": seed})
        for network, course in recording.courses.items():
            seen = zip(course.columns["step"], course.columns["accuracy"], strict=True)
            steps[network].append(next(step for step, accuracy in seen if accuracy >= 0.85))
    races = story("paper")
    for network in NETWORKS:
        assert races[network].seeds == 5
        assert sorted(steps[network]) == list(races[network].steps)
        assert median(steps[network]) == races[network].median
    assert ratio(races) == median(steps["plain"]) / median(steps["normalized"])


def course(steps, accuracies, divergence=None):
    return Course({"step": np.array(steps, float), "accuracy": np.array(accuracies)}, divergence)


def test_a_seed_that_does_not_get_there_is_later_than_all_others():
    slow, fast, never = course([0, 25, 50], [0.1, 0.5, 0.9]), course([0, 25], [0.1, 0.9]), course([0, 25], [0.1, 0.2])
    outcome = results._outcome([slow, never, fast], 50)
    assert (outcome.steps, outcome.median) == ((25, 50), 50)
    assert results._outcome([never, never, fast], 50).median is None
    assert results._outcome([never, never, fast], 50).steps == (25,)


def test_what_came_after_the_steps_that_were_asked_for_does_not_count():
    slow, broken = course([0, 25, 50], [0.1, 0.5, 0.9]), course([0], [0.1], Divergence(40, 1))
    outcome = results._outcome([slow, slow, broken], 25)
    assert outcome == results.Outcome(3, (), (), best=(0.1, 0.5, 0.5), last=(0.1, 0.5, 0.5))
    assert results._outcome([slow, slow, broken], 50).diverged == (40,)


def test_there_is_no_ratio_where_one_network_does_not_get_there():
    assert isnan(ratio(story("six-layers")))
    assert isnan(ratio(story("batch-of-2")))


def test_what_was_not_recorded_is_said_to_be_missing():
    with pytest.raises(LookupError, match=r"no recording of .*'batch_size': 61.*python -m bn_core\.record"):
        outcomes(1000, batch_size=61)


# ---- what the article says


@pytest.mark.parametrize("races", BOTH_LEARN, ids=map(str, WEIGHT_SCALES))
def test_with_batch_normalization_every_seed_needs_fewer_steps_than_any_without(races):
    plain, normalized = races["plain"], races["normalized"]
    assert len(plain.steps) == len(normalized.steps) == len(SEEDS)
    assert normalized.steps[-1] < plain.steps[0]


def test_our_factors_are_far_from_that_of_imagenet():
    published = IMAGENET["inception"].steps_to_72_2 / IMAGENET["bn_baseline"].steps_to_72_2
    assert len(ratios()) == len(WEIGHT_SCALES)
    assert ratios()[0] > 4 * published


def test_the_first_weights_decide_about_the_plain_network_and_hardly_about_the_other():
    plain, normalized = ([races[network].median for races in BOTH_LEARN] for network in NETWORKS)
    assert max(plain) > 10 * min(plain)
    assert max(normalized) - min(normalized) <= 100


def test_after_the_paper_s_steps_the_first_weights_decide_whether_one_ends_higher():
    assert FULL == 50_000
    small, larger = whole_run(0.05), whole_run(0.1)
    assert small["normalized"] - small["plain"] > 0.015
    assert larger["normalized"] == pytest.approx(larger["plain"], abs=0.004)


def test_a_higher_rate_helps_sigmoids_without_batch_normalization_up_to_a_hundredfold():
    slow, ten, thirty, hundred = (at_rate(rate)["plain"] for rate in (0.1, 1, 3, 10))
    assert slow.median > 3 * ten.median > 3 * thirty.median
    assert hundred.steps == ()
    assert hundred.best[-1] < 0.2
    assert len(at_rate(10)["normalized"].steps) == len(SEEDS)


def test_at_the_best_rate_of_each_the_factor_is_much_smaller():
    assert 1 < ratio(at_best_rate()) < ratio(at_rate(0.1)) / 3
    for activation in ("sigmoid", "tanh", "relu"):
        races = [at_rate(rate, activation) for rate in LEARNING_RATES]
        for network in NETWORKS:
            medians = [race[network].median for race in races if race[network].median]
            assert at_best_rate(activation)[network].median == min(medians)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_hundred_times_the_rate_is_too_much_for_tanh_and_relu_with_batch_normalization_too(activation):
    for outcome in at_rate(10, activation).values():
        assert outcome.steps == ()


def test_small_first_weights_keep_the_plain_network_at_chance_for_twelve_thousand_steps():
    for seed in SEEDS:
        plain = results.recording(50_000, seed, weight_scale=0.01).courses["plain"]
        steps, accuracy = plain.columns["step"], plain.columns["accuracy"]
        assert 12_000 < steps[accuracy < 0.15][-1] < 13_000
        assert 30_000 < plain.steps_to(0.85) < 40_000


def test_saturated_units_keep_the_plain_network_at_chance_on_every_seed():
    for seed in SEEDS:
        saturated = results.recording(2_000, seed, weight_scale=0.1, learning_rate=1.0, momentum=0.9)
        assert saturated.courses["plain"].columns["accuracy"].max() < 0.17


def test_six_layers_and_saturation_leave_the_plain_network_at_chance():
    for name in ("six-layers", "saturate"):
        assert story(name)["plain"].best[-1] < 0.2
        assert len(story(name)["normalized"].steps) == len(SEEDS)


def test_thirty_times_the_rate_breaks_the_plain_network_on_every_seed():
    plain, normalized = story("thirty-times").values()
    assert len(plain.diverged) == len(SEEDS)
    assert plain.diverged[-1] < 25
    assert normalized.steps[-1] <= 100
    assert STORIES["thirty-times"].settings["weight_scale"] == FAN_IN


def test_d4_a_batch_of_two_is_a_defeat_of_batch_normalization():
    plain, normalized = story("batch-of-2").values()
    assert len(plain.steps) == len(SEEDS)
    assert normalized.steps == ()
    assert normalized.last[-1] < plain.last[0] - 0.2
