from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.errors import InvalidInput
from remusnet.report.assertion_syntax import Operator, Selector, parse
from remusnet.report.measures import Reading
from remusnet.report.metric_table import METRICS


def test_an_assertion_is_a_metric_a_comparison_and_a_limit() -> None:
    assertion = parse("rtp.jitter.mean < 6ms")
    assert assertion.metric is METRICS["rtp.jitter.mean"]
    assert assertion.selectors == ()
    assert (assertion.operator, assertion.limit) == (Operator.LESS, 6.0)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("rtp.jitter.mean < 6ms", 6),
        ("rtp.jitter.mean < 0.006s", 6),
        ("rtp.jitter.mean < 300us", 0.3),
        ("rtp.jitter.mean < 1ns", 1e-6),
        ("failover.outage < 2min", 120_000),
        ("rtp.jitter.mean == 0", 0),
        ("rtp.loss < 1%", 1),
        ("rtp.loss == 0", 0),
        ("mos >= 4", 4),
        ("mos.min >= 3.61", 3.61),
        ("commit.violations == 0", 0),
    ],
)
def test_limits_are_in_the_unit_of_the_metric(text: str, limit: float) -> None:
    assert parse(text).limit == limit


@pytest.mark.parametrize("sign", [each.value for each in Operator])
def test_every_comparison_is_read_whole(sign: str) -> None:
    assert parse(f"mos{sign}4").operator.value == sign


@pytest.mark.parametrize(
    "text",
    [
        "rtp[policy=tcp-only,ssrc=0x600d0001].jitter.mean<6ms",
        " rtp [ policy = tcp-only , ssrc = 0x600d0001 ] . jitter . mean < 6 ms ",
        "rtp.jitter.mean[policy='tcp-only',ssrc=\"0x600d0001\"] < 6ms",
        "rtp.jitter[policy=tcp-only,ssrc=0x600d0001].mean < 6ms",
    ],
)
def test_a_selector_may_stand_behind_any_word_and_spaces_anywhere(text: str) -> None:
    assertion = parse(text)
    assert assertion.metric.path == "rtp.jitter.mean"
    assert assertion.selectors == (
        Selector("policy", "tcp-only"),
        Selector("ssrc", "0x600d0001"),
    )


def test_quotes_protect_what_a_flow_is_made_of() -> None:
    text = "rtp[flow='udp [2001:db8::1]:5004 > *, *']\t.lost == 0"
    assert parse(text).selectors == (Selector("flow", "udp [2001:db8::1]:5004 > *, *"),)


@pytest.mark.parametrize(
    ("value", "matches"),
    [
        ("udp 10.0.0.1:5004 > 10.0.0.2:6000", True),
        ("UDP 10.0.0.1:5004 > *", True),
        ("*", True),
        ("*10.0.0.2*", True),
        ("udp", False),
        ("udp 10.0.0.1:5004 . 10.0.0.2:6000", False),  # a dot is a dot
    ],
)
def test_a_star_stands_for_anything_and_nothing_else_does(value: str, matches: bool) -> None:
    reading = Reading(1.0, (("flow", "udp 10.0.0.1:5004 > 10.0.0.2:6000"),))
    assert Selector("flow", value).matches(reading) is matches


def test_a_reading_without_the_label_is_not_selected() -> None:
    assert not Selector("group", "*").matches(Reading(1.0, ()))


MISTAKES = {
    "": "the end: expected a metric, for example rtp.jitter.mean",
    "rtp.jiter.mean < 6ms": "column 1: unknown metric 'rtp.jiter.mean' "
    "(did you mean 'rtp.jitter.mean'?)",
    "  rtp.jitter < 6ms": "column 3: unknown metric 'rtp.jitter'; expected one of "
    "rtp.jitter.mean, rtp.jitter.max",
    "rtp. < 6ms": "column 6: expected the next word of a metric",
    "rtp.jitter.mean": "the end: expected one of < <= > >= == !=",
    "rtp.jitter.mean = 6ms": "column 17: expected one of < <= > >= == !=",
    "rtp.jitter.mean <": "the end: expected a time with its unit, for example 6ms",
    "rtp.jitter.mean < 6": "column 19: rtp.jitter.mean needs a time with its unit, "
    "for example 6ms, not '6'",
    "rtp.jitter.mean < 6kg": "column 19: rtp.jitter.mean needs a time with its unit, "
    "for example 6ms, not '6kg'",
    "rtp.jitter.mean < -6ms": "column 19: expected a time with its unit, for example 6ms",
    "rtp.loss < 1": "column 12: rtp.loss needs a share, for example 1%, not '1'",
    "rtp.lost < 1%": "column 12: rtp.lost needs a number without a unit, not '1%'",
    "mos >= 4 and more": "column 8: mos needs a number without a unit, not '4 and more'",
    "mos >= 4.2.1": "column 11: '.1' is too much",
    "rtp[polcy=tcp-only].lost == 0": "column 5: rtp.lost has no selector 'polcy' "
    "(did you mean 'policy'?); it has policy, from, flow, ssrc, group, call, codec",
    "commit[ssrc=1].held > 0": "column 8: commit.held has no selector 'ssrc'; it has policy",
    "rtp[].lost == 0": "column 5: expected what to select by, for example policy",
    "rtp[policy].lost == 0": "column 11: expected = behind 'policy'",
    "rtp[policy=].lost == 0": "column 12: expected a value",
    "rtp[policy=a b].lost == 0": "column 14: expected , or ]",
    "rtp[policy='a].lost == 0": "column 12: a ' is missing",
    "rtp[policy=a][ssrc=1].lost == 0": "column 14: one selector only: part what it asks by commas",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_line_with_its_place(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    said = str(caught.value)
    assert said.startswith(f"assertion {text!r}, " if "'" not in text else "assertion ")
    assert MISTAKES[text] in said
    assert "\n" not in said
    assert caught.value.exit_code == 2


@given(st.text(max_size=40) | st.text("rtp.jitemansdvolc[]=,<>!0123456789%'\" \x1b\n", max_size=60))
def test_any_text_is_an_assertion_or_one_printable_line(text: str) -> None:
    said = "nothing"
    try:
        parse(text)
    except InvalidInput as error:
        said = str(error)
    assert said.isprintable()


def test_names_of_metrics_can_be_typed() -> None:
    for path in METRICS:
        assert parse(f"{path} > 0").metric.path == path
