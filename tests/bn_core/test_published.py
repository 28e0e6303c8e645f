"""The quoted numbers: complete, consistent with each other and with the sentences of the claims."""

import dataclasses
import re

import pytest

from bn_core import published
from bn_core.published import (
    BN_X5_CHANGES,
    ENSEMBLES,
    FAILED_RUNS,
    HUMAN_RATERS,
    IMAGENET,
    IMAGENET_SETUP,
    MNIST,
    SMALL_BATCHES,
    SOURCES,
    Quoted,
    Source,
)

RECORDS: list[Quoted] = [
    IMAGENET_SETUP,
    *IMAGENET.values(),
    *FAILED_RUNS.values(),
    *BN_X5_CHANGES,
    *ENSEMBLES.values(),
    *HUMAN_RATERS.values(),
    MNIST,
    *SMALL_BATCHES,
]


def test_every_source_of_the_claims_is_there():
    expected = ("BN", "S", "Y", "GN", "ILSVRC", "K", "vL", "A", "B", "PH", "LN", "BRN", "Sh", "GB", "He")
    assert tuple(SOURCES) == expected


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_source_can_be_found_by_its_reader(source: Source):
    assert SOURCES[source.key] is source
    assert source.authors
    assert all(len(name.split()) >= 2 for name in source.authors)
    assert 2000 <= source.year <= 2020
    assert source.url.startswith("https://")
    if source.arxiv is not None:
        assert re.fullmatch(r"\d{4}\.\d{4,5}", source.arxiv)  # four digits before 2015
        assert source.url.endswith(source.arxiv)
        # The id begins with the year and month; a printed version may follow a year later.
        assert 0 <= source.year - (2000 + int(source.arxiv[:2])) <= 1


def test_only_a_blog_and_two_papers_older_than_the_habit_are_not_on_arxiv():
    assert {key for key, source in SOURCES.items() if source.arxiv is None} == {"K", "Sh", "GB"}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.claim}-{type(record).__name__}")
def test_every_record_says_which_claim_it_is_and_where_it_stands(record: Quoted):
    assert re.fullmatch(r"R([1-9]|10)|S5", record.claim)
    assert record.source.where
    assert record.source.at("") == SOURCES[record.source.key]
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.claim = "R0"


def test_no_record_of_the_module_escapes_these_tests():
    found = []
    for value in vars(published).values():
        members = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
        found += [member for member in members if isinstance(member, Quoted)]
    assert len(found) == len(RECORDS)
    assert all(record in RECORDS for record in found)


def test_every_published_claim_has_a_record():
    assert {record.claim for record in RECORDS} == {f"R{n}" for n in range(1, 11)} | {"S5"}


def test_r1_setup():
    assert (IMAGENET_SETUP.classes, IMAGENET_SETUP.parameters, IMAGENET_SETUP.batch_size) == (
        1000,
        13.6e6,
        32,
    )


@pytest.mark.parametrize(
    ("key", "claim", "expected"),
    [
        ("inception", "R2", ("Inception", 0.0015, 31.0e6, 72.2, 31.0e6)),
        ("bn_baseline", "R3", ("BN-Baseline", 0.0015, 13.3e6, 72.7, None)),
        ("bn_x5", "R4", ("BN-x5", 0.0075, 2.1e6, 73.0, None)),
        ("bn_x30", "R5", ("BN-x30", 0.045, 2.7e6, 74.8, 6e6)),
        ("bn_x5_sigmoid", "R7", ("BN-x5-Sigmoid", 0.0075, None, 69.8, None)),
    ],
)
def test_r2_to_r7_imagenet_runs(key, claim, expected):
    run = IMAGENET[key]
    quoted = (run.name, run.initial_learning_rate, run.steps_to_72_2, run.max_accuracy, run.steps_to_max)
    assert (run.claim, quoted) == (claim, expected)


