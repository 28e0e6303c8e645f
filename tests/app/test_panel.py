"""A figure as a Panel object: in step with Python, silent while it is dragged, several on one page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests.conftest import Watched, free_port, stop, wait_for

APP = """
import panel as pn
from widgets import FIGURES, Saturation

first, second = Saturation(drift=6), Saturation(drift=-3)
push = pn.widgets.Button(label="push")
push.on_click(lambda _: first.param.update(drift=2.5, batch_norm=True))
heard = pn.pane.Markdown(pn.bind(lambda drift: f"Python has {drift}", first.param.drift))
pn.Column(push, heard, first, second, *(kind() for kind in FIGURES[1:]), sizing_mode="stretch_width").servable()
"""


@pytest.fixture(scope="module")
def panel_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("panel")
    (folder / "figures.py").write_text(APP)
    port = free_port()
    command = [sys.executable, "-m", "panel", "serve", str(folder / "figures.py"), "--port", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(server, f"http://localhost:{port}/figures")
        yield f"http://localhost:{port}/figures"
    finally:
        stop(server)


def test_a_figure_is_a_panel_object_in_step_with_python(page: Page, panel_app: str, watched: Watched) -> None:
    sent: list[object] = []
    page.on("websocket", lambda socket: listen(socket, sent))
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(panel_app)
    expect(page.locator("figure[data-live]")).to_have_count(6)
    first, second = page.locator("figure#saturation").nth(0), page.locator("figure#saturation").nth(1)
    label = "[data-control=drift] output"
    expect(first.locator(label)).to_have_text("6.0")
    expect(second.locator(label)).to_have_text("−3.0")

    # A drag sends nothing before it is released; then Python has the value, and the other figure has not moved.
    slider = first.locator("[data-control=drift] input")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    page.wait_for_timeout(500)
    count = len(sent)
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8 + (box["width"] - 16) * 14 / 16, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, y, steps=20)
    page.wait_for_timeout(300)
    assert len(sent) == count
    page.mouse.up()
    shown = first.locator(label).inner_text().replace("−", "-")
    expect(page.get_by_text("Python has")).to_have_text(f"Python has {shown}")
    assert len(sent) > count
    expect(second.locator(label)).to_have_text("−3.0")

    # Python moves the figure: label, switch and readout.
    page.get_by_role("button", name="push", exact=True).click()
    expect(first.locator(label)).to_have_text("2.5")
    expect(first.locator("[data-control=batch_norm] input")).to_be_checked()
    expect(first.locator("[data-readout=gradient_signal]")).to_have_text("82.6\u202f%")
    expect(second.locator(label)).to_have_text("−3.0")
    assert watched.problems == []


def listen(socket: WebSocket, sent: list[object]) -> None:
    socket.on("framesent", lambda frame: sent.append(frame))  # noqa: PLW0108  (Playwright marks the function)
