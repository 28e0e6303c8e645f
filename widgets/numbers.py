"""How a number is written, on labels, in readouts and in sentences. `static/numbers.js` writes the same."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

MINUS = "\u2212"
THIN_SPACE = "\u202f"
NOTHING = "\u2013"
_SUPERSCRIPTS = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


@dataclass(frozen=True)
class Number:
    """The way one kind of number is written.

    `digits` after the point, of the value times `scale`, with `unit` behind it. A value nearer to zero than
    `small`, zero excepted, is written as a power of ten with one digit after the point and no scale: 1.6 × 10⁻¹⁸.
    `significant` counts digits from the first that is not zero instead, and drops zeros at the end.
    """

    digits: int = 0
    unit: str = ""
    scale: float = 1.0
    small: float = 0.0
    significant: bool = False

    def text(self, value: float) -> str:
        """The value in words and digits; a dash where there is none."""
        if math.isnan(value):
            return NOTHING
        # Below 1e-6 the browser would turn to powers of ten by itself, in its own spelling.
        if value != 0 and abs(value) < (max(self.small, 1e-6) if self.significant else self.small):
            return _power_of_ten(value)
        return _signed(self._digits(value * self.scale)) + self._unit()

    def exact(self) -> Number:
        """The way to write a value that the usual digits would round."""
        return replace(self, digits=8, significant=True)

    def json(self) -> dict[str, Any]:
        """What the browser needs to write the same."""
        return asdict(self)

    def _unit(self) -> str:
        return THIN_SPACE + self.unit if self.unit else ""

    def _digits(self, value: float) -> str:
        # Half away from zero, as the browser's toFixed and toPrecision do: 12.5 is 13 in both.
        exact = Decimal(value)
        place = Decimal(1).scaleb((exact.adjusted() + 1 if self.significant else 0) - self.digits)
        written = exact.quantize(place, rounding=ROUND_HALF_UP)
        return _grouped(f"{written.normalize() if self.significant else written:f}")


def _signed(digits: str) -> str:
    """A real minus sign, and none before zero."""
    if digits.startswith("-"):
        return digits[1:] if not digits.strip("-0.,") else MINUS + digits[1:]
    return digits


def _grouped(digits: str) -> str:
    """A thin space between thousands from 10 000 on."""
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    whole, point, rest = digits.partition(".")
    if len(whole) > 4:
        whole = f"{int(whole):,}".replace(",", THIN_SPACE)
    return sign + whole + point + rest


def _power_of_ten(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{_signed(mantissa)} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
