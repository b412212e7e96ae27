"""The registrar (RFC 3261, 10.3; RFC 3327): stateless, but for requests that wait for the
location.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from email.utils import formatdate

from remusnet.actors import Actor
from remusnet.sip.auth import Nonces, Result, challenge, check, credentials
from remusnet.sip.bindings import Binding
from remusnet.sip.flows import Flow
from remusnet.sip.location import Contact, Register, Registered, Update
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import reply
from remusnet.sip.message.uri import Address, Uri, read_address, read_uri
from remusnet.sip.message.via import top
from remusnet.sip.proxy.ways import leads_back
from remusnet.sip.settings import Settings
from remusnet.sip.signals import Incoming, Respond
from remusnet.sip.store import Store, User
from remusnet.sip.transport.table import server_name
from remusnet.sip.wiring import Wiring

# A key of PostgreSQL, address of record and contact together, has 2704 bytes at most.
_LONGEST_AOR = 512
_LONGEST_CONTACT = 2048
_NUMBER = re.compile(rb"[0-9]+")
_Q = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


class Refused(Exception):
    """Answer with this."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


@dataclass(frozen=True, slots=True)
class _UserFound:
    """The store has been asked for a user (``error``: it is away)."""

    incoming: Incoming
    given: dict[str, str]
    user: User | None
    error: bool


@dataclass(slots=True)
class Registrations:
    """The requests that wait, and what for: it outlives the registrar."""

    store: Store
    nonces: Nonces
    waiting: dict[int, Incoming] = field(default_factory=dict)
    number: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Registrar(Actor):
    """Answers REGISTER for the server's domains."""

    def __init__(self, wiring: Wiring, settings: Settings, own: Registrations) -> None:
        self._wiring = wiring
        self._settings = settings
        self._own = own

    def started(self) -> None:
        """Enter itself."""
        self._wiring.registrar = self.context

    def receive(self, message: object) -> None:
        """A REGISTER, or what it waited for."""
        try:
            if isinstance(message, Incoming):
                self._begin(message)
            elif isinstance(message, _UserFound):
                self._identified(message)
            elif isinstance(message, Registered):
                self._registered(message)
        except Refused as refused:
            incoming = message if isinstance(message, Incoming) else None
            if isinstance(message, _UserFound):
                incoming = message.incoming
            assert incoming is not None
            incoming.transaction.tell(Respond(refused.response))

    def _begin(self, incoming: Incoming) -> None:
        request = incoming.request
        table = self._wiring.table
        if table.is_merged(request, server_name(request, top(request))):
            raise Refused(reply(request, 482))
        domain = self._domain(request)
        _check_required(request)
        if not self._settings.authenticate:
            if self._settings.allow_from and not self._settings.trusts(incoming.flow.remote.host):
                raise Refused(reply(request, 403))
            self._update(incoming)
            return
        given = credentials(request, domain, proxy=False)
        if given is None:
            raise Refused(self._challenged(request, domain, stale=False))
        self._ask_for(incoming, given, domain)

    def _domain(self, request: Request) -> str:
        """The domain that is registered with (10.3, steps 1 and 5)."""
        uri = read_uri(request.uri)
        if uri is None:
            raise Refused(reply(request, 400, reason="Bad Request: request URI"))
        if not uri.is_sip:
            raise Refused(reply(request, 416))
        if uri.user is not None:
            raise Refused(reply(request, 400, reason="Bad Request: user in request URI"))
        to = _to(request)
        for found in (uri, to):
            if not self._is_ours(found):
                raise Refused(reply(request, 404))
        return self._wiring.domain_of(to)

    def _is_ours(self, uri: Uri) -> bool:
        host = uri.host.strip("[]")
        # A client that registers at an address without a port means the server it reached (sipsak).
        own = self._wiring.is_own(host, uri.port) or (
            not uri.port and self._wiring.listens_at(host)
        )
        return own or uri.host in self._wiring.domains

    def _ask_for(self, incoming: Incoming, given: dict[str, str], domain: str) -> None:
        cell, store = self.context, self._own.store

        async def ask() -> None:
            user, error = None, False
            try:
                user = await store.user(given.get("username", ""), domain)
            except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer
                error = True
            cell.tell(_UserFound(incoming, given, user, error))

        task = self.context.system.loop.create_task(ask())
        self._own.tasks.add(task)
        task.add_done_callback(self._own.tasks.discard)

    def _identified(self, found: _UserFound) -> None:
        request = found.incoming.request
        if found.error:
            raise Refused(_unavailable(request))
        result = check(
            found.given,
            found.user,
            request.method.decode(),
            self._own.nonces,
            self._settings.digests,
        )
        realm = found.given["realm"]
        if result is Result.STALE:
            raise Refused(self._challenged(request, realm, stale=True))
        if result is not Result.GOOD or found.user is None:
            raise Refused(self._challenged(request, realm, stale=False))
        # Users register themselves only (10.3, step 4).
        if _to(request).user != found.user.name.encode():
            raise Refused(reply(request, 403))
        self._update(found.incoming)

    def _challenged(self, request: Request, realm: str, *, stale: bool) -> Response:
        response = reply(request, 401)
        challenge(
            response, realm, self._own.nonces, self._settings.digests, proxy=False, stale=stale
        )
        return response

    def _update(self, incoming: Incoming) -> None:
        aor = self._wiring.aor(_to(incoming.request))
        if len(aor) > _LONGEST_AOR:
            raise Refused(reply(incoming.request, 400, reason="Bad Request: To"))
        update = read_update(incoming.request, aor, incoming.flow, self._settings)
        location = self._wiring.location
        assert location is not None
        self._own.number += 1
        key = self._own.number
        self._own.waiting[key] = incoming
        if not location.tell(Register(update, self.context, key)):
            del self._own.waiting[key]
            raise Refused(_unavailable(incoming.request))

    def _registered(self, done: Registered) -> None:
        incoming = self._own.waiting.pop(done.key, None) if isinstance(done.key, int) else None
        if incoming is None:
            return
        request = incoming.request
        if done.status == 503:
            response = _unavailable(request)
        elif done.status != 200:
            response = reply(request, done.status)
        else:
            response = reply(request, 200)
            now = self._now()
            for binding in sorted(done.bindings, key=lambda each: -each.q):
                response.add("Contact", _contact(binding, now))
            for path in request.lines("path"):
                response.add("Path", path)
            response.add("Date", formatdate(now, usegmt=True).encode())
        incoming.transaction.tell(Respond(response))

    def _now(self) -> float:
        return self._wiring.wall()


