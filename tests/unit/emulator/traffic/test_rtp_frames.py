from __future__ import annotations

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from remusnet.classify.columns import PAYLOAD_CLASSES, columns
from remusnet.classify.reference import classify
from remusnet.emulator.traffic.rtp import Source, sources
from remusnet.emulator.traffic.rtp_frames import Templates, stream_verdicts
from remusnet.frames import Frames
from remusnet.policy import PRESETS
from remusnet.policy.policy import PayloadClass
from remusnet.policy.toml import load as load_policy
from remusnet.policy.verdict import Verdict
from remusnet.scenario.traffic import CODECS
from tests.unit.emulator.scenes import scenario

KINDS = ['ip = "ipv4"', 'ip = "ipv6"', "vlan = true", 'ip = "ipv6"\nvlan = true', "srtp = true"]


def packets(text: str, count: int = 300) -> tuple[Source, list[bytes]]:
    found = scenario(f'[[calls]]\ndirection = "send"\n{text}')
    (source,) = sources(found)
    rng = np.random.default_rng(3)
    rows = (
        Templates(found.host)
        .of(source)
        .packets(
            rng.integers(0, 2**16, count), rng.integers(0, 2**32, count), rng.random(count) < 0.5
        )
    )
    return source, [row.tobytes() for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_every_packet_is_what_scapy_would_have_made(kind: str) -> None:
    """scapy computes lengths and checksums anew where they are taken out."""
    for frame in packets(kind)[1]:
        again = Ether(frame)
        layer = IPv6 if IPv6 in again else IP
        assert (Dot1Q in again) == ("vlan" in kind)
        for header, name in ((layer, "chksum"), (UDP, "chksum"), (UDP, "len"), (layer, "len")):
            if name in again[header].fields:
                del again[header].fields[name]
        assert bytes(again) == frame


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_classifier_sees_rtp_with_and_without_a_marker(kind: str, codec: str) -> None:
    """So one judgement of a stream's header stands for all of its packets."""
    _, frames = packets(f'codec = "{codec}"\n{kind}', 20)
    found = columns(Frames.of(frames))
    assert (found.payload_class == PAYLOAD_CLASSES.index(PayloadClass.RTP)).all()
    for policy in PRESETS.values():
        assert len({classify(policy, frame).verdict for frame in frames}) == 1


def test_a_frame_is_as_long_as_the_plug_is_told() -> None:
    for codec in CODECS:
        for kind in KINDS:
            source, frames = packets(f'codec = "{codec}"\n{kind}', 1)
            assert len(frames[0]) == source.frame_bytes


def test_streams_of_a_policy_that_looks_at_addresses_are_judged_one_by_one() -> None:
    policy = load_policy(
        'name = "one-phone"\ndefault = "hold"\n'
        '[[rule]]\nverdict = "bypass"\ndestination = "198.18.0.1"\n',
        "p.toml",
    )
    found = scenario('[[calls]]\ncount = 3\ndirection = "send"')
    streams = tuple(sources(found))
    verdicts = stream_verdicts(streams, found.host, [policy, PRESETS["tcp-only"]])
    assert verdicts == [[True, False, True], [False, False, False]]


def test_verdicts_are_those_of_the_reference_classifier() -> None:
    found = scenario('[[calls]]\ncount = 2\n[[calls]]\nip = "ipv6"\n[[calls]]\nvlan = true')
    streams = tuple(sources(found))
    policies = list(PRESETS.values())
    for policy, holds in zip(policies, stream_verdicts(streams, found.host, policies), strict=True):
        for source, hold in zip(streams, holds, strict=True):
            frame = Templates(found.host).of(source).row.tobytes()
            assert hold == (classify(policy, frame).verdict is Verdict.HOLD)
