"""A figure as a guest in another page: it fits in, obeys whom it should, and nobody else. See docs/embedding.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Frame, Page, expect

from tests.app.conftest import SUB_PATH, folder_served
from tests.app.reader import ALIVE, FRAME, Reader
from tests.conftest import Watched
from widgets import FIGURES, Figure, Identity, Landscape, RunawayBias, Saturation, StepsToAccuracy, tokens

PARENT = """<!doctype html><title>A lesson</title><link rel="icon" href="data:,"><body>%s<script>
  const heard = [], at = k => document.querySelectorAll("iframe")[k].contentWindow
  addEventListener("message", ({data}) => heard.push(data))
</script>"""
SIGN = "bn-explainer:"


class Lesson:
    """A page of somebody else's with figures in it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        page.goto(address)

    def frame(self, slug: str) -> Frame:
        """The frame of a figure, when the figure lives."""
        frame = self.page.locator(f"iframe[src*='{slug}']").element_handle().content_frame()
        assert frame
        frame.wait_for_url(lambda url: slug in url)  # the pasted line's is lazy: the page does not wait for it
        frame.wait_for_function(ALIVE, arg=slug)
        return frame

    def say(self, message: Any, frame: int = 0) -> None:
        self.page.evaluate("([message, k]) => at(k).postMessage(message, '*')", [message, frame])

    def heard(self, kind: str = "") -> list[dict[str, Any]]:
        """What the figures have said so far, heights aside or those alone."""
        self.page.wait_for_timeout(80)
        all_of_it = self.page.evaluate("heard")
        return [m for m in all_of_it if (m["type"] == SIGN + kind if kind else m["type"] != f"{SIGN}height")]

    def hear(self, kind: str) -> dict[str, Any]:
        """The next message of its kind; what was heard before it is forgotten."""
        found = self.page.wait_for_function(
            """type => {
              const k = heard.findIndex(message => message.type === type)
              return k >= 0 && heard.splice(0, k + 1).at(-1)
            }""",
            arg=SIGN + kind,
        )
        return dict(found.json_value())


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder for pages of another site, and that site's origin."""
    folder = tmp_path_factory.mktemp("lessons")
    with folder_served(folder) as port:
        yield folder, f"http://127.0.0.1:{port}"


@pytest.fixture
def lesson(page: Page, lessons: tuple[Path, str], web_port: int):
    """Opens a page of another origin that has a figure in a frame."""
    folder, origin = lessons

    def open_lesson(slug: str, more: str = "", style: str = "width:900px;height:700px", **options: Any) -> Lesson:
        options.setdefault("origins", origin)
        source = f"http://localhost:{web_port}/{SUB_PATH}/{slug}.html?{urlencode(options)}"
        frame = f'<iframe src="{escape(source)}" style="border:0;{style}"></iframe>'
        (folder / "lesson.html").write_text(PARENT % (frame + more))
        return Lesson(page, f"{origin}/lesson.html")

    return open_lesson


@pytest.fixture
def alone(page: Page, web_port: int):
    """Opens a figure's page by itself, with options."""

    def open_figure(figure: type[Figure], **options: Any) -> Reader:
        query = urlencode(options)
        return Reader.of(page, figure, f"http://localhost:{web_port}/{SUB_PATH}/{figure.slug}.html?{query}")

    return open_figure


# ---- what the two say to each other


def test_a_page_of_another_origin_drives_a_figure_and_hears_of_it(lesson) -> None:
    talk = lesson("saturation", drift=2, spread=2)
    frame = talk.frame("saturation")
    start = {"drift": 2, "spread": 2, "activation": "sigmoid", "batch_norm": False}
    ready = talk.hear("ready")
    assert ready["state"] == start
    assert ready["figure"] == "saturation"

    talk.say({"type": f"{SIGN}set", "state": {"drift": 6, "spread": 1}})
    change = talk.hear("change")
    twin = Saturation(drift=6.0, spread=1.0)
    assert change["state"] == twin.state
    assert change["readouts"]["gradient_signal"]["text"] == twin.say()["gradient_signal"].text
    assert change["readouts"]["mean_slope"]["value"] == pytest.approx(twin.say()["mean_slope"].value, rel=1e-6)
    frame.evaluate(FRAME)
    assert frame.locator("[data-control=drift] output").inner_text() == "6.0"

    # The reader's own hand is told, too, and only on release.
    slider = frame.locator("[data-control=drift] input")
    slider.evaluate("el => { el.value = 4; el.dispatchEvent(new Event('input', {bubbles: true})) }")
    assert talk.heard("change") == []
    slider.evaluate("el => el.dispatchEvent(new Event('change', {bubbles: true}))")
    assert talk.hear("change")["state"]["drift"] == 4

    talk.say({"type": f"{SIGN}set", "state": {"batch_norm": True}})
    talk.say({"type": f"{SIGN}get", "id": 7})
    answer = talk.hear("state")
    assert answer["id"] == 7
    assert answer["state"]["batch_norm"] is True
    twin = Saturation(drift=4.0, spread=2 - 1, batch_norm=True)
    assert answer["readouts"]["after_10"]["text"] == twin.say()["after_10"].text

    talk.say({"type": f"{SIGN}reset"})
    assert talk.hear("change")["state"] == start, "back to what the teacher chose"


