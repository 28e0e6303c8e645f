"""A figure as HTML: whole to read without JavaScript, and the places that `static/figure.js` brings to life."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import jinja2

from .figure import Figure

_TEMPLATE = "figure.html"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )


def bare(value: float) -> str:
    """A number at full precision, empty where there is none: what stands in `data-value`."""
    return "" if math.isnan(value) else repr(value)


def figure_markup(
    figure: Figure,
    payload: str = "",
    stills: tuple[str, str] | None = None,
    session: str | None = None,
    recorded: Figure | None = None,
) -> str:
    """The `<figure>` in its present state.

    `payload` is the address of the script that brings it to life, and `stills` those of the pictures, light and
    dark, that stand for the plots where there is no JavaScript. `session` is the address of a page on which a server
    works for the figure, which stands in its place there; `recorded` is the figure as its stills then show it.
    """
    roots = figure.document().roots
    said = figure.say()
    groups: dict[str, dict[str, object]] = {}
    for name, readout in figure.readouts.items():
        groups.setdefault(readout.group, {})[name] = readout
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            figure=figure,
            payload=payload,
            session=session,
            stills=stills,
            recorded=recorded,
            plots=roots,
            groups=groups,
            said=said,
            values={name: bare(each.value) for name, each in said.items()},
        )
    )
