import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

from widgets import FIGURES
from widgets.figure import Position, sources_of
from widgets.frames import (
    STATISTICS,
    Along,
    Column,
    Control,
    Fed,
    Frame,
    Latest,
    Measure,
    Pick,
    Product,
    Sum,
    Take,
    constant,
    controls_of,
    measure,
)

SCRIPT = Path(__file__).parents[2] / "static" / "frames.js"

# Tables arrive in the browser as Bokeh gives them to it: typed arrays that know their shape.
TYPED = {"f4": "Float32Array", "f8": "Float64Array", "u1": "Uint8Array", "i2": "Int16Array", "i4": "Int32Array"}
IN_BROWSER = """text => {
  const number = value => value === "nan" ? NaN : value
  const revive = (_, value) => {
    if (!value?.typed) return value
    const table = globalThis[value.typed].from(value.entries, number)
    table.shape = value.shape
    return table
  }
  const {columns, states, fed} = JSON.parse(text, revive)
  const said = states.map(state => {
    const found = {}
    const told = {index: name => state[name][0], number: name => state[name][1], fed}
    for (const [name, frame] of columns) {
      const source = name.split(".")[0]
      const find = column => found[column.includes(".") ? column : `${source}.${column}`]
      found[name] = Frames.at(frame, told, find)
    }
    return Object.values(found).map(column => Array.from(column, value => Number.isNaN(value) ? "nan" : value))
  })
  return JSON.stringify(said)
}"""


FED = {"run.step": [[25.0], [50.0], [75.0]], "run.low": [[1.0, -2.0], [3.0, 4.0], [5.0, -6.0]]}
"""What has come in: name -> rows."""


class State:
    """Where some controls stand: name -> (position, value)."""

    def __init__(self, **controls):
        self.controls = controls

    def index(self, name):
        return self.controls[name][0]

    def value(self, name):
        return self.controls[name][1]

    def fed(self, name):
        return np.array(FED.get(name, []), ndmin=2)


def at(frame: Frame, columns=None, **controls) -> list:
    """The frame in a state, among other columns."""
    found = {name: np.asarray(column) for name, column in (columns or {}).items()}
    return frame.at(State(**controls), found.__getitem__).tolist()


def in_python(columns: dict[str, Frame], states: list[State]) -> list[list[np.ndarray]]:
    said = []
    for state in states:
        found = {}
        for name, frame in columns.items():
            source = name.split(".")[0]
            find = lambda c, source=source, found=found: found[c if "." in c else f"{source}.{c}"]  # noqa: E731
            found[name] = frame.at(state, find)
        said.append(list(found.values()))
    return said


def encode(value):
    """A table as JSON that says what typed array it becomes."""
    if isinstance(value, np.ndarray):
        entries = ["nan" if math.isnan(entry) else entry for entry in value.ravel().tolist()]
        return {"typed": TYPED[value.dtype.str[1:]], "shape": value.shape, "entries": entries}
    raise TypeError(type(value))


@pytest.fixture
def in_browser(page: Page):
    """The twin of `in_python`: the same columns in the same states, as static/frames.js has them."""
    page.add_script_tag(path=SCRIPT)

    def speak(columns, states):
        asked = {
            "columns": [[name, frame.json()] for name, frame in columns.items()],
            "states": [state.controls for state in states],
            "fed": {name: np.transpose(rows).tolist() for name, rows in FED.items()},
        }
        said = json.loads(page.evaluate(IN_BROWSER, json.dumps(asked, default=encode, allow_nan=False)))
        return [[np.array([float(v) for v in column]) for column in state] for state in said]

    return speak


def assert_twins(columns, states, in_browser, rtol=0.0, atol=0.0):
    here, there = in_python(columns, states), in_browser(columns, states)
    for state, mine, theirs in zip(states, here, there, strict=True):
        for name, one, other in zip(columns, mine, theirs, strict=True):
            message = f"{name} in {state.controls}"
            np.testing.assert_allclose(other, one, rtol=rtol, atol=atol, err_msg=message, strict=False)
            assert one.shape == other.shape, message


# ---- what each word does


def test_take_is_the_piece_of_the_table_at_the_controls_positions():
    table = np.arange(24.0).reshape(2, 3, 4)
    take = Take(table, ("a", "b"))
    assert at(take, a=(1, 7.0), b=(2, 7.0)) == [20, 21, 22, 23]
    assert at(Take(table, ("a", "b", "c")), a=(0, 0), b=(1, 0), c=(3, 0)) == [7]
    assert at(Take(table[0, 0])) == [0, 1, 2, 3]


def test_take_until_ends_where_a_control_stands():
    take = Take(np.arange(10.0).reshape(2, 5), ("a",), until=("steps", 5))
    assert at(take, a=(1, 0), steps=(4, 0)) == [5, 6, 7, 8, 9]
    assert at(take, a=(1, 0), steps=(1, 0)) == [5, 6]
    longer = Take(np.arange(5.0), until=("steps", 4))  # one entry before the control's first position
    assert [len(at(longer, steps=(k, 0))) for k in range(4)] == [2, 3, 4, 5]


