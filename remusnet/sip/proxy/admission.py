"""Who sends a request, and may it? (RFC 3261, 16.3, step 6, and 22.3.)

No open relay: it serves own domains and authenticated users only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from remusnet.sip.auth import credentials
from remusnet.sip.flows import Flow
from remusnet.sip.message import Request
from remusnet.sip.message.uri import read_address
from remusnet.sip.proxy.request import is_own_uri
from remusnet.sip.settings import Settings
from remusnet.sip.wiring import Wiring


class Admitted(Enum):
    """A request that the server does not refuse."""

    YES = "yes"
    IGNORED = "ignored"  # an ACK, which has no answer


@dataclass(frozen=True, slots=True)
class Refusal:
    """It may not: answer with this."""

    status: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unproven:
    """It says to be a user's and proves nothing: challenge."""

    realm: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Its credentials: the store knows whether they are good."""

    given: dict[str, str]
    realm: str


Admission = Admitted | Refusal | Unproven | Claim


def admission(
    request: Request, flow: Flow, settings: Settings, wiring: Wiring, *, to_ours: bool
) -> Admission:
    """Whether a request, of no dialog that is known, may go on. ``to_ours``: own users get it."""
    trusted = not settings.authenticate and (
        not settings.allow_from or settings.trusts(flow.remote.host)
    )
    if request.method == b"ACK":
        # An ACK can't be challenged, so no stranger's is relayed to others.
        return Admitted.YES if trusted or to_ours else Admitted.IGNORED
    sender = read_address(request.get("from") or b"")
    if sender is None:
        return Refusal(400, "Bad Request: From")
    welcome = to_ours and settings.calls_from_outside
    if not settings.authenticate:
        return Admitted.YES if trusted or welcome else Refusal(403)
    if not is_own_uri(sender.uri, wiring):
        # For strangers this server relays to own users only.
        return Admitted.YES if welcome else Refusal(403)
    realm = wiring.domain_of(sender.uri)
    given = credentials(request, realm, proxy=True)
    return Unproven(realm) if given is None else Claim(given, realm)
