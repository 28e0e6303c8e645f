import doctest
import gzip
import importlib
import json
import pkgutil
import re
from collections import Counter
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource, GlyphRenderer
from bokeh.models.glyph import Glyph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import widgets
from tests.widgets.screen import states
from widgets import FIGURES
from widgets.controls import Choice, Range, Switch
from widgets.figure import sources_of
from widgets.frames import Column
from widgets.markup import figure_markup

MODULES = [f"widgets.{module.name}" for module in pkgutil.iter_modules(widgets.__path__)]
each_figure = pytest.mark.parametrize("kind", FIGURES, ids=[kind.slug for kind in FIGURES])
some_states = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.differing_executors])

VOID = {"input", "br", "hr", "img", "meta", "link"}
LARGEST_PAYLOAD = 80_000


class Element:
    """An element of a page: its tag, attributes, text, and the elements that it lies in."""

    def __init__(self, tag, attributes, inside):
        self.tag, self.attributes, self.inside, self.text = tag, attributes, inside, ""

    def __getitem__(self, attribute):
        return self.attributes[attribute]

    def __contains__(self, attribute):
        return attribute in self.attributes

    def within(self, other):
        return other in self.inside


class Page(HTMLParser):
    """The elements of some HTML, in their order; raises where tags do not close."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute stands twice in {tag}"
        element = Element(tag, dict(attrs), list(self.open))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        for element in self.open:
            element.text += data

    def all(self, *tags, **attributes):
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [
            e
            for e in self.elements
            if (not tags or e.tag in tags) and all(e.attributes.get(n) == v for n, v in wanted.items())
        ]

    def one(self, *tags, **attributes):
        (found,) = self.all(*tags, **attributes)
        return found

    def having(self, attribute):
        return [e for e in self.elements if attribute in e]


def parsed(figure):
    return Page(figure_markup(figure, "assets/figure.js"))


@cache
def page_of(kind):
    """A figure's markup in the state that it starts in."""
    return parsed(kind())


def refuse(token):
    raise AssertionError(f"{token} is no JSON")


def drawn(figure):
    """Source -> column -> values, as the plots have them."""
    found = figure.document().select({"type": ColumnDataSource})
    return {source.name: source.data for source in found if source.name}


@cache
def drawn_sources(kind):
    return list(drawn(kind()))


# ---- names


def test_no_two_figures_share_a_slug_and_each_names_its_modules():
    slugs = [kind.slug for kind in FIGURES]
    assert slugs == ["saturation", "runaway-bias", "identity", "landscape", "steps-to-accuracy"]
    for kind in FIGURES:
        name = kind.slug.replace("-", "_")
        assert kind.__module__ == f"widgets.{name}"
        assert importlib.import_module(f"bn_core.figures.{name}")


@each_figure
def test_a_figure_says_what_it_is(kind):
    for words in (kind.title, kind.caption, kind.summary, kind.__doc__):
        assert words
        assert words.strip() == words or words is kind.__doc__
    assert kind.caption.endswith(".")
    for control in kind.controls().values():
        assert isinstance(control, (Range, Choice, Switch))
        assert control.label


@each_figure
def test_the_summary_names_only_labels_and_readouts_that_there_are(kind):
    named = set(re.findall(r"\{(\w+)\}", kind.summary))
    assert named <= {*kind.controls(), *kind.readouts}
    assert set(kind.controls()) - named <= {"axis"}  # who does not see the plot need not know its axis
    assert not set(kind.controls()) & set(kind.readouts)


@each_figure
@some_states
@given(data=st.data())
def test_the_summary_follows_the_state(kind, data):
    figure = kind(**data.draw(states(kind)))
    summary, say = figure.summarize(), figure.say()
    assert "{" not in summary
    for name in re.findall(r"\{(\w+)\}", kind.summary):
        text = say[name].text if name in say else kind.controls()[name].text(figure.state[name])
        assert text in summary


@each_figure
def test_presets_name_controls_and_values_that_they_allow(kind):
    assert kind.presets
    for name, preset in kind.presets.items():
        assert preset.label
        assert set(preset.values) <= set(kind.controls())
        figure = kind()
        expected = {
            control: figure.columns()[value.name][0] if isinstance(value, Column) else value
            for control, value in preset.values.items()
        }
        before = figure.state
        figure.apply(name)
        assert figure.state == before | expected


@each_figure
def test_readouts_and_ranges_name_columns_that_there_are(kind):
    columns = kind().columns()
    for readout in kind.readouts.values():
        assert columns[readout.value].size == 1
        if readout.case:
            source, column = readout.case.split(".")
            cases = sources_of(kind)[source][column].table
            assert set(cases.flat) <= set(range(len(readout.cases)))
        else:
            assert len(readout.cases) == 1
    plots = {plot.name for plot in kind().document().roots}
    for place, column in kind.ranges.items():
        assert place.split(".")[0] in plots
        assert columns[column].size == 2


