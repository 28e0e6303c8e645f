"""What every figure is: controls, frames, readouts, plots and words; alive in a page, a notebook or a Panel app."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
import panel as pn
from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.models import ColumnDataSource
from bokeh.models import Plot as BokehPlot

from . import takeaway, tokens
from .controls import AnyControl, Choice, Range, Switch
from .frames import Array, Column, Frame, Json, controls_of
from .numbers import Number

Sources = dict[str, dict[str, Frame]]
"""Source -> column -> how it follows the controls. A column may refer to those declared before it."""


@dataclass(frozen=True)
class Case:
    """What a readout says: `{}` stands for the number. `source` tells where the number comes from."""

    template: str = "{}"
    source: str = "computed"


@dataclass(frozen=True)
class Readout:
    """A number that the figure states: `value` names its column, and `number` says how it is written.

    With several `cases`, the column named `case` holds the position of the one that applies.
    A value that is not a number is none: the page then shows the case's words alone.
    """

    label: str
    value: str
    number: Number = field(default_factory=Number)
    cases: tuple[Case, ...] = (Case(),)
    case: str | None = None
    group: str = ""

    def json(self) -> Json:
        """What the browser needs."""
        return {
            "value": self.value,
            "number": self.number.json(),
            "cases": [[case.template, case.source] for case in self.cases],
            "case": self.case,
        }


@dataclass(frozen=True)
class Said:
    """A readout in one state: its value (nan where there is none), its text, and where the number comes from."""

    value: float
    text: str
    source: str


@dataclass(frozen=True)
class Preset:
    """A state with a name. A control is set to a value, or to the number in a column: exactly, off the grid too."""

    label: str
    values: Mapping[str, Any]
    note: str = ""
    """What there is to see then; said when the preset is chosen."""

    def json(self) -> Json:
        """What the browser needs."""
        values = {
            name: {"column": value.name} if isinstance(value, Column) else {"value": value}
            for name, value in self.values.items()
        }
        return {"values": values, "note": self.note}


@dataclass(frozen=True)
class Question:
    """What a class commits to before it sees: `answers[right]` is right, as the figure shows in another state.

    It is asked in the state `start` and answered in `state`: each says how it differs from the one before, the
    first from the figure's own beginning. In `text` and `why`, `{name}` stands for the text of a label or readout
    in the state that answers, so that no number is typed.
    """

    text: str
    answers: tuple[str, ...]
    right: int
    state: Mapping[str, Any]
    why: str
    start: Mapping[str, Any] = field(default_factory=dict)


class Position:
    """One state of a figure's controls, as frames ask for it."""

    def __init__(
        self, controls: Mapping[str, AnyControl], values: Mapping[str, Any], rows: Mapping[str, Array] | None = None
    ) -> None:
        self.controls, self.values, self.rows = controls, values, rows or {}

    def value(self, control: str) -> float:
        """The control's value as a number."""
        return self.controls[control].number_of(self.values[control])

    def index(self, control: str) -> int:
        """The position of the control's value on its axis."""
        return self.controls[control].index(self.values[control])

    def fed(self, name: str) -> Array:
        """The rows that have come in under this name."""
        return self.rows.get(name, np.empty((0, 0)))


