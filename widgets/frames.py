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


FED = "fed"
"""Stands among the controls that a column follows when it follows what is fed."""


class State(Protocol):
    """What a frame asks of the controls: the value that one has, and its position on its axis; and what was fed."""

    def value(self, control: str) -> float:
        """The control's value as a number."""

    def index(self, control: str) -> int:
        """The position of the control's value among its values, from 0."""

    def fed(self, name: str) -> Array:
        """The rows that have come in under this name, (n, columns); (0, 0) before the first."""


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
class Fed(Frame):
    """What has come in from outside, such as the records of a training, which nobody knows in advance.

    Of the rows under `name` it is one column: the one at the position of the control `by`, or the one at `place`.
    Empty while nothing has come in.
    """

    name: str
    by: str | None = None
    place: int = 0

    def at(self, state: State, columns: Columns) -> Array:
        rows = state.fed(self.name)
        return rows[:, state.index(self.by) if self.by else self.place] if rows.size else np.empty(0)

    def json(self) -> Json:
        return {"op": "fed", "name": self.name, "by": self.by, "place": self.place}


@dataclass(frozen=True, eq=False)
class Latest(Frame):
    """The last row that has come in under `name`, as a column; empty while there is none."""

    name: str

    def at(self, state: State, columns: Columns) -> Array:
        rows = state.fed(self.name)
        return rows[-1] if rows.size else np.empty(0)

    def json(self) -> Json:
        return {"op": "latest", "name": self.name}


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


def _first_reaching(x: Array, y: Array, level: Array) -> float:
    reached = np.flatnonzero(y >= level)
    return float(x[reached[0]]) if reached.size else np.nan


def _first_number(*columns: Array) -> float:
    return next((float(c[-1]) for c in columns if c.size and not np.isnan(c[-1])), np.nan)


def _which_number(*columns: Array) -> int:
    return next((k for k, c in enumerate(columns) if c.size and not np.isnan(c[-1])), len(columns))


def _reach(least: Array, *columns: Array) -> float:
    """The first of least, twice that, four times that, ... that no entry goes beyond."""
    largest = max((float(np.abs(c).max()) for c in columns if c.size), default=0.0)
    reach = float(least[0])
    while reach < largest:
        reach *= 2
    return reach


STATISTICS: Mapping[str, Callable[..., Any]] = {
    "mean": lambda x: x.mean(),
    "std": lambda x: x.std(),
    "last": lambda x: x[-1] if x.size else np.nan,
    "last_below": lambda x, bound: x[-1] if x.size and x[-1] < bound[0] else np.nan,
    "first_reaching": _first_reaching,
    "first_number": _first_number,
    "which_number": _which_number,
    "reach": _reach,
    "gap": lambda x, y: np.abs(x - y).max(),
    "share_within": lambda x, bound: (np.abs(x) < bound).mean(),
}


@dataclass(frozen=True, eq=False)
class Measure(Frame):
    """A statistic of drawn columns, so that a readout cannot disagree with its picture.

    `what` is one of `STATISTICS`: the mean, the standard deviation (dividing by the count), the last entry (nan
    where there is none), the same if it is below a bound, the largest distance between two columns, the share of
    entries within a bound; where a column first reaches a level; of several columns the first that ends in a number,
    or its place; how far columns reach from zero, in doublings of a least reach.
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
        case Fed(by=by_one):
            own = {FED, *([by_one] if by_one else [])}
        case Latest():
            own = {FED}
        case Column(name=name):
            own = of_column(name)
        case _:
            own = set()
    return own.union(*(controls_of(part, of_column) for part in frame.parts()))
