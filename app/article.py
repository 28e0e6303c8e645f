"""The article: Markdown files in `article/`, one a section, made into HTML.

Jinja first puts the numbers in, by the functions of `_words`; then markdown-it renders the text. A figure stands
as `<!-- figure: name -->` until the page puts it there. A mistake in the Markdown, such as a link to a control
that is not there, stops the build with a sentence that says what is allowed.
"""

from __future__ import annotations

import inspect
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from html import escape, unescape
from math import ceil, floor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import jinja2
from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.attrs import attrs_plugin
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from app import references
from bn_core import figures, listing, measured, mnist, published, recorded_results, worked
from bn_core.activations import sigmoid_slope
from bn_core.recorded_results import Outcome
from widgets import FIGURES, Figure
from widgets.controls import AnyControl, Range
from widgets.markup import bare
from widgets.numbers import MINUS, Number

ARTICLE = Path(__file__).parent / "article"
WORDS_A_MINUTE = 240
"""At which adults read prose that is not fiction, silently."""

SYMBOLS = {"γ": "gamma", "β": "beta", "μ": "mu", "σ": "sigma"}
"""Letter -> what it is called in CSS: `.sym-gamma`. A hat over x makes it `.sym-x-hat`."""

_LABEL = re.compile(r"\$\$ *\((eq-[\w-]+)\)")
_FIGURES = {figure.slug: figure for figure in FIGURES}
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Section:
    """A part of the article: its id, the words of its heading, and its HTML with slots for the figures."""

    name: str
    heading: str
    html: str

    @property
    def words(self) -> int:
        """How many words there are to read: not what is folded away, notes, references and code.

        An equation counts as one.
        """
        text = re.sub(r"<(details|ol|pre)\b.*?</\1>|<!--.*?-->", " ", self.html, flags=re.DOTALL)
        text = re.sub(r"<math\b.*?</math>", "x", text, flags=re.DOTALL)
        return len(re.sub(r"<[^>]*>", "", text).split())


def sections() -> list[Section]:
    """The article's sections, from `article/NN-name.md`, in the order of their numbers."""
    paths = sorted(ARTICLE.glob("[0-9]*-*.md"))
    sources = {path.name: path.read_text("utf-8") for path in paths}
    labels = _LABEL.findall("".join(sources.values()))
    equations = {label: number for number, label in enumerate(labels, start=1)}
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(sources), undefined=jinja2.StrictUndefined, comment_start_string="{##"
    )
    environment.globals |= _words(equations)
    markdown = _markdown(equations)
    found = []
    for path in paths:
        name = path.stem.partition("-")[2]
        try:
            heading, _, text = environment.get_template(path.name).render().partition("\n")
            html = markdown.render(text, {"docId": name})
        except (ValueError, LookupError, jinja2.TemplateError) as error:
            raise ValueError(f"article/{path.name}: {error}") from error
        found.append(Section(name, unescape(markdown.renderInline(heading.lstrip("# "))), html))
    return found


def minutes(story: Sequence[Section]) -> int:
    """How long the article takes to read, figures aside."""
    return ceil(sum(section.words for section in story) / WORDS_A_MINUTE)


# ---- what can be said between {{ and }} in the Markdown


def _words(equations: dict[str, int]) -> dict[str, Any]:
    """The functions and the numbers that the Markdown may use."""

    def eq(label: str) -> str:
        """A link to an equation, by its number."""
        return f'<a class="eq" href="#{label}">equation&nbsp;({equations[label]})</a>'

    return {
        "num": num,
        "percent": percent,
        "reached": reached,
        "row": row,
        "word": word,
        "says": says,
        "follow": follow,
        "preset": preset,
        "claim": claim,
        "figure": figure,
        "eq": eq,
        "source": source,
        "cite": references.cite,
        "references": references.reference_list,
        "bibtex_of_this": references.EXPLAINER_BIBTEX.strip,
        "published": published,
        "sources": published.SOURCES,
        "runs": published.IMAGENET,
        "measured": measured,
        "mnist": mnist,
        "results": recorded_results,
        "four": worked.four_examples(),
        "worked": worked,
        "millions": millions,
        "floor": floor,
        "figures": figures,
        "sigmoid_slope": sigmoid_slope,
    }


def num(value: float, digits: int = 0, unit: str = "", **more: Any) -> str:
    """A number as the figures write it: `digits` after the point; more as in `widgets.numbers.Number`."""
    return _in_one_piece(Number(digits=digits, unit=unit, **more).text(float(value)))


def _in_one_piece(text: str) -> str:
    """A power of ten is not broken between two lines."""
    return text.replace(" × ", "\u00a0×\u00a0")


def percent(share: float, digits: int = 0) -> str:
    """A share of one in percent."""
    return num(share, digits, "%", scale=100)


def millions(count: float) -> str:
    """A count of steps in millions, with one digit after the point."""
    return num(count, 1, "million", scale=1e-6)