def test_a_figure_is_played_and_stopped_by_its_parent(lesson) -> None:
    talk = lesson("runaway-bias", step=4800)
    frame = talk.frame("runaway-bias")
    talk.say({"type": f"{SIGN}play", "control": "step"})
    assert talk.hear("change")["state"]["step"] == 5000
    talk.say({"type": f"{SIGN}play"})
    frame.wait_for_function(
        """() => {
          const {step} = document.querySelector("figure").figure.state.values
          return step > 0 && step < 4000
        }"""
    )
    talk.say({"type": f"{SIGN}set", "state": {}})
    stopped = talk.hear("change")["state"]["step"]
    assert stopped < 5000
    talk.page.wait_for_timeout(200)
    talk.say({"type": f"{SIGN}get"})
    assert talk.hear("state")["state"]["step"] == stopped


MALFORMED: list[Any] = [
    None,
    7,
    "bn-explainer:set",
    [],
    {},
    {"type": 7},
    {"type": "set", "state": {"drift": 6}},
    {"type": f"{SIGN}explode"},
    {"type": f"{SIGN}toString"},
    {"type": f"{SIGN}set"},
    {"type": f"{SIGN}set", "state": None},
    {"type": f"{SIGN}set", "state": [["drift", 6]]},
    {"type": f"{SIGN}set", "state": "drift=6"},
    {"type": f"{SIGN}set", "state": {"drift": 6, "dirft": 6}},
    {"type": f"{SIGN}set", "state": {"drift": 6, "spread": 99}},
    {"type": f"{SIGN}set", "state": {"drift": 6, "activation": "softmax"}},
    {"type": f"{SIGN}set", "state": {"drift": 6.03}},
    {"type": f"{SIGN}set", "state": {"drift": [6]}},
    {"type": f"{SIGN}set", "state": {"drift": "six"}},
    {"type": f"{SIGN}set", "state": {"constructor": 1}},
    {"type": f"{SIGN}play"},
    {"type": f"{SIGN}play", "control": "drift"},
]


def test_what_is_not_a_command_changes_nothing_and_is_not_answered(lesson, watched: Watched) -> None:
    talk = lesson("saturation", drift=2)
    frame = talk.frame("saturation")
    talk.hear("ready")
    for message in MALFORMED:
        talk.say(message)
    assert talk.heard() == []
    assert frame.evaluate("document.querySelector('figure').figure.state.values.drift") == 2
    assert not frame.locator(".notices").filter(visible=True).count()
    assert not [problem for problem in watched.problems if "uncaught" in problem]
    assert any("cannot be 6.03" in problem for problem in watched.problems), "whoever writes the page is told why"
    talk.say({"type": f"{SIGN}set", "state": {"drift": 6}})
    assert talk.hear("change")["state"]["drift"] == 6, "and it still listens"


@pytest.mark.parametrize("origins", [None, "https://school.example", "nonsense", "http://127.0.0.1", ""])
def test_an_origin_that_is_not_named_commands_nothing_and_hears_the_height_only(
    lesson, watched: Watched, page: Page, web_port: int, lessons, origins: str | None
) -> None:
    if origins is not None:
        talk = lesson("saturation", drift=2, origins=origins)
    else:
        folder, origin = lessons
        source = f"http://localhost:{web_port}/{SUB_PATH}/saturation.html?drift=2"
        (folder / "plain.html").write_text(PARENT % f'<iframe src="{source}"></iframe>')
        talk = Lesson(page, f"{origin}/plain.html")
    frame = talk.frame("saturation")
    for message in ({"type": f"{SIGN}set", "state": {"drift": 6}}, {"type": f"{SIGN}get"}, {"type": f"{SIGN}reset"}):
        talk.say(message)
    assert talk.heard() == []
    assert talk.heard("height")
    assert frame.evaluate("document.querySelector('figure').figure.state.values.drift") == 2
    assert all("may not command this figure" in problem for problem in watched.problems), watched.problems
    assert len(watched.problems) == 3


