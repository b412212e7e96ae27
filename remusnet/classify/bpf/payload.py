"""BPF that tells what a whole UDP datagram carries, as `remusnet.classify.headers.payload_class`
does.
"""

from __future__ import annotations

from remusnet.classify.bpf.assembler import Assembler, Op
from remusnet.classify.bpf.conditions import NO_PAYLOAD, PAYLOADS, Register
from remusnet.policy.policy import LOWEST_MEDIA_PORT, NEVER_MEDIA_PORTS, STUN_COOKIE, PayloadClass

_UDP_HEADER = 8
_LEAST = {
    PayloadClass.RTP: 12,
    PayloadClass.RTCP: 8,
    PayloadClass.STUN: 20,
    PayloadClass.DTLS: 13,
    PayloadClass.TURN: 4,
}
"""The fewest bytes of payload that each has."""


def emit_payload(code: Assembler, *, done: str) -> None:
    """Stores the class of the datagram whose UDP header starts at X, and goes to ``done``.

    Asks for END and the ports. No load can go beyond the frame: its length is known.
    """
    none, media = code.fresh("no-class"), code.fresh("media")
    code.emit(Op.STORE_X, Register.TRANSPORT)
    _emit_length(code, none)
    _emit_class(code, media, none)
    code.label(media)
    _emit_media_port(code, Register.SOURCE_PORT, none)
    _emit_media_port(code, Register.DESTINATION_PORT, none)
    code.emit(Op.STORE_X, Register.PAYLOAD)
    code.jump(done)
    code.label(none)
    code.emit(Op.LOAD, NO_PAYLOAD)
    code.emit(Op.STORE, Register.PAYLOAD)
    code.jump(done)


def _emit_media_port(code: Assembler, port: Register, none: str) -> None:
    *others, highest = sorted(NEVER_MEDIA_PORTS)
    high, done = code.fresh("high-port"), code.fresh("media-port")
    code.emit(Op.LOAD_MEMORY, port)
    code.branch(Op.IF_AT_LEAST, LOWEST_MEDIA_PORT, no=none)
    code.branch(Op.IF_GREATER, others[-1], yes=high)  # most media ports are
    code.branch_among(others, yes=none, no=done)
    code.label(high)
    code.branch(Op.IF_EQUAL, highest, yes=none)
    code.label(done)


def _emit_length(code: Assembler, none: str) -> None:
    """LENGTH: what the UDP header says, or what is left of the packet or frame if that is less."""
    packet, datagram = code.fresh("packet-length"), code.fresh("datagram-length")
    code.emit(Op.LOAD_LENGTH)
    code.emit(Op.LOAD_X_MEMORY, Register.END)
    code.branch(Op.IF_AT_LEAST_X, no=packet)
    code.emit(Op.A_FROM_X)
    code.label(packet)
    code.emit(Op.LOAD_X_MEMORY, Register.TRANSPORT)
    code.branch(Op.IF_AT_LEAST_X, no=none)
    code.emit(Op.SUBTRACT_X)
    code.emit(Op.STORE, Register.LENGTH)
    code.emit(Op.LOAD_HALF_AT_X, 4)
    code.emit(Op.LOAD_X_MEMORY, Register.LENGTH)
    code.branch(Op.IF_AT_LEAST_X, yes=datagram)
    code.emit(Op.STORE, Register.LENGTH)
    code.label(datagram)
    code.emit(Op.LOAD_X_MEMORY, Register.TRANSPORT)
    code.emit(Op.LOAD_MEMORY, Register.LENGTH)
    code.branch(Op.IF_AT_LEAST, _UDP_HEADER + min(_LEAST.values()), no=none)


def _emit_class(code: Assembler, media: str, none: str) -> None:
    """Tells the class by the first bytes (RFC 7983); at ``media`` X is the class's number."""
    labels = {payload: code.fresh(payload) for payload in PayloadClass}
    rtp_or_rtcp = code.fresh("rtp-or-rtcp")
    code.emit(Op.LOAD_BYTE_AT_X, _UDP_HEADER)
    code.branch(Op.IF_AT_LEAST, 192, yes=none)
    code.branch(Op.IF_AT_LEAST, 128, yes=rtp_or_rtcp)
    code.branch(Op.IF_AT_LEAST, 80, yes=none)
    code.branch(Op.IF_AT_LEAST, 64, yes=labels[PayloadClass.TURN])
    code.branch(Op.IF_AT_LEAST, 20, yes=labels[PayloadClass.DTLS])
    code.branch(Op.IF_AT_LEAST, 4, yes=none)
    code.emit(Op.LOAD_MEMORY, Register.LENGTH)
    code.branch(Op.IF_AT_LEAST, _UDP_HEADER + _LEAST[PayloadClass.STUN], no=none)
    code.emit(Op.LOAD_WORD_AT_X, _UDP_HEADER + 4)
    code.branch(Op.IF_EQUAL, STUN_COOKIE, yes=labels[PayloadClass.STUN], no=none)
    code.label(rtp_or_rtcp)
    code.emit(Op.LOAD_BYTE_AT_X, _UDP_HEADER + 1)
    code.branch(Op.IF_AT_LEAST, 192, no=labels[PayloadClass.RTP])
    code.branch(Op.IF_AT_LEAST, 224, yes=labels[PayloadClass.RTP], no=labels[PayloadClass.RTCP])
    for payload, label in labels.items():
        code.label(label)
        code.emit(Op.LOAD_X, PAYLOADS[payload])
        code.emit(Op.LOAD_MEMORY, Register.LENGTH)
        code.branch(Op.IF_AT_LEAST, _UDP_HEADER + _LEAST[payload], yes=media, no=none)
