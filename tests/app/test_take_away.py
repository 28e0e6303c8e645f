"""What a reader takes away: data, Python and pictures, each of them what is on the screen."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from bn_core.figures.lab import columns
from bn_core.network import FAN_IN
from bn_core.training import Divergence, advance, start
from tests.app.reader import Reader
from tests.app.test_browser_agrees import random_states
from widgets import FIGURES, Figure, Identity, Lab, Landscape, Saturation, StepsToAccuracy
from widgets.lab import rows
from widgets.takeaway import CREDIT, UNITS

each_figure = pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.slug)
SVG = "{http://www.w3.org/2000/svg}"
ROUNDED = {"saturation": 0.001, "runaway-bias": 1 / 512, "identity": 1e-12, "landscape": 1 / 400}
"""How far what is drawn may be from what is computed: the CSV says so."""
Tables = dict[str, tuple[list[str], np.ndarray]]


def some_states(figure: type[Figure], count: int) -> list[dict[str, Any]]:
    """Random states, and the first one and the presets', where rows come and go."""
    presets = []
    for name in figure.presets:
        shown = figure()
        shown.apply(name)
        presets.append(shown.state)
    return [figure().state, *presets, *random_states(figure, seed=7)[:count]]


def read(text: str) -> tuple[list[str], Tables]:
    """The comment lines at the head of a CSV, and each table: headings and numbers."""
    head, *blocks = text.split("\n\n")
    tables = {}
    for block in blocks:
        name, headings, *lines = block.strip().split("\n")
        cells = np.array([[float(cell) for cell in row.split(",")] for row in lines])
        tables[name.removeprefix("# ")] = (headings.split(","), cells)
    return head.split("\n"), tables


def run(code: str) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]], str]:
    """Paste the code into a fresh Python: its readouts, its drawn data, what it printed."""
    namespace: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "pasted", "exec"), namespace)
    return namespace["readouts"], namespace["drawn"], printed.getvalue()


# ---- the pasted Python makes the numbers on the screen, and the CSV holds them


@each_figure
def test_the_pasted_python_makes_the_readouts_and_the_data(figure: type[Figure]) -> None:
    for state in some_states(figure, 8):
        shown = figure(**state)
        readouts, drawn, printed = run(shown.code())
        said = shown.say()
        assert set(readouts) == set(said)
        for name, value in readouts.items():
            assert name in printed
            if isinstance(value, str):
                assert said[name].text.startswith(value), (name, state)
            else:
                expected = said[name].value
                assert float(value) == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True), (name, state)
        _, tables = read(shown.csv())
        assert set(drawn) == set(tables), state
        for name, (_, cells) in tables.items():
            assert list(drawn[name]) == list(figure.tables[name])
            for k, column in enumerate(drawn[name].values()):
                tolerance = ROUNDED.get(figure.slug, 1e-6)
                np.testing.assert_allclose(
                    cells[:, k], column, rtol=1e-6, atol=tolerance, err_msg=f"{name} in {state}"
                )


@pytest.mark.parametrize("state", [{"neuron": 4}, {"learning_rate": 3.0, "activation": "relu", "momentum": 0.9}])
def test_the_pasted_python_trains_what_the_laboratory_has_trained(state: dict[str, Any]) -> None:
    shown = Lab(steps=500, weight_scale=FAN_IN, seed=8, **state)
    readouts, drawn, _ = run(shown.code().replace("steps = 500", "steps = 75"))
    for network, config in shown.race().items():
        trained, records = advance(start(config), 75)
        shown.fed = {**shown.fed, **rows(network, columns(records), trained.divergence)}
    said = shown.say()
    assert set(readouts) == set(said)
    if "momentum" in state:
        assert readouts["plain_outcome"] == Divergence(*map(int, re.findall(r"\d+", said["plain_outcome"].text)))
    else:
        assert readouts["normalized_outcome"] == said["normalized_outcome"].value == 75
    for name in set(readouts) - {"plain_outcome", "normalized_outcome"}:
        value = np.nan if readouts[name] is None else float(readouts[name])
        assert value == pytest.approx(said[name].value, rel=1e-6, nan_ok=True), name
    _, tables = read(shown.csv())
    assert set(drawn) == set(tables)
    for name, (_, cells) in tables.items():
        assert list(drawn[name]) == list(Lab.tables[name])
        for k, column in enumerate(drawn[name].values()):
            np.testing.assert_allclose(cells[:, k], column, rtol=1e-6)


