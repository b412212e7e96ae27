"""What a filter asks for, in tc's syntax and in JSON: one form for each tc classifier."""

from __future__ import annotations

from collections.abc import Iterator

from remusnet.classify.bpf.assembler import BpfMatch
from remusnet.classify.filters import FilterMatch
from remusnet.classify.flower.conditions import FlowerMatch
from remusnet.classify.u32.conditions import U32Match
from remusnet.plan.rows import Json
from remusnet.policy.policy import Fragment


def match_words(match: FilterMatch) -> tuple[str, ...]:
    """The arguments of ``tc filter add`` from the classifier's name on: ``u32 match ...``."""
    match match:
        case U32Match(keys):
            words = [f"match u32 {k.value:#010x} {k.mask:#010x} at {k.offset}" for k in keys]
            return tuple(" ".join(("u32", *words)).split())
        case FlowerMatch():
            return ("flower", *(word for pair in _flower_pairs(match) for word in pair))
        case BpfMatch(program):
            # One argument, spaces and all.
            return ("bpf", "bytecode", ",".join((str(len(program)), *map(str, program))))


def match_json(match: FilterMatch) -> Json:
    """The same as values: ``{"classifier": "u32", "keys": [...]}``."""
    match match:
        case U32Match(keys):
            found = [
                {"offset": k.offset, "mask": f"{k.mask:#010x}", "value": f"{k.value:#010x}"}
                for k in keys
            ]
            return {"classifier": "u32", "keys": found}
        case FlowerMatch():
            return {"classifier": "flower", "keys": dict(_flower_pairs(match))}
        case BpfMatch(program):
            return {"classifier": "bpf", "program": [[i.op, i.yes, i.no, i.k] for i in program]}


_FLOWER_FRAGMENTS = {
    Fragment.WHOLE: "nofrag",
    Fragment.FIRST: "frag/firstfrag",
    Fragment.LATER: "frag/nofirstfrag",
}


def _flower_pairs(match: FlowerMatch) -> Iterator[tuple[str, str]]:
    """Keys in the order that tc wants: it reads ports and types by the protocol before them."""
    if match.ip_proto is not None:
        yield "ip_proto", f"{match.ip_proto:#04x}"  # tc reads numbers here as hexadecimal
    if match.dscp is not None:
        yield "ip_tos", f"{match.dscp << 2:#04x}/0xfc"
    if match.fragment is not None:
        yield "ip_flags", _FLOWER_FRAGMENTS[match.fragment]
    if match.source is not None:
        yield "src_ip", str(match.source)
    if match.destination is not None:
        yield "dst_ip", str(match.destination)
    for name, port in (("src_port", match.source_port), ("dst_port", match.destination_port)):
        if port is not None:
            yield name, f"{port[0]}/{port[1]:#06x}"
    if match.icmp_type is not None:
        yield "type", str(match.icmp_type)
