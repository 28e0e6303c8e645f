"""A reader in front of a real page: opens figures, moves their controls with mouse and keys, reads what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from playwright.sync_api import Locator, Page

from widgets import Figure
from widgets.controls import Choice, Range, Switch

ALIVE = "id => document.getElementById(id)?.dataset.live !== undefined"
FRAME = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@dataclass
class Reader:
    """One reader of one figure."""

    page: Page
    figure: type[Figure]

    @classmethod
    def of(cls, page: Page, figure: type[Figure], address: str) -> Reader:
        """Open the address and come near the figure."""
        page.goto(address)
        reader = cls(page, figure)
        reader.come_near()
        return reader

    @property
    def at(self) -> Locator:
        return self.page.locator(f"figure#{self.figure.slug}")

    def come_near(self) -> None:
        self.at.scroll_into_view_if_needed()
        self.page.wait_for_function(ALIVE, arg=self.figure.slug)
        self.settle()

    def settle(self) -> None:
        """Until what was asked for is painted."""
        self.page.evaluate(FRAME)

    def control(self, name: str) -> Locator:
        return self.at.locator(f"[data-control={name}]")

    # ---- hands

    def set(self, name: str, value: Any) -> None:
        """Set a control as a keyboard would: type into the slider, check the radio or the switch."""
        control = self.figure.controls()[name]
        inputs = self.control(name).locator("input")
        if isinstance(control, Range):
            inputs.fill(f"{value:.12g}" if control.step else str(control.index(value)))
        elif isinstance(control, Choice):
            inputs.nth(control.index(value)).check()
        elif isinstance(control, Switch):
            inputs.set_checked(value)
        self.settle()

    def drag(self, name: str, share: float) -> None:
        """Take the slider's thumb with the mouse and bring it to `share` of its way."""
        slider = self.control(name).locator("input")
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        assert box
        now = slider.evaluate("el => (el.value - el.min) / (el.max - el.min)")
        thumb = 16  # the thumb's width: its centre runs between half of it from either end
        y = box["y"] + box["height"] / 2

        def x(part: float) -> float:
            return box["x"] + thumb / 2 + part * (box["width"] - thumb)

        self.page.mouse.move(x(now), y)
        self.page.mouse.down()
        self.page.mouse.move(x(share), y, steps=12)
        self.page.mouse.up()
        self.settle()

    def assign(self, values: dict[str, Any]) -> None:
        """Set several controls at once by the figure's own state, as a link does."""
        self.page.evaluate(
            "([id, values]) => document.getElementById(id).figure.state.assign(values, {settle: true})",
            [self.figure.slug, values],
        )
        self.settle()

    # ---- eyes

    def state(self) -> dict[str, Any]:
        return dict(self.page.evaluate("id => document.getElementById(id).figure.state.values", self.figure.slug))

    def label(self, name: str) -> str:
        return self.control(name).locator("output").inner_text()

    def text(self, readout: str) -> str:
        return self.at.locator(f"[data-readout={readout}]").inner_text()

    def value(self, readout: str) -> float:
        """The bare number of a readout, nan where there is none."""
        bare = self.at.locator(f"[data-readout={readout}]").get_attribute("data-value")
        assert bare is not None
        return float(bare) if bare else float("nan")

    def says(self) -> dict[str, tuple[str, float, str]]:
        """Every readout: its text, its bare number, its source."""
        found = self.at.locator("[data-readout]").evaluate_all(
            "all => all.map(el => [el.dataset.readout, el.textContent, el.dataset.value, el.dataset.source])"
        )
        return {name: (text, float(bare) if bare else float("nan"), source) for name, text, bare, source in found}

    def drawn(self) -> dict[str, np.ndarray]:
        """Every column that a plot of the figure draws now, by `source.column`, read from the plots themselves."""
        columns = self.page.evaluate(
            """id => {
              const {plots} = document.getElementById(id).figure
              const sources = new Set(plots.flatMap(plot => plot.model.renderers).map(r => r.data_source))
              return [...sources].filter(s => s.name).flatMap(s => Object.entries(s.data).map(([column, values]) =>
                [`${s.name}.${column}`, [...values].map(v => Number.isNaN(v) ? null : v)]))
            }""",
            self.figure.slug,
        )
        return {name: np.array([np.nan if v is None else v for v in values]) for name, values in columns}

    def pixel(self, plot: str, x: float, y: float) -> tuple[float, float]:
        """Where a point of the plot stands on the screen."""
        left, top = self.page.evaluate(
            """([id, plot, x, y]) => {
              const el = document.getElementById(id), view = el.figure.plots.find(p => p.model.name === plot)
              const box = el.querySelector(`[data-plot="${plot}"]`).getBoundingClientRect()
              return [box.left + view.frame.x_scale.compute(x), box.top + view.frame.y_scale.compute(y)]
            }""",
            [self.figure.slug, plot, x, y],
        )
        return left, top