# ---- data


@each_figure
@some_states
@given(data=st.data())
def test_in_every_state_the_columns_of_a_drawn_source_have_one_length(kind, data):
    names = drawn_sources(kind)
    columns = kind(**data.draw(states(kind))).columns()
    assert names
    for source in names:
        lengths = {name: column.shape for name, column in columns.items() if name.startswith(f"{source}.")}
        assert len(set(lengths.values())) == 1, lengths
        assert all(len(shape) == 1 for shape in lengths.values())


@each_figure
def test_a_column_follows_exactly_the_controls_that_its_source_names(kind):
    rng = np.random.default_rng(0)
    follows = {source: set(s["follows"]) for source, s in kind().document().roots[0].tags[0]["sources"].items()}
    for _ in range(10):
        state = {name: rng.choice(np.array(c.positions, object)) for name, c in kind.controls().items()}
        before = kind(**state).columns()
        for name, control in kind.controls().items():
            after = kind(**state | {name: rng.choice(np.array(control.positions, object))}).columns()
            for column in before:
                if name not in follows[column.split(".")[0]]:
                    np.testing.assert_array_equal(before[column], after[column], err_msg=f"{column} {name}")


@each_figure
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_the_document_draws_the_columns_of_the_state(kind, data):
    figure = kind(**data.draw(states(kind)))
    columns = figure.columns()
    for source, data_drawn in drawn(figure).items():
        for name, values in data_drawn.items():
            np.testing.assert_array_equal(values, columns[f"{source}.{name}"])
    for renderer in figure.document().select({"type": GlyphRenderer}):
        assert _fields(renderer.glyph) <= set(renderer.data_source.column_names)


def _fields(glyph: Glyph) -> set[str]:
    """The columns that a glyph asks for."""
    return {v["field"] for v in glyph.properties_with_values().values() if isinstance(v, dict) and "field" in v}


@each_figure
def test_only_the_browser_drives_the_drawn_sources(kind):
    for source in kind().document().select({"type": ColumnDataSource}):
        assert not source.name or not source.syncable


@each_figure
def test_the_payload_is_json_that_becomes_the_document_again(kind):
    figure = kind()
    payload = json.loads(figure.payload(), parse_constant=refuse)
    assert payload["values"] == figure.state
    document = Document.from_json(payload["doc"])
    assert {plot.name: plot.id for plot in document.roots} == payload["roots"]
    spec = document.roots[0].tags[0]
    assert set(spec["controls"]) == set(kind.controls())
    assert set(spec["readouts"]) == set(kind.readouts)
    assert set(spec["presets"]) == set(kind.presets)
    columns = figure.columns()
    for name, data in {s.name: s.data for s in document.select({"type": ColumnDataSource}) if s.name}.items():
        for column, values in data.items():
            np.testing.assert_array_equal(values, columns[f"{name}.{column}"])


