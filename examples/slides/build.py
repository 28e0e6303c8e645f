"""Makes a talk about batch normalization with live figures: `python examples/slides/build.py DIR`.

Into DIR go the slides, reveal.js from its npm package, and an export of the explainer. Making it takes npm and a
network, or a package fetched before (`npm pack reveal.js@5`, then `--reveal FILE`); giving the talk takes neither.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from latex2mathml.converter import convert
from markupsafe import Markup

from app import opening
from bn_core import published, worked
from bn_core.activations import sigmoid_slope
from bn_core.figures.identity import EPSILONS, undo
from bn_core.figures.landscape import LEARNING_RATES, WITH, WITHOUT
from widgets import FIGURES, Figure, tokens
from widgets.numbers import Number

HERE = Path(__file__).resolve().parent
REVEAL = "reveal.js@5"
PARTS = {"dist/reveal.js": "reveal.js", "dist/reveal.css": "reveal.css", "plugin/notes/notes.js": "notes.js"}
"""What the talk needs of reveal.js, and what it is called here."""
MARK = 'name="generator" content="Batch Normalization slides"'
KINDS = {figure.slug: figure for figure in FIGURES}

State = Mapping[str, Any]


def main() -> int:
    """Build the talk; return the exit code."""
    parser = argparse.ArgumentParser(description="A talk about batch normalization, with live figures.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="a new folder, or an earlier talk to replace")
    parser.add_argument("--reveal", metavar="FILE", type=Path, help=f"what npm pack {REVEAL} gave, not to need npm")
    wish = parser.parse_args()
    folder: Path = wish.folder.resolve()
    index = folder / "index.html"
    if folder.exists() and any(folder.iterdir()) and not (index.is_file() and MARK in index.read_text("utf-8")):
        print(f"{folder} has something else in it: name a new folder.", file=sys.stderr)
        return 1
    deck = render()  # before anything is written: a state that a figure does not have is told here
    folder.mkdir(parents=True, exist_ok=True)
    index.write_text(deck, "utf-8")  # first, so that a talk left half made can be made again
    vendor(folder / "reveal", wish.reveal)
    (folder / "deck.css").write_text(tokens.css() + (HERE / "deck.css").read_text("utf-8"), "utf-8")
    shutil.copy(HERE / "deck.js", folder)
    subprocess.run([sys.executable, "-m", "app", "export", "--quiet", str(folder / "figures")], check=True)
    print(f"Open {index.as_uri()} in a browser. Arrow keys go on, S shows the notes.")
    return 0


def vendor(folder: Path, package: Path | None) -> None:
    """Put the parts of reveal.js that the talk needs, and its licence, into the folder."""
    with tempfile.TemporaryDirectory() as scratch:
        if package is None:
            npm = shutil.which("npm")
            if npm is None:
                raise SystemExit(f"npm is needed to get {REVEAL}; or fetch it elsewhere and name it with --reveal.")
            subprocess.run([npm, "pack", "--silent", REVEAL], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
            (package,) = Path(scratch).glob("*.tgz")
        folder.mkdir(exist_ok=True)
        with tarfile.open(package) as unpacked:
            for path, name in {**PARTS, "LICENSE": "LICENSE"}.items():
                part = unpacked.extractfile(f"package/{path}")
                assert part is not None
                (folder / name).write_bytes(part.read())


# ---- the words of the template


def render() -> str:
    """The slides as HTML, with the numbers that `bn_core` has for them."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    gamma, beta = undo(EPSILONS)
    usual = EPSILONS.index(1e-5)
    return environment.get_template("deck.html").render(
        mark=MARK,
        opening={"width": opening.WIDTH, "height": opening.HEIGHT, "svg": opening.svg()},
        figure=figure,
        state=state,
        says=says,
        num=num,
        tex=tex,
        sigmoid_slope=sigmoid_slope,
        undo={"gamma": float(gamma[usual]), "beta": float(beta[usual])},
        rates=LEARNING_RATES.tolist(),
        ceilings={"without": WITHOUT.ceiling, "with": WITH.ceiling},
        four=worked.four_examples(),
        within_one=worked.NORMAL_WITHIN_ONE,
        runs=published.IMAGENET,
        changes=published.BN_X5_CHANGES,
        small=published.SMALL_BATCHES,
        year=published.SOURCES["BN"].year,
    )


def figure(slug: str, controls: str, fit: str = "frame", **values: Any) -> Markup:
    """An `<iframe>` of the figure in this state, showing only these controls."""
    query = {name: ("on" if value else "off") if isinstance(value, bool) else value for name, value in values.items()}
    look = {"controls": controls, "fit": fit, "background": "transparent"}
    return Markup(
        '<iframe class="live" title="{}" data-preload data-src="figures/{}.html?{}" data-state="{}"></iframe>'
    ).format(KINDS[slug].title, slug, urlencode(query | look), state(slug, **values))


def state(slug: str, **values: Any) -> str:
    """Values of a figure's controls for a fragment, as JSON; refused where the figure refuses them."""
    KINDS[slug](**values)
    return json.dumps(values)


def says(slug: str, readout: str, **values: Any) -> str:
    """What a readout of the figure says in this state."""
    shown: Figure = KINDS[slug](**values)
    return shown.say()[readout].text.replace(" × ", "\u00a0×\u00a0")  # a power of ten stays in one piece


def num(value: float, digits: int = 0, unit: str = "", scale: float = 1.0) -> str:
    """A number as the figures write it."""
    return Number(digits=digits, unit=unit, scale=scale).text(float(value))


def tex(formula: str) -> Markup:
    """An equation as MathML."""
    return Markup(convert(formula, display="block"))


if __name__ == "__main__":
    sys.exit(main())
