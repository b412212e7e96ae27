"""The plug of a buffer device, driven as Remus drives it.

    with Plug("ifb-1.0") as plug:
        plug.buffer()      # a checkpoint begins: what follows belongs to the next epoch
        plug.release()     # it has committed: the epoch before leaves

The messages are encoded once; an operation is one send and one receive on one socket, without a
process and without an allocation that could wait for memory the guest's pages use.
"""

from __future__ import annotations

import errno
import socket
from enum import Enum, auto
from types import TracebackType

from remusnet.errors import Conflict, InvalidInput, quoted
from remusnet.kernel.messages import PlugAction, plug_message
from remusnet.kernel.netlink import Answer, Netlink, refusal
from remusnet.plan.limits import LARGEST_LIMIT
from remusnet.plan.names import check_device_name


class PlugState(Enum):
    """What this process has made of the plug; the kernel can't be asked (it has no dump)."""

    UNKNOWN = auto()
    """Nothing done yet: whoever had the plug before may have left it in any state."""
    OPEN = auto()
    """Everything passes."""
    BUFFERING = auto()
    """An epoch is open, and none waits for its release."""
    WAITING = auto()
    """An epoch is open, and the one before waits for its release."""


class Plug:
    """The plug at the root of the buffer device ``device``. Leaving the context opens it.

    ``force``: allow BUFFER while an epoch waits for its release; the kernel then forgets how many
    frames that epoch had, and every later release comes late (sch_plug.c, plug_change).

    Raises InvalidInput where there is no such device.
    """

    def __init__(self, device: str, *, force: bool = False) -> None:
        self.device = check_device_name(device)
        try:
            self._index = socket.if_nametoindex(device)
        except OSError as error:
            raise InvalidInput(f"no such device: {quoted(device)}") from error
        self._force = force
        self._netlink = Netlink()
        self._messages = {action: plug_message(self._index, action) for action in PlugAction}
        self.state = PlugState.UNKNOWN

    def __enter__(self) -> Plug:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.release_all()
        finally:
            self.close()

    def close(self) -> None:
        """Closes the socket and leaves the plug as it is."""
        self._netlink.close()

    def buffer(self) -> None:
        """BUFFER: closes the epoch; frames that come from now on belong to the next.

        Raises Conflict while the epoch before still waits for its release (unless forced), and
        KernelRefused or NotPermitted.
        """
        if self.state is PlugState.WAITING and not self._force:
            raise Conflict(
                f"an epoch on {self.device} still waits for its release: a second buffer would "
                "strand its frames"
            )
        self._tell(PlugAction.BUFFER, "buffer")
        # From an open plug the first BUFFER only begins to hold. From an unknown one an epoch of
        # somebody else may wait now.
        was_open = self.state is PlugState.OPEN
        self.state = PlugState.BUFFERING if was_open else PlugState.WAITING

    def release(self) -> None:
        """RELEASE_ONE: what was held before the last BUFFER leaves."""
        self._tell(PlugAction.RELEASE_ONE, "release")
        if self.state is PlugState.WAITING:
            self.state = PlugState.BUFFERING

    def release_all(self) -> None:
        """RELEASE_INDEFINITE: everything leaves, and passes until the next BUFFER."""
        self._tell(PlugAction.RELEASE_INDEFINITE, "release all")
        self.state = PlugState.OPEN

    def set_limit(self, limit: int) -> None:
        """Sets the limit to ``limit`` bytes; what is held already stays.

        Raises InvalidInput outside 1 to 2**32 - 1.
        """
        if not 1 <= limit <= LARGEST_LIMIT:
            raise InvalidInput(f"invalid limit: {limit} bytes; expected 1 to {LARGEST_LIMIT}")
        request = plug_message(self._index, PlugAction.LIMIT, limit)
        self._check(self._netlink.tell(request), "set the limit")

    def _tell(self, action: PlugAction, what: str) -> None:
        self._check(self._netlink.tell(self._messages[action]), what)

    def _check(self, answer: Answer | None, what: str) -> None:
        if answer is None:
            return
        if answer.error in (errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP):
            raise Conflict(
                f"could not {what} on {self.device}: its root qdisc is no plug "
                f"({answer.text or errno.errorcode[answer.error]})"
            )
        if answer.error == errno.ENODEV:
            raise InvalidInput(f"could not {what}: {quoted(self.device)} is gone")
        raise refusal(answer, f"{what} on {self.device}")
