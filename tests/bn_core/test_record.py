"""What is planned is recorded once, in whatever pieces, and an interruption costs little."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest

from bn_core import record
from bn_core.executors import Pool, processes
from bn_core.figures.lab import NETWORKS, STORIES, WEIGHT_SCALES
from bn_core.network import FAN_IN
from bn_core.record import ACTIVATIONS, DEFAULTS, FULL, LEARNING_RATES, SEEDS, Plan, main, missing, plans
from bn_core.recorded import load


class Inline(Executor):
    """Does at once what is submitted, and counts it; in place of number `breaks_at` comes Ctrl-C."""

    def __init__(self, breaks_at=None):
        self.configs, self.breaks_at = [], breaks_at

    def submit(self, function, config):
        if len(self.configs) + 1 == self.breaks_at:
            raise KeyboardInterrupt
        self.configs.append(config)
        future = Future()
        future.set_result(function(config))
        return future


def pool(executor):
    return Pool(executor, 1, executor.shutdown)


def planned(*seeds, **settings):
    return [
        Plan({**DEFAULTS, "steps": 50, "hidden_layers": 1, **settings, "seed": seed}, detailed=seed == 0)
        for seed in seeds
    ]


FOUR = planned(0, 1) + planned(0, 1, activation="relu", weight_scale=FAN_IN, learning_rate=100.0)
"""Races of a moment; of the last two the network without batch normalization may break."""


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All four, recorded in one go."""
    folder = tmp_path_factory.mktemp("whole")
    record.record(FOUR, pool(Inline()), folder)
    return contents(folder)


# ---- the plan


def test_each_race_is_planned_once_and_under_a_name_of_its_own():
    settings = [plan.settings for plan in plans()]
    assert len({plan.name for plan in plans()}) == len(settings)
    ways = [tuple(value for name, value in each.items() if name != "steps") for each in settings]
    assert len(set(ways)) == len(ways)


