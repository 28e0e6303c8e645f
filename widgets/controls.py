"""What a reader can set. A control is declared once, as a parameter of its figure.

From the declaration come the native input and its label, the axis of the frames, the link, and the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import param

from .numbers import Number

_OFF_GRID = 1e-6
"""How far from a position, in steps, a float may lie and still mean that position (0.1 + 0.2 means 0.3)."""


def steps(start: float, end: float, step: float) -> tuple[float, ...]:
    """The positions from `start` to `end`, each the float that its decimal digits name."""
    first, last, width = (Decimal(str(value)) for value in (start, end, step))
    return tuple(float(first + k * width) for k in range(int((last - first) / width) + 1))


class Range(param.Number):  # type: ignore[type-arg]
    """A number on a slider.

    `positions` are the values at which the slider rests, in rising order; a `free` control may also be set
    between them, by a preset, a link or Python. `number` says how a value is written. `play` is the time in
    milliseconds between two positions when the control can be played; `on_plot` puts a second handle, a
    horizontal line to drag, on the plot of that name.
    """

    kind = "range"
    __slots__ = ["free", "number", "on_plot", "play", "positions"]
    _slot_defaults = dict(
        param.Number._slot_defaults, positions=(), number=Number(), free=False, play=None, on_plot=None
    )

    def __init__(
        self,
        positions: Sequence[float],
        default: float,
        *,
        number: Number | None = None,
        free: bool = False,
        play: float | None = None,
        on_plot: str | None = None,
        **keywords: Any,
    ) -> None:
        self.positions = tuple(float(value) for value in positions)
        self.number = number or Number()
        self.free, self.play, self.on_plot = free, play, on_plot
        gaps = np.diff(self.positions)
        step = float(f"{gaps[0]:.9g}") if np.allclose(gaps, gaps[0]) else None
        bounds = (self.positions[0], self.positions[-1])
        super().__init__(default=float(default), bounds=bounds, step=step, **keywords)

    def __set__(self, obj: Any, value: Any) -> None:
        super().__set__(obj, self._at_position(value))

    def _at_position(self, value: Any) -> Any:
        """`value` as the position that it means; what is not a number in range is left for Param to refuse."""
        low, high = self.positions[0], self.positions[-1]
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"{self.name} must be a number from {low:g} to {high:g}, not nan")
        if self.free or not isinstance(value, (int, float, np.integer, np.floating)) or not low <= value <= high:
            return value
        index = self.index(float(value))
        nearest = self.positions[index]
        neighbour = self.positions[index + (1 if index + 1 < len(self.positions) else -1)]
        if abs(value - nearest) > _OFF_GRID * abs(neighbour - nearest):
            raise ValueError(
                f"{self.name} must be one of its positions from {low:g} to {high:g}, "
                f"not {value!r}; the nearest is {nearest!r}"
            )
        return nearest

    def index(self, value: float) -> int:
        """The position nearest to `value`."""
        return int(np.abs(np.asarray(self.positions) - value).argmin())

    def number_of(self, value: float) -> float:
        """The value as frames count with it."""
        return float(value)

    def text(self, value: float) -> str:
        """The value as its label says it."""
        at_rest = value in self.positions
        return (self.number if at_rest else self.number.exact()).text(value)

    def describe(self) -> dict[str, Any]:
        """What the browser needs to know of the control."""
        return {
            "kind": self.kind,
            "label": self.label,
            "values": list(self.positions),
            "step": self.step,
            "free": self.free,
            "format": self.number.json(),
            "play": self.play,
        }


class Choice(param.Selector):  # type: ignore[type-arg]
    """One of a few values, each with a word of its own; `points` puts them on plots, to be chosen by a click."""

    kind = "choice"
    on_plot = None
    __slots__ = ["points", "words"]
    _slot_defaults = dict(param.Selector._slot_defaults, words=(), points=None)

    def __init__(
        self,
        values: Sequence[Any],
        default: Any = None,
        *,
        words: Sequence[str] | None = None,
        points: dict[str, Sequence[tuple[float, float]]] | None = None,
        **keywords: Any,
    ) -> None:
        self.words = tuple(words or (str(value) for value in values))
        self.points = points
        super().__init__(objects=list(values), default=values[0] if default is None else default, **keywords)

    @property
    def positions(self) -> tuple[Any, ...]:
        """The values, in the order in which they are shown."""
        return tuple(self.objects)

    def index(self, value: Any) -> int:
        """The position of `value`."""
        return self.positions.index(value)

    def number_of(self, value: Any) -> float:
        """The value as frames count with it: itself where it is a number, else its position."""
        return float(value) if isinstance(value, (int, float)) else float(self.index(value))

    def text(self, value: Any) -> str:
        """The value as its label says it."""
        return self.words[self.index(value)]

    def describe(self) -> dict[str, Any]:
        """What the browser needs to know of the control."""
        return {
            "kind": self.kind,
            "label": self.label,
            "values": list(self.positions),
            "words": list(self.words),
            "points": self.points,
        }


class Switch(param.Boolean):  # type: ignore[type-arg]
    """On or off."""

    kind = "switch"
    on_plot = None
    __slots__ = ["words"]
    _slot_defaults = dict(param.Boolean._slot_defaults, words=("off", "on"))
    positions = (False, True)

    def index(self, value: bool) -> int:
        """0 for off, 1 for on."""
        return int(value)

    def number_of(self, value: bool) -> float:
        """0.0 for off, 1.0 for on."""
        return float(value)

    def text(self, value: bool) -> str:
        """The value as its label says it."""
        return str(self.words[int(value)])

    def describe(self) -> dict[str, Any]:
        """What the browser needs to know of the control."""
        return {"kind": self.kind, "label": self.label, "values": [False, True], "words": list(self.words)}


AnyControl = Range | Choice | Switch
