"""A Xen host: what was installed, what runs under Remus, what was recovered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from remusnet.report.kernel import decoupled
from remusnet.results.xen import Installed, Recovered, RemusVif
from remusnet.units import format_size


def installed_text(done: Installed) -> str:
    """A line for each file."""
    would = "would be: " if done.dry_run else ""
    lines = [f"{each.path}: {would}{each.done}\n" for each in done.changes]
    return "".join(lines) or "nothing to change\n"


def installed_json(done: Installed) -> str:
    """The document of ``xen install --json`` and ``xen uninstall --json``."""
    return _document(done.to_json())


def under_remus_text(found: Iterable[RemusVif]) -> str:
    """A paragraph for each vif."""
    return "\n".join("".join(_vif(each)) for each in found) or "no domain is under Remus\n"


def under_remus_json(found: Iterable[RemusVif]) -> str:
    """The document of ``xen status --json``."""
    return _document({"vifs": [each.to_json() for each in found]})


def recovered_text(found: Iterable[Recovered], *, dry_run: bool) -> str:
    """A line for each buffer device."""
    return "".join(_recovered(each, dry_run=dry_run) for each in found) or "nothing is left over\n"


def recovered_json(found: Iterable[Recovered], *, dry_run: bool) -> str:
    """The document of ``xen recover --json``."""
    return _document({"dry_run": dry_run, "recovered": [each.to_json() for each in found]})


def _vif(each: RemusVif) -> Iterator[str]:
    name = each.name or "(gone)"
    status = each.status
    vifs = ", ".join(status.protected.vifs) if status else f"vif {each.number}"
    yield f"{name} (domain {each.domid}): {vifs}\n"
    if not each.ours:
        yield f"  buffer     {each.buffer}, not remusnet's: another script made it\n"
    elif status is None:
        yield f"  buffer     {each.buffer}, which is gone\n"
    else:
        yield f"  buffer     {each.buffer}\n"
        terms = status.protected.terms
        if terms is not None:
            limit = format_size(terms.limit)
            yield f"  policy     {terms.policy}, classifier {terms.classifier}, limit {limit}\n"
        yield f"  backlog    {format_size(status.backlog)} in {_packets(status.waiting)}\n"
        yield f"  decoupled  {decoupled(status)}\n"
        yield f"  dropped    {status.overflowed} by a full plug, "
        yield f"{status.refused} by a device down\n"
        yield from (f"  warning    {warning}\n" for warning in status.warnings)
    if each.left_over:
        yield f'  left over  {each.left_over}: "remusnet xen recover" ends it\n'


def _recovered(each: Recovered, *, dry_run: bool) -> str:
    name = f"{each.domain}: {', '.join(each.vifs) or 'no vif'} (buffer device {each.buffer})"
    if each.kept:
        return f"{name}: left as it is: {each.kept}\n"
    verb = "would be " if dry_run else ""
    held = f"{_packets(each.held, 'held ')} {verb}{'dropped' if each.dropped else 'released'}"
    return f"{name}: {verb}removed; {held}\n"


def _packets(count: int, which: str = "") -> str:
    return f"{count} {which}packet{'' if count == 1 else 's'}"


def _document(value: object) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
