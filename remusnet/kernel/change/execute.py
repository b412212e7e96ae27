"""Operations, done one after the other; what is done can be undone in reverse.

Each operation is acknowledged before the next begins; plugs are waited for together. Only filters
of one vif and one verdict are sent together: where one of them fails, those after it hold more, or
let less pass, than planned.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator

from remusnet.errors import InvalidInput, RemusnetError, quoted
from remusnet.kernel.change.drain import drain
from remusnet.kernel.change.encoder import Encoder
from remusnet.kernel.change.explain import describe, explain
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.operations import (
    AddFilter,
    DrainPlug,
    ReleasePlug,
    undo_of,
)
from remusnet.plan.rows import Operation

_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EOPNOTSUPP})
# What was to be deleted is no more; EINVAL: not even the qdisc that had it.
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.EINVAL})


class Executor:
    """Does operations over ``netlink`` on what was ``seen``.

    ``check`` is called between them, and may raise. ``done`` is what can be undone, in order.
    """

    def __init__(
        self, netlink: Netlink, seen: Seen, check: Callable[[], None] = lambda: None
    ) -> None:
        self._netlink = netlink
        self._encoder = Encoder({each.name: each.index for each in seen.devices.values()})
        self._check = check
        self.done: list[Operation] = []

    def run(self, operations: Iterable[Operation]) -> None:
        """Does ``operations``. Raises what `explain` makes of the first failure."""
        for batch in _batches(operations):
            self._check()
            drained = [each for each in batch if isinstance(each, DrainPlug)]
            if drained:
                self._drain(drained, self._check)
                continue
            answers = self._netlink.ask([self._encode(each) for each in batch])
            failed = None
            for operation, answer in zip(batch, answers, strict=True):
                if not answer.error:
                    self.done.append(operation)
                elif answer.error not in harmless(operation):
                    failed = failed or explain(operation, answer)
            if failed is not None:
                raise failed

    def undo(self) -> tuple[str, ...]:
        """Takes back what is done, all of it, whatever fails; one line for each failure."""
        problems = []
        for operation in undo_of(self.done):
            try:
                if isinstance(operation, DrainPlug):
                    self._drain([operation], lambda: None)
                    continue
                (answer,) = self._netlink.ask([self._encode(operation)])
            except RemusnetError as error:
                problems.append(str(error))
                continue
            fine = _GONE if isinstance(operation, ReleasePlug) else harmless(operation)
            if answer.error and answer.error not in fine:
                problems.append(str(explain(operation, answer)))
        self.done.clear()
        return tuple(problems)

    def _encode(self, operation: Operation) -> bytes:
        try:
            return self._encoder.encode(operation)
        except OSError as error:
            device = quoted(str(operation.arguments.get("device", "")))
            raise InvalidInput(f"could not {describe(operation)}: {device} is gone") from error

    def _drain(self, operations: Iterable[DrainPlug], check: Callable[[], None]) -> None:
        devices = {each.device: self._encoder.index(each.device) for each in operations}
        drain(self._netlink, devices, check=check)


def harmless(operation: Operation) -> frozenset[int]:
    """Errors in spite of which the operation is done, or need not be."""
    if operation.row.deletes:
        return _GONE
    return _NO_IPV6 if operation.row.may_fail else frozenset()


def _batches(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    batch: list[Operation] = []
    for operation in operations:
        if batch and not together(batch[-1], operation):
            yield batch
            batch = []
        batch.append(operation)
    if batch:
        yield batch


def together(one: Operation, next_one: Operation) -> bool:
    """Whether nothing has to be known of ``one`` before ``next_one`` is begun."""
    if isinstance(one, DrainPlug) and isinstance(next_one, DrainPlug):
        return True  # they wait together
    return (
        isinstance(one, AddFilter)
        and isinstance(next_one, AddFilter)
        and one.device == next_one.device
        and one.filter.verdict is next_one.filter.verdict
    )
