"""Training as a value, the shipped digits, and what the laboratory's presets promise on their five seeds."""

import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from bn_core.mnist import FILE, digits
from bn_core.network import Architecture, folded, initial, predict
from bn_core.training import (
    Config,
    Divergence,
    Record,
    Run,
    advance,
    order_of_epoch,
    start,
    steps_to,
)

# Whatever diverges, no NumPy warning may reach the caller.
pytestmark = pytest.mark.filterwarnings("error")

NORMALIZATIONS = ["none", "batch"]
SEEDS = range(5)


def trained(config, steps=None):
    return advance(start(config), steps or config.steps)


def config(normalization="batch", hidden=(100, 100, 100), activation="sigmoid", weight_scale=0.05, **options):
    """The paper's network unless told otherwise."""
    network = Architecture((784, *hidden, 10), activation, normalization, weight_scale)
    return Config(network, **options)


# --- The digits (claim R10) ---


def test_the_digits_are_binary_and_none_is_lost():
    d = digits()
    with np.load(FILE) as file:
        grey, labels = file["images"].reshape(-1, 784), file["labels"]
    for images, kept, rows in (
        (d.training_images, d.training_labels, slice(8000)),
        (d.test_images, d.test_labels, slice(8000, None)),
    ):
        whole = np.zeros((len(images), 784))
        whole[:, d.pixels[: images.shape[1]]] = images
        np.testing.assert_array_equal(whole, grey[rows] / 255 > 0.5)
        np.testing.assert_array_equal(kept, labels[rows])
    assert (len(d.training_images), len(d.test_images)) == (8000, 2000)
    assert sorted(d.pixels) == list(range(784))
    assert digits() is d
    with pytest.raises(ValueError, match="read-only"):
        d.training_images[0, 0] = 1


# --- Against a loop written plainly ---


