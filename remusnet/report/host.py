"""A host against its desired state: lines for a person, JSON for a script."""

from __future__ import annotations

import json
from collections.abc import Iterator

from remusnet.errors import RemusnetError
from remusnet.results.host import Foreseen, HostApplied, HostDifference
from remusnet.results.protection import Applied


def difference_text(found: HostDifference, *, commands: bool = False) -> str:
    """A paragraph for each card that differs, and a line for all others; with ``commands`` what
    would be done in the words of ``ip`` and ``tc``.
    """
    lines = [line for each in found.foreseen if not each.agrees for line in _one(each, commands)]
    same = sum(len(each.vifs) for each in found.foreseen if each.agrees)
    if same:
        lines.append(f"{_counted(same, 'vif')} as desired")
    lines += [f"{each.path}: {each.wants}: not there yet" for each in found.absent]
    lines += [
        f"{', '.join(each.vifs) or each.buffer}: protected, but not asked for: it stays as it is"
        for each in found.others
    ]
    if not lines:
        lines.append("no vif is to be protected")
    return "".join(f"{line}\n" for line in lines)


def difference_json(found: HostDifference) -> str:
    """The document of ``diff --json``."""
    return json.dumps(found.to_json(), indent=2) + "\n"


def made_true_text(done: HostApplied) -> str:
    """A line for each card."""
    lines = []
    for each, outcome in zip(done.difference.foreseen, done.outcomes, strict=True):
        name = ", ".join(each.vifs)
        if not isinstance(outcome, Applied):
            lines.append(f"{name}: failed: {_behind_name(each, outcome)}")
        elif outcome.operations:
            policy = each.plan.classification.policy.name
            lines.append(f"{name}: protected (policy {policy}, buffer device {each.buffer})")
    same = sum(isinstance(each, Applied) and not each.operations for each in done.outcomes)
    if same:
        lines.append(f"nothing to change for {'the others' if lines else f'all {same}'}")
    return "".join(f"{line}\n" for line in lines)


def made_true_json(done: HostApplied) -> str:
    """The document of ``apply --file --json``."""
    return json.dumps(done.to_json(), indent=2) + "\n"


def failed(done: HostApplied) -> str:
    """One line: how many failed, and the first of them."""
    (first, error), *more = done.failures
    count = f"{len(more) + 1} of {len(done.outcomes)} failed, the first: " if more else ""
    return f"{count}{', '.join(first.vifs)}: {_behind_name(first, error)}"


def _behind_name(each: Foreseen, error: RemusnetError) -> str:
    """``error`` for a line that begins with the name of ``each``."""
    return str(error).removeprefix(", ".join(each.vifs)).removeprefix(":").lstrip()


def _one(each: Foreseen, commands: bool) -> Iterator[str]:
    where = f" ({each.path})" if each.path else ""
    yield f"{', '.join(each.vifs)}{where}: differs"
    for one in each.differences:
        yield f"  {one.device}: {one.what}"
        yield f"    desired  {one.desired}"
        yield f"    current  {one.current}"
    if each.refusal is not None:
        yield f"  refused: {_behind_name(each, each.refusal)}"
    elif not commands:
        kinds = ", ".join(f"{number} {kind}" for kind, number in each.kinds.items())
        yield f"  apply would do: {kinds or 'write its receipt anew'}"
    else:
        yield "  apply would do:"
        for operation in each.operations:
            for command in operation.commands:
                yield f"    {command.program} {' '.join(command.arguments)}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
