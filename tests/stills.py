"""The still pictures of the figures, for readers without JavaScript: `make stills` takes them from a real browser.

`static/stills/made.json` remembers what each was made of, so that a test can say when one is stale.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.core.json_encoder import serialize_json
from playwright.sync_api import sync_playwright

from tests.conftest import launch, serving
from widgets import FIGURES, Figure, Lab, tokens

STILLS = Path(__file__).resolve().parent.parent / "static" / "stills"
MADE = STILLS / "made.json"
THEMES = ("light", "dark")
WIDTH = 960
PICTURED = (*FIGURES, Lab)


def shown(figure: type[Figure]) -> Figure:
    """The figure as its stills show it: as it begins, and what has to be trained as it was recorded."""
    return Lab.recorded() if figure is Lab else figure()


def made_of(figure: type[Figure]) -> dict[str, Any]:
    """What a still shows: count, mean and spread of each drawn column, and a digest of how the plots draw them."""
    first = shown(figure)
    columns = {
        name: [len(values), *(float(f"{measure:.6g}") for measure in (np.nanmean(values), np.nanstd(values)))]
        for name, values in first.columns().items()
        if np.isfinite(values).any()
    }
    plots = first.document().roots
    plots[0].tags = []
    looks = [look for plot in plots for look in _looks(plot)]
    digest = hashlib.sha256(json.dumps([looks, tokens.TOKENS]).encode()).hexdigest()
    return {"columns": columns, "looks": digest}


def _looks(plot: Any) -> list[str]:
    """The plot's models without their data, and without the numbers that Bokeh gives models as names."""
    found = []
    for model in sorted(plot.references(), key=lambda model: model.id):
        properties = model.properties_with_values(include_defaults=False)
        kept = {name: value for name, value in properties.items() if name not in ("data", "tags", "renderers")}
        text = serialize_json({"type": type(model).__name__, **{name: repr(value) for name, value in kept.items()}})
        found.append(re.sub(r"id=\\*['\"]?p?\d+\\*['\"]?", "id", text))
    return sorted(found)


def main() -> None:
    """Take a picture of every figure in both themes."""
    STILLS.mkdir(exist_ok=True)
    for figure, theme in product(PICTURED, THEMES):
        (STILLS / f"{figure.slug}-{theme}.png").touch()  # the site is not made without them
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        serving(Path(folder) / "server.log") as base,
    ):
        browser = launch(playwright)
        for theme in THEMES:
            context = browser.new_context(
                viewport={"width": WIDTH, "height": 1200}, color_scheme=theme, device_scale_factor=1.5
            )
            page = context.new_page()
            for figure in PICTURED:
                page.goto(f"{base}/{figure.slug}.html")  # where recordings are played
                page.wait_for_function(
                    "id => document.getElementById(id).dataset.live !== undefined", arg=figure.slug
                )
                if figure is Lab:
                    page.get_by_role("button", name="Start").click()
                    page.wait_for_selector("[data-phase=finished]")
                page.wait_for_timeout(300)
                page.locator(".plots").screenshot(path=STILLS / f"{figure.slug}-{theme}.png", omit_background=True)
            context.close()
        browser.close()
    MADE.write_text(
        json.dumps({figure.slug: made_of(figure) for figure in PICTURED}, separators=(",", ":")) + "\n", "utf-8"
    )
    print(f"{len(PICTURED) * len(THEMES)} stills in {STILLS}")


if __name__ == "__main__":
    main()
