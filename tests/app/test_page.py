"""The page around the figures: what it asks for, what an address sets, what it does without its server."""

from __future__ import annotations

import gzip
import struct
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from bn_core.figures.identity import identity
from bn_core.figures.saturation import saturation
from tests.app.reader import Reader
from tests.conftest import Watched, serving
from widgets import FIGURES, Identity, Saturation


def everything_alive(page: Page, address: str) -> list[Reader]:
    """Read the article from top to bottom."""
    page.goto(address)
    readers = [Reader(page, figure) for figure in FIGURES]
    for reader in readers:
        reader.come_near()
    return readers


def test_the_article_shows_five_figures_in_order_and_asks_nobody_else(
    page: Page, served: str, watched: Watched
) -> None:
    everything_alive(page, f"{served}/app")
    ids = page.locator("figure[data-live]").evaluate_all("all => all.map(el => el.id)")
    assert ids == ["saturation", "runaway-bias", "identity", "landscape", "steps-to-accuracy"]
    assert watched.problems == []
    assert watched.websockets == []
    assert [url for url in watched.requests if not url.startswith((served, "data:"))] == []


def test_each_figure_stands_under_its_heading_with_words_of_its_own(page: Page, served: str) -> None:
    page.goto(f"{served}/app")
    for figure in FIGURES:
        section = page.locator(f"section:has(figure#{figure.slug})")
        assert section.locator("h2").inner_text()
        assert section.locator(":scope > p").count() >= 2


def test_figures_go_on_working_when_the_server_has_stopped(page: Page, tmp_path: Path, watched: Watched) -> None:
    with serving(tmp_path / "server.log") as base:
        readers = everything_alive(page, f"{base}/app")
    for reader in readers:
        for name, control in reader.figure.controls().items():
            reader.set(name, control.positions[0])
            reader.set(name, control.positions[-1])
        assert reader.state() == {name: c.positions[-1] for name, c in reader.figure.controls().items()}
        twin = reader.figure(**reader.state())
        for name, said in twin.say().items():
            assert reader.value(name) == pytest.approx(said.value, rel=1e-6, abs=1e-12, nan_ok=True)
    assert watched.problems == []


# ---- the address


def test_an_address_sets_every_control_of_a_figure_alone(page: Page, served: str) -> None:
    query = "drift=-3.5&spread=2.5&activation=tanh&batch_norm=on"
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation&{query}")
    assert reader.state() == {"drift": -3.5, "spread": 2.5, "activation": "tanh", "batch_norm": True}
    assert page.locator("figure").count() == 1
    assert not page.locator(".notices").filter(visible=True).count()


def test_an_address_sets_controls_in_the_article_by_the_figures_name(page: Page, served: str) -> None:
    reader = Reader.of(
        page, Saturation, f"{served}/app?saturation.drift=6&identity.epsilon=0.001&identity.gamma=2.123"
    )
    assert reader.state()["drift"] == 6
    other = Reader(page, Identity)
    other.come_near()
    assert other.state()["epsilon"] == 0.001
    assert other.state()["gamma"] == 2.123, "gamma is free to rest between its positions"


@pytest.mark.parametrize(
    ("query", "control", "value", "words"),
    [
        ("drift=6.03", "drift", 6.0, "lies between two positions"),
        ("drift=99", "drift", 8.0, "is outside"),
        ("drift=-1e300", "drift", -8.0, "is outside"),
        ("drift=abc", "drift", 0.0, "is not a number"),
        ("drift=", "drift", 0.0, "is not a number"),
        ("drift=NaN", "drift", 0.0, "is not a number"),
        ("activation=softmax", "activation", "sigmoid", "is not one of"),
        ("batch_norm=perhaps", "batch_norm", False, "is not on or off"),
        ("drift=0x3", "drift", 0.0, "is not a number"),
        ("dirft=6", "drift", 0.0, "is not a control of this figure"),
        ("toString=6", "drift", 0.0, "is not a control of this figure"),
        ("__proto__=6", "drift", 0.0, "is not a control of this figure"),
        ("identity.gamma=2", "drift", 0.0, "is not a control of a figure here"),
    ],
)
def test_what_an_address_cannot_mean_is_said_in_words(
    page: Page, served: str, query: str, control: str, value: object, words: str
) -> None:
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation&{query}")
    assert reader.state()[control] == value
    assert words in page.locator("main").inner_text()


