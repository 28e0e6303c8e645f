"""Races of the laboratory that were run before and are shipped: for the text, and where no server trains.

`python -m bn_core.record` makes them. Each file is one race: its settings, what both networks did, the versions that
computed it, and a hash of all that. Accuracies are exact, as counts of 2,000 digits; the other numbers are rounded to
8 binary digits (a relative error of at most 0.4 %), which is what a picture shows.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from bn_core.checks import Array
from bn_core.figures.lab import NETWORKS, columns
from bn_core.mnist import HELD_OUT
from bn_core.training import Config, Divergence, advance, start

FOLDER = Path(__file__).parent / "data" / "runs"
DETAILS = ("loss", "low", "middle", "high", "gradient_norms", "slopes", "saturated")
"""The columns that only the races of `detailed` recordings have, beside step and accuracy."""


_LARGEST = 3.3e38  # what is larger has gone off the picture long before


class DamagedError(ValueError):
    """A recording is not what was recorded; the message says which."""


@dataclass(frozen=True)
class Course:
    """What one network did.

    Attributes:
        columns: as `bn_core.figures.lab.columns` gives them; step and accuracy alone where there are no details.
        divergence: None where all was finite to the end.

    """

    columns: Mapping[str, Array]
    divergence: Divergence | None

    def steps_to(self, accuracy: float) -> int | None:
        """Return the step of the first record with at least this accuracy; None if there is none."""
        reached = np.flatnonzero(self.columns["accuracy"] >= accuracy)
        return int(self.columns["step"][reached[0]]) if reached.size else None


@dataclass(frozen=True)
class Recording:
    """A race as it was recorded.

    Attributes:
        name: of its file.
        settings: the arguments of `bn_core.figures.lab.race`, all of them.
        courses: of the networks, by `NETWORKS`.
        versions: of Python, NumPy and this project.
        sha256: of settings, versions and numbers.

    """

    name: str
    settings: Mapping[str, Any]
    courses: Mapping[str, Course]
    versions: Mapping[str, str]
    sha256: str

    @property
    def detailed(self) -> bool:
        """Whether it has what a picture needs, and not the accuracies alone."""
        return all("loss" in course.columns or course.divergence for course in self.courses.values())


def train(config: Config) -> Course:
    """Return what a network does in the whole of its run."""
    run, records = advance(start(config), config.steps)
    return Course(columns(records), run.divergence)


def name_of(settings: Mapping[str, Any]) -> str:
    """Return the name of the file for a race; the same whatever the number of its steps."""
    weights = str(settings["weight_scale"]).replace("1/sqrt(fan_in)", "fan-in")
    return (
        f"{settings['activation']}-{settings['hidden_layers']}x100-weights-{weights}-rate-{settings['learning_rate']:g}"
        f"-momentum-{settings['momentum']:g}-batch-{settings['batch_size']}-seed-{settings['seed']}"
    )


@cache
def recordings() -> tuple[Recording, ...]:
    """Return all that is shipped. Raises DamagedError where a file is not what was recorded."""
    return tuple(load(path) for path in sorted(FOLDER.glob("*.npz")))


def find(settings: Mapping[str, Any]) -> Recording | None:
    """Return the recording of a race, of at least as many steps; None if there is none."""

    def serves(recording: Recording) -> bool:
        with_its_steps = {**settings, "steps": recording.settings["steps"]}
        return dict(recording.settings) == with_its_steps and recording.settings["steps"] >= settings["steps"]

    return next(filter(serves, recordings()), None)


def load(path: Path) -> Recording:
    """Read a recording. Raises DamagedError if it is not what was recorded."""
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = json.loads(arrays.pop("about").tobytes())
        written = about.pop("sha256")
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DamagedError(f"{path.name} is no recording: {error}") from None
    if written != (found := digest(about, arrays)):
        raise DamagedError(
            f"{path.name} is not what was recorded: its content has the hash {found[:12]}…, not {written[:12]}…"
        )
    courses = {}
    for network, broken in zip(NETWORKS, about["divergences"], strict=True):
        seen = {name: wide(arrays[key]) for name in DETAILS if (key := f"{network}.{name}") in arrays}
        seen["accuracy"] = arrays[f"{network}.accuracy"] / HELD_OUT
        seen["step"] = arrays[f"{network}.step"].astype(float)
        courses[network] = Course(seen, Divergence(*broken) if broken else None)
    return Recording(path.stem, about["settings"], courses, about["versions"], found)


def save(
    path: Path,
    settings: Mapping[str, Any],
    courses: Mapping[str, Course],
    versions: Mapping[str, str],
    *,
    detailed: bool,
) -> None:
    """Write a recording, whole or not at all."""
    arrays: dict[str, Any] = {}
    for network, course in courses.items():
        seen = course.columns or {"step": np.empty(0), "accuracy": np.empty(0)}
        arrays[f"{network}.step"] = seen["step"].astype("u4")
        arrays[f"{network}.accuracy"] = np.round(HELD_OUT * seen["accuracy"]).astype("u2")
        if detailed and course.columns:
            arrays |= {f"{network}.{name}": narrow(seen[name]) for name in DETAILS}
    broken = [c.divergence and [c.divergence.step, c.divergence.layer] for c in courses.values()]
    about: dict[str, Any] = {"settings": dict(settings), "divergences": broken, "versions": dict(versions)}
    about["sha256"] = digest(about, arrays)
    stream = BytesIO()
    np.savez_compressed(stream, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".part")
    fresh.write_bytes(stream.getvalue())
    fresh.replace(path)


def digest(about: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """Return the SHA-256 of what is known about a recording and of its numbers."""
    whole = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        whole.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        whole.update(np.ascontiguousarray(arrays[name]).tobytes())
    return whole.hexdigest()


def narrow(values: Array) -> Array:
    """Return the upper 16 bits of the values as float32, rounded: 8 binary digits, and all of its range."""
    bits = np.clip(values, -_LARGEST, _LARGEST).astype("f4").view("u4")
    return ((bits + 0x8000) >> 16).astype("u2")


def wide(upper: Array) -> Array:
    """Return the numbers whose upper 16 bits these are."""
    return (upper.astype("u4") << 16).view("f4").astype(float)
