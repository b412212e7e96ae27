"""Which frames of a recording the protected guest sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import numpy as np

from remusnet.classify.columns import Columns, group_rows
from remusnet.errors import InvalidInput, quoted
from remusnet.frames import Bools

XEN_PREFIX = 0x00163E
"""The address block of Xen's guests (IEEE registry: 00-16-3E)."""

_MAC = re.compile(r"[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}", re.ASCII | re.IGNORECASE)
_BROADCAST = IPv4Address("255.255.255.255")
_NAMED = 3
"""Addresses that an error names before it says "and others"."""


@dataclass(frozen=True, slots=True, eq=False)
class Guest:
    """``address``: MAC or IP address as text; ``reason``: why it was taken, half a sentence.

    ``sent``: bool[n], which frames it sent; at least one.
    """

    address: str
    reason: str
    sent: Bools


def find_guest(columns: Columns, wanted: str | None = None) -> Guest:
    """The guest that ``wanted`` names, or the one that the frames suggest.

    A MAC address stands for all frames with that source. An IP address stands for the IP packets
    with that source (not for ARP, which has none). Without either it is the source MAC address
    with Xen's prefix, where there is one, else any unicast source; of several the one that sent
    most frames, and of equals the one seen first. Frames of a loopback device, and those whose
    Ethernet header is made up, have no addresses there: then it is an IP address, told likewise.

    Raises InvalidInput: no address, or nothing was sent from it.
    """
    if len(columns) == 0:
        raise InvalidInput("no guest traffic: there are no frames")
    if wanted is None:
        return _suggested(columns)
    if _MAC.fullmatch(wanted):
        mac = int(re.sub("[:-]", "", wanted), 16)
        guest = Guest(mac_text(mac), "as asked", columns.mac_source == mac)
    else:
        guest = _by_ip(columns, wanted)
    if not guest.sent.any():
        raise InvalidInput(
            f"no guest traffic: no frame is from {guest.address}; {_senders(columns)}"
        )
    return guest


def mac_text(mac: int) -> str:
    """``00:16:3e:00:00:01``."""
    return mac.to_bytes(6, "big").hex(":")


def _by_ip(columns: Columns, wanted: str) -> Guest:
    address: IPv4Address | IPv6Address
    try:
        address = IPv6Address(wanted) if ":" in wanted else IPv4Address(wanted)
    except AddressValueError:
        raise InvalidInput(
            f"invalid guest: {quoted(wanted)}; expected a MAC address such as 00:16:3e:00:00:01, "
            "or an IP address"
        ) from None
    number = int(address) | (0xFFFF << 32 if address.version == 4 else 0)
    sent = (
        (columns.ip_version == address.version)
        & (columns.source[:, 0] == np.uint64(number >> 64))
        & (columns.source[:, 1] == np.uint64(number & (2**64 - 1)))
    )
    return Guest(str(address), "as asked", sent)


def _suggested(columns: Columns) -> Guest:
    macs, counts = _unicast_sources(columns)
    if not macs:
        return _busiest_ip(columns)
    xen = [mac for mac in macs if mac >> 24 == XEN_PREFIX]
    candidates = xen or macs
    mac = max(candidates, key=lambda each: counts[each])
    if xen:
        kind = "with Xen's prefix 00:16:3e"
        reason = f"the only sender {kind}" if len(xen) == 1 else _most(len(xen), kind)
    else:
        reason = f"{_most(len(macs), '')}; none has Xen's prefix 00:16:3e"
        if len(macs) == 1:
            reason = "the only sender"
    return Guest(mac_text(mac), reason, columns.mac_source == mac)


def _busiest_ip(columns: Columns) -> Guest:
    """The busiest sender by IP, where frames tell of no machine's MAC address."""
    addresses = _ip_sources(columns)
    if not addresses:
        raise InvalidInput("no guest traffic: no frame has a unicast source address, MAC or IP")
    guest = _by_ip(columns, addresses[0])
    said = "no frame has a sender's MAC address; "
    if len(addresses) == 1:
        return replace(guest, reason=f"{said}the only IP address that sends")
    return replace(guest, reason=f"{said}it sent most packets of {len(addresses)} IP addresses")


def _ip_sources(columns: Columns) -> list[str]:
    """Unicast source addresses, the busiest first; of equals the one seen first."""
    rows = np.flatnonzero(columns.ip_version > 0)
    first, group = group_rows([columns.source[rows, 0], columns.source[rows, 1]])
    counts = np.bincount(group, minlength=len(first))
    found = []
    for place in np.argsort(-counts, kind="stable").tolist():
        high, low = columns.source[rows[first[place]]].tolist()
        address = IPv6Address(high << 64 | low)
        seen = address.ipv4_mapped or address
        if not (seen.is_multicast or seen.is_unspecified or seen == _BROADCAST):
            found.append(str(seen))
    return found


def _most(count: int, kind: str) -> str:
    return f"it sent most frames of {count} senders {kind}".rstrip()


def _unicast_sources(columns: Columns) -> tuple[list[int], dict[int, int]]:
    """Source MAC addresses in order of first frames, and how many frames each sent."""
    macs, first, counts = np.unique(columns.mac_source, return_index=True, return_counts=True)
    # All zeros is the loopback device's; the lowest bit of the first byte marks a group.
    usable = (macs > 0) & ((macs >> 40) & 1 == 0)
    order = np.argsort(first[usable])
    found = macs[usable][order].tolist()
    return found, dict(zip(found, counts[usable][order].tolist(), strict=True))


def _senders(columns: Columns) -> str:
    macs, counts = _unicast_sources(columns)
    macs.sort(key=lambda mac: -counts[mac])
    names = [mac_text(mac) for mac in macs] or _ip_sources(columns)
    more = ", and others" if len(names) > _NAMED else ""
    return f"senders are {', '.join(names[:_NAMED]) or 'unknown'}{more}"
