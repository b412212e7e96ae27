from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet import errors
from remusnet.errors import quoted, suggestion


def test_each_error_has_the_exit_code_that_scripts_rely_on() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {
        kind.__name__: kind.exit_code
        for kind in kinds
        # Failed has the code of what failed.
        if issubclass(kind, errors.RemusnetError)
        and kind not in (errors.RemusnetError, errors.Failed)
    }
    assert codes == {
        "CheckFailed": 1,
        "InvalidInput": 2,
        "MissingDependency": 3,
        "NotPermitted": 4,
        "Conflict": 5,
        "KernelRefused": 6,
    }


@given(st.text())
def test_quoted_text_is_printable_ascii_and_tells_what_it_was(text: str) -> None:
    shown = quoted(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert ast.literal_eval(shown) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("vif1.0", "'vif1.0'"),
        ("it's", '"it\'s"'),
        ("\x1b[2J", r"'\x1b[2J'"),
        ("a\nb", r"'a\nb'"),
        ("é\u202e\udcff", r"'\xe9\u202e\udcff'"),
    ],
)
def test_quoted_escapes_what_a_terminal_would_obey(text: str, shown: str) -> None:
    assert quoted(text) == shown


def test_a_suggestion_is_the_close_word() -> None:
    assert suggestion("tcp-onyl", ["hold-all", "tcp-only"]) == " (did you mean 'tcp-only'?)"


def test_there_is_no_suggestion_where_nothing_is_close() -> None:
    assert suggestion("quux", ["hold-all", "tcp-only"]) == ""
    assert suggestion("quux", []) == ""
