"""Link types: which one remusnet reads, and the names of those it refuses.

Source: https://www.tcpdump.org/linktypes.html
"""

from __future__ import annotations

from remusnet.errors import InvalidInput

ETHERNET = 1

_NAMES = {
    0: "NULL",
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
    108: "LOOP",
    113: "LINUX_SLL",
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
    276: "LINUX_SLL2",
}
# What "tcpdump -i any" writes: the usual reason to be here, and easily put right.
_ANY_DEVICE = frozenset({113, 276})


def check(link_type: int, name: str) -> None:
    """Raise InvalidInput unless ``link_type`` is Ethernet; ``name`` is the capture's label."""
    if link_type == ETHERNET:
        return
    known = _NAMES.get(link_type, "unknown")
    hint = "; capture on one interface instead of 'any'" if link_type in _ANY_DEVICE else ""
    raise InvalidInput(
        f"{name}: link type {known} ({link_type}) is not supported; "
        f"supported: {_NAMES[ETHERNET]} ({ETHERNET}){hint}"
    )
