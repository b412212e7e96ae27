"""Setup in the usual case, in the time that matters. Light.

It does all of it, or leaves it to `remusnet.host.netbuf.full`: the kernel is in a state then from
which apply and remove can go on, for the receipt is an intent until the last step.
"""

from __future__ import annotations

import os

from remusnet.host.netbuf.locks import ChangeLock
from remusnet.host.netbuf.places import usual_buffer, write_owner
from remusnet.host.netbuf.ready import read_ready
from remusnet.kernel.quick import GaveUp, exists, protect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remusnet.host.netbuf.contract import Call
    from remusnet.host.netbuf.places import Places
    from remusnet.host.netbuf.ready import ReadyTerms


def set_up_quickly(call: Call, places: Places, domain: Callable[[], tuple[str, str]]) -> str | None:
    """The buffer device that was made; None where it has to be done the long way.

    ``domain``: asks for the domain's name and UUID.
    """
    buffer = usual_buffer(call.vif)
    vifs = tuple(each for each in call.devices if exists(each))
    ready = read_ready(places.ready, places.config)
    if buffer is None or not vifs or ready is None or exists(buffer):
        return None
    name, uuid = domain() if ready.asks_for_domain else ("", "")
    terms = ready.choose(name, uuid, call.vif, call.devid, places.policy)
    if terms is None:
        return None
    receipt = f"{places.run_dir}/{buffer}.json"
    try:
        with ChangeLock(places.run_dir):
            if os.path.exists(receipt):
                return None
            write_owner(places, buffer, call)
            _write(receipt, _receipt(terms, buffer, vifs, "applying"))
            alias = f"remusnet:{','.join(vifs)}"
            protect(vifs, buffer, alias, terms.limit, terms.filters.templates)
            _write(receipt, _receipt(terms, buffer, vifs, "applied"))
    except (GaveUp, OSError):
        return None
    return buffer


def _receipt(terms: ReadyTerms, buffer: str, vifs: Sequence[str], phase: str) -> str:
    """As `remusnet.kernel.receipt` writes it; the names are plain, so they need no escapes."""
    names = ", ".join(f'"{each}"' for each in vifs)
    return (
        f'{{"phase": "{phase}", "buffer": "{buffer}", "vifs": [{names}], "shared": [], '
        f'"limit": {terms.limit}, "rate": {terms.rate}, "interval_ns": {terms.interval_ns}, '
        f"{terms.filters.receipt}}}\n"
    )


def _write(path: str, text: str) -> None:
    new = path.removesuffix(".json") + ".new"
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(new, path)