@cache
def plain_loop(config):
    """Train as the docstrings say, in float64, on whole images; return what each record should hold."""
    d, rng, m, bn = digits(), np.random.default_rng(config.seed), config.batch_size, config.network.normalized
    x_all, x_test = np.zeros((8000, 784)), np.zeros((2000, 784))
    x_all[:, : d.training_images.shape[1]], x_test[:, : d.test_images.shape[1]] = d.training_images, d.test_images
    sizes = config.network.sizes
    w = [config.network.weight_scale * rng.standard_normal(shape) for shape in pairwise(sizes)]
    b, g = [np.zeros(n) for n in sizes[1:]], [np.ones(n) for n in sizes[1:-1]]
    mean, var = [np.zeros(n) for n in sizes[1:-1]], [np.ones(n) for n in sizes[1:-1]]
    velocity = [np.zeros_like(p) for p in (*w, *b, *g)]
    last, seen = len(w) - 1, []

    def through(x, k, mu, sigma2):
        y = x @ w[k]
        return (g[k] * (y - mu) / np.sqrt(sigma2 + 1e-5) if bn else y) + b[k]

    for step in range(1, config.steps + 1):
        epoch, position = divmod(step - 1, 8000 // m)
        rows = np.random.default_rng((config.seed, epoch + 1)).permutation(8000)[position * m :][:m]
        a, x_hat, std = [x_all[rows]], [], []
        for k in range(last):
            z = a[k] @ w[k]
            mu, sigma2 = z.mean(axis=0), z.var(axis=0)
            x_hat.append((z - mu) / np.sqrt(sigma2 + 1e-5))
            std.append(np.sqrt(sigma2 + 1e-5))
            a.append(1 / (1 + np.exp(-through(a[k], k, mu, sigma2))))
            mean[k] = 0.9 * mean[k] + 0.1 * mu
            var[k] = 0.9 * var[k] + 0.1 * sigma2 * m / (m - 1)
        p = np.exp(a[last] @ w[last] + b[last])
        p /= p.sum(axis=1, keepdims=True)
        labels = d.training_labels[rows]
        loss = -np.log(p[range(m), labels]).mean()

        dy = (p - np.eye(10)[labels]) / m
        dw, db, dg = [None] * (last + 1), [None] * (last + 1), [np.zeros_like(v) for v in g]
        for k in range(last, -1, -1):
            db[k], dz = dy.sum(axis=0), dy
            if bn and k < last:
                dg[k] = (dy * x_hat[k]).sum(axis=0)
                dz = g[k] / std[k] * (dy - dy.mean(axis=0) - x_hat[k] * (dy * x_hat[k]).mean(axis=0))
            dw[k] = a[k].T @ dz
            dy = (dz @ w[k].T) * a[k] * (1 - a[k])
        gradients = zip((*w, *b, *g), (*dw, *db, *dg), strict=True)
        for i, (parameter, gradient) in enumerate(gradients):
            velocity[i] = config.momentum * velocity[i] - config.learning_rate * gradient
            np.add(parameter, velocity[i], out=parameter)

        if step % config.evaluate_every == 0:
            x = x_test
            for k in range(last):
                y = through(x, k, mean[k], var[k])
                x = 1 / (1 + np.exp(-y))
            accuracy = np.mean((x @ w[last] + b[last]).argmax(axis=1) == d.test_labels)
            lines = [np.percentile(y[:, neuron], (15, 50, 85)) for neuron in config.neurons]
            norms = [np.linalg.norm(v) for v in dw]
            slopes = [4 * np.mean(v * (1 - v)) for v in a[1:]]
            seen.append((step, accuracy, lines, loss, norms, slopes))
    return seen


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_200_steps_are_those_of_a_plain_float64_loop(dtype, normalization):
    chosen = config(
        normalization, weight_scale=0.1, learning_rate=0.3, momentum=0.5, steps=200, evaluate_every=50, seed=3
    )
    _, records = trained(replace(chosen, network=replace(chosen.network, dtype=dtype)))
    exact = dtype == "float64"
    close = {"rtol": 1e-8, "atol": 1e-10} if exact else {"rtol": 5e-3, "atol": 2e-3}
    expected = plain_loop(chosen)
    assert [record.step for record in records] == [0, 50, 100, 150, 200]
    for record, (step, accuracy, percentiles, loss, norms, slopes) in zip(records[1:], expected, strict=True):
        assert record.step == step
        assert record.accuracy == pytest.approx(accuracy, abs=1e-12 if exact else 0.003)
        np.testing.assert_allclose(record.percentiles, percentiles, **close)
        np.testing.assert_allclose(record.loss, loss, **close)
        np.testing.assert_allclose(record.gradient_norms, norms, **close)
        np.testing.assert_allclose(record.slopes, slopes, **close)
    assert records[-1].accuracy > records[0].accuracy


def test_the_first_record_is_the_network_before_training():
    run, records = trained(config(steps=1))
    first, last = records
    assert (first.step, last.step, run.step) == (0, 1, 1)
    assert (first.loss, first.gradient_norms) == (last.loss, last.gradient_norms)  # the same batch, before step 1
    untrained = initial(run.config.network, run.config.seed)
    assert first.accuracy == np.mean(predict(untrained, digits().test_images) == digits().test_labels)


# --- A run is a value ---


def same_run(one, other):
    arrays = [
        (run.velocity, run.network.parameters, run.network.running_mean, run.network.running_var)
        for run in (one, other)
    ]
    same = all(a.tobytes() == b.tobytes() for a, b in zip(*arrays, strict=True))
    return same and (one.config, one.step, one.divergence) == (other.config, other.step, other.divergence)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_run_in_pieces_is_the_run_in_one(normalization):
    chosen = config(normalization, steps=160, momentum=0.9, seed=7)  # more than one epoch of 133 batches
    whole, records = trained(chosen)
    run, collected = start(chosen), []
    for steps in (1, 24, 7, 101, 1000):
        run, more = advance(pickle.loads(pickle.dumps(run)), steps)
        collected += more
    assert tuple(collected) == records
    assert same_run(run, whole)
    assert [record.step for record in records] == [*range(0, 151, 25), 160]
    assert run.finished
    assert advance(run, 5) == (run, ())


def test_advancing_changes_nothing_in_the_run_that_was_given():
    run, _ = trained(config(steps=100, momentum=0.9), 30)
    copy = pickle.loads(pickle.dumps(run))
    first, second = advance(run, 30), advance(run, 30)
    assert same_run(run, copy)
    assert same_run(first[0], second[0])
    assert first[1] == second[1]
    assert not run.finished


def test_another_process_sees_the_same_to_the_bit():
    chosen = config(steps=50, seed=1)
    script = (
        "import pickle, sys; from bn_core.training import advance, start\n"
        "config = pickle.load(sys.stdin.buffer)\n"
        "sys.stdout.buffer.write(pickle.dumps(advance(start(config), 50)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps(chosen), capture_output=True, check=True
    )
    run, records = pickle.loads(result.stdout)
    here, records_here = trained(chosen)
    assert records == records_here
    assert same_run(run, here)


def test_a_run_carries_no_buffers():
    run, _ = trained(config(steps=50))
    numbers = 2 * len(run.network.parameters) + 2 * 300
    assert len(pickle.dumps(run)) < 4 * numbers + 2000


def test_networks_with_the_same_seed_see_the_same_batches_in_shuffled_epochs():
    assert sorted(order_of_epoch(0, 1)) == list(range(8000))
    orders = [tuple(order_of_epoch(seed, epoch)) for seed in (0, 1) for epoch in (1, 2)]
    assert len(set(orders)) == 4


def test_a_trained_network_folds():
    run, records = trained(config(steps=150))
    d = digits()
    predictions = predict(run.network, d.test_images)
    assert np.mean(predictions == predict(folded(run.network), d.test_images)) > 0.999  # but for near ties
    assert np.mean(predictions == d.test_labels) == pytest.approx(records[-1].accuracy, abs=0.001)


def test_steps_to_an_accuracy():
    blank = Record(0, 0.1, (), 2.3, (), (), ())
    records = [
        replace(blank, step=25 * k, accuracy=accuracy) for k, accuracy in enumerate((0.1, 0.5, 0.85, 0.8, 0.9))
    ]
    assert steps_to(0.85, records) == 50
    assert steps_to(0.86, records) == 100
    assert steps_to(0.95, records) is None
    assert steps_to(0.5, ()) is None


# --- Divergence is a result ---


def fast_relu(normalization, seed, **options):
    """The preset "thirty times the rate"."""
    return config(
        normalization, activation="relu", weight_scale="1/sqrt(fan_in)", learning_rate=3, seed=seed, **options
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_thirty_times_the_rate_diverges_without_batch_normalization_and_trains_with_it(seed):
    run, records = trained(fast_relu("none", seed, steps=100))
    assert isinstance(run.divergence, Divergence)
    assert run.divergence.step == run.step <= 13
    assert 1 <= run.divergence.layer <= 4
    assert run.finished
    assert [record.step for record in records] == [0]
    assert advance(run, 10) == (run, ())

    _, records = trained(fast_relu("batch", seed, steps=100))
    assert 50 <= steps_to(0.85, records) <= 100


def test_a_divergence_is_found_in_the_step_and_layer_in_which_it_appears():
    run, _ = trained(fast_relu("none", 0, steps=100, evaluate_every=1))
    before, records = advance(start(run.config), run.divergence.step - 1)
    assert before.divergence is None
    assert before.network.is_finite()
    assert [record.step for record in records] == list(range(run.divergence.step))
    assert all(np.isfinite(value).all() for record in records for value in values_of(record))
    assert advance(before, 1)[0].divergence == run.divergence


def values_of(record):
    return [np.asarray(getattr(record, name.name)) for name in fields(record)]


def test_a_network_that_starts_too_large_diverges_in_its_first_step_and_has_no_record():
    chosen = config("none", activation="relu", weight_scale=1e20, steps=10)
    run, records = trained(chosen)
    assert run.divergence == Divergence(step=1, layer=2)
    assert records == ()


# --- What the presets promise; five seeds, 85 %, evaluated every 25 steps ---


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("weight_scale", [0.01, 0.05, 0.1, "1/sqrt(fan_in)"])
def test_with_batch_normalization_the_paper_s_network_needs_at_most_a_third_of_the_steps(weight_scale, seed):
    run, steps = start(config("batch", weight_scale=weight_scale, seed=seed, steps=250)), None
    while steps is None and not run.finished:
        run, records = advance(run, 25)
        steps = steps_to(0.85, records)
    assert 50 <= steps <= 250
    _, records = trained(config("none", weight_scale=weight_scale, seed=seed), 3 * steps - 1)
    assert steps_to(0.85, records) is None


def test_six_layers_learn_with_batch_normalization_and_stay_at_chance_without():
    options = {"hidden": (100,) * 6, "weight_scale": 0.1}
    _, records = trained(config("batch", **options, steps=225))
    assert steps_to(0.85, records) <= 225
    _, records = trained(config("none", **options, steps=800, evaluate_every=200))
    assert all(record.accuracy < 0.2 for record in records)


def test_a5_a_rate_that_saturates_the_plain_network_suits_the_normalized_one():
    options = {"weight_scale": 0.1, "learning_rate": 1, "momentum": 0.9}
    _, records = trained(config("batch", **options, steps=125))
    assert steps_to(0.85, records) <= 125
    run, records = trained(config("none", **options, evaluate_every=10), 400)
    assert records[1].slopes[-1] < 0.05
    assert records[1].saturated[-1] > 0.5
    assert steps_to(0.2, records) is None
    assert run.divergence is None


def test_d4_a_batch_of_two_leaves_batch_normalization_nothing_to_learn_from():
    options = {"weight_scale": 0.1, "batch_size": 2, "steps": 8000, "evaluate_every": 2000}
    plain, normalized = (trained(config(name, **options))[1] for name in NORMALIZATIONS)
    assert plain[-1].accuracy > 0.8
    assert all(record.accuracy < 0.7 for record in normalized)


# --- Errors ---


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"network": Architecture((784, 100, 9))}, ValueError, r"network.sizes must be 784, .* got \(784, 100, 9\)"),
        ({"network": Architecture((784, 10))}, ValueError, "one or more hidden layers"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a number from 1e-75 to 1e\\+75, got 0"),
        ({"learning_rate": "0.1"}, TypeError, "learning_rate must be a number"),
        ({"momentum": 1.5}, ValueError, "momentum must be a number from 0 to 1, got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number of at least 1, got 0"),
        (
            {"batch_size": 1, "network": Architecture(normalization="batch")},
            ValueError,
            "batch_size must be a whole number of at least 2, got 1",
        ),
        ({"batch_size": 8001}, ValueError, "batch_size must be at most 8000, got 8001"),
        ({"steps": 0}, ValueError, "steps must be a whole number of at least 1, got 0"),
        ({"steps": 1.5}, TypeError, "steps must be a whole number"),
        ({"seed": -1}, ValueError, "seed must be a whole number of at least 0, got -1"),
        ({"evaluate_every": 0}, ValueError, "evaluate_every must be a whole number of at least 1, got 0"),
        ({"neurons": (0, 100)}, ValueError, r"neurons must be below 100, .* got \(0, 100\)"),
    ],
)
def test_a_config_says_what_is_wrong_with_it(options, error, words):
    with pytest.raises(error, match=words):
        Config(**options)


def test_steps_to_advance_are_a_whole_number():
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, got 0"):
        advance(start(config()), 0)


def test_configs_are_values():
    assert Config(learning_rate=1) == Config(learning_rate=1.0)
    assert len({Config(), Config(), Config(seed=1)}) == 2
    with pytest.raises(FrozenInstanceError):
        Config().seed = 1
    assert isinstance(start(Config()), Run)


def test_a_batch_of_one_trains_without_batch_normalization():
    run, _ = trained(config("none", batch_size=1, steps=5))
    assert run.step == 5
    assert run.divergence is None
