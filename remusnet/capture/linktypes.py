"""Link types: those that remusnet reads, their names, and the Ethernet header it makes up for some.

The other rooms work on Ethernet. Nothing is copied: each of the other layers has a header of 14
bytes and more, or a record's header in front of it, which is read by then and given over.

Source: https://www.tcpdump.org/linktypes.html and the pages that it leads to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from remusnet.errors import InvalidInput
from remusnet.files import label
from remusnet.frames import Bytes, Int64s, numbers, stretches

ETHERNET = 1
NULL = 0
LOOP = 108
LINUX_SLL = 113
LINUX_SLL2 = 276
RAW = (101, 228, 229, 12, 14)
"""IP without a header in front: RAW, IPV4, IPV6, and what some systems write for RAW."""
READ = (ETHERNET, LINUX_SLL, LINUX_SLL2, *RAW[:3], NULL, LOOP)
"""What remusnet reads, by the names that people know."""

_NAMES = {
    NULL: "NULL",
    ETHERNET: "ETHERNET",
    6: "IEEE802_5",
    8: "SLIP",
    9: "PPP",
    10: "FDDI",
    50: "PPP_HDLC",
    51: "PPP_ETHER",
    101: "RAW",
    104: "C_HDLC",
    105: "IEEE802_11",
    107: "FRELAY",
    12: "RAW",
    14: "RAW",
    LOOP: "LOOP",
    LINUX_SLL: "LINUX_SLL",
    117: "PFLOG",
    127: "IEEE802_11_RADIOTAP",
    187: "BLUETOOTH_HCI_H4",
    189: "USB_LINUX",
    192: "PPI",
    195: "IEEE802_15_4_WITHFCS",
    220: "USB_LINUX_MMAPPED",
    227: "CAN_SOCKETCAN",
    228: "IPV4",
    229: "IPV6",
    239: "NFLOG",
    249: "USBPCAP",
    252: "WIRESHARK_UPPER_PDU",
    253: "NETLINK",
    LINUX_SLL2: "LINUX_SLL2",
}


def is_read(link_type: int) -> bool:
    """Whether frames of ``link_type`` can be read."""
    return link_type in READ or link_type in RAW


def shown(link_type: int) -> str:
    """``LINUX_SLL2 (276)``."""
    return f"{_NAMES.get(link_type, 'unknown')} ({link_type})"


def check(link_type: int, source: str | Path) -> None:
    """Raise InvalidInput unless ``link_type`` is read; ``source`` is the capture, for messages."""
    if not is_read(link_type):
        raise InvalidInput(
            f"{label(source)}: link type {shown(link_type)} is not supported; "
            f"supported: {', '.join(map(shown, READ))}"
        )


_ETHERNET = 14
NO_ETHERTYPE = 0xFFFF
"""Reserved (RFC 9542, section 3): stands for what is no packet of a protocol with a number."""
_IPV4, _IPV6 = 0x0800, 0x86DD
# The family of IPv6 is 10 in Linux, 24 in NetBSD, 28 in FreeBSD, 30 in macOS; IPv4's is 2 in all.
_FAMILIES = {2: _IPV4, 10: _IPV6, 24: _IPV6, 28: _IPV6, 30: _IPV6}
# Hardware types (ARPHRD_*) whose protocol field is no ethertype: netlink, and raw 802.11.
_NO_ETHERTYPES = (824, 801, 802, 803)
_BROADCAST, _MULTICAST = 1, 2


@dataclass(frozen=True, slots=True)
class Placed:
    """Where n frames lie: offset, captured and original length; int64[n] each."""

    offset: Int64s
    caplen: Int64s
    length: Int64s


def as_ethernet(data: Bytes, link_type: int, placed: Placed) -> Placed:
    """``placed`` frames of ``link_type`` as Ethernet frames; ``data`` is written to.

    The 14 bytes before each frame are overwritten: no caller may need them any more. A frame cut in
    its header has no byte left. Of other layers than Linux's cooked ones both addresses are zero.
    """
    if link_type == ETHERNET or len(placed.offset) == 0:
        return placed
    size = _HEADERS[link_type]
    whole = placed.caplen >= max(size, 1)
    at = placed.offset[whole]
    macs = np.zeros((len(at), 12), np.uint8)
    if link_type == LINUX_SLL:
        ethertype = numbers(data, at + 14, 2)
        _addresses(data, macs, numbers(data, at, 2), numbers(data, at + 4, 2), at + 6)
        ethertype[np.isin(numbers(data, at + 2, 2), _NO_ETHERTYPES)] = NO_ETHERTYPE
    elif link_type == LINUX_SLL2:
        ethertype = numbers(data, at, 2)
        _addresses(data, macs, numbers(data, at + 10, 1), numbers(data, at + 11, 1), at + 12)
        ethertype[np.isin(numbers(data, at + 8, 2), _NO_ETHERTYPES)] = NO_ETHERTYPE
    elif size == 4:
        ethertype = _of_family(data, at)
    else:
        version = numbers(data, at, 1) >> 4
        ethertype = np.select([version == 4, version == 6], [_IPV4, _IPV6], NO_ETHERTYPE)
    begin = at + size - _ETHERNET
    header = np.concatenate([macs, _bytes(ethertype)], axis=1)
    stretches(data, _ETHERNET)[begin] = header.view(f"V{_ETHERNET}")[:, 0]

    offset, caplen = placed.offset.copy(), np.zeros_like(placed.caplen)
    offset[whole] = begin
    caplen[whole] = placed.caplen[whole] - size + _ETHERNET
    return Placed(offset, caplen, np.maximum(placed.length - size + _ETHERNET, caplen))


_HEADERS = {
    NULL: 4,
    LOOP: 4,
    LINUX_SLL: 16,
    LINUX_SLL2: 20,
    **dict.fromkeys(RAW, 0),
}


def _addresses(data: Bytes, macs: Bytes, kind: Int64s, length: Int64s, address: Int64s) -> None:
    """The sender's address, where it has six bytes, and a destination of the ``kind`` it tells."""
    macs[kind == _BROADCAST, :6] = 0xFF
    macs[kind == _MULTICAST, 0] = 0x01
    six = np.flatnonzero(length == 6)
    macs[six, 6:] = data[address[six][:, None] + np.arange(6)]


def _of_family(data: Bytes, at: Int64s) -> Int64s:
    """The ethertype of an address family, which is a small number in the order that it is meant."""
    byte = [numbers(data, at + place, 1) for place in range(4)]
    big = byte[0] << 24 | byte[1] << 16 | byte[2] << 8 | byte[3]
    little = byte[3] << 24 | byte[2] << 16 | byte[1] << 8 | byte[0]
    family = np.minimum(big, little)
    ethertype = np.full(len(at), NO_ETHERTYPE, np.int64)
    for number, known in _FAMILIES.items():
        ethertype[family == number] = known
    return ethertype


def _bytes(number: Int64s) -> Bytes:
    """uint8[n, 2], big-endian."""
    return number.astype(">u2").view(np.uint8).reshape(len(number), 2)
