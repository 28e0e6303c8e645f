"""The notebook: it runs, and in a real JupyterLab its figures are alive with no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbclient
import nbformat
import pytest
from playwright.sync_api import Page, Route, expect

from tests.conftest import ROOT, free_port, stop, wait_for
from widgets import FIGURES, Landscape, RunawayBias, Saturation

NOTEBOOK = ROOT / "examples" / "batch_norm.ipynb"
SLOW = 120_000
"""Milliseconds: a kernel starts, imports the figures and computes their tables, on a busy machine."""
PROBE = """print("Python has", saturation.drift)
saturation.spread = 2.0"""


def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(read: Any) -> dict[str, Any]:
    return {cell.id: cell for cell in read.cells if cell.cell_type == "code"}


def printed(cell: Any) -> str:
    """What a cell said in text: printed, or as its result."""
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)


@pytest.fixture(scope="module")
def executed() -> dict[str, Any]:
    run = nbclient.NotebookClient(notebook(), timeout=SLOW / 1000, kernel_name="python3").execute()
    return code_cells(run)


def test_the_notebook_is_kept_without_outputs() -> None:
    nbformat.validate(notebook())
    for cell in code_cells(notebook()).values():
        assert cell.outputs == []
        assert cell.execution_count is None


def test_each_figure_is_shown_by_its_plain_name() -> None:
    cells = code_cells(notebook()).values()
    for kind in FIGURES:
        (cell,) = (cell for cell in cells if f"= {kind.__name__}(" in cell.source)
        assert len(cell.source.splitlines()) == 2


def test_its_cells_run_and_say_what_the_figures_say(executed: dict[str, Any]) -> None:
    for drift in range(9):
        said = Saturation(drift=drift).say()["gradient_signal"].text
        assert f"{drift}: {said}\n" in printed(executed["saturation-turn"])
    assert "after: -0.000 ± 1.000" in printed(executed["saturation-own"])
    bias = RunawayBias(step=5000).say()["bias"].text
    assert f"naive: the bias is {bias}" in printed(executed["bias-run"])
    stalled = RunawayBias(learning_rate=2.0, precision="float16").say()["stalled_bias"].text
    assert stalled in printed(executed["bias-turn"])
    assert "0.107" in printed(executed["identity-turn"])  # what an epsilon of 0.1 leaves between y and x
    left = Landscape(learning_rate=Landscape.param.learning_rate.positions[30]).say()["without_verdict"].text
    assert left in printed(executed["landscape-turn"])
    assert "published" in printed(executed["steps-turn"])
    namespace: dict[str, Any] = {}
    exec(printed(executed["away"]), namespace)
    assert float(namespace["readouts"]["gradient_signal"]) > 0.8
    for kind in FIGURES:
        shown = [cell for cell in executed.values() if f"= {kind.__name__}(" in cell.source]
        assert any("text/html" in output.get("data", {}) for output in shown[0].outputs)


# ---- a real JupyterLab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the notebook, with a cell more at its end that asks Python, in a JupyterLab of its own."""
    home = tmp_path_factory.mktemp("jupyter")
    work = home / "work"
    work.mkdir()
    asking = notebook()
    asking.cells.append(nbformat.v4.new_code_cell(PROBE))
    nbformat.write(asking, work / NOTEBOOK.name)
    port = free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={work}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=",
    ]  # fmt: skip
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    environment = {**os.environ, **{name: str(home / name.lower()) for name in folders}}
    # All cells stay in the page: by default those out of sight are taken out of it, with what they have said.
    settings = home / "jupyterlab_settings_dir" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"windowingMode": "none"}))
    log: Path = home / "log"
    with log.open("wb") as written:
        server = subprocess.Popen(command, env=environment, stdout=written, stderr=subprocess.STDOUT)
    try:
        wait_for(server, f"http://localhost:{port}/lab")
        yield f"http://localhost:{port}/lab/tree/{NOTEBOOK.name}"
    finally:
        stop(server)


def test_in_jupyterlab_the_figures_are_alive_without_a_network(page: Page, lab: str) -> None:
    refused: list[str] = []

    def only_this_machine(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in ("data", "blob") or address.hostname == "localhost":
            route.continue_()
        else:
            refused.append(route.request.url)
            route.abort()

    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.route("**/*", only_this_machine)
    page.set_viewport_size({"width": 1400, "height": 1200})
    page.goto(lab)
    page.get_by_text("(ipykernel) | Idle").wait_for(timeout=SLOW)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    figure = page.locator("figure#saturation")
    # Python moved it after it was shown: later cells set the mean, and switched batch normalization on.
    expect(page.get_by_text("Python has 6.0")).to_be_visible(timeout=SLOW)
    expect(page.locator("figure[data-live]")).to_have_count(len(FIGURES), timeout=SLOW)
    figure.scroll_into_view_if_needed()
    expect(figure.locator("[data-control=drift] output")).to_have_text("6.0", timeout=SLOW)
    expect(figure.locator("[data-control=spread] output")).to_have_text("2.0", timeout=SLOW)
    expect(figure.locator("[data-control=batch_norm] input")).to_be_checked()
    expect(figure.locator("[data-readout=gradient_signal]")).to_have_text("82.6\u202f%")

    # A drag moves the figure; once released, Python has the value.
    slider = figure.locator("[data-control=drift] input")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8 + (box["width"] - 16) * 14 / 16, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, y, steps=10)
    page.mouse.up()
    label = figure.locator("[data-control=drift] output").inner_text()
    assert label.startswith("−")
    probe = page.locator(".jp-CodeCell").last
    probe.locator(".cm-content").click()
    said, wanted = probe.locator(".jp-OutputArea-output"), f"Python has {label.replace('−', '-')}"
    page.keyboard.press("Control+Enter")
    expect(said).to_have_text(wanted, timeout=10_000)
    assert refused == []
    assert problems == []