def test_take_counts_in_units():
    assert at(Take(np.array([[1, 2], [3, -4]], "i2"), ("a",), unit=1 / 256), a=(1, 0)) == [3 / 256, -4 / 256]
    assert at(Take(np.array([0.1], "f4"), unit=0.1)) == [float(np.float32(0.1)) * 0.1]


def test_control_is_the_value_of_a_control():
    assert at(Control("a"), a=(3, 0.3)) == [0.3]


def test_column_is_another_column():
    assert at(Column("batch.x"), {"batch.x": [1, 2]}) == [1, 2]


def test_sum_and_product_go_entry_by_entry_and_one_entry_serves_for_all():
    x = Column("x")
    columns = {"x": [1.0, 2.0, 3.0]}
    assert at(Sum((x, Control("a"), x)), columns, a=(0, 0.5)) == [2.5, 4.5, 6.5]
    assert at(Product((Control("a"), x)), columns, a=(0, -2.0)) == [-2, -4, -6]
    assert at(x * x + x, columns) == [2, 6, 12]


def test_sum_and_product_are_taken_in_double_precision():
    third = Take(np.array([1 / 3], "f4"))
    assert at(third * third) == [float(np.float32(1 / 3)) ** 2]
    assert at(Sum((Take(np.array([200], "u1")),) * 2)) == [400]


def test_along_is_the_height_of_a_curve_and_level_beyond_its_ends():
    curve = Along(np.array([-1.0, 0.0, 1.0]), Take(np.array([0.0, 10.0, 30.0])), Column("x"))
    columns = {"x": [-9, -1, -0.5, 0, 0.25, 1, 9, np.nan]}
    np.testing.assert_array_equal(at(curve, columns), [0, 0, 5, 10, 15, 30, 30, np.nan])


def test_pick_is_the_entries_at_the_places_named():
    assert at(Pick(Column("x"), Take(np.array([2, 0, 2], "u1"))), {"x": [5.0, 6.0, 7.0]}) == [7, 5, 7]


@pytest.mark.parametrize(
    ("what", "of", "result"),
    [
        ("mean", [[1, 2, 6]], 3),
        ("std", [[1, 5]], 2),
        ("last", [[1, 2, 6]], 6),
        ("gap", [[1, 2, 6], [1, 5, 4]], 3),
        ("share_within", [[-2, -1, 0.5, 0.9], [1]], 0.5),
    ],
)
def test_measure_is_a_statistic_of_columns(what, of, result):
    columns = {str(k): np.array(column, float) for k, column in enumerate(of)}
    assert at(measure(what, *columns), columns) == [result]
    assert at(Measure(what, tuple(map(constant, of)))) == [result]


def test_a_measure_is_taken_in_double_precision():
    x = np.random.default_rng(0).normal(1000, 1, 512).astype("f4")
    assert at(measure("std", "x"), {"x": x}) == [x.astype("f8").std()]


def test_controls_of_are_all_that_a_frame_follows():
    follows = {"x": {"drift"}}.__getitem__
    along = Along(np.arange(2.0), Take(np.eye(2), ("a",)), Column("x"))
    assert controls_of(along, follows) == {"a", "drift"}
    assert controls_of(Take(np.ones((2, 3)), ("a",), until=("steps", 3)), follows) == {"a", "steps"}
    assert controls_of(Product((Control("b"), Pick(Column("x"), constant([0])))), follows) == {"b", "drift"}
    assert controls_of(measure("gap", "x", constant(1)), follows) == {"drift"}


# ---- the browser says the same

SIZES = st.integers(1, 4)
many_states_at_once = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def everywhere(**sizes: int) -> list[State]:
    """Every position of the controls, each with a value of its own."""
    axes = [[(name, (k, 0.1 * k - 0.25)) for k in range(size)] for name, size in sizes.items()]
    states = [{}]
    for axis in axes:
        states = [{**state, name: place} for state in states for name, place in axis]
    return [State(**state) for state in states]


@many_states_at_once
@given(a=SIZES, b=SIZES, extra=st.integers(0, 3), kind=st.sampled_from([*TYPED]))
def test_browser_takes_the_same_pieces(in_browser, a, b, extra, kind):
    table = np.random.default_rng(0).uniform(0, 250, (a, b, b + extra)).astype(kind)
    columns = {
        "s.all": Take(table.ravel()),
        "s.some": Take(table, ("a", "b")),
        "s.turned": Take(np.moveaxis(table, 0, 1), ("b", "a")),
        "s.one": Take(table[..., 0], ("a", "b")),
        "s.past": Take(table, ("a", "b"), until=("b", b)),
        "s.counted": Take(table, ("a", "b"), unit=1 / 256),
        "s.both": Take(table, ("a", "b"), ("b", b), 0.1),
    }
    assert_twins(columns, everywhere(a=a, b=b), in_browser)


