"""Setup in the usual case, in the time that matters. Light.

It does all of it, or leaves it to `remusnet.host.netbuf.full`: the kernel is in a state then from
which apply can go on, for the receipt is an intent until the last step.
"""

from __future__ import annotations

from remusnet.host.netbuf.interval import xl_interval
from remusnet.host.netbuf.locks import ChangeLock
from remusnet.host.netbuf.places import owner_name, write_owner
from remusnet.host.netbuf.ready import DECIDED_LATER, read_ready
from remusnet.kernel.journal import record
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.prepared import GaveUp, exists, made_text, protect
from remusnet.plan.devices import buffer_name, sink_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeAlias

    from remusnet.host.netbuf.contract import Call
    from remusnet.host.netbuf.places import Places
    from remusnet.host.netbuf.ready import ReadyTerms

    _Plain: TypeAlias = str | int | Iterable[str] | Iterable[int]


def set_up_quickly(
    call: Call, places: Places, domain: Callable[[], tuple[str, str]], deadline: float
) -> str | None:
    """The buffer device that was made; None where it has to be done the long way.

    ``domain``: asks for the domain's name and UUID. ``deadline``: for locks (time.monotonic).
    Raises Busy.
    """
    buffer = buffer_name(call.vif)
    vifs = tuple(each for each in call.devices if exists(each))
    ready = read_ready(places.ready, places.config)
    if call.vif not in vifs or ready is None or exists(buffer):
        return None
    name, uuid = domain() if ready.asks_for_domain else ("", "")
    terms = ready.terms_of(name, uuid, call.vif, call.devid, places.policy, places.decouple)
    if terms is None:
        return None
    terms = terms.at_interval(*xl_interval())
    sink = sink_name(buffer) if terms.filters.decouple else ""
    if sink and exists(sink):
        return None
    receipt = f"{buffer}.json"
    try:
        with OwnFolder(places.run_dir, make=True) as folder, ChangeLock(folder, deadline):
            if folder.has(receipt):
                return None
            write_owner(folder, buffer, call)
            folder.write(receipt, _receipt(terms, buffer, sink, vifs, "applying"))
            try:
                made, marks = protect(vifs, buffer, sink, terms.limit, terms.filters.templates)
            except GaveUp:
                if not exists(buffer):  # the first step: nothing has been done
                    folder.delete(receipt)
                    folder.delete(owner_name(buffer))
                return None
            write_owner(folder, buffer, call, made_text(made))
            numbers = [number for name, number, _ in made if name in vifs]
            noted = _receipt(terms, buffer, sink, vifs, "applied", numbers, marks)
            folder.write(receipt, noted)
    except (GaveUp, OSError, ValueError):
        return None
    policy = terms.filters.policy
    record("set-up", vifs, buffers=[buffer], policy=policy, operations=len(terms.filters.messages))
    return buffer


def _receipt(
    terms: ReadyTerms,
    buffer: str,
    sink: str,
    vifs: Sequence[str],
    phase: str,
    numbers: Sequence[int] = (),
    marks: Mapping[str, int] = {},
) -> bytes:
    """As `remusnet.kernel.state.receipt` writes it; the names are plain, so they need no escapes.

    ``marks``: what it notes of the plug and its device.
    """
    said: tuple[_Plain, ...] = (phase, buffer, sink, vifs, (), numbers)
    said += (terms.limit, terms.rate, terms.interval_ns, terms.interval_from)
    members = {**dict(zip(DECIDED_LATER, said, strict=True)), **marks}
    text = ", ".join(f"{_json(name)}: {_json(value)}" for name, value in members.items())
    return f"{{{text}, {terms.filters.receipt}}}\n".encode()


def _json(value: _Plain) -> str:
    """A plain text, a number, or a sequence of these."""
    if isinstance(value, str):
        return f'"{value}"'
    return str(value) if isinstance(value, int) else f"[{', '.join(map(_json, value))}]"
