"""The site: every page and asset as bytes, by its address. What is served is what is exported.

Addresses within the site are relative to a page, so the same bytes work under any path and from a file.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import mimetypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from math import floor, isfinite, nan
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bokeh
import jinja2

from app import opening, references
from app.article import Section, minutes, sections
from bn_core import recorded
from bn_core.published import IMAGENET, SOURCES
from widgets import FIGURES, Figure, Lab, tokens
from widgets.lab import packed, rows
from widgets.markup import figure_markup

HERE = Path(__file__).parent
STATIC = HERE.parent / "static"
BOKEH = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
SCRIPTS = ("numbers.js", "frames.js", "takeaway.js", "figure.js", "lab.js", "present.js", "page.js", "reading.js")
STYLES = ("page.css", "figure.css", "article.css", "embed.css", "present.css")
MADE_BY = "Batch Normalization explainer, single file"
"""By which a page that `single` has made is known again."""


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


def build(session: str | None = None) -> Site:
    """Make the whole site; `session` is the address at which a server trains for the laboratory, if one does."""
    site: Site = {}

    def add(address: str, body: str | bytes) -> str:
        """Put a file into the site; what comes back is its address with its version, to be cached for ever."""
        content = body.encode() if isinstance(body, str) else body
        site[address] = Asset(content, mimetypes.guess_type(address)[0] or "application/octet-stream")
        return f"{address}?v={site[address].version}"

    links = {
        "style": add("assets/style.css", _style()),
        "script": add("assets/page.js", _read(*SCRIPTS)),
        "theme": add("assets/theme.js", _read("theme.js")),
        "embed": add("assets/embed.js", _read("embed.js")),
        "opening": add("assets/opening.js", f"{_read('opening.js')}\nPage.opening({opening.data()})"),
        "icon": add("assets/icon.svg", (STATIC / "icon.svg").read_text("utf-8")),
        "bokeh": add("assets/bokeh.min.js", BOKEH.read_bytes()),
    }
    markup = {}
    for kind in FIGURES:
        figure = kind()
        script = add(f"assets/{kind.slug}.js", _definition(figure))
        markup[kind.slug] = figure_markup(figure, script, _stills(kind, add))
    lab = Lab()  # type: ignore[no-untyped-call]
    script = add("assets/lab.js", _definition(lab) + _catalogue(add))
    stills, recorded_lab = _stills(Lab, add), Lab.recorded()
    markup["lab"] = figure_markup(lab, script, stills, session, recorded_lab)
    page = templates().get_template
    story = sections()
    steps = IMAGENET["inception"].steps_to_72_2, IMAGENET["bn_x5"].steps_to_72_2
    factor = (steps[0] or nan) / (steps[1] or nan)
    add("assets/references.bib", references.bibtex())
    article = page("article.html").render(
        links=links,
        sections=story,
        minutes=minutes(story),
        factor=floor(factor),
        year=SOURCES["BN"].year,
        markup=markup,
        opening={"width": opening.WIDTH, "height": opening.HEIGHT, "svg": opening.svg()},
    )
    add("index.html", article)
    for kind in FIGURES:
        add(f"{kind.slug}.html", page("figure.html").render(links=links, figure=kind, markup=markup))
    alone = {"lab": figure_markup(lab, script, stills, recorded=recorded_lab)}
    add("lab.html", page("figure.html").render(links=links, figure=Lab, markup=alone))
    return site


def _stills(kind: type[Figure], add: Callable[[str, str | bytes], str]) -> tuple[str, str]:
    """Add the figure's still pictures to the site; return their addresses, of the light one and the dark one."""
    light, dark = (
        add(f"assets/{kind.slug}-{theme}.png", (STATIC / "stills" / f"{kind.slug}-{theme}.png").read_bytes())
        for theme in ("light", "dark")
    )
    return light, dark


def single(kind: type[Figure]) -> bytes:
    """One figure in one file of HTML, which asks for nothing else."""
    figure = kind()
    # Bokeh stands first, and the figure in one script with the page, which looks for it as soon as it runs.
    scripts = (BOKEH.read_text("utf-8"), f"{_read(*SCRIPTS)}\n{_definition(figure)}")
    page = templates().get_template("single.html")
    return page.render(
        figure=kind,
        markup={kind.slug: figure_markup(figure, payload=f"#{kind.slug}")},
        generator=MADE_BY,
        icon="data:image/svg+xml," + quote(_read("icon.svg")),
        first=_inline(_read("theme.js", "embed.js")),
        style=re.sub("</(?=style)", r"<\\/", _style(), flags=re.IGNORECASE),
        scripts=[_inline(script) for script in scripts],
    ).encode()


def _inline(script: str) -> str:
    """The script as it may stand in HTML: in its strings, nothing that would begin or end a script or a comment."""
    return re.sub("<(?=!--|/?script)", r"\\x3C", script, flags=re.IGNORECASE)


def _read(*names: str) -> str:
    return "\n".join((STATIC / name).read_text("utf-8") for name in names)


def _style() -> str:
    return f"{tokens.css()}\n{_read(*STYLES)}"


def _definition(figure: Figure) -> str:
    """The script that brings the figure to life.

    Bokeh counts the models that the process has ever made. Counted within their figure, the script is the same
    whatever was made before it.
    """
    payload = figure.payload()
    ids = dict.fromkeys(re.findall(r'"id":"(p\d+)"', payload))
    names = {id_: f"{figure.slug}-{number}" for number, id_ in enumerate(ids)}
    payload = re.sub(r'"(p\d+)"', lambda quoted: f'"{names.get(quoted[1], quoted[1])}"', payload)
    return f'Page.define("{figure.slug}",{payload})'


def _catalogue(add: Callable[[str, str], str]) -> str:
    """Add the recorded races to the site, each a script of its own; return the one that tells what there is."""
    entries = []
    for number, recording in enumerate(each for each in recorded.recordings() if each.detailed):
        address = f"assets/race-{number}.js"
        fed: dict[str, dict[str, Any]] = {}
        networks = {}
        for network, course in recording.courses.items():
            fed |= packed(rows(network, course.columns, course.divergence))
            last = course.divergence.step if course.divergence else recording.settings["steps"]
            networks[network] = {"step": last}
        for each in fed.values():
            each["columns"] = [[float(f"{x:.4g}") if isfinite(x) else None for x in c] for c in each["columns"]]
        race = json.dumps({"rows": fed, "networks": networks}, separators=(",", ":"))
        settings = {name: value for name, value in recording.settings.items() if name != "steps"}
        versioned = add(address, f"Lab.define({number},{race})")
        steps = recording.settings["steps"]
        entries.append({"settings": settings, "steps": steps, "number": number, "address": versioned})
    return f"\nLab.catalogue({json.dumps(entries)})"


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


__all__ = ["FIGURES", "Asset", "Figure", "Section", "Site", "build", "sections", "single"]
