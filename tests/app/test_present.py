"""A figure in front of a class: full screen, keys, and a question before the figure shows its answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from app.export import export_single
from tests.app.conftest import SUB_PATH, Place, folder_served
from tests.app.reader import ALIVE, Reader
from tests.conftest import Watched
from widgets import FIGURES, Figure, Identity, Landscape, RunawayBias, Saturation, StepsToAccuracy

each_figure = pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.slug)
HIDDEN = ".plots, .plots canvas, .readouts, .summary, figcaption, .data, [data-save]"
CAPTURE = "navigator.clipboard.writeText = async text => { window.copied = text }"


def form(reader: Reader) -> Locator:
    return reader.at.locator(".question")


def assert_hides_its_answer(reader: Reader) -> None:
    expect(form(reader)).to_be_visible()
    assert reader.at.locator(HIDDEN).filter(visible=True).count() == 0
    heard = reader.at.aria_snapshot()
    assert "img" not in heard
    assert not [readout.label for readout in reader.figure.readouts.values() if readout.label in heard]
    assert reader.at.locator(".controls").evaluate("el => el.inert")
    expect(form(reader).get_by_role("button", name="Show")).to_be_disabled()


def choose(reader: Reader, answer: int) -> None:
    form(reader).get_by_role("radio").nth(answer).check()
    form(reader).get_by_role("button", name="Show").click()
    expect(form(reader).get_by_role("status")).not_to_be_empty()


def reason(reader: Reader) -> str:
    """Why the right answer is right, with the words that stand on the page."""
    assert reader.figure.question
    texts = {name: text for name, (text, _, _) in reader.says().items()}
    texts |= {name: control.text(reader.state()[name]) for name, control in reader.figure.controls().items()}
    return in_one_piece(re.sub(r"\{(\w+)\}", lambda name: texts[name[1]], reader.figure.question.why))


def in_one_piece(words: str) -> str:
    """The words with powers of ten that are not broken between two lines."""
    return words.replace(" × ", "\u00a0×\u00a0")


# ---- predict first


@each_figure
def test_a_figure_hides_its_answer_until_the_class_has_committed_to_one(
    cut_off: Page, place: Place, figure: type[Figure]
) -> None:
    question = figure.question
    assert question
    reader = Reader.of(cut_off, figure, place.at(figure.slug, predict="on"))
    assert reader.state() == figure.asked().state
    assert_hides_its_answer(reader)
    assert form(reader).locator("legend").inner_text() == figure.answered().fill(question.text)
    assert form(reader).get_by_role("radio").count() == len(question.answers)

    wrong = (question.right + 1) % len(question.answers)
    choose(reader, wrong)
    assert reader.state() == figure.answered().state
    verdict = form(reader).get_by_role("status").inner_text()
    assert verdict == f"Not so: “{question.answers[question.right]}” is right. {reason(reader)}"
    if figure is not Identity:  # whose residual is a few roundings, or none
        assert verdict.endswith(in_one_piece(figure.answered().fill(question.why)))
    expect(reader.at.locator(".plots canvas").first).to_be_visible()
    assert reader.at.locator(".summary").inner_text() == reader.figure(**reader.state()).summarize() or (
        figure is Identity
    )
    for name, said in figure.answered().say().items():
        assert reader.value(name) == pytest.approx(said.value, rel=1e-6, abs=1e-12, nan_ok=True), name

    reader.at.get_by_role("button", name="Predict first").click()
    expect(form(reader)).to_be_hidden()
    reader.at.get_by_role("button", name="Predict first").click()
    assert_hides_its_answer(reader)
    choose(reader, question.right)
    assert form(reader).get_by_role("status").inner_text() == f"Right. {reason(reader)}"


def test_predicting_in_the_article_by_keyboard_alone(cut_off: Page, place: Place) -> None:
    reader = Reader.of(cut_off, Saturation, f"{place.article}?saturation.spread=2#saturation")
    keyboard = cut_off.keyboard
    button = reader.at.get_by_role("button", name="Predict first")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.focus()
    keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert_hides_its_answer(reader)
    radios = form(reader).get_by_role("radio")
    expect(radios.first).to_be_focused()
    expect(radios.first).to_be_in_viewport()
    assert not radios.first.is_checked(), "nobody has chosen yet"
    keyboard.press("ArrowDown")
    expect(radios.nth(1)).to_be_checked()
    keyboard.press("Tab")
    expect(form(reader).get_by_role("button", name="Show")).to_be_focused()
    keyboard.press("Enter")
    close = form(reader).get_by_role("button", name="Close the question")
    expect(close).to_be_focused()
    assert reader.state() == Saturation.answered().state
    assert "Not so" in form(reader).get_by_role("status").inner_text()
    keyboard.press("Enter")
    expect(form(reader)).to_be_hidden()
    expect(button).to_be_focused()
    assert reader.state() == Saturation.answered().state, "what was shown stays"


def test_who_leaves_without_an_answer_finds_the_figure_as_it_was(page: Page, served: str) -> None:
    reader = Reader.of(page, RunawayBias, f"{served}/app?figure=runaway-bias&step=2500&precision=float16")
    before = reader.state()
    reader.at.locator("[data-play]").click()
    reader.at.get_by_role("button", name="Predict first").click()
    assert reader.at.locator("[data-play]").inner_text() == "Play", "nothing plays behind the question"
    assert reader.state() == RunawayBias.asked().state
    form(reader).get_by_role("button", name="Close the question").click()
    left = reader.state()
    assert {**left, "step": 2500.0} == before
    assert left["step"] >= before["step"]
    assert not reader.at.locator(".controls").evaluate("el => el.inert")
    expect(reader.at.locator(".readouts")).to_be_visible()


def test_a_link_and_an_embed_of_a_question_ask_it(page: Page, served: str) -> None:
    page.add_init_script(CAPTURE)
    reader = Reader.of(page, Landscape, f"{served}/app?figure=landscape")
    reader.at.get_by_role("button", name="Predict first").click()
    for name in ("Copy link", "Embed"):
        reader.at.get_by_role("button", name=name).click()
        assert "predict=on" in page.evaluate("copied")
    page.wait_for_timeout(500)
    assert "predict=on" in page.url
    choose(reader, 0)
    reader.at.get_by_role("button", name="Copy link").click()
    assert "predict" not in page.evaluate("copied")
    page.wait_for_timeout(500)
    assert "predict" not in page.url

    reader = Reader.of(page, Landscape, f"{served}/app?landscape.predict=on#landscape")
    assert_hides_its_answer(reader)
    reader.at.get_by_role("button", name="Copy link").click()
    assert "landscape.predict=on" in page.evaluate("copied")


def test_a_phrase_that_names_a_state_shows_it(page: Page, served: str) -> None:
    reader = Reader.of(page, Saturation, f"{served}/app?saturation.predict=on#saturation")
    assert_hides_its_answer(reader)
    page.locator('a.sets[href*="saturation.drift=6"]').first.click()
    expect(form(reader)).to_be_hidden()
    assert reader.state()["drift"] == 6
    expect(reader.at.locator(".readouts")).to_be_visible()


@pytest.mark.parametrize("fit", ["content", "frame"])
def test_a_question_in_a_frame_fits_it_and_does_not_take_the_focus(
    page: Page, web_root: Path, web_port: int, fit: str
) -> None:
    source = f"{SUB_PATH}/steps-to-accuracy.html?predict=on&fit={fit}&controls=axis&scale=1.25"
    (web_root / "asking.html").write_text(f'<!doctype html><iframe src="{source}" width=960 height=720></iframe>')
    page.goto(f"http://localhost:{web_port}/asking.html")
    frame = page.frame_locator("iframe")
    question = frame.locator(".question")
    expect(question).to_be_visible()
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    expect(frame.locator(".readouts")).to_be_hidden()
    question.get_by_role("radio").nth(3).check()
    question.get_by_role("button", name="Show").click()
    expect(question.get_by_role("status")).to_contain_text(f"Right. BN-x5 took {said('bn_x5_steps')}")
    expect(frame.locator(".plots canvas").first).to_be_visible()
    assert frame.locator("html").evaluate("el => el.scrollWidth <= innerWidth")
    question.get_by_role("button", name="Close the question").click()
    expect(question).to_be_hidden()


def said(readout: str) -> str:
    return StepsToAccuracy.answered().say()[readout].text


def test_a_single_file_asks_too(context: BrowserContext, page: Page, watched: Watched, tmp_path: Path) -> None:
    path, _ = export_single("identity", tmp_path, lambda _: None)
    own = path.as_uri()
    context.route(lambda url: not url.startswith((own, "data:")), lambda route: route.abort())
    reader = Reader.of(page, Identity, f"{own}?predict=1")
    assert_hides_its_answer(reader)
    choose(reader, 2)
    assert form(reader).get_by_role("status").inner_text() == f"Right. {reason(reader)}"
    assert watched.problems == []


def test_a_wish_to_predict_that_cannot_be_is_told(page: Page, served: str) -> None:
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation&predict=perhaps")
    assert "is not on or off" in reader.at.locator(".notices").inner_text()
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation&predict=off")
    assert not page.locator(".notices").filter(visible=True).count()
    expect(form(reader)).to_be_hidden()


# ---- keys


@pytest.fixture
def bias(page: Page, served: str) -> Reader:
    return Reader.of(page, RunawayBias, f"{served}/app?figure=runaway-bias")


def test_keys_play_step_and_reset(bias: Reader) -> None:
    keyboard, play = bias.page.keyboard, bias.at.locator("[data-play]")
    for key, step in ((".", 25), (".", 50), (",", 25)):
        keyboard.press(key)
        bias.settle()
        assert bias.state()["step"] == step
    keyboard.press("p")
    expect(play).to_have_text("Pause")
    bias.page.wait_for_function("() => document.querySelector('[data-control=step] input').value > 200")
    keyboard.press("p")
    expect(play).to_have_text("Play")
    assert bias.state()["step"] > 200
    keyboard.press("r")
    bias.settle()
    assert bias.state() == RunawayBias().state


def test_a_key_that_is_held_speaks_when_it_is_let_go(bias: Reader) -> None:
    summary, keyboard = bias.at.locator(".summary"), bias.page.keyboard
    before = summary.inner_text()
    for _ in range(3):
        keyboard.down(".")
        bias.settle()
        assert summary.inner_text() == before
    keyboard.up(".")
    bias.settle()
    assert summary.inner_text() == RunawayBias(step=75.0).summarize()
    keyboard.down("p")
    keyboard.down("p")
    expect(bias.at.locator("[data-play]")).to_have_text("Pause")
    keyboard.up("p")


def test_where_nothing_plays_a_step_moves_the_first_slider(page: Page, served: str) -> None:
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation&controls=spread,batch_norm")
    page.keyboard.press(".")
    reader.settle()
    assert (reader.state()["drift"], reader.state()["spread"]) == (0, 1.5), "what is not shown is not moved"
    page.keyboard.press("p")
    page.keyboard.press("r")
    reader.settle()
    assert reader.state() == Saturation().state


def test_keys_leave_alone_what_others_use(bias: Reader) -> None:
    keyboard, start = bias.page.keyboard, bias.state()
    for held in ("Control", "Alt", "Meta"):
        keyboard.press(f"{held}+.")
        keyboard.press(f"{held}+?")
    # In a field for words a full stop is a full stop.
    bias.page.evaluate("document.querySelector('figure').append(document.createElement('textarea'))")
    words = bias.at.locator("textarea")
    words.focus()
    keyboard.type("f.p,r?q")
    bias.settle()
    assert words.input_value() == "f.p,r?q"
    assert bias.state() == start
    assert not bias.page.locator("dialog[open]").count()
    # Arrow keys, Space and Enter stay with the inputs and buttons; the other keys work from there, too.
    radio = bias.control("gradient").locator("input").first
    radio.focus()
    keyboard.press("ArrowRight")
    bias.settle()
    assert bias.state()["gradient"] == "aware"
    bias.control("step").locator("input").focus()
    keyboard.press("ArrowRight")
    keyboard.press(".")
    keyboard.press("End")
    keyboard.press(",")
    bias.settle()
    assert bias.state()["step"] == 5000 - 25


def test_in_the_article_keys_move_the_figure_that_is_looked_at(page: Page, served: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{served}/app")
    readers = [Reader(page, kind) for kind in (Saturation, RunawayBias)]
    for reader in readers:
        reader.come_near()
    for reader in readers:
        reader.at.evaluate("el => el.scrollIntoView({behavior: 'instant', block: 'center'})")
        page.keyboard.press(".")
        reader.settle()
    assert readers[0].state()["drift"] == 0.1
    assert readers[1].state()["step"] == 25
    # The focus stays behind in a figure that is out of sight: that one is not looked at.
    readers[0].control("drift").locator("input").focus()
    readers[1].at.evaluate("el => el.scrollIntoView({behavior: 'instant', block: 'center'})")
    page.keyboard.press(".")
    readers[1].settle()
    assert readers[0].state()["drift"] == 0.1
    assert readers[1].state()["step"] == 50
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    page.keyboard.press(".")
    readers[1].settle()
    assert (readers[0].state()["drift"], readers[1].state()["step"]) == (0.1, 50), "no figure is in sight"


def test_while_a_question_is_asked_no_key_moves_the_figure(page: Page, served: str) -> None:
    reader = Reader.of(page, RunawayBias, f"{served}/app?figure=runaway-bias")
    page.keyboard.press("q")
    assert_hides_its_answer(reader)
    for key in (".", ",", "r", "p"):
        page.keyboard.press(key)
    reader.settle()
    assert reader.state() == RunawayBias.asked().state
    page.keyboard.press("q")
    expect(form(reader)).to_be_hidden()


def test_the_keys_are_listed_and_can_be_switched_off(bias: Reader) -> None:
    page = bias.page
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    listed = dialog.locator("kbd").all_inner_texts()
    assert listed == ["p", ".", ",", "r", "q", "f", "?"]
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press(".")
    bias.settle()
    assert bias.state()["step"] == 0, "the list is in front of the figure"
    dialog.get_by_role("checkbox", name="Listen to these keys").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    for _ in range(2):
        for key in (".", "?", "q"):
            page.keyboard.press(key)
        bias.settle()
        assert bias.state()["step"] == 0
        assert not page.locator("dialog[open]").count()
        page.reload()
        bias.come_near()
    bias.at.get_by_role("button", name="Keys").click()
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Close").click()
    page.keyboard.press(".")
    bias.settle()
    assert bias.state()["step"] == 25


# ---- full screen


def full(page: Page) -> Any:
    return page.evaluate("document.fullscreenElement?.id")


@each_figure
def test_a_figure_fills_the_screen_and_comes_back(cut_off: Page, place: Place, figure: type[Figure]) -> None:
    cut_off.set_viewport_size({"width": 1280, "height": 800})
    reader = Reader.of(cut_off, figure, f"{place.article}#{figure.slug}")
    button = reader.at.get_by_role("button", name="Full screen")
    button.click()
    expect(reader.at.get_by_role("button", name="Leave full screen")).to_be_visible()
    assert full(cut_off) == figure.slug
    expect(reader.at.locator("figcaption")).to_be_hidden()
    box = reader.at.bounding_box()
    assert box == {"x": 0, "y": 0, "width": 1280, "height": 800}
    assert reader.at.evaluate("el => el.scrollWidth") <= 1280
    reader.settle()
    for plot in reader.at.locator(".plot").all():
        place_of, canvas = plot.bounding_box(), plot.locator("canvas").first.bounding_box()
        assert place_of
        assert canvas
        assert (canvas["width"], canvas["height"]) == pytest.approx((place_of["width"], place_of["height"]), abs=2)
        assert place_of["height"] >= 110
    cut_off.keyboard.press("f")
    expect(reader.at.get_by_role("button", name="Full screen", exact=True)).to_be_visible()
    assert full(cut_off) is None


def test_on_the_whole_screen_a_question_is_asked_and_the_keys_are_listed(page: Page, served: str) -> None:
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation")
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement")
    page.keyboard.press("q")
    assert_hides_its_answer(reader)
    choose(reader, 0)
    assert form(reader).get_by_role("status").inner_text().startswith("Right.")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    assert full(page) == "saturation"
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_where_a_page_above_forbids_it_there_is_no_button(page: Page, web_port: int, tmp_path: Path) -> None:
    source = f"http://localhost:{web_port}/{SUB_PATH}/saturation.html"
    (tmp_path / "lesson.html").write_text(
        f'<!doctype html><link rel=icon href="data:,"><iframe src="{source}" width=900 height=900></iframe>'
        f'<iframe src="{source}" width=900 height=900 allow="fullscreen"></iframe>'
    )
    with folder_served(tmp_path) as port:
        page.goto(f"http://127.0.0.1:{port}/lesson.html")
        forbidden, allowed = (page.frame_locator("iframe").nth(k) for k in (0, 1))
        for k, frame in enumerate((forbidden, allowed)):
            page.locator("iframe").nth(k).scroll_into_view_if_needed()
            expect(frame.locator("figure[data-live]")).to_be_visible()
        expect(forbidden.get_by_role("button", name="Full screen")).to_be_hidden()
        expect(allowed.get_by_role("button", name="Full screen")).to_be_visible()
        forbidden.locator("[data-control=drift] input").press("f")
        forbidden.locator("[data-control=drift] input").press(".")
        expect(forbidden.locator("[data-control=drift] output")).to_have_text("0.1")


def test_a_pasted_figure_fills_the_screen_from_a_disk_too(page: Page, exported: Path, tmp_path: Path) -> None:
    page.add_init_script(CAPTURE)
    reader = Reader.of(page, Saturation, (exported / "saturation.html").as_uri())
    reader.at.get_by_role("button", name="Embed").click()
    (tmp_path / "lesson.html").write_text("<!doctype html>" + page.evaluate("copied"))
    page.goto((tmp_path / "lesson.html").as_uri())
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Full screen").click()
    expect(frame.get_by_role("button", name="Leave full screen")).to_be_visible()
    assert full(page) is not None
    frame.get_by_role("button", name="Leave full screen").click()
    expect(frame.get_by_role("button", name="Full screen", exact=True)).to_be_visible()


def test_numbers_that_were_unfolded_early_are_there_when_the_figure_lives(page: Page, served: str) -> None:
    page.route("**/assets/saturation.js*", lambda route: (page.wait_for_timeout(300), route.continue_()))
    page.goto(f"{served}/app?figure=saturation")
    page.locator(".data summary").click()
    page.wait_for_function(ALIVE, arg="saturation")
    expect(page.locator(".data table").first).to_be_visible()