def test_an_address_is_never_echoed_as_markup(page: Page, served: str, watched: Watched) -> None:
    evil = "%3Cimg%20src=x%20onerror=window.hurt=1%3E"
    for query in (f"figure=saturation&drift={evil}&{evil}=1", f"figure={evil}", f"saturation.{evil}={evil}"):
        page.goto(f"{served}/app?{query}")
        Reader(page, Saturation).come_near()
        assert page.locator("main img").count() == 0
        assert page.evaluate("window.hurt") is None
        assert "<img src" in page.locator("main").inner_text()
    assert watched.problems == []


def test_a_copied_link_brings_back_the_state(page: Page, served: str, context) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    for address in ("/app?figure=identity", "/app"):
        reader = Reader.of(page, Identity, f"{served}{address}")
        reader.set("epsilon", 0.1)
        reader.at.locator("[data-preset=identity]").click()
        state = reader.state()
        reader.at.get_by_role("button", name="Copy link").click()
        link = page.evaluate("navigator.clipboard.readText()")
        page.goto("about:blank")
        assert Reader.of(page, Identity, link).state() == state


# ---- what is served


def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except HTTPError as answer:
        return answer.code, dict(answer.headers), answer.read()


def test_the_page_runs_under_a_policy_that_allows_no_script_but_its_own(served: str) -> None:
    _, headers, body = fetch(f"{served}/app")
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert b"<script>" not in body


def test_files_are_compressed_once_and_kept_by_the_browser(served: str) -> None:
    _, headers, packed = fetch(f"{served}/app", **{"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"
    _, plain_headers, plain = fetch(f"{served}/app")
    assert gzip.decompress(packed) == plain
    assert "Content-Encoding" not in plain_headers
    status, _, body = fetch(f"{served}/app", **{"If-None-Match": headers["Etag"]})
    assert (status, body) == (304, b"")
    script = plain.decode().split('src="')[1].split('"')[0]
    _, headers, _ = fetch(f"{served}/{script}")
    assert "immutable" in headers["Cache-Control"]
    assert fetch(f"{served}/assets/nothing.js")[0] == 404


def test_the_address_with_a_slash_leads_to_the_page(page: Page, served: str) -> None:
    Reader.of(page, Saturation, f"{served}/app/?figure=saturation&drift=6")
    assert page.url == f"{served}/app?figure=saturation&drift=6"


# ---- what a reader takes along


def test_the_saved_data_are_what_is_drawn(page: Page, served: str) -> None:
    reader = Reader.of(page, Identity, f"{served}/app?figure=identity&gamma=2&beta=3")
    with page.expect_download() as download:
        reader.at.get_by_role("button", name="Data (CSV)").click()
    assert download.value.suggested_filename == "identity.csv"
    text = Path(download.value.path()).read_text("utf-8")
    assert "# Scale γ: 2.00" in text
    block = text.split("# y\n")[1].split("\n\n")[0].splitlines()
    rows = np.array([[float(cell) for cell in row.split(",")] for row in block[1:]])
    np.testing.assert_allclose(rows[:, block[0].split(",").index("y")], identity(2.0, 3.0).y, rtol=1e-12)


def test_the_saved_picture_is_a_png_of_the_plots(page: Page, served: str) -> None:
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation&drift=6")
    with page.expect_download() as download:
        reader.at.get_by_role("button", name="Save PNG").click()
    picture = Path(download.value.path()).read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width > 1000
    assert height > 2 * 480


def test_the_numbers_behind_a_picture_are_a_table_that_follows_it(page: Page, served: str) -> None:
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation")
    reader.at.locator(".data summary").click()
    table = reader.at.locator(".data table").filter(has=page.locator("caption", has_text="batch"))
    first = table.first.locator("tbody td").first
    expect(first).to_have_text(f"{saturation(0, 1).x[0]:.6g}".replace("-", "−"))
    reader.set("drift", 6.0)
    page.locator("body").click(position={"x": 5, "y": 5})
    expect(first).to_have_text(f"{saturation(6, 1).x[0]:.6g}")
