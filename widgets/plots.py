"""The look that all plots share: quiet axes that stay where they are, no toolbar, words set like the page's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import FixedTicker, Range1d
from bokeh.models.annotations import Title
from bokeh.plotting import figure

from .tokens import color

FONT = "system-ui, sans-serif"
OVERLAY: dict[str, Any] = {"level": "overlay"}
"""For what moves: overlays have a canvas of their own, so that axes and still curves are not drawn again."""


def plot(
    name: str,
    title: str,
    x: tuple[float, float],
    y: tuple[float, float],
    *,
    height: int = 240,
    x_label: str = "",
    x_ticks: Sequence[float] | Mapping[float, str] = (),
    y_ticks: Sequence[float] | Mapping[float, str] = (),
    **keywords: Any,
) -> figure:
    """An empty plot with the given ends of its axes; ticks are values, or values with the words to write there."""
    p = figure(
        name=name,
        title=Title(
            text=title,
            text_color=color("muted"),
            text_font=FONT,
            text_font_size="13px",
            text_font_style="normal",
            standoff=6,
        ),
        height=height,
        x_range=Range1d(start=x[0], end=x[1]),
        y_range=Range1d(start=y[0], end=y[1]),
        tools="",
        toolbar_location=None,
        sizing_mode="stretch_both",
        min_border_left=54,
        min_border_right=14,
        min_border_top=4,
        min_border_bottom=24,
        border_fill_color=None,
        background_fill_color=color("plot"),
        outline_line_color=None,
        **keywords,
    )
    p.grid.grid_line_color = color("grid")
    for axis, label, ticks in ((p.xaxis, x_label, x_ticks), (p.yaxis, "", y_ticks)):
        axis.axis_label = label or None
        axis.axis_label_text_color = axis.major_label_text_color = color("muted")
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_standoff = 4
        axis.axis_line_color = axis.major_tick_line_color = color("axis")
        axis.minor_tick_line_color = None
        axis.major_tick_in, axis.major_tick_out = 0, 4
        if ticks:
            axis.ticker = FixedTicker(ticks=list(ticks))
        if isinstance(ticks, Mapping):
            words: dict[Any, Any] = dict(ticks)
            axis.major_label_overrides = words
    return p


def rounded(values: np.ndarray) -> np.ndarray:
    """`values` to the 24 binary digits of a float32, but with the range of float64: light in a payload."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(mantissa.astype(np.float32).astype(np.float64), exponent))
