"""The kernel's way with a frame and u32 filters, in Python: what a filter list does, without root.

Written from the kernel's sources and not from remusnet:

- net/ethernet/eth.c, eth_type_trans(): the protocol of a received frame;
- net/core/skbuff.c, skb_vlan_untag(): one outer 802.1Q or 802.1ad tag is moved aside, and the
  network header is behind it; a frame that ends within 2 bytes behind the tag is dropped;
- include/net/pkt_sched.h: for tc, the protocol of a tagged frame is its tag's;
- net/core/dev.c and net/sched/cls_api.c, tcf_classify(): filters are asked in the order of their
  preferences, those of other protocols left out;
- net/sched/cls_u32.c, u32_classify(): within a preference in the order of their handles; a load
  beyond the frame's end leaves the preference, not the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from remusnet.classify.filters import Filter
from remusnet.classify.u32.conditions import U32Match
from remusnet.policy.verdict import Verdict

_ETHERNET = 14
_ETH_P_802_3 = 0x0001
_ETH_P_ALL = 0x0003
_ETH_P_802_2 = 0x0004
_LOWEST_ETHERTYPE = 0x0600
_TAGS = (0x8100, 0x88A8)
# What lies before the Ethernet header is the driver's: any bytes, but always there.
_HEADROOM = bytes.fromhex("deadbeef" * 8)


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame as it comes to the filters: ``data`` from the headroom on, without its outer tag.

    ``protocol``: what tc compares; ``network``: where in ``data`` the network header starts.
    """

    data: bytes
    protocol: int
    network: int


def receive(frame: bytes) -> Packet | None:
    """What the filters get of ``frame``; None where the kernel drops it before."""
    if len(frame) < _ETHERNET:
        return None  # no driver takes it
    protocol = _protocol(frame, 12)
    if protocol in _TAGS:
        if len(frame) < _ETHERNET + 4 + 2:
            return None
        frame = frame[:12] + frame[16:]
    return Packet(_HEADROOM + frame, protocol, len(_HEADROOM) + _ETHERNET)


def _protocol(frame: bytes, at: int) -> int:
    """The ethertype at ``at``, or which of two numbers stands for a length."""
    ethertype = int.from_bytes(frame[at : at + 2], "big")
    if ethertype >= _LOWEST_ETHERTYPE:
        return ethertype
    # Novell's raw IPX begins with a checksum of ones; all else has an LLC header.
    return _ETH_P_802_3 if frame[at + 2 : at + 4] == b"\xff\xff" else _ETH_P_802_2


class Machine:
    """The filters at one vif's ingress."""

    def __init__(self, filters: Iterable[Filter]) -> None:
        # A stable sort: filters of one preference stay in the order in which they were added.
        by_preference = sorted(filters, key=lambda each: each.pref)
        self._preferences = []
        for _, group in groupby(by_preference, key=lambda each: each.pref):
            found = list(group)
            (protocol,) = {each.protocol for each in found}  # tc refuses a second one
            self._preferences.append((protocol, found))

    def decide(self, packet: Packet) -> Filter | None:
        """The filter that decides on ``packet``; None: none does, and it passes."""
        for protocol, filters in self._preferences:
            if protocol in (packet.protocol, _ETH_P_ALL):
                found = next(_matching(filters, packet), None)
                if found is not None:
                    return found
        return None

    def verdict(self, frame: bytes) -> Verdict | None:
        """What becomes of ``frame``; None where the kernel drops it before the filters."""
        packet = receive(frame)
        if packet is None:
            return None
        found = self.decide(packet)
        return Verdict.BYPASS if found is None else found.verdict


def _matching(filters: Iterable[Filter], packet: Packet) -> Iterator[Filter]:
    """Filters of one preference that match, until one looks beyond the packet's end."""
    for each in filters:
        assert isinstance(each.match, U32Match)
        for key in each.match.keys:
            at = packet.network + key.offset
            word = packet.data[at : at + 4]
            if len(word) < 4:
                return
            if (int.from_bytes(word, "big") ^ key.value) & key.mask:
                break
        else:
            yield each
