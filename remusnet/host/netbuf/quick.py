"""Setup and teardown in the usual case, in the time that matters. Light.

It does all of it, or leaves it to `remusnet.host.netbuf.full`: the kernel is in a state then from
which apply and remove can go on, for the receipt is an intent until the last step.
"""

from __future__ import annotations

from remusnet.host.netbuf.interval import xl_interval
from remusnet.host.netbuf.locks import ChangeLock
from remusnet.host.netbuf.places import (
    owner_name,
    read_owner,
    usual_buffer,
    usual_sink,
    write_owner,
)
from remusnet.host.netbuf.ready import read_ready
from remusnet.kernel.quick import GaveUp, exists, protect
from remusnet.kernel.quick_end import end
from remusnet.kernel.run_dir.own_folder import OwnFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from remusnet.host.netbuf.contract import Call
    from remusnet.host.netbuf.places import Places
    from remusnet.host.netbuf.ready import ReadyTerms


def set_up_quickly(
    call: Call, places: Places, domain: Callable[[], tuple[str, str]], deadline: float
) -> str | None:
    """The buffer device that was made; None where it has to be done the long way.

    ``domain``: asks for the domain's name and UUID. ``deadline``: for locks (time.monotonic).
    Raises Busy.
    """
    buffer = usual_buffer(call.vif)
    vifs = tuple(each for each in call.devices if exists(each))
    ready = read_ready(places.ready, places.config)
    if buffer is None or call.vif not in vifs or ready is None or exists(buffer):
        return None
    name, uuid = domain() if ready.asks_for_domain else ("", "")
    terms = ready.terms_of(name, uuid, call.vif, call.devid, places.policy, places.decouple)
    if terms is None:
        return None
    terms = terms.at_interval(*xl_interval())
    sink = usual_sink(buffer) if terms.filters.decouple else ""
    if sink is None or (sink and exists(sink)):
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
            write_owner(folder, buffer, call, _made(made))
            numbers = [number for name, number, _ in made if name in vifs]
            noted = _receipt(terms, buffer, sink, vifs, "applied", numbers, marks)
            folder.write(receipt, noted)
    except (GaveUp, OSError):
        return None
    return buffer


def tear_down_quickly(call: Call, places: Places, deadline: float) -> bool:
    """Whether it was done: only where the setup was quick too, and nobody has touched it since.

    ``deadline``: for locks (time.monotonic). Raises Busy.
    """
    buffer = usual_buffer(call.vif)
    if buffer is None:
        return False
    try:
        with OwnFolder(places.run_dir) as folder:
            path, how = read_owner(folder, buffer)
            if path != call.path or not how:
                return False
            made = [_read_made(each) for each in how.split(" ")]
            with ChangeLock(folder, deadline):
                # What drivers of remusnet's own have left goes with the rest, the long way.
                left = (f"driver-{buffer}.lock", f"plug-{buffer}.state")
                if any(map(folder.has, left)):
                    return False
                end(made)
                folder.delete(f"{buffer}.json")
                folder.delete(owner_name(buffer))
    except (GaveUp, OSError, ValueError):
        return False
    return True


def _made(made: Sequence[tuple[str, int, str]]) -> str:
    """What a quick teardown has to find again, in one line."""
    return " ".join(f"{name}:{number}:{what}" for name, number, what in made)


def _read_made(word: str) -> tuple[str, int, str]:
    name, number, what = word.split(":")
    return name, int(number), what


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
    names = ", ".join(f'"{each}"' for each in vifs)
    noted = "".join(f'"{name}": {number}, ' for name, number in marks.items())
    text = (
        f'{{"phase": "{phase}", "buffer": "{buffer}", "sink": "{sink}", "vifs": [{names}], '
        f'"shared": [], "indexes": {list(numbers)}, '
        f'"limit": {terms.limit}, "rate": {terms.rate}, "interval_ns": {terms.interval_ns}, '
        f'"interval_from": "{terms.interval_from}", '
        f"{noted}{terms.filters.receipt}}}\n"
    )
    return text.encode()