def test_only_the_parent_commands_not_a_neighbour_of_its_origin(lesson, lessons) -> None:
    folder, _ = lessons
    command = json.dumps({"type": f"{SIGN}set", "state": {"drift": 6}})
    (folder / "neighbour.html").write_text(f"<script>parent.frames[0].postMessage({command}, '*')</script>")
    talk = lesson("saturation", drift=2)
    frame = talk.frame("saturation")
    talk.hear("ready")
    talk.page.evaluate(
        "document.body.append(Object.assign(document.createElement('iframe'), {src: 'neighbour.html'}))"
    )
    talk.page.wait_for_timeout(300)
    assert talk.heard() == []
    assert frame.evaluate("document.querySelector('figure').figure.state.values.drift") == 2


def test_a_page_on_disk_drives_a_figure_on_disk(page: Page, exported: Path, tmp_path: Path) -> None:
    lesson = tmp_path / "lesson.html"
    lesson.write_text(
        PARENT % f'<iframe src="{(exported / "saturation.html").as_uri()}?drift=2" width=900 height=900></iframe>'
    )
    talk = Lesson(page, lesson.as_uri())
    talk.frame("saturation")
    assert talk.hear("ready")["state"]["drift"] == 2
    talk.say({"type": f"{SIGN}set", "state": {"drift": 6}})
    assert talk.hear("change")["state"]["drift"] == 6


def test_a_page_of_the_same_origin_drives_without_being_named(page: Page, web_root: Path, web_port: int) -> None:
    (web_root / "deck.html").write_text(PARENT % f'<iframe src="{SUB_PATH}/saturation.html"></iframe>')
    talk = Lesson(page, f"http://localhost:{web_port}/deck.html")
    talk.frame("saturation")
    talk.say({"type": f"{SIGN}set", "state": {"drift": 6}})
    assert talk.hear("change")["state"]["drift"] == 6


# ---- how it fits


def test_a_figure_tells_its_height_and_fits_a_frame_of_it(lesson) -> None:
    talk = lesson("identity", style="width:700px;height:300px")
    frame = talk.frame("identity")
    talk.page.evaluate(
        "document.querySelector('iframe').style.height = heard.findLast(m => m.type.endsWith('height')).height + 'px'"
    )
    frame.evaluate(FRAME)
    assert frame.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert not frame.locator("h1").evaluate(
        "el => el.getBoundingClientRect().height > 2 && el.parentElement.getBoundingClientRect().height > 2"
    )
    assert not frame.get_by_role("link", name="In the article").is_visible()
    before = talk.heard("height")[-1]["height"]
    frame.locator(".data summary").click()
    talk.page.wait_for_function("h => heard.findLast(m => m.type.endsWith('height')).height > h + 50", arg=before)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.slug)
def test_a_figure_can_fill_the_frame_that_it_is_given(lesson, figure: type[Figure]) -> None:
    talk = lesson(figure.slug, style="width:1280px;height:720px", fit="frame")
    frame = talk.frame(figure.slug)
    frame.evaluate(FRAME)
    high, wide, frame_high = frame.evaluate(
        "[document.documentElement.scrollHeight, document.documentElement.scrollWidth, innerHeight]"
    )
    assert (high, wide) == (frame_high, 1280)
    for plot in frame.locator(".plot").all():
        box = plot.bounding_box()
        assert box
        assert box["height"] >= 110
        canvas = plot.locator("canvas").first.bounding_box()
        assert canvas
        assert canvas["height"] == pytest.approx(box["height"], abs=2), "the plot fills its place"


def test_theme_and_background_are_as_the_address_says(alone, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    plot = "(v => v?.value ?? v)(document.querySelector('figure').figure.plots[0].model.background_fill_color)"
    alone(Saturation, theme="dark")
    assert page.evaluate(plot) == tokens.TOKENS["plot"][tokens.DARK]
    alone(Saturation, theme="light")
    page.emulate_media(color_scheme="dark")
    page.evaluate(FRAME)
    assert page.evaluate(plot) == tokens.TOKENS["plot"][tokens.LIGHT]
    alone(Saturation, theme="auto", background="transparent")
    assert page.evaluate(plot) == "transparent"
    assert page.evaluate(background) == "rgba(0, 0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.querySelector('figure')).color") == "rgb(232, 234, 237)"


