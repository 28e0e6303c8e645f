"""`lab`: two networks race on the same batches, one with batch normalization and one without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource
from bokeh.models import Plot as BokehPlot

from bn_core.figures.lab import MOST_LAYERS, NETWORKS, NEURONS, STORIES, WEIGHT_SCALES, race
from bn_core.recorded import find
from bn_core.training import Config, Divergence

from .controls import Choice, Range
from .controls import steps as positions
from .figure import Case, Figure, Preset, Readout, Sources
from .frames import Array, Control, Fed, Frame, Latest, Product, Take, constant, measure
from .numbers import Number
from .plots import FONT, OVERLAY, plot
from .tokens import color

_PERCENT = Number(1, scale=100, unit="%")
_TOKENS = dict(zip(NETWORKS, ("without", "with"), strict=True))
_NAMES = dict(zip(NETWORKS, ("Without batch normalization", "With batch normalization"), strict=True))
_WORDS = dict(zip(NETWORKS, ("without BN", "with BN"), strict=True))
_MARKS = dict(zip(NETWORKS, (("circle", 9), ("diamond", 12)), strict=True))
"""Kind and size in pixels."""
_NAMED_AT = dict(zip(NETWORKS, (0.92, 1.0), strict=True))
"""The height at which a network is named, in the corner that curves reach last."""
_LAYERS = range(1, MOST_LAYERS + 2)  # the output's is the last
_STEPS = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
_RATES = (*(float(f"{digit}e{power}") for power in range(-3, 1) for digit in (1, 1.5, 2, 3, 5, 7)), 10.0)
_FIRST_STEP = 20
_MARGIN = 1.04
"""By which an axis of steps goes beyond the last, for the marks at the ends of the curves."""
_CHANCE = 0.15
"""Below this share of the held-out digits a network has learned nothing: always saying “1” is right on 11 %."""
_LEAST_REACH = 2.0
_TINY, _HUGE = 1e-9, 1e2

_OUTCOMES = (
    Case("at step {}"),
    *(Case(f"not finite at step {{}}, in layer {layer}") for layer in _LAYERS),
    Case("still at chance"),
    Case("still below it"),
    Case("not yet started"),
)


def _readouts(network: str) -> dict[str, Readout]:
    group = _NAMES[network]
    return {
        f"{network}_outcome": Readout(
            "Reaches the target", f"{network}_now.outcome", cases=_OUTCOMES, case=f"{network}_now.case", group=group
        ),
        f"{network}_accuracy": Readout("Held-out accuracy now", f"{network}_now.accuracy", _PERCENT, group=group),
        f"{network}_step": Readout("Steps done", f"{network}_now.step", group=group),
        f"{network}_saturated": Readout(
            "Last hidden layer: slopes under 1 % of the peak", f"{network}_now.saturated", _PERCENT, group=group
        ),
    }


class Lab(Figure):
    """The laboratory. What its networks do is not known in advance: it is fed with the records of their training."""

    slug = "lab"
    title = "The laboratory: train the paper’s network yourself"
    caption = (
        "Choose, press Start, and watch two networks learn handwritten digits from the same batches and the same "
        "first weights. Accuracy is that on 2,000 held-out digits; 8,000 are for training. The paper gives neither "
        "learning rate, momentum nor weight scale, so this is its first experiment in kind, not in number. The bands "
        "hold the 15th to the 85th percentile of what one unit of the last hidden layer gets, the line is the median."
    )
    summary = (
        "{activation}, {hidden_layers} hidden layers, first weights {weight_scale}, learning rate {learning_rate}, "
        "momentum {momentum}, batches of {batch_size}. Without batch normalization the target of {target} is "
        "reached: {plain_outcome}; accuracy {plain_accuracy} after {plain_step} steps. With it: "
        "{normalized_outcome}; accuracy {normalized_accuracy} after {normalized_step} steps."
    )

    learning_rate = Range(_RATES, 0.1, number=Number(3, significant=True), free=True, label="Learning rate")
    weight_scale = Choice(
        WEIGHT_SCALES, 0.05, words=("0.01", "0.05", "0.1", "1/√fan-in"), label="First weights (standard deviation)"
    )
    activation = Choice(("sigmoid", "tanh", "relu"), words=("sigmoid", "tanh", "ReLU"), label="Activation")
    hidden_layers = Range(positions(1, MOST_LAYERS, 1), 3, label="Hidden layers of 100")
    batch_size = Range((2, 4, 8, 16, 32, 60, 128, 256), 60, label="Batch size")
    momentum = Choice((0.0, 0.9), words=("none", "0.9"), label="Momentum")
    steps = Range(_STEPS, 10_000, label="Steps")
    seed = Range(positions(0, 9, 1), 0, label="Seed")
    target = Range(positions(0.5, 0.95, 0.01), 0.85, number=Number(0, scale=100, unit="%"), label="Target accuracy",
                   on_plot="accuracy")  # fmt: skip
    neuron = Range(positions(1, NEURONS, 1), 1, label="Unit watched")

    training = (
        "learning_rate", "weight_scale", "activation", "hidden_layers", "batch_size", "momentum", "steps", "seed",
    )  # fmt: skip
    """The controls that decide what the networks do; the others only decide what is shown of it."""

    presets = {
        name: Preset(
            story.label,
            {"learning_rate": 0.1, "weight_scale": 0.05, "activation": "sigmoid", "hidden_layers": 3,
             "batch_size": 60, "momentum": 0.0, **story.settings},
            story.outcome,
        )
        for name, story in STORIES.items()
    }  # fmt: skip
    readouts = {name: readout for network in NETWORKS for name, readout in _readouts(network).items()}
    ranges = {
        "accuracy.x": "view.steps",
        "plain-input.x": "view.steps",
        "normalized-input.x": "view.steps",
        "plain-input.y": "view.reach",
        "normalized-input.y": "view.reach",
        "gradients.x": "view.layers",
        "slopes.x": "view.layers",
    }
    tables = {
        network: {
            "step": "step",
            "accuracy": "accuracy on 2000 held-out digits",
            "loss": "cross-entropy of the step's batch",
            "low": "input of the unit (15th percentile)",
            "middle": "input of the unit (median)",
            "high": "input of the unit (85th percentile)",
        }
        for network in NETWORKS
    }
    origin = "Trained by bn_core on 8,000 digits of MNIST; the seed decides the first weights and the batches."
    program = """
        import numpy as np
        from bn_core.figures.lab import columns, race
        from bn_core.training import advance, start, steps_to

        {state}

        configs = race(learning_rate, momentum, batch_size, activation, hidden_layers, weight_scale, steps, seed)
        readouts, drawn = {}, {}
        for network, config in zip(("plain", "normalized"), configs):
            run, records = advance(start(config), steps)  # may take a while: some 0.6 ms a step
            records = records[1:]  # without that of step 0
            readouts[f"{network}_outcome"] = steps_to(target, records) or run.divergence
            now = records[-1] if records else None
            readouts[f"{network}_accuracy"] = now and now.accuracy
            readouts[f"{network}_step"] = now and now.step
            readouts[f"{network}_saturated"] = now and now.saturated[-1]
            if now:
                seen = columns(records)
                drawn[network] = {name: seen[name] for name in ("step", "accuracy", "loss")}
                drawn[network] |= {name: seen[name][:, neuron - 1] for name in ("low", "middle", "high")}
        """

    def race(self) -> dict[str, Config]:
        """The configs of the two networks, by their names."""
        settings = {name: self.state[name] for name in self.training}
        settings |= {name: round(settings[name]) for name in ("hidden_layers", "batch_size", "steps", "seed")}
        return dict(zip(NETWORKS, race(**settings), strict=True))

    @classmethod
    def recorded(cls) -> Self:
        """The laboratory as it stands at the end of the race that it begins with, which is among the recordings."""
        lab = cls()
        recording = find({name: lab.state[name] for name in cls.training})
        assert recording
        for network, course in recording.courses.items():
            seen = {name: column[course.columns["step"] <= lab.steps] for name, column in course.columns.items()}
            lab.fed = {**lab.fed, **rows(network, seen, course.divergence)}
        return lab

    @classmethod
    def sources(cls) -> Sources:
        most = np.array(cls.controls()["steps"].positions)
        hidden = np.array(cls.controls()["hidden_layers"].positions)
        inputs = [Fed(f"{network}.{line}", by="neuron") for network in NETWORKS for line in ("low", "high")]
        reach = measure("reach", constant(_LEAST_REACH), *inputs)
        across = Take(np.stack([np.full_like(most, _FIRST_STEP), _MARGIN * most], axis=1), ("steps",))
        sources: Sources = {
            "view": {
                "steps": across,
                "reach": Product((reach, constant([-1, 1]))),
                "layers": Take(np.stack([np.full_like(hidden, 0.5), hidden + 1.5], axis=1), ("hidden_layers",)),
            },
            "target": {"x": across, "y": Control("target") * constant([1, 1], "f8")},
        }
        for network in NETWORKS:

            def fed(name: str, place: int = 0, network: str = network) -> Frame:
                return Fed(f"{network}.{name}", place=place)

            def watched(name: str, network: str = network) -> Frame:
                return Fed(f"{network}.{name}", by="neuron")

            reached = measure("first_reaching", fed("step"), fed("accuracy"), Control("target"))
            broken = [fed("divergence", layer - 1) for layer in _LAYERS]
            at_chance = measure("last_below", fed("accuracy"), constant(_CHANCE))
            sources |= {
                network: {
                    "step": fed("step"),
                    "accuracy": fed("accuracy"),
                    "loss": fed("loss"),
                    "low": watched("low"),
                    "middle": watched("middle"),
                    "high": watched("high"),
                },
                f"{network}_gradients": {
                    "layer": Latest(f"{network}.layers"),
                    "norm": Latest(f"{network}.gradient_norms"),
                },
                f"{network}_slopes": {
                    "layer": Latest(f"{network}.hidden"),
                    "slope": Latest(f"{network}.slopes"),
                },
                f"{network}_now": {
                    "reached": reached,
                    "level": Control("target"),
                    "outcome": measure("first_number", reached, *broken),
                    "case": measure("which_number", reached, *broken, at_chance, fed("accuracy")),
                    "accuracy": measure("last", fed("accuracy")),
                    "step": measure("last", fed("step")),
                    "saturated": measure("last", Latest(f"{network}.saturated")),
                },
            }
        return sources

    @classmethod
    def plots(cls, source: Mapping[str, ColumnDataSource]) -> list[BokehPlot]:
        time: dict[str, Any] = {
            "x": (_FIRST_STEP, 10_000),
            "x_ticks": {float(step): Number().text(step) for step in (25, 100, 1_000, 10_000, 50_000)},
            "x_axis_type": "log",
        }
        accuracy = plot(
            "accuracy", "Accuracy on held-out digits, by step", y=(0, 1.06), height=300,
            y_ticks={k / 5: f"{20 * k} %" for k in range(6)}, **time,
        )  # fmt: skip
        inputs = {
            network: plot(f"{network}-input", f"What the watched unit gets, {words}", y=(-2, 2), height=210, **time)
            for network, words in _WORDS.items()
        }
        layers: dict[str, Any] = {"x": (0.5, 4.5), "x_ticks": list(_LAYERS), "height": 210, "x_label": "layer"}
        gradients = plot(
            "gradients", "Gradient on each layer’s weights, length", y=(_TINY, _HUGE), y_axis_type="log",
            y_ticks={1e-8: "10⁻⁸", 1e-6: "10⁻⁶", 1e-4: "10⁻⁴", 1e-2: "10⁻²", 1.0: "1", 100.0: "100"}, **layers,
        )  # fmt: skip
        slopes = plot(
            "slopes", "Mean slope by layer, of the peak", y=(-0.04, 1.04),
            y_ticks={0: "0", 0.5: "50 %", 1: "100 %"}, **layers,
        )  # fmt: skip
        accuracy.line("x", "y", source=source["target"], line_color=color("ink"), line_width=2, **OVERLAY)
        for network, token in _TOKENS.items():
            hue = color(token)
            line: dict[str, Any] = {"line_color": hue, "line_width": 2, **OVERLAY}
            marker, size = _MARKS[network]
            mark: dict[str, Any] = {
                "marker": marker, "size": size, "fill_color": hue, "line_color": None, **OVERLAY,
            }  # fmt: skip
            now = source[f"{network}_now"]
            accuracy.line("step", "accuracy", source=source[network], **line)
            accuracy.scatter("reached", "level", source=now, **mark)
            accuracy.scatter("step", "accuracy", source=now, **mark)
            named = ([1.1 * _FIRST_STEP], [_NAMED_AT[network]])
            accuracy.scatter(*named, **mark)
            accuracy.text(
                *named, text=value(_WORDS[network]), text_color=hue, text_baseline="middle", text_font=value(FONT),
                text_font_size="12px", x_offset=10, **OVERLAY,
            )  # fmt: skip
            panel = inputs[network]
            tint = color(f"{token}-tint")
            panel.varea("step", y1="low", y2="high", source=source[network], fill_color=tint, **OVERLAY)
            panel.line("step", "middle", source=source[network], **line)
            for layer_plot, name, height in ((gradients, "gradients", "norm"), (slopes, "slopes", "slope")):
                layer_plot.line("layer", height, source=source[f"{network}_{name}"], **line)
                layer_plot.scatter("layer", height, source=source[f"{network}_{name}"], **mark)
        for panel in (accuracy, *inputs.values()):
            panel.min_border_right = 30  # for the label of the last step
        return [accuracy, *inputs.values(), gradients, slopes]


def packed(fed: Mapping[str, Array]) -> dict[str, dict[str, Any]]:
    """Rows as `static/lab.js` takes them: column by column; `whole` where they stand for all that was sent before."""
    return {name: {"columns": list(values.T), "whole": name.endswith(".divergence")} for name, values in fed.items()}


def rows(network: str, seen: Mapping[str, Array], divergence: Divergence | None = None) -> dict[str, Array]:
    """What feeds the laboratory: a network's `bn_core.figures.lab.columns`, or a piece of them, and where it broke.

    Step 0 is left out, because a logarithmic axis has no place for it. Rows are of 32 bits, but for steps and
    accuracies, on which a target is decided.
    """
    fed = {}
    if seen and (drawn := seen["step"] > 0).any():
        for name, column in seen.items():
            dtype = "f8" if name in ("step", "accuracy") else "f4"
            fed[f"{network}.{name}"] = column[drawn].reshape(drawn.sum(), -1).astype(dtype)
        shape = fed[f"{network}.gradient_norms"].shape
        fed[f"{network}.layers"] = np.broadcast_to(np.arange(1, shape[1] + 1, dtype="f4"), shape)
        fed[f"{network}.hidden"] = fed[f"{network}.layers"][:, :-1]
    if divergence:
        where = np.full((1, len(_LAYERS)), np.nan)
        where[0, divergence.layer - 1] = divergence.step
        fed[f"{network}.divergence"] = where
    return fed
