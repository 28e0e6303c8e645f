"""`runaway-bias`: normalize outside the gradient and a bias runs away."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource
from bokeh.models import Plot as BokehPlot

from bn_core.figures.runaway_bias import (
    BATCH_SIZE,
    EVERY,
    GRADIENTS,
    LEARNING_RATES,
    PRECISIONS,
    STEPS,
    runaway_bias,
)

from .controls import Choice, Range, steps
from .figure import Case, Figure, Preset, Question, Readout, Sources
from .frames import Column, Control, Frame, Take, constant
from .numbers import Number
from .plots import FONT, OVERLAY, plot
from .tokens import color

_OUTPUT_UNIT = 1 / 256
"""The strip of outputs travels as whole numbers of this unit: a fifth of a pixel."""
_RUN = ("learning_rate", "precision")
_TOKENS = {"naive": "without", "aware": "with"}


class RunawayBias(Figure):
    """Gradient descent on a bias that the normalization takes away again.

    >>> RunawayBias(step=5000, learning_rate=0.5).say()["bias"].text
    '2500.00'
    """

    slug = "runaway-bias"
    title = "Normalize outside the gradient, and a bias runs away"
    caption = (
        "Press play. The naive gradient ignores that the mean moves with the bias, so it asks for the same step "
        "again and again; the normalized batch and the loss do not notice. Let the gradient see the "
        "normalization, and the bias stands still. Then try half precision."
    )
    summary = (
        "{gradient} gradient, learning rate {learning_rate}, {precision}: after {step} steps the bias is {bias}, "
        "its gradient {bias_gradient}, the loss {loss}. The outputs have changed by {output_change}."
    )

    step = Range(steps(0, STEPS, EVERY), 0, number=Number(0), play=25, label="Step", doc="Training steps so far.")
    gradient = Choice(GRADIENTS, label="Gradient")
    learning_rate = Choice(LEARNING_RATES, 0.5, words=("0.1", "0.2", "0.5", "1", "2"), label="Learning rate")
    precision = Choice(PRECISIONS, label="Precision")

    presets = {
        "run": Preset("5000 steps, naive", {"step": float(STEPS), "gradient": "naive", "precision": "float64"}),
        "see": Preset("Let the gradient see it", {"step": float(STEPS), "gradient": "aware"}),
        "half": Preset("In half precision", {"step": float(STEPS), "gradient": "naive", "precision": "float16"}),
    }
    question = Question(
        "The gradient does not know that the mean moves along with the bias. What have bias and loss done after "
        "{step} steps?",
        (
            "Both have settled",
            "The bias has grown, and the loss has not changed",
            "The bias has settled, and the loss has fallen",
            "Both have grown",
        ),
        1,
        {"step": float(STEPS), "gradient": "naive"},
        "The bias stands at {bias}, and the loss is {loss}, as at the start. The mean takes away whatever the bias "
        "adds, so the gradient stays {bias_gradient} and asks for the same step again and again.",
    )
    readouts = {
        "bias": Readout("Bias b", "now.bias", Number(2, small=1e-3)),
        "bias_gradient": Readout("Gradient on b", "now.bias_gradient", Number(3, small=1e-3)),
        "loss": Readout("Loss", "now.loss", Number(4)),
        "output_mean": Readout("Mean of the output", "now.output_mean", Number(3, small=1e-3)),
        "output_change": Readout(
            "Largest change of an output since step 0", "now.output_change", Number(3, small=1e-3)
        ),
        "stalled_bias": Readout(
            "Bias stalls",
            "stall.bias",
            Number(0),
            (Case("not within 5000 steps"), Case("at {}"), Case("it never set out")),
            "stall.case",
        ),
        "stalled_step": Readout(
            "Stalled since step",
            "stall.step",
            Number(0),
            (Case("not within 5000 steps"), Case("{}"), Case("it never set out")),
            "stall.case",
        ),
    }

    _run = {"step": "step", "bias": "bias b", "output_mean": "mean of the output", "loss": "loss"}
    tables = {
        "naive_run": _run,
        "aware_run": _run,
        "examples": {"step": "step", "output": "output"},
        "strip": {"example": "example", "step": "step", "output": "output"},
    }
    origin = (
        f"A batch of {BATCH_SIZE} with seed 0, every {EVERY}th step, each run in the stated precision. Outputs are "
        "rounded to 1/256."
    )
    program = """
        import numpy as np
        from bn_core.figures.runaway_bias import BATCH_SIZE, EVERY, GRADIENTS, runaway_bias

        {state}

        runs = {name: runaway_bias(name, learning_rate, precision) for name in GRADIENTS}
        run, now = runs[gradient], step // EVERY
        readouts = {
            "bias": run.bias[now],
            "bias_gradient": run.bias_gradient[now],
            "loss": run.loss[now],
            "output_mean": run.output_mean[now],
            "output_change": run.output_change[now],
            "stalled_bias": run.stalled_bias,
            "stalled_step": run.stalled_step,
        }
        drawn = {
            f"{name}_run": {"step": r.step, "bias": r.bias, "output_mean": r.output_mean, "loss": r.loss}
            for name, r in runs.items()
        }
        drawn["examples"] = {"step": np.full(BATCH_SIZE, step), "output": run.output[now]}
        drawn["strip"] = {
            "example": np.repeat(np.arange(BATCH_SIZE), run.step.size),
            "step": np.tile(run.step, BATCH_SIZE),
            "output": run.output.T.ravel(),
        }
        """

    @classmethod
    def sources(cls) -> Sources:
        runs = {
            (gradient, precision): runaway_bias(gradient, LEARNING_RATES, precision)
            for gradient in GRADIENTS
            for precision in PRECISIONS
        }
        by = ("gradient", "learning_rate", "precision")

        def table(name: str) -> np.ndarray:
            """A result for all runs: (gradient, learning rate, precision, ...)."""
            return np.stack(
                [
                    np.stack([getattr(runs[gradient, precision], name) for precision in PRECISIONS], axis=1)
                    for gradient in GRADIENTS
                ]
            )

        everything = {name: table(name) for name in ("bias", "loss", "output_mean")}
        step = np.arange(0, STEPS + 1, EVERY)
        only = {
            gradient: Take(np.where(np.arange(2) == k, 1.0, np.nan), ("gradient",))
            for k, gradient in enumerate(GRADIENTS)
        }
        count = len(step)

        def path(gradient: str, past: bool) -> dict[str, Frame]:
            """A run from step 0: all of it, or as far as it has come if it is the one that is looked at."""
            k = GRADIENTS.index(gradient)
            until = ("step", count) if past else None
            columns: dict[str, Frame] = {"step": Take(step.astype("f4"), until=until)}
            for name, values in everything.items():
                run = Take(values[k].astype("f4"), _RUN, until)
                columns[name] = run * only[gradient] if past else run
            return columns

        output = np.round(table("output") / _OUTPUT_UNIT).astype("i2")
        strip = np.moveaxis(output, -1, -2)  # ..., example, step
        gap = np.zeros((*strip.shape[:-1], 1), "i2")
        stalled = table("stalled_step")
        case = np.isfinite(stalled).astype("u1")
        case[GRADIENTS.index("aware")] = 2

        return {
            # One line for the 16 examples: it jumps back to step 0 behind the axis, where nobody sees it.
            "strip": {
                "example": constant(np.repeat(np.arange(BATCH_SIZE), count + 1), "u1"),
                "step": constant(np.tile([*step, np.nan], BATCH_SIZE)),
                "output": Take(
                    np.concatenate([strip, gap], -1).reshape(*strip.shape[:-2], -1), by, unit=_OUTPUT_UNIT
                ),
            },
            **{f"{gradient}_run": path(gradient, past=False) for gradient in GRADIENTS},
            **{f"{gradient}_past": path(gradient, past=True) for gradient in GRADIENTS},
            "now": {
                "bias": Take(everything["bias"], (*by, "step")),
                "loss": Take(everything["loss"], (*by, "step")),
                **{
                    name: Take(table(name).astype("f4"), (*by, "step"))
                    for name in ("bias_gradient", "output_mean", "output_change")
                },
            },
            # Each line's name stands over its end.
            **{
                f"{gradient}_name": {
                    "step": constant(STEPS),
                    "bias": Take(everything["bias"][k, ..., -1].astype("f4"), _RUN),
                }
                for k, gradient in enumerate(GRADIENTS)
            },
            "here": {
                "step": Control("step"),
                **{name: Column(f"now.{name}") for name in everything},
            },
            "examples": {
                "step": Control("step") * constant(np.ones(BATCH_SIZE)),
                "output": Take(output, (*by, "step"), unit=_OUTPUT_UNIT),
            },
            "stall": {
                "step": Take(stalled.astype("f4"), by),
                "bias": Take(table("stalled_bias").astype("f4"), by),
                "case": Take(case, by),
            },
        }

    @classmethod
    def plots(cls, source: Mapping[str, ColumnDataSource]) -> list[BokehPlot]:
        ends = (-60.0, STEPS + 60.0)
        panels = {
            "bias": plot("bias", "Bias b", ends, (-500, 10500), height=300, x_label="step"),
            "output_mean": plot("output", "Normalized batch x̂, and its mean", ends, (-4.3, 2.3), height=210),
            "loss": plot("loss", "Loss", ends, (0, 1.5), height=150, x_label="step", y_ticks=(0, 0.5, 1, 1.5)),
        }
        panels["output_mean"].line(
            "step", "output", source=source["strip"], line_color=color("neutral"), line_alpha=0.45
        )
        panels["output_mean"].scatter(
            "step",
            "output",
            source=source["examples"],
            size=5,
            line_color=None,
            fill_color=color("neutral"),
            **OVERLAY,
        )
        for gradient, token in _TOKENS.items():
            panels["bias"].text(
                "step",
                "bias",
                source=source[f"{gradient}_name"],
                text=value(gradient),
                text_color=color(token),
                text_font=value(FONT),
                text_font_size="12px",
                text_align="right",
                y_offset=-4,
            )
        for column, panel in panels.items():
            for gradient, token in _TOKENS.items():
                panel.line(
                    "step",
                    column,
                    source=source[f"{gradient}_run"],
                    line_color=color(token),
                    line_width=1.5,
                    line_alpha=0.6,
                )
                panel.line(
                    "step",
                    column,
                    source=source[f"{gradient}_past"],
                    line_color=color(token),
                    line_width=3,
                    **OVERLAY,
                )
            panel.scatter(
                "step",
                column,
                source=source["here"],
                size=10,
                fill_color=color("ink"),
                line_color=color("plot"),
                **OVERLAY,
            )
        return list(panels.values())
