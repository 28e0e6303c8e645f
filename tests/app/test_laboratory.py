"""The laboratory in a real browser, with a real server: start, pause, go on, stop, reload, change, restart."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, FrameLocator, Locator, Page, expect

from app import export as exporting
from bn_core.figures.lab import columns
from bn_core.training import advance, start
from tests.conftest import Watched, serving
from widgets import Lab
from widgets.lab import rows

LONG = 30_000
QUICK = "steps=500&weight_scale=1/sqrt(fan_in)"


def opened(page: Page, address: str) -> Locator:
    page.goto(address)
    figure = page.locator("figure#lab")
    expect(figure).to_have_attribute("data-phase", re.compile("idle|paused|finished"), timeout=LONG)
    return figure


def go(figure: Locator | FrameLocator) -> Locator:
    return figure.locator("[data-run=go]")


def step(figure: Locator) -> int:
    return int(figure.locator("[data-readout=plain_step]").get_attribute("data-value") or 0)


def wait_until_beyond(steps: int, figure: Locator) -> None:
    readout = "[data-readout=plain_step]"
    figure.page.wait_for_function(f"() => Number(document.querySelector('{readout}').dataset.value) > {steps}")


def test_a_race_runs_to_its_end_and_says_what_numpy_says(page: Page, served: str, watched: Watched) -> None:
    figure = opened(page, f"{served}/app?figure=lab&{QUICK}&seed=3")
    expect(go(figure)).to_have_text("Start")
    go(figure).click()
    expect(figure).to_have_attribute("data-phase", "finished", timeout=LONG)
    lab = Lab(steps=500, weight_scale="1/sqrt(fan_in)", seed=3)
    lab.fed = {
        name: values
        for network, config in lab.race().items()
        for name, values in rows(network, columns(advance(start(config), 500)[1])).items()
    }
    for name, said in lab.say().items():
        expect(figure.locator(f"[data-readout={name}]")).to_have_text(said.text)
    drawn = figure.evaluate("el => Array.from(el.figure.columns['normalized.accuracy'])")
    assert drawn == list(lab.columns()["normalized.accuracy"])
    expect(figure.locator(".summary")).to_have_text(lab.summarize())
    assert watched.problems == []


def test_pause_stands_still_go_on_goes_on_and_stop_clears(page: Page, served: str) -> None:
    figure = opened(page, f"{served}/app?figure=lab&seed=4")
    go(figure).click()
    wait_until_beyond(100, figure)
    go(figure).click()
    expect(go(figure)).to_have_text("Go on")
    page.wait_for_timeout(300)
    stood = step(figure)
    page.wait_for_timeout(700)
    assert step(figure) == stood
    go(figure).click()
    page.wait_for_function(
        f"() => Number(document.querySelector('[data-readout=plain_step]').dataset.value) > {stood}"
    )
    figure.locator("[data-run=stop]").click()
    expect(figure).to_have_attribute("data-phase", "idle")
    expect(figure.locator("[data-readout=plain_outcome]")).to_have_text("not yet started")


def test_a_control_that_changes_meanwhile_begins_the_race_anew(page: Page, served: str) -> None:
    figure = opened(page, f"{served}/app?figure=lab&seed=5")
    go(figure).click()
    wait_until_beyond(100, figure)
    figure.get_by_label("ReLU").check()
    expect(figure).to_have_attribute("data-phase", "running")
    wait_until_beyond(25, figure)
    # What is only shown differently is not trained again.
    before = step(figure)
    figure.locator("[data-control=neuron] input").press("ArrowRight")
    page.wait_for_timeout(300)
    assert step(figure) >= before
    figure.locator("[data-run=stop]").click()


def test_what_was_trained_is_played_again_from_its_first_step(page: Page, served: str) -> None:
    for press in ("Start", "Watch again"):
        figure = opened(page, f"{served}/app?figure=lab&{QUICK}&seed=9")
        if press == "Start":
            go(figure).click()
            expect(figure).to_have_attribute("data-phase", "finished", timeout=LONG)
        expect(go(figure)).to_have_text("Watch again")
        expect(figure.locator(".summary")).to_contain_text("after 500 steps.")
        said = figure.locator(".summary").inner_text()
        go(figure).click()
        expect(figure.locator(".pace")).to_contain_text("trained before, played again")
        page.wait_for_function("() => document.querySelector('[data-readout=plain_step]').dataset.value < 400")
        go(figure).click()
        expect(figure).to_have_attribute("data-phase", "paused")
        stood = step(figure)
        page.wait_for_timeout(500)
        assert step(figure) == stood
        go(figure).click()
        expect(figure).to_have_attribute("data-phase", "finished", timeout=LONG)
        expect(figure.locator(".summary")).to_have_text(said)
    # What the server has is not trained again, whoever asks for it.
    figure.locator("[data-control=seed] input").press("ArrowLeft")
    figure.locator("[data-control=seed] input").press("ArrowRight")
    expect(figure).to_have_attribute("data-phase", "finished")


def test_a_slider_that_comes_back_to_where_it_was_has_its_race_again(page: Page, served: str) -> None:
    figure = opened(page, f"{served}/app?figure=lab&{QUICK}&seed=9&learning_rate=0.2")
    go(figure).click()
    expect(figure).to_have_attribute("data-phase", "finished", timeout=LONG)
    expect(figure.locator("[data-readout=normalized_outcome]")).to_have_text(re.compile(r"at step \d+"))
    assert step(figure) == 500
    slider = figure.locator("[data-control=learning_rate] input")
    here = slider.input_value()
    slider.evaluate("(el, to) => { el.value = to; el.dispatchEvent(new Event('input', {bubbles: true})) }", "0")
    expect(figure.locator("[data-readout=normalized_outcome]")).to_have_text("not yet started")
    slider.evaluate("(el, to) => { el.value = to; el.dispatchEvent(new Event('input', {bubbles: true})) }", here)
    expect(figure.locator("[data-readout=normalized_outcome]")).to_have_text(re.compile(r"at step \d+"))
    assert step(figure) == 500


def test_nobody_sees_a_race_before_having_started_it(context: BrowserContext, served: str) -> None:
    first, second = context.new_page(), context.new_page()
    figure = opened(first, f"{served}/app?figure=lab&{QUICK}&seed=8")
    go(figure).click()
    expect(figure).to_have_attribute("data-phase", "finished", timeout=LONG)
    other = opened(second, f"{served}/app?figure=lab&{QUICK}&seed=8")
    expect(other).to_have_attribute("data-phase", "idle")
    expect(other.locator("[data-readout=plain_outcome]")).to_have_text("not yet started")
    go(other).click()  # it is there already, so it is played
    expect(other.locator(".pace")).to_contain_text("played again")
    expect(other).to_have_attribute("data-phase", "finished", timeout=LONG)


def test_what_is_over_a_limit_is_said_and_the_screen_stays(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path / "log", environment={"BN_STEPS": "1000"}) as address:
        figure = opened(page, f"{address}/app?figure=lab&{QUICK}")
        go(figure).click()
        expect(figure).to_have_attribute("data-phase", "finished", timeout=LONG)
        figure.locator("[data-control=steps] input").press("End")
        go(figure).click()
        expect(figure.locator(".notices")).to_have_text(
            "A run of 50,000 steps is too long for this server: it allows up to 1,000."
        )
        expect(figure).to_have_attribute("data-phase", "idle")
        expect(figure.locator("[data-control=steps] output")).to_have_text("50\u2009000")
        figure.locator("[data-control=steps] input").press("Home")
        expect(figure).to_have_attribute("data-phase", "finished")
        expect(figure.locator(".notices")).to_be_hidden()


def test_a_closed_tab_frees_its_runs(context: BrowserContext, tmp_path: Path) -> None:
    with serving(tmp_path / "log", environment={"BN_RUNS": "2"}) as address:
        first, second = context.new_page(), context.new_page()
        figure = opened(first, f"{address}/app?figure=lab&seed=1&steps=50000")
        go(figure).click()
        wait_until_beyond(50, figure)
        other = opened(second, f"{address}/app?figure=lab&seed=2&steps=50000")
        go(other).click()
        expect(other.locator(".notices")).to_contain_text("The server has 2 runs to do, and it allows 2 at once")
        first.close()
        second.wait_for_timeout(1000)
        go(other).click()
        wait_until_beyond(50, other)


def test_a_frame_may_be_told_to_start(page: Page, served: str) -> None:
    page.goto(f"{served}/app")
    page.evaluate(
        """() => document.body.replaceChildren(Object.assign(document.createElement("iframe"),
          {id: "embedded", src: "app?figure=lab&steps=500&seed=2", width: 900, height: 900}))"""
    )
    figure = page.frame_locator("#embedded").locator("figure#lab")
    expect(figure).to_have_attribute("data-phase", "idle", timeout=LONG)
    page.evaluate("document.getElementById('embedded').contentWindow.postMessage({type: 'bn-explainer:play'})")
    expect(figure).to_have_attribute("data-phase", "finished", timeout=LONG)


def test_not_finite_is_an_outcome_in_words(page: Page, served: str) -> None:
    figure = opened(page, f"{served}/app?figure=lab")
    figure.get_by_role("button", name="Thirty times the rate").click()
    expect(figure.locator(".story")).to_contain_text("not finite")
    go(figure).click()
    expect(figure.locator("[data-readout=plain_outcome]")).to_have_text(
        re.compile(r"not finite at step \d+, in layer \d"), timeout=LONG
    )
    expect(figure.locator("[data-readout=normalized_outcome]")).to_have_text(re.compile(r"at step \d+"), timeout=LONG)
    figure.locator("[data-run=stop]").click()


def test_in_the_article_it_is_a_frame_that_remembers_across_a_reload(page: Page, served: str) -> None:
    page.goto(f"{served}/app?lab.seed=6#lab")
    figure = page.frame_locator("iframe.session").locator("figure#lab")
    expect(figure).to_have_attribute("data-phase", "idle", timeout=LONG)
    figure.locator("[data-control=hidden_layers] input").press("ArrowRight")
    page.wait_for_function("() => location.search.includes('lab.hidden_layers=4')")
    go(figure).click()
    expect(figure.locator(".pace")).to_contain_text("steps/s", timeout=LONG)
    done = figure.locator("[data-readout=plain_step]")
    expect(done).to_have_attribute("data-value", re.compile("[1-9]"), timeout=LONG)
    page.reload()
    figure = page.frame_locator("iframe.session").locator("figure#lab")
    # The server still has it, from the last chunk.
    expect(figure).to_have_attribute("data-phase", "paused", timeout=LONG)
    expect(figure.locator("[data-control=hidden_layers] output")).to_have_text("4")
    expect(figure.locator("[data-control=seed] output")).to_have_text("6")
    expect(figure.locator("[data-readout=plain_step]")).to_have_attribute("data-value", re.compile("[1-9]"))


def test_a_server_that_goes_away_and_comes_back(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path / "first.log") as address:
        figure = opened(page, f"{address}/app?figure=lab&seed=7")
        go(figure).click()
        wait_until_beyond(50, figure)
    expect(figure).to_have_attribute("data-phase", "lost", timeout=LONG)
    expect(figure.locator(".notices")).to_contain_text("connection to the server is lost")
    kept = step(figure)
    assert kept > 50
    go(figure).click()
    expect(figure.locator(".notices")).to_contain_text("still does not answer")
    assert step(figure) == kept
    with serving(tmp_path / "second.log", int(address.rpartition(":")[2])):
        go(figure).click()
        expect(figure).to_have_attribute("data-phase", "running", timeout=LONG)
        expect(figure.locator("[data-control=seed] output")).to_have_text("7")
        wait_until_beyond(0, figure)


def test_each_of_several_server_processes_has_a_laboratory(context: BrowserContext, tmp_path: Path) -> None:
    with serving(tmp_path / "log", None, "--num-procs", "2") as address:
        for seed in range(4):  # a page and its line may well be with different processes
            page = context.new_page()
            figure = opened(page, f"{address}/app?figure=lab&{QUICK}&seed={seed}")
            go(figure).click()
            expect(figure).to_have_attribute("data-phase", "finished", timeout=LONG)
            page.close()


# ---- without a server


def test_where_the_session_does_not_open_the_article_plays_recordings(page: Page, served: str) -> None:
    page.route(lambda address: "figure=lab" in address, lambda route: route.abort())
    page.clock.install()
    page.goto(f"{served}/app?lab.seed=1#lab")
    figure = page.locator("figure#lab")
    expect(page.locator("iframe.session")).to_be_attached()
    page.clock.fast_forward(21_000)
    expect(figure).to_have_attribute("data-phase", "idle", timeout=LONG)
    expect(figure.locator(".notices")).to_contain_text("does not open, so recordings are played instead")
    expect(figure.locator(".recording")).to_be_visible()
    expect(figure.locator("[data-control=seed] output")).to_have_text("1")
    expect(page.locator("iframe.session")).not_to_be_attached()


def test_where_no_line_to_the_server_opens_recordings_are_played(page: Page, served: str) -> None:
    page.route_web_socket(re.compile("/ws"), lambda line: line.close())
    page.clock.install()
    page.goto(f"{served}/app?figure=lab&seed=2")
    figure = page.locator("figure#lab")
    expect(figure).to_have_attribute("data-phase", "connecting", timeout=LONG)
    page.clock.fast_forward(21_000)
    page.wait_for_url(re.compile(r"/lab\.html"))
    expect(figure.locator(".notices")).to_contain_text("cannot be reached for training, so recordings", timeout=LONG)
    expect(figure.locator(".recording")).to_be_visible()
    expect(figure.locator("[data-control=seed] output")).to_have_text("2")


def test_the_nearest_recording_is_one_that_the_controls_can_show(page: Page, exported: Path) -> None:
    figure = opened(page, f"{exported.as_uri()}/lab.html?activation=relu&weight_scale=1/sqrt(fan_in)")
    figure.get_by_role("button", name="nearest recording").click()
    expect(figure.locator("[data-control=steps] output")).to_have_text("2000")
    expect(figure.locator(".notices")).to_be_hidden()
    go(figure).click()
    expect(figure).to_have_attribute("data-phase", "finished", timeout=LONG)


def test_from_a_file_recordings_are_played(page: Page, tmp_path: Path, watched: Watched) -> None:
    exporting.export(tmp_path / "public", lambda _: None)
    figure = opened(page, (tmp_path / "public" / "lab.html").as_uri())
    expect(figure.locator(".recording")).to_be_visible()
    go(figure).click()
    expect(figure).to_have_attribute("data-phase", "finished", timeout=LONG)
    expect(figure.locator("[data-readout=normalized_outcome]")).to_have_text("at step 125")
    # What was not recorded is said, and the nearest is offered.
    figure.locator("[data-control=learning_rate] input").press("ArrowRight")
    expect(figure.locator(".notices")).to_contain_text("was not recorded")
    figure.get_by_role("button", name="nearest recording").click()
    expect(figure.locator("[data-control=learning_rate] output")).to_have_text("0.1")
    expect(figure.locator("[data-run=nearest]")).to_be_hidden()
    assert watched.problems == []
