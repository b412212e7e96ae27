"""What endpoints told the report: transactions and transfers, with their copies and timeouts."""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.emulator.traffic.conversations import CONNECTION, Conversation
from remusnet.emulator.traffic.endpoints import Again, Begin, End
from remusnet.results.scene import Ended, SipTransaction, Transfer


@dataclass(slots=True)
class Note:
    """One transaction or transfer."""

    start_ns: int
    end_ns: int | None = None
    ended: Ended = Ended.UNFINISHED
    size: int = 0
    copies: int = 0
    timeouts: int = 0


class Notes:
    """Notes by conversation and name; what begins or ends twice (after a rollback) does so once."""

    def __init__(self, conversations: list[Conversation]) -> None:
        self._conversations = conversations
        self._notes: dict[tuple[int, str], Note] = {}

    def take(self, index: int, command: Begin | End | Again, now_ns: int) -> None:
        """A command of conversation ``index``."""
        note = self._notes.setdefault((index, command.what), Note(now_ns))
        match command:
            case End(_, how, size):
                if note.ended is Ended.UNFINISHED:
                    note.ended = how
                    note.size = size
                    note.end_ns = now_ns if how is Ended.DONE else None
            case Again(_, timeout):
                note.timeouts += timeout
                note.copies += not timeout or self._conversations[index].transport == "udp"

    def transactions(self) -> tuple[SipTransaction, ...]:
        """Of SIP, in the order in which they began."""
        found = []
        for (index, what), note in self._notes.items():
            conversation = self._conversations[index]
            if conversation.kind == "sip" and what != CONNECTION:
                found.append(
                    SipTransaction(
                        conversation.group,
                        conversation.number,
                        what,
                        conversation.transport,
                        str(conversation.client),
                        note.start_ns,
                        note.end_ns,
                        note.copies,
                        note.ended,
                    )
                )
        return tuple(sorted(found, key=lambda each: (each.start_ns, each.group, each.call)))

    def transfers(self) -> tuple[Transfer, ...]:
        """All others, in the order in which they began.

        A connection beneath SIP is as long as its transactions, and has their end.
        """
        found = []
        for (index, what), note in self._notes.items():
            conversation = self._conversations[index]
            if conversation.kind == "sip" and what != CONNECTION:
                continue
            ended, end_ns = note.ended, note.end_ns
            if what == CONNECTION and ended is Ended.UNFINISHED:
                ended, end_ns = self._end_of_dialog(index)
            found.append(
                Transfer(
                    conversation.group,
                    conversation.number,
                    conversation.kind,
                    conversation.wire.flow,
                    note.start_ns,
                    end_ns,
                    note.size,
                    note.copies,
                    note.timeouts,
                    ended,
                )
            )
        return tuple(sorted(found, key=lambda each: (each.start_ns, each.kind, each.number)))

    def _end_of_dialog(self, index: int) -> tuple[Ended, int | None]:
        asked = [
            note for (owner, what), note in self._notes.items()
            if owner == index and what != CONNECTION
        ]  # fmt: skip
        ends = [note.end_ns for note in asked if note.end_ns is not None]
        if asked and len(ends) == len(asked):
            return Ended.DONE, max(ends)
        return Ended.UNFINISHED, None
