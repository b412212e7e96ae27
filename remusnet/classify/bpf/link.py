"""BPF that finds the ethertype of a frame as `remusnet.classify.headers` does.

At the ingress hook the outermost 802.1Q or 802.1ad tag is no longer in the frame: the kernel has
moved it to the metadata (net/core/skbuff.c, skb_vlan_untag). Others are where they were.
"""

from __future__ import annotations

from collections.abc import Set

from remusnet.classify.bpf.assembler import TAG_PRESENT, Assembler, Op
from remusnet.classify.bpf.conditions import LINK_NUMBERS, NO_ETHERTYPE, Field, Register
from remusnet.classify.headers import ETHERNET_HEADER, LLC_IP, MOST_TAGS, SNAP, SNAP_ETHERTYPE_OUIS
from remusnet.policy.policy import (
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    SMALLEST_ETHERTYPE,
    TAG_ETHERTYPES,
    Link,
)


def emit_link(code: Assembler, asked: Set[Register | Field]) -> None:
    """Goes to the label ``ipv4``, ``ipv6`` (with X at the network header), ``other`` or ``hold``.

    Stores ETHERTYPE for ``other``, and LINK where rules ask for it.
    """
    if Register.LINK in asked:
        # 1 is Link.TAGGED, 0 is Link.PLAIN: until more is seen, a tag moved aside is all there is.
        code.emit(Op.LOAD_WORD, TAG_PRESENT)
        code.emit(Op.STORE, Register.LINK)
    code.emit(Op.LOAD_X, ETHERNET_HEADER)
    code.emit(Op.LOAD_HALF, ETHERNET_HEADER - 2)
    code.branch(Op.IF_EQUAL, IPV4_ETHERTYPE, yes="ipv4")
    code.branch(Op.IF_EQUAL, IPV6_ETHERTYPE, yes="ipv6")
    code.emit(Op.STORE, Register.ETHERTYPE)
    code.emit(Op.LOAD_WORD, TAG_PRESENT)
    code.emit(Op.STORE, Register.TAGS)
    _emit_tags(code, asked, before=1)
    code.branch(Op.IF_AT_LEAST, SMALLEST_ETHERTYPE, yes="ethertype-known")
    _emit_llc(code, asked)
    code.label("ethertype-known")
    code.branch(Op.IF_EQUAL, IPV4_ETHERTYPE, yes="ipv4")
    code.branch(Op.IF_EQUAL, IPV6_ETHERTYPE, yes="ipv6", no="other")


def _emit_tags(code: Assembler, asked: Set[Register | Field], *, before: int) -> None:
    """Looks through tags, of which there were up to ``before`` until here.

    Then A is the ethertype, and X where what it names starts.
    """
    done = code.fresh("untagged")
    for number in range(MOST_TAGS):
        tag = code.fresh("tag")
        code.emit(Op.LOAD_MEMORY, Register.ETHERTYPE)
        code.branch_among(TAG_ETHERTYPES, yes=tag, no=done)
        code.label(tag)
        code.emit(Op.LOAD_MEMORY, Register.TAGS)
        if before + number >= MOST_TAGS:
            code.branch(Op.IF_AT_LEAST, MOST_TAGS, yes="hold")
        code.emit(Op.ADD, 1)
        code.emit(Op.STORE, Register.TAGS)
        _emit_link_is(code, asked, Link.TAGGED)
        code.emit(Op.LOAD_HALF_AT_X, 2)
        code.emit(Op.STORE, Register.ETHERTYPE)
        code.advance_x(4)
    code.emit(Op.LOAD_MEMORY, Register.ETHERTYPE)
    code.branch_among(TAG_ETHERTYPES, yes="hold", no=done)
    code.label(done)
    code.emit(Op.LOAD_MEMORY, Register.ETHERTYPE)


def _emit_llc(code: Assembler, asked: Set[Register | Field]) -> None:
    """Looks through LLC and SNAP, and the tags behind; then A is the ethertype."""
    _emit_link_is(code, asked, Link.LLC)
    code.emit(Op.LOAD_BYTE_AT_X, 2)
    code.branch(Op.IF_EQUAL, SNAP[2], no="no-ethertype")  # of LLC_IP too
    code.emit(Op.LOAD_HALF_AT_X, 0)
    code.branch(Op.IF_EQUAL, int.from_bytes(SNAP[:2], "big"), yes="snap")
    code.branch(Op.IF_EQUAL, int.from_bytes(LLC_IP[:2], "big"), no="no-ethertype")
    code.advance_x(len(LLC_IP))
    code.jump("ipv4")
    code.label("snap")
    code.emit(Op.LOAD_HALF_AT_X, 6)
    code.emit(Op.STORE, Register.ETHERTYPE)
    code.emit(Op.LOAD_HALF_AT_X, 3)
    code.branch(Op.IF_EQUAL, 0, no="no-ethertype")
    code.emit(Op.LOAD_BYTE_AT_X, 5)
    code.branch_among({oui[2] for oui in SNAP_ETHERTYPE_OUIS}, yes="oui", no="no-ethertype")
    code.label("oui")
    code.advance_x(8)
    _emit_tags(code, asked, before=MOST_TAGS)
    if Register.LINK in asked:
        _emit_link_is(code, asked, Link.LLC)
        code.emit(Op.LOAD_MEMORY, Register.ETHERTYPE)
    code.jump("ethertype-known")
    code.label("no-ethertype")
    code.emit(Op.LOAD, NO_ETHERTYPE)
    code.emit(Op.STORE, Register.ETHERTYPE)
    code.jump("other")


def _emit_link_is(code: Assembler, asked: Set[Register | Field], link: Link) -> None:
    if Register.LINK in asked:
        code.emit(Op.LOAD, LINK_NUMBERS[link])
        code.emit(Op.STORE, Register.LINK)
