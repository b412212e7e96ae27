from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.errors import InvalidInput
from remusnet.units import (
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)

LARGEST = 2**63 - 1

# Plain integers hardly ever end in zeros; people's do.
counts = st.one_of(
    st.integers(0, LARGEST),
    st.builds(
        lambda digits, zeros: min(digits * 10**zeros, LARGEST),
        st.integers(0, 9999),
        st.integers(0, 15),
    ),
)


@given(counts)
def test_a_printed_duration_reads_back_as_the_same(ns: int) -> None:
    assert parse_duration(format_duration(ns)) == ns


@given(counts.filter(bool))
def test_a_printed_rate_reads_back_as_the_same(bits_per_second: int) -> None:
    assert parse_rate(format_rate(bits_per_second)) == bits_per_second


@given(counts)
def test_a_size_is_read_in_bytes_and_stays_exact(count: int) -> None:
    assert parse_size(f"{count}") == parse_size(f"{count}b") == count


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("0ms", 0),
        ("1ns", 1),
        ("250us", 250_000),
        ("0.1ms", 100_000),
        ("400ms", 400_000_000),
        (" 400 MS ", 400_000_000),
        ("1.5s", 1_500_000_000),
        ("2min", 120_000_000_000),
        ("9223372036854775807ns", LARGEST),
        # A float would make ...768 of it.
        ("1234567890.123456789s", 1_234_567_890_123_456_789),
        ("0.000000001s", 1),
    ],
)
def test_durations_are_read_exactly(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    ("text", "rate"),
    [("1bit", 1), ("1gbit", 10**9), ("100Mbit", 10**8), ("1.5kbit", 1500), ("1tbit", 10**12)],
)
def test_rates_are_read_in_powers_of_ten(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("10000000", 10**7), ("10MB", 10**7), ("256KiB", 2**18), ("1.5kib", 1536)],
)
def test_sizes_tell_powers_of_ten_from_powers_of_two(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("parse", [parse_duration, parse_rate, parse_size])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ms",
        "-1ms",
        "+1ms",
        "1e3ms",
        "1,5s",
        ".5s",
        "1.s",
        "nan",
        "inf",
        "soon",
        "1 fortnight",
        "1ms 2",
        "0x10",
        "1_000",
        "٣ms",
        "1ms\n; reboot",
        "9" * 40 + "gib",
    ],
)
def test_anything_else_is_invalid_input_in_one_line(parse: Callable[[str], int], text: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse(text)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_duration, "400", "invalid time: '400'; expected for example 400ms, 1.5s or 250us"),
        (parse_duration, "1.5ns", "invalid time: '1.5ns' is finer than remusnet counts"),
        (
            parse_duration,
            "9223372036854775808ns",
            "invalid time: '9223372036854775808ns' is too large",
        ),
        (parse_rate, "0mbit", "invalid rate: '0mbit'; expected more than 0"),
        (parse_rate, "100", "invalid rate: '100'; expected for example 1gbit or 100mbit"),
        (parse_size, "1.5", "invalid size: '1.5' is finer than remusnet counts"),
    ],
)
def test_the_message_says_what_would_be_right(
    parse: Callable[[str], int], text: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse(text)
    assert str(raised.value) == message


@pytest.mark.parametrize("parse", [parse_duration, parse_rate, parse_size])
@given(text=st.text(max_size=12))
def test_no_text_raises_anything_but_invalid_input(parse: Callable[[str], int], text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert 0 <= parse(text) <= LARGEST


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0ms"),
        (999, "999ns"),
        (1_000, "1us"),
        (250_000, "250us"),
        (400_000_000, "400ms"),
        (1_500_000_000, "1.5s"),
        (60_000_000_000, "60s"),
        (1_234_567, "1234.567us"),
    ],
)
def test_durations_are_printed_as_people_write_them(ns: int, text: str) -> None:
    assert format_duration(ns) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1, "1bit"), (1_500_000, "1500kbit"), (10**8, "100mbit"), (10**9, "1gbit")],
)
def test_rates_are_printed_in_the_largest_unit_that_is_exact(rate: int, text: str) -> None:
    assert format_rate(rate) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (9_999, "9999 B"),
        (10_000, "10 kB"),
        (262_144, "262 kB"),
        (50_000_000, "50.0 MB"),
        (2_500_000_000, "2.5 GB"),
    ],
)
def test_sizes_are_printed_rounded(count: int, text: str) -> None:
    assert format_size(count) == text