def reached(outcome: Outcome) -> str:
    """The steps in which the seeds of a recorded race reached the target: the median (the least to the most)."""
    if outcome.median is not None and len(outcome.steps) == outcome.seeds:
        return f"{num(outcome.median)} ({num(outcome.steps[0])}–{num(outcome.steps[-1])})"
    if len(outcome.diverged) == outcome.seeds:
        return f"not finite by step {num(outcome.diverged[0])}–{num(outcome.diverged[-1])}"
    return f"{word(len(outcome.steps)).replace('zero', 'none')} of {word(outcome.seeds)}"


def row(values: Sequence[float], digits: int = 0) -> str:
    """Numbers as the cells of a table's row."""
    return " | ".join(num(value, digits) for value in values)


def word(number: float) -> str:
    """A small whole number as a word: three."""
    if number not in range(len(_WORDS)):
        raise ValueError(f"word() knows the whole numbers from 0 to {len(_WORDS) - 1}, not {number!r}")
    return _WORDS[int(number)]


def says(name: str, **state: Any) -> str:
    """What a figure says in a state: `says("saturation.gradient_signal", drift=6)`; a control's label, too."""
    return _in_one_piece(_said(name, **state))


def _said(name: str, **state: Any) -> str:
    slug, _, what = name.partition(".")
    shown = _figure(slug)(**state)
    if what in shown.controls():
        return shown.controls()[what].text(getattr(shown, what))
    said = shown.say()
    if what not in said:
        raise ValueError(f"{slug} has {', '.join([*shown.controls(), *said])}, and no {what!r}")
    return said[what].text


def follow(name: str) -> str:
    """A control's label or a readout that goes along with its figure. It is not announced: the figure speaks."""
    return f'<output class="follow" aria-live="off" data-follow="{name}">{_said(name)}</output>'


def preset(slug: str, name: str) -> str:
    """The address of a figure in one of its presets, for a link."""
    shown = _figure(slug)()
    if name not in shown.presets:
        raise ValueError(f"{slug} has the presets {', '.join(shown.presets)}, and no {name!r}")
    shown.apply(name)
    return _address(slug, {control: getattr(shown, control) for control in shown.presets[name].values})


def claim(name: str) -> str:
    """An anchor, not seen, where a claim of the design is mainly told."""
    return f'<span class="claim" id="claim-{name}" data-claim="{name}"></span>'


def figure(slug: str) -> str:
    """The place of a figure; alone in its paragraph."""
    return f"<!-- figure: {_figure(slug).slug} -->"


def source(name: str) -> str:
    """The source of a class or function of `bn_core.listing`, to stand between code fences."""
    return inspect.getsource(getattr(listing, name)).rstrip()


# ---- links that set a figure's state


def _figure(slug: str) -> type[Figure]:
    if slug not in _FIGURES:
        raise ValueError(f"the figures are {', '.join(_FIGURES)}; there is no {slug!r}")
    return _FIGURES[slug]


def _address(slug: str, values: dict[str, Any]) -> str:
    """`?saturation.drift=6.0#saturation`."""

    def written(value: Any) -> str:
        if isinstance(value, bool):
            return "on" if value else "off"
        return bare(value) if isinstance(value, float) else quote(str(value))

    return "?" + "&".join(f"{slug}.{control}={written(value)}" for control, value in values.items()) + f"#{slug}"


def state_of(address: str) -> tuple[str, dict[str, Any]]:
    """The figure and the values that an address such as `?saturation.drift=6#saturation` names.

    A value is written as its control's label says it, or exactly. Raises ValueError for what the figure does
    not have.
    """
    parts = urlsplit(address)
    slug = parts.fragment
    controls = _figure(slug).controls()
    values = {}
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        name = key.removeprefix(f"{slug}.")
        if name not in controls or name == key:
            raise ValueError(f"{address}: {slug} has {', '.join(f'{slug}.{own}' for own in controls)}, and no {key}")
        values[name] = _read(controls[name], text, address)
    return slug, values


def _read(control: AnyControl, text: str, address: str) -> Any:
    positions: tuple[Any, ...] = control.positions
    for position in positions:
        if text in (str(position), control.text(position).replace(MINUS, "-")):
            return position
    if isinstance(control, Range):
        with suppress(ValueError):
            value = float(text)
            if value in positions or (control.free and positions[0] <= value <= positions[-1]):
                return value
    allowed = ", ".join(control.text(position) for position in positions)
    raise ValueError(f"{address}: {control.label} can be {allowed}, not {text}")


# ---- Markdown


