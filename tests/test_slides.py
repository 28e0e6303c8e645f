"""The talk: built, opened from disk with no network, and given by keyboard from the first slide to the last."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route

from bn_core.published import IMAGENET
from tests.conftest import ROOT, Watched
from widgets import Identity, Landscape, RunawayBias, Saturation, StepsToAccuracy

BUILD = ROOT / "examples" / "slides" / "build.py"
KINDS = {kind.slug: kind for kind in (Saturation, RunawayBias, Identity, Landscape, StepsToAccuracy)}
SLOW = 60_000
ALIVE = "document.querySelector('figure')?.dataset.live !== undefined"


def build(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BUILD), str(folder), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.fail(
            "npm gets reveal.js, and is not here: apt install npm (Debian, Ubuntu), brew install node (macOS)"
        )
    folder = tmp_path_factory.mktemp("talk") / "talk"
    built = build(folder)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture
def offline(page: Page) -> list[str]:
    """No request leaves the disk; what tried to is listed."""
    refused: list[str] = []

    def only_files(route: Route) -> None:
        if urlsplit(route.request.url).scheme in ("file", "data", "blob"):
            route.continue_()
        else:
            refused.append(route.request.url)
            route.abort()

    page.route("**/*", only_files)
    page.set_viewport_size({"width": 1280, "height": 720})
    return refused


class Talk:
    """The talk on the screen."""

    def __init__(self, page: Page, folder: Path, slide: str = "title") -> None:
        self.page = page
        page.goto(f"{(folder / 'index.html').as_uri()}#/{slide}")
        page.wait_for_function("window.Reveal?.isReady()")

    @property
    def slide(self) -> str:
        return str(self.page.evaluate("Reveal.getCurrentSlide().id"))

    def next(self) -> None:
        self.page.keyboard.press("ArrowRight")

    def back(self) -> None:
        self.page.keyboard.press("ArrowLeft")

    def expected(self) -> dict[str, Any]:
        """Where the slide's figure has to stand: its own state, and what the fragments that are shown set."""
        states = self.page.evaluate(
            """() => {
              const slide = Reveal.getCurrentSlide()
              const shown = slide.querySelectorAll(".fragment.visible[data-state]")
              return [slide.querySelector("iframe"), ...shown].map(at => at.dataset.state)
            }"""
        )
        return {name: value for state in states for name, value in json.loads(state).items()}

    def figure(self) -> Any:
        """The frame of the slide's figure, alive; or None."""
        element = self.page.evaluate_handle("Reveal.getCurrentSlide().querySelector('iframe')").as_element()
        if element is None:
            return None
        frame = element.content_frame()
        assert frame
        frame.wait_for_function(ALIVE, timeout=SLOW)
        return frame

    def stands(self, frame: Any, expected: dict[str, Any]) -> None:
        """Wait until the figure stands there; then it says what NumPy says."""
        frame.wait_for_function(
            """expected => {
              const {values} = document.querySelector("figure").figure.state
              return Object.entries(expected).every(([name, value]) =>
                typeof value === "number" ? Math.abs(values[name] - value) < 1e-9 : values[name] === value)
            }""",
            arg=expected,
            timeout=SLOW,
        )
        frame.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        slug = frame.evaluate("document.querySelector('figure').id")
        for name, said in KINDS[slug](**expected).say().items():
            if abs(said.value) > 1e-9:
                assert frame.locator(f"[data-readout={name}]").inner_text() == said.text


def test_it_is_given_by_keyboard_to_the_end_from_disk_and_offline(
    page: Page, talk: Path, offline: list[str], watched: Watched
) -> None:
    on = Talk(page, talk)
    visited, moved = [on.slide], set()
    while not page.evaluate("Reveal.isLastSlide() && !Reveal.availableFragments().next"):
        on.next()
        if on.slide != visited[-1]:
            visited.append(on.slide)
        frame = on.figure()
        if frame:
            expected = on.expected()
            on.stands(frame, expected)
            moved.add((on.slide, json.dumps(expected)))
    assert len(visited) == len(set(visited)) == 10
    assert visited[-1] == "survives"
    assert {slide for slide, _ in moved} == {"drift", "runaway", "identity", "landscape", "imagenet"}
    assert ("drift", json.dumps({"drift": 6, "batch_norm": True})) in moved
    assert offline == []
    assert watched.problems == []


