"""The words that say how a drawn column follows the controls.

NumPy computes arrays once, for every position of every control; the browser only picks and combines them.
`static/frames.js` speaks the same words. `at` is the Python twin of what happens there: it draws the first
picture, fills the readouts of a page that has no JavaScript, and is what the tests compare the browser with.

The words know arrays and positions. What batch normalization is, only `bn_core` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Json = dict[str, Any]
Columns = Callable[[str], Array]
"""Finds a column by its name: `"x"` in the same source, `"batch.x"` in another."""


class State(Protocol):
    """What a frame asks of the controls: the value that one has, and its position on its axis."""

    def value(self, control: str) -> float:
        """The control's value as a number."""

    def index(self, control: str) -> int:
        """The position of the control's value among its values, from 0."""


class Frame:
    """One drawn column as a function of the controls."""

    def at(self, state: State, columns: Columns) -> Array:
        """The column in `state`, one-dimensional."""
        raise NotImplementedError

    def json(self) -> Json:
        """What the browser needs to do the same."""
        raise NotImplementedError

    def parts(self) -> Iterator[Frame]:
        """The frames that this one is made of."""
        return iter(())

    def __add__(self, other: Frame) -> Sum:
        return Sum((self, other))

    def __mul__(self, other: Frame) -> Product:
        return Product((self, other))


@dataclass(frozen=True, eq=False)
class Take(Frame):
    """The piece of `table` at the positions of the controls `by`, which are its leading axes.

    `until` names a control whose position ends the column: at its last position the column is whole, a
    position earlier it is one entry shorter. `unit` is what one count of an integer table stands for.
    """

    table: Array
    by: tuple[str, ...] = ()
    until: tuple[str, int] | None = None
    unit: float = 1.0

    def at(self, state: State, columns: Columns) -> Array:
        column = np.atleast_1d(self.table[tuple(state.index(control) for control in self.by)])
        if self.until:
            control, size = self.until
            column = column[: len(column) - size + state.index(control) + 1]
        return column if self.unit == 1 else column * np.float64(self.unit)

    def json(self) -> Json:
        return {
            "op": "take",
            "table": np.ascontiguousarray(self.table),
            "by": list(self.by),
            "until": list(self.until) if self.until else None,
            "unit": self.unit,
        }


@dataclass(frozen=True, eq=False)
class Control(Frame):
    """The value of a control, as a column of one entry."""

    name: str

    def at(self, state: State, columns: Columns) -> Array:
        return np.array([state.value(self.name)])

    def json(self) -> Json:
        return {"op": "control", "name": self.name}


@dataclass(frozen=True, eq=False)
class Column(Frame):
    """Another column: `"x"` of the same source or `"batch.x"` of one declared earlier."""

    name: str

    def at(self, state: State, columns: Columns) -> Array:
        return columns(self.name)

    def json(self) -> Json:
        return {"op": "column", "name": self.name}


@dataclass(frozen=True, eq=False)
class Combined(Frame):
    """Columns combined entry by entry; a column of one entry serves for all."""

    terms: tuple[Frame, ...]
    word: ClassVar[str]
    operation: ClassVar[np.ufunc]

    def at(self, state: State, columns: Columns) -> Array:
        total, *rest = (term.at(state, columns).astype(np.float64) for term in self.terms)
        for term in rest:
            total = self.operation(total, term)
        return total

    def json(self) -> Json:
        return {"op": self.word, "terms": [term.json() for term in self.terms]}

    def parts(self) -> Iterator[Frame]:
        return iter(self.terms)


class Sum(Combined):
    """The sum of columns: what shifts by a control is exact at every value of it."""

    word = "sum"
    operation = np.add


class Product(Combined):
    """The product of columns: what scales with a control is exact at every value of it."""

    word = "product"
    operation = np.multiply


@dataclass(frozen=True, eq=False)
class Along(Frame):
    """The height of the curve through evenly spaced `x` and `y` at the positions `of`: sets points on a curve."""

    x: Array
    y: Frame
    of: Column

    def at(self, state: State, columns: Columns) -> Array:
        return np.interp(self.of.at(state, columns), self.x, self.y.at(state, columns))

    def json(self) -> Json:
        start, step = float(self.x[0]), float((self.x[-1] - self.x[0]) / (len(self.x) - 1))
        return {"op": "along", "start": start, "step": step, "y": self.y.json(), "of": self.of.json()}

    def parts(self) -> Iterator[Frame]:
        return iter((self.y, self.of))


@dataclass(frozen=True, eq=False)
class Pick(Frame):
    """The entries of one column at the places, counted from 0, that another column names."""

    of: Frame
    places: Frame

    def at(self, state: State, columns: Columns) -> Array:
        return self.of.at(state, columns)[self.places.at(state, columns)]

    def json(self) -> Json:
        return {"op": "pick", "of": self.of.json(), "places": self.places.json()}

    def parts(self) -> Iterator[Frame]:
        return iter((self.of, self.places))


STATISTICS: Mapping[str, Callable[..., Any]] = {
    "mean": lambda x: x.mean(),
    "std": lambda x: x.std(),
    "last": lambda x: x[-1],
    "gap": lambda x, y: np.abs(x - y).max(),
    "share_within": lambda x, bound: (np.abs(x) < bound).mean(),
}


@dataclass(frozen=True, eq=False)
class Measure(Frame):
    """A statistic of drawn columns, so that a readout cannot disagree with its picture.

    `what` is one of `STATISTICS`: the mean, the standard deviation (dividing by the count), the last entry,
    the largest distance between two columns, the share of entries within a bound.
    """

    what: str
    of: tuple[Frame, ...]

    def at(self, state: State, columns: Columns) -> Array:
        return np.atleast_1d(STATISTICS[self.what](*(part.at(state, columns).astype(np.float64) for part in self.of)))

    def json(self) -> Json:
        return {"op": "measure", "what": self.what, "of": [part.json() for part in self.of]}

    def parts(self) -> Iterator[Frame]:
        return iter(self.of)


def constant(values: ArrayLike, dtype: str = "f4") -> Take:
    """A column that no control changes."""
    return Take(np.atleast_1d(np.asarray(values, dtype)))


def measure(what: str, *columns: str | Frame) -> Measure:
    """A `Measure` of columns given by their names or of frames."""
    return Measure(what, tuple(Column(c) if isinstance(c, str) else c for c in columns))


def controls_of(frame: Frame, of_column: Callable[[str], set[str]]) -> set[str]:
    """The names of the controls that `frame` follows; `of_column` answers for the columns it refers to."""
    match frame:
        case Take(by=by, until=until):
            own = {*by, *([until[0]] if until else [])}
        case Control(name=name):
            own = {name}
        case Column(name=name):
            own = of_column(name)
        case _:
            own = set()
    return own.union(*(controls_of(part, of_column) for part in frame.parts()))
