"""`saturation`: a drifting batch starves a sigmoid."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bokeh.models import ColumnDataSource
from bokeh.models import Plot as BokehPlot

from bn_core.activations import ACTIVATIONS
from bn_core.figures.saturation import SEED, SIZE, saturation, standard_batch

from .controls import Choice, Range, Switch, steps
from .figure import Figure, Preset, Question, Readout, Sources
from .frames import Along, Column, Control, Frame, Product, Take, constant
from .numbers import Number
from .plots import OVERLAY, plot
from .tokens import color

_PERCENT = Number(digits=1, scale=100, unit="%", small=1e-3)
_ENDS = (-15.0, 15.0)


class Saturation(Figure):
    """A batch drifts into the flat tail of its activation, and batch normalization brings it back.

    >>> signal = Saturation(drift=6, batch_norm=True).say()["gradient_signal"]
    >>> f"{signal.value:.0%}"
    '83%'
    """

    slug = "saturation"
    title = "A drifting batch starves a sigmoid"
    caption = (
        "Drag the mean towards 8 and watch the points climb onto the flat shoulder, where almost no gradient "
        "passes. Then switch batch normalization on. The signal is the mean slope relative to the "
        "activation’s steepest: weights, and normalization’s own 1/σ, multiply the gradient too."
    )
    summary = (
        "{activation}, batch normalization {batch_norm}: a batch with mean {drift} and standard deviation "
        "{spread} reaches the activation with mean {batch_mean}. {gradient_signal} of the gradient passes, "
        "{after_10} is left after ten such layers, and {starved} of the points are starved."
    )

    drift = Range(steps(-8, 8, 0.1), 0, number=Number(1), label="Batch mean", doc="Mean of the batch.")
    spread = Range(
        steps(0.5, 3, 0.5),
        1,
        number=Number(1),
        label="Batch spread (σ)",
        doc="Standard deviation of the batch.",
    )
    activation = Choice(tuple(ACTIVATIONS), words=("sigmoid", "tanh", "ReLU"), label="Activation")
    batch_norm = Switch(False, label="Batch normalization")

    presets = {
        "push": Preset("Push the mean to 6", {"drift": 6.0, "batch_norm": False}),
        "rescue": Preset("…and switch it on", {"drift": 6.0, "batch_norm": True}),
    }
    question = Question(
        "The mean of the batch drifts to {drift}. How much of the gradient still passes the sigmoid?",
        ("Less than a fiftieth of it", "About a tenth of it", "About half of it", "Nearly all of it"),
        0,
        {"drift": 6.0},
        "With the mean at {drift}, {gradient_signal} of the gradient passes, and ten such layers would leave "
        "{after_10}. Now switch batch normalization on.",
    )
    readouts = {
        "batch_mean": Readout("Mean of what the activation sees", "numbers.batch_mean", Number(2)),
        "mean_slope": Readout("Mean slope", "numbers.mean_slope", Number(4, small=1e-4)),
        "gradient_signal": Readout("Gradient signal", "numbers.signal", _PERCENT),
        "starved": Readout(
            "Points under 1 % of the peak slope", "numbers.starved", Number(digits=0, scale=100, unit="%")
        ),
        "after_3": Readout("Signal left after 3 layers", "numbers.after_3", _PERCENT),
        "after_10": Readout("Signal left after 10 layers", "numbers.after_10", _PERCENT),
    }
    ranges = {"activation.y": "view.y"}

    _points = {"x": "x", "y": "f(x)", "slope": "slope f'(x) [share of the steepest]"}
    tables = {"batch": _points, "normalized": _points, "curve": _points}
    origin = (
        f"The batch: {SIZE} normal draws (NumPy's default_rng, seed {SEED}), shifted and scaled to exactly this mean "
        "and spread. Heights on the curve are read off the drawn curve, to 0.001."
    )
    program = """
        import numpy as np
        from bn_core.activations import ACTIVATIONS
        from bn_core.figures.saturation import saturation

        {state}

        f = ACTIVATIONS[activation]
        now = saturation(drift, spread, activation, batch_norm)
        readouts = {
            "batch_mean": now.batch_mean,
            "mean_slope": now.mean_slope,
            "gradient_signal": now.gradient_signal,
            "starved": now.starved,
            "after_3": now.after(3),
            "after_10": now.after(10),
        }
        at = {"curve": np.linspace(-20, 20, 801), "batch": now.x}
        if batch_norm:
            at["normalized"] = now.x_hat
        drawn = {name: {"x": x, "y": f.value(x), "slope": f.slope(x) / f.peak} for name, x in at.items()}
        """

    @classmethod
    def sources(cls) -> Sources:
        on, spread, drift = cls.grid("batch_norm", "spread", "drift")
        states = [saturation(drift, spread, name, on) for name in ACTIVATIONS]
        by = ("activation", "batch_norm", "spread", "drift")
        signal = Take(np.stack([state.gradient_signal for state in states]), by)
        starved = Take(np.round(SIZE * np.stack([state.starved for state in states])).astype("u1"), by, unit=1 / SIZE)

        # The curves reach further than the plot, so that every point of every batch lies on them.
        t = np.linspace(-20, 20, 801)
        height = Take(np.stack([f.value(t) for f in ACTIVATIONS.values()]).astype("f4"), ("activation",))
        slope = Take(np.stack([f.slope(t) / f.peak for f in ACTIVATIONS.values()]).astype("f4"), ("activation",))
        # ReLU's slope is a step, which no even grid holds: the drawn step is a curve of two points.
        is_relu = np.array([name == "relu" for name in ACTIVATIONS])
        smooth = Take(np.where(is_relu[:, None], 0, slope.table), ("activation",))
        step = Take(np.outer(is_relu, [0, 1]).astype("f4"), ("activation",))

        def points(x: Frame, alpha: Frame) -> dict[str, Frame]:
            place = Column("x")
            rising = Along(np.array([-1e-9, 1e-9]), step, place)
            return {
                "x": x,
                "y": Along(t, height, place),
                "slope": Along(t, smooth, place) + rising,
                "low": constant(np.full(SIZE, -0.15)),
                "high": constant(np.full(SIZE, -0.04)),
                "alpha": alpha,
            }

        drifted = Control("drift") + Control("spread") * constant(standard_batch())
        x_hat = Take(states[0].x_hat[1, :, 0].astype("f4"), ("spread",))
        shown_when_on = Take(np.array([np.nan, 1.0], "f4"), ("batch_norm",))
        # The batch fades when it is normalized, but can still be seen.
        fading = Take(np.outer([0.75, 0.25], np.ones(SIZE)).astype("f4"), ("batch_norm",))
        return {
            "view": {
                "y": Take(np.array([(-0.15, 1.15), (-1.3, 1.3), (-1.6, 16)], "f4"), ("activation",)),
            },
            "curve": {"x": constant(t), "y": height, "slope": slope},
            "batch": points(drifted, fading),
            "normalized": points(x_hat * shown_when_on, constant(np.full(SIZE, 0.75))),
            "numbers": {
                "batch_mean": Take(states[0].batch_mean, by[1:]),
                "signal": signal,
                "mean_slope": Product((signal, Take(np.array([f.peak for f in ACTIVATIONS.values()]), by[:1]))),
                "starved": starved,
                "after_3": Product((Column("signal"),) * 3),
                "after_10": Product((Column("signal"),) * 10),
            },
        }

    @classmethod
    def plots(cls, source: Mapping[str, ColumnDataSource]) -> list[BokehPlot]:
        top = plot("activation", "Activation f(x), with the batch on it", _ENDS, (-0.15, 1.15))
        bottom = plot(
            "slope",
            "Slope f′(x), as a share of the steepest",
            _ENDS,
            (-0.2, 1.1),
            x_label="what the activation gets, x",
            y_ticks={0: "0", 0.5: "50 %", 1: "100 %"},
        )
        bottom.varea("x", y1=0, y2="slope", source=source["curve"], fill_color=color("shade"), fill_alpha=0.8)
        for panel, y in ((top, "y"), (bottom, "slope")):
            panel.line("x", y, source=source["curve"], line_color=color("neutral"), line_width=2)
            for name, token, marker, size in (
                ("batch", "without", "circle", 9),
                ("normalized", "with", "diamond", 11),
            ):
                panel.scatter(
                    "x", y, source=source[name], marker=marker, size=size, fill_color=color(token),
                    fill_alpha="alpha", line_color=None, **OVERLAY,
                )  # fmt: skip
        for name, token in (("batch", "without"), ("normalized", "with")):
            bottom.segment(
                "x", "low", "x", "high", source=source[name], line_color=color(token), line_alpha="alpha", **OVERLAY
            )
        return [top, bottom]
