#!/usr/bin/python3
"""Write one talker's RTP stream as a capture that sipp's ``play_pcap_audio`` sends.

G.711 A-law (payload type 8), 160 bytes each 20 ms: what sipp's own g711a.pcap, with 30 ms packets
and one SSRC for both ways, is not. The sound is a buzz at a talker's pitch in syllables, with some
noise, so that payload bytes vary as speech makes them vary. The same arguments give the same bytes.
Only Python's own library is needed.
"""

from __future__ import annotations

import argparse
import math
import random
import struct
from collections.abc import Iterator
from pathlib import Path

SAMPLE_RATE = 8000
SAMPLES = 160  # one packet: 20 ms
PACKET_US = SAMPLES * 1_000_000 // SAMPLE_RATE
PAYLOAD_TYPE = 8  # PCMA (RFC 3551, table 4)
SYLLABLES_HZ = 4.0  # how fast people speak

# sipp reads the addresses of the file but sends to and from those of the SIP dialogue.
ETHERNET = bytes.fromhex("020000000002 020000000001 0800")
ADDRESSES = bytes((192, 0, 2, 1, 192, 0, 2, 2))
PORT = 6000
# Not 0: sipp takes a packet at time 0 for "none sent yet", and sends the next one at once.
FIRST_PACKET_US = 1_000_000


def alaw(sample: int) -> int:
    """One 16-bit linear sample as an A-law byte (ITU-T G.711, table 1a)."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = (sample if sample >= 0 else ~sample) >> 4
    # The segment is the magnitude's order; in it, the four bits after the first one are the step.
    segment = max(magnitude.bit_length() - 4, 0)
    step = (magnitude >> max(segment - 1, 0)) & 0x0F
    return (sign | (segment << 4) | step) ^ 0x55  # every other bit turned, for the line's sake


def speech(pitch: float, seed: int) -> Iterator[int]:
    """Linear samples without end: harmonics of ``pitch`` (Hz), loud and soft as syllables are."""
    noise = random.Random(seed)
    phase = 0.0
    n = 0
    while True:
        seconds = n / SAMPLE_RATE
        loudness = 0.05 + 0.95 * math.sin(math.pi * SYLLABLES_HZ * seconds) ** 2
        intonation = pitch * (1 + 0.15 * math.sin(2 * math.pi * 0.4 * seconds))
        phase += 2 * math.pi * intonation / SAMPLE_RATE
        voice = sum(math.sin(k * phase) / k for k in range(1, 9))
        yield int(9000 * loudness * voice + noise.gauss(0, 150))
        n += 1


def internet_checksum(data: bytes) -> int:
    """RFC 1071, for an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def frame(rtp: bytes) -> bytes:
    """``rtp`` in UDP (without a checksum: sipp computes its own), IPv4 and Ethernet."""
    udp = struct.pack("!4H", PORT, PORT, 8 + len(rtp), 0) + rtp
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ADDRESSES
    header = header[:10] + struct.pack("!H", internet_checksum(header)) + header[12:]
    return ETHERNET + header + udp


def capture(ssrc: int, seconds: int, pitch: float) -> bytes:
    """The whole capture file (pcap, microseconds): ``seconds`` x 50 packets."""
    sound = speech(pitch, ssrc)
    start = random.Random(ssrc)
    sequence = start.randrange(1 << 16)  # both random at the start: RFC 3550, 5.1
    timestamp = start.randrange(1 << 32)
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for n in range(seconds * SAMPLE_RATE // SAMPLES):
        marker = 0x80 if n == 0 else 0  # the start of a talk spurt: RFC 3551, 4.1
        rtp = struct.pack(
            "!BBHII",
            0x80,
            marker | PAYLOAD_TYPE,
            (sequence + n) % (1 << 16),
            (timestamp + n * SAMPLES) % (1 << 32),
            ssrc,
        ) + bytes(alaw(next(sound)) for _ in range(SAMPLES))
        data = frame(rtp)
        time = divmod(FIRST_PACKET_US + n * PACKET_US, 1_000_000)
        parts += [struct.pack("<IIII", *time, len(data), len(data)), data]
    return b"".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="the capture to write")
    parser.add_argument("--ssrc", type=lambda text: int(text, 0), required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--pitch", type=float, required=True, help="of the voice, in Hz")
    arguments = parser.parse_args()
    arguments.file.write_bytes(capture(arguments.ssrc, arguments.seconds, arguments.pitch))


if __name__ == "__main__":
    main()
