"""`steps-to-accuracy`: 14 times fewer steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource
from bokeh.models import Plot as BokehPlot

from bn_core.figures.steps_to_accuracy import (
    COMMON_ACCURACY,
    CURVES,
    NETWORKS,
    SOURCES,
    TARGETS,
    published_points,
    steps_to,
)
from bn_core.published import IMAGENET

from .controls import Choice, Range
from .figure import Case, Figure, Preset, Question, Readout, Sources
from .frames import Control, Frame, Take, constant
from .numbers import Number
from .plots import FONT, OVERLAY, plot
from .tokens import color

_MILLION = 1e6
_LAST = 35.0
_FIRST_ON_LOG = 0.3
_LOG_AT = 100.0
"""Both axes share one number line: millions of steps from 0, and their decimal logarithm around this place."""
_TICKS = {float(t): str(t) for t in range(0, 36, 5)} | {
    _LOG_AT + float(np.log10(t)): f"{t:g}" for t in (0.5, 1, 2, 5, 10, 20, 35)
}
_STEPS_WORDS = {
    "published": Case("{}", "published"),
    "interpolated": Case("about {} (our curve)", "interpolated"),
    "never": Case("never reaches it", "published"),
    "unpublished": Case("no step count was published", "published"),
}
_NO_NUMBER = Case("–")
_LABELS = 48 / _LAST
"""How much further the axis reaches than the data, so that the names stand beside their lines."""
_LABEL_AT = {"bn_x5": 73.5, "bn_baseline": 72.75, "inception": 72.0}
"""Where a name stands that would lie on another at its own height."""


def _token(network: str) -> str:
    return "without" if network == "inception" else "with"


def _readouts(network: str) -> dict[str, Readout]:
    group = IMAGENET[network].name
    numbers = (_NO_NUMBER, Case("{}", "published"), Case("about {}", "interpolated"))
    return {
        f"{network}_steps": Readout(
            "Steps",
            f"{network}.steps",
            Number(1, scale=1 / _MILLION, unit="million steps"),
            tuple(_STEPS_WORDS[source] for source in SOURCES),
            f"{network}.source",
            group,
        ),
        f"{network}_ratio": Readout("Times fewer", f"{network}.ratio", Number(1), numbers, f"{network}.kind", group),
        f"{network}_share": Readout(
            "Share of steps",
            f"{network}.share",
            Number(1, scale=100, unit="%"),
            numbers,
            f"{network}.kind",
            group,
        ),
    }


class StepsToAccuracy(Figure):
    """The published ImageNet results: how many steps each network took to an accuracy.

    >>> StepsToAccuracy().say()["bn_x5_ratio"].text
    '14.8'
    """

    slug = "steps-to-accuracy"
    title = "How many steps to the same accuracy"
    caption = (
        "Drag the line, or the slider, to an accuracy, and read how many training steps each network took to "
        "reach it. Squares are published points and dashed lines published maxima; the curves between them are "
        "our interpolation, and so are the numbers marked “about”."
    )
    summary = (
        "To reach {target}: Inception {inception_steps}; BN-Baseline {bn_baseline_steps}; BN-x5 {bn_x5_steps}; "
        "BN-x30 {bn_x30_steps}; BN-x5-Sigmoid {bn_x5_sigmoid_steps}. Compared with {reference}."
    )

    target = Range(
        TARGETS.tolist(),
        COMMON_ACCURACY,
        number=Number(1, unit="%"),
        on_plot="curves",
        label="Target accuracy",
        doc="Validation accuracy on ImageNet, top-1, one crop.",
    )
    axis = Choice(("linear", "log"), words=("linear", "logarithmic"), label="Step axis")

    presets = {
        "common": Preset("Inception’s best", {"target": COMMON_ACCURACY}),
        "sigmoid": Preset("The sigmoid’s best", {"target": IMAGENET["bn_x5_sigmoid"].max_accuracy}),
        "best": Preset("The best", {"target": IMAGENET["bn_x30"].max_accuracy}),
    }
    question = Question(
        "Inception took {inception_steps} to reach {target}. How many did it take with batch normalization and a "
        "bolder learning rate?",
        ("About as many", "About half as many", "About a fifth as many", "Less than a tenth as many"),
        3,
        {"target": COMMON_ACCURACY},
        "BN-x5 took {bn_x5_steps}, {bn_x5_ratio} times fewer. Batch normalization alone took {bn_baseline_steps}; "
        "the rest came with the rate, and with other changes that went along with it.",
    )
    readouts = {
        "reference": Readout(
            "Compared with",
            "compared.number",
            Number(),
            (Case("none, for none reaches it"), *(Case(IMAGENET[network].name) for network in NETWORKS)),
            "compared.case",
            "The target",
        ),
        **{name: readout for network in NETWORKS for name, readout in _readouts(network).items()},
    }
    ranges = {"curves.x": "view.x"}

    tables = {
        f"{network}_{what}": {"steps": "steps [million]", "y": "accuracy [%]"}
        for network in NETWORKS
        for what in ("points", "crossing", "curve", "ceiling")
        if network in CURVES or what == "ceiling"
    }
    origin = (
        f"Points and maxima (ceilings) are published: {IMAGENET['inception'].source.url}. The curves between them, "
        "and the crossings read off them, are our interpolation."
    )
    program = """
        import numpy as np
        from bn_core.figures.steps_to_accuracy import CURVES, NETWORKS, published_points, steps_to
        from bn_core.published import IMAGENET

        {state}

        found = steps_to(target)
        readouts = {"reference": IMAGENET[NETWORKS[found.reference]].name if found.reference >= 0 else "none"}
        drawn = {}
        for k, name in enumerate(NETWORKS):
            readouts |= {
                f"{name}_steps": found.steps[k],
                f"{name}_ratio": found.ratio[k],
                f"{name}_share": found.share[k],
            }
            best = IMAGENET[name].max_accuracy
            flat_from = CURVES[name].steps_to_max / 1e6 if name in CURVES else 0.3
            drawn[f"{name}_ceiling"] = {"steps": np.array([flat_from, 35]), "y": np.array([best, best])}
            if name not in CURVES:
                continue
            points, millions = published_points(name), np.geomspace(0.05, flat_from, 240)
            drawn[f"{name}_points"] = {"steps": np.array([*points.values()]) / 1e6, "y": np.array([*points])}
            drawn[f"{name}_curve"] = {"steps": millions, "y": CURVES[name].accuracy(1e6 * millions)}
            if found.steps[k] > 0:
                drawn[f"{name}_crossing"] = {"steps": found.steps[[k]] / 1e6, "y": np.array([target])}
        """

    @classmethod
    def sources(cls) -> Sources:
        found = steps_to(TARGETS)
        first, last = _on_axes(np.array([_FIRST_ON_LOG, _LAST]))[1]
        span = Take(np.array([(0, _LAST), (first, last)], "f4"), ("axis",))
        ends = np.array([(0, _LABELS * _LAST), (first, first + _LABELS * (last - first))])
        beside = Take(ends[:, 1:] - 0.005 * np.ptp(ends, axis=1, keepdims=True), ("axis",))
        sources: Sources = {
            "view": {"x": Take(ends, ("axis",))},
            "target": {"x": span, "y": Control("target") * constant([1, 1])},
            "compared": {
                "number": constant(np.nan),
                "case": Take((found.reference + 1).astype("u1"), ("target",)),
            },
        }
        for k, network in enumerate(NETWORKS):
            kind = np.where(found.source[:, k] >= 2, 0, 1 + found.source[:, k])  # none, published, interpolated
            # A ratio is as good as both its numbers.
            of_reference = found.source[np.arange(len(TARGETS)), np.maximum(found.reference, 0)]
            kind = np.where(kind > 0, np.maximum(kind, 1 + of_reference), 0)
            sources[network] = {
                "steps": Take(found.steps[:, k], ("target",)),
                "source": Take(found.source[:, k].astype("u1"), ("target",)),
                "ratio": Take(found.ratio[:, k], ("target",)),
                "share": Take(found.share[:, k], ("target",)),
                "kind": Take(kind.astype("u1"), ("target",)),
            }
            best = IMAGENET[network].max_accuracy
            flat_from = CURVES[network].steps_to_max / _MILLION if network in CURVES else _FIRST_ON_LOG
            sources[f"{network}_ceiling"] = {
                **_placed(np.array([flat_from, _LAST])),
                "y": constant([best] * 2),
            }
            sources[f"{network}_label"] = {"x": beside, "y": constant(_LABEL_AT.get(network, best))}
            if network not in CURVES:
                continue
            millions = np.geomspace(0.05, flat_from, 240)
            points = published_points(network)
            sources[f"{network}_curve"] = {
                **_placed(millions),
                "y": constant(CURVES[network].accuracy(millions * _MILLION)),
            }
            sources[f"{network}_points"] = {
                **_placed(np.array(list(points.values())) / _MILLION),
                "y": constant(list(points)),
            }
            sources[f"{network}_crossing"] = {
                "x": Take(_on_axes(found.steps[:, k] / _MILLION)[..., np.newaxis], ("axis", "target")),
                "steps": Take((found.steps[:, k] / _MILLION).astype("f4"), ("target",)),
                "y": Control("target"),
            }
        return sources

    @classmethod
    def plots(cls, source: Mapping[str, ColumnDataSource]) -> list[BokehPlot]:
        p = plot(
            "curves", "Validation accuracy, %", (0, _LABELS * _LAST), (60, 76),
            height=430, x_label="million training steps", x_ticks=_TICKS,
        )  # fmt: skip
        for network in NETWORKS:
            hue = color(_token(network))
            p.line(
                "x",
                "y",
                source=source[f"{network}_ceiling"],
                line_color=hue,
                line_alpha=0.6,
                line_dash="dashed",
            )
            p.text(
                "x", "y", source=source[f"{network}_label"],
                text=value(IMAGENET[network].name), text_color=hue,
                text_font=value(FONT), text_font_size="12px", text_baseline="middle", text_align="right",
            )  # fmt: skip
            if network in CURVES:
                p.line("x", "y", source=source[f"{network}_curve"], line_color=hue, line_width=2, line_alpha=0.55)
        p.line("x", "y", source=source["target"], line_color=color("ink"), line_width=2, **OVERLAY)
        for network in CURVES:
            edge: dict[str, Any] = {"line_color": color("plot"), **OVERLAY}
            p.scatter(
                "x", "y", source=source[f"{network}_crossing"], size=14, fill_color=color(_token(network)), **edge
            )
            p.scatter(
                "x", "y", source=source[f"{network}_points"], marker="square", size=8,
                fill_color=color("published"), **edge,
            )  # fmt: skip
        return [p]


def _placed(millions: np.ndarray) -> dict[str, Frame]:
    """The places of still marks, and what a reader takes away: millions of steps, whatever the axis."""
    return {"x": Take(_on_axes(millions), ("axis",)), "steps": constant(millions)}


def _on_axes(millions: np.ndarray) -> np.ndarray:
    """Places of `millions` of steps on the linear and on the logarithmic axis: (2, ...)."""
    return np.stack([millions, _LOG_AT + np.log10(millions)]).astype("f4")