@many_states_at_once
@given(a=SIZES, size=st.integers(2, 40), seed=st.integers(0, 999), holes=st.booleans())
def test_browser_combines_and_measures_the_same(in_browser, a, size, seed, holes):
    rng = np.random.default_rng(seed)
    table = rng.normal(0, 10 ** rng.uniform(-3, 3), (a, size))
    if holes:
        table[:, 0] = np.nan
    columns = {
        "s.x": Take(table, ("a",)),
        "s.single": Take(table.astype("f4"), ("a",)),
        "s.control": Control("a"),
        "s.sum": Sum((Column("x"), Control("a"), Column("single"))),
        "s.product": Product((Control("a"), Column("s.x"), Column("x"))),
        "s.few": Sum((Control("a"), Control("a"))),
        "other.x": Column("s.sum"),
        "other.picked": Pick(Column("x"), Take(rng.integers(0, size, 7).astype("u1"))),
        "other.last": measure("last", "s.single"),
        "other.gap": measure("gap", "x", "s.product"),
        "other.share": measure("share_within", "x", constant(1)),
    }
    assert_twins(columns, everywhere(a=a), in_browser)
    summed = columns | {f"m.{what}_{x}": measure(what, f"s.{x}") for what in ("mean", "std") for x in ("x", "single")}
    assert_twins(summed, everywhere(a=a), in_browser, rtol=1e-11, atol=1e-12)


@many_states_at_once
@given(a=SIZES, size=st.integers(2, 60), seed=st.integers(0, 999))
def test_browser_sets_points_on_curves_the_same(in_browser, a, size, seed):
    rng = np.random.default_rng(seed)
    start, length = rng.uniform(-9, 9), rng.uniform(0.5, 9)
    x = np.linspace(start, start + length, size)
    places = np.concatenate([rng.uniform(-12, 12, 20), x, [x[0] - 1, x[-1] + 1, np.nan]])
    columns = {
        "s.x": Take(places) + Control("a"),
        "s.y": Along(x, Take(rng.uniform(-1, 1, (a, size)).astype("f4"), ("a",)), Column("x")),
    }
    assert_twins(columns, everywhere(a=a), in_browser, atol=1e-12)


@pytest.mark.parametrize("kind", FIGURES, ids=[kind.slug for kind in FIGURES])
def test_browser_and_python_agree_on_every_column_of_the_figures(in_browser, kind):
    rng = np.random.default_rng(0)
    controls = kind.controls()
    states = []
    for _ in range(20):
        values = {name: control.positions[rng.integers(len(control.positions))] for name, control in controls.items()}
        position = Position(controls, values)
        states.append(State(**{name: (position.index(name), position.value(name)) for name in controls}))
    columns = {f"{s}.{name}": frame for s, frames in sources_of(kind).items() for name, frame in frames.items()}
    assert_twins(columns, states, in_browser, rtol=1e-12, atol=1e-12)


def test_what_was_fed_is_picked_by_a_control_and_is_empty_before(in_browser):
    columns = {
        "s.step": Fed("run.step"),
        "s.low": Fed("run.low", by="neuron"),
        "s.second": Fed("run.low", place=1),
        "s.now": Latest("run.low"),
        "s.none": Fed("walk.step"),
        "s.no_row": Latest("walk.step"),
        "s.last": measure("last", "s.none"),
        "s.reached": measure("first_reaching", "s.step", "s.low", constant(4)),
        "s.never": measure("first_reaching", "s.none", "s.none", constant(4)),
        "s.which": measure("which_number", "s.none", "s.never", "s.low"),
        "s.reach": measure("reach", constant(2), "s.none", "s.second"),
    }
    states = [State(neuron=(0, 1.0)), State(neuron=(1, 2.0))]
    assert_twins(columns, states, in_browser)
    first = dict(zip(columns, in_python(columns, states[:1])[0], strict=True))
    assert first["s.low"].tolist() == [1, 3, 5]
    assert first["s.now"].tolist() == [5, -6]
    assert first["s.none"].size == 0
    assert first["s.reached"].tolist() == [75]
    assert first["s.which"].tolist() == [2]
    assert first["s.reach"].tolist() == [8]


def test_browser_knows_every_statistic(in_browser):
    columns = {"s.x": constant([1, 2, 6]), "s.y": constant([1, 5, 4])}
    one = ("s.x",)
    of = {
        "gap": ("s.x", "s.y"),
        "share_within": ("s.x", constant(1.5)),
        "last_below": ("s.x", constant(7)),
        "first_reaching": ("s.x", "s.y", constant(4)),
        "first_number": (constant(np.nan), "s.y"),
        "which_number": (constant(np.nan), "s.y", "s.x"),
        "reach": (constant(2), "s.x", "s.y"),
    }
    columns |= {f"m.{what}": measure(what, *of.get(what, one)) for what in STATISTICS}
    assert_twins(columns, [State()], in_browser, rtol=1e-15)
