"""Link types: which ones remusnet reads, and the names of those it refuses.

Source: https://www.tcpdump.org/linktypes.html
"""

from __future__ import annotations

from remusnet.errors import InvalidInput

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


def check(link_type: int, name: str) -> None:
    """Raise InvalidInput unless ``link_type`` is read; ``name`` is the capture's label."""
    if not is_read(link_type):
        raise InvalidInput(
            f"{name}: link type {shown(link_type)} is not supported; "
            f"supported: {', '.join(map(shown, READ))}"
        )
