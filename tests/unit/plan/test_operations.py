"""The table of operations: one row a kind, and values that nobody can change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from remusnet.plan.operations import CreateSink, MarkDevice, QuietDevice, SetLimit
from remusnet.plan.rows import Operation


def kinds(base: type[Operation] = Operation) -> Iterator[type[Operation]]:
    for each in base.__subclasses__():
        # A dataclass with slots is made twice; only the second is in its module.
        if getattr(__import__(each.__module__, fromlist="_"), each.__name__) is each:
            yield each
            yield from kinds(each)


KINDS = tuple(dict.fromkeys(kinds()))


def test_each_kind_has_a_row_of_its_own() -> None:
    names = [each.row.kind for each in KINDS]
    assert len(names) == 21
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.row.kind)
def test_an_operation_can_not_be_changed_and_carries_nothing_else(kind: type[Operation]) -> None:
    made = object.__new__(kind)
    assert not hasattr(made, "__dict__")
    with pytest.raises(AttributeError):
        made.device = "ifb-1.0"  # type: ignore[misc]  # it is what must fail


def test_an_argument_is_one_word_of_the_command_whatever_is_in_it() -> None:
    (command,) = MarkDevice("ifb-1.0", "a b {device}").commands
    assert command.arguments == ("link", "set", "dev", "ifb-1.0", "alias", "a b {device}")


def test_a_row_says_how_an_operation_reads_and_what_takes_it_back() -> None:
    made = SetLimit("ifb-1.0", 5, before=4)
    assert made.why == "The plug: holds up to 5 bytes from now on."
    assert made.undo == (SetLimit("ifb-1.0", 4),)
    assert made.to_json() == {
        "kind": "set-limit",
        "arguments": {"device": "ifb-1.0", "limit": 5},
        "undo": [{"kind": "set-limit", "arguments": {"device": "ifb-1.0", "limit": 4}, "undo": []}],
    }
    assert [each.kind for each in CreateSink("sink-1.0").undo] == ["delete-device"]
    (quiet,) = QuietDevice("ifb-1.0").commands
    assert quiet.may_fail == "a kernel without IPv6 refuses it"
