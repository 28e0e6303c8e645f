"""The article: told once, sourced, linked, well-formed. Nothing here needs a browser."""

import inspect
import re
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from statistics import median

import numpy as np
import pytest

from app import article, references, site
from bn_core import BatchNorm, listing, measured, worked
from bn_core import recorded_results as results
from bn_core.figures.lab import WEIGHT_SCALES
from bn_core.published import SOURCES
from widgets import FIGURES, Lab, tokens
from widgets.numbers import MINUS

CLAIMS = {
    f"{letter}{number}"
    for letter, count in {"A": 5, "B": 2, "C": 7, "D": 4, "E": 4, "F": 3, "R": 10, "S": 6, "T": 1}.items()
    for number in range(1, count + 1)
}
EQUATIONS = [f"eq-{name}" for name in ("sigmoid", "runaway", "aware", "transform", "gradient", "fused", "laws")]
EQUATIONS += [f"eq-{name}" for name in ("population", "fold", "scale", "length")]
NAMES = r"BN-x5-Sigmoid|BN-x5|BN-x30|ResNet-50"
"""Names with a number in them."""
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}

SOURCE = {path.name: path.read_text("utf-8") for path in sorted(article.ARTICLE.glob("[0-9]*-*.md"))}


@pytest.fixture(scope="module")
def story():
    return article.sections()


@pytest.fixture(scope="module")
def html(story):
    return "\n".join(section.html for section in story)


@pytest.fixture(scope="module")
def built():
    return site.build()


@pytest.fixture(scope="module")
def page(built):
    return built["index.html"].body.decode()


