"""Messages: what is encoded is decoded as the same, and a template is the message itself."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.classify.bpf.assembler import BpfMatch
from remusnet.classify.filters import ETH_P_IP, ETH_P_IPV6, Filter, FilterMatch
from remusnet.classify.flower.conditions import FlowerMatch
from remusnet.classify.u32.conditions import U32Key, U32Match
from remusnet.errors import InvalidInput
from remusnet.kernel.change.execute import Encoder
from remusnet.kernel.state.observe import decode_filter
from remusnet.kernel.wire.codec import (
    TC_ACT_PIPE,
    TC_ACT_STOLEN,
    TCA_ACT_COOKIE,
    TCA_ACT_KIND,
    TCA_ACT_OPTIONS,
    TCA_EGRESS_MIRROR,
    TCA_EGRESS_REDIR,
    TCA_KIND,
    TCA_MIRRED_PARMS,
    TCA_OPTIONS,
    attribute,
    attributes,
    nested,
    text_attribute,
    traffic_control,
)
from remusnet.kernel.wire.messages import KINDS, canonical, encode, filter_info, kind_of
from remusnet.plan.operations import AddFilter, DrainPlug
from remusnet.plan.plan import CLASSIFIERS, Plan, build_plan, undo_of
from remusnet.policy import PRESETS, Policy
from remusnet.policy.policy import Fragment
from remusnet.policy.verdict import Verdict
from tests.lib.policies import policies

HEADER = 16  # of a netlink message
INDEXES = {"vif1.0": 0x0A0B0C0D, "ifb-1.0": 0x00010203, "sink-1.0": 0x0C0B0A09}

keys = st.builds(
    lambda word, mask, value: U32Key(4 * word, mask, value & mask),
    st.integers(-4, 30),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
u32_matches = st.builds(U32Match, st.lists(keys, min_size=1, max_size=8).map(tuple))
ports = st.none() | st.integers(1, 0xFFFF).flatmap(
    lambda mask: st.integers(0, 0xFFFF).map(lambda value: (value & mask, mask))
)


@st.composite
def flower_filters(draw: st.DrawFn) -> Filter:
    protocol = draw(st.sampled_from([ETH_P_IP, ETH_P_IPV6]))
    bits = 32 if protocol == ETH_P_IP else 128
    kind = int if protocol == ETH_P_IP else (lambda number: number.to_bytes(16, "big"))

    def network() -> st.SearchStrategy[object]:
        numbers = st.tuples(st.integers(0, 2**bits - 1), st.integers(1, bits))
        return numbers.map(lambda both: ip_network((kind(both[0]), both[1]), strict=False))

    ip_proto = draw(st.none() | st.sampled_from([1, 6, 17, 58, 132, 50]))
    match = FlowerMatch(
        ip_proto=ip_proto,
        dscp=draw(st.none() | st.integers(0, 63)),
        fragment=draw(st.none() | st.sampled_from(Fragment)) if protocol == ETH_P_IP else None,
        source=draw(st.none() | network()),  # type: ignore[arg-type] # built from a tuple
        destination=draw(st.none() | network()),  # type: ignore[arg-type] # likewise
        source_port=draw(ports) if ip_proto in (6, 17, 132) else None,
        destination_port=draw(ports) if ip_proto in (6, 17, 132) else None,
        icmp_type=draw(st.none() | st.integers(0, 255)) if ip_proto in (1, 58) else None,
    )
    return Filter(10, protocol, match, Verdict.BYPASS, "")


@given(match=u32_matches)
def test_a_u32_selector_comes_back_as_it_went(match: U32Match) -> None:
    assert canonical(Filter(10, ETH_P_IP, match, Verdict.HOLD, "")) == match


@given(each=flower_filters())
def test_flower_keys_come_back_as_they_went(each: Filter) -> None:
    assert canonical(each) == each.match


@given(policies())
def test_no_two_flower_filters_of_a_policy_are_the_same_to_the_kernel(policy: Policy) -> None:
    """It would refuse the second. (u32 takes it, and never asks it.)"""
    with contextlib.suppress(InvalidInput):
        filters = CLASSIFIERS["flower"](policy).filters
        shown = [(each.pref, each.protocol, canonical(each)) for each in filters]
        assert len(set(shown)) == len(shown)


def test_a_flower_key_that_compares_nothing_is_none() -> None:
    everywhere = FlowerMatch(ip_proto=17, source=ip_network("0.0.0.0/0"), source_port=(0, 0))
    each = Filter(10, ETH_P_IP, everywhere, Verdict.BYPASS, "")
    assert canonical(each) == FlowerMatch(ip_proto=17)


def plans() -> list[Plan]:
    return [
        build_plan(
            ["vif1.0"],
            policy,
            classifier=name,
            rate=10**9,
            interval_ns=10**8,
            decouple=decouple,
        )
        for policy in PRESETS.values()
        for name in CLASSIFIERS
        for decouple in (True, False)
    ]


@pytest.mark.parametrize("plan", plans(), ids=lambda p: f"{p.classification.policy.name}")
def test_a_filter_message_is_read_back_as_the_filter(plan: Plan) -> None:
    for operation in plan.operations:
        if isinstance(operation, AddFilter):
            seen = decode_filter(encode(operation, INDEXES.__getitem__)[HEADER:])
            what = operation.filter
            hold = what.verdict is Verdict.HOLD
            assert seen is not None
            assert (seen.pref, seen.protocol) == (what.pref, what.protocol)
            assert (seen.match, seen.verdict) == (what.match, what.verdict)
            assert seen.cookie == (b"remusnet" if hold else b"")
            assert seen.target == (INDEXES["ifb-1.0"] if hold else 0)
            assert seen.sink == (INDEXES["sink-1.0"] if hold and operation.sink else None)


def mirred(after: int, what: int, more: bytes = b"") -> bytes:
    parameters = struct.pack("=IIiiiiI", 0, 0, after, 0, 0, what, 7)
    options = nested(TCA_ACT_OPTIONS, attribute(TCA_MIRRED_PARMS, parameters))
    return text_attribute(TCA_ACT_KIND, "mirred") + options + more


MARK = attribute(TCA_ACT_COOKIE, b"remusnet")
MIRROR, REDIRECT = (TC_ACT_PIPE, TCA_EGRESS_MIRROR), (TC_ACT_STOLEN, TCA_EGRESS_REDIR)


@pytest.mark.parametrize(
    ("actions", "is_ours"),
    [
        ([mirred(*REDIRECT, MARK)], True),
        ([mirred(*MIRROR), mirred(*REDIRECT, MARK)], True),
        ([mirred(*MIRROR)], False),
        ([mirred(*MIRROR, MARK), mirred(*REDIRECT, MARK)], False),
        ([mirred(TC_ACT_STOLEN, TCA_EGRESS_MIRROR), mirred(*REDIRECT, MARK)], False),
        ([mirred(TC_ACT_PIPE, TCA_EGRESS_REDIR), mirred(*REDIRECT, MARK)], False),
        ([mirred(*REDIRECT, MARK), mirred(*MIRROR)], False),
        ([mirred(*MIRROR), mirred(*MIRROR), mirred(*REDIRECT, MARK)], False),
        ([text_attribute(TCA_ACT_KIND, "gact"), mirred(*REDIRECT, MARK)], False),
        ([mirred(TC_ACT_PIPE, TCA_EGRESS_REDIR, MARK)], False),
    ],
)
def test_other_actions_than_ours_are_not_interpreted(actions: list[bytes], is_ours: bool) -> None:
    match = U32Match((U32Key(0, 0xFF, 1),))
    kind = kind_of(match)
    then = nested(kind.action, *(nested(at, each) for at, each in enumerate(actions, start=1)))
    body = traffic_control(1, handle=0x80000800, info=filter_info(10, ETH_P_IP))
    body += text_attribute(TCA_KIND, "u32")
    seen = decode_filter(body + nested(TCA_OPTIONS, then, kind.encode(match, ETH_P_IP)))
    assert seen is not None
    assert (seen.verdict, seen.match) == ((Verdict.HOLD, match) if is_ours else (None, None))


@pytest.mark.parametrize("plan", plans(), ids=lambda p: f"{p.classification.policy.name}")
def test_a_template_filled_in_is_the_message(plan: Plan) -> None:
    encoder = Encoder(INDEXES)
    operations = (*plan.operations, *undo_of(plan.operations))
    for operation in operations:
        if not isinstance(operation, DrainPlug):
            assert encoder.encode(operation) == encode(operation, INDEXES.__getitem__)


def test_a_shared_filter_has_its_own_template() -> None:
    encoder = Encoder(INDEXES)
    (operation, *_) = (each for each in plans()[0].operations if isinstance(each, AddFilter))
    for each in (operation, dataclasses.replace(operation, shared=True)):
        assert encoder.encode(each) == encode(each, INDEXES.__getitem__)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_attribute_is_no_match_of_ours(kind: str) -> None:
    examples: dict[str, FilterMatch] = {
        "u32": U32Match((U32Key(0, 0xFF, 1),)),
        "flower": FlowerMatch(ip_proto=6),
        "bpf": BpfMatch(PLAN_PROGRAM),
    }
    encoded = kind_of(examples[kind]).encode(examples[kind], ETH_P_IP)
    assert KINDS[kind].decode(attributes(encoded), ETH_P_IP) == examples[kind]
    more = attributes(encoded + attribute(77, b"\0\0\0\0"))
    assert KINDS[kind].decode(more, ETH_P_IP) is None


(PLAN_PROGRAM,) = (
    each.match.program
    for each in CLASSIFIERS["bpf"](PRESETS["hold-all"]).filters
    if isinstance(each.match, BpfMatch)
)


@given(data=st.binary(max_size=200))
def test_any_bytes_can_be_decoded_or_are_no_filter_of_ours(data: bytes) -> None:
    """What the kernel says is trusted to be whole, not to be ours."""
    for kind in KINDS.values():
        options = {
            kind.action: data,
            kind.classid: b"\1\0\xff\xff",
            9: data,  # u32: counters; flower: the IP protocol
        }
        assert kind.decode(options, ETH_P_IP) is None
