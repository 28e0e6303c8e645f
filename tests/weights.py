"""What has to be loaded: `make bench` prints it, and tests/app/test_export.py holds it to the goals."""

from __future__ import annotations

from dataclasses import dataclass

from app.site import FIGURES, Site, single

ARTICLE, PAGE, SINGLE = 700.0, 550.0, 2000.0
"""Goals in kB: the whole article and a figure's page, compressed; a figure in one file, as it is."""
LATER = (".png", ".bib")
"""What a page names, but a reader with JavaScript loads only when asked."""


@dataclass(frozen=True)
class Weights:
    """In kB: the article with all its figures, and by their names the figures' pages and single files."""

    article: float
    pages: dict[str, float]
    singles: dict[str, float]


def weigh(site: Site) -> Weights:
    """Weigh the site and the single files."""

    def load(page: str) -> float:
        text = site[page].body.decode()
        named = {name for name in site if f'"{name}?' in text and not name.endswith(LATER)}
        return sum(len(site[name].gzipped) for name in {page, *named}) / 1000

    return Weights(
        article=load("index.html"),
        pages={kind.slug: load(f"{kind.slug}.html") for kind in FIGURES},
        singles={kind.slug: len(single(kind)) / 1000 for kind in FIGURES},
    )