@each_figure
def test_the_csv_says_title_state_readouts_units_and_where_the_data_come_from(figure: type[Figure]) -> None:
    shown = figure(**random_states(figure, seed=11)[0])
    lines, tables = read(shown.csv())
    assert all(line.startswith("# ") for line in lines)
    assert lines[0] == f"# {figure.title}"
    for name, control in figure.controls().items():
        assert any(
            line.startswith(f"# {control.label}: {control.text(shown.state[name])} ({name} = ") for line in lines
        )
    for name, said in shown.say().items():
        assert any(f": {said.text} ({name}" in line and said.source in line for line in lines)
    assert [f"# {line}" for line in (figure.origin, UNITS, CREDIT)] == lines[-3:]
    for name, (headings, cells) in tables.items():
        assert headings == list(figure.tables[name].values())
        assert np.isfinite(cells).all()
        assert cells.shape == (len(cells), len(headings))


def test_units_stand_in_the_header_and_steps_are_steps_on_either_axis() -> None:
    linear, log = (read(StepsToAccuracy(axis=axis).csv())[1] for axis in ("linear", "log"))
    assert linear["inception_points"][0] == ["steps [million]", "accuracy [%]"]
    assert linear["inception_points"][1].tolist() == [[31.0, 72.2]]
    for name, (_, cells) in linear.items():
        np.testing.assert_array_equal(cells, log[name][1])


@pytest.mark.parametrize(("figure", "seed"), [(Saturation, "seed 74"), (Identity, "seed 0")])
def test_the_seed_is_written_into_the_data(figure: type[Figure], seed: str) -> None:
    assert seed in figure().csv()


def test_what_is_not_drawn_is_not_in_the_data() -> None:
    off, on = (read(Saturation(drift=6, batch_norm=state).csv())[1] for state in (False, True))
    assert "normalized" not in off
    assert on["normalized"][1].shape == (64, 3)


# ---- the browser writes what Python writes


@each_figure
def test_the_browser_writes_the_same_csv_and_the_same_python(page: Page, served: str, figure: type[Figure]) -> None:
    reader = Reader.of(page, figure, f"{served}/app?figure={figure.slug}")
    for state in some_states(figure, 5):
        reader.assign(state)
        text, code = page.evaluate(
            """id => {
              const el = document.getElementById(id)
              return [TakeAway.csv_text(el, el.figure), TakeAway.code(el.figure)]
            }""",
            figure.slug,
        )
        shown = figure(**state)
        lines, tables = read(text)
        expected_lines, expected = read(shown.csv())
        assert lines[-1].startswith(f"# {served}/app?figure={figure.slug}")
        assert len(lines) == len(expected_lines) + 1
        for line, other in zip(lines, expected_lines, strict=False):
            assert same_but_for_roundings(line, other), (line, other)
        assert list(tables) == list(expected)
        for name, (headings, cells) in tables.items():
            assert headings == expected[name][0]
            np.testing.assert_allclose(cells, expected[name][1], rtol=1e-6, atol=1e-4, err_msg=name)
        assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(shown.code())), state


def same_but_for_roundings(line: str, other: str) -> bool:
    """Whether two lines are the same but for the last digits of a bare number."""
    bare = re.compile(r" = ([-\d.e+]+)")
    if bare.sub("", line) != bare.sub("", other):
        # The words for a residual of a few roundings are those of its last bits.
        return "residual" in line and "residual" in other
    numbers = ([float(number) for number in bare.findall(each)] for each in (line, other))
    return next(numbers) == pytest.approx(next(numbers), rel=1e-6, abs=1e-9)


def test_copied_python_runs_as_pasted(page: Page, context: BrowserContext, served: str) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation&drift=6&batch_norm=on")
    button = reader.at.locator("[data-save=python]")
    button.click()
    expect(button).to_have_text("Copied")
    readouts, drawn, _ = run(page.evaluate("navigator.clipboard.readText()"))
    assert float(readouts["gradient_signal"]) == pytest.approx(reader.value("gradient_signal"), rel=1e-6)
    np.testing.assert_allclose(drawn["normalized"]["x"], reader.drawn()["normalized.x"], atol=1e-5)
    expect(button).to_have_text("Copy as Python")