class Outline(HTMLParser):
    """Reads HTML and remembers its ids, its headings, its links and what is wrong with its nesting."""

    def __init__(self, text):
        super().__init__()
        self.open, self.errors, self.ids, self.headings, self.links = [], [], [], [], []
        self.feed(text)
        self.close()
        self.errors += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        self.errors += [f"<{tag}> has {name} twice" for name in set(names) if names.count(name) > 1]
        of = dict(attrs)
        if "id" in of:
            self.ids.append(of["id"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "a":
            if "a" in self.open:
                self.errors.append(f"a link within a link: {of}")
            self.links.append(of)
        if "p" in self.open and tag in {"p", "div", "figure", "table", "ul", "ol", "details", "pre", "h2", "h3"}:
            self.errors.append(f"<{tag}> within <p>, at {self.getpos()}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.errors.append(f"</{tag}> closes {self.open[-1:]}, at {self.getpos()}")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()


# ---- told once, and numbers not typed


def test_every_claim_is_mainly_told_once(html):
    told = re.findall(r'<span class="claim" id="claim-(\w+)" data-claim="(\w+)"></span>', html)
    assert all(anchor == name for anchor, name in told)
    names = [name for name, _ in told]
    assert sorted(names) == sorted(CLAIMS)


def typed_digits(markdown):
    """The pieces of a Markdown text that have digits which a hand has typed."""

    def of_link(link):
        """What is left of a link's text: not the numbers that its target sets."""
        text, target = link[1], link[2]
        if target.startswith("?"):
            _, values = article.state_of(target)
            set_to = {f"{value:g}" for value in values.values() if isinstance(value, float)}
            text = re.sub(r"\d+(\.\d+)?", lambda number: "" if number[0] in set_to else number[0], text)
        return text

    text = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`]*`", "", text)
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{download=[^}]*\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\$\$.*?\$\$ *(\(eq-[\w-]+\))?", "", text, flags=re.DOTALL)
    text = re.sub(r"\$[^$\n]*\$", "", text)
    text = re.sub(r"\[\^\w+\]", "", text)
    text = re.sub(r"(?s)\[([^\[\]]*)\]\(([^)]*)\)", of_link, text)
    text = re.sub(NAMES, "", text)
    return re.findall(r"\S*\d\S*", text)


@pytest.mark.parametrize("name", SOURCE)
def test_no_number_is_typed(name):
    assert typed_digits(SOURCE[name]) == []


@pytest.mark.parametrize(
    ("markdown", "found"),
    [
        ("It took 31 million steps.", ["31"]),
        ("In {{ num(3) }} of 4 cases", ["4"]),
        ("[push the mean to 6](?saturation.drift=6#saturation)", []),
        ("[push the mean to 5](?saturation.drift=6#saturation)", ["5"]),
        ("[half of 2](#identity)", ["2"]),
        ("$m - 2$ of BN-x5, `float16`[^a5]", []),
        ("L2", ["L2"]),
    ],
)
def test_the_search_for_typed_numbers_finds_them(markdown, found):
    assert typed_digits(markdown) == found


def test_a_number_that_no_source_has_stops_the_build():
    with pytest.raises(ValueError, match="no 'speed'"):
        article.says("saturation.speed")
    with pytest.raises(ValueError, match="there is no 'saturatoin'"):
        article.says("saturatoin.drift")


def test_numbers_in_the_text_are_those_of_the_figures(html):
    """A few, worked out here by hand, so that a wrong name in the Markdown shows."""
    text = unescape(re.sub(r"<[^>]*>", "", html)).replace("\u202f", " ").replace("\u00a0", " ")
    for words in (
        "it is 0.00247, about 1 % of the peak",
        "13.3 million steps, 43 % of Inception’s",
        "2.3 times fewer steps",
        "That is 14.8 times fewer",
        "“14 times”",
        "BN-x5, with five times the learning rate, needed 2.1 million steps, 6.8 % of Inception’s",
        "The bias stalls at 1028",
        "68 % of its inputs within one unit",
        "the standard error is 0.57 points",
        "about 1.467",
        "a rate of 0.051.",
    ):
        assert words in text


def test_the_table_of_recorded_races_has_their_steps_beside_the_published_ones(story):
    html = next(section.html for section in story if section.name == "what-it-bought")
    table = html[html.index('id="and-on-your-machine"') :].partition("</table>")[0]
    rows = [[unescape(re.sub(r"<[^>]*>", "", cell)) for cell in re.findall(r"<td.*?</td>", row)] for row in
            re.findall(r"<tr>.*?</tr>", table, flags=re.DOTALL)][1:]  # fmt: skip
    published, *ours = [[cell.replace("\u202f", " ") for cell in row] for row in rows]
    assert published == ["ImageNet, to 72.2 %, published", "31.0 million", "13.3 million", "2.3"]
    races = [results.at_weights(scale) for scale in WEIGHT_SCALES]
    races += [results.story(name) for name in ("six-layers", "thirty-times", "saturate", "batch-of-2")]
    for cells, outcomes in zip(ours, races, strict=True):
        for cell, outcome in zip(cells[1:], outcomes.values(), strict=False):
            numbers = [int(number) for number in re.findall(r"\d+", cell.replace(" ", ""))]
            if outcome.diverged:
                assert numbers == [outcome.diverged[0], outcome.diverged[-1]]
            elif outcome.steps:
                assert numbers == [median(outcome.steps), outcome.steps[0], outcome.steps[-1]]
            else:
                assert cell == "none of five"


def test_some_seeds_are_not_all():
    outcome = results.Outcome(5, steps=(100, 200), diverged=(), best=(), last=())
    assert article.reached(outcome) == "two of five"
    assert article.reached(results.Outcome(3, (100, 200), (), (), ())) == "two of three"


# ---- links


def test_every_link_within_the_article_has_a_target(story, html):
    ids = {*Outline(html).ids, *(section.name for section in story), *(kind.slug for kind in FIGURES)}
    dead = [link["href"] for link in Outline(html).links if link["href"][0] == "#" and link["href"][1:] not in ids]
    assert dead == []


def test_every_section_has_its_address_in_the_page(story, page):
    ids = Outline(page).ids
    assert [section.name for section in story if section.name not in ids] == []


def test_no_id_stands_twice_in_the_page(page):
    ids = Outline(page).ids
    assert sorted(ids) == sorted(set(ids))


def test_links_elsewhere_are_to_files_of_the_site_or_encrypted(html, built):
    for link in Outline(html).links:
        address = link["href"]
        assert address.startswith(("#", "?", "https://")) or address in built


def test_links_that_set_a_figure_name_values_that_it_has(html):
    links = [link for link in Outline(html).links if link["href"].startswith("?")]
    assert len(links) > 20
    kinds = {kind.slug: kind for kind in FIGURES}
    for link in links:
        assert link["class"] == "sets"
        slug, values = article.state_of(link["href"])
        for name, value in values.items():
            control = kinds[slug].controls()[name]
            assert value in control.positions or control.free
        kinds[slug](**values)
    assert {article.state_of(link["href"])[0] for link in links} == set(kinds)


def test_a_link_may_say_a_value_as_its_control_does():
    slug, values = article.state_of("?landscape.learning_rate=0.159&landscape.start=wall#landscape")
    assert slug == "landscape"
    assert values["start"] == "wall"
    assert values["learning_rate"] == pytest.approx(0.1586378282)
    assert article.state_of("?saturation.drift=-6&saturation.batch_norm=on#saturation")[1] == {
        "drift": -6.0,
        "batch_norm": True,
    }


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("?saturation.drift=6", "the figures are saturation"),
        ("?saturation.drift=6#identity", "identity has identity.gamma"),
        ("?saturation.drft=6#saturation", "saturation has saturation.drift"),
        ("?drift=6#saturation", "no drift"),
        ("?saturation.drift=9#saturation", "Batch mean can be"),
        ("?saturation.drift=0.05#saturation", "not 0.05"),
        ("?saturation.batch_norm=maybe#saturation", "off, on"),
        ("?identity.gamma=5#identity", "not 5"),
    ],
)
def test_a_link_to_what_a_figure_does_not_have_is_refused(address, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        article.state_of(address)


def test_numbers_that_follow_a_figure_start_as_the_figure_does(html):
    kinds = {kind.slug: kind() for kind in FIGURES}
    follows = re.findall(r'<output class="follow" aria-live="off" data-follow="([\w.-]+)">([^<]*)</output>', html)
    assert len(follows) > 15
    assert html.count("<output") == len(follows)
    for name, text in follows:
        slug, what = name.split(".")
        figure = kinds[slug]
        control = figure.controls().get(what)
        assert text == (control.text(getattr(figure, what)) if control else figure.say()[what].text)
    assert {name.split(".")[0] for name, _ in follows} == set(kinds)


# ---- the page is well-formed


def test_html_is_balanced(story, page):
    for section in story:
        assert Outline(section.html).errors == [], section.name
    assert Outline(page).errors == []


@pytest.mark.parametrize(
    "broken",
    ["<p>a", "<p>a</em></p>", "<p><div>a</div></p>", '<a href="#b">a<a href="#c">b</a></a>', '<i id="a" id="b"></i>'],
)
def test_the_check_of_html_finds_what_is_wrong(broken):
    assert Outline(broken).errors


def test_headings_are_in_order(story, page):
    levels = Outline(page).headings
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(set(Outline(section.html).headings) <= {3} for section in story)
    assert [section.heading for section in story if not section.heading] == []


def test_quotes_are_typographic(story):
    for section in story:
        text = re.sub(r"<pre.*?</pre>|<!--.*?-->|<[^>]*>", "", section.html, flags=re.DOTALL)
        assert re.findall(r""".{9}["'].{9}""", unescape(text)) == [], section.name


def test_notes_are_called_and_lead_back(html):
    called = re.findall(r'href="#(fn-[\w-]+)" id="(fnref-[\w-]+)"', html)
    assert len(called) == html.count('role="doc-backlink"') > 4
    for note, call in called:
        assert f'<li id="{note}"' in html
        assert f'href="#{call}" role="doc-backlink"' in html


def test_each_figure_stands_once_in_the_order_of_the_story(html, page):
    slugs = [kind.slug for kind in (*FIGURES, Lab)]
    assert re.findall(r"^<!-- figure: ([\w-]+) -->$", html, flags=re.MULTILINE) == slugs
    assert [name for name in re.findall(r'<figure id="([\w-]+)"', page) if name in slugs] == slugs
    assert "<!-- figure:" not in page


def test_reading_time_is_that_of_an_evening(story):
    assert 18 <= article.minutes(story) <= 28
    assert article.minutes(story[:1]) < article.minutes(story)


# ---- equations


def test_every_equation_is_mathml_with_a_number_and_an_address(html):
    blocks = re.findall(r'<div id="(eq-[\w-]+)" class="math block">\n(.*?)\n</div>', html, flags=re.DOTALL)
    assert [label for label, _ in blocks] == EQUATIONS
    assert html.count('class="math block"') == len(EQUATIONS)
    for number, (label, block) in enumerate(blocks, start=1):
        assert f'href="#{label}" aria-label="Equation {number}, link to it">({number})</a>' in block
        assert '<math display="block">' in block
    for math in re.findall(r"<math.*?</math>", html, flags=re.DOTALL):
        text = unescape(re.sub(r"<[^>]*>", "", math))
        assert text.strip()
        assert not set(text) & set("\\&$#"), f"LaTeX that did not become MathML: {text}"
        assert "mathvariant" not in math or set(re.findall(r'mathvariant="([^"]*)"', math)) == {"normal"}


def test_symbols_carry_the_class_of_their_colour():
    assert article.mathml(r"\gamma") == '<math display="inline"><mrow><mi class="sym-gamma">γ</mi></mrow></math>'
    assert 'class="sym-x-hat"' in article.mathml(r"\hat x_i")
    assert "sym-" not in article.mathml(r"x_i + \hat w")
    transform = article.mathml(r"\mu_{\mathcal{B}} \sigma \beta \operatorname{E}[x]")
    for part in ('class="sym-mu"', 'class="sym-sigma"', 'class="sym-beta"', "<mi>ℬ</mi>", '"normal">E</mi>'):
        assert part in transform


def luminance(colour):
    channels = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_symbols_can_be_read_in_both_themes():
    css = (site.STATIC / "article.css").read_text("utf-8")
    blocks = re.findall(r"\{((?:--sym-[\w-]+:#\w{6};?)+)\}", css)
    assert len(blocks) == 4  # light, dark by the system, dark by the page, print
    assert blocks[0] == blocks[3]
    assert blocks[1] == blocks[2]
    for theme, block in enumerate(blocks[:2]):
        colours = dict(re.findall(r"(--sym-[\w-]+):(#\w{6})", block))
        assert set(colours) == {"--sym-beta", "--sym-mu", "--sym-sigma"}
        for colour in (*colours.values(), tokens.TOKENS["with"][theme], tokens.TOKENS["neutral"][theme]):
            for surface in ("paper", "panel"):
                dark, light = sorted([luminance(colour), luminance(tokens.TOKENS[surface][theme])])
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (colour, surface)


# ---- the listing


def test_the_listing_is_the_tested_source(story):
    html = next(section.html for section in story if section.name == "training-and-inference")
    code = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", html, flags=re.DOTALL)
    assert len(code) == 1
    printed = unescape(re.sub(r"<[^>]*>", "", code[0]))
    assert printed.strip() == inspect.getsource(listing.BatchNormLayer).strip()
    assert html.count("data-copy-code") == 1
    assert max(map(len, printed.splitlines())) <= 85


def test_the_listing_is_batch_normalization():
    rng = np.random.default_rng(0)
    printed, layer = listing.BatchNormLayer(3), BatchNorm(3)
    printed.gamma, printed.beta = layer.gamma, layer.beta = rng.normal(size=(2, 3))
    for _ in range(5):
        x, dy = rng.normal(2, 3, size=(2, 8, 3))
        np.testing.assert_allclose(printed.forward(x, training=True), layer.forward(x, training=True), rtol=1e-12)
        np.testing.assert_allclose(printed.backward(dy), layer.backward(dy), atol=1e-13)
        np.testing.assert_allclose(printed.dgamma, layer.dgamma, rtol=1e-12)
        np.testing.assert_allclose(printed.dbeta, layer.dbeta, rtol=1e-12)
        np.testing.assert_allclose(printed.running_mean, layer.running_mean, rtol=1e-12)
        np.testing.assert_allclose(printed.running_var, layer.running_var, rtol=1e-12)
    x = rng.normal(size=(1, 3))
    np.testing.assert_allclose(printed.forward(x, training=False), layer.forward(x, training=False), rtol=1e-12)


# ---- what is worked through, and what we measured


def test_the_four_examples_obey_the_laws():
    four = worked.four_examples()
    s = np.sqrt(four.var + 1e-5)
    assert four.dx.sum() == pytest.approx(0, abs=1e-12)
    assert four.x_hat @ four.dx == pytest.approx(
        four.gamma / s * (four.dy @ four.x_hat) * 1e-5 / (four.var + 1e-5), abs=1e-12
    )
    assert four.unbiased_var == pytest.approx(four.var * 4 / 3)
    np.testing.assert_allclose(four.scale * four.x + four.shift, four.frozen)


def test_frameworks_store_the_one_variance_or_the_other():
    assert {f.running_var for f in measured.FRAMEWORKS} == {
        worked.running_var("biased"),
        worked.running_var("unbiased"),
    }
    assert [f.name for f in measured.FRAMEWORKS if f.running_var == worked.running_var("unbiased")] == [
        "PyTorch 2.13"
    ]


def test_measured_growth_is_near_the_theorem():
    assert measured.GRADIENT_GROWTH.relu == pytest.approx(worked.RELU_GROWTH, rel=1e-3)


def test_rates_of_a_fate():
    assert worked.rates_of("trapped in a ripple")[1] == pytest.approx(0.0514, abs=1e-4)
    assert worked.rates_of("thrown from ripple to ripple") == pytest.approx((0.13505, 0.15864), abs=1e-5)
    assert worked.rates_of("diverged")[0] > 1 / 6


# ---- references


def test_every_source_is_listed_and_cited(html):
    assert sorted(re.findall(r'<li id="ref-(\w+)">', html)) == sorted(SOURCES)
    assert set(re.findall(r'<a class="cite" href="#ref-(\w+)">', html)) == set(SOURCES)


def test_authors_are_named_as_usual():
    assert references.author_year(SOURCES["BN"]) == "Ioffe & Szegedy 2015"
    assert references.author_year(SOURCES["S"]) == "Santurkar et al. 2018"
    assert references.author_year(SOURCES["vL"]) == "van Laarhoven 2017"
    assert references.cite("BN", "sec. 3.3") == (
        '<a class="cite" href="#ref-BN">Ioffe &amp; Szegedy 2015, sec.\u00a03.3</a>'
    )
    with pytest.raises(KeyError):
        references.cite("XX")


def test_bibtex_is_well_formed(built):
    text = built["assets/references.bib"].body.decode()
    entries = re.findall(r"^@misc\{(\w+),\n((?:  \w+ = \{.*\},?\n)+)\}$", text, flags=re.MULTILINE)
    keys = [key for key, _ in entries]
    assert len(keys) == len(set(keys)) == len(SOURCES) + 1 == text.count("@")
    for _, fields in entries:
        lines = fields.splitlines()
        assert [line.endswith(",") for line in lines] == [True] * (len(lines) - 1) + [False]
        assert all(line.count("{") == line.count("}") for line in lines)
        assert {"title", "author", "year"} <= {line.split()[0] for line in lines}
        assert not re.search(r"[&%#_]", re.sub(r"(url|doi) = .*", "", fields)), "needs escaping in BibTeX"
    assert all(source.title in text for source in SOURCES.values())
    assert MINUS not in text
