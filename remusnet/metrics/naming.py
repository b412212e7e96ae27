"""What the payload types of one stream mean: by RFC 3551, by SDP, or by how the stream behaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Columns
from remusnet.frames import Frames
from remusnet.metrics.clock import guessed_clock_rate
from remusnet.metrics.flows import address
from remusnet.metrics.payload_types import (
    STATIC,
    VIDEO_CLOCK_RATE,
    Medium,
    PayloadType,
    RateSource,
)
from remusnet.metrics.rtp_packets import RtpPackets
from remusnet.metrics.sdp import MediaMap
from remusnet.metrics.telephone_events import looks_like_events


@dataclass(frozen=True, slots=True)
class Named:
    """``types``: a stream's payload types in order of appearance. ``notes``: what is a guess."""

    types: tuple[PayloadType, ...]
    notes: tuple[str, ...]


def named_types(packets: RtpPackets, frames: Frames, columns: Columns, media: MediaMap) -> Named:
    """The payload types of one stream.

    A type that nothing describes takes its clock rate from its own packets. Where those are all
    key presses beside sound, it is taken for telephone events, with the sound's clock: they are
    sent on it (RFC 4733, section 2.1). What can't be told is None.
    """
    index = int(packets.frame[0])
    source = address(columns, index, source=True), int(columns.sport[index])
    destination = address(columns, index, source=False), int(columns.dport[index])
    numbers, first = np.unique(packets.payload_type, return_index=True)
    found: dict[int, PayloadType] = {}
    notes: dict[int, str] = {}
    unnamed = []
    for number in numbers.tolist():
        if number in STATIC:
            known, rate_source = STATIC[number], RateSource.STATIC
        elif announced := media.encoding(number, source, destination):
            known, rate_source = announced, RateSource.SDP
        else:
            unnamed.append(number)
            continue
        found[number] = PayloadType(
            number, known.name, known.clock_rate, rate_source, known.medium, known.is_event
        )
    pressed = []
    for number in unnamed:
        own = packets.take(np.flatnonzero(packets.payload_type == number))
        if len(numbers) > 1 and looks_like_events(own, frames, columns):
            pressed.append(number)
            continue
        rate = guessed_clock_rate(own.recorded_ns, own.timestamp)
        rate_source = RateSource.UNKNOWN if rate is None else RateSource.ESTIMATED
        # Sound has 90,000 Hz in static types alone (RFC 3551, section 5).
        medium = Medium.VIDEO if rate == VIDEO_CLOCK_RATE else None
        found[number] = PayloadType(number, None, rate, rate_source, medium)
        notes[number] = (
            f"payload type {number}: no SDP, and its clock rate can't be told: no jitter, no MOS"
            if rate is None
            else f"payload type {number}: no SDP, clock rate {rate} Hz estimated"
            + (", so taken for video" if medium is Medium.VIDEO else "")
        )
    count = np.bincount(packets.payload_type, minlength=128)
    sound = [each for each in found.values() if each.clock_rate is not None and not each.is_event]
    beside = max(sound, key=lambda each: int(count[each.number]), default=None)
    for number in pressed:
        rate = None if beside is None else beside.clock_rate
        rate_source = RateSource.UNKNOWN if rate is None else RateSource.ASSUMED
        found[number] = PayloadType(
            number, "telephone-event", rate, rate_source, Medium.AUDIO, is_event=True
        )
        clock = "" if rate is None else f", clock rate {rate} Hz assumed"
        notes[number] = f"payload type {number}: no SDP, taken for telephone events{clock}"
    order = numbers[np.argsort(first)].tolist()
    return Named(
        tuple(found[number] for number in order),
        tuple(notes[number] for number in order if number in notes),
    )