def test_where_copying_is_forbidden_the_lines_are_shown(page: Page, served: str) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    reader = Reader.of(page, Landscape, f"{served}/app?figure=landscape")
    reader.at.locator("[data-save=python]").click()
    shown = reader.at.locator(".notices textarea")
    expect(shown).to_be_visible()
    assert "without_path" in run(shown.input_value())[1]


# ---- pictures


def save(page: Page, reader: Reader, what: str) -> Path:
    with page.expect_download() as download:
        reader.at.locator(f"[data-save={what}]").click()
    assert download.value.suggested_filename == f"{reader.figure.slug}.{what}"
    return Path(download.value.path())


@each_figure
def test_the_svg_has_title_state_source_and_the_plots_as_they_stand(
    page: Page, served: str, figure: type[Figure]
) -> None:
    reader = Reader.of(page, figure, f"{served}/app?figure={figure.slug}")
    reader.assign(random_states(figure, seed=3)[0])
    drawing = ET.fromstring(save(page, reader, "svg").read_text("utf-8"))
    words = ["".join(text.itertext()) for text in drawing.iter(f"{SVG}text")]
    state = reader.state()
    for name, control in figure.controls().items():
        assert f"{control.label}: {control.text(state[name])}" in words
    assert words[0] == figure.title
    assert words[-1] == f"{CREDIT} · {served}/app"
    assert drawing.findtext(f"{SVG}desc") == figure(**state).summarize()
    plots = figure().document().roots
    assert {plot.title.text for plot in plots} <= set(words)
    # Each plot stands where it stands on the page, and has its size.
    left, top = page.evaluate(
        "id => { const {x, y} = document.querySelector(`#${id} .plots`).getBoundingClientRect(); return [x, y] }",
        figure.slug,
    )
    places = []
    for part in drawing.findall(f"{SVG}g"):
        x, y = map(float, re.findall(r"[\d.]+", part.attrib["transform"]))
        inner = part.find(f"{SVG}svg")
        assert inner is not None
        assert len(list(inner.iter(f"{SVG}path"))) > 5
        places.append((x, y, float(inner.attrib["width"]), float(inner.attrib["height"])))
    on_page = []
    for plot in plots:
        box = reader.at.locator(f"[data-frame='{plot.name}']").bounding_box()
        assert box
        on_page.append((box["x"] - left, box["y"] - top, box["width"], box["height"]))
    np.testing.assert_allclose(np.subtract(places, places[0]), np.subtract(on_page, on_page[0]), atol=1)
    np.testing.assert_allclose(np.array(places)[:, 2:], np.array(on_page)[:, 2:], atol=1)
    # Clips and patterns of different plots do not get in each other's way.
    names = [each.attrib["id"] for each in drawing.iter() if "id" in each.attrib]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_png_is_the_svg_at_twice_its_size_in_the_colours_of_the_theme(
    page: Page, served: str, theme: Any
) -> None:
    page.emulate_media(color_scheme=theme)
    reader = Reader.of(page, Saturation, f"{served}/app?figure=saturation&drift=-6&batch_norm=on")
    drawing = ET.fromstring(save(page, reader, "svg").read_text("utf-8"))
    with Image.open(save(page, reader, "png")) as opened:
        picture = opened.convert("RGB")
    assert picture.size == (2 * int(drawing.attrib["width"]), 2 * int(drawing.attrib["height"]))
    token = page.evaluate(
        """() => {
          const style = getComputedStyle(document.querySelector("figure")), names = ["paper", "plot", "with"]
          return Object.fromEntries(names.map(name => [name, style.getPropertyValue(`--${name}`)]))
        }"""
    )
    seen = {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in {*picture.get_flattened_data()}}
    assert picture.getpixel((2, 2)) == tuple(bytes.fromhex(token["paper"].strip()[1:]))
    assert token["plot"].strip() in seen
    # The drawn diamonds: where they overlap, their colour is full to a rounding.
    wanted = np.array([*bytes.fromhex(token["with"].strip()[1:])])
    nearest = np.abs(np.asarray(picture).reshape(-1, 3).astype(int) - wanted).max(axis=1).min()
    assert nearest <= 12
