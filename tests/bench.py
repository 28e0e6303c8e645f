"""What the page costs, measured in a real Chromium: `make bench`.

Prints, for each figure, the time from a pointer move to the painted change, painted frames a second while its
finest control is dragged at 60 Hz, the bytes of its payload, and the time from coming near to answering; and
for the page its first contentful paint, blocking time and bytes; then what a class of thirty in the laboratory has to
wait; what has to be loaded, with its goals; and what a training step costs.
Machines are noisy: compare medians of one run.
"""

from __future__ import annotations

import gzip
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from app.site import build
from tests import bench_training, readers, weights
from tests.conftest import ROOT, launch, serving
from widgets import FIGURES, Figure, Saturation
from widgets.controls import Range

LOADS = 5
DRAG_SECONDS = 4.0

# Runs before the page's own scripts: notes long tasks, and when each figure came near and answered.
WATCH = """
window.bench = {tasks: [], near: {}, live: {}}
const long = list => bench.tasks.push(...list.getEntries().map(entry => entry.duration))
new PerformanceObserver(long).observe({type: "longtask", buffered: true})
addEventListener("DOMContentLoaded", () => {
  const near = new IntersectionObserver(entries => {
    for (const {isIntersecting, target} of entries) if (isIntersecting) bench.near[target.id] ??= performance.now()
  }, {rootMargin: "800px"})
  for (const figure of document.querySelectorAll("figure")) {
    near.observe(figure)
    const answer = () => { bench.live[figure.id] ??= performance.now() }
    new MutationObserver(answer).observe(figure, {attributeFilter: ["data-live"]})
  }
})
"""

# A frame counts as painted when a plot was repainted in it because the state changed. Its cost runs from the
# page's learning of the pointer's move (Chromium tells it at the start of a frame) to the first task after the
# frame's painting.
FOLLOW = """
id => {
  const figure = document.getElementById(id), run = window.run = {costs: [], painted: 0}
  let pointer = null
  figure.addEventListener("input", event => { pointer ??= window.lastPointer })
  addEventListener("pointermove", () => { window.lastPointer = performance.now() }, {capture: true})
  figure.figure.plots.at(-1).repainted.connect(() => {
    if (pointer === null) return
    const since = pointer
    pointer = null
    run.painted++
    const channel = new MessageChannel()
    channel.port1.onmessage = () => run.costs.push(performance.now() - since)
    channel.port2.postMessage(0)
  })
}
"""


def finest(figure: type[Figure]) -> tuple[str, Range]:
    """The control with the most positions."""
    ranges = {name: c for name, c in figure.controls().items() if isinstance(c, Range)}
    return max(ranges.items(), key=lambda named: len(named[1].positions))


def scroll_through(page: Page) -> None:
    """Down the page as a reader would, until every figure answers."""
    for figure in page.locator("figure[data-payload]:not([data-session])").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_function("el => el.dataset.live !== undefined", arg=figure.element_handle())
    page.wait_for_timeout(300)