def _markdown(equations: dict[str, int]) -> MarkdownIt:
    """The Markdown of the article: see `article/README.md` for what it has beyond CommonMark."""

    def number(label: str) -> str:
        n = equations[label]
        return f'<a class="number" href="#{label}" aria-label="Equation {n}, link to it">({n})</a>'

    def math(latex: str, options: dict[str, Any]) -> str:
        return mathml(latex, display=options["display_mode"])

    markdown = (
        MarkdownIt("commonmark", {"html": True, "typographer": True, "highlight": _code})
        .enable(["table", "replacements", "smartquotes"])
        .use(dollarmath_plugin, renderer=math, label_renderer=number, allow_digits=False)
        .use(footnote_plugin)
        .use(attrs_plugin)
        .use(anchors_plugin, min_level=2, max_level=3)
        .use(container_plugin, "aside", render=_aside)
        .use(container_plugin, "worked", render=_worked)
    )
    markdown.core.ruler.push("headings_below_the_section", _lower_headings)
    rules = {
        "link_open": _link,
        "fence": _fence,
        "footnote_ref": _footnote_ref,
        "footnote_anchor": _footnote_anchor,
        "footnote_block_open": lambda *_: '<ol class="footnotes" aria-label="Notes to this section">\n',
        "footnote_block_close": lambda *_: "</ol>\n",
    }
    for name, rule in rules.items():
        markdown.add_render_rule(name, rule)
    return markdown


def mathml(latex: str, display: bool = False) -> str:
    """An equation as MathML, its symbols marked with the classes that colour them.

    What browsers no longer read is put in other words: script letters are characters of their own, and a name
    such as E is an identifier, which an operator's spacing would tear from its bracket.
    """
    root = convert_to_element(latex, display="block" if display else "inline")
    root.attrib.pop("xmlns", None)
    for node in root.iter():
        node.text = unescape(node.text) if node.text else None
        text = node.text or ""
        if node.tag == "mo" and text.isalpha():
            node.tag, node.attrib = "mi", {"mathvariant": "normal"} if len(text) == 1 else {}
        elif node.tag == "mi" and text in SYMBOLS:
            node.set("class", f"sym-{SYMBOLS[text]}")
        elif node.tag == "mover" and "".join(node.itertext()).startswith("x"):
            node.set("class", "sym-x-hat")
        elif node.tag == "mo" and text == "^":
            node.text = "\N{MODIFIER LETTER CIRCUMFLEX ACCENT}"
    return ET.tostring(root, encoding="unicode", short_empty_elements=False)


def _lower_headings(state: StateCore) -> None:
    """A `##` in a section is a heading below the section's own, which the page makes an `<h2>`."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1]) + 1}"


def _link(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """A link; one that sets a figure's state is checked, and gets its values exactly."""
    token = tokens[index]
    address = str(token.attrs["href"])
    if address.startswith("?"):
        token.attrs |= {"href": _address(*state_of(address)), "class": "sets"}
    return renderer.renderToken(tokens, index, options, env)


@cache
def _formatter() -> HtmlFormatter[str]:
    return HtmlFormatter(nowrap=True)


def _code(text: str, language: str, _attributes: str) -> str:
    return str(highlight(text, get_lexer_by_name(language), _formatter()))


def _fence(_r: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    """Code, highlighted and with a button that copies it. Its first word is its language, the rest its name."""
    language, _, title = tokens[index].info.strip().partition(" ")
    code = _code(tokens[index].content, language, "")
    return (
        f'<div class="listing">\n<button type="button" data-copy-code>Copy</button>\n'
        f'<pre tabindex="0" role="region" aria-label="{escape(title or language)}"><code>{code}</code></pre>\n'
        "</div>\n"
    )


def _aside(_r: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    """`::: aside Title` folds away under its title."""
    if tokens[index].nesting < 0:
        return "</div>\n</details>\n"
    return f'<details class="aside">\n<summary>{_title(tokens[index])}</summary>\n<div>\n'


def _worked(_r: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    """`::: worked Title` sets an equation with numbers in it apart."""
    if tokens[index].nesting < 0:
        return "</div>\n"
    return f'<div class="worked">\n<p class="title">{_title(tokens[index])}</p>\n'


def _title(container: Token) -> str:
    """What stands behind the container's name, for HTML."""
    _, _, title = container.info.strip().partition(" ")
    return escape(title.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}"))


def _footnote(token: Token, env: Any) -> tuple[str, int]:
    """The footnote's id and its number."""
    number = token.meta["id"] + 1
    return f"{env['docId']}-{number}", number


def _footnote_ref(_r: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, env: Any) -> str:
    key, number = _footnote(tokens[index], env)
    return (
        f'<sup class="footnote"><a href="#fn-{key}" id="fnref-{key}" role="doc-noteref" '
        f'aria-label="Note {number}">{number}</a></sup>'
    )


def _footnote_anchor(_r: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, env: Any) -> str:
    key, number = _footnote(tokens[index], env)
    return f' <a href="#fnref-{key}" role="doc-backlink" aria-label="Back to where note {number} stands">↩\ufe0e</a>'
