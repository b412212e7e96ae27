"""What protects the vifs of this machine: lines for a person, JSON for a script."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from remusnet.plan.devices import plug_limit
from remusnet.results.protection import Applied, Fate, Protected, Removed, Status, Verified
from remusnet.units import format_duration, format_rate, format_size

_UNVERIFIED = "unverified: the kernel can not be asked"
_NOTHING = "nothing is protected\n"
_FATES = {
    Fate.LEFT: "what was held has left",
    Fate.DROPPED: "what was held was dropped",
    Fate.WAITS: "what was held waits in the buffer device, which others go on to use",
    Fate.LOST: "it is gone (deleted, or moved elsewhere), so what was held of it was dropped",
    Fate.NOTHING: "it is gone (deleted, or moved elsewhere), and nothing was held of it",
}


def applied_text(done: Applied) -> str:
    """A line for each buffer device."""
    what = done.plan.classification
    terms = f"policy {what.policy.name}, classifier {what.classifier}"
    word = "protected" if done.operations else "nothing to change: protected"
    return "".join(
        f"{', '.join(each.vifs)}: {word} ({terms}, buffer device {each.buffer}, "
        f"limit {format_size(done.plan.limit)})\n"
        for each in done.plan.protections
    )


def applied_json(done: Applied) -> str:
    """The document of ``apply --json``."""
    return _document(done.to_json())


def removed_text(done: Removed) -> str:
    """A line for each vif."""
    lines = [f"{vif}: not protected any more; {_FATES[done.fate(vif)]}" for vif in done.vifs]
    lines += [f"{vif}: was not protected" for vif in done.unprotected]
    return "".join(f"{line}\n" for line in (*lines, *done.left))


def removed_json(done: Removed) -> str:
    """The document of ``remove --json``."""
    return _document(done.to_json())


def verified_text(found: Iterable[Verified]) -> str:
    """The text that says whether each protection agrees, and what differs."""
    return "".join(line + "\n" for each in found for line in _verified(each)) or _NOTHING


def verified_json(found: Iterable[Verified]) -> str:
    """The document of ``verify --json``."""
    found = tuple(found)
    agree = all(each.agrees for each in found)
    return _document({"agree": agree, "protections": [each.to_json() for each in found]})


def status_text(found: Iterable[Status]) -> str:
    """A paragraph for each protection."""
    return "\n".join("\n".join(_status(each)) + "\n" for each in found) or _NOTHING


def status_json(found: Iterable[Status]) -> str:
    """The document of ``status --json``."""
    return _document({"protections": [each.to_json() for each in found]})


def _document(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _name(protected: Protected) -> str:
    name = ", ".join(protected.vifs) or "no vif"
    return f"{name} (buffer device {protected.buffer})" if protected.buffer else name


def _verified(each: Verified) -> Iterator[str]:
    name = _name(each.protected)
    if each.agrees:
        yield f"{name}: as applied"
        return
    yield f"{name}: differs"
    for one in each.differences:
        yield f"  {one.device}: {one.what}"
        yield f"    desired  {one.desired}"
        yield f"    current  {one.current}"


def _status(each: Status) -> Iterator[str]:
    yield _name(each.protected)
    for name, value in _rows(each):
        yield f"  {name:10} {value}"


def _rows(each: Status) -> Iterator[tuple[str, str]]:
    terms = each.protected.terms
    if terms is None:
        yield "owner", "remusnet, by its marks; there is no receipt"
    else:
        state = "" if terms.phase == "applied" else f" (cut short while {terms.phase})"
        yield "owner", f"remusnet {terms.version}{state}"
        yield "policy", f"{terms.policy}, classifier {terms.classifier}"
        interval = f"{format_duration(terms.interval_ns)} {terms.interval_from}".rstrip()
        why = f"{format_rate(terms.rate)}, {interval}"
        if terms.limit != plug_limit(terms.rate, terms.interval_ns):
            why = "as asked for"
        yield "limit", f"{format_size(terms.limit)} ({why}; {_UNVERIFIED})"
    yield "held", _packets(each.held)
    yield "bypassed", _packets(each.bypassed)
    yield "backlog", f"{format_size(each.backlog)} in {_packets(each.waiting)}"
    yield "decoupled", decoupled(each)
    yield "dropped", f"{each.overflowed} by a full plug, {each.refused} by a device down or gone"
    if each.driver:
        yield "plug", f"driven{each.driver}"
    elif each.plug != "unknown":
        yield "plug", f"{each.plug}, by the word of who drove it last ({_UNVERIFIED})"
    for warning in each.warnings:
        yield "warning", warning


def decoupled(each: Status) -> str:
    """Whether held frames are copied."""
    if not each.decouple:
        return "no: held frames are not copied"
    failed = f" ({_packets(each.uncopied)} could not be)" if each.uncopied else ""
    return f"held frames are copied{failed}"


def _packets(count: int | None) -> str:
    if count is None:
        return "not known: the kernel does not count it here"
    return f"{count} packet{'' if count == 1 else 's'}"
