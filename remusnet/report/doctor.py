"""What a machine has and lacks, for a person and for a script. Plain text: it needs no library."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from remusnet.results.checks import Check, CheckState, exit_code

_WIDTH = 79
_MARKS = {CheckState.OK: "ok", CheckState.MISSING: "MISSING", CheckState.UNKNOWN: "unknown"}


def doctor_json(checks: Sequence[Check]) -> str:
    """The document of ``doctor --json``; see docs/reference/doctor.md."""
    code = exit_code(checks)
    document = {"ready": code == 0, "exit_code": code, "checks": [c.to_json() for c in checks]}
    return json.dumps(document, indent=2)


def doctor_text(checks: Sequence[Check]) -> str:
    """A line for each check, more for each that is not ok, and what it comes to."""
    width = max((len(each.what) for each in checks), default=0)
    lines = [line for each in checks for line in _lines(each, width)]
    return "\n".join([*lines, "", *textwrap.wrap(_verdict(checks), _WIDTH)])


def _lines(check: Check, width: int) -> list[str]:
    mark = _MARKS[check.state]
    if check.state is CheckState.MISSING and not check.needed:
        mark = "missing"  # quieter: remusnet works without
    lines = [f"{mark:<8}{check.what:<{width}}  {check.found}"]
    if check.state is not CheckState.OK:
        lines.append(f"        for: {check.why}")
        lines.append(f"        mend: {check.mend}")
    return lines


def _verdict(checks: Sequence[Check]) -> str:
    missing = [each.what for each in checks if each.needed and each.state is CheckState.MISSING]
    unknown = [each.what for each in checks if each.needed and each.state is CheckState.UNKNOWN]
    if missing:
        return f"remusnet apply can't work here yet. It needs: {', '.join(missing)}."
    if unknown:
        return f"remusnet apply may work here. Not known: {', '.join(unknown)}."
    return "remusnet apply has all that it needs."
