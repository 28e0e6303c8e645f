"""Pictures of every section and every figure page, light and dark, phone and desk: `make screenshots`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.conftest import ROOT, launch, serving
from widgets import FIGURES

FOLDER = ROOT / "screenshots"
WIDTHS = (390, 1280)
THEMES = ("light", "dark")


def main() -> None:
    """Take them all."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        serving(Path(folder) / "server.log") as base,
    ):
        browser = launch(playwright)
        for width in WIDTHS:
            for theme in THEMES:
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
                page = context.new_page()
                page.goto(f"{base}/app")
                for figure in FIGURES:
                    place = page.locator(f"#{figure.slug}")
                    place.scroll_into_view_if_needed()
                    page.wait_for_function("el => el.dataset.live !== undefined", arg=place.element_handle())
                page.evaluate("scrollTo(0, 0)")
                page.wait_for_timeout(300)
                page.screenshot(path=FOLDER / f"00-opening-{width}-{theme}.png")
                for k, section in enumerate(page.locator("main > section").all(), start=1):
                    name = section.get_attribute("id")
                    section.screenshot(path=FOLDER / f"{k:02}-{name}-{width}-{theme}.png")
                for figure in FIGURES:
                    page.goto(f"{base}/app?figure={figure.slug}")
                    page.wait_for_function(
                        "id => document.getElementById(id).dataset.live !== undefined", arg=figure.slug
                    )
                    page.wait_for_timeout(200)
                    page.screenshot(path=FOLDER / f"figure-{figure.slug}-{width}-{theme}.png", full_page=True)
                context.close()
        browser.close()
    print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER}")


if __name__ == "__main__":
    main()
