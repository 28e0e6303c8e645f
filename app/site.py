"""The site: every page and asset as bytes, by its address. What is served is what would be exported.

Addresses within the site are relative to a page, so the same bytes work under any path and from a file.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import bokeh
import jinja2
from markdown_it import MarkdownIt

from widgets import FIGURES, Figure, tokens
from widgets.markup import figure_markup

HERE = Path(__file__).parent
STATIC = HERE.parent / "static"
BOKEH = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
SCRIPTS = ("numbers.js", "frames.js", "figure.js", "takeaway.js", "page.js")
STYLES = ("page.css", "figure.css")


@dataclass(frozen=True)
class Asset:
    """A file of the site: its bytes, its kind, and the same bytes compressed, once for all readers."""

    body: bytes
    kind: str

    @cached_property
    def gzipped(self) -> bytes:
        """The bytes as gzip, the same whenever they are made."""
        return gzip.compress(self.body, 9, mtime=0)

    @cached_property
    def version(self) -> str:
        """A few digits that change when the bytes do."""
        return hashlib.sha256(self.body).hexdigest()[:12]


Site = dict[str, Asset]
"""Address within the site, such as `index.html` or `assets/page.css` -> file."""


@dataclass(frozen=True)
class Section:
    """A part of the article: its id, the words of its heading, and its HTML with slots for the figures."""

    name: str
    heading: str
    html: str


def build() -> Site:
    """Make the whole site."""
    site: Site = {}

    def add(address: str, body: str | bytes) -> str:
        """Put a file into the site; what comes back is its address with its version, to be cached for ever."""
        content = body.encode() if isinstance(body, str) else body
        site[address] = Asset(content, mimetypes.guess_type(address)[0] or "application/octet-stream")
        return f"{address}?v={site[address].version}"

    style = tokens.css() + "".join((STATIC / name).read_text("utf-8") for name in STYLES)
    links = {
        "style": add("assets/style.css", style),
        "script": add("assets/page.js", "\n".join((STATIC / name).read_text("utf-8") for name in SCRIPTS)),
        "bokeh": add("assets/bokeh.min.js", BOKEH.read_bytes()),
    }
    markup = {}
    for kind in FIGURES:
        figure = kind()
        script = add(f"assets/{kind.slug}.js", f'Page.define("{kind.slug}",{figure.payload()})')
        markup[kind.slug] = figure_markup(figure, script)
    page = templates().get_template
    story = sections()
    add("index.html", page("article.html").render(links=links, sections=story, figures=FIGURES, markup=markup))
    for kind in FIGURES:
        add(f"{kind.slug}.html", page("figure.html").render(links=links, figure=kind, markup=markup))
    return site


def sections() -> list[Section]:
    """The article's sections, from `article/NN-name.md`, in the order of their numbers."""
    markdown = MarkdownIt("commonmark", {"html": True, "typographer": True}).enable(["replacements", "smartquotes"])
    found = []
    for path in sorted((HERE / "article").glob("*.md")):
        heading, _, text = path.read_text("utf-8").partition("\n")
        name = path.stem.partition("-")[2]
        found.append(Section(name, heading.lstrip("# "), markdown.render(text)))
    return found


def _with_figures(html: str, markup: dict[str, str]) -> str:
    """The section's HTML with each `<!-- figure: name -->` replaced by the figure."""
    for name, figure in markup.items():
        html = html.replace(f"<!-- figure: {name} -->", figure)
    return html


@cache
def templates() -> jinja2.Environment:
    """The pages' templates."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["with_figures"] = _with_figures
    return environment


__all__ = ["FIGURES", "Asset", "Figure", "Section", "Site", "build", "sections"]
