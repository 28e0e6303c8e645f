"""The colours of the page, its controls and its plots: one table, light and dark, one meaning each.

The pairs are chosen from colour-blind safe hues; no figure tells two things apart by colour alone.
"""

from __future__ import annotations

LIGHT, DARK = 0, 1

TOKENS: dict[str, tuple[str, str]] = {
    # What a mark means, the same everywhere.
    "without": ("#b8450a", "#f5925a"),  # without batch normalization
    "with": ("#0a63ad", "#6cb6f7"),  # with batch normalization
    "published": ("#7a3e9d", "#cf9fec"),  # numbers quoted from a paper
    "neutral": ("#5b6470", "#a7b0bc"),  # what carries neither meaning
    # Surfaces and words.
    "paper": ("#fdfcf9", "#14171b"),
    "panel": ("#f4f2ec", "#1d2127"),
    "ink": ("#1c2026", "#e8eaed"),
    "muted": ("#565f6a", "#aab3be"),
    "rule": ("#d9d5ca", "#363c45"),
    "focus": ("#0a63ad", "#6cb6f7"),
    # Plots.
    "plot": ("#ffffff", "#171b20"),
    "grid": ("#ebe8e0", "#282d35"),
    "axis": ("#767f8a", "#8b95a1"),
    "shade": ("#dfe6ee", "#2a3441"),
    "without-tint": ("#f4d9c8", "#4a3226"),
    "with-tint": ("#cfe1f2", "#21374c"),
}


def color(token: str) -> str:
    """The token's colour in the light theme, which is the one that Python draws in."""
    return TOKENS[token][LIGHT]


def by_color() -> dict[str, str]:
    """Light colour -> token: how the browser knows what a mark's colour means when the theme changes."""
    return {light: token for token, (light, _) in reversed(TOKENS.items())}


def css() -> str:
    """The tokens as CSS variables: light, dark when the system says so, either when the page says so.

    Paper is light: `data-printing` is set while a page is being printed.
    """

    def block(theme: int) -> str:
        lines = [f"color-scheme:{('light', 'dark')[theme]}"]
        lines += [f"--{token}:{colors[theme]}" for token, colors in TOKENS.items()]
        return "{" + ";".join(lines) + "}"

    return (
        f":root,:host{block(LIGHT)}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]),:host{block(DARK)}}}\n"
        f":root[data-theme=dark],:host([data-theme=dark]){block(DARK)}\n"
        f":host([data-theme=light]){block(LIGHT)}\n"
        f":root[data-printing]{block(LIGHT)}\n@media print{{:root:root{block(LIGHT)}}}\n"
    )
