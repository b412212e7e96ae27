"""No traceback, whatever a policy file contains."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remusnet.policy import PRESETS
from remusnet.policy.conditions import CONDITIONS
from remusnet.policy.toml import PolicyFileError, load, to_toml
from remusnet.tables.mistakes import Mistake
from tests.lib.long import count, seed


def outcome(text: str) -> tuple[Mistake, ...]:
    """The mistakes of ``text``; none where it loads. Each is one harmless line."""
    try:
        load(text, "p.toml")
    except PolicyFileError as error:
        found, whole = error.mistakes, str(error)
    else:
        return ()
    assert found
    assert all(line.isprintable() for line in (whole, *map(str, found)))
    return found


WHOLE = "\n".join(
    [
        to_toml(PRESETS["real-time"]),
        '[[rule]]\nverdict = "hold"\nprotocol = ["udp", 132]\nsource = ["192.0.2.0/24", "::/0"]',
        'port = "10000-20000"\ndscp = "ef"\nfragment = ["whole", "first"]\ntunnel = "vxlan"\n',
    ]
)
SWAPS = (
    "[]", "{}", "true", "1.5", "nan", "1979-05-27T07:32:00Z", "07:32:00", "-1", "99999999999999",
    '""', '"\\u0000"', "[[[]]]", '"x"', "[true, 1.0]", "0o17", "'''a\nb'''", "\x00", "[[rule]]",
    "🙂", "=", "\n", "#", "rule", "{rule = []}", '["udp", {}]', '"١-٢"', '"²"', '"::%1"',
)  # fmt: skip


def damaged(rng: Random) -> str:
    """A policy file after one to three accidents, as text (what is no UTF-8 never gets here)."""
    data = WHOLE.encode()
    for _ in range(rng.randrange(1, 4)):
        at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        match rng.randrange(5):
            case 0 if data:
                flipped = bytearray(data)
                flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                data = bytes(flipped)
            case 1:
                data = data[:at]
            case 2:
                data = data[:at] + data[min(to, at + 20) :]
            case 3:
                data = data[:at] + data[at : at + 40] + data[at:]
            case _:
                lines = data.split(b"\n")
                n = rng.randrange(len(lines))
                key = lines[n].split(b"=")[0] if rng.random() < 0.8 else b""
                lines[n] = key + b"= " + rng.choice(SWAPS).encode()
                data = b"\n".join(lines)
    return data.decode(errors="replace")


def test_damaged_files_load_or_say_what_is_wrong_on_one_line() -> None:
    rng = Random(seed())
    files = count(sample=500, long=10_000)
    refused = sum(bool(outcome(damaged(rng))) for _ in range(files))
    # Else the damage would be too weak to say anything; about 85 in 100 are refused.
    assert refused > 0.7 * files


def toml_text(value: object) -> str:
    """A value as TOML, for what hypothesis thinks of."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
        case list():
            return f"[{', '.join(map(toml_text, value))}]"
        case dict():
            return (
                "{" + ", ".join(f"{toml_text(k)} = {toml_text(v)}" for k, v in value.items()) + "}"
            )
        case date():
            return value.isoformat()
        case _:
            return repr(value)


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# The words of the format, so that some of what is tried gets past the first check.
known_words = st.sampled_from(
    ["udp", "tcp", "hold", "bypass", "rtp", "ef", "192.0.2.0/24", "::/0", "1-9", "real-time"]
)
any_value: st.SearchStrategy[Any] = st.recursive(
    st.one_of(any_text, known_words, st.integers(), st.floats(), st.booleans(), st.dates()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=2),
    max_leaves=5,
)
keys = st.sampled_from(["name", "verdict", *(condition.key for condition in CONDITIONS), "x"])
some_keys = st.dictionaries(keys, any_value, max_size=5)


@settings(max_examples=count(sample=100, long=5_000))
@given(
    st.dictionaries(st.sampled_from(["name", "description", "default", "extends", "y"]), any_value),
    any_value | st.lists(some_keys, max_size=3),
)
@pytest.mark.slow
def test_any_toml_values_load_or_are_mistakes(head: dict[str, Any], rules: object) -> None:
    text = "".join(f"{key} = {toml_text(value)}\n" for key, value in head.items())
    found = outcome(f"{text}rule = {toml_text(rules)}\n")
    # Else `toml_text` would write broken TOML, and the loader would see no value at all.
    assert not any("broken TOML" in mistake.problem for mistake in found), text


@given(st.text(max_size=80))
def test_any_text_loads_or_is_a_mistake(text: str) -> None:
    outcome(text)
