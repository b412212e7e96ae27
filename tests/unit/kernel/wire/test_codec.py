"""The codec against pyroute2: it reads what we write, and writes what we read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from remusnet.kernel.state.observe import decode_device, decode_qdisc
from remusnet.kernel.wire import codec
from remusnet.kernel.wire.messages import encode
from remusnet.plan.operations import (
    AddFilter,
    AddIngress,
    AddPlug,
    ClosePlug,
    CreateBuffer,
    DeleteDevice,
    DeleteFilters,
    DeleteIngress,
    DeletePlug,
    LowerDevice,
    MarkDevice,
    OpenPlug,
    QuietDevice,
    RaiseDevice,
    SealSink,
    SetLimit,
)
from remusnet.plan.plan import CLASSIFIERS, build_plan
from remusnet.plan.rows import Operation
from remusnet.policy import PRESETS
from remusnet.policy.verdict import Verdict

REQUEST_ACK, CREATE_EXCL = 0x05, 0x600
ROOT, INGRESS, INGRESS_HANDLE = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFF0000
HEADER = 16
PLUG = [("TCA_KIND", "plug")]

indexes = st.integers(1, 2**31 - 1)
words = st.integers(0, 2**32 - 1)
names = st.text("abcifv0123456789.-_", min_size=1, max_size=15)


def read(reader: type[Any], message: bytes) -> tuple[int, int, dict[str, Any]]:
    """A message as pyroute2 reads it: its type, its flags, its fields and attributes by name."""
    found = reader(message)
    found.decode()
    assert found["header"]["length"] == len(message)
    fields = {
        each: found[each]
        for each in ("index", "flags", "change", "parent", "handle", "info")
        if each in found
    }
    fields["attributes"] = plain(found["attrs"])
    return found["header"]["type"], found["header"]["flags"], fields


def plain(attributes: list[Any]) -> dict[str, Any]:
    return {
        each[0]: plain(each[1]["attrs"]) if "attrs" in dict_of(each[1]) else each[1]
        for each in attributes
    }


def dict_of(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def written(message: Any, kind: int, **fields: object) -> bytes:
    """What pyroute2 writes."""
    for name, value in fields.items():
        message[name] = value
    message["header"] |= {"type": kind, "flags": REQUEST_ACK, "sequence_number": 0, "pid": 0}
    message.encode()
    return bytes(message.data)


def links(
    name: str, alias: str
) -> list[tuple[Operation, int, int, tuple[int, int], dict[str, Any]]]:
    """Operations on devices: type and flags of their message, flags to set, attributes."""
    created = {
        "IFLA_IFNAME": name,
        "IFLA_NUM_TX_QUEUES": 1,
        "IFLA_NUM_RX_QUEUES": 1,
        "IFLA_LINKINFO": {"IFLA_INFO_KIND": "ifb"},
    }
    silent = {"IFLA_AF_SPEC": {"AF_INET6": {"IFLA_INET6_ADDR_GEN_MODE": 1}}}
    return [
        (CreateBuffer(name), 16, CREATE_EXCL, (0, 0), created),
        (MarkDevice(name, alias), 19, 0, (0, 0), {"IFLA_IFALIAS": alias}),
        (QuietDevice(name), 19, 0, (0, 0), silent),
        (RaiseDevice(name), 16, 0, (1, 1), {}),
        (LowerDevice(name), 16, 0, (0, 1), {}),
        (DeleteDevice(name), 17, 0, (0, 0), {}),
    ]


@given(name=names, alias=st.text("a:,.", min_size=1), index=indexes)
def test_pyroute2_reads_our_messages_about_devices(name: str, alias: str, index: int) -> None:
    for operation, kind, flags, (set_, change), attributes in links(name, alias):
        found = read(ifinfmsg, encode(operation, lambda _: index))
        where = 0 if isinstance(operation, CreateBuffer) else index
        expected = {"index": where, "flags": set_, "change": change, "attributes": attributes}
        assert found == (kind, flags | REQUEST_ACK, expected), operation


@given(index=indexes, limit=words)
def test_pyroute2_reads_our_messages_about_qdiscs(index: int, limit: int) -> None:
    def plug(action: int, size: int) -> dict[str, Any]:
        return {"TCA_KIND": "plug", "TCA_OPTIONS": {"action": action, "limit": size}}

    ingress = {"TCA_KIND": "ingress"}
    sealed = {"TCA_KIND": "pfifo", "TCA_OPTIONS": {"limit": 0}}
    expected: list[tuple[Operation, int, int, int, int, dict[str, Any]]] = [
        (AddPlug("x", limit), 36, CREATE_EXCL, ROOT, 0, plug(3, limit)),
        (SetLimit("x", limit), 36, 0, ROOT, 0, plug(3, limit)),
        (OpenPlug("x"), 36, 0, ROOT, 0, plug(2, 0)),
        (ClosePlug("x"), 36, 0, ROOT, 0, plug(0, 0)),
        (DeletePlug("x"), 37, 0, ROOT, 0, {"TCA_KIND": "plug"}),
        (SealSink("x"), 36, CREATE_EXCL, ROOT, 0, sealed),
        (AddIngress("x"), 36, CREATE_EXCL, INGRESS, INGRESS_HANDLE, ingress),
        (DeleteIngress("x"), 37, 0, INGRESS, INGRESS_HANDLE, ingress),
    ]
    for operation, kind, flags, parent, handle, attributes in expected:
        found = read(tcmsg, encode(operation, lambda _: index))
        fields = {"index": index, "parent": parent, "handle": handle, "info": 0}
        assert found == (kind, flags | REQUEST_ACK, fields | {"attributes": attributes}), operation


@given(index=indexes, action=st.integers(0, 3), limit=words, handle=words)
def test_an_order_to_a_plug_is_byte_for_byte_what_pyroute2_writes(
    index: int, action: int, limit: int, handle: int
) -> None:
    options = {"action": action, "limit": limit}
    attributes = [*PLUG, ("TCA_OPTIONS", options)]
    theirs = written(tcmsg(), 36, index=index, parent=ROOT, handle=handle, attrs=attributes)
    assert codec.plug_message(index, action, limit, handle=handle) == theirs


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("decouple", [True, False])
def test_pyroute2_reads_where_our_filters_send_what_they_hold(
    classifier: str, decouple: bool
) -> None:
    numbers = {"vif1.0": 3, "ifb-1.0": 0x01020304, "sink-1.0": 0x05060708}
    plan = build_plan(
        ["vif1.0"],
        PRESETS["tcp-only"],
        classifier=classifier,
        rate=10**9,
        interval_ns=10**8,
        decouple=decouple,
    )
    filters = [each for each in plan.operations if isinstance(each, AddFilter)]
    for operation in filters:
        kind, flags, found = read(tcmsg, encode(operation, numbers.__getitem__))
        assert (kind, flags, found["index"], found["parent"]) == (44, 0x605, 3, INGRESS_HANDLE)
        assert found["info"] >> 16 == operation.filter.pref
        assert found["info"] & 0xFFFF == int.from_bytes(
            operation.filter.protocol.to_bytes(2, "big"), "little"
        )
        kind_ = found["attributes"]["TCA_KIND"]
        if kind_ != "u32":
            continue  # pyroute2 knows neither flower nor what is in a bpf of bytecode
        actions = found["attributes"]["TCA_OPTIONS"].get("TCA_U32_ACT", {})
        if operation.filter.verdict is Verdict.BYPASS:
            assert actions == {}
            continue
        sent = [
            (
                each["TCA_ACT_KIND"],
                parameters["action"],
                parameters["eaction"],
                parameters["ifindex"],
            )
            for each in actions.values()
            for parameters in [each["TCA_ACT_OPTIONS"]["TCA_MIRRED_PARMS"]]
        ]
        mirror, redirect = ("mirred", 3, 2, 0x05060708), ("mirred", 4, 1, 0x01020304)
        assert sent == ([mirror, redirect] if decouple else [redirect])


@given(index=indexes, pref=st.integers(1, 2**16 - 1), shared=st.booleans())
def test_pyroute2_reads_which_filters_we_delete(index: int, pref: int, shared: bool) -> None:
    found = read(tcmsg, encode(DeleteFilters("x", pref, 0x0800, shared), lambda _: index))
    parent = 0xFFFFFFF2 if shared else INGRESS_HANDLE
    fields = {"index": index, "parent": parent, "handle": 0, "info": pref << 16 | 0x0008}
    assert found == (45, REQUEST_ACK, fields | {"attributes": {}})


@given(
    index=indexes,
    name=names,
    alias=st.text("remusnet:vif1.0,", max_size=40),
    queue=words,
    up=st.booleans(),
    program=st.none() | st.integers(1, 2**32 - 1),
)
def test_we_read_a_device_that_pyroute2_writes(
    index: int, name: str, alias: str, queue: int, up: bool, program: int | None
) -> None:
    attributes: list[tuple[str, object]] = [
        ("IFLA_IFNAME", name),
        ("IFLA_TXQLEN", queue),
        ("IFLA_MTU", 1500),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "ifb")]}),
        ("IFLA_IFALIAS", alias),
    ]
    if program is not None:
        xdp = [("IFLA_XDP_ATTACHED", 1), ("IFLA_XDP_PROG_ID", program)]
        attributes.append(("IFLA_XDP", {"attrs": xdp}))
    message = written(ifinfmsg(), 16, index=index, flags=0x1043 if up else 0x1002, attrs=attributes)
    found = decode_device(message[HEADER:])
    assert (found.index, found.name, found.kind) == (index, name, "ifb")
    assert (found.alias, found.up, found.queue) == (alias, up, queue)
    assert found.xdp == (() if program is None else (program,))


@given(
    index=indexes,
    handle=words,
    basic=st.tuples(st.integers(0, 2**64 - 1), words),
    queue=st.tuples(words, words, words, words, words),
)
def test_we_read_a_plug_and_its_counters_that_pyroute2_writes(
    index: int, handle: int, basic: tuple[int, int], queue: tuple[int, ...]
) -> None:
    of_queue = dict(zip(("qlen", "backlog", "drops", "requeues", "overlimits"), queue, strict=True))
    stats = [
        ("TCA_STATS_BASIC", {"bytes": basic[0], "packets": basic[1]}),
        ("TCA_STATS_QUEUE", of_queue),
    ]
    attributes = [*PLUG, ("TCA_STATS2", {"attrs": stats})]
    message = written(tcmsg(), 36, index=index, handle=handle, parent=ROOT, attrs=attributes)
    where, parent, found = decode_qdisc(message[HEADER:])
    assert (where, parent, found.kind, found.handle) == (index, ROOT, "plug", handle)
    counters = found.counters
    assert (counters.bytes, counters.packets) == basic
    assert (counters.qlen, counters.backlog, counters.drops) == queue[:3]
    assert counters.overlimits == queue[4]
