"""Bindings, and what a REGISTER does to them (RFC 3261, 10.3, steps 6 and 7): values, no store."""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.sip.message.uri import Uri, read_uri


@dataclass(frozen=True, slots=True)
class Binding:
    """An address of record is reached at ``contact`` until ``expires`` (s, wall clock).

    ``q``: thousandths. ``path``: Path values, topmost first (RFC 3327). ``source``: where the
    REGISTER came from, ``udp:192.0.2.1:5060``: behind NAT it is the only way back.
    """

    aor: bytes
    contact: bytes
    expires: float
    q: int
    call_id: bytes
    cseq: int
    path: tuple[bytes, ...] = ()
    source: str = ""

    @property
    def uri(self) -> Uri | None:
        """The contact's parts."""
        return read_uri(self.contact)

    def same_contact(self, other: bytes) -> bool:
        """Whether ``other`` means the same contact (10.3: compared as URIs, 19.1.4)."""
        mine, theirs = read_uri(self.contact), read_uri(other)
        if mine is None or theirs is None:
            return self.contact == other
        return mine.same(theirs)


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact of a REGISTER. ``expires``: seconds from now; 0 takes the binding away."""

    uri: bytes
    expires: int
    q: int = 1000


@dataclass(frozen=True, slots=True)
class Update:
    """What a REGISTER asks for. ``contacts`` None: ``*``, all go; empty: it only asks."""

    aor: bytes
    contacts: tuple[Contact, ...] | None
    call_id: bytes
    cseq: int
    path: tuple[bytes, ...] = ()
    source: str = ""


class OutOfOrder(Exception):
    """An older REGISTER came after a newer one: nothing of it is done (10.3, step 7)."""


class TooMany(Exception):
    """An address of record would have more bindings than one may have."""


def alive(bindings: tuple[Binding, ...], now: float) -> tuple[Binding, ...]:
    """Those that have not expired at ``now`` (s, wall clock)."""
    return tuple(binding for binding in bindings if binding.expires > now)


def applied(
    bindings: tuple[Binding, ...], update: Update, now: float, most: int
) -> tuple[Binding, ...]:
    """The bindings of an address of record after ``update``: all of it, or nothing.

    Raises OutOfOrder or TooMany.
    """
    current = alive(bindings, now)
    if update.contacts is None:
        for binding in current:
            _check_order(binding, update)
        return ()
    if len(update.contacts) > 2 * most:
        # More than all that it has, and all that it may have instead: to compare each with each of
        # 64 KB would keep all other clients waiting for seconds.
        raise TooMany
    for contact in update.contacts:
        known = next((each for each in current if each.same_contact(contact.uri)), None)
        if known is not None:
            _check_order(known, update)
        if contact.expires == 0:
            current = tuple(each for each in current if each is not known)
            continue
        made = Binding(
            aor=update.aor,
            contact=contact.uri,
            expires=now + contact.expires,
            q=contact.q,
            call_id=update.call_id,
            cseq=update.cseq,
            path=update.path,
            source=update.source,
        )
        if known is None:
            current = (*current, made)
        else:
            current = tuple(made if each is known else each for each in current)
    if len(current) > most:
        raise TooMany
    return current


def _check_order(binding: Binding, update: Update) -> None:
    if binding.call_id == update.call_id and update.cseq <= binding.cseq:
        raise OutOfOrder
