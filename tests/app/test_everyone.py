"""Everyone can use it: by eye, by keyboard and by ear, on a phone and on a projector, with and without JavaScript."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product

import html5lib
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from app import site
from tests.app.reader import ALIVE, Reader
from tests.stills import MADE, PICTURED, made_of
from widgets import FIGURES, Lab, tokens
from widgets.controls import Choice, Range

ADDRESSES = ("/app", *(f"/app?figure={figure.slug}" for figure in (*FIGURES, Lab)), "/lab.html")
each_pictured = pytest.mark.parametrize("figure", PICTURED, ids=lambda figure: figure.slug)
AT_SECTION = "name => document.querySelector('.contents [aria-current]')?.getAttribute('href') === `#${name}`"
LOOKS = list(product(("light", "dark"), (390, 1280)))


def read_through(page: Page) -> None:
    """Come near every figure of the page."""
    for figure in page.locator("figure[data-payload]:not([data-session])").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_function(ALIVE, arg=figure.get_attribute("id"))


@pytest.fixture
def look(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page in a theme and a width."""
    theme, width = request.param
    context = chromium.new_context(
        color_scheme=theme, viewport={"width": width, "height": 900}, reduced_motion="reduce", bypass_csp=True
    )
    yield context.new_page()
    context.close()


# ---- by ear


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=lambda look: f"{look[0]}-{look[1]}")
@pytest.mark.parametrize("address", ADDRESSES)
def test_axe_finds_nothing_to_object_to(look: Page, served: str, address: str) -> None:
    look.goto(f"{served}{address}")
    read_through(look)
    look.evaluate("document.querySelectorAll('details').forEach(el => { el.open = true })")
    found = Axe().run(look).response["violations"]
    assert [(v["id"], v["impact"], [n["html"][:200] for n in v["nodes"]][:4]) for v in found] == []


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=lambda look: f"{look[0]}-{look[1]}")
def test_axe_finds_nothing_in_a_question_its_answer_and_the_list_of_keys(look: Page, served: str) -> None:
    def violations() -> list[tuple[str, list[str]]]:
        found = Axe().run(look).response["violations"]
        return [(v["id"], [n["html"][:200] for n in v["nodes"]][:4]) for v in found]

    for figure in FIGURES:
        assert figure.question
        look.goto(f"{served}/app?figure={figure.slug}&predict=on")
        read_through(look)
        assert violations() == [], figure.slug
        look.locator(".question input").last.check()
        assert violations() == [], figure.slug
        look.get_by_role("button", name="Show").click()
        look.wait_for_function("() => document.querySelector('.verdict').textContent")
        assert violations() == [], figure.slug
        assert look.evaluate("document.documentElement.scrollWidth <= innerWidth")
    look.keyboard.press("?")
    look.wait_for_selector("dialog[open]")
    assert violations() == []


def test_the_summary_of_a_figure_is_spoken_when_a_control_is_let_go_and_not_before(page: Page, served: str) -> None:
    figure = FIGURES[0]
    reader = Reader.of(page, figure, f"{served}/app?figure={figure.slug}")
    summary = reader.at.locator(".summary")
    assert summary.get_attribute("aria-live") == "polite"
    before = summary.inner_text()
    slider = reader.control("drift").locator("input")
    slider.evaluate("el => { el.value = 6; el.dispatchEvent(new Event('input', {bubbles: true})) }")
    reader.settle()
    assert reader.label("drift") == "6.0"
    assert summary.inner_text() == before
    slider.evaluate("el => el.dispatchEvent(new Event('change', {bubbles: true}))")
    reader.settle()
    assert summary.inner_text() == figure(drift=6.0).summarize()


# ---- by keyboard


