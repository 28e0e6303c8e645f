"""Links that remember: what is copied brings the state back, and the address bar follows the reader."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from playwright.sync_api import Page, expect

from tests.app.conftest import SUB_PATH, Place
from tests.app.reader import Reader
from tests.conftest import Watched
from widgets import FIGURES, Figure, Identity, Lab, RunawayBias, Saturation
from widgets.controls import AnyControl, Range

CAPTURE = "navigator.clipboard.writeText = async text => { window.copied = text }"
SETTLED = 500  # milliseconds after which the address bar has followed


def values_of(control: AnyControl) -> st.SearchStrategy[Any]:
    at_rest: st.SearchStrategy[Any] = st.sampled_from(control.positions)
    if isinstance(control, Range) and control.free:
        return at_rest | st.floats(control.positions[0], control.positions[-1], allow_subnormal=False)
    return at_rest


def words(reader: Reader) -> dict[str, tuple[str, str, str]]:
    """What the readouts say, to the last digit; a number that is none equals another."""
    return {name: (text, repr(value), source) for name, (text, value, source) in reader.says().items()}


@pytest.mark.parametrize("figure", [*FIGURES, Lab], ids=lambda figure: figure.slug)
def test_a_link_brings_back_every_state_alone_and_in_the_article(
    page: Page, exported: Any, figure: type[Figure]
) -> None:
    page.add_init_script(CAPTURE)
    own = exported.as_uri()
    states = st.fixed_dictionaries({name: values_of(control) for name, control in figure.controls().items()})

    @settings(
        max_examples=5,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(states)
    def round_trip(state: dict[str, Any]) -> None:
        reader = Reader.of(page, figure, f"{own}/{figure.slug}.html")
        reader.assign(state)
        said = words(reader)
        article = page.get_by_role("link", name="In the article").get_attribute("href")
        assert article
        # An article link of one's own making: the next link is copied there, and leads back to it.
        reader = Reader.of(page, figure, article)
        expect(reader.at).to_be_in_viewport()
        assert (reader.state(), words(reader)) == (state, said)
        reader.at.get_by_role("button", name="Copy link").click()
        assert page.evaluate("copied") == article
        alone = reader.at.get_by_role("link", name="Open alone").get_attribute("href")
        assert alone
        reader = Reader.of(page, figure, alone)
        assert (reader.state(), words(reader)) == (state, said)
        reader.at.get_by_role("button", name="Copy link").click()
        assert page.evaluate("copied") == alone
        if figure is not Lab:  # which says that most of what can be set was not recorded
            assert not page.locator(".notices").filter(visible=True).count()

    round_trip()


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.slug)
def test_an_address_leads_to_its_figure_however_far_down_it_is(page: Page, served: str, figure: type[Figure]) -> None:
    page.goto(f"{served}/app#{figure.slug}")
    at = page.locator(f"figure#{figure.slug}")
    expect(at).to_be_in_viewport()
    page.wait_for_timeout(700)
    assert -5 <= at.evaluate("el => el.getBoundingClientRect().top") <= 60


def test_the_address_bar_follows_when_a_control_is_let_go(cut_off: Page, place: Place) -> None:
    reader = Reader.of(cut_off, Saturation, f"{place.article}?identity.gamma=2.5&note=mine#saturation")
    entries = cut_off.evaluate("history.length")
    reader.drag("drift", 0.8)
    reader.set("batch_norm", True)
    cut_off.wait_for_timeout(SETTLED)
    drift = f"{reader.state()['drift']:g}"
    query = f"identity.gamma=2.5&note=mine&saturation.drift={drift}&saturation.batch_norm=on"
    assert cut_off.url == f"{place.article}?{query}#saturation"
    reader.set("batch_norm", False)
    reader.at.get_by_role("button", name="Reset").click()
    cut_off.wait_for_timeout(SETTLED)
    assert cut_off.url == f"{place.article}?identity.gamma=2.5&note=mine#saturation"
    assert cut_off.evaluate("history.length") == entries


def test_a_reader_in_a_hurry_does_not_flood_the_history(page: Page, served: str) -> None:
    reader = Reader.of(page, RunawayBias, f"{served}/app?figure=runaway-bias")
    page.evaluate(
        """() => {
          window.written = 0
          const replace = history.replaceState
          history.replaceState = (...what) => { written++; replace.apply(history, what) }
        }"""
    )
    reader.control("step").locator("input").focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(SETTLED)
    assert 1 <= page.evaluate("written") <= 5
    assert page.url == f"{served}/app?figure=runaway-bias&step=1000"
    page.reload()
    reader.come_near()
    assert reader.state()["step"] == 1000


def test_an_address_of_the_server_leads_to_the_page_in_the_export(page: Page, web_port: int) -> None:
    base = f"http://localhost:{web_port}/{SUB_PATH}"
    page.goto(f"{base}/?figure=saturation&figure=identity&gamma=2.5&theme=dark")  # the last one counts
    page.wait_for_url(f"{base}/identity.html?gamma=2.5&theme=dark")
    reader = Reader(page, Identity)
    reader.come_near()
    assert reader.state()["gamma"] == 2.5


def test_of_two_figures_in_an_address_the_last_one_counts(page: Page, served: str) -> None:
    reader = Reader.of(page, Identity, f"{served}/app?figure=saturation&figure=identity&gamma=2.5")
    assert reader.state()["gamma"] == 2.5
    assert not page.locator(".notices").filter(visible=True).count()
    reader.set("gamma", 3.0)
    page.wait_for_timeout(SETTLED)
    page.reload()
    reader.come_near()
    assert reader.state()["gamma"] == 3
    page.goto(f"{served}/app?figure=identity&figure=nonsense")
    assert "There is no figure “nonsense”" in page.locator("#notices").inner_text()


def test_names_that_every_object_has_are_not_controls(page: Page, served: str, watched: Watched) -> None:
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation&constructor=1&__proto__=2&drift=6")
    assert reader.state()["drift"] == 6
    assert reader.at.locator(".notices").inner_text().count("is not a control of this figure") == 2
    assert watched.problems == []


def test_a_copied_link_is_of_its_figure_alone(page: Page, served: str) -> None:
    page.add_init_script(CAPTURE)
    reader = Reader.of(page, Saturation, f"{served}/app?identity.gamma=2&saturation.drift=6#saturation")
    reader.at.get_by_role("button", name="Copy link").click()
    query = "saturation.drift=6&saturation.spread=1&saturation.activation=sigmoid&saturation.batch_norm=off"
    assert page.evaluate("copied") == f"{served}/app?{query}#saturation"
