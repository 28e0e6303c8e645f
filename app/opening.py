"""The picture at the head of the article: still in the page's HTML, brought to motion by `static/opening.js`."""

from __future__ import annotations

import json
from functools import cache

import numpy as np

from bn_core.figures.opening import LAYERS, Opening, opening

WIDTH, HEIGHT = 960, 274
_PANEL, _GAP = 450, 60
_FLOOR, _RISE, _TALL = 270, 38, 80
"""The lowest baseline, the distance between baselines, and the height of a density of 1, in pixels."""
_FULL = 1.3
"""The density that 255 stands for in the data."""
SIDES = ("without", "with")


@cache
def _picture() -> Opening:
    return opening()


def _quantized(densities: np.ndarray) -> np.ndarray:
    return np.round(np.minimum(densities / _FULL, 1) * 255).astype(int)


def svg() -> str:
    """The picture at time 0, as the inside of an `<svg>`: one ridge for each layer on each side."""
    picture = _picture()
    ridges = []
    for side, densities in zip(SIDES, (picture.without, picture.normalized), strict=True):
        left = 0 if side == "without" else _PANEL + _GAP
        for layer in reversed(range(LAYERS)):
            path = _path(_quantized(densities[0, layer]), left, _FLOOR - _RISE * layer)
            ridges.append(f'<path class="{side}" data-layer="{layer}" d="{path}"/>')
    return "".join(ridges)


def _path(heights: np.ndarray, left: int, floor: int) -> str:
    step = _PANEL / (len(heights) - 1)
    points = (f"{left + k * step:.0f} {floor - h / 255 * _FULL * _TALL:.1f}" for k, h in enumerate(heights))
    return f"M{left} {floor}L" + "L".join(points) + f"L{left + _PANEL} {floor}"


def data() -> str:
    """What the script needs to draw the same at any time, as JSON."""
    picture = _picture()
    return json.dumps(
        {
            "without": _quantized(picture.without).tolist(),
            "with": _quantized(picture.normalized).tolist(),
            "panel": _PANEL,
            "left": {"without": 0, "with": _PANEL + _GAP},
            "floor": _FLOOR,
            "rise": _RISE,
            "tall": _FULL * _TALL / 255,
        },
        separators=(",", ":"),
    )