def _tables(value):
    """Every table in a serialized document."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return
    if len(value) == 2 and value[0] == "table":
        yield value[1]
    for part in value:
        yield from _tables(part)


@each_figure
def test_tables_travel_as_binary_and_not_as_lists(kind):
    tables = list(_tables(json.loads(kind().payload())["doc"]))
    assert tables
    for table in tables:
        assert table["type"] == "ndarray"
        assert table["array"]["type"] == "bytes"
        assert table["dtype"] in ("float32", "float64", "uint8", "int16", "int32")


@each_figure
def test_a_payload_weighs_at_most_80_kb_compressed(kind):
    size = len(gzip.compress(kind().payload().encode(), 9, mtime=0))
    assert size <= LARGEST_PAYLOAD


@each_figure
def test_two_instances_of_a_figure_do_not_disturb_each_other(kind):
    first, second = kind(), kind()
    before = second.state
    first.apply(next(reversed(kind.presets)))
    assert second.state == before == kind().state
    assert not {m.id for m in first.document().models} & {m.id for m in second.document().models}


# ---- markup


@each_figure
def test_the_markup_is_one_figure_named_by_its_slug_with_unique_ids(kind):
    page = page_of(kind)
    assert page.elements[0].tag == "figure"
    assert page.elements[0]["id"] == kind.slug
    assert page.elements[0]["aria-label"] == kind.title
    assert page.elements[0]["data-payload"] == "assets/figure.js"
    assert len(page.all("figure")) == 1
    ids = Counter(element["id"] for element in page.having("id"))
    assert max(ids.values()) == 1
    assert page.one("figcaption").text == kind.caption


@each_figure
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_each_control_has_native_inputs_that_stand_at_the_state(kind, data):
    figure = kind(**data.draw(states(kind)))
    page = parsed(figure)
    assert [e["data-control"] for e in page.having("data-control")] == list(kind.controls())
    for name, control in kind.controls().items():
        box, value = page.one(data_control=name), figure.state[name]
        inputs = [e for e in page.all("input") if e.within(box)]
        if isinstance(control, Range):
            (slider,) = inputs
            assert slider["type"] == "range"
            low, high, step, at = (float(slider[a]) for a in ("min", "max", "step", "value"))
            even = control.step is not None
            stand = list(control.positions) if even else list(range(len(control.positions)))
            np.testing.assert_allclose(low + step * np.arange(len(stand)), stand, atol=1e-9)
            assert high == stand[-1]
            assert at == (value if even else control.index(value))
            (output,) = [e for e in page.all("output") if e.within(box)]
            assert output.text == slider["aria-valuetext"] == control.text(value)
        elif isinstance(control, Choice):
            assert [e["type"] for e in inputs] == ["radio"] * len(control.positions)
            assert len({e["name"] for e in inputs}) == 1
            assert [e["value"] for e in inputs] == [str(position) for position in control.positions]
            assert ["checked" in e for e in inputs] == [position == value for position in control.positions]
        else:
            (box_to_tick,) = inputs
            assert box_to_tick["type"] == "checkbox"
            assert ("checked" in box_to_tick) == value


@each_figure
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_each_readout_says_its_text_and_its_bare_value(kind, data):
    figure = kind(**data.draw(states(kind)))
    page = parsed(figure)
    assert sorted(e["data-readout"] for e in page.having("data-readout")) == sorted(kind.readouts)
    for name, said in figure.say().items():
        readout = page.one(data_readout=name)
        assert readout.text == said.text
        assert readout["data-source"] == said.source
        if np.isnan(said.value):
            assert readout["data-value"] == ""
        else:
            assert float(readout["data-value"]) == said.value


@each_figure
def test_everything_that_can_be_used_has_a_name(kind):
    page = page_of(kind)
    labels = {label.attributes.get("for") for label in page.all("label") if label.text.strip()}
    for element in page.all("input", "button"):
        wrapped = any(outer.tag == "label" and outer.text.strip() for outer in element.inside)
        named = element.attributes.get("aria-label") or element.text.strip() or wrapped
        assert named or element.attributes.get("id") in labels, element.attributes
    for group in page.all("fieldset"):
        assert any(legend.text.strip() for legend in page.all("legend") if legend.within(group))
    for button in page.all("button"):
        assert button["type"] == "button" or button.within(page.all("form")[0])


@each_figure
def test_plots_are_described_by_the_summary(kind):
    page, figure = page_of(kind), kind()
    plots = page.having("data-plot")
    assert [plot["data-plot"] for plot in plots] == [plot.name for plot in figure.document().roots]
    for plot in plots:
        assert plot["aria-label"]
        assert page.one(id=plot["aria-describedby"]).text == figure.summarize()


@each_figure
def test_presets_reset_and_what_can_be_taken_away_are_buttons(kind):
    page = page_of(kind)
    assert [e["data-preset"] for e in page.having("data-preset")] == list(kind.presets)
    assert [e.text for e in page.having("data-preset")] == [preset.label for preset in kind.presets.values()]
    assert len(page.having("data-reset")) == len(page.having("data-copy-link")) == 1
    assert {e["data-save"] for e in page.having("data-save")} == {"png", "svg", "csv", "python"}


def test_a_line_to_drag_is_a_vertical_slider_on_its_plot():
    (kind,) = [k for k in FIGURES if any(c.on_plot for c in k.controls().values())]
    page = page_of(kind)
    (twin,) = page.having("data-twin")
    assert twin["data-twin"] == "target"
    assert twin["data-over"] == "curves"
    pictures = page.all(role="img")
    assert not any(e.within(picture) for e in page.all("input", "button") for picture in pictures)  # they hide it
    slider = next(e for e in page.all("input") if e.within(twin))
    assert (slider["aria-orientation"], slider["aria-label"]) == ("vertical", "Target accuracy, on the plot")


def test_what_can_be_played_has_play_and_steps():
    for kind in FIGURES:
        page = page_of(kind)
        played = {name for name, c in kind.controls().items() if isinstance(c, Range) and c.play}
        boxes = [e for e in page.having("data-control") if any(b.within(e) for b in page.having("data-play"))]
        assert {box["data-control"] for box in boxes} == played
        assert [e["data-step"] for e in page.having("data-step")] == ["-1", "1"] * len(played)


# ---- examples


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_the_docstrings_run(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0
