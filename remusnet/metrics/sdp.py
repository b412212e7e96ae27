"""Session descriptions in a capture: which payload type means what, and where.

SIP messages carry SDP (RFC 8866) over UDP and TCP. The reader takes what it understands and skips
the rest: captures begin and end in the middle of calls, and may be damaged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from remusnet.classify.columns import Columns
from remusnet.frames import Frames
from remusnet.metrics.payload_types import Encoding, Medium
from remusnet.metrics.signalling import signalling_texts

_LINE = re.compile(rb"(?:^|\r?\n)([vcma])=([^\r\n]*)", re.IGNORECASE)
_CONNECTION = re.compile(r"IN IP[46] ([0-9A-Fa-f.:]+)(?:/[0-9/]+)?\s*")
# Types of lines are lower case, and protocols upper (RFC 8866, 5 and 5.14); some devices write
# them otherwise, and mean the same.
_MEDIA = re.compile(r"([a-z]+) +([0-9]{1,5})(?:/[0-9]+)? +[A-Z/]*RTP/[A-Z]+ .*", re.IGNORECASE)
_TOKEN = r"[!#-'*+.0-9A-Z^-~-]+"  # RFC 8866, section 9: `token`
_RTPMAP = re.compile(
    rf"rtpmap:([0-9]{{1,3}}) +({_TOKEN})/([0-9]{{1,9}})(?:/{_TOKEN})?\s*", re.IGNORECASE
)
_IPV4_MAPPED = 0xFFFF << 32


@dataclass(frozen=True, slots=True)
class Media:
    """One ``m=`` section: the endpoint that wants to receive, and what its types mean.

    ``address``: 128 bits, IPv4 mapped; None where the description names a host or nothing.
    """

    address: int | None
    port: int
    encodings: Mapping[int, Encoding]


@dataclass(frozen=True, slots=True)
class MediaMap:
    """What all descriptions of a capture say, later ones over earlier ones."""

    by_endpoint: Mapping[tuple[int | None, int], Mapping[int, Encoding]] = field(
        default_factory=dict
    )
    agreed: Mapping[int, Encoding] = field(default_factory=dict)
    """Types that mean the same in every description."""

    def encoding(
        self, number: int, source: tuple[int, int], destination: tuple[int, int]
    ) -> Encoding | None:
        """What type ``number`` means in packets between two (address, port) endpoints.

        The receiver's own description counts first (RFC 3264, section 5.1: it says what it wants to
        get), then the sender's, then what all descriptions agree on (for calls through a NAT).
        """
        for endpoint in (destination, source):
            known = self.by_endpoint.get(endpoint, {})
            if number in known:
                return known[number]
        return self.agreed.get(number)


def parse_sdp(text: bytes) -> list[Media]:
    """The media sections of all descriptions in ``text``, which may hold anything else around them.

    Sections that aren't RTP, and lines that make no sense, are skipped. Never raises.
    """
    found: list[Media] = []
    session: int | None = None
    # The section that is being read: its endpoint, and its map, which `found` shares.
    port: int | None = None
    encodings: dict[int, Encoding] = {}
    medium: Medium | None = None
    for line in _LINE.finditer(text):
        kind, value = line[1].lower(), line[2].decode("utf-8", "replace")
        if kind == b"v":
            session, port = None, None
        elif kind == b"c":
            address = _address(value)
            if address is not None and port is None:
                session = address
            elif address is not None and port is not None:
                found[-1] = Media(address, port, encodings)
        elif kind == b"m":
            media = _MEDIA.fullmatch(value)
            port, encodings = (int(media[2]) if media else None), {}
            medium = _medium(media[1]) if media else None
            if port is not None:
                found.append(Media(session, port, encodings))
        elif port is not None:
            _add_rtpmap(value, encodings, medium)
    return found


def media_map(media: Iterable[Media]) -> MediaMap:
    """The map of all ``media``, in the order in which they were announced."""
    by_endpoint: dict[tuple[int | None, int], dict[int, Encoding]] = {}
    meanings: dict[int, set[Encoding]] = {}
    for section in media:
        by_endpoint.setdefault((section.address, section.port), {}).update(section.encodings)
        for number, encoding in section.encodings.items():
            meanings.setdefault(number, set()).add(encoding)
    agreed = {number: next(iter(all_)) for number, all_ in meanings.items() if len(all_) == 1}
    return MediaMap(by_endpoint, agreed)


def sdp_media(frames: Frames, columns: Columns) -> MediaMap:
    """What the SDP in a capture says, in SIP over UDP and TCP."""
    texts = signalling_texts(frames, columns)
    return media_map(media for text in texts for media in parse_sdp(text))


def _address(value: str) -> int | None:
    found = _CONNECTION.fullmatch(value)
    if found is None:
        return None
    try:
        address = ip_address(found[1])
    except ValueError:
        return None
    return int(address) if isinstance(address, IPv6Address) else _IPV4_MAPPED | int(address)


def _medium(name: str) -> Medium | None:
    """None for a medium that is not registered."""
    return Medium(name.lower()) if name.lower() in tuple(Medium) else None


def _add_rtpmap(value: str, encodings: dict[int, Encoding], medium: Medium | None) -> None:
    found = _RTPMAP.fullmatch(value)
    if found and int(found[1]) < 128 and int(found[3]) > 0:
        encodings[int(found[1])] = Encoding(found[2], int(found[3]), medium)
