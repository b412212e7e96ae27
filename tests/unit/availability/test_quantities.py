from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.availability.file.quantities import value_of
from remusnet.tables.documents import Unfit

PARAMETERS = {"disk.mttf": 3600.0, "sticky": 0.01, "n": 3.0}


def number(text: object) -> float:
    return value_of(text, PARAMETERS, "a number")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4h", 14400.0),
        ("1.5 min", 90.0),
        ("2e-3s", 0.002),
        ("12%", 0.12),
        ("1 - sticky", 0.99),
        ("disk.mttf / 2 + 30s", 1830.0),
        ("-(n * 2)", -6.0),
        (7, 7.0),
        (0.25, 0.25),
    ],
)
def test_a_quantity_is_a_number_with_units_parameters_and_arithmetic(
    text: object, expected: float
) -> None:
    assert number(text) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "text",
    [
        "", "4q", "4h 3min", "n ** 9", "9**9**9", "abs(n)", "n.real", "__import__('os')",
        "n if n else 1", "1e999", "n / 0", "n / (n - n)", "1e308 * 10", "lambda: 1", "[1]", "'a'",
        "True", "1j", "4h%", "% 4", True, None, float("nan"), float("inf"), [], {}, "n\n",
        "(" * 100 + ")" * 100, "1+" * 300 + "1",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(Unfit):
        number(text)


def test_an_unknown_parameter_has_a_suggestion() -> None:
    with pytest.raises(Unfit, match=r"unknown parameter: 'disk.mttr' \(did you mean 'disk.mttf'"):
        number("disk.mttr")


trees = st.recursive(
    st.sampled_from(["n", "2", "0.5", "sticky"]),
    lambda inner: st.builds(
        lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from("+-*"), inner
    ),
    max_leaves=8,
)


@given(trees)
def test_arithmetic_is_that_of_python(text: str) -> None:
    expected = eval(text, {"n": 3.0, "sticky": 0.01})
    assert number(text) == pytest.approx(expected, rel=1e-12, abs=1e-15)