def test_the_whole_article_is_read_and_every_control_set_by_keyboard_alone(page: Page, served: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{served}/app")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    wanted = {(figure.slug, name) for figure in FIGURES for name in figure.controls()}
    moved: set[tuple[str, str]] = set()
    for _ in range(600):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => {
              const el = document.activeElement, control = el.closest("[data-control]"), figure = el.closest("figure")
              return control && {figure: figure.id, control: control.dataset.control, type: el.type,
                shown: getComputedStyle(el).outlineStyle !== "none"}
            }"""
        )
        if at is None:
            if page.evaluate("document.activeElement === document.body"):
                break
            continue
        assert at["shown"], f"the focus cannot be seen at {at}"
        page.wait_for_function(ALIVE, arg=at["figure"])
        figure = next(figure for figure in FIGURES if figure.slug == at["figure"])
        reader, name = Reader(page, figure), at["control"]
        before, control = reader.state()[name], figure.controls()[name]
        last = isinstance(control, Range) and before == control.positions[-1]
        page.keyboard.press(" " if at["type"] == "checkbox" else "ArrowLeft" if last else "ArrowRight")
        reader.settle()
        if reader.state()[name] != before or (isinstance(control, Choice) and len(control.positions) == 1):
            moved.add((at["figure"], name))
    assert moved == wanted


def test_a_race_is_chosen_and_run_by_keyboard_alone(page: Page, served: str) -> None:
    page.goto(f"{served}/lab.html")
    page.wait_for_function(ALIVE, arg="lab")
    lab, moved = Reader(page, Lab), set()
    while len(moved) < len(Lab.controls()):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.closest('[data-control]')?.dataset.control")
        assert not page.evaluate("document.activeElement.matches('[data-run]')"), f"only {moved} came before Start"
        if name is None:
            continue
        before = lab.state()[name]
        page.keyboard.press("ArrowRight")
        lab.settle()
        assert lab.state()[name] != before
        page.keyboard.press("ArrowLeft")
        moved.add(name)
    for words in ("Reset", "Start"):
        while page.evaluate("document.activeElement.textContent") != words:
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    page.wait_for_selector("figure[data-phase=finished]")
    assert page.evaluate("document.activeElement.textContent") == "Watch again"


def test_alt_page_down_goes_from_section_to_section_and_the_contents_follow(page: Page, served: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{served}/app")
    names = page.locator("main > section").evaluate_all("all => all.map(el => el.id)")
    seen = []
    for name in names:
        page.keyboard.press("Alt+PageDown")
        page.wait_for_function(AT_SECTION, arg=name)
        seen.append(page.evaluate("document.activeElement.closest('section').id"))
    assert seen == names
    page.keyboard.press("Alt+PageUp")
    page.wait_for_function(AT_SECTION, arg=names[-2])


# ---- by eye


def luminance(color: str) -> float:
    def linear(part: int) -> float:
        share = part / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(color[k : k + 2], 16)) for k in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [tokens.LIGHT, tokens.DARK], ids=["light", "dark"])
def test_words_have_a_contrast_of_4_5_and_marks_of_3_on_every_surface(theme: int) -> None:
    for surface in ("paper", "panel", "plot"):
        for word in ("ink", "muted", "without", "with", "published", "neutral"):
            ratio = contrast(tokens.TOKENS[word][theme], tokens.TOKENS[surface][theme])
            assert ratio >= 4.5, (word, surface, ratio)
        for mark in ("axis", "focus"):
            assert contrast(tokens.TOKENS[mark][theme], tokens.TOKENS[surface][theme]) >= 3, (mark, surface)


@pytest.mark.parametrize("width", [360, 390, 640, 1280, 1920])
def test_nothing_scrolls_sideways(page: Page, served: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for address in ADDRESSES:
        page.goto(f"{served}{address}")
        read_through(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


@pytest.mark.parametrize("target", ["in-code", "eq-fold", "the-transform", "steps-to-accuracy", "small-batches"])
def test_a_deep_link_lands_on_its_target(page: Page, served: str, target: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{served}/app#{target}")
    page.wait_for_timeout(1200)
    top = page.evaluate(
        """id => {
          const el = document.getElementById(id)
          return (el.querySelector("h2") ?? el).getBoundingClientRect().top
        }""",
        target,
    )
    assert -5 < top < 60


@pytest.mark.parametrize("address", ["/app", "/app?figure=lab", "/lab.html"])
def test_controls_are_44_pixels_high_on_a_phone(page: Page, served: str, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{served}{address}")
    read_through(page)
    small = page.locator(
        "button, input[type=range], .options label, .switch label, summary, .contents a"
    ).evaluate_all(
        """all => all.filter(el => el.checkVisibility({contentVisibilityAuto: true}) && !el.closest("[inert]"))
          .filter(el => {
          const {width, height} = el.getBoundingClientRect()
          return height < 43.5 || width < 43.5
        }).map(el => el.outerHTML.slice(0, 80))"""
    )
    assert small == []


def test_the_page_does_not_shift_while_it_is_read(page: Page, served: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.add_init_script(
        """window.shift = 0
        const add = ({hadRecentInput, value}) => { if (!hadRecentInput) window.shift += value }
        const watch = new PerformanceObserver(list => list.getEntries().forEach(add))
        watch.observe({type: "layout-shift", buffered: true})"""
    )
    page.goto(f"{served}/app")
    read_through(page)
    page.wait_for_timeout(300)
    assert page.evaluate("window.shift") < 0.02


def test_the_theme_follows_the_system_and_a_choice_is_remembered(page: Page, served: str) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"{served}/app")
    reader = Reader(page, FIGURES[0])
    reader.come_near()

    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper')"))

    def mark() -> str:
        """The colour that the plot draws the drifted batch in."""
        return str(
            page.evaluate(
                """() => {
                  const {plots} = document.getElementById("saturation").figure
                  const color = plots[0].model.renderers.find(r => r.data_source.name === "batch").glyph.fill_color
                  return color.value ?? color
                }"""
            )
        )

    dark, light = tokens.TOKENS["paper"][tokens.DARK], tokens.TOKENS["paper"][tokens.LIGHT]
    assert (paper(), mark()) == (dark, tokens.TOKENS["without"][tokens.DARK])
    page.locator("[data-theme-switch]").click()
    assert (paper(), mark()) == (light, tokens.TOKENS["without"][tokens.LIGHT])
    page.reload()
    assert paper() == light


def test_the_picture_at_the_head_moves_and_stands_still_for_those_who_want_that(page: Page, served: str) -> None:
    def ridges() -> list[str]:
        return list(page.locator(".opening-picture path").evaluate_all("all => all.map(el => el.getAttribute('d'))"))

    page.goto(f"{served}/app")
    first = ridges()
    page.wait_for_timeout(500)
    assert ridges() != first
    page.get_by_role("button", name="Pause the picture").click()
    paused = ridges()
    page.wait_for_timeout(300)
    assert ridges() == paused

    page.emulate_media(reduced_motion="reduce")
    page.reload()
    first = ridges()
    page.wait_for_timeout(400)
    assert ridges() == first


# ---- without JavaScript, and on paper


def test_without_javascript_the_article_is_whole_and_each_figure_shows_its_still(
    chromium: Browser, served: str
) -> None:
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{served}/app")
    for figure in PICTURED:
        still = page.locator(f"#{figure.slug} img.still")
        still.scroll_into_view_if_needed()
        assert still.evaluate("el => el.complete && el.naturalWidth") > 900
        assert page.locator(f"#{figure.slug} figcaption").is_visible()
        assert not page.locator(f"#{figure.slug} .controls").is_visible()
    # What has to be trained is shown as it was recorded, and said to be.
    assert page.locator("#lab .summary >> visible=true").inner_text() == f"A recording. {Lab.recorded().summarize()}"
    assert not page.locator("#lab .runner").is_visible()
    context.close()


@each_pictured
def test_the_still_is_of_the_figure_as_it_is_now(figure) -> None:
    made = json.loads(MADE.read_text("utf-8"))[figure.slug]
    now = json.loads(json.dumps(made_of(figure)))
    stale = "the still pictures are stale: run make stills"
    assert now["looks"] == made["looks"], stale
    assert now["columns"].keys() == made["columns"].keys(), stale
    for name, measures in now["columns"].items():
        assert measures == pytest.approx(made["columns"][name], rel=1e-4, abs=1e-9), f"{name}: {stale}"


def test_on_paper_figures_print_in_their_state_in_the_light_theme(page: Page, served: str) -> None:
    page.emulate_media(color_scheme="dark")
    reader = Reader.of(page, FIGURES[0], f"{served}/app?figure=saturation&drift=6")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    reader.settle()
    paper = page.evaluate("getComputedStyle(document.querySelector('figure')).getPropertyValue('--plot')")
    assert paper == tokens.TOKENS["plot"][tokens.LIGHT]
    color = page.evaluate("document.querySelector('figure').figure.plots[0].model.background_fill_color")
    assert (color if isinstance(color, str) else color["value"]) == tokens.TOKENS["plot"][tokens.LIGHT]
    assert reader.label("drift") == "6.0"
    assert not page.locator(".tools").is_visible()


# ---- as HTML


def test_every_page_is_valid_html() -> None:
    for address, asset in site.build().items():
        if address.endswith(".html"):
            parser = html5lib.HTMLParser(strict=False)
            parser.parse(asset.body.decode())
            assert [(place, code) for place, code, _ in parser.errors] == [], address