class Figure(pn.viewable.Viewer):
    """A figure. To make one: declare its controls as parameters, and fill in what stands below.

    Setting a parameter moves the figure wherever it is shown; what a reader sets arrives as the parameter's
    value when the control is released.
    """

    slug: ClassVar[str]
    """The figure's name in addresses and ids."""
    title: ClassVar[str]
    caption: ClassVar[str]
    """One sentence or two that say what to try. Plain text."""
    summary: ClassVar[str]
    """What the figure shows now, in a sentence, for those who do not see it: `{name}` stands for a label's or
    readout's text."""
    readouts: ClassVar[dict[str, Readout]]
    presets: ClassVar[dict[str, Preset]] = {}
    question: ClassVar[Question | None] = None
    """What “Predict first” asks, if there is something to ask."""
    ranges: ClassVar[dict[str, str]] = {}
    """Plot and axis, such as `"loss.y"` -> the column with the ends of what it shows."""
    tables: ClassVar[dict[str, dict[str, str]]] = {}
    """What a reader takes away: source -> column -> heading, with the unit in brackets if it has one."""
    origin: ClassVar[str] = ""
    """Where those data come from: the seed of what is drawn at random, and what was rounded."""
    program: ClassVar[str] = ""
    """The lines of `bn_core` that make the numbers on the screen: a dict `readouts`, by the readouts' names, and
    a dict `drawn` of `tables`. `{state}` stands for the controls, each set on a line of its own."""

    @classmethod
    def sources(cls) -> Sources:
        """The tables, computed by `bn_core` for all positions of the controls."""
        raise NotImplementedError

    @classmethod
    def plots(cls, source: Mapping[str, ColumnDataSource]) -> list[BokehPlot]:
        """The plots, in reading order, each with a `name`; `source` gives the data of a drawn source."""
        raise NotImplementedError

    training: ClassVar[tuple[str, ...]] = ()
    """The controls that decide what is trained, in a figure that has a start button: see `fed`."""
    fed: Mapping[str, Array] = {}
    """What has come in from outside and cannot be computed in advance: name -> rows, (n, columns)."""

    # ---- the controls

    @classmethod
    def controls(cls) -> dict[str, AnyControl]:
        """The parameters that are controls, in the order of their declaration."""
        declared = {name: cls.param[name] for name in cls.param}
        return {name: p for name, p in declared.items() if isinstance(p, (Range, Choice, Switch))}

    @classmethod
    def grid(cls, *names: str) -> list[Array]:
        """The positions of the controls `names`, one broadcastable array each, in the order of the axes."""
        axes = [np.asarray(cls.controls()[name].positions) for name in names]
        return list(np.meshgrid(*axes, indexing="ij", sparse=True))

    @property
    def state(self) -> dict[str, Any]:
        """Control -> value."""
        return {name: getattr(self, name) for name in self.controls()}

    # ---- what is shown: the Python twin of static/figure.js

    def columns(self) -> dict[str, Array]:
        """Every column of every source in the present state, by the name `source.column`."""
        position = Position(self.controls(), self.state, self.fed)
        shown: dict[str, Array] = {}
        for source, columns in sources_of(type(self)).items():

            def find(name: str, source: str = source) -> Array:
                return shown[_full(name, source)]

            for name, frame in columns.items():
                shown[f"{source}.{name}"] = frame.at(position, find)
        return shown

    def say(self) -> dict[str, Said]:
        """What every readout says in the present state."""
        columns = self.columns()
        said = {}
        for name, readout in self.readouts.items():
            value = float(columns[readout.value][0])
            case = readout.cases[int(columns[readout.case][0]) if readout.case else 0]
            said[name] = Said(value, case.template.replace("{}", readout.number.text(value)), case.source)
        return said

    def summarize(self) -> str:
        """The summary of the present state."""
        return self.fill(self.summary)

    def fill(self, words: str) -> str:
        """The words with each `{name}` replaced by the text of that label or readout in the present state."""
        texts = {name: control.text(getattr(self, name)) for name, control in self.controls().items()}
        texts |= {name: said.text for name, said in self.say().items()}
        return re.sub(r"\{(\w+)\}", lambda name: texts[name[1]], words)

    def csv(self) -> str:
        """The data behind the picture in the present state, as the page's “Data (CSV)” saves them."""
        return takeaway.csv(self)

    def code(self) -> str:
        """Python that makes the same numbers without any page, as the page's “Copy as Python” gives it."""
        return takeaway.code(self)

    def apply(self, preset: str) -> None:
        """Set the controls as the preset does."""
        self._assign(self.presets[preset].values)

    def _assign(self, values: Mapping[str, Any]) -> None:
        columns = self.columns()
        self.param.update(
            **{name: float(columns[v.name][0]) if isinstance(v, Column) else v for name, v in values.items()}
        )

    @classmethod
    def asked(cls) -> Self:
        """The figure as it stands while its question is asked."""
        assert cls.question
        return cls(**cls.question.start)

    @classmethod
    def answered(cls) -> Self:
        """The figure in the state that answers its question."""
        assert cls.question
        figure = cls.asked()
        figure._assign(cls.question.state)
        return figure

    # ---- what the browser gets

    def document(self) -> Document:
        """The plots and tables in the present state, as a Bokeh document that needs no server.

        The first plot carries in its tags what `static/figure.js` needs to bring the figure to life.
        """
        columns = self.columns()
        drawn = _Drawn(columns)
        plots = self.plots(drawn)
        plots[0].tags = [self._spec(drawn)]
        document = Document()
        for plot in plots:
            document.add_root(plot)
        return document

    def payload(self) -> str:
        """The document as JSON: `doc`, the `roots`' ids by the plots' names, and the `values` it was made in."""
        document = self.document()
        doc = {key: value for key, value in document.to_json(deferred=False).items() if key != "defs"}
        roots = {root.name: root.id for root in document.roots}
        return serialize_json({"doc": doc, "roots": roots, "values": self.state})

    def _spec(self, drawn: _Drawn) -> Json:
        declared = sources_of(type(self))
        follows = _controls_of_columns(declared)
        return {
            "controls": {name: control.describe() for name, control in self.controls().items()},
            "sources": {
                source: {
                    "columns": {name: frame.json() for name, frame in columns.items()},
                    "follows": sorted(set().union(*(follows[f"{source}.{name}"] for name in columns))),
                    "model": drawn.get(source),
                }
                for source, columns in declared.items()
            },
            "readouts": {name: readout.json() for name, readout in self.readouts.items()},
            "training": self.training,
            "presets": {name: preset.json() for name, preset in self.presets.items()},
            "question": self.question
            and {
                "start": self.asked().state,
                "state": self.answered().state,
                "right": self.question.right,
                "why": self.question.why,
            },
            "ranges": self.ranges,
            "summary": self.summary,
            "colors": tokens.by_color(),
            "takeaway": takeaway.describe(self),
        }

    def __panel__(self) -> pn.viewable.Viewable:
        from .host import host  # noqa: PLC0415  (the host is only made where a figure is a Panel object)

        return host(self)


@cache
def sources_of(figure: type[Figure]) -> Sources:
    """The figure's tables, computed once in the life of the process."""
    return figure.sources()


class _Drawn(dict[str, ColumnDataSource]):
    """The data of the sources that plots ask for, made when they ask."""

    def __init__(self, columns: Mapping[str, Array]) -> None:
        super().__init__()
        self.columns = columns

    def __missing__(self, source: str) -> ColumnDataSource:
        start = f"{source}."
        data = {name.removeprefix(start): c for name, c in self.columns.items() if name.startswith(start)}
        # The browser drives it; a server has nothing to learn from it.
        self[source] = ColumnDataSource(data, name=source, syncable=False)
        return self[source]


def _full(column: str, source: str) -> str:
    """`"x"` in the source `"batch"` is `"batch.x"`."""
    return column if "." in column else f"{source}.{column}"


def _controls_of_columns(declared: Sources) -> dict[str, set[str]]:
    """Full column name -> the controls that it follows."""
    follows: dict[str, set[str]] = {}
    for source, columns in declared.items():
        for name, frame in columns.items():

            def of_column(column: str, source: str = source) -> set[str]:
                return follows[_full(column, source)]

            follows[f"{source}.{name}"] = controls_of(frame, of_column)
    return follows
