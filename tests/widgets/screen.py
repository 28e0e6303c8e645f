"""What the tests of the figures share: any state of a figure, and where on a screen its data are drawn."""

from functools import cache
from typing import Any

import numpy as np
from bokeh.models import LogScale
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from widgets import Figure

WIDTH, HEIGHT = 900, 420
FAR = 10_000.0
"""Pixels: what is further off than this is nowhere to be seen, and equal to all that is."""

any_state = settings(max_examples=200, deadline=None)


def states(kind: type[Figure], **fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Any state of the figure's controls, those between two positions of a free control too."""
    values = {}
    for name, control in kind.controls().items():
        values[name] = st.sampled_from(control.positions)
        if getattr(control, "free", False):
            values[name] |= st.floats(control.positions[0], control.positions[-1])
    return st.fixed_dictionaries(values | {name: st.just(value) for name, value in fixed.items()})


@cache
def _plots(kind: type[Figure]) -> dict[str, Any]:
    return {plot.name: plot for plot in kind().document().roots}


def ends(figure: Figure, place: str) -> tuple[float, float]:
    """The ends of an axis in the present state; `place` is plot and axis, such as "loss.y"."""
    if place in figure.ranges:
        start, end = figure.columns()[figure.ranges[place]]
        return float(start), float(end)
    plot, axis = place.split(".")
    shown = getattr(_plots(type(figure))[plot], f"{axis}_range")
    return shown.start, shown.end


def pixels(figure: Figure, place: str, values: ArrayLike) -> NDArray[np.float64]:
    """Where values are drawn: pixels from the start of the axis on a plot of 900 by 420; nan is not drawn."""
    plot, axis = place.split(".")
    start, end = ends(figure, place)
    values = np.asarray(values, np.float64)
    if isinstance(getattr(_plots(type(figure))[plot], f"{axis}_scale"), LogScale):
        start, end, values = np.log10(start), np.log10(end), np.log10(np.maximum(values, 1e-300))
    across = (values - start) / (end - start) * (WIDTH if axis == "x" else HEIGHT)
    return np.clip(across, -FAR, FAR)


def assert_drawn(figure: Figure, place: str, drawn: ArrayLike, expected: ArrayLike) -> None:
    """Drawn values lie within half a pixel of what is expected, and nan is where nan is expected."""
    np.testing.assert_allclose(
        pixels(figure, place, drawn), pixels(figure, place, expected), rtol=0, atol=0.5, err_msg=place
    )


def on_plot(figure: Figure, place: str, values: ArrayLike) -> bool:
    """Whether all values (but nan) lie on the plot."""
    start, end = ends(figure, place)
    return bool(np.nanmin(values) >= start and np.nanmax(values) <= end)
