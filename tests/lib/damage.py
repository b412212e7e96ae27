"""What happens to frames on the way, or by malice: one function a kind of damage."""

from __future__ import annotations

from collections.abc import Callable
from random import Random


def cut(rng: Random, frame: bytes, _network: int) -> bytes:
    """Ends anywhere, within the Ethernet header too."""
    return frame[: rng.randrange(len(frame))]


def cut_headers(rng: Random, frame: bytes, network: int) -> bytes:
    """Ends within what a classifier reads: the 64 bytes from the network header on."""
    return frame[: min(len(frame), network + rng.randrange(64))]


def flip(rng: Random, frame: bytes, _network: int) -> bytes:
    """One to three bits differ, in the first 90 bytes."""
    damaged = bytearray(frame)
    for _ in range(rng.randrange(1, 4)):
        damaged[rng.randrange(min(90, len(damaged)))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _overwrite(frame: bytes, at: int, value: int, size: int) -> bytes:
    if len(frame) < at + size:
        return frame
    return frame[:at] + value.to_bytes(size, "big") + frame[at + size :]


def version(rng: Random, frame: bytes, network: int) -> bytes:
    """The IP version is another than the ethertype's."""
    if len(frame) <= network:
        return frame
    return _overwrite(frame, network, rng.randrange(16) << 4 | frame[network] & 15, 1)


def short_ihl(rng: Random, frame: bytes, network: int) -> bytes:
    """An IPv4 header length below 20 bytes."""
    return _overwrite(frame, network, 0x40 | rng.randrange(5), 1)


def long_ihl(rng: Random, frame: bytes, network: int) -> bytes:
    """An IPv4 header length of up to 60 bytes, often beyond the frame."""
    return _overwrite(frame, network, 0x40 | rng.randrange(6, 16), 1)


def ip_length(rng: Random, frame: bytes, network: int) -> bytes:
    """An IPv4 total length (or IPv6 payload length) of anything; 0 is what offload leaves."""
    at = network + (4 if len(frame) > network and frame[network] >> 4 == 6 else 2)
    value = rng.choice((0, 1, 8, 19, 20, 21, 28, 36, 40, 48, len(frame), 0xFFFF))
    return _overwrite(frame, at, value, 2)


def udp_length(rng: Random, frame: bytes, network: int) -> bytes:
    """A UDP length of anything, where UDP directly follows IP; else some other bytes change."""
    at = network + (44 if len(frame) > network and frame[network] >> 4 == 6 else 24)
    value = rng.choice((0, 1, 7, 8, 9, 15, 16, 19, 20, 21, 28, 180, 0xFFFF))
    return _overwrite(frame, at, value, 2)


def trailer(rng: Random, frame: bytes, _network: int) -> bytes:
    """Padding behind the packet, as short Ethernet frames have."""
    return frame + rng.randbytes(rng.randrange(1, 47))


def noise(rng: Random, frame: bytes, network: int) -> bytes:
    """Random bytes from the network header on."""
    return frame[:network] + rng.randbytes(len(frame) - network)


NONE = "whole"
Damage = Callable[[Random, bytes, int], bytes]
DAMAGES: dict[str, Damage] = {
    "cut": cut,
    "cut-headers": cut_headers,
    "flip": flip,
    "version": version,
    "short-ihl": short_ihl,
    "long-ihl": long_ihl,
    "ip-length": ip_length,
    "udp-length": udp_length,
    "trailer": trailer,
    "noise": noise,
}
"""By name: ``damage(rng, frame, where the network header starts)``."""
