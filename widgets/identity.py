"""`identity`: gamma and beta can undo it all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource
from bokeh.models import Plot as BokehPlot
from numpy.typing import NDArray

from bn_core.activations import sigmoid
from bn_core.figures.identity import EPSILONS, MEAN, NEAR_LINEAR, SIZE, STD, draws, identity, undo

from .controls import Choice, Range, steps
from .figure import Figure, Preset, Question, Readout, Sources
from .frames import Column, Control, Product, Sum, Take, constant, measure
from .numbers import Number
from .plots import FONT, OVERLAY, plot
from .tokens import color

_BIN = 0.2
_STILL: dict[str, Any] = {}
_ROWS = {"x": 2.0, "x_hat": 1.0, "y": 0.0}


class Identity(Figure):
    """A batch, the batch normalized, and what gamma and beta make of it.

    >>> figure = Identity()
    >>> figure.apply("identity")
    >>> figure.say()["residual"].value < 1e-12
    True
    """

    slug = "identity"
    title = "Gamma and beta can undo it all"
    caption = (
        "Every dot is one of 512 draws: at the top as they came, in the middle normalized, at the bottom scaled "
        "by γ and shifted by β. Drag both, or press “set to identity”, and the bottom row becomes the top one. "
        "The thin curve is the standard normal; the band is where a sigmoid is nearly straight."
    )
    summary = (
        "With scale {gamma}, shift {beta} and epsilon {epsilon} the output has mean {mean} and standard deviation "
        "{std}; its largest distance from the input is {residual}, and {near_linear} of it lies in the sigmoid’s "
        "near-linear middle."
    )

    gamma = Range(steps(-1, 4, 0.05), 1, number=Number(2), free=True, label="Scale γ", doc="The learned scale.")
    beta = Range(steps(-6, 6, 0.1), 0, number=Number(1), free=True, label="Shift β", doc="The learned shift.")
    epsilon = Choice(EPSILONS, 1e-5, words=("10⁻⁸", "10⁻⁵", "10⁻³", "0.1"), label="Epsilon ε")

    presets = {
        "identity": Preset("Set to identity", {"gamma": Column("undo.gamma"), "beta": Column("undo.beta")}),
        "standard": Preset("Set to standard", {"gamma": 1.0, "beta": 0.0}),
        "forget_epsilon": Preset("Identity, but forget ε", {"gamma": STD, "beta": MEAN}),
    }
    question = Question(
        "A batch has been normalized. Now γ becomes √(Var + ε), and β becomes the mean that the batch had. "
        "What comes out?",
        (
            "A standard normal distribution",
            "The mean and spread of the input, in another shape",
            "The input again, value for value",
            "The input, pressed into the sigmoid’s straight middle",
        ),
        2,
        {"gamma": Column("undo.gamma"), "beta": Column("undo.beta")},
        "The largest distance between y and x is {residual}: at most the rounding of the arithmetic. γ gives the "
        "spread back and β the mean, so the layer can still do all that it could before.",
    )
    readouts = {
        "mean": Readout("Mean of y", "numbers.mean", Number(3)),
        "std": Readout("Standard deviation of y", "numbers.std", Number(3)),
        "residual": Readout("Largest distance |y − x|", "numbers.residual", Number(3, small=1e-3)),
        "near_linear": Readout("y inside |y| < 1", "numbers.near_linear", Number(1, scale=100, unit="%")),
    }

    tables = {"x": {"x": "x"}, "x_hat": {"x": "normalized x"}, "y": {"x": "y"}}
    origin = (
        f"The input: {SIZE} draws of a gamma distribution with shape 4 (NumPy's default_rng, seed 0), shifted and "
        f"scaled to have mean {MEAN:g} and standard deviation {STD:g} exactly."
    )
    program = """
        import numpy as np
        from bn_core.figures.identity import identity

        {state}

        now = identity(gamma, beta, epsilon)
        readouts = {"mean": now.mean, "std": now.std, "residual": now.residual, "near_linear": now.near_linear}
        drawn = {"x": {"x": now.x}, "x_hat": {"x": now.x_hat}, "y": {"x": now.y}}
        """

    @classmethod
    def sources(cls) -> Sources:
        x = draws()
        x_hat = Take(identity(1, 0, EPSILONS).x_hat, ("epsilon",))
        gamma, beta = undo(EPSILONS)
        height = _stacked(identity(1, 0).x_hat)
        t = np.linspace(-4, 4, 161)
        normal = np.exp(-t * t / 2) / np.sqrt(2 * np.pi)
        wide = np.linspace(-15, 24, 391)
        return {
            "undo": {"gamma": Take(gamma, ("epsilon",)), "beta": Take(beta, ("epsilon",))},
            "x": {"x": constant(x, "f8"), "height": constant(_ROWS["x"] + height)},
            "x_hat": {"x": x_hat, "height": constant(_ROWS["x_hat"] + height)},
            "y": {
                "x": Sum((Product((Control("gamma"), x_hat)), Control("beta"))),
                "height": constant(_ROWS["y"] + height),
            },
            "normal": {"x": constant(t), "y": constant(_ROWS["x_hat"] + normal * SIZE * _BIN * _DOT)},
            "sigmoid": {"x": constant(wide), "y": constant(_ROWS["y"] + 0.8 * sigmoid(wide))},
            "numbers": {
                "mean": measure("mean", "y.x"),
                "std": measure("std", "y.x"),
                "residual": measure("gap", "y.x", "x.x"),
                "near_linear": measure("share_within", "y.x", constant(NEAR_LINEAR)),
            },
        }

    @classmethod
    def plots(cls, source: Mapping[str, ColumnDataSource]) -> list[BokehPlot]:
        p = plot(
            "rows",
            "512 draws, normalized, and scaled and shifted",
            (-15, 24),
            (-0.06, 2.95),
            height=340,
            y_ticks={-9: ""},
        )
        p.ygrid.grid_line_color = p.yaxis.axis_line_color = None
        p.quad(
            left=-NEAR_LINEAR,
            right=NEAR_LINEAR,
            bottom=0,
            top=0.9,
            fill_color=color("shade"),
            line_color=None,
        )
        p.line("x", "y", source=source["sigmoid"], line_color=color("neutral"), line_dash="dashed")
        p.line("x", "y", source=source["normal"], line_color=color("neutral"))
        for name, token, level in (("x", "neutral", _STILL), ("x_hat", "neutral", _STILL), ("y", "with", OVERLAY)):
            p.scatter(
                "x", "height", source=source[name], marker="square", size=3.5, line_color=None,
                fill_color=color(token), fill_alpha=0.8, **level,
            )  # fmt: skip
        words: dict[str, Any] = {
            "text_font": value(FONT),
            "text_font_size": "13px",
            "text_color": color("ink"),
            "text_baseline": "top",
        }
        rows = {"x": "x, input", "x_hat": "x̂", "y": "y = γ x̂ + β"}
        p.text(x=[-14.6] * 3, y=[_ROWS[row] + 0.86 for row in rows], text=list(rows.values()), **words)
        p.text(
            x=[23.6], y=[0.72], text=["sigmoid"], **(words | {"text_color": color("muted"), "text_align": "right"})
        )
        return [p]


_DOT = 0.016
"""The height of one dot, in rows."""


def _stacked(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights that pile the dots of each bin into a column: a histogram in which every dot is one draw."""
    bins = np.floor(x / _BIN)
    order = np.argsort(bins, kind="stable")
    ranked = np.empty(len(x))
    _, starts, counts = np.unique(bins[order], return_index=True, return_counts=True)
    ranked[order] = np.arange(len(x)) - np.repeat(starts, counts)
    return _DOT * (ranked + 0.5)
