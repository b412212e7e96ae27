"""A frame as tc's ingress hook sees it: what the kernel does to it on the way there.

Source: net/core/dev.c, __netif_receive_skb_core(); net/core/skbuff.c, skb_vlan_untag().
"""

from __future__ import annotations

from typing import NamedTuple

STRIPPED_TAGS = (0x8100, 0x88A8)
ETHERNET = 14


class Ingress(NamedTuple):
    """An skb. ``data``: from the Ethernet header on, without ``tag``, the ethertype of the tag
    that was moved to the metadata (0: none). ``protocol``: what tc compares a filter's with.
    """

    data: bytes
    tag: int
    protocol: int


def at_ingress(frame: bytes) -> Ingress | None:
    """None for a frame that no filter sees: cut in its Ethernet header, or in a tag and 2 bytes."""
    if len(frame) < ETHERNET:
        return None
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype not in STRIPPED_TAGS:
        return Ingress(frame, 0, _protocol(ethertype, frame[14:16]))
    if len(frame) < ETHERNET + 6:
        return None
    return Ingress(frame[:12] + frame[16:], ethertype, ethertype)


def _protocol(ethertype: int, payload: bytes) -> int:
    """eth_type_trans(): ETH_P_802_3 for old Novell frames, ETH_P_802_2 for others with a length."""
    if ethertype >= 0x0600:
        return ethertype
    return 0x0001 if payload == b"\xff\xff" else 0x0004
