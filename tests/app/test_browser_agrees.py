"""What the browser shows is what NumPy computes: labels, readouts, drawn data, for every figure in many states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.app.reader import Reader
from widgets import FIGURES, Figure
from widgets.controls import Range

each_figure = pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.slug)
STATES = 40


def random_states(figure: type[Figure], seed: int) -> list[dict[str, Any]]:
    """States at the controls' positions, and between them where a control is free."""
    rng = np.random.default_rng(seed)

    def value(control: Any) -> Any:
        if isinstance(control, Range) and control.free and rng.random() < 0.5:
            return float(rng.uniform(control.positions[0], control.positions[-1]))
        return control.positions[rng.integers(len(control.positions))]

    return [{name: value(control) for name, control in figure.controls().items()} for _ in range(STATES)]


@each_figure
def test_readouts_labels_and_drawn_data_agree_with_numpy(page: Page, served: str, figure: type[Figure]) -> None:
    reader = Reader.of(page, figure, f"{served}/app?figure={figure.slug}")
    for state in random_states(figure, seed=len(figure.slug)):
        reader.assign(state)
        twin = figure(**state)
        said = twin.say()
        for name, (text, value, source) in reader.says().items():
            expected = said[name]
            assert value == pytest.approx(expected.value, rel=1e-6, abs=1e-12, nan_ok=True), (name, state)
            assert source == expected.source, (name, state)
            # A residual of a few roundings may differ in its last bit, and then in its words.
            if abs(expected.value) > 1e-9 or np.isnan(expected.value):
                assert text == expected.text, (name, state)
        for name, control in figure.controls().items():
            if isinstance(control, Range):
                assert reader.label(name) == control.text(state[name])
        columns = twin.columns()
        for name, values in reader.drawn().items():
            np.testing.assert_allclose(values, columns[name], rtol=1e-6, atol=1e-4, err_msg=f"{name} in {state}")
        assert reader.at.locator(".summary").inner_text() == twin.summarize()


@each_figure
def test_what_is_drawn_stands_where_its_numbers_say(page: Page, served: str, figure: type[Figure]) -> None:
    """The plots map data to pixels by their axes' ends, to half a pixel."""
    reader = Reader.of(page, figure, f"{served}/app?figure={figure.slug}")
    for plot in figure().document().roots:
        x0, x1, y0, y1 = plot.x_range.start, plot.x_range.end, plot.y_range.start, plot.y_range.end
        first, last = reader.pixel(plot.name, x0, y0), reader.pixel(plot.name, x1, y1)
        frame = page.evaluate(
            """([id, plot]) => {
              const el = document.getElementById(id), {bbox} = el.figure.plots.find(p => p.model.name === plot).frame
              const box = el.querySelector(`[data-plot="${plot}"]`).getBoundingClientRect()
              return [box.left + bbox.left, box.top + bbox.bottom, box.left + bbox.right, box.top + bbox.top]
            }""",
            [figure.slug, plot.name],
        )
        assert [*first, *last] == pytest.approx(frame, abs=0.5)


@each_figure
def test_the_page_without_javascript_says_what_numpy_says(chromium: Any, served: str, figure: type[Figure]) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served}/app")
    said = figure().say()
    for name, expected in said.items():
        assert page.locator(f"#{figure.slug} [data-readout={name}]").inner_text() == expected.text
    context.close()