def test_only_the_chosen_controls_are_shown_and_the_others_stay(alone) -> None:
    reader = alone(Landscape, controls="learning_rate,steps", start="wall", steps=17)
    shown = (
        reader.at.locator("[data-control]")
        .filter(visible=True)
        .evaluate_all("all => all.map(el => el.dataset.control)")
    )
    assert shown == ["learning_rate", "steps"]
    x, y = reader.pixel("without", 1.6, 2.4)
    reader.page.mouse.click(x, y)
    assert reader.state()["start"] == "wall"
    reader.set("steps", 30.0)
    reader.at.get_by_role("button", name="Reset").click()
    assert reader.state()["start"] == "wall"
    assert reader.state()["steps"] == 17

    reader = alone(StepsToAccuracy, controls="axis")
    assert not reader.at.locator("[data-twin=target]").is_visible()
    reader = alone(Identity, controls="none", gamma=2)
    assert reader.at.locator(".controls :is(input, button)").filter(visible=True).count() == 0
    assert reader.state()["gamma"] == 2


def test_presets_stay_where_all_that_they_set_is_shown(alone) -> None:
    for controls, presets in (("drift,batch_norm", ["push", "rescue"]), ("drift", [])):
        reader = alone(Saturation, controls=controls)
        shown = reader.at.locator("[data-preset]").filter(visible=True)
        assert shown.evaluate_all("all => all.map(el => el.dataset.preset)") == presets


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"theme": "sepia"}, "is not one of auto, light, dark"),
        ({"scale": "huge"}, "is not a number from 0.5 to 4"),
        ({"scale": "0"}, "is not a number from 0.5 to 4"),
        ({"controls": "dirft"}, "there are drift, spread, activation, batch_norm"),
        ({"background": "pink", "fit": "tight"}, "is not one of content, frame"),
        ({"origins": "school.example"}, "is not an origin"),
    ],
)
def test_an_option_that_cannot_be_is_told_in_words(alone, options: dict[str, str], words: str) -> None:
    reader = alone(Saturation, **options)
    assert words in reader.page.locator("#notices").inner_text()
    assert reader.at.locator("[data-control]").filter(visible=True).count() == 4


# ---- large type


def test_large_type_is_large_on_the_page_and_on_the_plots(alone) -> None:
    def sizes(reader: Reader) -> list[float]:
        readout = reader.at.locator("dd").first.bounding_box()
        assert readout
        on_plot = reader.page.evaluate(
            """() => {
              const {below: [axis], title} = document.querySelector("figure").figure.plots[0].model
              return [axis.major_label_text_font_size, title.text_font_size].map(parseFloat)
            }"""
        )
        return [readout["height"], *on_plot]

    usual = sizes(alone(Saturation))
    assert sizes(alone(Saturation, scale=1.5)) == pytest.approx([1.5 * size for size in usual], abs=1)


def test_in_large_type_pointers_point_where_they_point(alone) -> None:
    reader = alone(Landscape, scale=1.5)
    for start, (x, y) in (("wall", (2.4, 1.0)), ("valley", (0.3, 2.6))):
        reader.at.locator("[data-plot=with]").scroll_into_view_if_needed()
        left, top = reader.pixel("with", x, y)
        reader.page.mouse.click(left - 5, top + 5)
        reader.settle()
        assert reader.state()["start"] == start
    reader.drag("steps", 0.5)
    assert reader.state()["steps"] == pytest.approx(20, abs=1.5)

    reader = alone(StepsToAccuracy, scale=1.5)
    reader.at.locator("[data-plot=curves]").scroll_into_view_if_needed()
    x, y = reader.pixel("curves", 15, 72.2)
    _, lower = reader.pixel("curves", 15, 66)
    reader.page.mouse.move(x, y)
    reader.page.mouse.down()
    reader.page.mouse.move(x, lower, steps=10)
    reader.page.mouse.up()
    reader.settle()
    assert reader.state()["target"] == pytest.approx(66, abs=0.11)


# ---- the line to paste


def test_the_copied_line_shows_the_figure_as_it_stands(page: Page, served: str, lessons) -> None:
    folder, origin = lessons
    page.add_init_script("navigator.clipboard.writeText = async text => { window.copied = text }")
    for address in ("/app#runaway-bias", "/app?figure=runaway-bias&theme=dark&scale=1.5"):
        reader = Reader.of(page, RunawayBias, f"{served}{address}")
        reader.set("precision", "float16")
        reader.set("step", 2500.0)
        reader.at.get_by_role("button", name="Embed").click()
        line = page.evaluate("copied")
        assert "loading" in line
        (folder / "pasted.html").write_text(PARENT % line)
        talk = Lesson(page, f"{origin}/pasted.html")
        frame = talk.frame("runaway-bias")
        assert (
            frame.evaluate("document.querySelector('figure').figure.state.values")
            == reader.figure(precision="float16", step=2500.0).state
        )
        assert frame.evaluate("document.documentElement.dataset.theme") == ("dark" if "theme" in address else None)
        assert page.locator("iframe").get_attribute("title") == RunawayBias.title
        expect(frame.locator("figure")).to_be_visible()