def read_update(request: Request, aor: bytes, flow: Flow, settings: Settings) -> Update:
    """What a REGISTER asks for. Raises Refused (10.3, steps 6 and 7)."""
    expires = _expires(request.get("expires"))
    number, _ = request.cseq
    values = request.values("contact")
    contacts: tuple[Contact, ...] | None
    if b"*" in values:
        if len(values) > 1 or expires != 0:
            raise Refused(reply(request, 400, reason="Bad Request: Contact *"))
        contacts = None
    else:
        contacts = tuple(_read_contact(request, value, expires, settings) for value in values)
    path = tuple(request.values("path"))
    if path and b"path" not in _option_tags(request, "supported"):
        # RFC 3327, 5.3: the phone doesn't say that it can do with it.
        raise Refused(_with(reply(request, 420), "Unsupported", b"path"))
    if path and not leads_back(path, flow.remote.host, settings):
        # Else a user with a password here could let the server send to any third party.
        raise Refused(reply(request, 403, reason="Forbidden: Path"))
    return Update(
        aor=aor,
        contacts=contacts,
        call_id=request.call_id,
        cseq=number,
        path=path,
        source=f"{flow.transport.value}:{flow.remote}",
    )


def _read_contact(
    request: Request, value: bytes, expires: int | None, settings: Settings
) -> Contact:
    address = read_address(value)
    fits = len(value) <= _LONGEST_CONTACT
    if not fits or address is None or (not address.uri.is_sip and address.uri.scheme != "tel"):
        raise Refused(reply(request, 400, reason="Bad Request: Contact"))
    own = _expires(address.parameter(b"expires")) if address.parameter(b"expires") else None
    asked = own if own is not None else expires
    seconds = settings.default_expires if asked is None else min(asked, settings.max_expires)
    # An hour is never too brief, whatever is configured (10.3, step 7).
    if 0 < seconds < min(settings.min_expires, 3600):
        refusal = reply(request, 423)
        raise Refused(_with(refusal, "Min-Expires", b"%d" % settings.min_expires))
    return Contact(address.uri.text, seconds, _q(address))


def _q(address: Address) -> int:
    text = address.parameter(b"q")
    if text is None or not _Q.fullmatch(text):
        return 1000
    return round(float(text) * 1000)


def _expires(text: bytes | None) -> int | None:
    """Seconds; what can't be read is as if it weren't there (20.19); at most 2**32 - 1."""
    if text is None or not _NUMBER.fullmatch(text):
        return None
    return min(int(text[:12]), 2**32 - 1)


def _check_required(request: Request) -> None:
    unknown = [tag for tag in _option_tags(request, "require") if tag not in (b"", b"path")]
    if unknown:
        raise Refused(_with(reply(request, 420), "Unsupported", b", ".join(unknown)))


def _option_tags(request: Request, header: str) -> list[bytes]:
    return [value.strip().lower() for value in request.values(header)]


def _to(request: Request) -> Uri:
    address = read_address(request.get("to") or b"")
    if address is None:
        raise Refused(reply(request, 400, reason="Bad Request: To"))
    if not address.uri.is_sip:
        raise Refused(reply(request, 416))
    return address.uri


def _contact(binding: Binding, now: float) -> bytes:
    left = max(round(binding.expires - now), 0)
    q = b"" if binding.q == 1000 else b";q=%b" % f"{binding.q / 1000:g}".encode()
    return b"<%b>%b;expires=%d" % (binding.contact, q, left)


def _unavailable(request: Request) -> Response:
    return _with(reply(request, 503), "Retry-After", b"5")


def _with(response: Response, name: str, value: bytes) -> Response:
    response.add(name, value)
    return response
