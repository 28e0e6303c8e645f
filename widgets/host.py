"""A figure as a Panel object: the article's own markup and script, with the state kept in step with Python."""

from __future__ import annotations

import sys
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

    `state` is control -> value as it is first shown. What then changes is said in messages: in a notebook, Panel
    sends a parameter that Python has set back to Python, over what has been set there meanwhile.
    """

    state = param.Dict(default={})
    markup = param.String(default="")
    plots = Children()

    _esm = _read("numbers.js", "frames.js", "takeaway.js", "figure.js", "host.js")
    _stylesheets: ClassVar[list[str]] = [tokens.css(), _read("figure.css")]


def _in_turn() -> None:
    """Have a Jupyter kernel take what figures say in turn with the cells.

    JupyterLab asks for a thread of the kernel, a subshell, for each Panel object, and sends there what it says: past
    the waiting cells and the opening of its own channel, so that it is lost, or into the midst of what cells set and
    print, which Panel does not reckon with. Told that its subshell is the main one, JupyterLab keeps to the order.
    """
    ipython = sys.modules.get("IPython")
    kernel: Any = getattr(ipython and ipython.get_ipython(), "kernel", None)
    handlers = getattr(kernel, "control_handlers", {})

    async def main_shell(stream: Any, ident: Any, request: Any) -> None:
        content = {"status": "ok", "subshell_id": None}
        kernel.session.send(stream, "create_subshell_reply", content, request, ident)

    if "create_subshell_request" in handlers:
        handlers["create_subshell_request"] = main_shell


def host(figure: Figure) -> pn.viewable.Viewable:
    """A new view of the figure, tied to its parameters.

    What Python sets moves the figure; what the reader sets arrives when the control is released, and nothing is
    sent before.
    """
    _in_turn()
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

    heard = 0  # when the figure in the browser said what was heard of it last

    def tell(*_: Any) -> None:
        if heard:  # else nobody listens yet
            shown._send_msg({"state": figure.state, "heard": heard})

    def from_reader(message: Any) -> None:
        nonlocal heard
        heard = message.data["said"]
        try:
            figure.param.update(**message.data["values"])
        finally:
            tell()

    shown.on_msg(from_reader)
    figure.param.watch(tell, list(figure.controls()))
    return shown
