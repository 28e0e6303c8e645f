import json
import math
import random
from pathlib import Path

import pytest
from playwright.sync_api import Page

from widgets import FIGURES
from widgets.numbers import MINUS, THIN_SPACE, Number

SCRIPT = Path(__file__).parents[2] / "static" / "numbers.js"

OF_READOUTS = {readout.number for figure in FIGURES for readout in figure.readouts.values()}
OF_LABELS = {c.number for figure in FIGURES for c in figure.controls().values() if c.kind == "range"}
FORMATS = sorted(
    {
        *OF_READOUTS,
        *OF_LABELS,
        *(number.exact() for number in OF_LABELS),
        *(Number(digits) for digits in range(9)),
        *(Number(digits, scale=100, unit="%") for digits in range(3)),
        *(Number(digits, significant=True) for digits in (1, 2, 3, 8)),
        Number(2, scale=1e-6, unit="million", small=1e-2),
    },
    key=repr,
)

AWKWARD = [
    *(0.0, -0.0, math.nan, -0.0004, 0.0004, 0.0005, -0.0005, 0.00049999999999999999, 1e-6, 9.999999e-7),
    *(0.125, -0.125, 0.375, 0.0625, 0.3125, -0.3125, 0.1875, 0.03125, 12.5, 0.5, 1.5, 2.5, -2.5, 1234.5),
    *(0.995, 9.995, 99.95, 999.5, 9999.5, 99999.5, 0.9996, 9.9996, 0.09996, 0.15, 0.25, 0.35, 1.005, 2.675),
    *(9999.0, 10000.0, -10000.0, 12345.678, 99999.0, 100000.0, 999999.5, 1e6, 31e6, 13.3e6, 123456789.0, 1e15),
    *(1e-3, 1e-4, 9.95e-4, 9.95e-5, 9.99e-4, -1e-4, 1e-7, -1e-7, 1.05e-7, 1e-18, 1.6e-18, -9.96e-18, 1e-99),
    *(5e-324, -5e-324, 2.2250738585072014e-308, 1e-300, -1e-300, 16777216.5, 16777217.5, 2.0000025, 1 / 3, 2 / 3),
]


def randomly(count: int, seed: int = 0) -> list[float]:
    """Numbers of every size, and among them ties: odd multiples of halves of the last digit."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        sign = draw.choice((-1, 1))
        found += [
            sign * 10 ** draw.uniform(-20, 15),
            sign * round(draw.uniform(0, 100), draw.randrange(5)),
            sign * draw.randrange(1, 4096) / 2 ** draw.randrange(1, 12),
            sign * (draw.randrange(1000) + 0.5) / 10 ** draw.randrange(4),
        ]
    return found


VALUES = AWKWARD + randomly(500)


@pytest.fixture
def written(page: Page):
    """The texts that the browser writes for VALUES."""
    page.add_script_tag(path=SCRIPT)
    texts = "([number, values]) => JSON.parse(values).map(value => Numbers.text(Number(value), number))"
    values = json.dumps([repr(value) for value in VALUES])
    return lambda number: page.evaluate(texts, [number.json(), values])


def test_python_and_browser_write_the_same(written):
    for number in FORMATS:
        here = [number.text(value) for value in VALUES]
        different = {
            value: (mine, theirs)
            for value, mine, theirs in zip(VALUES, here, written(number), strict=True)
            if mine != theirs
        }
        assert not different, number


@pytest.mark.parametrize("number", FORMATS, ids=repr)
def test_a_minus_is_a_real_minus_and_zero_has_none(number):
    for value in VALUES:
        text = number.text(value)
        assert "-" not in text
        if text.startswith(MINUS):
            assert value < 0
            assert any(digit in text for digit in "123456789")


def test_the_nearest_digits_are_written_and_ties_go_away_from_zero():
    percent = Number(0, scale=100, unit="%")
    assert [percent.text(value) for value in (0.125, 0.375, 0.135, -0.125)] == [
        f"{text}{THIN_SPACE}%" for text in ("13", "38", "14", f"{MINUS}13")
    ]
    assert Number(1).text(0.25) == "0.3"
    assert Number(2).text(1.005) == "1.00"  # the float is a little less
    assert Number(3).text(-0.0004) == Number(3).text(-0.0) == "0.000"


def test_a_thin_space_stands_before_the_unit_and_between_thousands():
    assert Number(1, unit="%").text(72.2) == f"72.2{THIN_SPACE}%"
    assert [Number().text(value) for value in (999, 9999, 10_000, 1_234_567)] == [
        "999",
        "9999",
        f"10{THIN_SPACE}000",
        f"1{THIN_SPACE}234{THIN_SPACE}567",
    ]


def test_a_number_is_written_after_its_scale():
    assert Number(1, unit="million steps", scale=1e-6).text(13.3e6) == f"13.3{THIN_SPACE}million steps"


def test_below_small_a_power_of_ten_of_the_value_itself_is_written():
    percent = Number(1, unit="%", scale=100, small=1e-3)
    assert percent.text(1.6e-18) == "1.6 × 10⁻¹⁸"
    assert percent.text(-9.96e-4) == f"{MINUS}1.0 × 10⁻³"
    assert percent.text(1e-3) == f"0.1{THIN_SPACE}%"
    assert percent.text(0.0) == f"0.0{THIN_SPACE}%"


def test_significant_digits_are_counted_from_the_first_that_is_not_zero_and_zeros_dropped():
    three = Number(3, significant=True)
    assert [three.text(v) for v in (0.016667, 1.6667, 2.08333, 12.0, 1.2, 0.3125, 9.996, 12345.0)] == [
        "0.0167",
        "1.67",
        "2.08",
        "12",
        "1.2",
        "0.313",
        "10",
        f"12{THIN_SPACE}300",
    ]


def test_exact_shows_what_the_usual_digits_would_round():
    assert Number(2).text(2.0000025) == "2.00"
    assert Number(2).exact().text(2.0000025) == "2.0000025"


def test_what_is_no_number_is_a_dash():
    assert Number(2, unit="%").text(math.nan) == "–"