def is_planned(steps, seed, **settings):
    wanted = {**DEFAULTS, **settings, "seed": seed}
    return any(
        plan.settings == {**wanted, "steps": plan.settings["steps"]} and plan.settings["steps"] >= steps
        for plan in plans()
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_the_plan_has_stories_weights_and_the_grid_of_rates_and_activations_on_five_seeds(seed):
    assert len(SEEDS) == 5
    for story in STORIES.values():
        assert is_planned(**{"steps": 10_000, **story.settings, "seed": seed})
    for weight_scale in WEIGHT_SCALES:
        assert is_planned(10_000, seed, weight_scale=weight_scale)
    for activation in ACTIVATIONS:
        for rate in LEARNING_RATES:
            assert is_planned(3_000, seed, activation=activation, learning_rate=rate, weight_scale=FAN_IN)


@pytest.mark.parametrize("weight_scale", [0.05, 0.1])
def test_the_plan_has_the_paper_s_whole_run(weight_scale):
    assert FULL == 50_000
    assert is_planned(FULL, 0, weight_scale=weight_scale)


def test_what_is_planned_is_what_is_shipped(capsys):
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == "All races are recorded, and whole.\n"


# ---- recording


def test_worker_processes_record_what_this_process_would_to_the_bit(tmp_path, whole):
    workers = processes(1)
    try:
        record.record(FOUR[:2], workers, tmp_path)
    finally:
        workers.close()
    assert contents(tmp_path) == {f"{plan.name}.npz": whole[f"{plan.name}.npz"] for plan in FOUR[:2]}


def test_a_recording_says_where_it_comes_from(tmp_path, whole):
    for plan in FOUR:
        path = tmp_path / f"{plan.name}.npz"
        path.write_bytes(whole[path.name])
        recording = load(path)
        assert recording.settings == plan.settings
        assert recording.versions["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
        assert set(recording.courses) == set(NETWORKS)
        assert recording.detailed is plan.detailed


def test_progress_is_told(tmp_path, capsys):
    record.record(FOUR[:1], pool(Inline()), tmp_path)
    assert "100/100" in capsys.readouterr().err


# ---- again, and after an interruption


def test_what_is_recorded_is_not_trained_again(tmp_path, whole):
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    assert list(missing(FOUR, tmp_path)) == []


@pytest.mark.parametrize("breaks_at", [1, 2, 4, 6, 8])
def test_an_interrupted_recording_goes_on_and_ends_as_if_it_had_not_been(tmp_path, whole, breaks_at):
    with pytest.raises(KeyboardInterrupt):
        record.record(FOUR, pool(Inline(breaks_at)), tmp_path)
    kept = contents(tmp_path)
    assert kept.items() <= whole.items()
    rest = Inline()
    record.record(list(missing(FOUR, tmp_path)), pool(rest), tmp_path)
    assert contents(tmp_path) == whole
    assert len(rest.configs) == 2 * (len(FOUR) - len(kept))


def test_an_interruption_while_a_file_is_written_leaves_nothing_half(tmp_path, whole, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record.record(FOUR[:1], pool(Inline()), tmp_path)
    assert list(tmp_path.glob("*.npz")) == []
    monkeypatch.undo()
    record.record(list(missing(FOUR, tmp_path)), pool(Inline()), tmp_path)
    assert contents(tmp_path) == whole


def test_what_is_damaged_or_was_planned_otherwise_is_recorded_again_and_nothing_else(tmp_path, whole):
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    damaged = tmp_path / f"{FOUR[2].name}.npz"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    longer = planned(0, steps=75)
    assert longer[0].name == FOUR[0].name
    todo = [*longer, *FOUR[1:]]
    assert list(missing(todo, tmp_path)) == [longer[0], FOUR[2]]
    record.record(list(missing(todo, tmp_path)), pool(Inline()), tmp_path)
    assert list(missing(todo, tmp_path)) == []
    assert contents(tmp_path)[damaged.name] == whole[damaged.name]


# ---- the command


def test_check_trains_nothing_and_says_what_is_missing(tmp_path, monkeypatch, capsys, whole):
    monkeypatch.setattr(record, "plans", lambda: FOUR)
    monkeypatch.setattr(record, "record", None)
    for name in list(whole)[:3]:
        (tmp_path / name).write_bytes(whole[name])
    absent = next(plan for plan in FOUR if f"{plan.name}.npz" == list(whole)[3])
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"missing or damaged: {absent.name}\n"


def test_the_command_asks_the_environment_for_its_executor(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "plans", lambda: FOUR)
    monkeypatch.setenv("BN_WORKERS", "none")
    with pytest.raises(ValueError, match="BN_WORKERS must be a whole number of at least 1, got 'none'"):
        main(["--folder", str(tmp_path)])


PROGRAM = """
import sys
from bn_core import record
from bn_core.record import DEFAULTS, Plan
record.plans = lambda: [
    Plan({**DEFAULTS, "steps": steps, "hidden_layers": 1, "seed": seed}, False)
    for seed, steps in enumerate((25, 500, 500, 25))
]
sys.exit(record.main(["--folder", sys.argv[1]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal in the way of POSIX")
def test_ctrl_c_ends_it_in_words_and_the_next_call_does_the_rest(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    environment = {**os.environ, "BN_WORKERS": "1"}
    began = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("*.npz")) and began.poll() is None:
        time.sleep(0.01)
    began.send_signal(signal.SIGINT)
    _, words = began.communicate(timeout=60)
    assert began.returncode == 130
    assert words.endswith("Interrupted; what is recorded stays, and the next recording goes on.\n")
    assert "Traceback" not in words
    first = contents(tmp_path)
    assert 1 <= len(first) < 4
    assert all(name.endswith(".npz") for name in first)
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    assert len(contents(tmp_path)) == 4
    assert first.items() <= contents(tmp_path).items()
