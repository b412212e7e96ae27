"""Which dialog of a call a request is in, and where it leads if this process never saw it begin.

A server that lost its memory still has the bindings, and a request within a dialog still says where
it is going (RFC 3261, 16.12): to the other side's Contact. No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence

from remusnet.sip.bindings import Binding
from remusnet.sip.flows import Flow, Target
from remusnet.sip.message import Request
from remusnet.sip.message.build import tag_of
from remusnet.sip.message.uri import read_address
from remusnet.sip.message.via import top
from remusnet.sip.proxy.calls import Call, End, Leg, Way
from remusnet.sip.proxy.request import Judged, is_own_uri
from remusnet.sip.proxy.ways import to_binding
from remusnet.sip.settings import Settings
from remusnet.sip.transport.sockets import Sockets
from remusnet.sip.transport.table import response_target
from remusnet.sip.wiring import Wiring


def leg_of(call: Call, request: Request, judged: Judged, flow: Flow) -> tuple[bool, Leg]:
    """The way of a request's dialog through this server, and whether it knows the other side.

    A new one, where it knows none: of its sender this is where it is.
    """
    sender = tag_of(request.get("from") or b"")
    to = tag_of(request.get("to") or b"")
    contact = read_address((request.values("contact") or [b""])[0])
    uri = contact.uri.text if contact is not None else None
    target = response_target(top(request), flow)
    leg = _known(call, judged.leg, to) if to else None
    if leg is None:
        # The number that the Route says is kept: a spiral's ways have the same tags.
        number = judged.leg if to and judged.leg else max(call.legs, default=0) + 1
        leg = call.legs[number] = Leg(number, sender)
        leg.remember(sender, End(target, uri))
        return False, leg
    known = leg.ends.get(sender)
    if known is None and len(leg.ends) < 2:
        # Of a lost dialog the other side's request has come first.
        leg.remember(sender, End(target, uri))
    elif known is not None and _same_place(known.target, flow):
        # Its connection may be another by now, its Contact too (target refresh, 12.2).
        leg.remember(sender, End(target, uri or known.contact))
    return to in leg.ends, leg


def _known(call: Call, number: int, to: bytes) -> Leg | None:
    if number:
        return call.legs.get(number)
    # Who has no Route (sipp's scenarios) is found by its tag.
    return next((each for each in call.legs.values() if to in each.ends), None)


def _same_place(target: Target, flow: Flow) -> bool:
    host = target.remote.host if target.remote is not None else None
    return flow.remote.host == host or (target.flow is not None and target.flow == flow)


def registered_as(judged: Judged, wiring: Wiring) -> bytes | None:
    """Whose contact a request of a lost dialog may be for: an own address of record, or None.

    It is in its To, which says whom the dialog's first request was for, or was from.
    """
    to = read_address(judged.request.get("to") or b"")
    if to is None or not tag_of(judged.request.get("to") or b""):
        return None
    if judged.request.values("route") or is_own_uri(judged.uri, wiring):
        return None  # the one leads elsewhere first, the other is looked up as any
    return wiring.aor(to.uri) if to.uri.user and is_own_uri(to.uri, wiring) else None


def to_contact(
    uri: bytes, bindings: Sequence[Binding], settings: Settings, sockets: Sockets
) -> Way | None:
    """The way to the contact that a request URI names, if it is one of ``bindings``."""
    same = next((each for each in bindings if each.same_contact(uri)), None)
    return to_binding(same, settings, sockets) if same is not None else None