def measure_load(browser: Browser, address: str) -> dict[str, Any]:
    """First contentful paint (ms), blocking time (ms), and the time each figure took to answer (ms)."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(address, wait_until="load")
    page.wait_for_timeout(1000)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    blocking = page.evaluate("bench.tasks.reduce((sum, t) => sum + Math.max(0, t - 50), 0)")
    scroll_through(page)
    answers = page.evaluate(
        "Object.fromEntries(Object.entries(bench.live).map(([id, t]) => [id, t - bench.near[id]]))"
    )
    size = page.evaluate(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".reduce((sum, e) => sum + e.encodedBodySize, 0)"
    )
    context.close()
    return {"paint": paint, "blocking": blocking, "answers": answers, "size": size}


def measure_drag(page: Page, figure: type[Figure]) -> tuple[float, float, float]:
    """Median and 95th percentile (ms) from pointer move to paint, and painted frames a second."""
    name, control = finest(figure)
    slider = page.locator(f"#{figure.slug} [data-control={name}] input")
    slider.scroll_into_view_if_needed()
    page.evaluate(FOLLOW, figure.slug)
    box = slider.bounding_box()
    assert box
    # The thumb's centre runs between half a thumb from either end.
    left, width, y = box["x"] + 10, box["width"] - 20, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def mouse(kind: str, share: float) -> None:
        session.send("Input.dispatchMouseEvent", {
            "type": kind, "x": left + share * width, "y": y, "button": "left", "buttons": 1, "clickCount": 1,
        })  # fmt: skip

    mouse("mousePressed", 0.0)
    moves = int(DRAG_SECONDS * 60)
    # There and back again, as often as makes each move a new position, so that each frame has something to paint.
    sweeps = math.ceil(moves / (len(control.positions) - 1))
    start = time.perf_counter()
    for k in range(moves):
        time.sleep(max(0.0, start + k / 60 - time.perf_counter()))
        mouse("mouseMoved", abs((k / moves * sweeps + 1) % 2 - 1))
    seconds = time.perf_counter() - start
    mouse("mouseReleased", 0.5)
    page.wait_for_timeout(200)
    run = page.evaluate("window.run")
    costs = sorted(run["costs"])
    return statistics.median(costs), costs[int(0.95 * len(costs))], run["painted"] / seconds


def main() -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        serving(Path(folder) / "server.log") as base,
    ):
        browser = launch(playwright)
        loads = [measure_load(browser, f"{base}/app") for _ in range(LOADS)]
        site = build()
        print("figure              to paint ms (median, 95 %)   frames/s   payload kB   answers ms")
        for figure in FIGURES:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"{base}/app?figure={figure.slug}")
            scroll_through(page)
            median, high, rate = measure_drag(page, figure)
            page.close()
            size = len(gzip.compress(site[f"assets/{figure.slug}.js"].body, 9)) / 1000
            answer = statistics.median(load["answers"][figure.slug] for load in loads)
            print(f"{figure.slug:<20}{median:10.1f} {high:10.1f} {rate:18.1f} {size:12.1f} {answer:12.0f}")
        for name, unit in (
            ("paint", "ms to first contentful paint"),
            ("blocking", "ms blocked while loading"),
        ):
            print(f"{statistics.median(load[name] for load in loads):8.0f} {unit}")
        print(f"{loads[0]['size'] / 1000:8.0f} kB in all")
        report_class(browser, base)
        browser.close()
    print_weights(weights.weigh(site))
    print()
    bench_training.report()


def report_class(browser: Browser, base: str) -> None:
    """Have a class train while somebody drags a slider elsewhere, and print how long each had to wait."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{base}/app?figure={Saturation.slug}")
    scroll_through(page)
    (server,) = (child for child in psutil.Process().children() if "serve" in child.cmdline())
    for same, words in ((False, "a race of their own each"), (True, "all the same race")):
        before = server.memory_info().rss / 1e6
        command = [sys.executable, "-m", "tests.readers", base, *(["same"] if same else [])]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as training:
            time.sleep(readers.SECONDS / 2)
            median, high, rate = measure_drag(page, Saturation)
            found = json.loads(training.communicate()[0])
        print(f"\n{readers.READERS} readers train, {words}, for {readers.SECONDS:.0f} s:")
        print(
            f"{median:8.1f} ms to paint a drag elsewhere (median; {high:.1f} at 95 %), {rate:.0f} frames/s (goal 20)"
        )
        print(f"{found['first_news']:8.2f} s until the last of them saw something")
        print(f"{found['longest_wait']:8.2f} s the longest wait for progress after that (goal 1)")
        print(f"{found['steps_per_second']:8.0f} steps/s seen, {found['fewest_steps']} to {found['most_steps']} each")
        print(f"{before:8.0f} MB of memory in the server before, {server.memory_info().rss / 1e6:.0f} afterwards")
        for refused in found["refused"]:
            print(f"         refused: {refused}")
    page.close()


def print_weights(found: weights.Weights) -> None:
    """What has to be loaded, and how much it may be."""
    print(f"\n{found.article:8.0f} kB first load of the exported article, compressed (goal {weights.ARTICLE:.0f})")
    print(
        f"\nkB of a figure:     page, compressed (goal {weights.PAGE:.0f})   single file (goal {weights.SINGLE:.0f})"
    )
    for slug, page in found.pages.items():
        print(f"{slug:<20}{page:27.0f} {found.singles[slug]:25.0f}")


if __name__ == "__main__":
    main()
