"""What a reader takes along: the data behind a picture as CSV, and the lines of Python that make them again.

The twin of `static/takeaway.js`, which writes the same in the browser.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .frames import Array, Json

if TYPE_CHECKING:
    from .figure import Figure

CREDIT = "From “Batch Normalization, explained”, CC BY 4.0"
UNITS = "Columns without a unit are plain numbers."

_HEAD = "# {title}. bn_core comes with the explainer: pip install . in its folder.\n"
_SHOW = """
with np.printoptions(threshold=20):
    for name, value in (readouts | drawn).items():
        print(f"{name}: {value}")
"""


def literal(value: Any) -> str:
    """A control's value as Python writes it."""
    if isinstance(value, str):
        return json.dumps(value)
    return str(value).removesuffix(".0")


def code(figure: Figure) -> str:
    """Python that makes `readouts` and `drawn`, the numbers on the screen, in the figure's present state."""
    controls = figure.controls()
    state = (f"{name} = {literal(value)}  # {controls[name].label}" for name, value in figure.state.items())
    return _program(figure).replace("{state}", "\n".join(state))


def tables(figure: Figure) -> Iterator[tuple[str, list[str], Array]]:
    """Name, headings and columns of each table behind the picture; a row with a gap is not drawn, so not here."""
    columns = figure.columns()
    for source, headings in figure.tables.items():
        table = [columns[f"{source}.{column}"] for column in headings]
        whole = ~np.any([np.isnan(column) for column in table], axis=0)
        if whole.any():
            rows = np.empty((whole.sum(), len(table)), object)
            for k, column in enumerate(table):
                rows[:, k] = list(column[whole])  # each keeps its type, and so its digits
            yield source, list(headings.values()), rows


def csv(figure: Figure) -> str:
    """The tables, one after the other; above them the title, the state, what the readouts say, and the source."""
    controls = figure.controls()
    lines = [figure.title]
    for name, value in figure.state.items():
        lines.append(f"{controls[name].label}: {controls[name].text(value)} ({name} = {literal(value)})")
    for name, said in figure.say().items():
        readout = figure.readouts[name]
        label = f"{readout.group}, {readout.label}" if readout.group else readout.label
        bare = "" if np.isnan(said.value) else f" = {literal(said.value)}"
        lines.append(f"{label}: {said.text} ({name}{bare}, {said.source})")
    lines += [figure.origin, UNITS, CREDIT]
    text = "".join(f"# {line}\n" for line in lines)
    for source, headings, rows in tables(figure):
        text += f"\n# {source}\n{','.join(headings)}\n"
        text += "".join(",".join(map(literal, row)) + "\n" for row in rows)
    return text


def describe(figure: Figure) -> Json:
    """What the browser needs to write the same."""
    tables: Mapping[str, Mapping[str, str]] = figure.tables
    return {
        "tables": tables,
        "program": _program(figure),
        "origin": figure.origin,
        "units": UNITS,
        "credit": CREDIT,
    }


def _program(figure: Figure) -> str:
    return _HEAD.replace("{title}", figure.title) + inspect.cleandoc(figure.program) + "\n" + _SHOW
