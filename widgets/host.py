"""A figure as a Panel object: the article's own markup and script, with the state kept in step with Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import panel as pn
import param
from panel.custom import JSComponent
from panel.viewable import Children

from . import tokens
from .markup import figure_markup

if TYPE_CHECKING:
    from .figure import Figure

_STATIC = Path(__file__).resolve().parent.parent / "static"


def _read(*names: str) -> str:
    return "\n".join((_STATIC / name).read_text("utf-8") for name in names)


class Host(JSComponent):
    """Shows one figure in a notebook or a Panel app.

    `state` is control -> value: what Python sets moves the figure; what the reader sets arrives when the
    control is released, and nothing is sent before.
    """

    state = param.Dict(default={})
    markup = param.String(default="")
    plots = Children()

    def _handle_msg(self, data: Any) -> None:
        """The figure in the browser can hear now: tell it what it may have missed."""
        self._send_msg(self.state)

    _esm = _read("numbers.js", "frames.js", "takeaway.js", "figure.js", "host.js")
    _stylesheets: ClassVar[list[str]] = [tokens.css(), _read("figure.css")]


def host(figure: Figure) -> pn.viewable.Viewable:
    """A new view of the figure, tied to its parameters."""
    document = figure.document()
    plots = list(document.roots)
    for plot in plots:
        document.remove_root(plot)
    shown = Host(  # type: ignore[no-untyped-call]
        state=figure.state,
        markup=figure_markup(figure),
        plots=[pn.pane.Bokeh(plot, sizing_mode="stretch_both", margin=0) for plot in plots],
        sizing_mode="stretch_width",
    )

    def from_reader(event: param.parameterized.Event) -> None:
        figure.param.update(**event.new)

    def from_python(*_: Any) -> None:
        shown.state = figure.state

    shown.param.watch(from_reader, "state")
    figure.param.watch(from_python, list(figure.controls()))
    return shown
