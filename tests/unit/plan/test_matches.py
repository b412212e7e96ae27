"""Filters in tc's syntax and in JSON; that tc takes them, the kernel tests show."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest

from remusnet.classify.bpf.assembler import BpfMatch, Instruction, Op
from remusnet.classify.filters import FilterMatch
from remusnet.classify.flower.conditions import FlowerMatch
from remusnet.classify.u32.conditions import U32Key, U32Match
from remusnet.plan.matches import match_json, match_words
from remusnet.policy.policy import Fragment

CASES: list[tuple[FilterMatch, str, dict[str, object]]] = [
    (
        U32Match((U32Key(-16, 0, 0), U32Key(8, 0x00FF0000, 0x00060000))),
        "u32 match u32 0x00000000 0x00000000 at -16 match u32 0x00060000 0x00ff0000 at 8",
        {
            "classifier": "u32",
            "keys": [
                {"offset": -16, "mask": "0x00000000", "value": "0x00000000"},
                {"offset": 8, "mask": "0x00ff0000", "value": "0x00060000"},
            ],
        },
    ),
    (
        BpfMatch((Instruction(Op.LOAD_HALF, 0, 0, 12), Instruction(Op.RETURN, 0, 0, 0xFFFFFFFF))),
        "bpf bytecode 2,40 0 0 12,6 0 0 4294967295",
        {"classifier": "bpf", "program": [[40, 0, 0, 12], [6, 0, 0, 4294967295]]},
    ),
    (
        FlowerMatch(
            ip_proto=17,
            dscp=46,
            fragment=Fragment.WHOLE,
            source=ip_network("10.0.0.0/8"),
            destination=ip_network("192.0.2.1/32"),
            source_port=(1024, 0xFC00),
            destination_port=(53, 0xFFFF),
        ),
        (
            "flower ip_proto 0x11 ip_tos 0xb8/0xfc ip_flags nofrag src_ip 10.0.0.0/8 "
            "dst_ip 192.0.2.1/32 src_port 1024/0xfc00 dst_port 53/0xffff"
        ),
        {
            "classifier": "flower",
            "keys": {
                "ip_proto": "0x11",
                "ip_tos": "0xb8/0xfc",
                "ip_flags": "nofrag",
                "src_ip": "10.0.0.0/8",
                "dst_ip": "192.0.2.1/32",
                "src_port": "1024/0xfc00",
                "dst_port": "53/0xffff",
            },
        },
    ),
    (
        FlowerMatch(ip_proto=58, icmp_type=135),
        "flower ip_proto 0x3a type 135",
        {"classifier": "flower", "keys": {"ip_proto": "0x3a", "type": "135"}},
    ),
    (
        FlowerMatch(fragment=Fragment.LATER),
        "flower ip_flags frag/nofirstfrag",
        {"classifier": "flower", "keys": {"ip_flags": "frag/nofirstfrag"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("match", "words", "document"), CASES)
def test_a_match_is_said_to_tc_and_in_json(
    match: FilterMatch, words: str, document: dict[str, object]
) -> None:
    assert " ".join(match_words(match)) == words
    assert json.loads(json.dumps(match_json(match))) == document


def test_a_program_is_one_argument() -> None:
    words = match_words(BpfMatch((Instruction(Op.RETURN, 0, 0, 0),)))
    assert words == ("bpf", "bytecode", "1,6 0 0 0")