def test_next_pushes_the_mean_and_switches_on_and_back_takes_it_back(
    page: Page, talk: Path, offline: list[str]
) -> None:
    on = Talk(page, talk, "drift")
    frame = on.figure()
    on.stands(frame, {"drift": 0, "batch_norm": False})
    on.next()
    on.stands(frame, {"drift": 6, "batch_norm": False})
    on.next()
    on.stands(frame, {"drift": 6, "batch_norm": True})
    on.back()
    on.stands(frame, {"drift": 6, "batch_norm": False})
    on.back()
    on.stands(frame, {"drift": 0, "batch_norm": False})


def test_after_a_drag_the_keys_are_the_talk_s_again(page: Page, talk: Path, offline: list[str]) -> None:
    on = Talk(page, talk, "drift")
    frame = on.figure()
    slider = frame.locator("[data-control=drift] input")
    page.wait_for_timeout(500)  # until the slide has faded in
    box = slider.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], y, steps=8)
    page.mouse.up()
    assert float(slider.input_value()) > 3
    page.wait_for_function("document.activeElement.tagName !== 'IFRAME'")
    on.next()
    on.stands(frame, {"drift": 6})
    # Who came with the Tab key stays with the slider.
    page.keyboard.press("Tab")
    for _ in range(8):
        if frame.evaluate("document.activeElement.type") == "range":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    on.stands(frame, {"drift": 6.2})


def test_its_numbers_are_those_of_bn_core(talk: Path) -> None:
    html = (talk / "index.html").read_text("utf-8")
    text = re.sub(r"<[^>]+>", "", html)
    assert Saturation(drift=6).say()["gradient_signal"].text in text
    assert f"{IMAGENET['inception'].steps_to_72_2 / IMAGENET['bn_x5'].steps_to_72_2:.1f} times" in text
    assert "{{" not in html
    source = (BUILD.parent / "deck.html").read_text("utf-8")
    prose = re.sub(r"\{[{%#].*?[}%#]\}|<[^>]+>|&\w+;", " ", source, flags=re.DOTALL)
    numbers = set(re.findall(r"\d[\d.]*", prose))
    # None is typed: what is left is in 1/σ and 2/λ, or names a table, a network or a state.
    assert numbers <= {"1", "2", "2.", "4.2.", "6", "50"}, numbers


def test_it_writes_over_nothing_but_an_earlier_talk(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    refused = build(tmp_path)
    assert refused.returncode == 1
    assert "something else" in refused.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]
    assert sorted(path.name for path in (talk / "reveal").iterdir()) == [
        "LICENSE", "notes.js", "reveal.css", "reveal.js",
    ]  # fmt: skip


def test_the_fragment_of_the_recipe_sets_a_figure(page: Page, talk: Path, offline: list[str]) -> None:
    """The HTML and the script of docs/recipes.md, pasted as they are into a page next to an export."""
    recipe = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    slide, script = (re.search(rf"```{kind}\n(.*?)```", recipe, re.DOTALL) for kind in ("html", "js"))
    assert slide
    assert script
    own = talk / "own.html"
    own.write_text(
        '<!doctype html><link rel="stylesheet" href="reveal/reveal.css"><script src="reveal/reveal.js"></script>'
        f'<div class="reveal"><div class="slides">{slide[1].replace("explainer/", "figures/")}</div></div>'
        f"<script>Reveal.initialize();{script[1]}</script>"
    )
    page.goto(own.as_uri())
    page.wait_for_function("window.Reveal?.isReady()")
    on = Talk.__new__(Talk)
    on.page = page
    frame = on.figure()
    on.next()
    on.stands(frame, {"drift": 6, "batch_norm": False})
    on.next()
    on.stands(frame, {"drift": 6, "batch_norm": True})
    own.unlink()