def test_the_networks_are_named_for_their_learning_rates():
    rate = {key: run.initial_learning_rate for key, run in IMAGENET.items()}
    assert rate["bn_baseline"] == rate["inception"]
    assert rate["bn_x5"] == pytest.approx(5 * rate["inception"])
    assert rate["bn_x30"] == pytest.approx(30 * rate["inception"])
    assert rate["bn_x5_sigmoid"] == rate["bn_x5"]


def test_a_network_has_steps_to_72_2_exactly_if_its_maximum_is_that_high():
    for run in IMAGENET.values():
        assert (run.steps_to_72_2 is not None) == (run.max_accuracy >= 72.2)
        if run.steps_to_max is not None:
            assert run.steps_to_max >= run.steps_to_72_2


def test_r3_r4_the_ratios_in_the_text_follow_from_the_steps():
    steps = {key: run.steps_to_72_2 for key, run in IMAGENET.items()}
    assert round(100 * steps["bn_baseline"] / steps["inception"]) == 43
    assert round(steps["inception"] / steps["bn_baseline"], 1) == 2.3
    assert round(steps["inception"] / steps["bn_x5"], 1) == 14.8
    assert round(100 * steps["bn_x5"] / steps["inception"], 1) == 6.8


def test_r4_r7_runs_that_failed():
    assert FAILED_RUNS["inception_x5"].max_accuracy is None
    assert "infinity" in FAILED_RUNS["inception_x5"].outcome
    assert FAILED_RUNS["inception_sigmoid"].max_accuracy == pytest.approx(100 / IMAGENET_SETUP.classes)


def test_r6_six_other_things_changed():
    assert len(BN_X5_CHANGES) == 6
    for change in BN_X5_CHANGES:
        if change.factor is not None:
            assert f" {change.factor} " in f"{change.what} "
    assert [c.what for c in BN_X5_CHANGES if c.accuracy_gain == 1] == ["training examples shuffled more thoroughly"]


def test_r8_the_ensemble_and_those_before_it():
    ours = ENSEMBLES["bn_inception"]
    assert (ours.networks, ours.crops, ours.dropout) == (6, 144, (5, 10))
    assert (ours.validation_error, ours.test_error) == (4.9, 4.82)
    assert ENSEMBLES["googlenet"].validation_error == 6.67
    assert ENSEMBLES["deep_image"].validation_error == 5.98
    assert ENSEMBLES["prelu"].test_error == 4.94
    assert ENSEMBLES["prelu"].source.key == "He"


def test_r9_past_human_raters_is_within_one_annotators_standard_error():
    first, second = HUMAN_RATERS["first"], HUMAN_RATERS["second"]
    assert (first.top5_error, first.images, first.googlenet_error) == (5.1, 1500, 6.8)
    assert (second.top5_error, second.images, second.googlenet_error) == (12.0, 258, None)
    assert round(first.standard_error, 2) == 0.57
    assert 0 < first.top5_error - ENSEMBLES["bn_inception"].test_error < first.standard_error


def test_r10_the_mnist_network():
    assert MNIST.image_shape == (28, 28)
    assert MNIST.hidden_layers == (100, 100, 100)
    assert (MNIST.activation, MNIST.steps, MNIST.batch_size) == ("sigmoid", 50_000, 60)
    assert MNIST.percentiles == (15, 50, 85)
    assert (MNIST.learning_rate, MNIST.momentum, MNIST.weight_std) == (None, None, None)


def test_s5_batch_norm_fails_on_small_batches_and_group_norm_does_not():
    assert [row.images_per_worker for row in SMALL_BATCHES] == [32, 16, 8, 4, 2]
    assert [row.batch_norm_error for row in SMALL_BATCHES] == [23.6, 23.7, 24.8, 27.3, 34.7]
    assert [row.group_norm_error for row in SMALL_BATCHES] == [24.1, 24.2, 24.0, 24.2, 24.1]
    assert {row.source.where for row in SMALL_BATCHES} == {"table 2"}
