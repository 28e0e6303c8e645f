"""`landscape`: one learning rate, two landscapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource
from bokeh.models import Plot as BokehPlot
from bokeh.plotting import figure
from bokeh.plotting.contour import contour_data

from bn_core.figures.landscape import (
    LEARNING_RATES,
    STARTS,
    STEPS,
    VERDICTS,
    WITH,
    WITHOUT,
    descend,
    modes,
    verdict,
)
from bn_core.figures.landscape import Landscape as Bowl

from .controls import Choice, Range
from .figure import Case, Figure, Preset, Question, Readout, Sources
from .frames import Column, Frame, Pick, Take, constant, measure
from .numbers import Number
from .plots import FONT, OVERLAY, plot, rounded
from .tokens import color

_SIDES = {"without": WITHOUT, "with": WITH}
_NAMES = {"without": "Without batch normalization", "with": "With batch normalization"}
_MAP = 2.8
_LEVELS = (0.1, 0.4, 1, 2, 4, 8, 16, 32, 48)
_PLACE_UNIT = 1 / 200
"""Paths travel as whole numbers of this unit: a fifth of a pixel."""
_WORDS = {
    "without": dict(zip(VERDICTS, VERDICTS, strict=True)) | {"oscillating": "oscillating inside a ripple"},
    "with": dict(zip(VERDICTS, VERDICTS, strict=True)) | {"oscillating": "oscillating as it converges"},
}


def _readouts(side: str) -> dict[str, Readout]:
    words = _WORDS[side] | {"diverged": "diverged at step {}"}
    small = Number(3, significant=True, small=1e-3)
    group = _NAMES[side]
    return {
        f"{side}_lambda_max": Readout("Steepest curvature λ", f"{side}_fixed.lambda_max", small, group=group),
        f"{side}_ceiling": Readout("Ceiling 2/λ", f"{side}_fixed.ceiling", small, group=group),
        f"{side}_verdict": Readout(
            "After 40 steps",
            f"{side}_fate.diverged_at",
            Number(),
            tuple(Case(words[verdict]) for verdict in VERDICTS),
            f"{side}_fate.verdict",
            group,
        ),
        f"{side}_loss": Readout(
            "Loss at the last step shown",
            f"{side}_last.loss",
            small,
            (Case(), Case("{}, off the map")),
            f"{side}_last.gone",
            group,
        ),
    }


class Landscape(Figure):
    """Gradient descent with one learning rate on a steep, rippled bowl and on a round, smooth one.

    >>> Landscape(start="corner").say()["with_verdict"].text
    'converging'
    """

    slug = "landscape"
    title = "One learning rate, two landscapes"
    caption = (
        "An illustration: both landscapes are made up, to show one thing. Raise the learning rate: on the left, "
        "descent is caught by ripples, then thrown about, and above the ceiling it leaves the map. The right side "
        "takes ten times the rate, and has a ceiling too. Choose a start by its name or by a click near it."
    )
    summary = (
        "Learning rate {learning_rate}, from {start}. Without batch normalization: after 40 steps {without_verdict}, "
        "loss {without_loss} after {steps}. With: after 40 steps {with_verdict}, loss {with_loss} after {steps}."
    )

    learning_rate = Range(
        LEARNING_RATES.tolist(),
        LEARNING_RATES[8],
        number=Number(3, significant=True),
        label="Learning rate η",
    )
    start = Choice(
        tuple(STARTS),
        points={side: list(STARTS.values()) for side in _SIDES},
        label="Start",
        doc="Where both paths begin.",
    )
    steps = Range(list(STEPS), STEPS[-1], number=Number(0), play=140, label="Steps", doc="Steps shown.")

    presets = {
        "trapped": Preset("A low rate", {"learning_rate": float(LEARNING_RATES[8]), "steps": 40.0}),
        "thrown": Preset("Just under the left ceiling", {"learning_rate": float(LEARNING_RATES[28]), "steps": 40.0}),
        "beyond": Preset(
            "Nearly five times the left ceiling", {"learning_rate": float(LEARNING_RATES[48]), "steps": 40.0}
        ),
        "both": Preset("Beyond both ceilings", {"learning_rate": float(LEARNING_RATES[60]), "steps": 40.0}),
    }
    question = Question(
        "On the left, the learning rate has a ceiling: {without_ceiling}. Now both sides get {learning_rate}. What "
        "happens on the right, with batch normalization?",
        (
            "It converges: any rate is safe there",
            "It diverges, too",
            "It oscillates as it converges",
            "It is caught in a ripple",
        ),
        1,
        {"learning_rate": float(LEARNING_RATES[60])},
        "With batch normalization: {with_verdict}. The ceiling there is {with_ceiling}, and not {without_ceiling} "
        "as on the left. Batch normalization raises the ceiling; it does not remove it.",
    )
    readouts = {name: readout for side in _SIDES for name, readout in _readouts(side).items()}

    _path = {"step": "step", "x": "x", "y": "y", "loss": "loss"}
    tables = {"without_path": _path, "with_path": _path}
    origin = (
        "Gradient descent on two illustrative losses, 6x²+y²/2+(1−cos 12y)/4 without and 0.6x²+y²/2 with batch "
        "normalization. Places on the first are rounded to 1/200; a path that has left the map stands still."
    )
    program = """
        import numpy as np
        from bn_core.figures.landscape import STARTS, VERDICTS, WITH, WITHOUT, descend, verdict

        {state}

        readouts, drawn = {}, {}
        for name, side in {"without": WITHOUT, "with": WITH}.items():
            walk = descend(side, learning_rate, *STARTS[start])
            readouts |= {
                f"{name}_lambda_max": side.lambda_max,
                f"{name}_ceiling": side.ceiling,
                f"{name}_verdict": VERDICTS[verdict(side, learning_rate, *STARTS[start])],
                f"{name}_loss": walk.loss[steps],
            }
            last = walk.left_at if walk.left_at >= 0 else steps
            drawn[f"{name}_path"] = {
                "step": np.minimum(np.arange(steps + 1), last),
                "x": walk.x[: steps + 1],
                "y": walk.y[: steps + 1],
                "loss": walk.loss[: steps + 1],
            }
        """

    @classmethod
    def sources(cls) -> Sources:
        rate = LEARNING_RATES[:, np.newaxis]
        start_x, start_y = np.array(list(STARTS.values())).T
        by, until = ("learning_rate", "start"), ("steps", len(STEPS))
        # The point that a path has come to is larger than those behind it.
        sizes = np.where(np.arange(len(STEPS) + 1) == np.array(STEPS)[:, np.newaxis], 13, 6).astype("u1")
        sources: Sources = {
            "starts": {"x": constant(start_x), "y": constant(start_y)},
        }
        for name, side in _SIDES.items():
            walk = descend(side, rate, start_x, start_y)
            # A path that has left the map stands still, and so does its place on the axis of steps.
            left_at = np.where(walk.left_at >= 0, walk.left_at, len(STEPS))[..., np.newaxis]
            stands_at = np.minimum(np.arange(len(STEPS) + 1), left_at).astype("u1")
            columns: dict[str, Frame] = {
                "step": Take(stands_at, by, until),
                "size": Take(sizes, ("steps",), until),
            }
            if side.ripple_height:
                columns["x"], columns["y"] = (
                    Take(np.round(place / _PLACE_UNIT).astype("i4"), by, until, _PLACE_UNIT)
                    for place in (walk.x, walk.y)
                )
                columns["loss"] = Take(rounded(walk.loss), by, until)
            else:
                sources[f"{name}_left"], more = _on_a_bowl(side, Take(stands_at, by, until), f"{name}_left")
                columns |= more
            sources[f"{name}_path"] = columns
            sources[f"{name}_last"] = {
                "loss": measure("last", f"{name}_path.loss"),
                "gone": Take(
                    (np.array(STEPS) >= np.where(walk.left_at >= 0, left_at[..., 0], 99)[..., np.newaxis]).astype(
                        "u1"
                    ),
                    (*by, "steps"),
                ),
            }
            diverged = np.where(walk.diverged_at >= 0, walk.diverged_at, np.nan).astype("f4")
            sources[f"{name}_fate"] = {
                "verdict": Take(verdict(side, rate, start_x, start_y).astype("u1"), by),
                "diverged_at": Take(diverged, by),
            }
            sources[f"{name}_fixed"] = {
                "lambda_max": constant(side.lambda_max, "f8"),
                "ceiling": constant(side.ceiling, "f8"),
            }
        return sources

    @classmethod
    def plots(cls, source: Mapping[str, ColumnDataSource]) -> list[BokehPlot]:
        ends = (-_MAP, _MAP)
        marks = {"without": "circle", "with": "diamond"}
        losses = plot(
            "loss", "Loss against step", (-0.5, len(STEPS) + 0.5), (1e-6, 1e3), height=210,
            y_axis_type="log", x_label="step", y_ticks={1e-6: "10⁻⁶", 1e-3: "0.001", 1: "1", 1e3: "1000"},
        )  # fmt: skip
        start_x, start_y = np.array(list(STARTS.values())).T
        # In a source of our own: Bokeh would make one with its columns in another order each time.
        labels = {
            "x": start_x,
            "y": start_y,
            "text": list(STARTS),
            "x_offset": [0, -10, 10, 10],
            "y_offset": [10, 0, 0, 0],
            "align": ["center", "right", "left", "left"],
            "baseline": ["top", "middle", "middle", "middle"],
        }
        maps = []
        for name, side in _SIDES.items():
            p = plot(name, _NAMES[name], ends, ends, height=420)
            _contours(p, side)
            p.scatter("x", "y", source=source["starts"], size=12, fill_color=color("plot"), line_color=color("axis"))
            p.text(
                "x", "y", source=ColumnDataSource(labels, syncable=False), text="text", text_align="align",
                text_baseline="baseline", x_offset="x_offset", y_offset="y_offset",
                text_font=value(FONT), text_font_size="12px", text_color=color("muted"),
            )  # fmt: skip
            maps.append(p)
            for panel, x, y in ((p, "x", "y"), (losses, "step", "loss")):
                look: dict[str, Any] = {"source": source[f"{name}_path"], **OVERLAY}
                panel.line(x, y, line_color=color(name), line_width=2, line_alpha=0.8, **look)
                panel.scatter(x, y, marker=marks[name], size="size", fill_color=color(name), line_color=None, **look)
        return [*maps, losses]


def _on_a_bowl(side: Bowl, stands_at: Take, left: str) -> tuple[dict[str, Frame], dict[str, Frame]]:
    """A path on a bowl without ripples, in a fraction of the bytes: the start, times what each step leaves of it.

    First the source `left`, with what is left of x and y; then the columns of the path.
    """
    x_left, y_left = (Take(rounded(mode), ("learning_rate",)) for mode in modes(side, LEARNING_RATES))
    x, y = (Take(start, ("start",)) for start in np.array(list(STARTS.values())).T)
    x_loss, y_loss = Take(side.loss(x.table, 0), ("start",)), Take(side.loss(0, y.table), ("start",))
    of_x, of_y = Column(f"{left}.x"), Column(f"{left}.y")
    return {"x": Pick(x_left, stands_at), "y": Pick(y_left, stands_at)}, {
        "x": x * of_x,
        "y": y * of_y,
        "loss": x_loss * of_x * of_x + y_loss * of_y * of_y,
    }


def _contours(p: figure, side: Bowl) -> None:
    """Lines of equal loss, at the same levels on both maps."""
    x = np.linspace(-_MAP, _MAP, 57)
    y = np.linspace(-_MAP, _MAP, 225)  # the ripples run along y
    lines = contour_data(x, y, side.loss(x, y[:, np.newaxis]), list(_LEVELS), want_fill=False).line_data
    assert lines is not None
    xs, ys = ([line.astype("f4") for level in part for line in _pieces(level)] for part in (lines.xs, lines.ys))
    p.multi_line("xs", "ys", source=ColumnDataSource({"xs": xs, "ys": ys}), line_color=color("axis"), line_alpha=0.45)


def _pieces(line: np.ndarray) -> list[np.ndarray]:
    """The pieces between the gaps."""
    ends = np.flatnonzero(np.isnan(line))
    pieces = (piece[~np.isnan(piece)] for piece in np.split(line, ends))
    return [piece for piece in pieces if piece.size]
